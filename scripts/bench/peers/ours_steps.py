"""dlnotes' network without its engine: a jitted, donated step in a Python loop, as in `flax_linen`."""

from __future__ import annotations

import jax

from dlnotes.devices.compiler import compiler_options
from scripts.bench.interface import Data, Setup, Variant, Weights
from scripts.bench.peers import flax_linen
from scripts.bench.peers.ours_networks import build, initial
from scripts.bench.spec import Case


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The model of `ours`, the optimizer and the loop of `flax_linen`; of convolutions."""
    model = build(case.network)
    params = jax.tree.map(jax.numpy.asarray, initial(case.network, model, weights))
    return flax_linen.loop(case, data, model.apply, params, compiler_options(convolutions=True))


VARIANTS: dict[str, Setup] = {"ours_steps": setup}
