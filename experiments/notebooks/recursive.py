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
# # Recursive networks
#
# A recursive network computes a state for every node of a tree from the states of its children, with the
# same parameters at every node. Here a tree goes the whole way: from an expression in brackets to flat
# arrays, through one compiled program for trees of any shapes, to a trained net whose answer stands at
# every node. What the notes claim about these nets is measured elsewhere, in `experiments/recurrent`.
# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dlnotes import data, layers, models, outputs
from dlnotes.data.trees.tree import python_tree, random_tree, tree_at, vocabulary
from dlnotes.experiment.figures.trees import PALETTE, draw_trees, subtrees
from dlnotes.plotting import BLUE, ORANGE, STYLE
from dlnotes.training import Recipe, fit, optimizer
from dlnotes.training.schedules import one_cycle

plt.rcParams.update(STYLE)
plt.show()  # so that the notebook knows how to show figures that cells return

# %% [markdown]
# ## Trees
#
# The parse of a sentence, a formula as Python reads it, a molecule: each is a tree with names at its nodes.

# %%
sentence = data.parse_brackets(
    "(S (NP (DT the) (NN cat)) (VP (VBD sat) (PP (IN on) (NP (DT the) (NN mat)))))", "label"
)
formula = python_tree("(a + b) * max(a, 3)")
aspirin = data.smiles_tree("CC(=O)Oc1ccccc1C(=O)O")
draw_trees([sentence, formula, aspirin], titles=["a sentence", "Python", "aspirin"], width=7.6)

# %% [markdown]
# ## Trees as arrays
#
# A batch of trees is three arrays. A tree's nodes are listed leaves first, children before parents and the
# root last; `label` is a node's symbol (−1 for none), `children` are the places of its children (−1 for
# none), and `order` sorts the nodes of all trees for computing.

# %%
small = [
    data.parse_brackets("((the cat) sat)"),
    data.parse_brackets("(the (old cat))"),
    data.parse_brackets("sat"),
]
symbols = vocabulary(small)
batch = data.batch_trees(small, symbols)
print("symbols ", dict(enumerate(symbols)))
print("label\n", batch.trees.label)
print("children of the first tree\n", batch.trees.children[0])
print("real nodes\n", batch.mask.astype(int))

# %% [markdown]
# ## One cell at every node
#
# The plain cell is $h = \tanh(xU + [h_1; h_2]\,W + b)$. Written as recursion it is a Python call for every
# node. `node_states` computes the nodes of all trees that are ready at once, in one compiled program, and
# gives the same.

# %%
params = layers.affine_tree.init(jax.random.key(0), inputs=5, hidden=4, arity=2)
table = jax.random.normal(jax.random.key(1), (len(symbols), 5))


def recursion(tree, node=0):
    below = [recursion(tree, child) for child in tree.children[node]] or [jnp.zeros(4)] * 2
    x = table[symbols.index(tree.label[node])] if tree.label[node] else jnp.zeros(5)
    return jnp.tanh(x @ params.U + jnp.concatenate(below) @ params.W + params.b)


label, children, order, mask = map(jnp.asarray, (*batch.trees, batch.mask))
states = layers.node_states(layers.affine_tree, params, label, children, order, mask, embedding=table)
for i, tree in enumerate(small):
    root = int(batch.mask[i].sum()) - 1
    by_hand, at_once = recursion(tree), states[i, root]
    print(np.asarray(by_hand).round(4), np.asarray(at_once).round(4))

# %% [markdown]
# ## In waves
#
# Nodes whose children are done are computed together, across the batch. What a wave costs is set by how
# many nodes are ready, so bushy trees need few waves and chains many; the number of states computed stays
# near the number of nodes.

# %%
rng = np.random.default_rng(0)
words = [str(i) for i in range(40)]
kinds = {"balanced": data.balanced_tree, "random": partial(random_tree, rng=rng), "chain": data.chain_tree}
for name, build in kinds.items():
    many = data.batch_trees([build(words[: 10 + i % 31]) for i in range(64)], words)
    cost = layers.count_waves(many.trees.children, many.trees.order, many.mask)
    print(f"{name:9}", cost.describe())

# %% [markdown]
# ## Shorter paths
#
# Between a leaf and the root of a balanced tree over τ leaves lie ⌈log₂ τ⌉ steps; along a chain, τ − 1.
# The gradient of the root's state by the first leaf's input shows what that means: with the same cell, not
# trained, it fades with every step.

