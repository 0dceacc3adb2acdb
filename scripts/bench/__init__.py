"""Benchmarks of dlnotes against its peers: ``python scripts/bench/run.py --help``."""
