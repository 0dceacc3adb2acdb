"""Linear probes of a trained run: how well a linear classifier tells the classes apart at each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.analysis.linear_probe import DECAYS, Kind, linear_probe, probe_accuracy
from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples
from dlnotes.experiment.intervals import SHARE, mean_interval
from dlnotes.experiment.kept_files import write_json
from dlnotes.experiment.members import PointName, failed_members, require_good
from dlnotes.experiment.predict import _opened
from dlnotes.experiment.result import Trained
from dlnotes.formatting import interval_in_words, value_in_words
from dlnotes.models.activations import activations
from dlnotes.models.model import Model
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, STYLE, new_figure, save, set_title, write_table
from dlnotes.training.state import evaluated_params
from dlnotes.typing import Array, Params

WIDEST = 2048
"""Numbers of a layer that a probe takes; more are folded into so many."""
BLOCK = 512
"""Examples that go through a network at once."""
COLORS = {"train": GRAY, "validation": ORANGE, "test": BLUE}


@dataclass(frozen=True)
class LayerProbe:
    """The probes of a layer, one for each seed.

    Attributes:
      name: of the layer, as in the table of `dlnotes show`.
      shape: of its values for one example.
      features: numbers that the probe takes.
      accuracy: by part, "train", "validation" and "test": mean, interval and every seed's.
      decays: the penalty that was chosen for each seed.
    """

    name: str
    shape: tuple[int, ...]
    features: int
    accuracy: dict[str, dict[str, Any]]
    decays: tuple[float, ...]


@dataclass(frozen=True)
class RunProbes:
    """What `probe_run` returns.

    Attributes:
      run: the run's folder.
      point: the sweep's point in words, "" without a sweep.
      kind: of the probe's loss.
      components: principal directions that each probe has at most, ``None`` for all.
      examples: of each part how many were used.
      layers: the input first.
      left_out: layers whose values in the probed network are not those of one example each.
      network: the network's own accuracy by part, on the same examples.
      files: figure, table and JSON that were written.
    """

    run: str
    point: str
    kind: str
    components: int | None
    examples: dict[str, int]
    layers: tuple[LayerProbe, ...]
    left_out: tuple[str, ...]
    network: dict[str, dict[str, Any]]
    files: tuple[Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything but the files."""
        return {
            "run": self.run,
            "point": self.point,
            "kind": self.kind,
            "components": self.components,
            "examples": self.examples,
            "layers": [{**vars(layer), "shape": list(layer.shape)} for layer in self.layers],
            "left_out": list(self.left_out),
            "network": self.network,
        }

    def in_words(self) -> str:
        """A table of the layers with the accuracy on each part and its interval."""
        parts = list(self.examples)
        rows = [("layer", "values", *parts)]
        for layer in self.layers:
            shape = " × ".join(map(str, layer.shape)) or "1"
            if layer.features < prod(layer.shape):
                shape += f" → {layer.features}"
            rows.append((layer.name, shape, *(_cell(layer.accuracy[part]) for part in parts)))
        rows.append(("the network itself", "", *(_cell(self.network[part]) for part in parts)))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
        lines += [f"left out, for its values are not one row per example: {name}" for name in self.left_out]
        seeds = len(self.layers[0].decays)
        used = ", ".join(f"{n} {part}" for part, n in self.examples.items())
        over = f"mean and 95% interval over {seeds} seeds" if seeds > 1 else "1 seed"
        most = f" of at most {self.components} directions" if self.components else ""
        lines.append(f"{self.kind} probes{most}, {used} examples; {over}")
        return "\n".join([*([self.point] if self.point else []), *lines])


def _cell(measured: dict[str, Any]) -> str:
    interval = interval_in_words("accuracy", measured)
    return value_in_words("accuracy", measured["mean"]) + (f" [{interval}]" if interval else "")


