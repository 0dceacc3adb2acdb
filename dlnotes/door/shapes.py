"""Shapes in words, and arguments held against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Shape: TypeAlias = "str | tuple[str, ...]"
"""A shape in words, or several that are allowed. The words stand for axes: a name for a size that is the same
wherever it is named, a number for itself, ``*name`` for any number of axes, ``+name`` for at least one,
``~name`` for as many axes as ``name`` has, ``...`` for any axes. A shape has at most one of the starred."""


def fit_together(shapes: Mapping[str, Shape], arguments: Mapping[str, Any]) -> None:
    """Compare the shapes of arguments with a table, in its order; what is ``None`` or missing is left out.

    Args:
      shapes: by the path of an argument, "x" or "params.W".
      arguments: by name.

    Raises:
      ValueError: naming the argument, its shape, and the shape allowed.

    Example:
      >>> table = {"W": "inputs outputs", "x": "batch inputs"}
      >>> fit_together(table, {"W": np.zeros((3, 2)), "x": np.zeros(3)})
      Traceback (most recent call last):
      ...
      ValueError: x: got shape (3,), allowed is (batch, inputs=3); without its batch axis? x[None] has one
    """
    known: dict[str, tuple[int, ...]] = {}
    for path, allowed in shapes.items():
        value: Any = arguments
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        if value is None or not hasattr(value, "shape"):
            continue
        choices = (allowed,) if isinstance(allowed, str) else allowed
        if not any(_fits(choice.split(), tuple(value.shape), known) for choice in choices):
            words = [_in_words(choice.split(), known) for choice in choices]
            hint = _hint(choices[0].split(), tuple(value.shape), known, path)
            raise ValueError(f"{path}: got shape {tuple(value.shape)}, allowed is {' or '.join(words)}{hint}")


def _fits(words: Sequence[str], shape: tuple[int, ...], known: dict[str, tuple[int, ...]]) -> bool:
    """Whether a shape is as in words; then the names in it are known."""
    star = next((i for i, word in enumerate(words) if word[0] in "*+.~"), None)
    new: dict[str, tuple[int, ...]] = {}
    if star is None:
        pairs = list(zip(words, ((n,) for n in shape)))
        if len(words) != len(shape):
            return False
    else:
        behind = len(words) - star - 1
        many = shape[star : len(shape) - behind]
        name = words[star][1:]
        if len(shape) < len(words) - 1 or (words[star][0] == "+" and not many):
            return False
        if words[star][0] == "~":
            if len(many) != len(known.get(name, many)):
                return False
        elif words[star] != "..." and known.get(name, many) != many:
            return False
        if words[star][0] in "*+":
            new[name] = many
        pairs = [
            *zip(words[:star], ((n,) for n in shape)),
            *zip(words[star + 1 :], ((n,) for n in shape[len(shape) - behind :])),
        ]
    for word, size in pairs:
        if word.isdigit():
            if int(word) != size[0]:
                return False
        elif word != "_" and (known | new).setdefault(word, size) != size:
            return False
        else:
            new.setdefault(word, size)
    known |= new
    return True


def _in_words(words: Sequence[str], known: Mapping[str, tuple[int, ...]]) -> str:
    parts = []
    for word in words:
        name = word.lstrip("*+~")
        if word == "...":
            parts.append("...")
        elif word[0] == "~":
            n = len(known.get(name, ()))
            parts.append(f"{n} size{'s' if n != 1 else ''}" if name in known else "sizes")
        elif word[0] in "*+":
            parts += (
                map(str, known[name])
                if name in known
                else [f"{'one or more' if word[0] == '+' else 'any'} {name}"]
            )
        else:
            parts.append(f"{name}={known[name][0]}" if name in known and not name.isdigit() else name)
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _hint(
    words: Sequence[str], shape: tuple[int, ...], known: Mapping[str, tuple[int, ...]], path: str
) -> str:
    if (
        words[:1] == ["batch"]
        and "." not in path
        and _fits(["batch", *words[1:]], (1, *shape), dict(known) | {"batch": (1,)})
    ):
        return f"; without its batch axis? {path}[None] has one"
    return ""
