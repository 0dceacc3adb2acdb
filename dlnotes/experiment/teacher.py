"""The teacher of a student: opened, checked against the student's data, asked, and its answers kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data
from dlnotes.config import Config, ConfigError
from dlnotes.config.places import expanded_if_set
from dlnotes.config.teacher import Teacher
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.in_file import is_in_file
from dlnotes.data.scaling import is_affine
from dlnotes.experiment.groups import Group
from dlnotes.experiment.members import failed_members, require_good
from dlnotes.experiment.objective import loss_name, unit_of
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.result import Trained
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.teaching import Teaching, asked_anew
from dlnotes.formatting import in_shell
from dlnotes.models.large_scale.ensemble import mean_of_logs
from dlnotes.outputs.distillation import UNKNOWN, join_answers
from dlnotes.training.loader import size_of
from dlnotes.training.state import evaluated_params
from dlnotes.typing import Array

_log = logging.getLogger(__name__)

ROWS, BYTES = 2**15, 2**28
"""Examples, and bytes of them, that all members of a teacher answer before their mean is taken."""


def with_teachers_found(config: Config) -> Config:
    """The config with the run folders of its teachers, where it has folders of runs, and with absolute paths.

    Raises:
      ConfigError: when there is no such folder, or no run in it that has ended.
    """
    if config.teacher is None:
        return config
    runs = tuple(str(found_run(text)) for text in config.teacher.runs)
    extra = config.teacher.extra
    extra = extra and str(expanded_if_set(extra).absolute())
    return config.model_copy(
        update={"teacher": config.teacher.model_copy(update={"runs": runs, "extra": extra})}
    )


def found_run(text: str, option: str = "teacher.runs") -> Path:
    """A run folder, or of a folder of runs the newest that has ended.

    Args:
      text: as a config names it.
      option: of the config, for the message.

    Raises:
      ConfigError: when there is no such folder, or no run in it that has ended.
    """
    path = expanded_if_set(text).absolute()
    if not path.is_dir():
        raise ConfigError("config", [f"{option}: got {text!r}, there is no such folder"])
    if (path / "config.toml").is_file():
        return path
    runs = sorted((p for p in path.iterdir() if (p / "config.toml").is_file()), key=lambda p: p.name)
    ended = [p for p in runs if (p / "summary.json").is_file()]
    if not ended:
        what = (
            f"none of the {len(runs)} runs in it has ended"
            if runs
            else "it is no run folder and has no runs in it"
        )
        raise ConfigError("config", [f"{option}: got {text!r}, {what}"])
    return ended[-1]


def checksum(answers: np.ndarray) -> str:
    """SHA-256 of answers."""
    return hashlib.sha256(np.ascontiguousarray(answers, "<f4").tobytes()).hexdigest()


def joined(dataset: Dataset, answers: np.ndarray) -> Dataset:
    """A data set with a teacher's answers beside the targets of its training part."""
    train = dataset.train
    return replace(dataset, train=train._replace(y=join_answers(np.asarray(train.y), answers)))


def with_extra(config: Config, dataset: Dataset) -> Dataset:
    """The data set with the further inputs of [teacher] behind its training part, their targets not known.

    Raises:
      ConfigError: when their file does not fit.
    """
    teacher, train = config.teacher, dataset.train
    if teacher is None or teacher.extra is None:
        return dataset
    path = expanded_if_set(teacher.extra)
    try:
        if is_in_file(train):
            raise ValueError(
                f"the inputs of {dataset.name} stay in their file, nothing can be put behind them"
            )
        inputs = data.read_inputs(path, dataset)
        parts = jax.tree.map(_behind, (train.x, train.mask), (inputs.x, inputs.mask))
    except (ValueError, OSError) as error:
        raise ConfigError("config", [f"teacher.extra: {error}"]) from None
    y = np.full(
        (len(inputs.rows), *train.y.shape[1:]), UNKNOWN[dataset.task == "classification"], train.y.dtype
    )
    return replace(dataset, train=Examples(parts[0], np.concatenate([train.y, y]), parts[1]))


