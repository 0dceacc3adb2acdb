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
# # Large scale
#
# A walk through the large-scale chapter of the notes with the functions of the library: what limits a
# layer's speed, a network in whole numbers, an example that is sent to one of several experts, a cascade
# that drops most examples early, and training with gradients that are out of date. Everything is small,
# on digits of 8 × 8 pixels. What the notes claim about these things is measured elsewhere, in
# `experiments/large_scale`.
# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dlnotes import analysis, data, devices, models, outputs
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, STYLE
from dlnotes.training import Recipe, fit, optimizer
from dlnotes.training.delayed import largest_stable_rate, train_delayed

plt.rcParams.update(STYLE)
COLORS = (BLUE, ORANGE, GREEN, PURPLE, GRAY)
STEPS = 700

train, validation, test = data.parts_of(data.load("digits"))


def trained(model, loss=outputs.cross_entropy, *, steps=STEPS, rate=0.003, metrics=None):
    """The parameters of one network after some steps of Adam."""
    recipe = Recipe(model, loss, metrics or {}, optimizer("adam", rate))
    found = fit(recipe, train, steps=steps, batch_size=64, seeds=[0], record=steps)
    return jax.tree.map(lambda a: jnp.asarray(a[0]), found.params)


def draw(ax, image, title="", **how):
    ax.imshow(np.reshape(image, (8, 8)), **{"cmap": "gray_r"} | how)
    ax.set_title(title, fontsize=9, loc="center")
    ax.set(xticks=(), yticks=())
    ax.grid(False)


# %% [markdown]
# ## What limits a layer
#
# A layer moves its weights, inputs and outputs through memory, and does two operations for each
# multiply-add. `analysis.traffic` counts both; their ratio is the layer's arithmetic intensity. It grows
# with the batch, because a weight that has been read serves all examples. `devices.measure_roofline`
# measures what this machine can do: the peak of its matrix products, and the bandwidth of its memory.
# No layer is faster than the lower of the two limits, $\min(\text{peak}, \text{bandwidth} \cdot I)$, unless
# caches hold what it reads. `dlnotes show` prints the intensity of the layers of a config.

# %%
machine = devices.measure_roofline((256, 512), triad_bytes=2**24, rounds=3, seconds=0.01)
print(f"{machine.products / 1e9:.0f} billion operations a second, {machine.bandwidth / 1e9:.1f} GB/s;")
print(f"products limit from {machine.ridge:.1f} operations for each byte on")

perceptron = models.mlp(784, (512, 512), 10)
batches = 2 ** np.arange(0, 13)
rows = [analysis.traffic(perceptron, jax.ShapeDtypeStruct((int(n), 784), jnp.float32)) for n in batches]

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
wide = np.geomspace(0.1, 500, 100)
ax.plot(wide, [machine.attainable(i) / 1e9 for i in wide], color="black", label="roofline")
for k, color in zip(range(3), COLORS):
    intensity = [layers[k].intensity for layers in rows]
    ax.plot(
        intensity,
        [machine.attainable(i) / 1e9 for i in intensity],
        "o",
        color=color,
        ms=7 - 2 * k,
        label=rows[0][k].name,
    )
ax.set(xscale="log", yscale="log", xlabel="operations for each byte", ylabel="10⁹ operations a second")
ax.set_title("the most that an MLP's layers can do, with batches of 1, 2, 4 … 4,096")
ax.legend()
plt.show()

# %% [markdown]
# ## Whole numbers instead of floating point
#
# A trained network can be evaluated with weights and activations of eight bits. `models.quantized` reads
# the products off the network's own program; every output of a layer has its own scale. The two networks
# below answer almost alike, and the weights of the second take a quarter of the memory.

# %%
model = models.mlp(64, (128,), 10)
params = trained(model)
small, whole = models.quantized(model, params, jnp.asarray(train.x[:500]))


def accuracy(logits):
    return float(np.mean(np.argmax(logits, -1) == test.y))


def size(tree):
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(tree))


