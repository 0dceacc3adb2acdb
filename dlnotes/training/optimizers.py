"""Optimizers by name, put together from optax's parts.

Numbers (learning rate, decay, momentum …) may be traced, so one compiled program trains many
settings at once under ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from dlnotes.checks import chosen
from dlnotes.training.flat import joined
from dlnotes.training.schedules import Factor
from dlnotes.typing import Array, Params

Number = float | Array

NOT_DECAYED = frozenset(
    {"b", "b_0", "b_n", "c", "bias", "scale", "shift", "beta", "gamma", "slopes", "centers", "log_sigma"}
)
"""Names of parameters that weight decay leaves alone: biases, scales, slopes, places in the input space."""


def leaf_name(path: tuple[Any, ...]) -> str:
    """The last name on a pytree path (``"W"`` for ``params.hidden[0].W``)."""
    for part in reversed(path):
        name = getattr(part, "name", None) or getattr(part, "key", None)
        if isinstance(name, str):
            return name
    return ""


def decay_mask(params: Params) -> Any:
    """True for the parameters that weight decay acts on: everything but `NOT_DECAYED` names."""
    return jax.tree_util.tree_map_with_path(lambda path, _: leaf_name(path) not in NOT_DECAYED, params)


def max_norm(params: Params, limit: Number) -> Params:
    """Scale each unit's incoming weights back to norm ``limit`` where it is exceeded.

    ``w ← w · min(1, limit/‖w‖)`` for every column of the matrices and kernels (units on the last
    axis); biases are left alone. Source: Srivastava et al., 2014.
    """

    def project(path, w):
        if w.ndim < 2 or leaf_name(path) in NOT_DECAYED:
            return w
        norm = jnp.sqrt(jnp.sum(w * w, axis=tuple(range(w.ndim - 1)), keepdims=True))
        return w * jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12)).astype(w.dtype)

    return jax.tree_util.tree_map_with_path(project, params)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were set: ``None`` and ``nesterov=False`` are what optax does by itself."""
    return {k: v for k, v in options.items() if v is not None and v is not False}


def _sgd(*, momentum=None, nesterov=False, **_):
    if momentum is None:
        return optax.identity()
    if callable(momentum):
        return optax.inject_hyperparams(optax.trace, static_args=("nesterov",))(
            decay=momentum, nesterov=nesterov
        )
    return optax.trace(momentum, nesterov)


def _adam(*, nesterov=False, **o):
    return optax.scale_by_adam(nesterov=nesterov, **o)


def _rmsprop(*, decay=None, eps=None, momentum=None, nesterov=False):
    parts = [optax.scale_by_rms(**_given(decay=decay, eps=eps))]
    return optax.chain(*parts, *([optax.trace(momentum, nesterov)] if momentum is not None else []))


def _adafactor(**_):
    return optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0))


def _muon(*, momentum=None):
    """Orthogonalized momentum for matrices; Adam for biases and kernels, as is usual with it."""
    return optax.chain(contrib.muon(1.0, **_given(beta=momentum)), optax.scale(-1.0))


def _permissive(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """optax mixes integer step counts with floats: strict promotion, if chosen, is not for its code."""

    def init(params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return inner.init(params)

    def update(updates, state, params=None):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return inner.update(updates, state, params)

    return optax.GradientTransformation(init, update)


_BY_NAME: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "nadam": lambda **o: optax.scale_by_adam(nesterov=True, **o),
    "radam": lambda **o: optax.scale_by_radam(**o),
    "adamax": lambda **o: optax.scale_by_adamax(**o),
    "amsgrad": lambda **o: optax.scale_by_amsgrad(**o),
    "adabelief": lambda **o: optax.scale_by_belief(**o),
    "adan": lambda **o: optax.scale_by_adan(**o),
    "yogi": lambda **o: optax.scale_by_yogi(**o),
    "lion": lambda **o: optax.scale_by_lion(**o),
    "lamb": _adam,
    "novograd": lambda **o: optax.scale_by_novograd(**o),
    "rmsprop": _rmsprop,
    "adagrad": lambda **o: optax.scale_by_rss(**o),
    "adadelta": lambda *, decay=None, eps=None: optax.scale_by_adadelta(**_given(rho=decay, eps=eps)),
    "adafactor": _adafactor,
    "lars": lambda **o: optax.identity(),
    "muon": _muon,
    "sign_sgd": lambda **o: optax.scale_by_sign(),
}

_BY_LAYER = frozenset({"novograd", "adafactor", "lars", "muon"})
"""Those that look at an array as a whole, or do nothing here."""

OPTIMIZERS = tuple(_BY_NAME)
"""Every name `optimizer` knows."""


def optimizer(
    kind: str,
    learning_rate: Number,
    *,
    factor: Factor | None = None,
    weight_decay: Number = 0.0,
    decay_biases: bool = False,
    clip_norm: Number | None = None,
    clip_value: Number | None = None,
    flatten_small: bool = False,
    **options: Any,
) -> optax.GradientTransformation:
    """An optax transformation: clip → precondition → decay → −learning_rate·factor(step).

    Args:
      kind: one of `OPTIMIZERS`.
      learning_rate: peak learning rate; may be traced.
      factor: a schedule of `dlnotes.training.schedules`; ``None`` is constant.
      weight_decay: decoupled: ``θ ← θ − lr·(u + λθ)``; biases and scales are skipped unless
        ``decay_biases``.
      clip_norm: largest global norm of the gradient.
      clip_value: largest absolute value of an element of the gradient.
      flatten_small: treat a small network as one vector, which is only a matter of speed (see
        `dlnotes.training.flat`).
      **options: the kind's own (``momentum``, ``nesterov``, ``b1``, ``b2``, ``eps``, ``decay``);
        ``None`` takes optax's default. ``momentum`` of sgd may be a function of the step.

    Raises:
      ValueError: when the kind is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> opt = optimizer("sgd", 0.1, momentum=0.9)
      >>> updates, _ = opt.update({"W": jnp.ones(2)}, opt.init({"W": jnp.ones(2)}), {"W": jnp.ones(2)})
      >>> [round(float(u), 3) for u in updates["W"]]
      [-0.1, -0.1]
    """
    build = chosen("kind", kind, _BY_NAME)
    parts: list[optax.GradientTransformation] = []
    if clip_value is not None:
        parts.append(optax.clip(clip_value))
    if clip_norm is not None:
        parts.append(optax.clip_by_global_norm(clip_norm))
    options = _given(**options)
    precondition = build(**options)
    element_wise = kind not in _BY_LAYER and not (kind == "sgd" and "momentum" not in options)
    parts.append(joined(precondition) if flatten_small and element_wise else precondition)
    if not (isinstance(weight_decay, (int, float)) and weight_decay == 0):
        parts.append(optax.add_decayed_weights(weight_decay, None if decay_biases else decay_mask))
    if kind in ("lamb", "lars"):
        parts.append(optax.scale_by_trust_ratio())
    if factor is None:
        parts.append(optax.scale(-learning_rate))
    else:
        parts.append(optax.scale_by_schedule(lambda step: -learning_rate * factor(jnp.asarray(step))))
    if kind == "lars":
        parts.append(_sgd(**options))
    return _permissive(optax.chain(*parts))
