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
# # Feedforward networks
#
# A walk through the first chapter of the notes with the functions of the library: a network that
# computes XOR, costs that come from distributions, hidden units, what depth does to a function, and
# back-propagation. Everything here is small enough to change and run again. What the notes claim
# about these things is measured elsewhere, in `experiments/feedforward`.
# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PolyCollection

from dlnotes import analysis, autodiff, data, layers, models, outputs
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, STYLE
from dlnotes.training import Recipe, fit, optimizer, predict

plt.rcParams.update(STYLE)
COLORS = (BLUE, ORANGE, GREEN, PURPLE, GRAY)

# %% [markdown]
# ## XOR by hand
#
# XOR is 1 when exactly one of two bits is. No line separates its ones from its zeros, so a linear
# model can do no better than answer ½ everywhere. Two ReLU units are enough:
# $f(x) = w^\top \max\{0, W^\top x + c\} + b$ with the weights below.

# %%
x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = jnp.array([[0.0], [1.0], [1.0], [0.0]])

by_hand = models.MLP(
    hidden=(layers.Dense(W=jnp.ones((2, 2)), b=jnp.array([0.0, -1.0])),),
    slopes=(None,),
    output=layers.Dense(W=jnp.array([[1.0], [-2.0]]), b=jnp.zeros(1)),
)
network = models.mlp(2, (2,), 1)
print("f(x) =", network.apply(by_hand, x)[:, 0])

# %% [markdown]
# The hidden layer has moved the points: (0, 1) and (1, 0) now lie on top of each other, and one line
# is enough. That is all that a hidden layer is for.

# %%
h = layers.relu(layers.dense(by_hand.hidden[0], x))  # pyright: ignore[reportArgumentType]
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for ax, points, names in zip(axes, (x, h), (("$x_1$", "$x_2$"), ("$h_1$", "$h_2$"))):
    for value, marker, color in ((0, "o", BLUE), (1, "s", ORANGE)):
        chosen = points[y[:, 0] == value]
        ax.plot(chosen[:, 0], chosen[:, 1], marker, color=color, ms=10, label=f"XOR is {value}")
    ax.set(xlabel=names[0], ylabel=names[1], xlim=(-0.3, 2.3), ylim=(-0.3, 1.3))
line = np.array([-0.3, 2.3])
axes[1].plot(line, (line - 0.5) / 2, "--", color=GRAY, label="$h_1 - 2 h_2 = ½$")
axes[0].set_title("the input: no line separates them")
axes[1].set_title("the hidden layer: one does")
axes[1].legend(loc="upper left")
plt.show()

# %% [markdown]
# The kernel trick takes another way. Linear regression on all products of two inputs, six features here,
# fits XOR too, and the same fit needs no features at all: $k(x, z) = (x^\top z + 1)^2$ is their inner
# product, and one weight for each example takes the place of one for each feature.

# %%
K, phi = layers.polynomial_kernel(x, x), layers.polynomial_features(x)
print("by inner products:", (K @ layers.dual_ridge(K, y, 1e-4))[:, 0])
print("by features:      ", (phi @ layers.primal_ridge(phi, y, 1e-4))[:, 0])

# %% [markdown]
# ## XOR by descent
#
# Nobody sets weights by hand. Below, gradient descent starts from 200 random networks of each width.
# `fit` trains all of them in one compiled program: it is the library's own training step, vmapped.

# %%
STARTS, STEPS = 200, 1000
points = data.Examples(np.asarray(x), np.asarray(y))
losses = {}
for width in (2, 4, 8):
    recipe = Recipe(models.mlp(2, (width,), 1), outputs.squared_error, {}, optimizer("sgd", 0.1))
    losses[width] = fit(recipe, points, steps=STEPS, seeds=range(STARTS), record=5).history["loss"]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
