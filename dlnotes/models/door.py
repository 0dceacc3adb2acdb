"""The door of the models: they take any key, numbers for arrays, and inputs of their shape only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any

import jax.numpy as jnp

from dlnotes.door.given import as_array, as_key, filled
from dlnotes.door.opening import forward_mode as function_in_forward_mode
from dlnotes.door.opening import open_package, opened
from dlnotes.door.shapes import Shape, fit_together
from dlnotes.models.model import Model

Made = Mapping[str, Any]
"""The arguments that a model was made with, by name."""

_MASK = {"mask": "batch time"}
_WORDS = {"x": "batch time", **_MASK}
_LEAVES = {
    "x": "batch time",
    "x.label": "batch time",
    "x.children": "batch time _",
    "x.order": "batch time",
    **_MASK,
}
_MAP_MASK = {"x": "batch height width _", "mask": "batch height width"}


def _sequence(made: Made) -> Mapping[str, Shape]:
    return _WORDS if made.get("embedding") is not None else {"x": f"batch time {made['inputs']}", **_MASK}


def _distribution(made: Made) -> Mapping[str, Shape]:
    if made["vector"] is None:
        return _WORDS
    return {"x.symbols": "batch time", "x.vector": f"batch {made['vector']}", **_MASK}


def _flax(made: Made) -> Mapping[str, Shape]:
    sample = made["sample"]
    if not hasattr(sample, "dtype") or not jnp.issubdtype(sample.dtype, jnp.floating) or sample.ndim < 2:
        return {}
    return {"x": " ".join(["batch", *"_" * (sample.ndim - 2), str(sample.shape[-1])])}


SHAPES: dict[str, Callable[[Made], Mapping[str, Shape]]] = {
    "sequence_classifier": _sequence,
    "sequence_labeler": _sequence,
    "character_model": lambda made: _WORDS,
    "chart_tree": lambda made: _LEAVES,
    "gumbel_tree": lambda made: _LEAVES,
    "tree_net": lambda made: {
        "x.label": "batch nodes",
        "x.children": f"batch nodes {made['arity']}",
        "x.order": "batch nodes",
        "mask": "batch nodes",
    },
    "seq2seq": lambda made: {
        "x.source": "batch source_time",
        "x.target": "batch target_time",
        "mask": "batch source_time",
    },
    "aligned_sequences": lambda made: {
        "x.source": ("batch time", f"batch time {made['inputs']}"),
        "x.target": "batch time",
        **_MASK,
    },
    "sequence_distribution": _distribution,
    "grid_recurrent": lambda made: _MAP_MASK,
    "pixel_labeler": lambda made: _MAP_MASK,
    "recurrent_refinement": lambda made: _MAP_MASK,
    "from_flax": _flax,
}
"""The shapes that a model takes, from the arguments it was made with; other models check them themselves."""

RENAMED = {"seq2seq": {"source_vocabulary": "vocabulary"}}
"""Older keywords of a constructor and what they are called now."""

WORDS = {"character_model", "chart_tree", "gumbel_tree"}
"""Models whose inputs are whole numbers."""


def open_models(package: dict[str, Any]) -> None:
    """Put a door before all public functions, and before the models that constructors make.

    Args:
      package: its ``globals()``.
    """
    for name in package["__all__"]:
        value = package[name]
        if getattr(value, "__module__", "").startswith("dlnotes.") and value is not forward_mode:
            returns = getattr(value, "__annotations__", {}).get("return")
            if returns in ("Model", Model):
                package[name] = opened_constructor(value, package["__name__"])
    open_package(package)


def opened_constructor(function: Callable[..., Model], module: str) -> Callable[..., Model]:
    """A constructor whose models are behind a door."""
    name, of = function.__name__, signature(function)
    inner = opened(function, module=module)

    @wraps(inner)
    def construct(*args: Any, **kwargs: Any) -> Model:
        kwargs = {RENAMED.get(name, {}).get(word, word): value for word, value in kwargs.items()}
        model = inner(*args, **kwargs)
        bound = of.bind(*args, **kwargs)
        bound.apply_defaults()
        made = bound.arguments
        whole = name in WORDS or made.get("embedding") is not None
        return opened_model(model, SHAPES[name](made) if name in SHAPES else {}, name=name, whole=whole)

    return construct


def opened_model(
    model: Model, shapes: Mapping[str, Shape] | None = None, *, name: str = "model", whole: bool = False
) -> Model:
    """A model that takes any key and numbers for arrays, and names what does not fit.

    Args:
      model: to be opened.
      shapes: of ``x`` and ``mask``, as in `dlnotes.door.fit_together`.
      name: by which messages call it.
      whole: whether ``x`` are whole numbers; else those in a list are numbers on a scale.
    """

    def given(x: Any, mask: Any) -> tuple[Any, Any]:
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            x = type(x)(*(filled(as_array(a, f"x.{f}"), f"x.{f}") for f, a in zip(x._fields, x)))  # pyright: ignore[reportAttributeAccessIssue]
        elif not isinstance(x, dict):
            x = as_array(x, "x", real=isinstance(x, (list, tuple, int, float)) and not whole)
        dtype: Any = getattr(x, "dtype", None)
        if whole and dtype is not None and not jnp.issubdtype(dtype, jnp.integer):
            raise ValueError(f"x: got {dtype}, allowed are whole numbers, the places of symbols in a list")
        mask = mask if mask is None else as_array(mask, "mask")
        if shapes:
            fit_together(shapes, {"x": x, "mask": mask})
        return x, mask

    def door(run: Any) -> Any:
        safe = opened(run, name=f"{name}.{run.__name__}")

        @wraps(run)
        def through(params: Any, x: Any, /, *, key: Any = None, mask: Any = None) -> Any:
            x, mask = given(x, mask)
            key = key if key is None else as_key(key)
            return safe(params, x, key=key, mask=mask)

        return through

    def init(key: Any, /) -> Any:
        return model.init(as_key(key))

    update = None if model.update is None else door(model.update)
    return Model(wraps(model.init)(init), door(model.apply), update)


def forward_mode(model: Model) -> Model:
    """The same network with derivatives in forward mode too: ``jax.jvp``, ``jax.jacfwd``, ``jax.hessian``.

    Convolutions, recurrent and recursive nets bring their gradients along, written out for speed, and what
    brings its gradient along has no forward mode in jax. In this model the layers leave them out and jax
    derives everything itself, in any order and mode. Values are the same; a gradient in reverse mode
    agrees up to rounding, and takes longer on a CPU.

    Args:
      model: whose gradients are derivatives of its values; of `gumbel_tree`, one that is ``relaxed``.

    Raises:
      TypeError: by ``apply``, where a gradient is an estimate, or is written out elsewhere.

    Example:
      >>> import jax
      >>> from dlnotes.models import cnn
      >>> model = forward_mode(cnn((4, 4, 1), 2, channels=(3,), dense=()))
      >>> params, x = model.init(jax.random.key(0)), jnp.ones((1, 4, 4, 1))
      >>> jax.hessian(lambda x: model.apply(params, x)[0, 0] ** 2)(x).shape
      (1, 4, 4, 1, 1, 4, 4, 1)
    """

    def plain(run: Any) -> Any:
        in_forward_mode = function_in_forward_mode(run)

        @wraps(run)
        def apply(params: Any, x: Any, /, *, key: Any = None, mask: Any = None) -> Any:
            key = None if key is None else as_key(key)
            return in_forward_mode(params, x, key=key, mask=mask)

        return apply

    return model._replace(
        apply=plain(model.apply), update=None if model.update is None else plain(model.update)
    )
