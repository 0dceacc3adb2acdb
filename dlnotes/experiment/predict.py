"""Using what was trained: evaluate it on other data, predict, export it as one file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data
from dlnotes.config import ConfigError
from dlnotes.config.training import Decoding
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.own_files import reading_of
from dlnotes.data.table_ids import ids_of
from dlnotes.data.table_targets import LABELS, kind_of
from dlnotes.data.tasks import TaskDataset
from dlnotes.data.time_series.csv_series import series_form
from dlnotes.data.trees.brackets import to_brackets
from dlnotes.data.trees.tree import tree_at
from dlnotes.experiment.answers import values_of
from dlnotes.experiment.class_quality import decided_classes
from dlnotes.experiment.decoding import (
    text_of,
    write,
)
from dlnotes.experiment.entities import labeled_columns
from dlnotes.experiment.error_intervals import error_intervals
from dlnotes.experiment.forecasts import is_forecast, write_forecasts
from dlnotes.experiment.members import PointName, choose_kept, good_member
from dlnotes.experiment.one_task import evaluator_of, one_task, require_one_task
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.result import Trained
from dlnotes.experiment.sampling import check_samples, sampled_predictions
from dlnotes.training.state import Member, evaluated_params
from dlnotes.typing import Params


def _opened(run: str | Path | Trained, point: PointName = None, member: int | None = None) -> Trained:
    """A run opened for use, with the point and the member that are asked for."""
    if not isinstance(run, Trained):
        return open_run(run, point=point, member=member)
    if point is None and member is None:
        return run
    name = str(run.folder.path)
    chosen = choose_kept(run.groups, run.folder, point, member)
    if chosen.group != run.chosen.group:
        told = f"{chosen.in_words()} is of another program: open_run(folder, point={chosen.point})"
        raise ConfigError(name, [told])
    return replace(run, chosen=chosen)


def predict_run(
    run: str | Path | Trained,
    path: str | Path,
    *,
    output: str | Path | None = None,
    point: PointName = None,
    member: int | None = None,
    beam: int | None = None,
    best: int = 1,
    samples: int | None = None,
    future: bool = False,
    over_seeds: bool = False,
    interval: float | None = None,
    tell: Callable[[str], Any] | None = None,
) -> Path:
    """Predict for the inputs in a file and write what came out.

    Of several tasks the columns of each, with its name before theirs ("digit.class"); what reconstructs its
    inputs is written to ``.npz`` only. Pixels: a mask for each image, class numbers as the gray levels of a
    PNG file, or all in one ``.npz``. Classification: class and probability of every class; regression: the
    value in the target's own units, with all its digits; of a table's series a row for each row that is
    forecast (see `dlnotes.experiment.forecasts.write_forecasts`); sequences to sequences: the decoded symbols
    and their log-probability; a class for every position: their names, with spaces between, or for the nodes
    of a tree in its brackets; language models: bits per symbol and the most probable next symbol.

    Args:
      run: its folder, or what `open_run` returned.
      path: inputs, in the form of the training data (see `dlnotes.data.read_inputs`).
      output: ``.csv`` or ``.npz``; by default predictions.csv in the run folder. For pixels a folder, by
        default predictions/ in the run folder, or ``.npz``.
      point: of a sweep, by its number from 0 or by its values; by default the best one on validation.
      member: which of the trained members predicts, counted over all seeds of all points from 0, or with
        ``point`` over its seeds; by default the first that did not fail.
      beam: of sequences to sequences, beginnings kept by the beam search; by default the config's.
      best: of sequences to sequences, how many hypotheses are written, at most ``beam``.
      samples: keep dropout on and predict so many times, which gives the mean and the standard deviation of
        each number written; what is drawn follows from the run's seed.
      future: of a table's series, only the rows after the last one of each.
      over_seeds: of a table's series, the mean of every seed's forecast with the least and greatest one.
      interval: of a table's series, the share of the truth that an interval around each forecast is to hold,
        by the errors on the validation part (see `dlnotes.experiment.error_intervals`).
      tell: is told what share of the test part the interval held, in a line.

    Returns:
      The path written.

    Raises:
      ConfigError: naming what does not fit.
    """
    trained = _opened(run, point, member)
    how = _decoding(trained, beam, best)
    target = Path(output) if output is not None else trained.folder.path / "predictions.csv"
    if trained.dataset.task == "pixels":
        target = trained.folder.path / "predictions" if output is None else target
        if target.suffix not in ("", ".npz"):
            raise ConfigError(str(target), ["output: must be a folder, for masks, or end in .npz"])
    elif target.suffix not in (".csv", ".npz"):
        raise ConfigError(str(target), ["output: must end in .csv or .npz"])
    one = _member(trained)
    forecasts = is_forecast(trained, path)
    asked = {"future": future, "over_seeds": over_seeds, "interval": interval is not None}
    if any(asked.values()) and (samples is not None or not forecasts):
        got = next(name for name, given in asked.items() if given)
        told = f"{got}: is for the tables of data.kind = 'csv_series', without samples"
        raise ConfigError(str(trained.folder.path), [told])
    form = series_form(trained.dataset)
    if samples is not None and form is not None and (form.relative or form.steps):
        told = f"samples: got them with data.{'relative' if form.relative else 'steps'}, allowed is none"
        raise ConfigError(str(trained.folder.path), [told])
    if forecasts and samples is None:
        given: dict[str, Any] = {"future": future, "over_seeds": over_seeds}
        if interval is not None:
            around = error_intervals(trained, None if over_seeds else one, interval)
            given |= {"half": around.half, "share": interval}
            if tell is not None:
                tell(around.in_words())
        return write_forecasts(trained, one, path, target, **given)
    if samples is not None:
        require_one_task(trained, "a sample of predictions")
        check_samples(trained, one, samples)
    try:
        inputs, named = data.read_inputs(path, trained.dataset), ids_of(path, trained.dataset)
    except (ValueError, OSError) as error:
        raise ConfigError(str(path), [str(error)]) from None
    if samples is None:
        columns = _predictions(trained, one, inputs, how, best)
    else:
        examples = Examples(inputs.x, np.zeros(len(inputs.rows), np.int32), inputs.mask)
        columns = sampled_predictions(trained, one, examples, samples)
    if jax.process_index() > 0:  # the first of several processes writes
        return target
    if trained.dataset.task == "pixels" and target.suffix != ".npz":
        return _write_masks(target, inputs.rows, columns["class"])
    if target.suffix == ".npz":
        np.savez(target, allow_pickle=False, row=np.array(inputs.rows), **(named | columns))
        return target
    columns = _without_reconstructions(columns, trained.dataset)
    columns = named | columns
    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *_headers(columns, trained.dataset)])
        for i, row in enumerate(inputs.rows):
            cells = [np.atleast_1d(values[i]) for values in columns.values()]
            writer.writerow([row, *(_cell(v) for cell in cells for v in cell)])
    return target


def _write_masks(folder: Path, rows: tuple[str, ...], labels: np.ndarray) -> Path:
    """One PNG file for each image, named after it."""
    from PIL import Image

    names = [str(Path(row).with_suffix("")) for row in rows]
    if len(set(names)) < len(rows):  # a.jpg beside a.png
        names = list(rows)
    for name, mask in zip(names, labels):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8 if labels.max() < 256 else np.uint16)).save(path)
    return folder


def _decoding(trained: Trained, beam: int | None, best: int) -> Decoding:
    """The config's [decoding] with the beam asked for."""
    how, name = trained.config.decoding or Decoding(), str(trained.folder.path)
    if (beam is not None or best != 1) and trained.dataset.input != "pair":
        raise ConfigError(name, [f"beam, best: are for sequences to sequences, not {trained.dataset.name}"])
    if beam is not None and beam < 1:
        raise ConfigError(name, [f"beam: got {beam}, allowed is at least 1"])
    how = how if beam is None else Decoding(beam=beam, length_penalty=how.length_penalty)
    if not 1 <= best <= how.beam:
        raise ConfigError(name, [f"best: got {best}, allowed is 1 to the beam, {how.beam}"])
    return how


