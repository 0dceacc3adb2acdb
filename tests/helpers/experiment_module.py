"""An experiment module by its name, for tests of its own functions."""

import sys
from pathlib import Path
from types import ModuleType

from dlnotes.claims.load import load_claim

FOLDER = Path(__file__).resolve().parents[2] / "experiments"


def experiment(name: str) -> ModuleType:
    """Such as ``experiment("feedforward/xor_starts")``."""
    claim = load_claim(FOLDER, FOLDER / f"{name}.py", source=name)
    return sys.modules[claim.measure.__module__]
