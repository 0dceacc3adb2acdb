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
# Any flax module, linen or nnx, becomes a few pure functions, and is then trained by the same road as the
# networks of the library: many seeds at once, a run folder, checkpoints, figures, evaluation.

# %%
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

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


def show(result):
    accuracy = result.metrics["test"]["accuracy"]
    print(f"test accuracy {accuracy['mean']:.1%}, each seed: {[round(v, 4) for v in accuracy['values']]}")


result = dlnotes.run(config, model=model, keep=False)
show(result)

# %% [markdown]
# The trained parameters are a flax tree again.

# %%
test = result.dataset.split("test")
logits = model.apply(result.params(member=0), jnp.asarray(test.x[:5]))
print("predicted", jnp.argmax(logits, -1), "true", test.y[:5])

# %% [markdown]
# ## nnx, and batch normalization
#
# An nnx module holds its parameters from the beginning, so `from_flax` takes what *makes* one from `rngs`:
# each seed then draws its own. `train()` and `eval()` need not be named.


# %%
class Normalized(nnx.Module):
    """A convolution with batch normalization, and dropout."""

    def __init__(self, channels, *, rngs):
        self.conv = nnx.Conv(1, channels, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(channels, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.output = nnx.Linear(16 * channels, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (2, 2), (2, 2))
        return self.output(self.dropout(x.reshape(x.shape[0], -1)))


model = models.from_flax(lambda rngs: Normalized(16, rngs=rngs), jnp.zeros((1, 8, 8, 1)))
print(jax.tree.map(jnp.shape, model.init(jax.random.key(0))))

# %% [markdown]
# What is learned and what is only kept stand apart: no optimizer, decay or gradient norm sees the running
# averages. Training normalizes by the batch (each part of a divided one by itself, their averages averaged),
# evaluation by the running averages; a linen module does the same with its "batch_stats".

# %%
result = dlnotes.run(config, model=model, keep=False)
show(result)
print(result.params(member=0).state["norm"]["mean"].round(2))
