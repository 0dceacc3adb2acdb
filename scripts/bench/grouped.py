"""Grouped products against other ways to give each row its own matrix: ``python -m scripts.bench.grouped``.

A hard mixture of 8 experts, 784-128-10, on 4,096 rows: the experts alone, routes given. All ways run in
one process, in interleaved rounds; a ratio is the median over rounds of the ratio within a round, with the
smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers
from dlnotes.layers.large_scale.grouped import masked_dense_of_groups

ROWS, INPUTS, UNITS, OUTPUTS, EXPERTS = 4096, 784, 128, 10, 8
WAYS = ("grouped", "masked", "ragged_dot", "one expert")
SKEWS = {"balanced": 0.0, "skewed": 0.5}
"""Share of the rows that go to one expert, beyond its part of the others."""


class Bar(NamedTuple):
    """What grouped products must reach: their time over another way's is at most ``most``."""

    over: str
    most: float


BARS = (Bar("masked", 1 / 3), Bar("one expert", 1.3))

Weights = tuple[layers.Dense, layers.Dense]


def grouped(weights: Weights, x: Any, expert: Any) -> Any:
    """The library's."""
    groups = layers.sort_by_group(expert, EXPERTS)
    return layers.grouped_dense(weights[1], jax.nn.relu(layers.grouped_dense(weights[0], x, groups)), groups)


def masked(weights: Weights, x: Any, expert: Any) -> Any:
    """All experts for every row, one of them kept."""
    h = jax.nn.relu(masked_dense_of_groups(x, *weights[0], expert))  # pyright: ignore[reportArgumentType]
    return masked_dense_of_groups(h, *weights[1], expert)  # pyright: ignore[reportArgumentType]


def ragged_dot(weights: Weights, x: Any, expert: Any) -> Any:
    """The compiler's product of sorted rows."""
    order = jnp.argsort(expert, stable=True)
    sizes = jnp.bincount(expert, length=EXPERTS).astype(jnp.int32)
    own = expert[order]
    h = jax.nn.relu(
        jax.lax.ragged_dot(x[order], jnp.asarray(weights[0].W), sizes) + jnp.asarray(weights[0].b)[own]
    )
    z = jax.lax.ragged_dot(h, jnp.asarray(weights[1].W), sizes) + jnp.asarray(weights[1].b)[own]
    return jnp.zeros_like(z).at[order].set(z)


def one_expert(weights: Weights, x: Any, expert: Any) -> Any:
    """The first expert for every row: what routing could cost at best."""
    first, second = (layers.Dense(jnp.asarray(W)[0], jnp.asarray(b)[0]) for W, b in weights)
    return layers.dense(second, jax.nn.relu(layers.dense(first, x)))


FUNCTIONS: dict[str, Callable[..., Any]] = dict(zip(WAYS, (grouped, masked, ragged_dot, one_expert)))


def drawn(skew: float, seed: int = 0) -> tuple[Weights, np.ndarray, np.ndarray]:
    """Weights, rows, and the expert of each row."""
    rng = np.random.default_rng(seed)
    sizes = [(INPUTS, UNITS), (UNITS, OUTPUTS)]
    weights = tuple(
        layers.Dense(
            (rng.normal(size=(EXPERTS, n, m)) / n**0.5).astype(np.float32),
            rng.normal(size=(EXPERTS, m)).astype(np.float32),
        )
        for n, m in sizes
    )
    expert = np.where(rng.random(ROWS) < skew, 0, rng.integers(0, EXPERTS, ROWS)).astype(np.int32)
    return weights, rng.normal(size=(ROWS, INPUTS)).astype(np.float32), expert  # type: ignore[return-value]


def measure(gradient: bool, skew: float, *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each way in each round."""
    weights, x, expert = jax.device_put(drawn(skew))

    def program(way: str) -> Callable[..., Any]:
        f = FUNCTIONS[way]
        return jax.jit(jax.grad(lambda w, x, e: jnp.sum(f(w, x, e) ** 2)) if gradient else f)

    programs = {way: program(way) for way in WAYS}
    if not gradient:
        want = programs["masked"](weights, x, expert)
        for way in ("grouped", "ragged_dot"):
            np.testing.assert_allclose(programs[way](weights, x, expert), want, rtol=1e-3, atol=1e-3)

    def spent(way: str, least: float) -> float:
        start, calls = time.perf_counter(), 0
        while (now := time.perf_counter() - start) < least or not calls:
            jax.block_until_ready(programs[way](weights, x, expert))
            calls += 1
        return 1000 * (now if calls == 0 else time.perf_counter() - start) / calls

    for way in WAYS:
        spent(way, 0.0)  # compiles
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for i in range(rounds):
        for k in range(len(WAYS)):
            way = WAYS[(i + k) % len(WAYS)]
            found[way].append(spent(way, seconds))
    return found


def ratios(found: dict[str, list[float]], way: str, over: str) -> tuple[float, float, float]:
    """Median over rounds of a way's time over another's, the smallest and the largest."""
    r = np.array(found[way]) / np.array(found[over])
    return float(np.median(r)), float(r.min()), float(r.max())


def report(results: dict[str, dict[str, list[float]]]) -> str:
    """Tables and bars, as Markdown."""
    lines = [
        "# Grouped products",
        "",
        f"{ROWS:,} rows, {EXPERTS} experts {INPUTS}-{UNITS}-{OUTPUTS}; {platform.machine()}, "
        f"{jax.default_backend()}, jax {jax.__version__}. Milliseconds: median of the rounds; "
        f"ratios within a "
        "round: median [smallest–largest].",
        "",
    ]
    for name, found in results.items():
        lines += [f"## {name}", "", "| way | ms | over one expert |", "|---|---:|---:|"]
        for way in WAYS:
            r, low, high = ratios(found, way, "one expert")
            lines.append(f"| {way} | {np.median(found[way]):.1f} | {r:.2f} [{low:.2f}–{high:.2f}] |")
        lines += ["", "| bar | measured | verdict |", "|---|---:|---|"]
        for bar in BARS:
            r, low, high = ratios(found, "grouped", bar.over)
            verdict = "met" if r <= bar.most else "missed"
            lines.append(f"| ≤ {bar.most:.2f} × {bar.over} | {r:.2f} [{low:.2f}–{high:.2f}] | {verdict} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the numbers where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each way in each round")
    parser.add_argument("--json", type=Path, help="where to write every round's milliseconds")
    given = parser.parse_args()
    results = {
        f"{what}, {name}": measure(gradient, skew, rounds=given.rounds, seconds=given.seconds)
        for what, gradient in (("forward", False), ("forward and backward", True))
        for name, skew in SKEWS.items()
    }
    print(report(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
