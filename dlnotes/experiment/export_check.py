"""An exported program is compared with the run it is of, before anyone has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples, Pair
from dlnotes.data.scaling import raw_inputs
from dlnotes.experiment.answers import values_of
from dlnotes.experiment.decoding import write
from dlnotes.experiment.predict import _params
from dlnotes.experiment.result import Trained
from dlnotes.training.state import Member

ROWS = 8
"""Training examples that are compared."""

_CLOSE = 1e-3
"""By how much probabilities, or values in standard deviations of the target, may differ."""

_CLOSE_IN_HALF = 0.1
"""The same where training and prediction compute in 16 bits, the exported program in 32."""


_CLOSE_IN_INT8 = 0.1
"""The same where the exported program computes in whole numbers of 8 bits."""


def check_export(
    call: Callable[..., Any], trained: Trained, one: Member, shapes: Sequence[Any], *, int8: bool = False
) -> None:
    """Refuses an exported program that does not answer as the run does on its first training examples.

    Where the data are gone, examples are made up.

    Args:
      call: the exported program, read again.
      trained: the run.
      one: the member that was exported, with its axis.
      shapes: of the program's arguments, with their types.
      int8: whether it computes in whole numbers.

    Raises:
      ConfigError: with the largest difference.
    """
    dataset = trained.dataset
    if dataset.missing and dataset.input == "tree":
        return
    some = _some_examples(trained)
    mask = some.mask
    if mask is None:
        mask = np.ones(np.asarray(jax.tree.leaves(some.x)[0]).shape[:2], bool)
    raw = raw_inputs(some.x, dataset)
    if dataset.input == "tree":
        given = (raw.label, mask, raw.children, raw.order)
    else:
        given = (raw.source if isinstance(raw, Pair) else raw, mask)
    given = [np.asarray(a, shape.dtype) for a, shape in zip(given, shapes)]
    answer = np.asarray(call(*given))
    expected = _expected(trained, one, some)
    if dataset.task in ("tokens", "pixels") and dataset.input != "pair" and some.mask is not None:
        # Positions behind an example's end have no answer: a bucket may leave them out.
        answer, expected = (np.where(mask[..., None], a, 0) for a in (answer, expected))
    if dataset.standardize_y is not None:
        answer, expected = (dataset.standardize_y(np.asarray(a, np.float64)) for a in (answer, expected))
    close = _CLOSE if trained.config.training.compute_dtype == "float32" else _CLOSE_IN_HALF
    close = _CLOSE_IN_INT8 if int8 else close
    if dataset.input == "pair":
        same = np.array_equal(answer, expected)
    else:
        same = np.allclose(answer, expected, rtol=close, atol=close, equal_nan=True)
    if same:
        return
    worst = np.nanmax(np.abs(np.asarray(answer, np.float64) - expected))
    raise ConfigError(
        str(trained.folder.path),
        [
            f"export: the exported program and the run differ by up to {worst:.3g} on its first "
            f"{len(expected)} training examples, allowed is {close:g}; nothing was written"
        ],
    )


def _some_examples(trained: Trained) -> Examples:
    """The first training examples, or, where there are none any more, random numbers of their shape."""
    some = jax.tree.map(lambda a: np.asarray(a[:ROWS]), trained.dataset.train)
    if trained.dataset.missing and isinstance(some.x, np.ndarray) and some.x.dtype.kind == "f":
        some = some._replace(x=np.random.default_rng(0).normal(size=some.x.shape).astype(np.float32))
    return some


def _expected(trained: Trained, one: Member, some: Examples) -> np.ndarray:
    """What `dlnotes.experiment.predict.predict_run` says, as numbers."""
    if trained.dataset.input == "pair":
        return write(trained.dataset, _params(one), some.x.source, some.mask).symbols[:, 0]
    outputs = trained.evaluator.predict(one, some)[0]
    if trained.dataset.task == "regression":
        return values_of(trained.config, trained.dataset, outputs)["value"]
    return np.asarray(jax.nn.softmax(outputs))