def _predictions(
    trained: Trained, one: Member, inputs: data.Inputs, how: Decoding, best: int
) -> dict[str, np.ndarray]:
    dataset = trained.dataset
    if isinstance(dataset, TaskDataset):
        return _of_tasks(trained, dataset, one, inputs, how, best)
    if dataset.input == "pair":
        written = write(dataset, _params(one), inputs.x.source, inputs.mask, how)
        columns = {}
        for j in range(best):
            end = "" if j == 0 else f"_{j + 1}"
            columns |= {
                f"output{end}": text_of(dataset, written.symbols[:, j]),
                f"log_p{end}": written.log_p[:, j],
            }
        return columns
    x, mask, n = inputs.x, inputs.mask, len(inputs.rows)
    y = np.zeros((n, *dataset.train.y.shape[1:]), dataset.train.y.dtype)
    if dataset.task == "tokens":
        y = np.zeros(np.asarray(x.label if dataset.input == "tree" else x).shape[:2], np.int32)
    outputs = trained.evaluator.predict(one, Examples(x, y, mask))[0]
    if kind_of(dataset) == LABELS:
        p = values_of(trained.config, dataset, outputs)["value"]
        names, between = np.array(dataset.classes), f"{reading_of(dataset)['separator']}"
        return {"labels": np.array([between.join(names[row >= 0.5]) for row in p]), "probability": p}
    if dataset.task == "regression":
        return values_of(trained.config, dataset, outputs)
    if dataset.task == "pixels":
        return {"class": outputs.argmax(-1).astype(np.int32)}
    p = np.asarray(jax.nn.softmax(jnp.asarray(outputs)))
    names = np.array(dataset.classes)
    if dataset.task == "classification":
        which = good_member(trained.chosen, trained.state.members)
        return {"class": names[decided_classes(trained, which, p)], "probability": p}
    if dataset.input == "tree":
        shown = [tree_at(x, i, dataset.symbols, p[i].argmax(-1), dataset.classes) for i in range(n)]
        return {"classes": np.array([to_brackets(tree) for tree in shown]), "root": names[_roots(p, mask)]}
    lengths = (np.ones(np.asarray(x).shape[:2], bool) if mask is None else mask).sum(1)
    if not predicts_next(dataset):
        taken = [names[q[:n].argmax(-1)] for q, n in zip(p, lengths)]
        columns = {"classes": np.array([" ".join(labels) for labels in taken])}
        return labeled_columns(dataset, inputs.words, taken) | columns if inputs.words else columns
    ids = np.asarray(x)
    bits = np.array([
        -np.log2(np.take_along_axis(p[i, : n - 1], ids[i, 1:n, None], -1)).mean() if n > 1 else np.nan
        for i, n in enumerate(lengths)
    ])  # fmt: skip
    return {"bits_per_symbol": bits, "next": names[p[np.arange(len(p)), lengths - 1].argmax(-1)]}


