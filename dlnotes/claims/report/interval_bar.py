"""A measured interval against the threshold that decides, drawn as a small SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from dlnotes.claims.report.wording import rule_text, zone_of
from dlnotes.formatting import effect_text, number

WIDTH, HEIGHT = 320, 50
_LEFT, _RIGHT, _AXIS = 10.0, 310.0, 24.0


def interval_bar(effect: Mapping[str, Any], rule: str) -> str:
    """SVG of a value, its interval and the shaded zone in which the claim holds.

    Args:
      effect: value, low, high; ``None`` where a number is not finite.
      rule: as a record prints it.

    Returns:
      "" when there is nothing that could be drawn.
    """
    zone = zone_of(rule)
    thresholds = sorted({t for t in zone if math.isfinite(t)}) if zone else []
    value = effect.get("value")
    measured = [
        v for v in (effect.get("low"), value, effect.get("high")) if v is not None and math.isfinite(v)
    ]
    if not measured:
        return ""
    at = _scale([*measured, *thresholds])
    drawn = [f'<line class="axis" x1="{_LEFT}" y1="{_AXIS}" x2="{_RIGHT}" y2="{_AXIS}"/>']
    if zone:
        left, right = at(zone.low), at(zone.high)
        width = max(right - left, 1)
        drawn.insert(0, f'<rect class="zone" x="{left:.1f}" y="6" width="{width:.1f}" height="18"/>')
    for threshold in thresholds:
        x = at(threshold)
        drawn.append(f'<line class="threshold" x1="{x:.1f}" y1="3" x2="{x:.1f}" y2="34"/>')
    drawn += [_label(at(t), number(t)) for t in thresholds[:1]]
    if len(thresholds) == 2:
        apart = max(at(thresholds[1]), at(thresholds[0]) + 60)
        drawn.append(_label(min(apart, _RIGHT), number(thresholds[1])))
    low, high = at(min(measured)), at(max(measured))
    if high - low > 1:
        drawn.append(f'<line class="interval" x1="{low:.1f}" y1="16" x2="{high:.1f}" y2="16"/>')
        drawn += [f'<line class="cap" x1="{x:.1f}" y1="11" x2="{x:.1f}" y2="21"/>' for x in (low, high)]
    if value in measured:
        drawn.append(f'<circle class="value" cx="{at(value):.1f}" cy="16" r="4"/>')
    words = escape(f"{effect_text(effect)}; {rule_text(rule)}", quote=True)
    shapes = "".join(drawn)
    return f'<svg class="bar" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">{shapes}</svg>'


def _scale(values: list[float]) -> Any:
    low, high = min(values), max(values)
    span = high - low or max(abs(low), 1e-300)
    low, high = low - 0.12 * span, high + 0.12 * span

    def at(value: float) -> float:
        if math.isinf(value):
            return _RIGHT if value > 0 else _LEFT
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    return at


def _label(x: float, words: str) -> str:
    x = min(max(x, _LEFT + 14), _RIGHT - 14)
    return f'<text x="{x:.1f}" y="46" text-anchor="middle">{escape(words)}</text>'