steps = 5 * np.arange(len(losses[2]))
left.plot(steps, losses[2][:, :40], color=BLUE, alpha=0.35, lw=1)
left.axhline(0.25, color=GRAY, ls="--", lw=1)
left.text(STEPS, 0.265, "a linear model", ha="right", color=GRAY)
left.set(yscale="log", ylim=(1e-6, 3), xlabel="step", ylabel="mean squared error")
left.set_title("two hidden units, 40 starts")
solved = [np.mean(loss[-1] < 0.01) for loss in losses.values()]
bars = right.bar([str(width) for width in losses], solved, color=BLUE)
right.bar_label(bars, [f"{share:.0%}" for share in solved])
right.set(ylim=(0, 1.1), xlabel="hidden units", ylabel="share of starts that solve XOR")
right.set_title("more units, fewer dead ends")
plt.show()

# %% [markdown]
# With two units, most starts end at one of a few worse errors: a unit that is inactive on all four
# points has no gradient and never gets one, or the two units share the points in a way that no small
# step improves. The minimum that was set by hand is there from every start; whether descent reaches
# it is another matter.

# %% [markdown]
# ## Costs from distributions
#
# An output unit is the parameter of a distribution, and the cost is $-\log p(y \mid x)$. For a binary
# target that is a Bernoulli of logit $z$. Compare it with the squared error of the same sigmoid, for
# a target of 1: where the network is sure and wrong ($z \ll 0$), the logarithm undoes the
# exponential of the sigmoid and keeps a slope of −1, while the squared error is flat.

# %%
z = jnp.linspace(-8.0, 8.0, 401)


def log_likelihood_cost(z):
    return -outputs.Bernoulli(z).log_prob(jnp.ones_like(z))


def squared_cost(z):
    return jnp.square(1 - layers.sigmoid(z))


figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for cost, color, name in (
    (log_likelihood_cost, BLUE, "$-\\log p(y)$"),
    (squared_cost, ORANGE, "squared error"),
):
    axes[0].plot(z, cost(z), color=color, label=name)
    axes[1].plot(z, jax.vmap(jax.grad(cost))(z), color=color, label=name)
axes[0].set(xlabel="logit $z$, target 1", title="cost")
axes[1].set(xlabel="logit $z$, target 1", title="its slope")
axes[0].legend()
plt.show()

# %% [markdown]
# Which cost is chosen also decides *what* is learned. Squared error, a Gaussian's $-\log p$, finds
# the conditional mean; absolute error, a Laplace's, the conditional median. With noise that has a
# long tail on one side the two are far apart. Here $y = \sin 3x + \tfrac12 e^{\varepsilon}$ with
# normal $\varepsilon$: its median is $\sin 3x + 0.5$, its mean $\sin 3x + 0.5\sqrt e$.

# %%
rng = np.random.default_rng(0)
inputs = rng.uniform(-1, 1, (5000, 1)).astype(np.float32)
targets = (np.sin(3 * inputs) + 0.5 * np.exp(rng.normal(size=inputs.shape))).astype(np.float32)
grid = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
curve = models.mlp(1, (32,), 1)

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.plot(inputs[:400], targets[:400], ".", color="#BBBBBB", ms=3)
for loss, color, name, shift in (
    (outputs.squared_error, BLUE, "mean", 0.5 * np.exp(0.5)),
    (outputs.absolute_error, ORANGE, "median", 0.5),
):
    recipe = Recipe(curve, loss, {}, optimizer("adam", 0.01))
    found = fit(recipe, data.Examples(inputs, targets), steps=600, batch_size=200, seeds=[0, 1])
    ax.plot(grid, predict(curve, found.params, grid)[0], color=color, label=loss.__name__)
    ax.plot(grid, np.sin(3 * grid) + shift, "--", color=color, lw=1.2, label=f"true {name}")
ax.set(xlabel="x", ylabel="y", ylim=(-1.5, 4), title="each cost learns its own statistic")
ax.legend(ncols=2)
plt.show()

