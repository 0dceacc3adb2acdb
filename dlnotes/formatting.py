"""Numbers, intervals and durations as text."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
"""One measured claim, as the summary of its run holds it."""


_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, in powers of ten when far from one.

    Args:
      value: ``None`` and NaN read "not a number", as does an infinity that JSON could not hold.
      digits: significant digits, at least one.

    Example:
      >>> number(0.61234), number(2.5e-9), number(40960.0), number(-3.0), number(None)
      ('0.6123', '2.5 × 10⁻⁹', '40960', '−3', 'not a number')
    """
    if value is None or math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if -4 <= power < 6:
        places = max(0, digits - 1 - power)
        return _decimal(value, places)
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")


def effect_text(effect: Record) -> str:
    """A value with its interval, to as many places as the interval allows.

    Example:
      >>> effect_text({"value": 0.61234, "low": 0.5912, "high": 0.6203})
      '0.612 [0.591, 0.620]'
      >>> effect_text({"value": 0.25, "low": 0.25, "high": 0.25})
      '0.25'
    """
    value, low, high = effect.get("value"), effect.get("low"), effect.get("high")
    if value is None or low == high:
        return number(value)
    if low is None or high is None:
        return f"{number(value)} [no finite interval]"
    width, largest = high - low, max(abs(low), abs(high))
    if not math.isfinite(width):
        return f"{number(value)} [{number(low)}, {number(high)}]"
    if width >= 1e-4 and largest < 1e6:
        places = max(0, 1 - math.floor(math.log10(width)))
        return f"{_fixed(value, places)} [{_fixed(low, places)}, {_fixed(high, places)}]"
    digits = min(8, max(3, 2 + math.floor(math.log10(largest)) - math.floor(math.log10(width))))
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def effect_note(effect: Record) -> str:
    """How an effect was obtained: its method, and from how many measurements."""
    method, n = str(effect.get("method") or ""), effect.get("n")
    return f"{method}, n = {n}" if n and n > 1 else method


def _decimal(value: float, places: int) -> str:
    text = _fixed(value, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fixed(value: float, places: int) -> str:
    text = f"{value:.{places}f}".replace("-", "−")
    return text[1:] if text.startswith("−") and not text.strip("−0.") else text


SHARES = frozenset({"accuracy", "exact_match", "mean_iou", "boundary_f", "one_path_accuracy"}) | {
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "macro_f1",
    "micro_f1",
    "label_accuracy",
    "balanced_accuracy",
    *(f"{name}_at_threshold" for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1")),
}
"""Metrics of which larger is better, shown in per cent."""


PERCENT = SHARES | {
    "token_error",
    "sequence_error",
    "experts_used",
    "leaves_used",
    "saved_work",
    "calibration_error",
    "interval_coverage",
    "interval_nominal",
    "seeds_coverage",
}
"""Metrics that are shown in per cent."""


LARGER = SHARES | {"bleu", "chrf", "r2", "auc"}
"""Metrics of which larger is better."""


def bare_metric(metric: str) -> str:
    """A metric's name without that of its task, "digit.accuracy" → "accuracy"."""
    return metric.rpartition(".")[2]


_WORDS = {
    "entity_f1": "entity F1",
    "r2": "R²",
    "auc": "AUC",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "f1_at_threshold": "F1 at threshold",
}


def metric_in_words(metric: str, measured: Iterable[str] = ()) -> str:
    """A metric's name, with what it is of where that is not the data's own units.

    Args:
      metric: its name.
      measured: the names of all that was measured with it.

    Example:
      >>> metric_in_words("r2"), metric_in_words("loss", ["loss", "standardized_absolute_error"])
      ('R²', 'loss (standardized target)')
    """
    task, dot, name = metric.rpartition(".")
    standardized = f"{task}{dot}standardized_absolute_error" in measured
    of = " (standardized target)" if name == "loss" and standardized else ""
    return task + dot + _WORDS.get(name, name.replace("_", " ")) + of


def value_in_words(metric: str, value: float | None) -> str:
    """``"98.47%"`` for a share, four digits for anything else, ``"none"`` without a value."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"{100 * value:.2f}%" if bare_metric(metric.split()[-1]) in PERCENT else f"{value:.4g}"


def measured_in_words(metric: str, measured: Mapping[str, Any]) -> str:
    """A mean over seeds with its interval.

    Args:
      metric: its name, which decides the unit.
      measured: as made by `dlnotes.experiment.intervals.mean_interval`.

    Returns:
      ``"98.47% (95% interval 98.16–98.77, 8 seeds)"``, ``"98.47% (1 seed)"`` or
      ``"98.47% (1 seed, 2 failed)"``.
    """
    count = sum(v is not None and math.isfinite(v) for v in measured["values"])
    seeds = f"{count} seed{'' if count == 1 else 's'}"
    if failed := len(measured["values"]) - count:
        seeds += f", {failed} failed"
    text = value_in_words(metric, measured["mean"])
    if measured["low"] is None:
        return f"{text} ({seeds})"
    return f"{text} (95% interval {interval_in_words(metric, measured)}, {seeds})"


def interval_in_words(metric: str, measured: Mapping[str, Any]) -> str:
    """``"98.16–98.77"``, "" where there is none."""
    if measured["low"] is None:
        return ""
    low, high = (value_in_words(metric, measured[k]).rstrip("%") for k in ("low", "high"))
    return f"{low}{'–' if measured['low'] >= 0 else ' to '}{high}"


def choice_in_words(value: Any) -> str:
    """A swept value, short."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(choice_in_words(v) for v in value) if isinstance(value, (list, tuple)) else str(value)


def duration_in_words(seconds: float) -> str:
    """``"9.3 s"``, ``"4 min 05 s"``, ``"2 h 10 min"``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def in_shell(path: Path) -> str:
    """A path as a shell's command takes it: quoted where it must be, and never an option.

    Example:
      >>> in_shell(Path("runs/a")), in_shell(Path("runs [2]/a")), in_shell(Path("-runs/a"))
      ('runs/a', "'runs [2]/a'", './-runs/a')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
