"""Claims: data that say what is held to be true, how it is measured and what decides; and their records."""

from dlnotes.claims.claim import Claim, Measured, Options, Part, Plot
from dlnotes.claims.rules import VERDICTS, Above, Below, Rule, Verdict, Within
from dlnotes.claims.statistics import Interval, exact, mean, median, paired, ratio, share

__all__ = [
    "VERDICTS",
    "Above",
    "Below",
    "Claim",
    "Interval",
    "Measured",
    "Options",
    "Part",
    "Plot",
    "Rule",
    "Verdict",
    "Within",
    "exact",
    "mean",
    "median",
    "paired",
    "ratio",
    "share",
]
