"""Mixtures of Gaussians for speech and for motion: the density of the next frame, by recurrent nets.

The notes: mixtures of Gaussians as outputs are particularly effective in generative models of speech and of
movements of physical objects; they represent several modes and control the variance, which is crucial there.

Measured: held-out −log p of a frame given all before it, by recurrent nets that differ in their output unit
alone: one Gaussian or several, each with a diagonal or a full covariance. Speech are utterances of Japanese
vowels. Motion is a ball that bounces off pegs to the side of a spin that shows only in its last bounce, so
that the next step has three likely answers; its exact density is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Level,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Source,
    notes,
    ours,
    over_cases,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title

from ._frame_mixtures import LOOKS, RATES, Arm, Frames, motion, per_frame, speech, train

ONE, ONE_FULL, MANY, MANY_FULL = range(4)
SPEECH, MOTION = range(2)
SETS = ("speech", "motion")
NAMES = ("one Gaussian, diagonal", "one Gaussian, full", "mixture, diagonal", "mixture, full")
HALF, END = range(2)
GRID = 61
"""Points along each axis of the drawn densities."""


class SpeechAndMotion(Options):
    """Sizes of the experiment."""

    components: int = Field(5, ge=2, description="Gaussians of a mixture")
    hidden: int = Field(64, ge=2, description="units of the recurrent layer (GRU)")
    dropout: float = Field(0.2, ge=0, lt=1, description="of its outputs, for speech")
    steps: int = Field(2000, ge=20, description="of each training")
    tuning_steps: int = Field(400, ge=2, description="of those that choose the rate")
    batch_size: int = Field(32, ge=1, description="sequences of a step")
    paths: int = Field(1000, ge=10, description="balls to train on")
    held: int = Field(500, ge=10, description="balls to validate on, and as many to test on")
    frames: int = Field(30, ge=2, description="of each ball")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each rate, to choose one")


def arms(options: SpeechAndMotion) -> tuple[Arm, ...]:
    """In the order of `NAMES`."""
    n = options.components
    return tuple(Arm(name, *how) for name, how in zip(NAMES, ((1, False), (1, True), (n, False), (n, True))))


def measure(options: SpeechAndMotion) -> dict[str, np.ndarray]:
    """Train each arm on both kinds of frames; −log p of the test sequences, and densities to be drawn."""
    found: dict[str, np.ndarray] = {}
    for sets in (speech(), motion(options.paths, options.held, options.frames)):
        scores = []
        for arm in arms(options):
            scores.append(
                train(
                    arm,
                    sets,
                    hidden=options.hidden,
                    dropout=options.dropout if sets.name == "speech" else 0.0,
                    steps=options.steps,
                    tuning_steps=options.tuning_steps,
                    batch_size=options.batch_size,
                    seeds=options.seeds,
                    tuning_seeds=options.tuning_seeds,
                )
            )
        found[f"{sets.name}_nll"] = np.array([s.nll for s in scores])  # (arms, half or end, seeds, sequences)
        found[f"{sets.name}_frames"] = per_frame(sets)  # of each sequence
        found[f"{sets.name}_rates"] = np.array([s.rate for s in scores])
        found[f"{sets.name}_looks"] = np.array([s.looks for s in scores])  # (arms, snapshots, seeds)
        if sets.exact is not None and sets.gaussian is not None:
            found["exact"], found["gaussian"] = sets.exact, sets.gaussian
            found |= shown(options, sets, scores)
    return found


def shown(options: SpeechAndMotion, sets: Frames, scores: list[Any]) -> dict[str, np.ndarray]:
    """Densities of one test ball's next step on a grid, ``(one Gaussian or mixture, GRID, GRID)``."""
    at = np.linspace(-1.8, 1.8, GRID).astype(np.float32)
    grid = jnp.asarray(np.stack(np.meshgrid(at, at), -1).reshape(-1, 2))
    maps = []
    for k in (ONE_FULL, MANY):
        arm, s = arms(options)[k], scores[k]
        first = jax.tree.map(lambda a: jnp.asarray(a[0]), s.params)
        raw = s.model.apply(first, jnp.asarray(sets.test.x[:1]))[0, -1]
        density = arm.distribution(jnp.broadcast_to(raw, (len(grid), raw.shape[0])), d=2, floor=0.02)
        maps.append(np.exp(np.asarray(density.log_prob(grid))).reshape(GRID, GRID))
    return {"maps": np.array(maps), "map_axis": at, "map_step": np.asarray(sets.test.x[0, -1, 2:])}


def nll(m: Measured, which: int, arm: int, state: int) -> np.ndarray:
    """−log p of each test sequence over the mean number of frames: its mean is that of a frame."""
    name = SETS[which]
    return m[f"{name}_nll"][arm, state] / m[f"{name}_frames"].mean()


