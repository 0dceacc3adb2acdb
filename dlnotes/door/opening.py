"""A door before a function, before all functions of a package, and before the methods of a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, Signature, isclass, signature
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from dlnotes import jax_internals
from dlnotes.door.given import as_array, as_key, as_seeds, filled
from dlnotes.door.shapes import Shape, fit_together

Check: TypeAlias = "Callable[[Mapping[str, Any]], None]"
"""``check(arguments)`` raises where the arguments do not fit."""

Fit: TypeAlias = "Mapping[str, Shape] | Check"
"""What the arguments of a function must fulfill: a shape for each ("x", "params.W"), or a check."""


P = ParamSpec("P")
R = TypeVar("R")


def opened(
    function: Callable[..., Any],
    fit: Fit | None = None,
    *,
    real: Iterable[str] = (),
    result: Callable[[Any], Any] | None = None,
    name: str = "",
    module: str | None = None,
) -> Callable[..., Any]:
    """A function that takes keys, arrays and parameters in whatever form they are given.

    What becomes of an argument follows from the annotation of its parameter: ``PRNGKey`` is `as_key`,
    ``Array`` is `as_array`, a list in a NamedTuple of parameters becomes an array. All else is passed on.

    Args:
      function: of the library.
      fit: what the shapes of its arguments must fulfill.
      real: names of parameters whose whole numbers are numbers on a scale.
      result: what is made of its result.
      name: by which messages call it; by default its own.
      module: where it is shown, for help and pickle.
    """
    if getattr(function, "opened", False):
        return function
    parameters = signature(function).parameters
    converted = {name: c for name, p in parameters.items() if (c := _conversion(function, p, set(real)))}
    positions = [name for name, p in parameters.items() if p.kind in _POSITIONAL]
    named = name or function.__name__

    @wraps(function)
    def door(*args: Any, **kwargs: Any) -> Any:
        args = (
            tuple(
                converted[name](value, name) if name in converted else value
                for name, value in zip(positions, args)
            )
            + args[len(positions) :]
        )
        for name in kwargs.keys() & converted.keys():
            kwargs[name] = converted[name](kwargs[name], name)
        if fit is not None:
            given = {**dict(zip(positions, args)), **kwargs}
            fit(given) if callable(fit) else fit_together(fit, given)
        _look_for_forward_mode(function, named, args, kwargs)
        try:
            found = function(*args, **kwargs)
        except TypeError as error:
            if "forward-mode" in str(error) and "custom_vjp" in str(error):
                raise _no_forward_mode(named) from error
            raise
        return found if result is None else result(found)

    door.opened = True  # pyright: ignore[reportAttributeAccessIssue]
    if module is not None:
        door.__module__ = module
    return door


EXACT = frozenset(
    str(Path(__file__).parents[1] / file)
    for file in (
        "layers/convolutional/convolution.py",
        "layers/recurrent/bptt.py",
        "layers/recursive/schedule.py",
        "layers/recursive/wavefront.py",
        "autodiff/checkpointing.py",
    )
)
"""Where gradients are written out that are the derivatives of the values, no estimates."""


def forward_mode(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, of layers or whole networks, with derivatives in forward mode too.

    Convolutions, recurrent and recursive nets bring their gradients along, written out for speed, and what
    brings its gradient along has no forward mode in jax. Here the layers inside are told to leave them out:
    ``jax.jvp``, ``jax.jacfwd``, ``jax.hessian`` and derivatives of any order work. Values are the same; a
    gradient in reverse mode agrees up to rounding, and takes longer on a CPU.

    Args:
      function: of arrays and trees of arrays; other arguments must be plain Python values.

    Raises:
      TypeError: by the function, where a gradient is an estimate and not the derivative of the value, as that
        of a choice in `dlnotes.models.gumbel_tree` (``relaxed=True`` has forward mode), or not the library's.

    Example:
      >>> from dlnotes import layers
      >>> x = jnp.ones((1, 3, 1))
      >>> square = lambda x: layers.convolve(x, jnp.ones((2, 1, 1)), padding="VALID").sum() ** 2
      >>> float(jax.jvp(forward_mode(square), (x,), (x,))[1])
      32.0
    """
    return jax_internals.without_rules(function, EXACT)