# %%
lengths = [2, 4, 8, 16, 32, 64, 128]


@partial(jax.jit, static_argnums=0)
def first_leaf_gradient(cell, key, leaf, trees):
    key_cell, key_x, key_v = jax.random.split(key, 3)
    p = cell.init(key_cell, inputs=16, hidden=16, arity=2)
    v = jax.random.normal(key_v, (cell.width(p),))
    x = jax.random.normal(key_x, (*leaf.shape, 16)) * leaf[:, :, None]
    by_x = jax.grad(lambda x: layers.node_states(cell, p, x, trees.children, trees.order)[0, -1] @ v)(x)
    return jnp.linalg.norm(by_x[0, 0])


def gradients(cell, build):
    found = []
    for n in lengths:
        one = data.batch_trees([build(["x"] * n)], ["x"]).trees
        keys = jax.random.split(jax.random.key(0), 5)
        found.append(np.mean([first_leaf_gradient(cell, key, one.label >= 0, one) for key in keys]))
    return found


figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for ax, (name, cell) in zip(axes, {"affine cell": layers.affine_tree, "Tree-LSTM": layers.tree_lstm}.items()):
    for build, color, of in ((data.balanced_tree, BLUE, "balanced"), (data.chain_tree, ORANGE, "chain")):
        ax.loglog(lengths, gradients(cell, build), "o-", color=color, label=of)
    ax.set(xlabel="leaves, τ", title=name, xticks=lengths, xticklabels=lengths)
    ax.minorticks_off()
axes[0].set_ylabel("‖gradient by the first leaf‖")
axes[0].legend()
plt.show()

# %% [markdown]
# ## A net that computes
#
# ListOps are nested lists under MIN, MAX, MED (the median) and SM (the sum modulo 10). A list becomes a
# binary tree by taking in one argument after the other, closing bracket included, and the net is only told
# what the whole expression is. Expressions of at most 16 symbols, and a small Tree-LSTM, learn in a minute.

# %%
lists = data.load("list_ops", n_train=20000, n_validation=0, n_test=1000, max_length=16, max_args=3)
STEPS = 2500
net = models.tree_net(len(lists.symbols), 64, 10)
recipe = Recipe(
    net,
    outputs.cross_entropy,
    {},
    optimizer("adam", 4e-3, clip_norm=1.0, factor=one_cycle(STEPS)),
    random=False,
)
trained = fit(recipe, lists.train, steps=STEPS, batch_size=64, seeds=[0])
params = jax.tree.map(lambda a: jnp.asarray(a[0]), trained.params)

figure, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
ax.plot(trained.history["loss"][:, 0], color=BLUE, lw=0.6)
ax.set(xlabel="step", ylabel="−log p of the value", title="Training")
plt.show()

apply = jax.jit(net.apply)
test = lists.split("test")
right = np.asarray(apply(params, test.x, mask=test.mask)).argmax(-1) == test.y
usual = np.bincount(test.y).max() / test.size
print(f"test accuracy {100 * right.mean():.1f}%; always the most frequent value: {100 * usual:.1f}%")

# %% [markdown]
# ## Its answer at every node
#
# The tree below a node is a tree, so the same net says what it is worth. The last line of a node is its
# answer. It was only ever asked about whole lists, yet a list that is still open mostly has the value so
# far, and a digit by itself is what it says.

# %%
sizes = np.asarray(test.mask).sum(1)
rows = np.flatnonzero((sizes > 12) & (sizes < 24))[:3]
shown = [tree_at(test.x, int(i), lists.symbols) for i in rows]
notes, colors = [], []
for tree in shown:
    parts = data.batch_trees(subtrees(tree), lists.symbols, arity=2)
    said = np.asarray(apply(params, parts.trees, mask=parts.mask)).argmax(-1)
    notes.append([lists.classes[k] for k in said])
    colors.append([PALETTE[k] for k in said])
truth = [f"is {lists.classes[test.y[i]]}" for i in rows]
draw_trees(shown, notes=notes, colors=colors, titles=truth, width=5.8)

# %% [markdown]
# How given trees compare with balanced ones, chains and trees that a net finds by itself is claim R11.3;
# the full task, with as many expressions as published, is `configs/trees/list_ops_given.toml`.
