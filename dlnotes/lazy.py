"""Packages that load a module with the first name that needs it.

Only where importing a package must not load jax: `dlnotes` itself, `data`, `devices` and `experiment`. Every
other package imports its names as usual. A lazy package writes the same imports under ``TYPE_CHECKING``, so
that editors and pyright know each name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, home: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
      package: its ``__name__``.
      home: public name to the module that holds it, ``"module"`` or, where it has another name there,
        ``"module:name"``; an empty name after the colon is the module itself. Modules count from the package.

    Raises:
      AttributeError: by ``__getattr__``, for a name that is not in ``home``.
    """

    def getattribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, colon, attribute = home[name].partition(":")
        found = import_module(f"{package}.{module}")
        return found if colon and not attribute else getattr(found, attribute or name)

    return getattribute, lambda: sorted({*home, *vars(sys.modules[package])})
