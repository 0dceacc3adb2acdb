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
# # A deep autoencoder against principal components
#
# A stack of layers, each learned without labels on what the one below it gives, is unrolled: the stack as
# encoder, its mirror image as decoder. Then all of it is trained together to give back its own input. The
# rival is PCA with as many numbers, the best that a linear map and its transpose can do.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from dlnotes import data, outputs, pretraining, training

EPOCHS, STEPS = 30, 2500
digits = data.load("digits", standardize=False)
labels = digits.split("test").y
digits = data.inputs_as_targets(digits)  # y is x, flattened
x, x_test = digits.train.y, digits.split("test").y
print(x.shape, x_test.shape)

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
