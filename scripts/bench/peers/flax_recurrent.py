"""The recurrent networks of the flax variant: ``nn.RNN`` over its own cells."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from scripts.bench.inputs import Weights
from scripts.bench.kinds import Case

CELLS = {"rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
GATE_NAMES = {"rnn": [""], "lstm": ["i", "f", "o", "g"], "gru": ["r", "z", "n"]}
"""Of flax, in the order of the weights."""


class LastState(nn.Module):
    """The network of a recurrent case."""

    case: Case

    @nn.compact
    def __call__(self, x):
        _, _, hidden, classes = self.case.sizes
        h: Any = nn.RNN(CELLS[self.case.kind](hidden, name="cell"))(x)
        return nn.Dense(classes, name="readout")(h[:, -1])


def params_of(case: Case, weights: Weights) -> dict:
    """The parameters of `LastState`: one bias a gate, which flax has on the input's side or the state's."""
    (U, b), (W, d), (V, c) = weights
    names = GATE_NAMES[case.kind]
    cell = {}
    for name, u, w, b_in, b_state in zip(names, *(np.split(a, len(names), axis=-1) for a in (U, W, b, d))):
        inputs, state = {"kernel": jnp.asarray(u)}, {"kernel": jnp.asarray(w)}
        if case.kind == "lstm":
            state["bias"] = jnp.asarray(b_in + b_state)
        elif name == "n":
            inputs["bias"], state["bias"] = jnp.asarray(b_in), jnp.asarray(b_state)
        else:
            inputs["bias"] = jnp.asarray(b_in + b_state)
        cell |= {f"i{name}": inputs, f"h{name}": state}
    return {"cell": cell, "readout": {"kernel": jnp.asarray(V), "bias": jnp.asarray(c)}}