# %% [markdown]
# ## Hidden units
#
# The derivative of an activation is what the gradient is multiplied by on its way back. ReLU and its
# kin pass it on unchanged where they are active; the sigmoid never passes more than a quarter.

# %%
z = jnp.linspace(-4.0, 4.0, 801)
names = ("relu", "leaky_relu", "softplus", "sigmoid", "tanh")
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for name, color in zip(names, COLORS):
    g = layers.activation(name)
    axes[0].plot(z, g(z), color=color, label=name)
    axes[1].plot(z, jax.vmap(jax.grad(g))(z), color=color, label=name)
axes[0].set(xlabel="z", title="g(z)", ylim=(-1.2, 3))
axes[1].set(xlabel="z", title="g′(z)", ylim=(-0.05, 1.1))
axes[0].legend()
plt.show()

# %% [markdown]
# In a deep network these factors multiply. Below is the norm of the cost's gradient by the weights of
# each layer, in networks of twelve layers just after their start.

# %%
DEPTH, WIDTH = 12, 32
batch = jax.random.normal(jax.random.key(1), (64, WIDTH))
wanted = jax.random.normal(jax.random.key(2), (64, 1))

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, start, color in (
    ("relu", "he_normal", BLUE),
    ("tanh", "glorot_normal", ORANGE),
    ("sigmoid", "glorot_normal", GREEN),
):
    deep = models.mlp(WIDTH, (WIDTH,) * DEPTH, 1, activation=name, initializer=start)

    @jax.jit
    def norms(key, deep=deep):
        def cost(params):
            return jnp.mean(jnp.square(deep.apply(params, batch) - wanted))

        gradient = jax.grad(cost)(deep.init(key))
        return jnp.stack([jnp.linalg.norm(layer.W) for layer in gradient.hidden])

    many = np.asarray(jax.vmap(norms)(jax.random.split(jax.random.key(3), 20)))
    ax.plot(np.arange(1, DEPTH + 1), np.median(many, axis=0), "o-", color=color, label=name)
    ax.fill_between(np.arange(1, DEPTH + 1), *np.quantile(many, (0.1, 0.9), axis=0), color=color, alpha=0.2)
ax.set(yscale="log", xlabel="layer, from the input", ylabel="norm of the gradient")
ax.set_title("sigmoid layers starve the ones before them; band: 80% of starts")
ax.set_xticks(range(1, DEPTH + 1))
ax.legend()
plt.show()

# %% [markdown]
# A maxout unit takes the largest of k linear pieces, and so learns its own activation. Two pieces
# hold ReLU exactly; more come near to any convex function. Here the pieces are tangents of $z^2$ at
# evenly spaced points.

# %%
z = jnp.linspace(-1.0, 1.0, 401)
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(z, z**2, color=GRAY, lw=4, alpha=0.4, label="$z^2$")
for k, color in ((2, BLUE), (4, ORANGE), (8, GREEN)):
    at = -1 + (2 * jnp.arange(k) + 1) / k
    tangents = layers.Dense(W=2 * at[None, :], b=-(at**2))
    value = layers.dense_maxout(tangents, z[:, None], k)[:, 0]
    ax.plot(z, value, color=color, label=f"k = {k}: off by {float(jnp.max(jnp.abs(value - z**2))):.3f}")
ax.set(xlabel="z", title="twice the pieces, a quarter of the error")
ax.legend()
plt.show()

# %% [markdown]
# ## Architecture: what depth does
#
# A network of ReLU units is linear wherever the same units are active. Each polygon below is one such
# region of the input plane, found exactly; all three networks have 24 units, in one layer, two or
# three, with random weights and biases.

# %%
window = (-2.0, 2.0, -2.0, 2.0)


