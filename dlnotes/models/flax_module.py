"""Anyone's flax module as a `Model`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


def from_flax(
    module: Any,
    sample: Any,
    *,
    rngs: Sequence[str] = ("dropout",),
    train_argument: str | None = None,
    mask_argument: str | None = None,
) -> Model:
    """A flax linen module as a `Model`; its parameters are the module's "params" collection.

    The key given to ``apply`` is routed to every stream in ``rngs``. A flax module draws for a batch
    as a whole, so one key per example, shape ``(batch,)``, is reduced to its first: then what an example
    draws does depend on how the batch is divided over devices.

    Args:
      module: a ``flax.linen.Module`` called as ``module(x)``.
      sample: a batch of inputs of the right shapes and dtypes, batch axis first; only its shapes matter.
      rngs: names of the random streams the module draws from.
      train_argument: name of the call's argument that turns randomness on or off: "train" (True with a
        key), "deterministic" (True without one), or ``None`` when it takes neither.
      mask_argument: name of the call's argument that takes ``mask``, or ``None`` when it takes none.

    Returns:
      A `Model`; ``params`` is a dict of arrays.

    Raises:
      ValueError: when the module keeps other variables than parameters (batch statistics, caches), or
        ``train_argument`` is not one of those named; at call time, when a mask is given to a module
        without ``mask_argument``.

    Example:
      >>> model = from_flax(flax.linen.Dense(3), jnp.zeros((1, 4)))
    """
    if train_argument not in (None, "train", "deterministic"):
        raise ValueError(
            f"train_argument: got {train_argument!r}, allowed are None, 'train', 'deterministic'"
        )
    if not (hasattr(module, "init") and hasattr(module, "apply")):
        raise ValueError(f"module: got {type(module).__name__}, allowed is an instance of flax.linen.Module")

    def call(key: PRNGKey | None, mask: Array | None) -> dict[str, Any]:
        how: dict[str, Any] = {}
        if train_argument == "train":
            how["train"] = key is not None
        if train_argument == "deterministic":
            how["deterministic"] = key is None
        if mask is not None:
            if mask_argument is None:
                raise ValueError("mask: got one, but from_flax was not told the module's mask_argument")
            how[mask_argument] = mask
        return how

    def variables(key: PRNGKey) -> dict[str, Any]:
        return module.init(key, sample, **call(None, None))

    extra = set(jax.eval_shape(lambda: variables(jax.random.key(0)))) - {"params"}
    if extra:
        raise ValueError(
            f"module: {type(module).__name__} keeps the collections {sorted(extra)} beside 'params'; a Model "
            "is a pure function of its parameters, so modules with batch statistics or caches are not "
            "supported (LayerNorm or GroupNorm can stand in for BatchNorm)"
        )

    def init(key: PRNGKey, /) -> Params:
        return variables(key).get("params", {})

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        streams = None
        if key is not None:
            first = key if key.ndim == 0 else key[0]
            streams = {name: jax.random.fold_in(first, i) for i, name in enumerate(rngs)}
        return module.apply({"params": params}, x, rngs=streams, **call(key, mask))

    return Model(init, apply)
