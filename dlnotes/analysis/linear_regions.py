"""The linear pieces of a network, counted exactly: along a line, and on a plane through its inputs.

ReLU, leaky, absolute-value, parametric, hard tanh and maxout units are piecewise linear, so the network
is: its input space falls into convex regions on each of which it is an affine map. Layer by layer, the
pieces so far are cut where a unit passes from one of its linear pieces to the next. Between two cuts all
is linear, so the values at the cuts (the corners) say everything.

It is done in float64 by numpy on the host: how many pieces there will be is not known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dlnotes.checks import chosen
from dlnotes.layers.feedforward.factored import Factored
from dlnotes.models.feedforward.mlp import MLP, MaxoutMLP

KNOTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "relu": ((0.0,), (0.0, 1.0)),
    "leaky_relu": ((0.0,), (0.01, 1.0)),
    "abs": ((0.0,), (-1.0, 1.0)),
    "hard_tanh": ((-1.0, 1.0), (0.0, 1.0, 0.0)),
    "identity": ((), (1.0,)),
}
"""Where each activation bends, and its slopes before, between and after; all pass through (0, 0)."""

_SAME = 1e-9
"""Slopes that differ by less, relative to the largest, are the same: rounding is near 1e-15."""


class Line(NamedTuple):
    """A network along a line, ``x(t) = start + t (end − start)``.

    Attributes:
      breaks: ``(pieces − 1,)`` where the network's slope changes, ascending, within (0, 1).
      slopes: ``(pieces, outputs)`` derivatives by t; their number is the number of linear pieces.
    """

    breaks: np.ndarray
    slopes: np.ndarray


class Slice(NamedTuple):
    """A network on a plane, ``x(u, v) = origin + u·along + v·across``.

    Attributes:
      polygons: the regions, each ``(corners, 2)`` in (u, v), counter-clockwise, convex.
      pattern: ``(polygons, units)`` on which piece each unit is there, 0 the leftmost.
      gradient: ``(polygons, 2, outputs)`` the network's derivatives by u and v.
      region: ``(polygons,)`` the polygon's activation region; several polygons may make one (maxout).
      piece: ``(polygons,)`` the polygon's linear piece: neighbors with the same gradient are one.
      regions: number of activation regions.
      pieces: number of linear pieces of the function, never more than ``regions``.
    """

    polygons: tuple[np.ndarray, ...]
    pattern: np.ndarray
    gradient: np.ndarray
    region: np.ndarray
    piece: np.ndarray
    regions: int
    pieces: int


class _Layer(NamedTuple):
    """One hidden layer: ``k`` pre-activations a unit for maxout, else knots and slopes of each unit."""

    W: np.ndarray
    b: np.ndarray
    k: int
    knots: tuple[float, ...]
    slopes: np.ndarray
    """``(knots + 1, units)``."""


def on_line(
    params: MLP | MaxoutMLP,
    start: Any,
    end: Any,
    *,
    activation: str | Sequence[str] = "relu",
    pieces: int | None = None,
) -> Line:
    """The linear pieces of a network between two inputs.

    Args:
      params: of `mlp` (without skip connections; absent connections as weights of 0) or `maxout_mlp`.
      start, end: ``(inputs,)``.
      activation: that of `mlp`: one of `KNOTS` or "prelu", for all hidden layers or for each.
      pieces: that of `maxout_mlp`.

    Returns:
      `Line`; neighboring stretches with the same slope count as one piece.

    Raises:
      ValueError: when a shape or name does not fit, or an activation is not piecewise linear.

    Example:
      >>> from dlnotes import models
      >>> params = models.mlp(1, (6,), 1, init_bias=0.1).init(jax.random.key(0))
      >>> len(on_line(params, [-9.0], [9.0]).slopes)
      7

    Source: notes F4.3.
    """
    layers, (W, _) = _network(params, activation, pieces)
    ends = np.stack([_point(layers, W, "start", start), _point(layers, W, "end", end)])
    t, h = np.array([0.0, 1.0]), ends
    for layer in layers:
        t, h = _line_through(layer, t, h)
    middle = (t[:-1] + t[1:])[:, None] / 2
    x = ends[0] + middle * (ends[1] - ends[0])
    _, slopes = _tangents(layers, W, x, np.broadcast_to((ends[1] - ends[0])[:, None], (*x.shape, 1)))
    slopes = slopes[..., 0]
    new = np.append(True, ~_same(slopes[1:], slopes[:-1], slopes))
    return Line(t[1:-1][new[1:]], slopes[new])


def on_slice(
    params: MLP | MaxoutMLP,
    origin: Any,
    along: Any,
    across: Any,
    *,
    window: tuple[float, float, float, float] = (-1.0, 1.0, -1.0, 1.0),
    activation: str | Sequence[str] = "relu",
    pieces: int | None = None,
) -> Slice:
    """The regions of a network on a rectangle of a plane, as polygons that can be drawn.

    Args:
      params: of `mlp` (without skip connections; absent connections as weights of 0) or `maxout_mlp`.
      origin, along, across: ``(inputs,)``, the plane ``origin + u·along + v·across``.
      window: least and largest u, then least and largest v.
      activation, pieces: as in `on_line`.

    Returns:
      `Slice`.

    Raises:
      ValueError: as in `on_line`, or when the window is empty.

    Example:
      >>> from dlnotes import models
      >>> params = models.mlp(2, (3,), 1, init_bias=0.1).init(jax.random.key(0))
      >>> on_slice(params, [0, 0], [1, 0], [0, 1], window=(-99, 99, -99, 99)).regions
      7

    Source: notes F4.3.
    """
    layers, (W, _) = _network(params, activation, pieces)
    u0, u1, v0, v1 = window
    if not (u0 < u1 and v0 < v1):
        raise ValueError(f"window: got {window}, allowed are a least and a larger u, a least and a larger v")
    vectors = {"origin": origin, "along": along, "across": across}
    o, a, c = (_point(layers, W, name, value) for name, value in vectors.items())
    mesh = _Mesh(np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]]), [[0, 1, 2, 3]])
    h = o + mesh.corners @ np.stack([a, c])
    for layer in layers:
        mesh, h = _slice_through(layer, mesh, h)
    inside = np.array([mesh.corners[p].mean(0) for p in mesh.polygons])
    plane = np.broadcast_to(np.stack([a, c], -1), (len(inside), len(o), 2))
    pattern, gradient = _tangents(layers, W, o + inside @ np.stack([a, c]), plane)
    gradient = gradient.swapaxes(1, 2)
    _, region = np.unique(pattern, axis=0, return_inverse=True)
    piece = _joined(mesh.polygons, gradient)
    polygons = tuple(mesh.corners[p] for p in mesh.polygons)
    counts = int(region.max()) + 1, int(piece.max()) + 1
    return Slice(polygons, pattern, gradient, region.reshape(-1), piece, *counts)


def _network(params: Any, activation: str | Sequence[str], pieces: int | None) -> tuple[list[_Layer], Any]:
    """The hidden layers in float64, and the output layer."""

    def wide(a: Any) -> np.ndarray:
        return np.asarray(a, np.float64)

    last = wide(params.output.W), wide(params.output.b)
    if isinstance(params, MaxoutMLP):
        if pieces is None or pieces < 1 or any(layer.b.shape[0] % pieces for layer in params.hidden):
            raise ValueError(f"pieces: got {pieces}, needed is that of the maxout network")
        none = np.zeros((0, 0))
        return [_Layer(wide(W), wide(b), pieces, (), none) for W, b in params.hidden], last
    n = len(params.hidden)
    names = (activation,) * n if isinstance(activation, str) else tuple(activation)
    if len(names) != n:
        raise ValueError(f"activation: got {len(names)} names for {n} hidden layers, one each is needed")
    layers = []
    for layer, slope, name in zip(params.hidden, params.slopes, names):
        W, b = (layer.U @ layer.V if isinstance(layer, Factored) else layer.W), layer.b
        if slope is not None:
            knots, slopes = (0.0,), np.stack([wide(slope), np.ones(b.shape[0])])
        else:
            knots, each = chosen("activation", name, KNOTS)
            slopes = np.repeat(np.array(each)[:, None], b.shape[0], axis=1)
        layers.append(_Layer(wide(W), wide(b), 0, knots, slopes))
    return layers, last


def _point(layers: list[_Layer], W: np.ndarray, name: str, x: Any) -> np.ndarray:
    inputs = (layers[0].W if layers else W).shape[0]
    x = np.asarray(x, np.float64)
    if x.shape != (inputs,):
        raise ValueError(f"{name}: got shape {x.shape}, needed is ({inputs},), the network's inputs")
    return x


def _same(a: np.ndarray, b: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Whether slopes ``(n, ...)`` are the same, up to rounding."""
    apart = np.abs(a - b).max(axis=tuple(range(1, a.ndim)))
    return apart <= _SAME * np.abs(every).max()