def with_random_biases(params, key):
    keys = jax.random.split(key, len(params.hidden))
    hidden = tuple(
        layer._replace(b=0.7 * jax.random.normal(k, layer.b.shape)) for layer, k in zip(params.hidden, keys)
    )
    return params._replace(hidden=hidden)


figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for ax, widths in zip(axes, ((24,), (12, 12), (8, 8, 8))):
    params = jax.jit(models.mlp(2, widths, 1).init)(jax.random.key(4))
    params = with_random_biases(params, jax.random.key(5))
    found = analysis.on_slice(params, [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], window=window)
    colors = plt.get_cmap("YlGnBu")(rng.uniform(0.05, 0.85, len(found.polygons)))
    ax.add_collection(PolyCollection(found.polygons, facecolors=colors, edgecolors="white", linewidths=0.5))
    ax.set(title=f"{len(widths)} layers of {widths[0]}" if len(widths) > 1 else "1 layer of 24")
    ax.set(xlabel=f"{found.regions} regions in this window", xlim=window[:2], ylim=window[2:])
    ax.set(xticks=(), yticks=(), aspect="equal")
plt.show()

# %% [markdown]
# Random weights do not use depth for much. Chosen weights do: $|2h - 1|$ folds the unit interval onto
# itself, and each further layer folds the folds. After $l$ layers of one unit there are $2^l$ linear
# pieces, where a single hidden layer of ReLU units needs at least $2^l - 1$ of them, one for each kink.

# %%
t = jnp.linspace(0.0, 1.0, 1025)[:, None]
fold = layers.Dense(W=jnp.array([[2.0]]), b=jnp.array([-1.0]))
through = layers.Dense(W=jnp.ones((1, 1)), b=jnp.zeros(1))

figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True, layout="constrained")
for depth, ax in enumerate(axes, start=1):
    folded = models.MLP(hidden=(fold,) * depth, slopes=(None,) * depth, output=through)
    folding = models.mlp(1, (1,) * depth, 1, activation="abs")
    pieces = len(analysis.on_line(folded, [0.0], [1.0], activation="abs").slopes)
    ax.plot(t, folding.apply(folded, t), color=BLUE)
    ax.set(title=f"{depth} layer{'s' * (depth > 1)}, {pieces} pieces", xlabel="x")
plt.show()

# %% [markdown]
# How many hidden units does a function need? Of two and three bits every function can be asked. The
# one that needs most is parity; one unit for each configuration of inputs would always be enough.

# %%
for bits in (2, 3):
    units = analysis.boolean_functions.least_units(bits)
    print(f"{bits} bits: functions that need 0, 1, 2, … threshold units: {np.bincount(units)}")

# %% [markdown]
# ## Back-propagation
#
# A cost is a graph of simple operations. Back-propagation walks it from the cost to the inputs and
# keeps one gradient per node in a table; `autodiff` writes this out as the notes do, apart from
# `jax.grad`, which trains everything else.

# %%
g = autodiff.graph(
    ["w", "x", "b", "y"],
    {
        "wx": ("multiply", "w", "x"),
        "z": ("add", "wx", "b"),
        "h": ("tanh", "z"),
        "error": ("subtract", "h", "y"),
        "J": ("square", "error"),
    },
)
given = {"w": 0.5, "x": 2.0, "b": -0.3, "y": 1.0}
values = autodiff.forward(g, given)
gradients = autodiff.backward(g, values, "J")
for name in (*g.inputs, *(node.name for node in g.nodes)):
    print(f"{name:>6}  value {float(values[name]):8.4f}   ∂J/∂{name} {float(gradients.table[name]):8.4f}")
print(f"{gradients.products} Jacobian products for {len(g.edges)} arcs")


def by_jax(w, b):
    return jnp.square(jnp.tanh(w * given["x"] + b) - given["y"])


print("jax.grad by w and b:", *(round(float(v), 4) for v in jax.grad(by_jax, (0, 1))(0.5, -0.3)))

