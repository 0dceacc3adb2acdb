"""The config of a run: TOML, checked as a whole before anything else happens.

Nothing here imports jax, so that a mistake is answered at once.
"""

from dlnotes.experiment.config.checking import ConfigError, validate_as
from dlnotes.experiment.config.claims import ClaimConfig
from dlnotes.experiment.config.reading import is_claim, load, parse, read_raw, to_toml
from dlnotes.experiment.config.root import Config, json_schema
from dlnotes.experiment.config.sweeping import Point, dynamic_paths, points

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
    "validate_as",
]