def _look_for_forward_mode(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> None:
    """Refuse forward mode that is not there before jax does, which does not know what would help."""
    moving = [v for v in (*args, *kwargs.values()) if not isinstance(v, (str, int, float, type(None)))]
    how = jax_internals.forward_traced(moving)
    if how is None:
        return
    if not jax_internals.has_forward_mode(lambda given: function(*given[0], **given[1]), (args, kwargs), how):
        raise _no_forward_mode(name)


def _no_forward_mode(name: str) -> TypeError:
    return TypeError(
        f"{name}: no forward mode (jax.jvp, jax.jacfwd, jax.hessian), for speed a gradient in it is written "
        "out; models.forward_mode(model) and layers.forward_mode(function) give what has it"
    )


_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _conversion(function: Any, parameter: Parameter, real: set[str]) -> Callable[[Any, str], Any] | None:
    annotation, name = parameter.annotation, parameter.name
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) or annotation is Signature.empty:
        return None
    parts = {part.strip() for part in str(annotation).split("|")}
    optional, parts = "None" in parts, parts - {"None"}
    if parts == {"PRNGKey"}:
        return _unless_none(as_key, optional)
    if parts == {"Array"}:
        return _unless_none(lambda value, name: as_array(value, name, real=name in real), optional)
    if parts and parts <= {"Array", "np.ndarray", "Weight"}:
        return lambda value, name: (
            np.asarray(as_array(value, name)) if isinstance(value, (list, tuple)) else value
        )
    if name == "seeds" and "int" not in parts:
        return lambda value, name: as_seeds(value, name)
    if parts == {"Any"} and name in ("x", "xs"):
        return lambda value, name: as_array(value, name) if isinstance(value, list) else filled(value, name)
    home = getattr(function, "__globals__", {})
    if any(part == "Params" or (isclass(c := home.get(part)) and issubclass(c, tuple)) for part in parts):
        return filled
    return None


def _unless_none(convert: Callable[[Any, str], Any], optional: bool) -> Callable[[Any, str], Any]:
    return (lambda value, name: None if value is None else convert(value, name)) if optional else convert


def open_package(
    package: dict[str, Any],
    fits: Mapping[str, Fit] | None = None,
    *,
    real: Mapping[str, Iterable[str]] | None = None,
    results: Mapping[type, Callable[[Any], Any]] | None = None,
) -> None:
    """Put a door before every public function of a package, and before the functions that it holds as parts.

    Args:
      package: its ``globals()``, with ``__all__``.
      fits: what the arguments of a function must fulfill, by its name.
      real: parameters whose whole numbers are numbers on a scale, by the name of the function.
      results: what is made of a public value, and of what a function gives, by its type.
    """
    results = results or {}

    def made(value: Any) -> Any:
        return next((make(value) for kind, make in results.items() if type(value) is kind), value)

    for name in package["__all__"]:
        value = package[name]
        if type(value) in results:
            package[name] = made(value)
        elif (
            callable(value) and not isclass(value) and getattr(value, "__module__", "").startswith("dlnotes.")
        ):
            package[name] = opened(
                value,
                (fits or {}).get(name),
                real=(real or {}).get(name, ()),
                result=made if results else None,
                module=package["__name__"],
            )


def open_module(module: ModuleType) -> None:
    """Put a door before the functions of a module that is itself a public name."""
    for name, value in list(vars(module).items()):
        if (
            not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
            and callable(value)
        ):
            setattr(module, name, opened(value))


def open_class(kind: type) -> None:
    """Let the methods of a NamedTuple of arrays take its fields and their arguments in any form."""
    named = {f: getattr(a, "__forward_arg__", a) for f, a in kind.__annotations__.items()}
    fields = [f for f, annotation in named.items() if annotation == "Array"]

    real = () if fields == ["logits"] else ("y",)  # classes stay whole numbers

    def method(function: Callable[..., Any]) -> Callable[..., Any]:
        inner = opened(function, real=real)

        @wraps(function)
        def door(self: Any, *args: Any, **kwargs: Any) -> Any:
            loose = {
                f: as_array(v, f, real=True) for f in fields if not hasattr(v := getattr(self, f), "dtype")
            }
            return inner(self._replace(**loose) if loose else self, *args, **kwargs)

        return door

    for name, value in list(vars(kind).items()):
        own = getattr(value, "fget", value)
        if name.startswith("_") or getattr(own, "__module__", "") != kind.__module__ or isclass(own):
            continue
        if isinstance(value, property):
            setattr(kind, name, property(method(value.fget), doc=value.__doc__))  # pyright: ignore[reportArgumentType]
        elif callable(value):
            setattr(kind, name, method(value))
