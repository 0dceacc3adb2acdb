"""What each value of a program sees of its input: receptive fields followed through the operations.

A value has one field for each of its axes that is made of positions of the input, ``None`` for the
others: batch, channels, and axes that see what no interval says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlnotes.layers.geometry import ReceptiveField, Window, through

Fields = tuple[ReceptiveField | None, ...]

# fmt: off
_BY_ELEMENT = frozenset([
    "abs", "add", "add_any", "and", "ceil", "clamp", "convert_element_type", "copy", "cos", "div", "eq",
    "erf", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log",
    "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sqrt", "square",
    "stop_gradient", "sub", "tanh", "xor",
])
# fmt: on


def of_input(shape: Sequence[int]) -> Fields:
    """Fields of a network's input ``(batch, *sizes, channels)``: every position sees itself."""
    if len(shape) < 3:
        return (None,) * len(shape)
    return (None, *(ReceptiveField(1, 1, 0),) * (len(shape) - 2), None)


def after(equation: Any, fields: Sequence[Fields | None]) -> Fields:
    """Fields of an equation's first result.

    Args:
      equation: of a jaxpr; no call and no loop.
      fields: of its operands, ``None`` for what does not depend on the input.
    """
    shape = equation.outvars[0].aval.shape
    rule = _RULES.get(equation.primitive.name)
    if equation.primitive.name in _BY_ELEMENT:
        parts = [f for f in fields if f is not None]
        # Along each axis from the first position that any operand sees to the last.
        return tuple(_hull([f[i] for f in parts if len(f) == len(shape)]) for i in range(len(shape)))
    if rule is None or fields[0] is None:
        return (None,) * len(shape)
    return rule(equation, fields[0])


def _hull(fields: Sequence[ReceptiveField | None]) -> ReceptiveField | None:
    found = [f for f in fields if f is not None]
    if not found or len(found) < len(fields) or len({f.stride for f in found}) > 1:
        return None
    start = min(f.start for f in found)
    return ReceptiveField(max(f.start + f.size for f in found) - start, found[0].stride, start)


def _convolution(equation: Any, fields: Fields) -> Fields:
    options, kernel = equation.params, equation.invars[1].aval.shape
    names = options["dimension_numbers"]
    out: list[ReceptiveField | None] = [None] * len(fields)
    for i, (pad, stride, spread, step) in enumerate(
        zip(options["padding"], options["window_strides"], options["lhs_dilation"], options["rhs_dilation"])
    ):
        field = fields[names.lhs_spec[2 + i]]
        window = Window(kernel[names.rhs_spec[2 + i]], stride, step, pad)
        out[names.out_spec[2 + i]] = through(field, window) if field is not None and spread == 1 else None
    return tuple(out)


def _reduce_window(equation: Any, fields: Fields) -> Fields:
    o = equation.params
    n = len(fields)
    parts = zip(
        fields,
        o["window_dimensions"],
        o["window_strides"],
        o["padding"],
        o.get("window_dilation") or (1,) * n,
        o.get("base_dilation") or (1,) * n,
    )
    return tuple(
        through(f, Window(k, s, d, p)) if f is not None and spread == 1 else None
        for f, k, s, p, d, spread in parts
    )


def _slice(equation: Any, fields: Fields) -> Fields:
    starts, steps = equation.params["start_indices"], equation.params["strides"] or (1,) * len(fields)
    return tuple(
        None if f is None else ReceptiveField(f.size, f.stride * step, f.start + at * f.stride)
        for f, at, step in zip(fields, starts, steps)
    )


def _pad(equation: Any, fields: Fields) -> Fields:
    return tuple(
        None if f is None or between else f._replace(start=f.start - before * f.stride)
        for f, (before, _, between) in zip(fields, equation.params["padding_config"])
    )


def _transpose(equation: Any, fields: Fields) -> Fields:
    return tuple(fields[i] for i in equation.params["permutation"])


def _broadcast(equation: Any, fields: Fields) -> Fields:
    before, shape = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    out: list[ReceptiveField | None] = [None] * len(shape)
    for i, axis in enumerate(equation.params["broadcast_dimensions"]):
        out[axis] = fields[i] if before[i] == shape[axis] else None
    return tuple(out)


def _reshape(equation: Any, fields: Fields) -> Fields:
    """Axes of size 1 may come and go; what is merged or divided is lost."""
    before, shape = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    kept = [(n, f) for n, f in zip(before, fields) if n > 1]
    if [n for n, _ in kept] != [n for n in shape if n > 1]:
        return (None,) * len(shape)
    rest = iter(f for _, f in kept)
    return tuple(next(rest) if n > 1 else None for n in shape)


def _reduced(equation: Any, fields: Fields) -> Fields:
    gone = equation.params["axes" if "axes" in equation.params else "dimensions"]
    return tuple(f for i, f in enumerate(fields) if i not in gone)


def _product(equation: Any, fields: Fields) -> Fields:
    """A matrix product with weights mixes the channels of each position."""
    (contracted, _), (batch, _) = equation.params["dimension_numbers"]
    kept = [fields[i] for i in batch]
    kept += [f for i, f in enumerate(fields) if i not in (*contracted, *batch)]
    return (*kept, *(None,) * (len(equation.outvars[0].aval.shape) - len(kept)))


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
