"""The report of each class as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def class_lines(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A line of headings and a line a class, columns one below another; measures in per cent.

    Args:
      header: "class", "examples" or "pixels", then each measure with its low and high end.
      rows: a class each.

    Example:
      >>> header = ["class", "examples", "f1", "f1_low", "f1_high"]
      >>> class_lines(header, [["a", 5, 0.5, 0.4, 0.6]])
      ['class  examples  F1 (%)', 'a             5  50.0 (40.0–60.0)']
    """
    measures = header[2::3]
    words = {"f1": "F1", "iou": "intersection over union"}
    table = [[*header[:2], *(f"{words.get(name, name)} (%)" for name in measures)]]
    for row in rows:
        cells = [str(row[0]), str(row[1])]
        for mean, low, high in zip(row[2::3], row[3::3], row[4::3]):
            text = "none" if mean is None else f"{100 * mean:.1f}"
            cells.append(text if low is None else f"{text} ({100 * low:.1f}–{100 * high:.1f})")
        table.append(cells)
    widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
    return [
        "  ".join(c.rjust(w) if j == 1 else c.ljust(w) for j, (c, w) in enumerate(zip(row, widths))).rstrip()
        for row in table
    ]