def less(m: Measured, which: int, arm: int, other: int, state: int) -> Interval:
    """−log p of a test frame, one arm minus another, nats."""
    return over_cases(nll(m, which, arm, state) - nll(m, which, other, state))


def gained(m: Measured, state: int) -> Interval:
    """Share of the nats between one full Gaussian and the exact density that the mixture gains."""
    exact = m["exact"].mean() / m["motion_frames"].mean()
    whole = nll(m, MOTION, ONE_FULL, state).mean() - exact
    return over_cases((nll(m, MOTION, ONE_FULL, state) - nll(m, MOTION, MANY, state)) / whole)


def below_the_best(m: Measured) -> Interval:
    """−log p of a test frame, the mixture minus the best Gaussian that there can be, nats."""
    return over_cases(nll(m, MOTION, MANY, END) - m["gaussian"] / m["motion_frames"].mean())


def draw(options: SpeechAndMotion, m: Measured) -> Plot:
    """−log p by output unit for both, and what two of them say of one ball's next step."""
    figure = new_figure(11.5, 4.4)
    panels = figure.subplots(1, 4, width_ratios=[1.1, 1.1, 1, 1])
    table: dict[str, list] = {"frames": [], "unit": [], "nll_per_frame": [], "rate": []}
    for which, axes in enumerate(panels[:2]):
        for k, color in enumerate((GRAY, PURPLE, BLUE, GREEN)):
            values = nll(m, which, k, END).mean(1)
            axes.plot(k + np.linspace(-0.15, 0.15, len(values)), values, "o", color=color, alpha=0.7, ms=4)
            axes.annotate(f"{values.mean():.2f}", (k, values.max()), (0, 6), textcoords="offset points",
                          ha="center", fontsize=9)  # fmt: skip
            rate = float(m[f"{SETS[which]}_rates"][k])
            for column, value in zip(table.values(), (SETS[which], NAMES[k], float(values.mean()), rate)):
                column.append(value)
        axes.set_xticks(
            range(4), ["one,\ndiag.", "one,\nfull", "mixture,\ndiag.", "mixture,\nfull"], fontsize=9
        )
        axes.set_title(SETS[which], fontsize=10)
        axes.margins(0.12, 0.18)
        if which == MOTION:
            exact = m["exact"].mean() / m["motion_frames"].mean()
            axes.axhline(exact, color="black", lw=1, ls="--")
            axes.annotate("exact density", (0, exact), (0, 4), textcoords="offset points", fontsize=8.5)
            best = m["gaussian"].mean() / m["motion_frames"].mean()
            axes.axhline(best, color=GRAY, lw=1, ls=":")
            axes.annotate(
                "best Gaussian", (3, best), (0, 4), textcoords="offset points", fontsize=8.5, ha="right"
            )
    panels[0].set_ylabel("held-out −log p of a frame (nats)")
    for axes, values, name in zip(panels[2:], m["maps"], (NAMES[ONE_FULL], NAMES[MANY])):
        axes.contourf(m["map_axis"], m["map_axis"], np.sqrt(values), 12, cmap="Blues")
        axes.plot(0, 0, "+", color=GRAY)
        axes.annotate("", m["map_step"], (0, 0), arrowprops={"arrowstyle": "->", "color": ORANGE})
        axes.set_title(f"next step: {name}", fontsize=9.5)
        axes.set_aspect("equal")
    panels[2].set_ylabel("arrow: the last step", fontsize=9)
    found = [less(m, which, MANY, ONE_FULL, END) for which in range(2)]
    set_title(
        figure,
        f"A mixture against one full Gaussian: speech {found[0].value:+.2f} [{found[0].low:.2f}, "
        f"{found[0].high:.2f}] nats a frame, motion {found[1].value:+.2f} [{found[1].low:.2f}, "
        f"{found[1].high:.2f}]",
    )
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for which, name in enumerate(SETS):
        for k, arm in enumerate(("one", "one full", "many", "many full")):
            told[f"{name}, {arm}"] = f"{nll(m, which, k, END).mean():.2f}"
        told[f"{name}, rates"] = ", ".join(f"{rate:g}" for rate in m[f"{name}_rates"])
    told["gaussian"] = f"{m['gaussian'].mean() / m['motion_frames'].mean():.2f}"
    told["exact"] = f"{m['exact'].mean() / m['motion_frames'].mean():.2f}"
    return told


SECTION = "aprendizaje basado en el descenso de gradiente"
EFFECTIVE = notes(
    SECTION,
    "Mixtures of Gaussians are particularly effective in generative models of speech and of movements of "
    "physical objects.",
)
WHERE = ("of speech", "of the ball")


