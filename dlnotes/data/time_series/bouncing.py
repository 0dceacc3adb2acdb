"""A ball that bounces off pegs: a motion whose next step has several answers, with its exact density."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset

SPEED = 1.0
"""Distance in a frame to which the ball is drawn back after a bounce has changed it."""
SPRING = 0.05
"""Share of the place that is subtracted from the step: it keeps the ball near the origin."""
PULL = 0.2
"""How fast the speed returns: u becomes ``u (SPEED/|u|)^PULL``."""


class Bounces(NamedTuple):
    """What a ball's steps depend on.

    Attributes:
      share: probability that the ball hits a peg in a frame.
      angle: by which a peg turns it, in degrees, to the side of its spin.
      flip: probability that a peg turns the spin round, after the bounce.
      noise: standard deviation of each coordinate of a step.
    """

    share: float = 0.3
    angle: float = 60.0
    flip: float = 0.1
    noise: float = 0.1


def bouncing_paths(
    n: int, frames: int, *, seed: int | np.random.Generator = 0, bounces: Bounces | None = None
) -> np.ndarray:
    """Places of n balls, ``(n, frames, 2)`` float64.

    The step ``v_t = x_t − x_{t−1}`` becomes ``v_{t+1} = R(θ) f(v_t − k x_t) + s ε``: k is `SPRING`, f draws
    the length back to `SPEED`, and θ is 0 but where the ball hits a peg (`Bounces.share`); then it is the
    angle, to the left or to the right. Which side is the ball's spin, which nobody sees: it shows in the last
    bounce, and a peg turns it round with `Bounces.flip`. So the next place has three likely answers, and how
    likely each is takes memory to tell.

    Args:
      n: balls.
      frames: of each, at least 3.
      seed: of the draws.
      bounces: `Bounces`, with their usual values if not given.

    Raises:
      ValueError: when a number is out of range.

    Example:
      >>> bouncing_paths(2, 5).shape
      (2, 5, 2)
    """
    b = _checked(bounces)
    if n < 1:
        raise ValueError(f"n: got {n}, allowed is at least 1")
    if frames < 3:
        raise ValueError(f"frames: got {frames}, allowed is at least 3: a step is seen before one is told")
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0, 2 * np.pi, n)
    x = np.empty((n, frames, 2))
    x[:, 0] = rng.normal(0, 2, (n, 2))
    x[:, 1] = x[:, 0] + SPEED * np.stack([np.cos(turn), np.sin(turn)], 1)
    spin = rng.choice([-1, 1], n)
    for t in range(2, frames):
        hit = rng.random(n) < b.share
        angle = np.where(hit, spin, 0) * np.radians(b.angle)
        step = _turned(_carried(x[:, t - 1], x[:, t - 1] - x[:, t - 2]), angle)
        x[:, t] = x[:, t - 1] + step + b.noise * rng.normal(size=(n, 2))
        spin = np.where(hit & (rng.random(n) < b.flip), -spin, spin)
    return x


class _Ahead(NamedTuple):
    """What can be said of a frame before it is seen: a mixture of three Gaussians of one deviation.

    Attributes:
      weights: ``(3, n)`` no peg, a turn by −angle, by +angle.
      means: ``(3, n, 2)`` of the step.
      log_p: ``(n,)`` of the step that came.
    """

    weights: np.ndarray
    means: np.ndarray
    log_p: np.ndarray


def _ahead(paths: Any, bounces: Bounces | None) -> Iterator[_Ahead]:
    """Frame by frame, by the forward recursion of a hidden Markov chain whose states are the two spins."""
    b, x = _checked(bounces), np.asarray(paths, np.float64)
    if x.ndim != 3 or x.shape[1] < 3 or x.shape[2] != 2:
        raise ValueError(f"paths: got shape {x.shape}, allowed is (n, 3 frames or more, 2)")
    spin = np.full((2, x.shape[0]), 0.5)  # probability of −1, of +1
    for t in range(2, x.shape[1]):
        carried = _carried(x[:, t - 1], x[:, t - 1] - x[:, t - 2])
        means = np.stack([_turned(carried, s * np.radians(b.angle)) for s in (0, -1, 1)])
        weights = np.concatenate([np.full((1, x.shape[0]), 1 - b.share), b.share * spin])
        error = x[:, t] - x[:, t - 1] - means
        with np.errstate(
            divide="ignore"
        ):  # the logarithm of a weight of 0 is minus infinity, as it should be
            each = np.log(weights) - 0.5 * (error**2).sum(-1) / b.noise**2
        highest = each.max(0)
        log_p = highest + np.log(np.exp(each - highest).sum(0))
        yield _Ahead(weights, means, log_p - 2 * np.log(b.noise) - np.log(2 * np.pi))
        happened = np.exp(each - log_p)  # no peg, −, +
        bounced = happened[1:]
        spin = spin * happened[0] + (1 - b.flip) * bounced + b.flip * bounced[::-1]
        spin /= spin.sum(0)


def bouncing_log_density(paths: Any, bounces: Bounces | None = None) -> np.ndarray:
    """``log p(x_t | x_1 … x_{t−1})`` of every place but the first two, ``(n, frames − 2)``: exact.

    A mixture of three Gaussians whose weights come from the probability of each spin given all steps so far,
    by the forward recursion of a hidden Markov chain of two states.

    Args:
      paths: ``(n, frames, 2)``, as `bouncing_paths` gives them.
      bounces: the same.

    Raises:
      ValueError: on another shape, or a number out of range.
    """
    return np.stack([ahead.log_p for ahead in _ahead(paths, bounces)], axis=1)


def bouncing_gaussian_entropy(paths: Any, bounces: Bounces | None = None) -> np.ndarray:
    """``½ log det(2πe Σ_t)``, ``(n, frames − 2)``: the least −log p to be expected of one Gaussian.

    Σ_t is the covariance of the exact density of the next place. Of all Gaussians the one with the same mean
    and covariance is the most likely on average, and this is its −log p then.

    Args:
      paths, bounces: as of `bouncing_log_density`.

    Raises:
      ValueError: as `bouncing_log_density`.
    """
    b, found = _checked(bounces), []
    for ahead in _ahead(paths, bounces):
        mean = np.einsum("kn,kni->ni", ahead.weights, ahead.means)
        apart = ahead.means - mean
        covariance = np.einsum("kn,kni,knj->nij", ahead.weights, apart, apart) + b.noise**2 * np.eye(2)
        found.append(0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1])
    return np.stack(found, axis=1)


def bouncing_frames(paths: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees and tells: ``(x_t, v_t)`` ``(n, frames − 2, 4)`` and the next step, ``(…, 2)``."""
    x = np.asarray(paths)
    steps = np.diff(x, axis=1)
    return np.concatenate([x[:, 1:-1], steps[:, :-1]], axis=2), steps[:, 1:]


