"""What each value of a program sees of its input: receptive fields followed through the operations.

A value has one field for each of its axes that is made of positions of the input, ``None`` for the
others: batch, channels, and axes that see what no interval says. What is the same at all positions,
such as the statistics of a normalization, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from dlnotes import jax_internals
from dlnotes.jax_internals import Equation
from dlnotes.layers.convolutional.geometry import ReceptiveField, Window, through

Fields = tuple[ReceptiveField | None, ...]

_SAME = ReceptiveField(0, 1, 0)  # of an axis along which nothing changes


def of_input(shape: Sequence[int], axes: int) -> Fields:
    """Fields of a network's input, or mask, ``(batch, *sizes, …)``: every position sees itself.

    Args:
      shape: of the input.
      axes: how many of them are sizes.
    """
    return tuple(ReceptiveField(1, 1, 0) if 0 < i <= axes else None for i in range(len(shape)))


def sizes_seen(fields: Fields) -> tuple[int, ...]:
    """Sizes of the fields of a value's axes that are positions of the input."""
    return tuple(field.size for field in fields if field is not None and field.size)


def after(equation: Equation, fields: Sequence[Fields | None]) -> Fields:
    """Fields of an equation's first result.

    Args:
      equation: no call and no loop.
      fields: of its operands, ``None`` for what does not depend on the input.
    """
    shape = equation.outputs[0].shape
    rule = _RULES.get(equation.name)
    if equation.name in jax_internals.BY_ELEMENT:
        parts = [f for f in fields if f is not None]
        # Along each axis from the first position that any operand sees to the last.
        return tuple(_hull([f[i] for f in parts if len(f) == len(shape)]) for i in range(len(shape)))
    if rule is None or fields[0] is None:
        return (None,) * len(shape)
    return rule(equation, fields[0])


def _hull(fields: Sequence[ReceptiveField | None]) -> ReceptiveField | None:
    changing = [f for f in fields if f != _SAME]
    found = [f for f in changing if f is not None]
    if not changing:
        return _SAME if fields else None
    if len(found) < len(changing) or len({f.stride for f in found}) > 1:
        return None
    start = min(f.start for f in found)
    return ReceptiveField(max(f.start + f.size for f in found) - start, found[0].stride, start)


def _each(
    step: Callable[..., ReceptiveField | None], fields: Sequence[Any], *options: Sequence[Any]
) -> Fields:
    """What one step does to each axis that it can change."""
    return tuple(
        field if field is None or field == _SAME else step(field, *given)
        for field, *given in zip(fields, *options)
    )


def _windowed(field: ReceptiveField, window: Window, spread: int) -> ReceptiveField | None:
    return through(field, window) if spread == 1 else None


def _convolution(equation: Equation, fields: Fields) -> Fields:
    parts, kernel = jax_internals.convolution_parts(equation), equation.inputs[1].shape
    sizes = [kernel[i] for i in parts.kernel_axes[2:]]
    windows = map(Window, sizes, parts.strides, parts.kernel_dilation, parts.padding)
    moved = _each(_windowed, [fields[i] for i in parts.input_axes[2:]], list(windows), parts.input_dilation)
    places = dict(zip(parts.output_axes[2:], moved))
    return tuple(places.get(i) for i in range(len(fields)))


def _reduce_window(equation: Equation, fields: Fields) -> Fields:
    parts = jax_internals.window_parts(equation)
    windows = map(Window, parts.sizes, parts.strides, parts.dilation, parts.padding)
    return _each(_windowed, fields, list(windows), parts.input_dilation)


def _slice(equation: Equation, fields: Fields) -> Fields:
    def step(f: ReceptiveField, at: int, by: int) -> ReceptiveField:
        return ReceptiveField(f.size, f.stride * by, f.start + at * f.stride)

    return _each(step, fields, *jax_internals.slice_steps(equation))


def _pad(equation: Equation, fields: Fields) -> Fields:
    def step(f: ReceptiveField, pads: tuple[int, int, int]) -> ReceptiveField | None:
        return None if pads[2] else f._replace(start=f.start - pads[0] * f.stride)

    return _each(step, fields, jax_internals.padded_by(equation))


def _transpose(equation: Equation, fields: Fields) -> Fields:
    return tuple(fields[i] for i in jax_internals.permutation(equation))


def _broadcast(equation: Equation, fields: Fields) -> Fields:
    before, shape = equation.inputs[0].shape, equation.outputs[0].shape
    out: list[ReceptiveField | None] = [_SAME] * len(shape)
    for i, axis in enumerate(jax_internals.broadcast_axes(equation)):
        if before[i] == shape[axis]:
            out[axis] = fields[i]
    return tuple(out)


def _reshape(equation: Equation, fields: Fields) -> Fields:
    """The first and the last axes stay as far as their sizes do; what is merged or divided is lost."""
    before, shape = equation.inputs[0].shape, equation.outputs[0].shape
    first = _alike(before, shape)
    last = _alike(before[first:][::-1], shape[first:][::-1])
    return (*fields[:first], *(None,) * (len(shape) - first - last), *fields[len(before) - last :])


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b)))


def _reduced(equation: Equation, fields: Fields) -> Fields:
    gone = jax_internals.removed_axes(equation)
    return tuple(f for i, f in enumerate(fields) if i not in gone)


def _product(equation: Equation, fields: Fields) -> Fields:
    """A matrix product with weights mixes the channels of each position."""
    (contracted, _), (batch, _) = jax_internals.product_axes(equation)
    kept = [fields[i] for i in batch]
    kept += [f for i, f in enumerate(fields) if i not in (*contracted, *batch)]
    return (*kept, *(None,) * (len(equation.outputs[0].shape) - len(kept)))


_RULES = {
    "conv_general_dilated": _convolution,
    "reduce_window": _reduce_window,
    "reduce_window_max": _reduce_window,
    "reduce_window_min": _reduce_window,
    "reduce_window_sum": _reduce_window,
    "slice": _slice,
    "pad": _pad,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _reduced,
    "reduce_max": _reduced,
    "reduce_min": _reduced,
    "reduce_sum": _reduced,
    "dot_general": _product,
}
