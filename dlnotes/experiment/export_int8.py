"""A trained member in whole numbers of 8 bits: made from some training examples, measured on validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.experiment.ensemble import _measured
from dlnotes.experiment.objective import metrics_of, unit_of
from dlnotes.experiment.result import Trained
from dlnotes.models import Model, parameter_bytes, quantized
from dlnotes.training.state import Member
from dlnotes.typing import Params

CALIBRATION = 512
"""Training examples by which the scales of activations are found, spread over the training part."""

ROWS = 256
"""Examples that are predicted at once."""


class Cost(NamedTuple):
    """What a network in whole numbers saves and loses.

    Attributes:
      bytes: of the parameters, or of the whole file, in float and in whole numbers.
      part: "validation" or "test", on which both are measured; "" where there is neither.
      before, after: metrics by name.
    """

    bytes: tuple[int, int]
    part: str
    before: dict[str, float]
    after: dict[str, float]

    def in_words(self) -> str:
        """Size, and the first metric before and after, in one line."""
        wide, small = self.bytes
        told = f"int8: {small:,} bytes, {small / wide:.1%} of {wide:,}"
        if not self.part:
            return told
        name = next(iter(self.before))
        form = ".2%" if name == "accuracy" else ".4g"
        shown = f"{self.before[name]:{form}} before, {self.after[name]:{form}} after"
        return f"{told}; {self.part} {name.replace('_', ' ')} {shown}"

    def as_json(self) -> dict[str, Any]:
        """For a file beside the exported one."""
        return {
            "bytes": {"float": self.bytes[0], "int8": self.bytes[1]},
            "part": self.part,
            "before": self.before,
            "after": self.after,
        }


class InInt8(NamedTuple):
    """A trained member in whole numbers.

    Attributes:
      model: for inference.
      params: of it.
      cost: of its parameters.
    """

    model: Model
    params: Params
    cost: Cost


def in_int8(trained: Trained, one: Member, model: Model, params: Params) -> InInt8:
    """A member's network with products in whole numbers, and what that costs.

    Scales of activations come from some training examples. Those of vectors are each example's own: a column
    of a table may have a value that no other row comes near, which a known scale would cut off. So they are
    where the training data are gone; then nothing is measured.

    Args:
      trained: the run.
      one: the member, with its axis.
      model, params: its network.

    Raises:
      ConfigError: when the network cannot be quantized.
    """
    dataset = trained.dataset
    if dataset.input in ("pair", "tree"):
        told = f"int8: got {trained.config.model.kind}, allowed are networks without loops"
        raise ConfigError(str(trained.folder.path), [told])
    some = calibration_examples(dataset)
    static = dataset.input != "vector" and not dataset.missing
    try:
        small, whole = quantized(model, params, some.x, mask=some.mask, static=static)
    except ValueError as error:
        raise ConfigError(str(trained.folder.path), [f"int8: {error}"]) from None
    bytes = parameter_bytes(params), parameter_bytes(whole)
    return InInt8(small, whole, cost_of(trained, one, bytes, lambda some: _outputs(small, whole, some)))


def cost_of(
    trained: Trained, one: Member, bytes: tuple[int, int], outputs_of: Callable[[Examples], np.ndarray]
) -> Cost:
    """What the whole numbers cost on the validation part, or on the test part where there is none.

    Args:
      trained: the run.
      one: the member, with its axis.
      bytes: as in `Cost`.
      outputs_of: the network's outputs of some examples, in whole numbers.
    """
    dataset = trained.dataset
    part = next((p for p in ("validation", "test") if _has(dataset, p)), "")
    if not part:
        return Cost(bytes, "", {}, {})
    examples = dataset.split(part)
    before = _measure(trained, trained.evaluator.predict(one, examples)[0], examples)
    return Cost(bytes, part, before, _measure(trained, outputs_of(examples), examples))


def calibration_examples(dataset: Dataset) -> Examples:
    """Some training examples from all over the training part; random numbers where the data are gone."""
    train = dataset.train
    step = max(1, train.size // CALIBRATION)
    some = Examples(*(a if a is None else np.asarray(a[::step][:CALIBRATION]) for a in train))
    if dataset.missing:
        some = some._replace(x=np.random.default_rng(0).normal(size=some.x.shape).astype(np.float32))
    return some


def _has(dataset: Dataset, part: str) -> bool:
    return not dataset.missing and getattr(dataset, part) is not None


def _outputs(model: Model, params: Params, examples: Examples) -> np.ndarray:
    """The network's outputs, some rows at a time; the last rows are filled up, for one program."""

    @jax.jit
    def some(params: Params, x: Any, mask: Any) -> jax.Array:
        return model.apply(params, x, mask=mask)

    found = []
    for start in range(0, examples.size, ROWS):
        x, mask = (
            a if a is None else np.asarray(a[start : start + ROWS]) for a in (examples.x, examples.mask)
        )
        n = len(np.asarray(x))
        x, mask = (
            a if a is None else np.concatenate([a, np.repeat(a[:1], ROWS - n, axis=0)]) for a in (x, mask)
        )
        found.append(np.asarray(some(params, x, mask))[:n])
    return np.concatenate(found)


def _measure(trained: Trained, outputs: np.ndarray, examples: Examples) -> dict[str, float]:
    measures = metrics_of(trained.dataset, unit_of(trained.config, trained.dataset))
    y, weight = jnp.asarray(examples.y), jnp.ones(examples.size, jnp.float32)
    found = _measured(measures, jnp.asarray(outputs), y, weight)
    return {name: float(value) for name, value in found.items()}
