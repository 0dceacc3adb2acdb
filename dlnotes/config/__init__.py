"""The config of a run: TOML, checked as a whole before anything else happens.

Nothing here imports jax, so that a mistake is answered at once.
"""

from dlnotes.config.claim import ClaimConfig
from dlnotes.config.config import Config, json_schema
from dlnotes.config.sweep import Point, dynamic_paths, points
from dlnotes.config.toml import is_claim, load, parse, read_raw, to_toml, toml_value
from dlnotes.config.validation import ConfigError, validate_as

__all__ = [
    "ClaimConfig",
    "Config",
    "ConfigError",
    "Point",
    "dynamic_paths",
    "is_claim",
    "json_schema",
    "load",
    "parse",
    "points",
    "read_raw",
    "to_toml",
    "toml_value",
    "validate_as",
]
