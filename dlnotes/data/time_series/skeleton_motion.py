"""Motions of a skeleton: the angles of its joints over time, one channel for each axis of a joint."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices

CHANNELS = (
    "left hip flexion",
    "right hip flexion",
    "left hip abduction",
    "right hip abduction",
    "left knee flexion",
    "right knee flexion",
    "left shoulder flexion",
    "right shoulder flexion",
    "left shoulder abduction",
    "right shoulder abduction",
    "left elbow flexion",
    "right elbow flexion",
)
"""What the channels are, in radians."""

CLASSES = ("walking", "running", "limping", "jumping jacks", "squatting", "waving")
_MIRROR = np.array([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10])


def pose(kind: str, phase: Any) -> np.ndarray:
    """The angles ``(…, 12)`` in radians at phases ``(…)`` of a motion that repeats after ``2π``.

    Legs and arms swing against each other in walking and running; a limping figure swings its right leg less
    and spends less time on it; in jumping jacks and squats both sides do the same; a waving figure stands and
    moves its right arm, three times as fast.

    Args:
      kind: one of `CLASSES`.
      phase: in radians.
    """
    p = np.asarray(phase, np.float64)
    zero, one = np.zeros_like(p), np.ones_like(p)
    up = (1 - np.cos(p)) / 2
    if kind in ("walking", "running", "limping"):
        fast = kind == "running"
        # Legs half a period apart; a limping figure comes back early from its right leg.
        left, right = p, p + np.pi + (0.5 * np.sin(p) if kind == "limping" else 0.0)
        less = 0.45 if kind == "limping" else 1.0
        hip, knee, arm = (40.0, 80.0, 35.0) if fast else (25.0, 50.0, 20.0)
        bend = 80.0 if fast else 15.0
        lean = 4 * np.sin(p)
        rows = [
            hip * np.sin(left) + 5, less * hip * np.sin(right) + 5, lean, -lean,
            10 + knee * np.maximum(0, np.cos(left)), 10 + less * knee * np.maximum(0, np.cos(right)),
            arm * np.sin(right), arm * np.sin(left), 8 * one, 8 * one,
            bend + 10 * np.sin(right), bend + 10 * np.sin(left),
        ]  # fmt: skip
    elif kind == "jumping jacks":
        spring = 20 * np.abs(np.sin(p))
        rows = [
            zero,
            zero,
            25 * up,
            25 * up,
            spring,
            spring,
            zero,
            zero,
            150 * up,
            150 * up,
            10 * one,
            10 * one,
        ]
    elif kind == "squatting":
        arms = 70 * up
        rows = [90 * up, 90 * up, 10 * one, 10 * one, 110 * up, 110 * up, arms, arms, zero, zero, zero, zero]
    else:
        still = [zero] * 8
        rows = [*still, 5 * one, 100 * one, 10 * one, 60 + 35 * np.sin(3 * p)]
    return np.deg2rad(np.stack(rows, axis=-1))


def skeleton_motion(
    *,
    n: int = 3000,
    frames: int = 64,
    noise: float = 0.15,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Motions ``(frames, 12)`` of six classes: the angles of a figure's joints, see `CHANNELS` and `pose`.

    Each figure begins anywhere in its motion, repeats it after 16 to 40 frames with a speed that drifts,
    moves by 0.6 to 1.2 times the angles of `pose`, stands a little otherwise (a constant of 0.15 rad for each
    joint), may be left or right handed (mirrored), and is measured with noise. No recordings: nothing but the
    formulas.

    Args:
      n: number of motions, as many of each class as can be.
      frames: of each, 8 or more.
      noise: standard deviation of each measured angle, in radians.
      validation: share or number of motions for validation.
      test: the same for the test part.
      seed: of the motions and of the split.
      standardize: whether each channel is standardized.

    Raises:
      ValueError: when an option is out of range.

    >>> skeleton_motion(n=60).inputs
    (64, 12)
    """
    for name, value, least in (("n", n, 10 * len(CLASSES)), ("frames", frames, 8), ("noise", noise, 0)):
        if value < least:
            raise ValueError(f"{name}: got {value}, at least {least} is needed")
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(CLASSES)
    speed = 2 * np.pi / rng.uniform(16, 40, (n, 1))
    drift = 0.15 * rng.standard_normal((n, frames)).cumsum(1) / np.sqrt(frames)
    phase = rng.uniform(0, 2 * np.pi, (n, 1)) + (speed * (1 + drift)).cumsum(1)
    x = np.stack([pose(CLASSES[label], p) for label, p in zip(y, phase)])
    x *= rng.uniform(0.6, 1.2, (n, 1, 1))
    mirrored = rng.random(n) < 0.5
    x[mirrored] = x[mirrored][..., _MIRROR]
    x += 0.15 * rng.standard_normal((n, 1, len(CHANNELS))) + noise * rng.standard_normal(x.shape)
    return assemble(
        "skeleton_motion",
        x.astype(np.float32),
        y,
        split_indices(n, validation=validation, test=test, seed=seed, stratify=y),
        input="sequence",
        task="classification",
        outputs=len(CLASSES),
        standardize=standardize,
        classes=CLASSES,
        features=CHANNELS,
    )