def _behind(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rows behind others, both filled up with zeros to the longer one."""
    most = np.maximum(a.shape[1:], b.shape[1:])
    padded = [
        np.pad(c, [(0, 0), *((0, m - s) for m, s in zip(most, c.shape[1:]))]) for c in (a, np.asarray(b))
    ]
    return np.concatenate([padded[0], padded[1].astype(a.dtype)])


class Asked:
    """The teacher of a group of students, opened and checked.

    Args:
      group: of the students.
      dataset: of the students.

    Raises:
      ConfigError: see `teachings`.
    """

    def __init__(self, group: Group, dataset: Dataset):
        assert group.config.teacher is not None
        self.group, self.dataset = group, dataset
        self.options: Teacher = group.config.teacher
        self.anew = asked_anew(group)
        problems = list(_of_students(group.config, dataset, self.anew))
        if problems:
            raise ConfigError("config", problems)
        self.opened = [_opened(run) for run in self.options.runs]
        for one in self.opened:
            problems += [f"teacher.runs: {in_shell(one.folder.path)} {told}" for told in _unfit(one, dataset)]
        if problems:
            raise ConfigError("config", problems)
        for one in self.opened:
            if one.config.data != group.config.data:
                _log.warning(
                    "teacher: %s has learned from other data or another split of them; examples of the "
                    "student's test part may be among them",
                    in_shell(one.folder.path),
                )

    def teaching(self) -> Teaching:
        """The teacher's answers to the training part; where inputs change, what answers them."""
        whole = with_extra(self.group.config, self.dataset)
        if self.anew:
            return Teaching(whole, self.answer, self.weights, "", self.told)
        answers = self.answers(whole.train)
        if not np.isfinite(answers).all():
            raise ConfigError("config", ["teacher.runs: an answer to a training example is not finite"])
        return Teaching(joined(whole, answers), None, self.weights, checksum(answers), self.told)

    @cached_property
    def members(self) -> list[Any]:
        """Of each run the members that did not fail, without what only training needs."""
        found = []
        for one in self.opened:
            mine = jax.tree.map(lambda a, s=one.chosen.members: np.asarray(a[s]), one.state.members)
            good = ~failed_members(mine)
            found.append(jax.tree.map(lambda a, good=good: a[good], mine))
        return found

    @cached_property
    def told(self) -> str:
        """Who the teacher is, in words."""
        words = []
        for one, members in zip(self.opened, self.members):
            n, of = len(members.reason), len(one.chosen.seeds)
            seeds = f"{n} seed{'s' * (n > 1)}" + (f" ({of - n} of {of} failed)" if n < of else "")
            words.append(f"{seeds} of {one.folder.path}")
        return " and ".join(words)

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the parameters, of the scales, and of what is averaged."""
        sha = hashlib.sha256(self.options.mean.encode())
        for one, members in zip(self.opened, self.members):
            params = evaluated_params(members, best=one.evaluator.setup.keep_best)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params):
                sha.update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
            for scale in (one.dataset.standardize, one.dataset.standardize_y):
                for a in () if scale is None else scale:
                    sha.update(np.ascontiguousarray(a, "<f8").tobytes())
        return sha.hexdigest()

    def answers(self, examples: Examples) -> np.ndarray:
        """``(n, K)`` float32: logarithms of probabilities, mean logits, or mean numbers of all members."""
        rows, n = [], examples.size
        most = max(1, min(ROWS, BYTES * n // max(size_of(examples), 1)))
        for start in range(0, n, most):
            part = jax.tree.map(lambda a, i=start: a[i : i + most], (examples.x, examples.mask))
            each = []
            for one, members in zip(self.opened, self.members):
                y = np.zeros(
                    (len(jax.tree.leaves(part[0])[0]), *one.dataset.train.y.shape[1:]),
                    one.dataset.train.y.dtype,
                )
                x = _rescaled(part[0], self.dataset.standardize, one.dataset.standardize, part[1])
                outputs = one.evaluator.predict(members, Examples(x, y, part[1]))
                each.append(self._in_students_units(one, jnp.asarray(outputs)))
            rows.append(np.asarray(self._mean(jnp.concatenate(each))))
        return np.concatenate(rows)

    def answer(self, x: Array) -> Array:
        """`answers` to inputs of one size inside a compiled step."""
        each = []
        for one, members in zip(self.opened, self.members):
            recipe_of, best = one.evaluator.setup.recipe_of, one.evaluator.setup.keep_best
            scaled = _rescaled(x, self.dataset.standardize, one.dataset.standardize, None)
            params = evaluated_params(members, best=best)
            outputs = jax.vmap(lambda p, h, f=recipe_of, x=scaled: f(h).model.apply(p, x))(
                params, members.hyper
            )
            each.append(self._in_students_units(one, outputs.astype(jnp.float32)))
        return self._mean(jnp.concatenate(each))

    def _in_students_units(self, one: Trained, outputs: Array) -> Array:
        """Outputs of members ``(members, n, …)``: logits as they are, numbers in the student's scale."""
        if self.dataset.task == "classification":
            return outputs
        spread = unit_of(one.config, one.dataset)
        values = outputs if spread is None else spread.distribution(outputs).mean
        return _rescaled(values, one.dataset.standardize_y, self.dataset.standardize_y, None)

    def _mean(self, outputs: Array) -> Array:
        if self.dataset.task != "classification" or self.options.mean == "logits":
            return jnp.mean(outputs, axis=0)
        return mean_of_logs(outputs)


def _rescaled(x: Any, before: Standardize | None, after: Standardize | None, mask: Any) -> Any:
    """Inputs in another scale; those of equal scales stay as they are."""
    same = (before is None) == (after is None)
    if before is None and after is None:
        return x
    if same and all(np.array_equal(a, b) for a, b in zip(before, after)):  # type: ignore[arg-type]
        return x
    m, s = (0.0, 1.0) if before is None else before
    m2, s2 = (0.0, 1.0) if after is None else after
    factor = np.asarray(np.asarray(s, np.float64) / s2, np.float32)
    shift = np.asarray((np.asarray(m, np.float64) - m2) / s2, np.float32)
    shape = (1,) * (x.ndim - factor.ndim) + factor.shape
    moved = x * factor.reshape(shape) + shift.reshape((1,) * (x.ndim - shift.ndim) + shift.shape)
    if mask is None:
        return moved
    real = np.asarray(mask).reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))
    return np.where(real, moved, np.zeros((), np.float32))


