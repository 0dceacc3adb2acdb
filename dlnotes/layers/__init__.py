"""Pure functions of arrays: the layers from which the models are put together.

Each name is loaded on first use. To add one, add a line to ``_HOME``: public name, module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    # activations
    "ACTIVATIONS": "activations",
    "absolute": "activations",
    "activation": "activations",
    "elu": "activations",
    "gelu": "activations",
    "hard_tanh": "activations",
    "identity": "activations",
    "leaky_relu": "activations",
    "prelu": "activations",
    "relu": "activations",
    "sigmoid": "activations",
    "silu": "activations",
    "softplus": "activations",
    "tanh": "activations",
    # initializers
    "INITIALIZERS": "initializers",
    "initializer": "initializers",
    # dense
    "Dense": "dense_layer",
    "dense": "dense_layer",
    "init_dense": "dense_layer",
    # maxout
    "maxout": "maxout_unit",
    "dense_maxout": "maxout_unit",
    # convolution
    "Convolution": "convolution",
    "conv": "convolution",
    "convolve": "convolution",
    "init_convolution": "convolution",
    # pooling
    "avg_pool": "pooling",
    "global_avg_pool": "pooling",
    "l2_pool": "pooling",
    "max_pool": "pooling",
    # random
    "dropout": "random",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
