"""Sizes and receptive fields of stacks of convolutions and poolings, in closed form, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dlnotes.checks import positive


class Window(NamedTuple):
    """What a convolution or a pooling does along one axis.

    Attributes:
      size: k, taps of the kernel or width of the pooling.
      stride: S, steps between two outputs.
      dilation: D, steps between two taps.
      padding: (before, after), positions added to the input.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)


class ReceptiveField(NamedTuple):
    """Which inputs an output of a stack of layers can see, along one axis.

    Output ``i`` sees inputs ``start + i·stride`` to ``start + i·stride + size − 1``; those outside the
    input are padding.

    Attributes:
      size: number of inputs from the first to the last that one output sees.
      stride: inputs between the fields of two neighboring outputs.
      start: first input that output 0 sees, negative within the padding.
    """

    size: int
    stride: int
    start: int


def output_size(size: int, window: Window) -> int:
    """``⌊(m − D(k − 1) − 1 + P) / S⌋ + 1`` with P the padding on both sides together.

    Args:
      size: m, of the input.
      window: of the layer.

    Raises:
      ValueError: when the window is larger than the padded input, or a number is not positive.

    Source: notes C6.2.

    Example:
      >>> output_size(28, Window(3, stride=2, padding=(1, 1)))
      14
    """
    _checked(window)
    reach, padded = window.dilation * (window.size - 1) + 1, size + sum(window.padding)
    if reach > padded:
        raise ValueError(f"window: reaches over {reach}, the padded input has {padded}")
    return (padded - reach) // window.stride + 1


def receptive_field(layers: Sequence[Window]) -> ReceptiveField:
    """The receptive field of a stack of layers, the first one applied first.

    With the product of the strides before a layer, j: it adds ``(k − 1)·D·j`` to the size and
    ``−before·j`` to the start.

    Args:
      layers: of the stack, along one axis.

    Raises:
      ValueError: when a number of a layer is not positive.

    Source: notes C6.5.

    Example:
      Two 3-convolutions, a pooling by 2, and one more:

      >>> receptive_field([Window(3), Window(3), Window(2, 2), Window(3)])
      ReceptiveField(size=10, stride=2, start=0)
    """
    field = ReceptiveField(1, 1, 0)
    for layer in layers:
        field = through(field, layer)
    return field


def through(field: ReceptiveField, layer: Window) -> ReceptiveField:
    """The receptive field after one more layer; see `receptive_field`.

    Args:
      field: of what the layer is applied to.
      layer: the layer.

    Raises:
      ValueError: when a number of the layer is not positive.
    """
    _checked(layer)
    size = field.size + (layer.size - 1) * layer.dilation * field.stride
    return ReceptiveField(size, field.stride * layer.stride, field.start - layer.padding[0] * field.stride)


class Geometry(NamedTuple):
    """The outputs of one layer of a stack.

    Attributes:
      sizes: of the output, one per axis.
      fields: `ReceptiveField` of an output, one per axis.
    """

    sizes: tuple[int, ...]
    fields: tuple[ReceptiveField, ...]


def stack_geometry(
    sizes: int | Sequence[int], layers: Sequence[Window | Sequence[Window]]
) -> tuple[Geometry, ...]:
    """Sizes and receptive fields after each layer of a stack, over any number of axes.

    Args:
      sizes: of the input, one number or one per axis.
      layers: of the stack, the first one applied first; each a `Window` for all axes or one per axis.

    Returns:
      A `Geometry` for each layer.

    Raises:
      ValueError: when a layer does not fit what it is given or has another number of axes.

    Source: notes C6.2, C6.5.

    Example:
      >>> for stage in stack_geometry((28, 20), [Window(5), Window(2, 2), (Window(3), Window(1))]):
      ...     print(stage.sizes, [field.size for field in stage.fields])
      (24, 16) [5, 5]
      (12, 8) [6, 6]
      (10, 8) [10, 6]
    """
    now = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    fields = (ReceptiveField(1, 1, 0),) * len(now)
    stages = []
    for i, layer in enumerate(layers):
        windows = (layer,) * len(now) if isinstance(layer, Window) else tuple(layer)
        if len(windows) != len(now):
            raise ValueError(f"layers: layer {i} has {len(windows)} windows, allowed are 1 or {len(now)}")
        try:
            now = tuple(output_size(n, w) for n, w in zip(now, windows))
        except ValueError as error:
            raise ValueError(f"layers: layer {i}: {error}") from None
        fields = tuple(through(f, w) for f, w in zip(fields, windows))
        stages.append(Geometry(now, fields))
    return tuple(stages)


def _checked(window: Window) -> None:
    positive(size=window.size, stride=window.stride, dilation=window.dilation)
    if min(window.padding) < 0:
        raise ValueError(f"padding: got {window.padding}, allowed are two numbers >= 0")