x = jnp.asarray(test.x)
before, after = model.apply(params, x), small.apply(whole, x)
print(f"float32: {100 * accuracy(before):.1f}% right, {size(params):,} bytes")
print(f"int8:    {100 * accuracy(after):.1f}% right, {size(whole):,} bytes")
print(f"answers that differ: {int(np.sum(np.argmax(before, -1) != np.argmax(after, -1)))} of {len(test.y)}")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.plot(np.ravel(before), np.ravel(after - before), ".", color=BLUE, ms=2, alpha=0.4)
left.set(xlabel="logit in float32", ylabel="int8 minus float32", title="what eight bits cost")
for bits, color in zip((2, 3, 4, 8), COLORS):
    coarse = models.quantized(model, params, jnp.asarray(train.x[:500]), bits=bits)
    share = accuracy(coarse.model.apply(coarse.params, x))
    right.bar(str(bits), 100 * share, color=color)
right.axhline(100 * accuracy(before), color=GRAY, ls="--", lw=1)
right.set(xlabel="bits of a weight", ylabel="test accuracy (%)", title="dashed: float32")
plt.show()

# %% [markdown]
# ## One example, one expert
#
# A mixture of experts has several networks and a gate. A soft gate weighs the answers of all of them; a
# hard one sends each example to one expert, and only that one is computed. A penalty in training keeps
# the experts in use. Below is one digit's way through the network, and where the digits of each class go.

# %%
EXPERTS = 4
mixture = models.mixture_of_experts(64, EXPERTS, (32,), 10)
routed = trained(mixture, outputs.penalized(outputs.cross_entropy))
gates = np.asarray(models.gate_weights(routed, x))
chosen = gates.argmax(-1)
one = int(np.argmax(chosen == np.bincount(chosen, minlength=EXPERTS).argmin()))  # of the expert least used

figure, axes = plt.subplots(1, 3, figsize=(9, 3), width_ratios=(1, 1.4, 1.8), layout="constrained")
answer = int(np.argmax(mixture.apply(routed, x[one : one + 1])[0]))
draw(axes[0], test.x[one], f"a {test.y[one]}, read as a {answer}")
colors = [ORANGE if e == chosen[one] else GRAY for e in range(EXPERTS)]
bars = axes[1].bar(range(EXPERTS), gates[one], color=colors)
axes[1].bar_label(bars, [f"{g:.2f}" for g in gates[one]])
axes[1].set(xlabel="expert", ylim=(0, 1.15), title=f"its gate: expert {chosen[one]} answers")
axes[1].set_xticks(range(EXPERTS))
table = np.array([[np.mean(chosen[test.y == c] == e) for c in range(10)] for e in range(EXPERTS)])
shown = axes[2].imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
figure.colorbar(shown, ax=axes[2], label="share of the class")
axes[2].set(xlabel="class", ylabel="expert", xticks=range(10), yticks=range(EXPERTS))
axes[2].set_title("who reads what")
axes[2].grid(False)
plt.show()

# %% [markdown]
# Only the chosen expert matters: when the weights of all others are set to zero, the answer for this
# digit stays the same.

# %%
alone = jnp.arange(EXPERTS) == int(chosen[one])


def only_chosen(layer):
    kept = (jnp.where(alone.reshape(-1, *[1] * (a.ndim - 1)), a, jnp.zeros_like(a)) for a in layer)
    return type(layer)(*kept)


experts = routed.learned
others_gone = experts._replace(
    hidden=tuple(map(only_chosen, experts.hidden)), output=only_chosen(experts.output)
)
same = mixture.apply(routed._replace(learned=others_gone), x[one : one + 1])
print("largest difference:", float(jnp.max(jnp.abs(same - mixture.apply(routed, x[one : one + 1])))))

# %% [markdown]
# ## A cascade at work
#
# Wanted are the eights among all digits. A linear network is cheap and not precise; a wide one is precise
# and dear. In a cascade the cheap one rejects what is surely no eight, and the dear one only reads what is
# left. The first threshold must keep nearly all eights, because what it rejects is lost: it comes from
# the validation part, `models.cascade_thresholds`.

# %%
WANTED = 8
names = ("linear", "wide")
nets = (models.linear(64, 10), models.mlp(64, (512, 512), 10))
weights = [trained(net) for net in nets]
costs = [analysis.count(net, test.x[:1]).multiply_adds for net in nets]