def bouncing(
    *,
    window: int = 30,
    share: float = 0.3,
    angle: float = 60.0,
    flip: float = 0.1,
    noise: float = 0.1,
    n_train: int = 10_000,
    n_validation: int = 1000,
    n_test: int = 2000,
    seed: int = 0,
    standardize: bool = False,
) -> Dataset:
    """Frames of balls that bounce off pegs, each of a path of its own, and the step that follows them.

    Input "sequence" ``(window, 4)``, the place and the last step; task "regression" with two targets, the
    next step. See `bouncing_paths`; `bouncing_log_density` tells what can be reached.

    Args:
      window: frames seen.
      share: probability that a ball hits a peg in a frame.
      angle: by which a peg turns it, in degrees.
      flip: probability that a peg turns its spin round.
      noise: standard deviation of each coordinate of a step.
      n_train, n_validation, n_test: examples.
      seed: of the draws.
      standardize: whether inputs and targets are standardized; without it a loss is in nats of the step as
        it is.

    Raises:
      ValueError: when a number is out of range.
    """
    if window < 1:
        raise ValueError(f"window: got {window}, allowed is at least 1 frame")
    sizes = (n_train, n_validation, n_test)
    if n_train < 1 or min(sizes) < 0:
        raise ValueError(
            f"n_train, n_validation, n_test: got {', '.join(map(str, sizes))}, "
            "at least 1 training example is needed and none may be negative"
        )
    paths = bouncing_paths(sum(sizes), window + 2, seed=seed, bounces=Bounces(share, angle, flip, noise))
    seen, following = bouncing_frames(paths)
    return assemble(
        "bouncing",
        seen,
        following[:, -1],
        consecutive(*sizes),
        input="sequence",
        task="regression",
        outputs=2,
        standardize=standardize,
        features=("x", "y", "step x", "step y"),
    )


def _carried(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The step without peg and noise: after the spring, its length drawn back."""
    u = v - SPRING * x
    length = np.maximum(np.linalg.norm(u, axis=-1, keepdims=True), 1e-12)
    return u * (SPEED / length) ** PULL


def _turned(v: np.ndarray, angle: Any) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * v[:, 0] - s * v[:, 1], s * v[:, 0] + c * v[:, 1]], axis=1)


def _checked(bounces: Bounces | None) -> Bounces:
    b = Bounces() if bounces is None else bounces
    for name in ("share", "flip"):
        if not 0 <= getattr(b, name) <= 1:
            raise ValueError(f"{name}: got {getattr(b, name)}, allowed is a probability, 0 to 1")
    if not 0 < b.noise < np.inf:
        raise ValueError(f"noise: got {b.noise}, allowed is a positive number")
    if not -180 <= b.angle <= 180:
        raise ValueError(f"angle: got {b.angle}, allowed is -180 to 180 degrees")
    return b
