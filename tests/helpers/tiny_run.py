"""The config of a small run, which the tests of this folder vary."""

from typing import Any


def tiny(directory, **sections: Any) -> dict[str, Any]:
    """A config mapping of a small run: two moons, a small network, three seeds."""
    base = {
        "name": "tiny",
        "data": {"kind": "two_moons", "n": 60},
        "model": {"kind": "mlp", "widths": [5], "dropout": 0.2},
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "training": {"duration": "30 steps", "batch_size": 16, "seeds": 3, "log_every": 4, "ema": 0.9},
        "devices": {"strategy": "single"},
        "output": {"figures": False, "directory": str(directory)},
    }
    merged = {k: ({**base[k], **v} if isinstance(base.get(k), dict) else v) for k, v in sections.items()}
    return base | merged
