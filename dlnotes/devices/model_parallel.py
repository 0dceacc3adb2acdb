"""One network on several devices: a layer's weights in parts, and layers one after another as a pipeline.

`dlnotes.devices.mesh` leaves both to the compiler; here they are written out. Differentiate these functions
from outside: inside a mapped function the gradient of a sum over devices can come out larger by their number.

Source: notes, «implementación distribuida a gran escala»; Dean et al. 2012; Huang et al. 2019 (GPipe);
Shoeybi et al. 2019 (Megatron-LM).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dlnotes.typing import Array, Params

PARTS, STAGES = "parts", "stages"
"""Names of the mesh axes that these functions use by default."""


def column_then_row(
    first: Callable[[Params, Any], Any],
    second: Callable[[Params, Any], Array],
    params: tuple[Params, Params],
    x: Any,
    *,
    mesh: Mesh,
    axis: str = PARTS,
    columns: int = -1,
    rows: int = 0,
) -> Array:
    """Two layers with each device holding a part of both, and one exchange.

    ``y = Σ_s second(B_s, first(A_s, x))``: A is divided by its columns (units, filters, heads), so that each
    device computes its own hidden units; B by its rows, which read them. The devices' results are added up
    once, and in the backward pass the gradients of x once. A bias after the sum is the caller's.

    Args:
      first: ``first(A_s, x) -> h_s``; each hidden unit must depend on its own columns only.
      second: ``second(B_s, h_s) -> y_s``, linear in ``h_s``.
      params: A and B.
      x: what every device reads.
      mesh: of devices, with this axis.
      axis: of the mesh, over which both layers are divided.
      columns: axis of each array of A that is divided.
      rows: axis of each array of B that is divided: 0 for a matrix, -2 for a kernel of a convolution.

    Returns:
      y, the same on every device.

    Raises:
      ValueError: when the devices do not divide an axis, with both numbers.

    >>> import numpy as np
    >>> mesh = jax.make_mesh((1,), ("parts",))
    >>> A, B, x = jnp.ones((3, 4)), jnp.ones((4, 2)), jnp.ones((5, 3))
    >>> y = column_then_row(lambda A, x: jax.nn.relu(x @ A), lambda B, h: h @ B, (A, B), x, mesh=mesh)
    >>> y.shape, float(y[0, 0])
    ((5, 2), 12.0)
    """
    _divisible("A", params[0], columns, mesh, axis)
    _divisible("B", params[1], rows, mesh, axis)

    def part(a: Params, b: Params, x: Any) -> Array:
        return jax.lax.psum(second(b, first(a, x)), axis)

    along = tuple(jax.tree.map(lambda p, i=i: _on(axis, i, jnp.ndim(p)), tree)
                  for tree, i in zip(params, (columns, rows)))  # fmt: skip
    return jax.shard_map(part, mesh=_plain(mesh), in_specs=(*along, P()), out_specs=P())(*params, x)


def _on(name: str, axis: int, dimensions: int) -> P:
    spec: list[str | None] = [None] * dimensions
    spec[axis] = name
    return P(*spec)


def _divisible(what: str, params: Params, along: int, mesh: Mesh, axis: str) -> None:
    if axis not in mesh.shape:
        raise ValueError(f"axis: got {axis!r}, the mesh has {list(mesh.shape)}")
    parts = mesh.shape[axis]
    for leaf in jax.tree.leaves(params):
        if not -jnp.ndim(leaf) <= along < jnp.ndim(leaf):
            raise ValueError(f"{what}: got an array of shape {jnp.shape(leaf)}, it has no axis {along}")
        if (width := jnp.shape(leaf)[along]) % parts:
            raise ValueError(
                f"{what}: got a width of {width} on {parts} devices, needed is a multiple of {parts}"
            )


def pipeline(
    stage: Callable[[Params, Array], Array],
    params: Params,
    x: Array,
    *,
    mesh: Mesh,
    microbatches: int,
    axis: str = STAGES,
) -> Array:
    """Stages on devices one after another, each at work on another part of the batch.

    ``y = stage(p_S, … stage(p_2, stage(p_1, x)))``. The batch is cut into M microbatches; at tick ``t`` the
    device of stage ``s`` takes microbatch ``t − s`` from the one before, so that S stages need ``M + S − 1``
    ticks. In ``S − 1`` of them a device waits: see `bubble`.

    Args:
      stage: ``stage(p, x) -> y`` with y of the shape and dtype of x; rows do not see one another.
      params: arrays with a leading axis of stages, each device of ``axis`` holding its own.
      x: ``(rows, …)``.
      mesh: of devices, with this axis.
      microbatches: M, which divides the rows.
      axis: of the mesh; as many devices as stages.

    Returns:
      ``(rows, …)``, the same on every device.

    Raises:
      ValueError: when M does not divide the rows, there are not as many devices as stages, or a stage changes
        the shape.

    >>> mesh = jax.make_mesh((1,), ("stages",))
    >>> pipeline(lambda w, x: w * x, jnp.array([3.0]), jnp.ones((4, 2)), mesh=mesh, microbatches=2)[0]
    Array([3., 3.], dtype=float32)
    """
    if axis not in mesh.shape:
        raise ValueError(f"axis: got {axis!r}, the mesh has {list(mesh.shape)}")
    stages = mesh.shape[axis]
    lead = sorted({jnp.shape(p)[:1] for p in jax.tree.leaves(params)})
    if lead != [(stages,)]:
        raise ValueError(f"params: got leading axes {lead}, needed is {stages}, the devices of {axis!r}")
    if microbatches < 1 or x.shape[0] % microbatches:
        raise ValueError(f"microbatches: got {microbatches} for {x.shape[0]} rows, needed is a divisor")
    parts = x.reshape(microbatches, -1, *x.shape[1:])
    own = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape[1:], p.dtype), params)
    one = jax.eval_shape(stage, own, parts[0])
    if (one.shape, one.dtype) != (parts[0].shape, parts.dtype):
        got, given = (f"{a.dtype}{list(a.shape)}" for a in (one, parts[0]))
        raise ValueError(f"stage: got {got} from {given}, both must be the same")

    def run(own: Params, parts: Array) -> Array:
        own = jax.tree.map(lambda p: p[0], own)
        s = jax.lax.axis_index(axis)

        def tick(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
            given, results = carry
            number = t - s
            running = (number >= 0) & (number < microbatches)
            place = jnp.clip(number, 0, microbatches - 1)
            first = jax.lax.dynamic_index_in_dim(parts, place, keepdims=False)
            y = stage(own, jnp.where(s == 0, first, given))
            y = jnp.where(running, y, jnp.zeros_like(y))
            last = running & (s == stages - 1)
            before = jax.lax.dynamic_index_in_dim(results, place, keepdims=False)
            results = jax.lax.dynamic_update_index_in_dim(results, jnp.where(last, y, before), place, 0)
            # The last stage's result goes nowhere: a device that nobody sends to receives zeros.
            return (jax.lax.ppermute(y, axis, [(i, i + 1) for i in range(stages - 1)]), results), None

        start = jax.lax.pcast((jnp.zeros_like(parts[0]), jnp.zeros_like(parts)), (axis,), to="varying")
        (_, results), _ = jax.lax.scan(tick, start, jnp.arange(microbatches + stages - 1, dtype=jnp.int32))
        return jax.lax.psum(results, axis)

    along = jax.tree.map(lambda _: P(axis), params)
    y = jax.shard_map(run, mesh=_plain(mesh), in_specs=(along, P()), out_specs=P())(params, parts)
    return y.reshape(x.shape)


def _plain(mesh: Mesh) -> Mesh:
    """The mesh with axes over which the compiler lays what it is not told, whatever the caller's says."""
    return Mesh(mesh.devices, mesh.axis_names)


def bubble(stages: int, microbatches: int) -> float:
    """Share of its ticks in which a device of a pipeline waits: ``(S − 1) / (M + S − 1)``.

    >>> bubble(4, 12)
    0.2
    """
    return (stages - 1) / (microbatches + stages - 1)
