"""A config for a person's own files: what they are taken for, and what is trained on them."""

from dlnotes.experiment.new_config.new import Written, new_config

__all__ = ["Written", "new_config"]