def score_of(net):
    return lambda params, x: models.one_against_rest(net.apply(params, x), WANTED)


scores = [score_of(net) for net in nets]
seen = [score(p, jnp.asarray(validation.x)) for score, p in zip(scores, weights)]
thresholds = models.cascade_thresholds(seen, validation.y == WANTED, recall=(1.0, 0.98), names=names)
passage = models.run_cascade(scores, weights, jnp.asarray(thresholds), x)
counts = models.cascade_counts(passage.passed, test.y == WANTED, costs, names=names)
for stage in counts:
    print(
        f"{stage.name:<7} reads {stage.reached:>4.0f} digits, keeps {stage.kept:>3.0f}, "
        f"{stage.positives_kept:.0f} of {np.sum(test.y == WANTED)} eights; precision {stage.precision:.2f}"
    )
spent = sum(stage.multiply_adds for stage in counts)
print(f"multiply-adds for each digit: {spent:,.0f}; the wide network alone: {costs[1]:,}")

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
for positive, color, label in ((False, GRAY, "other digits"), (True, ORANGE, "eights")):
    of = np.asarray(scores[0](weights[0], x))[(test.y == WANTED) == positive]
    left.hist(of, bins=40, color=color, alpha=0.7, label=label)
left.axvline(thresholds[0], color="black", ls="--", lw=1)
left.set(yscale="log", xlabel="score of the linear stage", ylabel="digits", title="dashed: its threshold")
left.legend()
bars = right.bar(
    ["all", *(f"after {name}" for name in names)], [len(test.y), *(s.kept for s in counts)], color=BLUE
)
right.bar_label(bars, fmt="%.0f")
right.set(ylabel="digits that are left", title="most are never read by the wide network")
plt.show()

# %%
passed = np.asarray(passage.passed)
figure, axes = plt.subplots(3, 8, figsize=(8, 3.6), layout="constrained")
for row, (k, title) in zip(axes, ((0, "rejected at once"), (1, "rejected by the wide one"), (2, "accepted"))):
    for ax in row:
        ax.axis("off")
    for ax, i in zip(row, np.flatnonzero(passed == k)):
        ax.axis("on")
        draw(ax, test.x[i])
    row[0].set_title(title, fontsize=9, loc="left")
plt.show()

# %% [markdown]
# ## Gradients that are out of date
#
# Workers that do not wait for one another add gradients that were computed at parameters of some steps
# before. `train_delayed` does so with a fixed delay $\tau$, the same every time. On a parabola of curvature
# $\lambda$ such a descent is stable for $\eta\lambda < 2 \sin \frac{\pi}{2(2\tau+1)}$: the older the
# gradients, the smaller the steps must be. Below, the same network with the same rate and growing delays.

# %%
DELAYS = (0, 4, 16, 64)
net = models.mlp(64, (32,), 10)
recipe = Recipe(net, outputs.cross_entropy, {}, optimizer("sgd", 0.2))
xv, yv = jnp.asarray(validation.x), jnp.asarray(validation.y)


def validation_loss(params):
    return outputs.cross_entropy(net.apply(params, xv), yv).total.mean()


LOOKS = 20
late = train_delayed(
    recipe,
    train,
    steps=STEPS // LOOKS * LOOKS,
    delay=DELAYS,
    batch_size=32,
    seeds=[0] * len(DELAYS),
    every=STEPS // LOOKS,
    probe=validation_loss,
)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
steps = STEPS // LOOKS * np.arange(LOOKS + 1)
for j, (delay, color) in enumerate(zip(DELAYS, COLORS)):
    left.plot(steps, late.probes[:, j], color=color, label=f"τ = {delay}")
left.set(yscale="log", xlabel="step", ylabel="validation loss", title="one rate, older and older gradients")
left.legend()
taus = np.arange(0, 65)
right.plot(taus, [largest_stable_rate(int(t)) for t in taus], color=BLUE)
right.set(yscale="log", xlabel="delay τ", ylabel="largest stable ηλ", title="on a parabola")
plt.show()