def _activation(layer: _Layer, z: np.ndarray) -> np.ndarray:
    """``g(z)``, where each unit's pieces pass through (0, 0)."""
    edges = (-np.inf, *layer.knots, np.inf)
    parts = [
        slope * (np.clip(z, low, high) - np.clip(0.0, low, high))
        for slope, low, high in zip(layer.slopes, edges, edges[1:])
    ]
    return np.sum(parts, axis=0)


def _tangents(
    layers: list[_Layer], W: np.ndarray, x: np.ndarray, dx: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each unit's piece at the points ``x`` (points, inputs), and derivatives of the outputs.

    Args:
      layers, W: the network.
      x: inside the regions.
      dx: ``(points, inputs, directions)``.

    Returns:
      Patterns ``(points, units)`` and derivatives ``(points, outputs, directions)``.
    """
    patterns = [np.zeros((len(x), 0), np.int16)]
    for layer in layers:
        z, dz = x @ layer.W + layer.b, np.einsum("pid,io->pod", dx, layer.W)
        if layer.k:
            z = z.reshape(len(z), -1, layer.k)
            piece = z.argmax(-1)
            x = z.max(-1)
            dx = np.take_along_axis(dz.reshape(*z.shape, -1), piece[..., None, None], 2)[:, :, 0]
        else:
            piece = np.sum(z[..., None] > np.array(layer.knots), axis=-1)
            x = _activation(layer, z)
            dx = np.take_along_axis(layer.slopes, piece, 0)[..., None] * dz
        patterns.append(piece.astype(np.int16))
    return np.concatenate(patterns, axis=1), np.einsum("pid,io->pod", dx, W)


def _line_through(layer: _Layer, t: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts ``t`` (cuts,) and values there ``h`` (cuts, units) behind a layer, from those before it."""
    z = h @ layer.W + layer.b
    if not layer.k:
        for knot in layer.knots:
            t, z = _cut_line(t, z, z - knot)
        return t, _activation(layer, z)
    best, rest = _first(layer, z)
    for _ in range(layer.k - 1):  # the largest so far, against the next piece
        both = np.concatenate([best, rest], axis=1)
        t, both = _cut_line(t, both, rest[:, : best.shape[1]] - best)
        best, rest = _larger(both, best.shape[1])
    return t, best


def _first(layer: _Layer, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first piece of every maxout unit, and the others, piece by piece."""
    by_piece = z.reshape(len(z), -1, layer.k).swapaxes(1, 2)
    return by_piece[:, 0], by_piece[:, 1:].reshape(len(z), -1)


def _larger(both: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Of (largest so far, next piece, others): the larger of the first two, and the others."""
    return np.maximum(both[:, :units], both[:, units : 2 * units]), both[:, 2 * units :]


def _cut_line(t: np.ndarray, values: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut where a column of ``distance`` passes 0, with the values there."""
    left, right = distance[:-1], distance[1:]
    at, unit = np.nonzero(left * right < 0)
    share = left[at, unit] / (left[at, unit] - right[at, unit])
    order = np.lexsort((share, at))
    at, share = at[order], share[order]
    new_t = t[at] + share * (t[at + 1] - t[at])
    new_values = values[at] + share[:, None] * (values[at + 1] - values[at])
    places = np.insert(t, at + 1, new_t)
    values = np.insert(values, at + 1, new_values, axis=0)
    keep = np.append(True, np.diff(places) > 0)  # several units may bend at one place
    return places[keep], values[keep]


class _Mesh(NamedTuple):
    """Convex polygons that fill a rectangle and share their corners.

    Attributes:
      corners: ``(corners, 2)``.
      polygons: lists of corner numbers, counter-clockwise.
    """

    corners: np.ndarray
    polygons: list[list[int]]


def _slice_through(layer: _Layer, mesh: _Mesh, h: np.ndarray) -> tuple[_Mesh, np.ndarray]:
    """The polygons behind a layer and the values at their corners, from those before it."""
    z = h @ layer.W + layer.b
    if not layer.k:
        for knot in layer.knots:
            for unit in range(z.shape[1]):
                mesh, z = _cut_mesh(mesh, z, z[:, unit] - knot)
        return mesh, _activation(layer, z)
    best, rest = _first(layer, z)
    for _ in range(layer.k - 1):
        both, units = np.concatenate([best, rest], axis=1), best.shape[1]
        for unit in range(units):
            mesh, both = _cut_mesh(mesh, both, both[:, units + unit] - both[:, unit])
        best, rest = _larger(both, units)
    return mesh, best


def _cut_mesh(mesh: _Mesh, values: np.ndarray, distance: np.ndarray) -> tuple[_Mesh, np.ndarray]:
    """Cut every polygon along the line where ``distance`` (corners,) is 0, with the values there.

    Which side a corner is on is decided once, for all polygons that share it, so rounding cannot tear
    the mesh.
    """
    side = np.sign(distance).astype(int).tolist()
    parents: dict[tuple[int, int], int] = {}  # an edge that is cut → its new corner
    polygons: list[list[int]] = []
    for polygon in mesh.polygons:
        sides = [side[i] for i in polygon]
        if min(sides) >= 0 or max(sides) <= 0:
            polygons.append(polygon)
            continue
        left: list[int] = []
        right: list[int] = []
        for i, s, j, next_s in zip(polygon, sides, polygon[1:] + polygon[:1], sides[1:] + sides[:1]):
            if s >= 0:
                right.append(i)
            if s <= 0:
                left.append(i)
            if s * next_s < 0:
                edge = (i, j) if i < j else (j, i)
                new = parents.setdefault(edge, len(mesh.corners) + len(parents))
                left.append(new)
                right.append(new)
        polygons += [left, right]
    if not parents:
        return _Mesh(mesh.corners, polygons), values
    i, j = np.array(list(parents)).T
    share = (distance[i] / (distance[i] - distance[j]))[:, None]
    corners = np.concatenate([mesh.corners, mesh.corners[i] + share * (mesh.corners[j] - mesh.corners[i])])
    values = np.concatenate([values, values[i] + share * (values[j] - values[i])])
    return _Mesh(corners, polygons), values


def _joined(polygons: list[list[int]], gradient: np.ndarray) -> np.ndarray:
    """Number of the linear piece of each polygon: neighbors along an edge with one gradient are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    owner: dict[tuple[int, int], int] = {}
    pairs = []
    for number, polygon in enumerate(polygons):
        for i, j in zip(polygon, polygon[1:] + polygon[:1]):
            edge = (i, j) if i < j else (j, i)
            if edge in owner:
                pairs.append((owner[edge], number))
            owner[edge] = number
    n = len(polygons)
    a, b = np.array(pairs, int).reshape(-1, 2).T
    alike = _same(gradient[a], gradient[b], gradient)
    links = coo_array((np.ones(alike.sum()), (a[alike], b[alike])), shape=(n, n))
    return connected_components(links, directed=False)[1]
