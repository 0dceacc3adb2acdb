"""What ours must reach, and whose first step is timed. Standard library only."""

from __future__ import annotations

from typing import Literal, NamedTuple

from scripts.bench.cases import REFERENCE

FIRST_STEP = "first_step"
"""Name of the measure on the command line and in the results."""

FIRST_STEP_CASES = ("mlp_large", "cnn", "lstm_64", "attention", "tree")
FIRST_STEP_VARIANTS = (REFERENCE, "torch_levels", "torch_compile", "keras_fit", "flax_loop", "ours")


class Bar(NamedTuple):
    """What ours must reach on ``case``.

    Attributes:
      case: name of the case.
      kind: "ratio" is ours over ``peer`` in paired rounds and must be at least ``value``; "seconds"
        is the first step of ours with a warm cache and must be at most ``value``.
      peer: the variant compared with ("" for seconds).
      value: the bar.
    """

    case: str
    kind: Literal["ratio", "seconds"]
    peer: str
    value: float


BARS = (
    Bar("xor", "ratio", REFERENCE, 400),
    Bar("mlp_small", "ratio", REFERENCE, 20),
    Bar("mlp_large", "ratio", REFERENCE, 1.4),
    Bar("cnn", "ratio", REFERENCE, 1.25),
    Bar("rnn_64", "ratio", REFERENCE, 2.0),
    Bar("rnn_512", "ratio", REFERENCE, 2.0),
    Bar("lstm_64", "ratio", REFERENCE, 1.0),
    Bar("lstm_512", "ratio", REFERENCE, 1.25),
    Bar("attention", "ratio", REFERENCE, 2.1),
    Bar("tree", "ratio", REFERENCE, 30),
    Bar("tree", "ratio", "torch_levels", 1.6),
    Bar("seeds32", "ratio", REFERENCE, 35),
    Bar("seeds32", "ratio", "torch_bmm", 3),
    Bar("mlp_large", "seconds", "", 0.7),
    Bar("cnn", "seconds", "", 0.7),
    Bar("lstm_64", "seconds", "", 0.7),
    Bar("attention", "seconds", "", 0.7),
    Bar("tree", "seconds", "", 0.7),
)
