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
# # XOR from nothing
#
# XOR is 1 where exactly one of two bits is 1. No straight line separates its ones from its zeros, so a
# linear model fails; a network with two hidden units does not. Here such a network is trained without
# any help: the graph of the computation, the forward pass, the table of gradients and descent are all
# in sight. Nothing is differentiated for us.
# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dlnotes import autodiff

x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = jnp.array([0.0, 1.0, 1.0, 0.0])

# %% [markdown]
# ## The graph
#
# A network is a graph of named variables. Each is an input, or an operation applied to other variables,
# its parents. Ours has two hidden units, `h = tanh(x W + c)`, and a linear output `f = h w + b`. Its cost
# J is the mean of the squared errors over the four points.

# %%
network = autodiff.graph(
    ["x", "y", "W", "c", "w", "b"],
    {
        "xW": ("matmul", "x", "W"),
        "a": ("add", "xW", "c"),
        "h": ("tanh", "a"),
        "hw": ("matmul", "h", "w"),
        "f": ("add", "hw", "b"),
        "error": ("subtract", "f", "y"),
        "squares": ("square", "error"),
        "J": ("mean", "squares"),
    },
)
for parent, child, _ in network.edges:
    print(f"{parent:>8} -> {child.name:<8} ({child.operation.name})")

# %% [markdown]
# ## Forward
#
# The forward pass goes through the nodes so that parents come before their children, and gives each of
# them its value. The parameters start at random.

# %%
key_W, key_w = jax.random.split(jax.random.key(0))
parameters = {
    "W": jax.random.normal(key_W, (2, 2)),
    "c": jnp.zeros(2),
    "w": jax.random.normal(key_w, (2,)),
    "b": jnp.zeros(()),
}
values = autodiff.forward(network, {"x": x, "y": y, **parameters})
print("f =", [f"{f:.2f}" for f in values["f"].tolist()], " J =", f"{values['J']:.3f}")

# %% [markdown]
# ## Backward
#
# The table starts with ∂J/∂J = 1. Then it is filled from the end to the beginning: the gradient by a
# variable is the sum, over its children, of the child's gradient times the derivative of the child by
# the variable. Each arc of the graph is used exactly once, and only the arcs that lead to a parameter
# are used at all: nobody asks for the gradient by the data.

# %%
table, products = autodiff.backward(network, values, "J", wanted=parameters)
print(f"{products} Jacobian products; the graph has {len(network.edges)} arcs")
for name, gradient in table.items():
    print(f"{name:>8}  shape {gradient.shape!s:<7} largest entry {float(jnp.abs(gradient).max()):.4f}")

# %% [markdown]
# Is the table right? A derivative is the limit of a difference, and that takes no rule at all to compute:
# move one weight a little, and see what becomes of J.

# %%
small = 1e-2
moved = [{**parameters, "W": parameters["W"].at[0, 0].add(s)} for s in (small, -small)]
J = [float(autodiff.forward(network, {"x": x, "y": y, **p})["J"]) for p in moved]
print(f"by the table {float(table['W'][0, 0]):.5f}, by the difference {(J[0] - J[1]) / (2 * small):.5f}")

# %% [markdown]
# ## Descent
#
# Gradient descent subtracts a small multiple of the gradient from each parameter, again and again. The
# graph is data and its passes are pure functions, so that `jax.jit` compiles the whole training, and
# `jax.vmap` runs it from 200 starts at once. Starts matter: the cost is not convex.

# %%
STEPS, STARTS, RATE = 4000, 200, 0.1


def descend(key):
    """Parameters and the cost at each step, from one random start."""
    key_W, key_w = jax.random.split(key)
    start = {
        "W": jax.random.normal(key_W, (2, 2)),
        "c": jnp.zeros(2),
        "w": jax.random.normal(key_w, (2,)),
        "b": jnp.zeros(()),
    }

    def step(p, _):
        J, gradients = autodiff.value_and_gradients(network, {"x": x, "y": y, **p}, "J", list(p))
        return {name: p[name] - RATE * gradients[name] for name in p}, J

    return jax.lax.scan(step, start, length=STEPS)


trained, cost = jax.jit(jax.vmap(descend))(jax.random.split(jax.random.key(1), STARTS))
solved = np.asarray(cost[:, -1] < 0.01)
best = int(np.argmin(cost[:, -1]))
print(f"{solved.mean():.0%} of {STARTS} starts end with a cost below 0.01; the best has {cost[best, -1]:.1e}")

# %%
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
steps = np.arange(1, STEPS + 1)
for color, label, chosen in (("#0072B2", "solved", solved), ("#D55E00", "stuck", ~solved)):
    if chosen.any():
        axes.plot(steps, np.asarray(cost)[chosen][:30].T, color=color, lw=0.6, alpha=0.5)
        axes.plot([], [], color=color, label=f"{label}: {chosen.sum()} starts")
axes.axhline(0.25, color="#666666", ls="--", lw=1, label="the best that a linear model can do")
axes.set(xscale="log", yscale="log", ylim=(1e-6, 3), xlabel="step of descent", ylabel="mean squared error")
axes.legend()
axes.set_title("Descent from many starts (at most 30 of each kind drawn)", loc="left")
plt.show()

# %% [markdown]
# ## The learned space
#
# What has the hidden layer learned? On the left are the four points as they are given, with the output
# of the best network behind them. On the right are the same points as the output unit sees them, at
# `(h₁, h₂)`. There the output is linear, and the line `h w + b = 1/2` separates what no line could
# separate before.

# %%
p = {name: value[best] for name, value in trained.items()}
h = autodiff.forward(network, {"x": x, "y": y, **p})["h"]
side = jnp.linspace(-0.4, 1.4, 61)
grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
output = autodiff.forward(network, {"x": grid, "y": jnp.zeros(len(grid)), **p})["f"].reshape(61, 61)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained")
shown = left.contourf(side, side, output, levels=np.linspace(-0.5, 1.5, 21), cmap="cividis", extend="both")
left.contour(side, side, output, levels=[0.5], colors="white")
figure.colorbar(shown, ax=left, label="output f", ticks=[-0.5, 0, 0.5, 1, 1.5])
left.set(xlabel="x₁", ylabel="x₂", title="given: no line separates them")
line = np.linspace(-1.15, 1.15, 2)
right.plot(line, (0.5 - float(p["b"]) - float(p["w"][0]) * line) / float(p["w"][1]), color="#666666")
right.set(xlabel="h₁", ylabel="h₂", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), title="learned: a line does")
for axes, places in ((left, x), (right, h)):
    for target, marker, color in ((0, "o", "#0072B2"), (1, "s", "#D55E00")):
        points = np.asarray(places)[np.asarray(y == target)]
        axes.plot(*points.T, marker, color=color, ms=10, mec="white", label=f"XOR = {target}")
for (a, b), place in zip(np.asarray(x, int), np.asarray(h)):
    right.annotate(f"{a}{b}", place, xytext=(8, 4 if b else -12), textcoords="offset points")
right.legend(loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# The same table, one Jacobian product per arc, is what `jax.grad` fills in for networks of any size. The
# claims F5.1 to F5.5 measure what it costs: with the table, without it, and with less memory.
