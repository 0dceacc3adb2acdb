"""The config of a run: TOML, checked as a whole before anything else happens.

Nothing here imports jax, so that a mistake is answered at once.
"""

from dlnotes.experiment.config.checking import ConfigError
from dlnotes.experiment.config.reading import load, parse, to_toml
from dlnotes.experiment.config.root import Config, json_schema
from dlnotes.experiment.config.sweeping import Point, dynamic_paths, points

__all__ = [
    "Config",
    "ConfigError",
    "Point",
    "dynamic_paths",
    "json_schema",
    "load",
    "parse",
    "points",
    "to_toml",
]
