"""Small networks as one vector: on CPU every array of a step costs about as much as its arithmetic.

This pays for one network. Under vmap over many it does not (measured): there the arrays are larger.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlnotes.typing import Array

SMALL = 2**16
"""Numbers up to which joining arrays is cheaper than visiting them one by one (measured on CPU)."""


def is_small(tree: Any) -> bool:
    """Whether all arrays of a tree together hold at most `SMALL` numbers, of one dtype."""
    leaves = jax.tree.leaves(tree)
    return len({a.dtype for a in leaves}) == 1 and sum(a.size for a in leaves) <= SMALL


def global_norm(tree: Any, *, flatten_small: bool = False) -> Array:
    """``‖g‖₂`` over all arrays of a tree, ``()`` float32.

    Args:
      tree: of arrays.
      flatten_small: visit a small tree as one vector.
    """
    leaves = [a.astype(jnp.float32) for a in jax.tree.leaves(tree)]
    if flatten_small and is_small(leaves):
        leaves = [jnp.concatenate([a.reshape(-1) for a in leaves])]
    return jnp.sqrt(sum((jnp.sum(jnp.square(a)) for a in leaves), jnp.zeros((), jnp.float32)))


def joined(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """An element-wise transformation, applied to small trees as one vector; the updates are the same."""
    flat = optax.flatten(transformation)

    def init(params: Any) -> Any:
        return (flat if is_small(params) else transformation).init(params)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return (flat if is_small(updates) else transformation).update(updates, state, params)

    return optax.GradientTransformation(init, update)
