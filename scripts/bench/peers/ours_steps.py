"""dlnotes' network without its engine: a jitted, donated step in a Python loop, as in `flax_loop`."""

from __future__ import annotations

import jax

from dlnotes.devices.compile import compiler_options
from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.ours import given, network
from scripts.bench.variants import flax_loop


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The model of `ours`, the optimizer and the loop of `flax_loop`."""
    model = network(case)
    like = jax.eval_shape(jax.vmap(model.init), jax.random.split(jax.random.key(0), 1))
    params = jax.tree.map(lambda a: jax.numpy.asarray(a[0]), given(case, like, weights))
    return flax_loop.loop(case, data, model.apply, params, compiler_options(convolutions=True))
