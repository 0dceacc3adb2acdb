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
# # Recurrent networks
#
# A walk through the recurrent chapters of the notes with the functions of the library: a recurrence and
# its unfolding, back-propagation through time written out, why gradients vanish, and a network that
# reads one sequence and writes another, with what it attends to. What the notes claim about these things
# is measured elsewhere, in `experiments/recurrent`.
# %%
from fractions import Fraction

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dlnotes import analysis, autodiff, data, layers, models, outputs
from dlnotes.analysis import recurrent_dynamics as repeated_maps
from dlnotes.models.recurrent import stack_machine, tape_machines, turing_machine
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, STYLE
from dlnotes.training import Recipe, fit, optimizer
from dlnotes.training.schedules import one_cycle

plt.rcParams.update(STYLE)

# %% [markdown]
# ## Unfolding
#
# A cell is one step, `h, output = step(params, h, x)`, with the same parameters at every step. `unroll`
# runs it along a batch of sequences; written out, it is the step applied to its own result. The same
# parameters serve any length.

# %%
key = jax.random.key(0)
params = layers.rnn.init(key, inputs=3, hidden=8)
xs = jax.random.normal(jax.random.key(1), (1, 4, 3))

h = layers.rnn.carry(params, (1,))
for t in range(4):
    h, _ = layers.rnn.step(params, h, xs[:, t])
last, hs = layers.unroll(layers.rnn, params, xs)
print("the fourth state, composed by hand:", np.asarray(h[0, :3]).round(4))
print("and by unroll:                     ", np.asarray(last[0, :3]).round(4))

# %% [markdown]
# Sequences of different lengths share a batch: they are padded to one length, and a mask (or their
# lengths) says what is real. The answer is that of each sequence alone.

# %%
longer = jnp.concatenate([xs, jax.random.normal(jax.random.key(2), (1, 3, 3))], axis=1)
batch = jnp.concatenate([jnp.pad(xs, ((0, 0), (0, 3), (0, 0))), longer])
together, _ = layers.unroll(layers.rnn, params, batch, lengths=jnp.array([4, 7]))
print("alone and in a padded batch:", float(jnp.abs(together[0] - last[0]).max()), "apart")

# %% [markdown]
# ## Back-propagation through time, by hand
#
# `autodiff.bptt_by_hand` has the recursions of the notes, one a line:
#
# $$\nabla_{h_t} = W^\top \mathrm{diag}(1 - h_{t+1}^2)\, \nabla_{h_{t+1}} + V^\top \nabla_{o_t}$$
#
# from the last step to the first, then the parameters' gradients as sums over the steps. They are what
# `jax.grad` finds.

# %%
net = autodiff.bptt_by_hand.init(jax.random.key(3), inputs=3, hidden=16, outputs=4)
x = jax.random.normal(jax.random.key(4), (1, 30, 3))
y = jax.random.randint(jax.random.key(5), (1, 30), 0, 4)
value, by_hand = autodiff.bptt_by_hand.value_and_gradient(net, x, y)
automatic = jax.grad(autodiff.bptt_by_hand.loss)(net, x, y)
for name, one, other in zip(net._fields, by_hand, automatic):
    print(f"∇{name}  largest difference from jax.grad: {float(jnp.abs(one - other).max()):.1e}")

# %% [markdown]
# Where does the gradient of a shared parameter come from? Below only the last step has a target. What it
# sends back to $h_t$ shrinks on its way to the first steps, so these hardly count in the sum that is
# $\nabla W$.

# %%
only_last = jnp.full_like(y, -1).at[:, -1].set(y[:, -1])
trace = autodiff.bptt_by_hand.forward(net, x)
nodes = autodiff.bptt_by_hand.node_gradients(net, trace, only_last)

figure, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
ax.semilogy(np.arange(31), np.linalg.norm(np.asarray(nodes.h[0]), axis=-1), color=BLUE, marker="o", ms=3)
ax.set(xlabel="step t", ylabel="‖∇ of $h_t$‖", title="A target at the last step only, seen from each state")
plt.show()

# %% [markdown]
# ## Powers of one matrix
#
# Without inputs and non-linearity a recurrence is the power method, $h_t = W^t h_0$. In the coordinates of
# the eigenvectors each component goes its own way, $\lambda_i^t$: below one it fades, above one it explodes,
# and next to the largest eigenvalue the others are lost either way.

# %%
random = jax.random.normal(jax.random.key(6), (5, 5))
symmetric = (random + random.T) / 2
W = symmetric * (1.05 / jnp.abs(jnp.linalg.eigvalsh(symmetric)).max())
found = repeated_maps.spectrum(W, jnp.ones(5))
components = np.abs(np.asarray(repeated_maps.components_over_time(found, 60)))

figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for i, color in enumerate((BLUE, ORANGE, GREEN, PURPLE, GRAY)):
    axes[0].semilogy(components[:, i], color=color, label=f"λ = {float(found.values[i]):.2f}")
axes[0].set(xlabel="t", ylabel="component of $h_t$", title="Each eigenvector by itself", ylim=(1e-8, 1e3))
axes[0].legend(fontsize=8)
axes[1].semilogy(np.asarray(repeated_maps.lost(found, 60)), color=BLUE)
axes[1].set(xlabel="t", title="Share of $h_t$ off the first eigenvector")
plt.show()

# %% [markdown]
# With tanh in it, the composed map is wildly non-linear after a few steps: below a line through the space
# of 100 hidden units, and what t steps of `tanh(W h)` make of it, projected on one direction, and how often
# the curve turns between rising and falling.

# %%
keys = jax.random.split(jax.random.key(7), 4)
n = 100
W = 4 * jax.random.normal(keys[0], (n, n)) / jnp.sqrt(n)
direction, onto = (v / jnp.linalg.norm(v) for v in jax.random.normal(keys[1], (2, n)))
along = jnp.linspace(-4, 4, 4001)
curves = repeated_maps.section(lambda h: jnp.tanh(h @ W), 0 * direction, direction, along, onto, times=5)
turns = repeated_maps.turning_points(curves)

figure, axes = plt.subplots(1, 6, figsize=(11, 2), layout="constrained")
for t, ax in enumerate(axes):
    ax.plot(along, curves[t], color=BLUE, lw=0.8)
    ax.set(title=f"t = {t}: {int(turns[t])} turns", xticks=(-4, 0, 4))
    ax.set_yticks(())
plt.show()

# %% [markdown]
# ## Gradients through time
#
# $\partial h_t / \partial h_{t-k}$ is a product of k Jacobians. Its norm falls or grows exponentially in k;
# which of the two depends on the size of W. Gates can learn to let it through: in an LSTM whose forget gates
# stand open ($b_f = 5$) it hardly falls.

# %%
inputs = jax.random.normal(jax.random.key(8), (101, 4))
figure, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
for scale, color in ((0.7, BLUE), (1.0, GREEN), (1.6, ORANGE)):
    cell = layers.rnn.init(jax.random.key(9), 4, 32)
    cell = cell._replace(W=scale * cell.W, U=0.2 * cell.U)
    logs = analysis.norms_back(analysis.step_jacobians(layers.rnn, cell, inputs).jacobians)
    ax.plot(np.asarray(logs) / np.log(10), color=color, label=f"plain, ρ(W) = {scale}")
gated = layers.lstm.init(jax.random.key(9), 4, 32)
open_gates = gated._replace(b=gated.b.at[32:64].set(5.0), W=0.3 * gated.W, U=0.3 * gated.U)
for name, kind, cell, color, dashes in (
    ("GRU at its start", layers.gru, layers.gru.init(jax.random.key(9), 4, 32), GRAY, "-"),
    ("LSTM at its start", layers.lstm, gated, PURPLE, "-"),
    ("LSTM, forget gates open", layers.lstm, open_gates, PURPLE, "--"),
):
    logs = analysis.norms_back(analysis.step_jacobians(kind, cell, inputs).jacobians)
    ax.plot(np.asarray(logs) / np.log(10), color=color, ls=dashes, label=name)
ax.set(xlabel="k", ylabel="log₁₀ ‖∂$h_t$/∂$h_{t-k}$‖", title="How much of a state is left k steps later")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## A net that computes
#
# With set rational weights and saturating-linear units a recurrent net runs a stack machine: the stack is one
# number in base 4. `models.stack_machine` writes such a net for balanced brackets. Below its states while it
# reads `([[]])`, three steps a symbol; then how deep a nesting it recognizes with exact fractions and with
# floats, whose digits run out.

# %%
machine = stack_machine.stack_net(stack_machine.brackets())
run = np.array(list(stack_machine.states(machine, "([[]])$")), float)

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.imshow(run.T, aspect="auto", cmap="Greys", vmin=0, vmax=1)
ax.set(xlabel="step", ylabel="unit", xticks=range(0, len(run), 3), title="Every unit while it reads ([[]])")
ax.grid(False)
plt.show()

for depth in (5, 12, 20, 40, 100):
    word = "([" * depth + "])" * depth
    exact, rounded = (stack_machine.accepts(machine, word, number=n) for n in (Fraction, float))
    print(f"nested {2 * depth:3d} deep: fractions say {exact}, floats {rounded}")

