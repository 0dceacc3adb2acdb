"""Lengths never seen in training: the same weights at every step, weights of each step's own, a fixed window.

The notes: sharing parameters over time makes a model extend to lengths of sequences that it has not
seen, and share statistical strength between positions; with separate parameters for each time index it
could do neither. A convolution shares them too, but each output is a function of a few neighbors only.

Measured on strings in which one of four keys stands among letters that do not matter, at any place: at
the end the net says which key it was. Training strings have 4 to 12 symbols. Three nets of as many
hidden units: a plain recurrent net; the same with parameters of its own at each step; and a convolution
whose window of 12 covers every training string, read at the last symbol. Each is trained by Adam at its
own best rate. Then strings of up to 48 symbols, four times the longest seen (parameters of steps beyond
the twelfth exist, and are as they started); and, for the statistical strength, few training strings.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, mean, paired
from dlnotes.models import Model
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.typing import Array, PRNGKey

from ._reader import accuracy, glorot, read_out, reader, real, train_tuned

KEYS, LETTERS = 4, 4
SYMBOLS = KEYS + LETTERS
SHORTEST, LONGEST = 4, 12
LENGTHS = (4, 8, 12, 16, 24, 32, 48)
TWICE = LENGTHS.index(2 * LONGEST)
RATES = np.array([1e-3, 3e-3, 1e-2, 3e-2])
NETS = ("shared", "own at each step", "window")
COLORS = (BLUE, ORANGE, GREEN)
LABELS = ("recurrent, shared", "recurrent, own at each step", f"convolution, window of {LONGEST}")
MANY, FEW = 0, 1


class UnseenLengths(Options):
    """Sizes of the experiment."""

    hidden: int = Field(32, ge=1, description="hidden units of each net")
    examples: int = Field(2000, ge=10, description="training strings")
    few: int = Field(100, ge=10, description="training strings where they are few")
    test: int = Field(500, ge=10, description="test strings of each length")
    steps: int = Field(600, ge=1, description="steps of each training")
    batch: int = Field(50, ge=1, description="strings of a step")
    tuning_seeds: int = Field(2, ge=1, description="trainings of each net with each learning rate")


def strings(rng: np.random.Generator, lengths: np.ndarray, longest: int) -> data.Examples:
    """One key at any place of each string; ``(n, longest, symbols)``, rows of zeros behind the end."""
    n, rows = len(lengths), np.arange(len(lengths))
    symbols = rng.integers(KEYS, SYMBOLS, (n, longest))
    y = rng.integers(0, KEYS, n)
    symbols[rows, rng.integers(0, lengths)] = y
    x = np.eye(SYMBOLS, dtype=np.float32)[symbols]
    x[np.arange(longest)[None] >= lengths[:, None]] = 0
    return data.Examples(x, y.astype(np.int32))


class OwnSteps(NamedTuple):
    """``h_t = tanh(b_t + h_{t-1} W_t + x_t U_t)``, ``o = c + h_τ V``: parameters of each step's own.

    Attributes:
      U: (steps, inputs, hidden).
      W: (steps, hidden, hidden).
      b: (steps, hidden).
      V: (hidden, outputs).
      c: (outputs,).
    """

    U: Array
    W: Array
    b: Array
    V: Array
    c: Array


def own_steps(hidden: int, steps: int) -> Model:
    """The recurrent net without sharing; each step starts as `rnn` does."""

    def init(key: PRNGKey, /) -> OwnSteps:
        key_V, *keys = jax.random.split(key, steps + 1)
        U, W, b = jax.vmap(lambda k: layers.rnn.init(k, SYMBOLS, hidden))(jnp.stack(keys))
        return OwnSteps(U, W, b, glorot(key_V, hidden, KEYS), jnp.zeros(KEYS))

    def apply(params: OwnSteps, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None):
        def step(h: Array, inputs: tuple):
            x, active, U, W, b = inputs
            return jnp.where(active[:, None], jnp.tanh(b[None] + h @ W + x @ U), h), None

        n = x.shape[1]
        own = params.U[:n], params.W[:n], params.b[:n]
        h = jnp.zeros((x.shape[0], hidden), x.dtype)
        h, _ = jax.lax.scan(step, h, (jnp.swapaxes(x, 0, 1), real(x).T, *own))
        return read_out(h, params.V, params.c)

    return Model(init, apply)


class Window(NamedTuple):
    """``h = tanh(b + Σ_i x_{τ-i} K_i)``, ``o = c + h V``: a convolution read at the last symbol.

    Attributes:
      K: (window, inputs, hidden).
      b: (hidden,).
      V: (hidden, outputs).
      c: (outputs,).
    """

    K: Array
    b: Array
    V: Array
    c: Array


def window(hidden: int, width: int) -> Model:
    """One convolution over time; before the first symbol it sees zeros."""

    def init(key: PRNGKey, /) -> Window:
        key_K, key_V = jax.random.split(key)
        K = glorot(key_K, width * SYMBOLS, hidden).reshape(width, SYMBOLS, hidden)
        return Window(K, jnp.zeros(hidden), glorot(key_V, hidden, KEYS), jnp.zeros(KEYS))

    def apply(params: Window, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None):
        padded = jnp.pad(x, ((0, 0), (width, 0), (0, 0)))
        end = jnp.sum(real(x), -1)  # the padded sequence's last symbol is at end + width - 1
        seen = jnp.take_along_axis(padded, (end[:, None] + jnp.arange(width)[None])[:, :, None], 1)
        h = jnp.tanh(jnp.einsum("bwi,wih->bh", seen, params.K) + params.b[None])
        return read_out(h, params.V, params.c)

    return Model(init, apply)


def measure(options: UnseenLengths) -> dict[str, np.ndarray]:
    """Accuracy by length, (nets, lengths, seeds), and at training lengths from few strings."""
    rng = np.random.default_rng(0)

    def seen(n: int) -> data.Examples:
        return strings(rng, rng.integers(SHORTEST, LONGEST + 1, n), LONGEST)

    train, validation, test = seen(options.examples), seen(options.test), seen(options.test)
    longer = [strings(rng, np.full(options.test, n), n) for n in LENGTHS]
    models = (
        reader(layers.rnn, SYMBOLS, options.hidden, KEYS),
        own_steps(options.hidden, LENGTHS[-1]),
        window(options.hidden, LONGEST),
    )
    by_length = np.zeros((len(NETS), len(LENGTHS), options.seeds))
    at_seen = np.zeros((len(NETS), 2, options.seeds))
    rate = np.zeros((len(NETS), 2))
    for i, model in enumerate(models):
        for j, n in enumerate((options.examples, options.few)):
            trained = train_tuned(
                model,
                data.Examples(train.x[:n], train.y[:n]),
                validation,
                RATES,
                seeds=options.seeds,
                tuning_seeds=options.tuning_seeds,
                steps=options.steps,
                batch_size=min(options.batch, n),
                record=options.steps,
            )
            rate[i, j] = RATES[trained.chosen[0]]
            at_seen[i, j] = accuracy(model, trained.fit.params, test)
            if j == MANY:
                by_length[i] = [accuracy(model, trained.fit.params, part) for part in longer]
    return {"by_length": by_length, "at_seen": at_seen, "rate": rate}


def draw(options: UnseenLengths, m: Measured) -> Plot:
    """Accuracy against length on the left, from few strings on the right."""
    figure = new_figure(9, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    left.axvspan(SHORTEST, LONGEST, color="#EFEFEF", lw=0, zorder=0)
    left.text((SHORTEST * LONGEST) ** 0.5, 3, "seen in\ntraining", ha="center", color=GRAY, fontsize=9)
    for i, (label, color) in enumerate(zip(LABELS, COLORS)):
        values = 100 * m["by_length"][i]
        left.fill_between(LENGTHS, values.min(-1), values.max(-1), color=color, alpha=0.18, lw=0)
        left.plot(LENGTHS, values.mean(-1), "o-", color=color, label=label)
        for j in (MANY, FEW):
            points = 100 * m["at_seen"][i, j]
            place = j + 0.22 * (i - 1)
            right.plot(np.full(len(points), place), points, "o", color=color, alpha=0.4)
            right.hlines(points.mean(), place - 0.09, place + 0.09, color=color, lw=2.4)
    for axes in (left, right):
        axes.axhline(100 / KEYS, color="#999999", lw=1, ls=":")
        axes.set(ylim=(0, 103))
    left.text(LENGTHS[-1], 100 / KEYS - 1, "chance", ha="right", va="top", color=GRAY, fontsize=9)
    left.set(xscale="log", xlabel="length of the string", ylabel="accuracy (%; mean, range of seeds)")
    left.set_xticks(LENGTHS, [str(n) for n in LENGTHS])
    left.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    right.set(xticks=(0, 1), xlim=(-0.5, 1.5), ylabel="accuracy at the lengths of training (%)")
    right.set_xticklabels([f"{n:,} training strings" for n in (options.examples, options.few)], fontsize=9)
    found = 100 * m["by_length"][:, TWICE].mean(-1)
    set_title(
        figure,
        f"Strings twice as long as any seen, right: shared weights {found[0]:.0f}%, each step's own "
        f"{found[1]:.0f}%, a window {found[2]:.0f}%",
    )
    table = {"length": list(LENGTHS)} | {
        f"{name.replace(' ', '_')}_accuracy": m["by_length"][i].mean(-1) for i, name in enumerate(NETS)
    }
    return Plot(figure, table)


def _beats(other: int, words: str) -> Part:
    return Part(
        f"better than {NETS[other]}",
        f"At twice the longest length of training the shared net is right more often than {words}.",
        what="accuracy of the shared net minus the other's, percentage points",
        effect=lambda m: paired(100 * m["by_length"][0, TWICE], 100 * m["by_length"][other, TWICE]),
        rule=Above(0.0),
    )


CLAIM = Claim(
    id="R8.2",
    statement="Sharing parameters over time lets a net treat lengths that it has not seen, and share "
    "statistical strength between positions; separate parameters for each step do not, nor does a "
    "convolution whose outputs see a few neighbors.",
    source="notes, «redes recurrentes»; Goodfellow et al. 2016, ch. 10",
    options=UnseenLengths,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "unseen lengths",
            "Shared weights are right on strings twice as long as any seen.",
            what="accuracy of the shared net at 24 symbols, %",
            effect=lambda m: mean(100 * m["by_length"][0, TWICE]),
            rule=Above(90.0),
        ),
        _beats(1, "the net with parameters of each step's own"),
        _beats(2, "a convolution that sees as far as the longest string of training"),
        Part(
            "strength from few",
            "At the lengths of training, and from few strings, the shared net is right more often than the "
            "one with each step's own.",
            what="accuracy from few strings, shared minus own at each step, percentage points",
            effect=lambda m: paired(100 * m["at_seen"][0, FEW], 100 * m["at_seen"][1, FEW]),
            rule=Above(0.0),
        ),
    ),
)
