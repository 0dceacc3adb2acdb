"""What a case is: a network, what it does, on which data, and who takes part. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scripts.bench.networks import Network

CHECK_STEPS = 5
"""How many first steps must give the same losses before anything is timed."""

TOLERANCE = 1e-4
"""Largest relative difference of those losses, or of the answers of a case without training."""

BEAMS = 5
"""Hypotheses kept by the beam search."""

BUCKETS = 8
"""Padded shapes, at most, that ours computes images of different sizes in."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network trained by Adam (b1 0.9, b2 0.999, eps 1e-8), or only asked for answers.

    Attributes:
      name: as on the command line.
      title: for the report.
      network: what computes.
      task: "train", "answer" (the probabilities of each class), or what a `Seq2Seq` writes by itself,
        "greedy" or by "beam" search.
      data: of a network of vectors, sequences or images: "teacher" (random numbers, labeled by a linear
        teacher), "xor" or "digits". Other networks have data of their own.
      output: "softmax" (−log p of a category) or "sigmoid" (one unit, −log p of a Bernoulli).
      batch: examples a step, of each member.
      learning_rate: of Adam.
      examples: rows of the data set.
      members: networks trained side by side, 0 for one plain network.
      unit: of the rate.
      variants: who takes part, the reference first.
      note: for the report, what else is to be known.
      sweep: a title, under which the report puts the cases that have it into one table.
    """

    name: str
    title: str
    network: Network
    task: Literal["train", "answer", "greedy", "beam"] = "train"
    data: Literal["teacher", "xor", "digits"] = "teacher"
    output: Literal["softmax", "sigmoid"] = "softmax"
    batch: int
    learning_rate: float = 1e-3
    examples: int
    members: int = 0
    unit: Literal["examples/s", "steps/s", "nodes/s"] = "examples/s"
    variants: tuple[str, ...]
    note: str = ""
    sweep: str = ""

    @property
    def trains(self) -> bool:
        """Whether there are updates; else all examples are answered again and again."""
        return self.task == "train"
