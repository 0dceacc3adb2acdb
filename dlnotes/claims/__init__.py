"""Claims: data that say what is held to be true, how it is measured and what decides; and their records."""

from dlnotes.claims.claim import Claim, Measured, Options, Part, Plot
from dlnotes.claims.learned import Learned, Level, Machine, Plateau
from dlnotes.claims.rules import VERDICTS, Above, Below, Rule, Verdict, Within
from dlnotes.claims.sources import Source, book, notes, ours, paper
from dlnotes.claims.statistics import (
    Interval,
    exact,
    mean,
    median,
    over_cases,
    paired,
    ratio,
    resplit,
    share,
    share_of_groups,
)

__all__ = [
    "VERDICTS",
    "Above",
    "Below",
    "Claim",
    "Interval",
    "Learned",
    "Level",
    "Machine",
    "Measured",
    "Options",
    "Part",
    "Plateau",
    "Plot",
    "Rule",
    "Source",
    "Verdict",
    "Within",
    "book",
    "exact",
    "mean",
    "median",
    "notes",
    "ours",
    "over_cases",
    "paired",
    "paper",
    "ratio",
    "resplit",
    "share",
    "share_of_groups",
]
