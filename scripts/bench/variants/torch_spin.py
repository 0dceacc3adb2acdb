"""PyTorch eager with its threads' own waiting policy (they spin for a while before they sleep).

The other variants sleep at once (``OMP_WAIT_POLICY=PASSIVE``), which is steadier and may cost eager PyTorch
something where its parallel regions are short. On a machine that does anything else meanwhile, spinning is
slower by far.
"""

from __future__ import annotations

from scripts.bench.variants.torch_eager import setup

__all__ = ["setup"]