def _part(which: int, arm: int, other: int, name: str, says: Source) -> Part:
    def effect(state: int) -> Callable[[Measured], Interval]:
        return lambda m: less(m, which, arm, other, state)

    a, b = (
        ("one Gaussian with a diagonal covariance", "one Gaussian with a full covariance",
         "a mixture with diagonal covariances", "a mixture with full covariances")[k]
        for k in (arm, other)
    )  # fmt: skip
    return Part(
        name,
        f"Held-out frames {WHERE[which]} are more likely under {a} than under {b}.",
        what=f"−log p of a held-out frame {WHERE[which]}, {NAMES[arm]} minus {NAMES[other]}, nats",
        effect=effect(END),
        rule=Below(0.0),
        source=says,
        learned=Plateau(half=effect(HALF)) if which == SPEECH else KNOWN,
    )


KNOWN = Level(
    "share of the nats between one full Gaussian and the exact density that the mixture gains",
    lambda m: gained(m, END),
    Above(0.8),
)
"""How near the exact density is says more than a plateau, whose intervals are narrow here."""

CLAIM = Claim(
    id="F2.12",
    statement="Mixtures of Gaussians as outputs are particularly effective in generative models of speech "
    "and of movements of physical objects.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Graves 2013; Goodfellow et al. 2016, "
    "6.2.2.4",
    options=SpeechAndMotion,
    measure=measure,
    draw=draw,
    method="Recurrent nets (GRU, {options.hidden} units) give, at every frame, a density of the change to "
    "the next; they differ in the output unit alone: one Gaussian or {options.components}, diagonal or full. "
    "Speech: 12 coefficients of the Japanese vowels, standardized; 216 utterances to train on, 54 for "
    "validation, the 370 official ones for the test; dropout {options.dropout}. Motion: {options.paths} "
    "balls among pegs for {options.frames} frames, {options.held} others for validation and as many for the "
    "test. AdamW, {options.steps} steps of {options.batch_size} sequences, gradients clipped at a norm of 1, "
    f"rates that fall to zero half-way and at the end; each arm's rate is one of {len(RATES)}, chosen by "
    "validation likelihood on {options.tuning_seeds} other seeds, and of "
    f"{LOOKS} snapshots the best one held out is kept. "
    "{options.seeds} seeds; intervals cover seeds and test sequences.",
    parts=(
        _part(SPEECH, MANY, ONE, "speech, diagonal", EFFECTIVE),
        _part(SPEECH, MANY, ONE_FULL, "speech, against a full Gaussian", EFFECTIVE),
        _part(MOTION, MANY, ONE, "motion, diagonal", EFFECTIVE),
        _part(MOTION, MANY, ONE_FULL, "motion, against a full Gaussian", EFFECTIVE),
        _part(
            SPEECH,
            MANY_FULL,
            ONE_FULL,
            "speech, full covariances",
            ours("the number of Gaussians alone is changed, not what each can be"),
        ),
        _part(
            SPEECH,
            MANY_FULL,
            MANY,
            "speech, what full covariances add",
            ours("the notes say that diagonal covariances are usual, to avoid determinants"),
        ),
        _part(
            MOTION,
            MANY_FULL,
            ONE_FULL,
            "motion, full covariances",
            ours("the number of Gaussians alone is changed, not what each can be"),
        ),
        Part(
            "motion, against the best Gaussian",
            "Under the mixture the ball's frames are more likely than under the best Gaussian there can be.",
            what="−log p of a held-out frame of the ball, mixture minus the Gaussian with the moments of the "
            "exact density, nats",
            effect=below_the_best,
            rule=Below(0.0),
            source=ours("so that no training of the rival can be at fault"),
        ),
        Part(
            "motion, near the exact density",
            "The mixture gains most of what the exact density would.",
            what="share of the nats between one full Gaussian and the exact density",
            effect=lambda m: gained(m, END),
            rule=Above(0.8),
            source=ours("how near it comes, which the simulation can tell"),
        ),
    ),
    facts=_facts,
    reading="−log p of a held-out frame of speech is {facts[speech, one]} nats with one diagonal Gaussian, "
    "{facts[speech, one full]} with a full one, {facts[speech, many]} with a mixture of diagonal ones and "
    "{facts[speech, many full]} with a mixture of full ones; of motion {facts[motion, one]}, "
    "{facts[motion, one full]}, {facts[motion, many]} and {facts[motion, many full]}, {facts[exact]} "
    "under the exact density and {facts[gaussian]} under the best Gaussian. Rates in this order: "
    "{facts[speech, rates]}; {facts[motion, rates]}.",
)