# %% [markdown]
# Two stacks are a tape: the part left of a head and the part from it on. `models.turing_net` writes a net
# that runs any Turing machine, three steps for each of its moves. Below one adds 1 to a binary number of
# sixty digits, and the busy beaver of four states writes on an empty tape: 13 ones in 107 moves.

# %%
adder = models.turing_net(tape_machines.increment())
beaver = models.turing_net(tape_machines.busy_beaver(4))
number = "1011" + "1" * 56
print(int(number, 2) + 1, "=", int(turing_machine.run(adder, number).tape, 2))
print(turing_machine.run(beaver))

tapes = []
for state, left, right in turing_machine.configurations(beaver):
    tapes.append([symbol == "1" for symbol in left.rjust(16, "_") + right.ljust(16, "_")])
    if state == "H":
        break
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.imshow(np.array(tapes).T, aspect="auto", cmap="Greys", extent=(0, len(tapes), 16, -16))
ax.set(xlabel="move", ylabel="place, from the head", title="The busy beaver's tape, seen from its head")
ax.grid(False)
plt.show()

# %% [markdown]
# ## A network that reads one sequence and writes another
#
# An encoder reads the letters of a word, in both directions; a decoder writes phonemes, one at a time, and
# at each step looks back at the letters by attention. The words are those of the CMU Pronouncing
# Dictionary; where its file is not on this machine (`dlnotes data list` says where it can be had), numbers
# in words are read and their digits written instead.

# %%
try:
    words = data.load("cmudict")
except data.DataNotFound:
    words = data.load("number_words")
print(f"{words.name}: {words.train.size} training examples, for instance")


def source_text(row, mask):
    return "".join(words.symbols[s] for s in row[mask])


def target_text(row):
    return " ".join(words.classes[c] for c in row if c > 0)


for i in (0, 1, 2):
    print("  ", source_text(words.train.x.source[i], words.train.mask[i]), "→", target_text(words.train.y[i]))

# %%
STEPS = 700

network = models.seq2seq(len(words.symbols), 96, len(words.classes), cell="gru")
recipe = Recipe(
    network,
    outputs.cross_entropy,
    {},
    optimizer("adam", 4e-3, clip_norm=1.0, factor=one_cycle(STEPS)),
    random=False,
)
trained = fit(recipe, words.train, steps=STEPS, batch_size=64, seeds=[0])
params = jax.tree.map(lambda a: jnp.asarray(a[0]), trained.params)

figure, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
ax.plot(trained.history["loss"][:, 0], color=BLUE, lw=0.8)
ax.set(xlabel="step", ylabel="−log p of a symbol", title="Training by teacher forcing")
plt.show()

# %% [markdown]
# To use it, its own symbols are fed back. Taking the most probable one at each step is greedy decoding;
# a beam search carries several beginnings along and finds more probable sequences. Some words it has never
# seen:

# %%
test = words.split("test")
rows = np.arange(0, test.size, test.size // 6)[:6]
source, mask = jnp.asarray(test.x.source[rows]), jnp.asarray(test.mask[rows])
length = test.y.shape[1]
greedy = models.greedy_decode(params, source, mask, length=length)
beams = models.beam_decode(params, source, mask, width=5, length=length)
for i, row in enumerate(rows):
    print(f"{source_text(test.x.source[row], test.mask[row])}: {target_text(test.y[row])}")
    print(f"   greedy  {target_text(np.asarray(greedy[i]))}")
    for k in range(2):
        p = float(jnp.exp(beams.log_p[i, k]))
        print(f"   beam {k + 1}  {target_text(np.asarray(beams.symbols[i, k]))}   p = {p:.2f}")

# %% [markdown]
# ## Attention, seen
#
# A row below is a written symbol, a column a letter; how dark a field is, is how much of the letter's
# annotation was in the context from which the symbol was written. Nothing told the network which letter
# belongs to which phoneme.

# %%
weights = models.attention_weights(params, jax.tree.map(lambda a: a[rows], test.x), mask)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for ax, i in zip(axes, (1, 3, 5)):
    letters = [words.symbols[s] for s in np.asarray(source[i])[np.asarray(mask[i])]]
    written = [words.classes[c] for c in test.y[rows[i]] if c >= 0]
    ax.imshow(weights[i, : len(written), : len(letters)], cmap="Greys", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(letters)), letters)
    ax.set_yticks(range(len(written)), written)
    ax.grid(False)
plt.show()

# %% [markdown]
# How much attention buys, on words of different lengths, is a claim of the notes (R10.4), and the whole
# dictionary is a config: `configs/sequences/cmudict_g2p.toml`.