def probe_run(
    run: str | Path | Trained,
    *,
    point: PointName = None,
    kind: Kind = "logistic",
    decays: Sequence[float] = DECAYS,
    rows: int = 5000,
    components: int | None = None,
) -> RunProbes:
    """Train a linear classifier on what each layer of a trained network gives, for every seed of a run.

    The network stays as it is. A probe is trained on examples that the network was trained on, its penalty
    is chosen on the validation part, and the test part decides nothing. The figure, a table and JSON are
    written into the run's folder.

    Args:
      run: its folder, or what `open_run` returned.
      point: of a sweep, by its number from 0 or by its values; by default the best one on validation.
      kind: "logistic" (softmax and cross-entropy) or "ridge" (least squares, in closed form).
      decays: penalties to choose from, see `dlnotes.analysis.linear_probe`.
      rows: examples of each part that are used at most; those drawn follow from the run's seed.
      components: use that many principal directions of each layer, so that all probes have the same capacity.

    Raises:
      ConfigError: when the run does not classify whole examples, every seed failed, or an option does
        not fit.

    Source: Alain and Bengio, 2016; notes P14.5.
    """
    trained = _opened(run, point)
    where = str(trained.folder.path)
    dataset, mine = trained.dataset, trained.chosen.members
    if dataset.task != "classification":
        told = f"its task is {dataset.task}: probes tell the classes of whole examples apart"
        raise ConfigError(where, [told])
    if rows < 10:
        raise ConfigError(where, [f"rows: got {rows}, allowed is at least 10"])
    if components is not None and components < 1:
        raise ConfigError(where, [f"components: got {components}, allowed is at least 1"])
    try:
        require_good(trained.chosen, trained.state.members)
        parts = _parts(trained, rows)
    except ValueError as error:
        raise ConfigError(where, [str(error)]) from None
    failed = failed_members(trained.state.members)[mine]
    members = [
        jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), trained.state.members._replace(opt_state=()))
        for i in np.arange(mine.start, mine.stop)[~failed]
    ]
    setup = trained.evaluator.setup
    model = setup.recipe_of(members[0].hyper).model  # the same for all seeds of a point, so compiled once
    found = [(model, evaluated_params(member, best=setup.keep_best)) for member in members]
    names, left_out = _layers(*found[0], parts["train"])
    classes = max(2, dataset.outputs)
    fit = partial(linear_probe, classes=classes, kind=kind, decays=tuple(decays), components=components)
    layers = [_probes(name, found, parts, fit) for name in names]
    own: dict[str, list[float]] = {
        part: [_own(*network, examples) for network in found]
        for part, examples in parts.items()
        if part != "choice"
    }
    probes = RunProbes(
        where,
        trained.chosen.in_words(),
        kind,
        components,
        {part: examples.size for part, examples in parts.items() if part != "choice"},
        tuple(layers),
        left_out,
        {part: _measured(values) for part, values in own.items()},
    )
    return _written(trained, probes)


Network = tuple[Model, Params]


def _parts(trained: Trained, rows: int) -> dict[str, Examples]:
    """Some examples of each part; "choice" are those that choose the penalty where there is no validation."""
    dataset = trained.dataset
    rng = np.random.default_rng(trained.config.seed)
    parts = {}
    for name in ("train", "validation", "test"):
        if name != "train" and getattr(dataset, name) is None:
            continue
        examples = dataset.split(name)
        chosen = np.arange(examples.size)
        if examples.size > rows:
            chosen = np.sort(rng.choice(examples.size, rows, replace=False))
        parts[name] = _taken(examples, chosen)
    if "validation" not in parts:
        order = rng.permutation(parts["train"].size)
        fifth = max(1, len(order) // 5)
        parts["choice"] = _taken(parts["train"], order[:fifth])
        parts["train"] = _taken(parts["train"], order[fifth:])
    return parts


def _taken(examples: Examples, rows: np.ndarray) -> Examples:
    return Examples(*jax.tree.map(lambda a: np.asarray(a[rows]), tuple(examples)))


def _layers(model: Model, params: Params, examples: Examples) -> tuple[list[str], tuple[str, ...]]:
    """Names of the layers, and of those whose rows are not in the order of the examples."""
    few = _taken(examples, np.arange(min(8, examples.size)))
    back = _taken(few, np.arange(few.size)[::-1])
    forth = activations(model, params, few.x, mask=few.mask)
    turned = activations(model, params, back.x, mask=back.mask)
    if "input" in forth and not jnp.issubdtype(forth["input"].dtype, jnp.floating):
        del forth["input"]  # numbers of symbols, which are no scale
    good = [name for name, value in forth.items() if _alike(value, turned[name][::-1])]
    return good, tuple(name for name in forth if name not in good)


def _alike(a: Array, b: Array) -> bool:
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    scale = np.nanmax(np.abs(first), initial=1e-6)
    return bool(np.allclose(first, second, rtol=1e-3, atol=1e-3 * scale, equal_nan=True))


def _probes(name: str, networks: Sequence[Network], parts: dict[str, Examples], fit: Any) -> LayerProbe:
    """The probes of one layer; its values are computed for it alone, so that one layer is held at a time."""
    found: dict[str, list[float]] = {part: [] for part in parts if part != "choice"}
    chosen, shape, features = [], (), 0
    for model, params in networks:
        values = {}
        for part, examples in parts.items():
            values[part], shape = _features(model, params, name, examples)
        y = {part: jnp.asarray(np.asarray(examples.y, np.int32)) for part, examples in parts.items()}
        choosing = "validation" if "validation" in parts else "choice"
        probe = fit(values["train"], y["train"], validation=(values[choosing], y[choosing]))
        features = values["train"].shape[1]
        chosen.append(float(probe.decay))
        for part in found:
            found[part].append(float(probe_accuracy(probe, values[part], y[part])))
    accuracy = {part: _measured(numbers) for part, numbers in found.items()}
    return LayerProbe(name, shape, features, accuracy, tuple(chosen))


def _measured(values: Sequence[float]) -> dict[str, Any]:
    return mean_interval(np.array(values), limits=SHARE)


def _features(model: Model, params: Params, name: str, examples: Examples) -> tuple[Array, tuple[int, ...]]:
    """What a layer gives for some examples, ``(n, features)``, and its shape for one example."""
    n = examples.size
    size = min(BLOCK, n)
    found, shape = [], ()
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)  # the last block repeats the last example
        some = _taken(examples, rows)
        value, shape = _block(model, name, params, some.x, some.mask), _shape(model, name, params, some)
        found.append(np.asarray(value)[: n - start])
    return jnp.asarray(np.concatenate(found)), shape


