"""One module per peer, each with ``setup(case, weights, data) -> Variant``."""