# %% [markdown]
# The table is what makes it cheap. In a chain where every node uses the one before it twice, the
# number of paths doubles with every level. A chain rule that remembers nothing follows each of them;
# with the table each arc costs one product.

# %%
levels = range(1, 9)
without, within = [], []
for n in levels:
    chain = {f"u{i}": ("multiply", f"u{i - 1}", f"u{i - 1}") for i in range(1, n + 1)}
    g = autodiff.graph(["u0"], chain)
    values = autodiff.forward(g, {"u0": 1.001})
    slope, products = autodiff.naive_gradient(g, values, f"u{n}", "u0")
    table = autodiff.backward(g, values, f"u{n}", ["u0"])
    assert np.isclose(slope, table.table["u0"], rtol=1e-4)
    without.append(products)
    within.append(table.products)

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(levels, without, "o-", color=ORANGE, label="every path on its own")
ax.plot(levels, within, "s-", color=BLUE, label="with a table: one per arc")
ax.set(yscale="log", xlabel="levels", ylabel="Jacobian products", title="the same gradient at two prices")
ax.legend()
plt.show()

# %% [markdown]
# The backward pass can itself be written as a graph: a node for the gradient of each node, one Jacobian
# product for each arc. It is made of nodes like any other, so it can be differentiated again. Below are the
# second derivatives of $J = \tanh(wx + b)^2$, which `jax.hessian` has too. Much of such a graph is computed
# twice or known beforehand; `simplify` leaves that out and changes no value.

# %%
cell = {"wx": ("multiply", "w", "x"), "a": ("add", "wx", "b"), "h": ("tanh", "a"), "J": ("square", "h")}
g, at = autodiff.graph(["w", "x", "b"], cell), {"w": 0.5, "x": 2.0, "b": -0.3}
second = autodiff.second_derivatives(g, at, "J", ["w", "b"])
by_hessian = jax.hessian(lambda w, b: jnp.square(jnp.tanh(w * at["x"] + b)), (0, 1))(at["w"], at["b"])
for i, a in enumerate(("w", "b")):
    for k, b in enumerate(("w", "b")):
        print(f"∂²J/∂{a}∂{b} {float(second[a][b]):8.4f}   jax.hessian {float(by_hessian[i][k]):8.4f}")

twice = autodiff.hessian_vector_graph(g, "J", ["w", "b"])
given_all = at | dict.fromkeys(twice.vectors.values(), 1.0)
small = autodiff.simplify(twice.graph, twice.products.values(), shapes=given_all)
sizes = [(len(graph.nodes), autodiff.product_count(graph)) for graph in (twice.graph, small.graph)]
print("nodes and products of the graph of H v:", *sizes)

# %% [markdown]
# For a whole network the same walk gives a short program: multiply by $g'(a)$, read off the gradients
# of $W$ and $b$, pass $W^\top g$ on. `mlp_backprop` is that program, with the regularizer
# $\lambda\,\Omega(\theta)$, and it agrees with `jax.grad` to rounding.

# %%
net = models.mlp(4, (8, 8), 3, activation="tanh")
params = net.init(jax.random.key(6))
stack = (*params.hidden, params.output)
examples = jax.random.normal(jax.random.key(7), (16, 4))
classes = jax.random.randint(jax.random.key(8), (16,), 0, 3)
how = (["tanh", "tanh", "identity"], "cross_entropy", autodiff.mlp_backprop.Penalty("l2", 0.01))


@jax.jit
def both(stack):
    J, written_out = autodiff.mlp_backprop.value_and_gradient(stack, examples, classes, *how)
    return J, written_out, jax.grad(lambda s: autodiff.mlp_backprop.cost(s, examples, classes, *how))(stack)


J, written_out, automatic = both(stack)
gaps = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), written_out, automatic)
print(f"cost {float(J):.4f}; largest difference from jax.grad {max(jax.tree.leaves(gaps)):.1e}")
