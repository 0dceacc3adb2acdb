"""Finds a variant by its name, and imports no other peer."""

from __future__ import annotations

import difflib
import importlib

from scripts.bench.cases import VARIANTS
from scripts.bench.interface import Setup

MODULES = {
    "torch": "pytorch",
    "keras": "keras_jax",
    "flax": "flax_linen",
    "ours": "ours",
    "ours_steps": "ours_steps",
}
"""The module in `scripts.bench.peers` of the variants whose names begin so: the longest beginning counts."""

OTHER_PYTHON = ("torch", "keras")
"""Beginnings that are libraries which dlnotes does not depend on: they run under ``--torch-python``."""


def module_of(variant: str) -> str:
    """The name of the module that runs a variant.

    Raises:
      ValueError: when no case names this variant, with the nearest that one names.
    """
    if variant not in VARIANTS:
        near = difflib.get_close_matches(variant, VARIANTS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"variant: got {variant!r}{hint} (allowed: {', '.join(VARIANTS)})")
    beginning = max((name for name in MODULES if variant.startswith(name)), key=len)
    return f"scripts.bench.peers.{MODULES[beginning]}"


def find(variant: str) -> Setup:
    """What runs a variant; `ValueError` as in `module_of`."""
    return importlib.import_module(module_of(variant)).VARIANTS[variant]
