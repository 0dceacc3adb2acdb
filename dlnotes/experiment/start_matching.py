"""Which parameters of one run go where in the network of another: by path, by class and by symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.groups import Group
from dlnotes.experiment.objective import loss_name
from dlnotes.experiment.param_paths import leaves_of, meets
from dlnotes.experiment.recipe import recipe_of
from dlnotes.models.model import Model

OF_START = {"dropout", "input_dropout", "init_scale", "initializer"}
"""Options of [model] that change no network which is there already."""

MOST = 4
"""Arrays or names that a message lists."""


@dataclass(frozen=True)
class Source:
    """A run that is started from.

    Attributes:
      where: its folder as a message names it.
      path: the folder.
      config: of the group that is used.
      facts: what it knows of its data; there are no examples.
      arrays: by path, ``(members, …)`` of its chosen point.
      seeds: of the members.
      failed: whether each of them failed.
      described: which parameters, in words.
    """

    where: str
    path: str
    config: Config
    facts: Dataset
    arrays: dict[str, np.ndarray]
    seeds: tuple[int, ...]
    failed: np.ndarray
    described: str


class Matched:
    """Which arrays of a source go where.

    Attributes:
      arrays: by the key of a leaf here, ``(members of the source, …)``.
      places: see `dlnotes.experiment.starting.Places`.
      head_is_taken: whether no output is fresh.
      told: what is not taken over, and why.
      problems: what does not fit.
    """

    def __init__(
        self,
        source: Source,
        group: Group,
        dataset: Dataset,
        model: Model | None,
        own: Mapping[str, tuple[str, Any]],
    ):
        start = group.config.start
        assert start is not None
        self.arrays: dict[str, np.ndarray] = {}
        self.places: dict[str, dict[int, list[int]]] = {}
        self.told: list[str] = []
        self.problems: list[str] = []
        self._source, self._start, self._dataset, self._config = source, start, dataset, group.config
        outputs, symbols = _grown(group, dataset, model, own)
        new_head = not self._same_outputs()
        missing, shapes, fresh = [], [], []
        rows: dict[str, tuple[int, int]] = {}
        for path, (key, leaf) in own.items():
            shape = tuple(leaf.shape)
            if 0 in shape or not self._wanted(path):
                continue
            there = source.arrays.get(path)
            if there is None:
                missing.append(path)
                continue
            named = self._named(path, outputs, symbols, there.shape[1:], shape)
            if named is not None:
                at, of, found = named
                self.places[key], rows[path] = at, found
                self.arrays[key] = _taken(there, of)
            elif path in outputs and new_head and not (self._explicit(path) and there.shape[1:] == shape):
                fresh.append(path)
            elif there.shape[1:] != shape:
                shapes.append(f"{path} is {_shape(there.shape[1:])} there and {_shape(shape)} here")
            elif there.dtype != leaf.dtype:
                shapes.append(f"{path} is {there.dtype} there and {leaf.dtype} here")
            else:
                self.arrays[key] = there
        self.head_is_taken = not any(path not in rows and own[path][0] not in self.arrays for path in outputs)
        self._tell(own, fresh, rows)
        self._find_problems(own, missing, shapes, fresh)

    def _wanted(self, path: str) -> bool:
        layers = self._start.layers
        return (layers is None or meets(path, layers)) and not meets(path, self._start.fresh)

    def _explicit(self, path: str) -> bool:
        """Whether a path was named for being taken over, not only met by a ``*``."""
        return meets(path, [p for p in self._start.layers or () if "*" not in p])

    def _same_outputs(self) -> bool:
        there, here = self._source.facts, self._dataset
        if (there.task, there.outputs, there.classes) != (here.task, here.outputs, here.classes):
            return False
        names = [
            (loss_name(c, d), c.training.components)
            for c, d in ((self._source.config, there), (self._config, here))
        ]
        return here.task != "regression" or names[0] == names[1]

    def _named(
        self,
        path: str,
        outputs: Mapping[str, tuple[int, ...]],
        symbols: Mapping[str, tuple[int, ...]],
        there: tuple[int, ...],
        here: tuple[int, ...],
    ) -> tuple[dict[int, list[int]], dict[int, list[int]], tuple[int, int]] | None:
        """Where the axes of an array stand for symbols of two vocabularies: places of the known ones."""
        source, dataset = self._source.facts, self._dataset
        lists = []
        if path in symbols and source.symbols != dataset.symbols:
            lists += [(axis, source.symbols, dataset.symbols) for axis in symbols[path]]
        if path in outputs and dataset.task == source.task == "tokens" and source.classes != dataset.classes:
            lists += [(axis, source.classes, dataset.classes) for axis in outputs[path]]
        if not lists or len(there) != len(here):
            return None
        at: dict[int, list[int]] = {}
        of: dict[int, list[int]] = {}
        known = (0, 0)
        for axis, old, new in lists:
            if there[axis] != len(old) or here[axis] != len(new):
                return None
            position = {name: i for i, name in enumerate(old)}
            at[axis] = [i for i, name in enumerate(new) if name in position]
            of[axis] = [position[new[i]] for i in at[axis]]
            known = (len(at[axis]), len(new))
        others = [i for i in range(len(here)) if i not in at]
        if any(there[i] != here[i] for i in others):
            return None
        return at, of, known

    def _tell(self, own: Mapping[str, Any], fresh: list[str], rows: dict[str, tuple[int, int]]) -> None:
        source, dataset = self._source.facts, self._dataset
        if fresh:
            self.told.append(
                f"{some(fresh)} {'is' if len(fresh) == 1 else 'are'} fresh: {_outputs(source)} there, "
                f"{_outputs(dataset)} here"
            )
        for known, of in dict.fromkeys(rows.values()):
            which = [path for path, found in rows.items() if found == (known, of)]
            self.told.append(
                f"{known} of {of} symbols are known there, the others are fresh in {some(which)}"
            )
        left = [p for p, (_, a) in own.items() if 0 not in a.shape and not self._wanted(p)]
        if left and self.arrays:
            self.told.append(f"{some(left)} {'is' if len(left) == 1 else 'are'} fresh, as the config asks")

    def _find_problems(
        self, own: Mapping[str, Any], missing: list[str], shapes: list[str], fresh: list[str]
    ) -> None:
        where, start = self._source.where, self._start
        allowed = "allowed is a network of the same sizes, or these in start.fresh"
        if shapes:
            sizes = model_differences(self._source.config, self._config, but=OF_START)
            because = f" ({'; '.join(sizes)})" if sizes else ""
            self.problems.append(
                f"start.run: {len(shapes)} of {len(own)} arrays of {where} have another shape: "
                f"{some(shapes)}{because}; {allowed}"
            )
        if missing:
            self.problems.append(f"start.run: {where} has no {some(missing)}; {allowed}")
        extra = [path for path in self._source.arrays if path not in own and not path.startswith("state/")]
        if start.layers is None and extra and not shapes and not missing:
            self.problems.append(
                f"start.run: {where} has {some(extra)}, which the network here has not; allowed is the same "
                "network, or start.layers with what is taken over"
            )
        if self.problems:
            return
        taken = {key for key in self.arrays}
        for pattern in start.layers or ():
            paths = [path for path in own if meets(path, [pattern])]
            if not any(own[path][0] in taken for path in paths):
                why = f": {self.told[0]}" if fresh else ""
                self.problems.append(
                    f"start.layers: got {pattern!r}, of which nothing can be taken over{why}"
                )
        loose = [
            p for p in own if meets(p, start.frozen) and (own[p][0] not in taken or own[p][0] in self.places)
        ]
        if loose:
            self.problems.append(
                f"start.frozen: got {', '.join(start.frozen)}, but {some(loose)} would stay as drawn at "
                "random; allowed is what is taken over as a whole"
            )
        differ = self._source.facts.features != self._dataset.features
        if differ and self.arrays and self._dataset.input == "vector":
            self.problems += self._other_columns()

    def _other_columns(self) -> list[str]:
        there, here = self._source.facts.features, self._dataset.features
        if not there or not here:
            return []
        if self._start.layers is not None or self._start.fresh:  # whoever names layers says what fits
            self.told.append(f"the columns are {some(here)} here and {some(there)} there")
            return []
        return [
            f"start.run: {self._source.where} takes the columns {some(there)}, the data here have "
            f"{some(here)}; allowed are the same in the same order, or start.fresh with what reads the inputs"
        ]


def _grown(
    group: Group, dataset: Dataset, model: Model | None, own: Mapping[str, tuple[str, Any]]
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The paths that depend on the number of outputs, and on that of symbols, each with the axes that count
    them: found by asking for a network of one more.
    """

    def axes(changed: Dataset) -> dict[str, tuple[int, ...]]:
        if model is not None:
            return {}
        try:
            larger = leaves_of(jax.eval_shape(template_of(group, changed, None).init, jax.random.key(0)))
        except ValueError:  # a family whose outputs are its inputs
            return {}
        found = {}
        for path, (_, leaf) in own.items():
            if path in larger and larger[path][1].shape != leaf.shape:
                found[path] = tuple(
                    i for i, (a, b) in enumerate(zip(leaf.shape, larger[path][1].shape)) if b == a + 1
                )
        return found

    one_more = ("\0",)
    outputs = axes(
        replace(dataset, outputs=dataset.outputs + 1, classes=dataset.classes and dataset.classes + one_more)
    )
    if not dataset.symbols:
        return outputs, {}
    size = dataset.inputs[0] + 1
    return outputs, axes(
        replace(dataset, inputs=(size, *dataset.inputs[1:]), symbols=dataset.symbols + one_more)
    )


def _taken(a: np.ndarray, of: Mapping[int, Sequence[int]]) -> np.ndarray:
    """``(members, …)`` with some places of some axes only."""
    for axis, places in of.items():
        a = np.take(a, np.asarray(places, np.int64), axis=axis + 1)
    return a


def model_differences(there: Config, here: Config, *, but: set[str]) -> list[str]:
    a, b = (c.model.model_dump(mode="json") for c in (there, here))
    return [
        f"model.{name} is {a[name]!r} there and {b[name]!r} here"
        for name in a
        if name in b and name not in but and a[name] != b[name]
    ]


def template_of(group: Group, dataset: Dataset, model: Model | None) -> Model:
    first = {path: values[0] for path, values in group.hyperparams.items()}
    return recipe_of(group.config, dataset, model)(first).model


def _outputs(dataset: Dataset) -> str:
    if dataset.task == "regression":
        return f"{dataset.outputs} number{'s' * (dataset.outputs > 1)}"
    names = f" ({some(dataset.classes, 10)})" if dataset.classes else ""
    return f"{dataset.outputs} classes{names}"


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "a number"


def some(names: Sequence[str], most: int = MOST) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