def _opened(run: str) -> Trained:
    """A teacher's run with its newest checkpoint.

    Raises:
      ConfigError: when it is gone, has not ended, or all of its members failed.
    """
    where = in_shell(expanded_if_set(run))
    try:
        kept = RunFolder.open(expanded_if_set(run))
        if kept.config().model.kind == "given":
            raise ConfigError("config", [f"teacher.runs: {where} trained a network that only a program has"])
        summary = kept.summary()
        if summary is None:
            told = f"teacher.runs: {where} has not ended; let it end with: dlnotes resume {where}"
            raise ConfigError("config", [told])
        opened = open_run(kept.path)
        require_good(opened.chosen, opened.state.members)
        ended, taken = summary["steps"][opened.chosen.group], int(opened.state.step)
        if taken != ended:
            raise ValueError(f"is trained further: its summary is of step {ended}, its checkpoint of {taken}")
    except ConfigError as error:
        if error.source == "config":
            raise
        told = "; ".join(error.problems)
        raise ConfigError("config", [f"teacher.runs: {error.source}: {told}"]) from None
    except ValueError as error:
        raise ConfigError("config", [f"teacher.runs: {where}: {error}"]) from None
    return opened


def _of_students(config: Config, dataset: Dataset, anew: bool) -> Iterator[str]:
    """Why a student's data cannot be taught."""
    if dataset.task not in ("classification", "regression"):
        yield (
            f"teacher: is for one answer for each input (classification, regression), {dataset.name} has "
            f"{dataset.task} targets"
        )
    expected = {"classification": "cross_entropy", "regression": "squared_error"}.get(dataset.task)
    if expected is not None and loss_name(config, dataset) != expected:
        got = config.training.loss
        yield f"training.loss: got {got!r}; allowed with [teacher] on {dataset.name} is {expected}"
    if anew and (
        dataset.input not in ("vector", "image", "volume", "sequence") or dataset.train.mask is not None
    ):
        yield (
            f"teacher.noise, augment: are for inputs of numbers and of one size, {dataset.name} has "
            f"{dataset.input} inputs{' of their own sizes' if dataset.train.mask is not None else ''}"
        )


def _unfit(one: Trained, dataset: Dataset) -> Iterator[str]:
    """Why a teacher cannot teach a data set, as ends of sentences."""
    theirs = one.dataset
    if not is_affine(theirs):
        yield "reads inputs that [scaling] changes by log or each, a teacher reads those of the student"
        return
    if one.config.tasks is not None:
        yield f"has learned several tasks ({', '.join(one.config.tasks)}), a teacher has one"
        return
    if (theirs.input, theirs.task) != (dataset.input, dataset.task):
        yield (
            f"has learned {theirs.task} of {theirs.input} inputs, {dataset.name} is {dataset.task} of "
            f"{dataset.input} inputs"
        )
        return
    if theirs.symbols != dataset.symbols:
        yield f"reads other symbols than those of {dataset.name}"
    own_sizes = theirs.train.mask is not None and dataset.train.mask is not None
    if theirs.inputs != dataset.inputs and not own_sizes:
        yield f"takes inputs of shape {theirs.inputs}, those of {dataset.name} have {dataset.inputs}"
    if theirs.features != dataset.features:
        yield f"takes the columns {_some(theirs.features)}, {dataset.name} has {_some(dataset.features)}"
    if theirs.outputs != dataset.outputs:
        yield f"has {theirs.outputs} outputs, {dataset.name} has {dataset.outputs}"
    elif theirs.classes != dataset.classes:
        yield (
            f"knows the classes {_some(theirs.classes)}, those of {dataset.name} are "
            f"{_some(dataset.classes)}, in this order"
        )
    if dataset.task == "classification" and loss_name(one.config, theirs) == "hinge":
        yield "was trained by the hinge loss, whose scores are no logarithms of probabilities"


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" … ({len(names)})" if len(names) > most else "")