def _of_tasks(
    trained: Trained, dataset: TaskDataset, one: Member, inputs: data.Inputs, how: Decoding, best: int
) -> dict[str, np.ndarray]:
    """The columns of every task, its name before theirs; reconstructions in the units of the inputs."""
    found: dict[str, np.ndarray] = {}
    for facts in dataset.tasks:
        if facts.kind != "reconstruction":
            columns = _predictions(one_task(trained, facts.name), one, inputs, how, best)
            found |= {f"{facts.name}.{column}": values for column, values in columns.items()}
            continue
        examples = Examples(inputs.x, np.zeros(len(inputs.rows), np.int32), inputs.mask)
        outputs = evaluator_of(trained.evaluator, facts.name).predict(one, examples)[0]
        outputs = outputs.reshape(-1, *dataset.inputs)
        scale = dataset.standardize
        found[f"{facts.name}.value"] = outputs if scale is None else scale.inverse(outputs)
    return found


def _without_reconstructions(columns: dict[str, np.ndarray], dataset: Dataset) -> dict[str, np.ndarray]:
    """What a table of predictions holds: a reconstruction has as many numbers as the input."""
    if not isinstance(dataset, TaskDataset):
        return columns
    left_out = {f"{t.name}.value" for t in dataset.tasks if t.kind == "reconstruction"}
    return {name: values for name, values in columns.items() if name not in left_out}


def _roots(p: np.ndarray, mask: Any) -> np.ndarray:
    """The class of each tree's root, its last real node."""
    return p[np.arange(len(p)), np.asarray(mask).sum(1) - 1].argmax(-1)


def predicts_next(dataset: Dataset) -> bool:
    """Whether the target of a position is the next symbol of the input itself (a language model)."""
    return dataset.input == "tokens" and dataset.symbols == dataset.classes


def _member(trained: Trained) -> Member:
    """The chosen member alone, keeping its axis."""
    try:
        which = good_member(trained.chosen, trained.state.members)
    except ValueError as error:
        raise ConfigError(str(trained.folder.path), [str(error)]) from None
    return jax.tree.map(lambda a: a[which : which + 1], trained.state.members)


def _params(one: Member) -> Params:
    return jax.tree.map(lambda a: jnp.asarray(a[0]), evaluated_params(one, best=True))


def _headers(columns: dict[str, np.ndarray], dataset: Dataset) -> list[str]:
    names = []
    for name, values in columns.items():
        if name.endswith(".probability") and isinstance(dataset, TaskDataset):
            task = name.removesuffix(".probability")
            names += [f"{task}.p({c})" for c in dataset.facts(task).classes]
        elif name == "probability":
            names += [f"p({c})" for c in dataset.classes]
        elif name == "deviation" and dataset.task == "classification":
            names += [f"deviation({c})" for c in dataset.classes]
        elif values.ndim > 1 and values.shape[1] == len(targets := _targets(dataset)) > 1:
            names += [f"{name}({target})" for target in targets]
        elif values.ndim > 1 and values.shape[1] > 1:
            given = reading_of(dataset).get("outputs", range(values.shape[1]))
            names += [f"{name}({c})" if isinstance(c, str) else f"{name}_{c}" for c in given]
        else:
            names.append(name)
    return names


def _targets(dataset: Dataset) -> list[str]:
    """The names of the numbers that are predicted, where the data have some."""
    return reading_of(dataset).get("column", {}).get("targets", [])


def _cell(value: Any) -> str:
    """A number with as many digits as give the same number when read again; texts as they are."""
    return str(value)
