"""From a config file to a run folder, and from a run folder to its use."""
