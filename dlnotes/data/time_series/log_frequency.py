"""A spectrogram whose frequencies are equal steps of pitch apart: another octave is a shift."""

from __future__ import annotations

from typing import Any

import numpy as np


def log_spectrogram(
    x: Any, *, rate: float, lowest: float, octaves: int, steps: int = 12, hop: int = 128
) -> np.ndarray:
    """Magnitudes at the frequencies ``f_k = lowest · 2^(k/steps)``, each over as many of its own periods.

    ``S[k, t] = |Σ_n w_k(n) x(t·hop + n) e^{−2πi f_k n / rate}| / Σ_n w_k(n)`` with a Hann window ``w_k``
    around 0 that is ``Q = 1 / (2^(1/steps) − 1)`` periods of ``f_k`` long. What is played an octave higher
    stands ``steps`` rows higher, with the same values: along this axis a convolution is equivariant to pitch,
    as it is to time along the other.

    Args:
      x: ``(..., samples)``.
      rate: samples a second.
      lowest: frequency of the first row, in Hz.
      octaves: how many; ``octaves · steps`` rows.
      steps: rows an octave; 12 are semitones.
      hop: samples from a column to the next.

    Returns:
      ``(..., octaves · steps, 1 + (samples − 1) // hop)`` float32, low frequencies first; beyond the ends of
      the signal there is silence.

    Raises:
      ValueError: on sizes that are not positive, and when the highest frequency is not under half the rate.

    Source: Brown, 1991, Calculation of a constant Q spectral transform; notes C7.4.

    >>> t = np.arange(4000) / 8000
    >>> S = log_spectrogram(np.sin(2 * np.pi * 440 * t), rate=8000, lowest=220, octaves=2)
    >>> int(S[:, 15].argmax())
    12
    """
    x = np.asarray(x, np.float64)
    for name, value in (("octaves", octaves), ("steps", steps), ("hop", hop)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, allowed is a positive integer")
    highest = lowest * 2 ** (octaves - 1 / steps)
    if not lowest > 0 or not highest < rate / 2:
        raise ValueError(
            f"lowest: got {lowest} Hz, allowed is above 0, with the highest row, {highest:g} Hz, under "
            f"half of the rate, {rate / 2:g} Hz"
        )
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(f"x: got shape {x.shape}, allowed is (..., samples)")
    Q = 1 / (2 ** (1 / steps) - 1)
    samples = x.shape[-1]
    columns = np.arange(0, samples, hop)
    rows = []
    for k in range(octaves * steps):
        f = lowest * 2 ** (k / steps)
        half = int(np.ceil(Q * rate / f / 2))
        n = np.arange(-half, half + 1)
        w = np.cos(np.pi * n / (Q * rate / f)) ** 2 * (np.abs(n) < Q * rate / f / 2)
        kernel = w / w.sum() * np.exp(-2j * np.pi * f * n / rate)
        wide = np.concatenate([np.zeros((*x.shape[:-1], half)), x, np.zeros((*x.shape[:-1], half))], axis=-1)
        frames = np.lib.stride_tricks.sliding_window_view(wide, len(n), axis=-1)[..., columns, :]
        rows.append(np.abs(frames @ kernel))
    return np.stack(rows, axis=-2).astype(np.float32)