def _shape(model: Model, name: str, params: Params, examples: Examples) -> tuple[int, ...]:
    found = jax.eval_shape(partial(activations, model), params, examples.x, mask=examples.mask)
    return tuple(found[name].shape[1:])


@partial(jax.jit, static_argnums=(0, 1))
def _block(model: Model, name: str, params: Params, x: Any, mask: Any) -> Array:
    value = activations(model, params, x, mask=mask)[name].astype(jnp.float32)
    if mask is not None and value.shape[: mask.ndim] == mask.shape:  # what is padding tells nothing
        real = mask.reshape(*mask.shape, *(1,) * (value.ndim - mask.ndim))
        value = jnp.where(jnp.broadcast_to(real, value.shape), value, 0.0)
    flat = value.reshape(value.shape[0], -1)
    return _folded(flat) if flat.shape[1] > WIDEST else flat


def _folded(x: Array) -> Array:
    """Numbers added up in `WIDEST` groups, each with a sign: a count sketch, which keeps products of rows."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, WIDEST, x.shape[1], dtype=np.int32)
    sign = rng.choice(np.array([-1, 1], np.float32), x.shape[1])
    return jnp.zeros((x.shape[0], WIDEST), x.dtype).at[:, group].add(x * sign[None])


def _own(model: Model, params: Params, examples: Examples) -> float:
    """The network's own accuracy."""
    name = _layers_of(model, params, examples)[-1]
    scores, _ = _features(model, params, name, examples)
    y = np.asarray(examples.y)
    if scores.shape[1] == 1:
        return float(((np.asarray(scores)[:, 0] > 0) == y).mean())
    return float((np.asarray(scores).argmax(-1) == y).mean())


def _layers_of(model: Model, params: Params, examples: Examples) -> list[str]:
    few = _taken(examples, np.arange(min(2, examples.size)))
    return list(jax.eval_shape(partial(activations, model), params, few.x, mask=few.mask))


def _written(trained: Trained, probes: RunProbes) -> RunProbes:
    """Figure, table and JSON in the run's folder, by the first process."""
    kept = trained.folder
    if jax.process_index() > 0:
        return probes
    kept.figures.mkdir(exist_ok=True)
    header = ["layer", "features", *(f"{p}_{q}" for p in probes.examples for q in ("mean", "low", "high"))]
    rows = [
        (
            layer.name,
            layer.features,
            *(layer.accuracy[p][q] for p in probes.examples for q in ("mean", "low", "high")),
        )
        for layer in probes.layers
    ]
    table = write_table(kept.figures / "probe.csv", header, rows)
    write_json(kept.path / "probe.json", probes.as_json())
    files = (_figure(trained, probes), table, kept.path / "probe.json")
    return RunProbes(**{**vars(probes), "files": files})


def _figure(trained: Trained, probes: RunProbes) -> Path:
    """Accuracy of the probes by layer, with intervals over the seeds."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = new_figure(max(5.5, 1.1 * len(probes.layers) + 2.0), 4.0)
        axes = figure.subplots()
        places = np.arange(len(probes.layers))
        for part in probes.examples:
            found = [layer.accuracy[part] for layer in probes.layers]
            middle = np.array([100 * m["mean"] for m in found])
            if found[0]["low"] is not None:
                low = middle - np.array([100 * m["low"] for m in found])
                high = np.array([100 * m["high"] for m in found]) - middle
                axes.errorbar(
                    places, middle, [low, high], color=COLORS[part], marker="o", capsize=3, label=part
                )
            else:
                axes.plot(places, middle, "o-", color=COLORS[part], label=part)
        shown = "test" if "test" in probes.network else list(probes.network)[-1]
        axes.axhline(
            100 * probes.network[shown]["mean"], color=GREEN, ls="--", lw=1.2, label=f"the network, {shown}"
        )
        axes.set_xticks(places, [layer.name.replace(".", "\n") for layer in probes.layers])
        axes.tick_params(axis="x", labelrotation=30 if len(places) > 6 else 0, labelsize=8)
        axes.set(ylabel="accuracy of the probe (%)")
        axes.legend(fontsize=9)
        seeds = len(probes.layers[0].decays)
        told = f"{trained.config.name}: linear probes by layer, {seeds} seed{'s' * (seeds > 1)}"
        set_title(figure, told + (f"\n{probes.point}" if probes.point else ""))
        return save(figure, trained.folder.figures / "probe.png")
