"""The training chunk, the evaluation and the prediction compiled for any placement, a mesh included.

On a mesh whose devices share a state, dividing is left to the compiler: the chunk is the same function, told
only where its arguments lie. On another mesh it is divided by hand, as in `dlnotes.training.parallel`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlnotes.devices.compiler import compiler_options, single_use_options
from dlnotes.devices.mesh import DATA, FSDP, MEMBERS, MeshPlacement, sharding_tree, state_specs
from dlnotes.devices.placement import Placement
from dlnotes.training import parallel
from dlnotes.training.loop import BatchAt
from dlnotes.training.state import TrainState

ROWS = (DATA, FSDP)
"""The axes of the mesh that divide the rows of a batch."""


def state_shardings(placement: MeshPlacement, state: TrainState) -> TrainState:
    """The sharding of each array of a state, which may be given by its shapes.

    Raises:
      ValueError: see `dlnotes.devices.mesh.state_specs`.
    """
    return sharding_tree(placement, TrainState(P(), state_specs(placement, state.members)))  # type: ignore[arg-type]


def rows_over_mesh(placement: Placement, batch_at: BatchAt | Sequence[BatchAt]) -> Any:
    """Batches whose rows lie over a mesh whose rows are the compiler's to divide."""
    if not isinstance(placement, MeshPlacement) or placement.by_hand or placement.parts == 1:
        return batch_at
    if not callable(batch_at):
        return tuple(rows_over_mesh(placement, one) for one in batch_at)

    rows = NamedSharding(placement.mesh, P(ROWS))

    def divided(*args: Any) -> Any:
        return jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, rows), batch_at(*args))

    return divided


def compile_chunk(
    placement: Placement,
    chunk: Callable,
    state: TrainState,
    *,
    data_axis: int | None,
    convolutions: bool = False,
) -> Callable:
    """Compile ``chunk(state, data, n_steps)``; the state is donated.

    Args:
      placement: where it runs.
      chunk: of `dlnotes.training.loop.train_chunk`.
      state: its shapes.
      data_axis: see `dlnotes.training.parallel.compile_chunk`; on a mesh any axis says that the data are
        batches of each training, ``(members, steps, rows, …)``.
      convolutions: whether the network has any (see `compiler_options`).
    """
    if not isinstance(placement, MeshPlacement):
        return parallel.compile_chunk(placement, chunk, data_axis=data_axis, convolutions=convolutions)
    mapped = _by_hand(
        placement,
        chunk,
        (TrainState(P(), P(MEMBERS)), P() if data_axis is None else P(MEMBERS, None, DATA), P()),  # type: ignore[arg-type]
        (TrainState(P(), P(MEMBERS)), P(None, None, MEMBERS)),  # type: ignore[arg-type]
    )
    return jax.jit(
        mapped,
        donate_argnums=0,
        out_shardings=(state_shardings(placement, state), None),
        compiler_options=compiler_options(convolutions=convolutions),
    )


def _by_hand(placement: MeshPlacement, function: Callable, arguments: Any, results: Any) -> Callable:
    """A function of one device's members and rows, over a mesh that the compiler does not divide."""
    if not placement.by_hand:
        return function
    return jax.shard_map(
        function, mesh=placement.mesh, in_specs=arguments, out_specs=results, check_vma=False
    )


def compile_evaluation(placement: Placement, evaluate: Callable, *, convolutions: bool = False) -> Callable:
    """Compile ``evaluate(members, blocks) -> (metrics, 2, members)``."""
    if not isinstance(placement, MeshPlacement):
        return parallel.compile_evaluation(placement, evaluate, convolutions=convolutions)
    return _over_rows(placement, evaluate, P(None, None, MEMBERS), convolutions)


def compile_prediction(placement: Placement, predict: Callable, *, convolutions: bool = False) -> Callable:
    """Compile ``predict(members, blocks) -> (members, blocks, rows, ...)``."""
    if not isinstance(placement, MeshPlacement):
        return parallel.compile_prediction(placement, predict, convolutions=convolutions)
    return _over_rows(placement, predict, P(MEMBERS, None, DATA), convolutions)


def _over_rows(placement: MeshPlacement, function: Callable, out: P, convolutions: bool) -> Callable:
    mapped = _by_hand(placement, function, (P(MEMBERS), P(None, DATA)), out)
    return jax.jit(mapped, compiler_options=compiler_options(convolutions=convolutions))


def put_state(placement: Placement, state: TrainState) -> TrainState:
    """A host state on the placement's devices; on a mesh each array where its rule lays it."""
    if not isinstance(placement, MeshPlacement):
        return parallel.put_state(placement, state)
    return put_tree(state, state_shardings(placement, state))


def initial_state(placement: Placement, init: Callable[..., TrainState], *args: Any) -> TrainState:
    """``init(*args)``, a state, on the placement's devices.

    On a mesh no device ever holds more of it than its part.
    """
    options = single_use_options()
    if not isinstance(placement, MeshPlacement):
        return put_state(placement, jax.device_get(jax.jit(init, compiler_options=options)(*args)))
    shardings = state_shardings(placement, jax.eval_shape(init, *args))
    return jax.jit(init, out_shardings=shardings, compiler_options=options)(*args)


def put_tree(tree: Any, shardings: Any) -> Any:
    """Host arrays, the same in every process, laid as their shardings say; no host memory is shared."""

    def leaf(a: Any, sharding: NamedSharding) -> jax.Array:
        a = np.asarray(a)
        return jax.make_array_from_callback(a.shape, sharding, lambda index: np.array(a[index]))

    return jax.tree.map(leaf, tree, shardings)


def put_rows(placement: MeshPlacement, blocks: Any) -> Any:
    """Blocks ``(blocks, rows, …)`` of the host with their rows over the mesh."""
    sharding = NamedSharding(placement.mesh, P(None, ROWS))
    return put_tree(blocks, jax.tree.map(lambda _: sharding, blocks))


def gather(tree: Any) -> Any:
    """Device arrays as numpy, whole in every process: all must call this.

    Of an array that lies over several processes each device holds the whole for a moment, one after another.
    """

    def whole(a: Any) -> Any:
        if not isinstance(a, jax.Array) or a.is_fully_addressable:
            return a
        if not a.is_fully_replicated:
            everywhere = NamedSharding(a.sharding.mesh, P())  # type: ignore[attr-defined]
            a = jax.jit(lambda a: a, out_shardings=everywhere)(a)
        return np.asarray(a.addressable_data(0))

    return jax.device_get(jax.tree.map(whole, tree))
