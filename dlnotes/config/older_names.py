"""Names that options had before: configs and run folders that bear them are still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPTIONS = {"data": {"least": "min_count", "measured": "eval_targets"}}
"""Section → option's name before → name now."""

KINDS = {"pixel_labeller": "pixel_labeler", "sequence_labeller": "sequence_labeler"}
"""Value of ``model.kind`` before → value now."""


def with_present_names(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A config as read, its older names replaced by those of today; what it is given is left as it is.

    Example:
      >>> with_present_names({"model": {"kind": "pixel_labeller"}, "data": {"least": 3}})
      {'model': {'kind': 'pixel_labeler'}, 'data': {'min_count': 3}}
    """
    found = dict(raw)
    for section, names in OPTIONS.items():
        if isinstance(options := found.get(section), Mapping):
            found[section] = {names.get(key, key): value for key, value in options.items()}
    model = found.get("model")
    if isinstance(model, Mapping) and isinstance(kind := model.get("kind"), str):
        found["model"] = {**model, "kind": KINDS.get(kind, kind)}
    return found
