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
# # Representations without labels
#
# A restricted Boltzmann machine watched while it learns; a deep autoencoder against principal components;
# a deep belief net's samples; and few labels with and without pretraining. All on digits of 8 × 8 pixels.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from dlnotes import data, models, outputs, pretraining, training

EPOCHS, STEPS = 30, 2500
digits = data.load("digits", standardize=False)
labels, train_labels = digits.split("test").y, digits.train.y
digits = data.inputs_as_targets(digits)  # y is x, flattened
x, x_test = digits.train.y, digits.split("test").y
print(x.shape, x_test.shape)


def show(axes, images):
    """Images of 8 × 8 pixels, from the smallest value to the largest."""
    for one, image in zip(axes, images):
        one.imshow(image.reshape(8, 8), cmap="gray")
        one.set(xticks=[], yticks=[])


# %% [markdown]
# # A machine watched while it learns
#
# `pretraining.train` takes some of the steps and goes on from where it stopped. With 16 hidden units the
# likelihood is exact: all states of the hidden side are added up.

# %%
machine, moments, state = pretraining.rbm(16), [0, EPOCHS // 6, EPOCHS // 2, EPOCHS], None
bits = (x_test > 0.5).astype(np.float32)
watched = []
for before, now in zip([0, *moments], moments):
    per_epoch = -(-len(x) // 50)
    layer = pretraining.train(
        machine, x, seeds=[0], epochs=EPOCHS, batch_size=50, state=state, steps=(now - before) * per_epoch
    )
    state, params = layer.state, pretraining.member_of([layer.encoder], 0)[0].params
    likelihood = pretraining.log_likelihood(params, bits).mean()
    chains = pretraining.sample(params, jax.random.key(1), chains=8, steps=500)
    watched.append((np.asarray(params.W.T), np.asarray(chains.means[-1])))
    print(f"after {now:2} epochs: {likelihood:.1f} nats for each test image")

# %% [markdown]
# Above, what eight of the units look for; below, what eight chains give after 500 steps from random bits.

# %%
figure, panels = plt.subplots(2 * len(moments), 8, figsize=(7, 1.8 * len(moments)))
for (filters, fantasies), rows, now in zip(watched, panels.reshape(len(moments), 2, 8), moments):
    show(rows[0], filters)
    show(rows[1], fantasies)
    rows[0, 0].set_ylabel(f"{now} epochs", rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# # A deep autoencoder against principal components
#
# A stack of layers, each learned without labels on what the one below it gives, is unrolled: the stack as
# encoder, its mirror image as decoder. Then all of it is trained together to give back its own input. The
# rival is PCA with as many numbers, the best that a linear map and its transpose can do.

# %% [markdown]
# Two restricted Boltzmann machines, then a linear layer of two units for the code. Two seeds at once.

# %%
learners = [
    pretraining.rbm(128),
    pretraining.rbm(64),
    pretraining.autoencoder(2, activation="identity", optimizer="adam", learning_rate=1e-3),
]
stack = pretraining.greedy(learners, x, seeds=range(2), epochs=EPOCHS, batch_size=50)
net = pretraining.unroll(stack)
before = pretraining.squared_errors(net.halves, net.params, x_test).mean(-1)
print("squared error of a test image before fine-tuning, by seed:", before.round(2))

# %% [markdown]
# Fine-tuning is the library's usual training, from these parameters, with the inputs as targets.

# %%
recipe = training.Recipe(net.model, outputs.bernoulli_nll, {}, training.optimizer("adam", 2e-3))
fit = training.fit(
    recipe, data.Examples(x, x), steps=STEPS, batch_size=50, seeds=range(2), start=net.params, record=25
)
after = pretraining.squared_errors(net.halves, fit.params, x_test).mean(-1)
pca = PCA(2).fit(x)
linear = pca.inverse_transform(pca.transform(x_test))
rival = np.square(linear - x_test).sum(1).mean()
print(f"deep autoencoder {after.round(2)}, two principal components {rival:.2f}")

# %%
shown = pretraining.by_blocks(net.halves.reconstruct, fit.params, x_test[:10])[0]
rows = {"original": x_test[:10], "autoencoder": shown, "PCA": linear[:10]}
figure, panels = plt.subplots(3, 10, figsize=(10, 3.4))
for (name, images), line in zip(rows.items(), panels):
    for axes, image in zip(line, images):
        axes.imshow(image.reshape(8, 8), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
plt.show()

# %% [markdown]
# The codes as a map. Colors are the classes, which nothing here has seen.

# %%
codes = pretraining.by_blocks(net.halves.encode, fit.params, x_test)[0]
figure, panels = plt.subplots(1, 2, figsize=(10, 4.6))
maps = {"deep autoencoder": codes, "two principal components": pca.transform(x_test)}
for axes, (name, points) in zip(panels, maps.items()):
    drawn = axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="tab10", s=12)
    axes.set_title(name)
figure.colorbar(drawn, ax=panels, label="class")
plt.show()

# %% [markdown]
# # Samples from the chains over time
#
# The two machines are a deep belief net: Gibbs steps between the two top layers, and one pass down for each
# picture. The chains, one a row, start at test images and leave them as time goes by.

# %%
belief_net = pretraining.deep_belief_net.belief_net(pretraining.member_of(stack[:2], 0))
dreams = pretraining.deep_belief_net.chains_over_time(
    belief_net, jax.random.key(0), chains=6, snapshots=12, every=5, start=x_test[:6]
)
figure, panels = plt.subplots(6, 12, figsize=(9, 4.6))
for line, chain in zip(panels, np.swapaxes(dreams, 0, 1)):
    for axes, image in zip(line, chain):
        axes.imshow(image.reshape(8, 8), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
figure.suptitle("after 0, 5, 10 … steps")
plt.show()

# %% [markdown]
# # Few labels, with and without pretraining
#
# Five images of each class have a label. One network starts at random, one from two machines that have seen
# all training images without labels. Both are fine-tuned alike; ten seeds, each with labels of its own.

# %%
SEEDS = range(10)


def labeled(seed):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.choice(np.flatnonzero(train_labels == c), 5, replace=False) for c in range(10)]
    )


rows = np.stack([labeled(seed) for seed in SEEDS])
few = data.Examples(x[rows], train_labels[rows])  # (seeds, 50, 64) and (seeds, 50)
stack = pretraining.greedy(
    [pretraining.rbm(128), pretraining.rbm(128)], x, seeds=SEEDS, epochs=EPOCHS, batch_size=50
)
model, pretrained = pretraining.to_mlp(stack, 10)
random = models.mlp(64, (128, 128), 10, activation="sigmoid", initializer="glorot_uniform")
for name, net, start in (("random start", random, None), ("pretrained", model, pretrained)):
    recipe = training.Recipe(net, outputs.cross_entropy, {}, training.optimizer("adam", 2e-3))
    fit = training.fit(
        recipe, few, steps=STEPS // 5, batch_size=50, seeds=SEEDS, start=start, data_per_member=True
    )
    logits = jax.vmap(net.apply, in_axes=(0, None))(fit.params, x_test)
    errors = 100 * (np.asarray(logits).argmax(-1) != labels).mean(-1)
    print(f"{name}: {errors.mean():.1f}% of the test images wrong, {errors.min():.1f} to {errors.max():.1f}")
