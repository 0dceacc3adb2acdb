# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Train your own flax module
#
# Any flax linen module becomes a pair of pure functions, and is then trained by the same road as the
# networks of the library: many seeds at once, a run folder, checkpoints, figures, evaluation.

# %%
import flax.linen as nn
import jax
import jax.numpy as jnp

import dlnotes
from dlnotes import models
from dlnotes.config import parse


class Net(nn.Module):
    """Two convolutions and dropout, as one writes it in flax."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.relu(nn.Conv(16, (3, 3))(x))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(32, (3, 3))(x))
        x = nn.Dropout(0.25, deterministic=not train)(x)
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


# %% [markdown]
# `from_flax` needs an example input, and the name of the argument that switches dropout on.

# %%
model = models.from_flax(Net(), jnp.zeros((1, 8, 8, 1)), train_argument="train")
params = model.init(jax.random.key(0))
print(jax.tree.map(jnp.shape, params))

# %% [markdown]
# The rest is a config, here written in Python. `kind = "given"` says where the network comes from.

# %%
config = parse(
    {
        "name": "flax_module",
        "data": {"kind": "digits"},
        "model": {"kind": "given"},
        "optimizer": {"kind": "adam", "learning_rate": 3e-3, "schedule": {"kind": "cosine"}},
        "training": {"duration": "12 epochs", "batch_size": 32, "seeds": 2},
        "augment": {"shift": 1},
    }
)
result = dlnotes.run(config, model=model, keep=False)
accuracy = result.metrics["test"]["accuracy"]
print(f"test accuracy {accuracy['mean']:.1%}, each seed: {[round(v, 4) for v in accuracy['values']]}")

# %% [markdown]
# The trained parameters are a flax tree again.

# %%
test = result.dataset.split("test")
logits = model.apply(result.params(member=0), jnp.asarray(test.x[:5]))
print("predicted", jnp.argmax(logits, -1), "true", test.y[:5])
