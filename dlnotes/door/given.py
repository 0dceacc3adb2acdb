"""Keys, arrays and seeds from whatever a person has of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import jax_internals
from dlnotes.typing import PRNGKey


def as_key(key: Any, name: str = "key") -> PRNGKey:
    """The typed key, or one for each example, that is meant by a key or a seed.

    Args:
      key: typed keys of any shape (``jax.random.key``), which are given back as they are; old-style keys,
        uint32 ``(..., words)`` (``jax.random.PRNGKey``); or a whole number, in Python, in numpy or as an
        array of shape ``()``.
      name: of the argument, for the message.

    Raises:
      ValueError: for anything else, by name.

    Example:
      >>> as_key(3) == as_key(jax.random.PRNGKey(3)), as_key(np.int64(3)) == jax.random.key(3)
      (Array(True, dtype=bool), Array(True, dtype=bool))
    """
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not -(2**63) <= key < 2**63:
            raise ValueError(f"{name}: got {key}, allowed is a seed of 64 bits")
        return jax.random.key(int(key))
    dtype: Any = getattr(key, "dtype", None)
    if isinstance(key, (jax.Array, np.ndarray, np.generic)):
        if jnp.issubdtype(dtype, jax.dtypes.prng_key):
            return key  # pyright: ignore[reportReturnType]
        words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))).shape
        if dtype == jnp.uint32 and key.ndim and key.shape[-1:] == words:
            return jax.random.wrap_key_data(jnp.asarray(key))
        if jnp.issubdtype(dtype, jnp.integer) and key.ndim == 0:
            return jax.random.key(jnp.asarray(key))
    raise ValueError(
        f"{name}: got {shown(key)}, allowed is jax.random.key(0), the old-style jax.random.PRNGKey(0), "
        "or a whole number as a seed"
    )


def as_array(value: Any, name: str = "x", *, real: bool = False) -> Any:
    """The array that is meant by an array, a number or a list of numbers.

    Floats become float32 (float64 where jax has it), whole numbers int32, as of ``jnp.array``; the type is
    never a weak one, so that the result is that of an array. What jax can hold as it is stays as it is.

    Args:
      value: an array of jax or numpy, a number, or numbers and arrays in lists within lists.
      name: of the argument, for the message.
      real: whether whole numbers and booleans are numbers on a scale, and become floats.

    Raises:
      ValueError: by name, for what holds no numbers, and for lists whose rows differ in length.

    Example:
      >>> as_array([[1, 2], [3, 4]], real=True)
      Array([[1., 2.],
             [3., 4.]], dtype=float32)
    """
    if isinstance(value, (list, tuple, bool, int, float, complex, np.generic)):
        value = _gathered(value, name)
    elif isinstance(value, (str, bytes, bytearray, dict, set, frozenset, range)) or callable(value):
        raise ValueError(f"{name}: got {shown(value)}, {_ARRAYS}")
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc" and not jnp.issubdtype(value.dtype, jnp.number):
            raise ValueError(f"{name}: got numbers of dtype {value.dtype}, {_ARRAYS}")
        if value.dtype != jax.dtypes.canonicalize_dtype(value.dtype):
            value = jnp.asarray(value)
    dtype = getattr(value, "dtype", None)
    if (
        real
        and dtype is not None
        and (jnp.issubdtype(dtype, jnp.bool_) or jnp.issubdtype(dtype, jnp.integer))
    ):
        return jnp.asarray(value, jax.dtypes.canonicalize_dtype(float))
    return value


_ARRAYS = "allowed is an array, a number or a list of numbers"


def _gathered(value: Any, name: str) -> Any:
    leaves = _leaves(value)
    if any(isinstance(leaf, (str, bytes, dict, set)) or leaf is None for leaf in leaves):
        raise ValueError(f"{name}: got {shown(value)}, {_ARRAYS}")
    try:
        if any(isinstance(leaf, jax.Array) for leaf in leaves):
            return jnp.asarray(value)
        made = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: got lists of different lengths or kinds, {_ARRAYS}") from None
    if made.dtype == object:
        raise ValueError(f"{name}: got {shown(value)}, {_ARRAYS}")
    far = made.dtype.kind in "iu" and made.size and not -(2**31) <= made.min() <= made.max() < 2**31
    if far and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(f"{name}: got whole numbers beyond 32 bits, allowed are -2^31 to 2^31 - 1")
    return jnp.asarray(made, jax.dtypes.canonicalize_dtype(made.dtype))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def filled(tree: Any, name: str) -> Any:
    """A NamedTuple of arrays, those in it too, in which a list of numbers has become an array."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        parts = {
            field: as_array(part, f"{name}.{field}")
            if isinstance(part, list)
            else filled(part, f"{name}.{field}")
            for field, part in zip(tree._fields, tree)  # pyright: ignore[reportAttributeAccessIssue]
        }
        changed = any(new is not old for new, old in zip(parts.values(), tree))
        return type(tree)(**parts) if changed else tree
    if type(tree) is tuple:
        parts = tuple(filled(part, f"{name}[{i}]") for i, part in enumerate(tree))
        return parts if any(new is not old for new, old in zip(parts, tree)) else tree
    return tree


def as_seeds(seeds: Any, name: str = "seeds") -> Any:
    """``seeds``, once each is a whole number.

    Raises:
      ValueError: by name, for one number instead of several, and for what is no whole number.
    """
    if isinstance(seeds, jax.Array) and jax_internals.is_traced(seeds):
        return seeds
    values = np.asarray(list(seeds)) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else None
    if values is None or values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise ValueError(f"{name}: got {shown(seeds)}, allowed are whole numbers in a list, such as range(3)")
    return seeds


def shown(value: Any) -> str:
    """A value as messages show it: short, an array by its dtype and shape."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of {value.dtype} and shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}... ({type(value).__name__})"
