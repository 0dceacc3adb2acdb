"""A melody in another octave is a shift along an axis of log frequency, and convolutions follow it."""

import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, layers
from dlnotes.data.time_series.sound import spectrogram

RATE = 8000
MELODY = (0, 4, 7, 5)  # semitones above the first note
NOTE = 2000  # samples


def played(base):
    """Pure tones, one after another."""
    t = np.arange(NOTE) / RATE
    return np.concatenate([np.sin(2 * np.pi * base * 2 ** (s / 12) * t) for s in MELODY])


def seen(base):
    found = data.log_spectrogram(played(base), rate=RATE, lowest=110, octaves=4, hop=250)
    return found


def test_a_tone_stands_in_its_row_and_has_half_its_amplitude():
    t = np.arange(8000) / RATE
    for row in (3, 12, 20):
        S = data.log_spectrogram(
            1.4 * np.sin(2 * np.pi * 220 * 2 ** (row / 12) * t + 1), rate=RATE, lowest=220, octaves=2
        )
        middle = S[:, S.shape[1] // 2]
        assert middle.argmax() == row
        assert middle[row] == pytest.approx(0.7, rel=1e-3)  # |A e^{iφ}/2|
        assert middle[(row + 6) % 24] < 0.02


def test_against_the_definition():
    x = np.random.default_rng(0).normal(size=700)
    S = data.log_spectrogram(x, rate=RATE, lowest=500, octaves=1, steps=4, hop=100)
    Q = 1 / (2 ** (1 / 4) - 1)
    for k, t in ((0, 3), (2, 0), (3, 6)):
        f = 500 * 2 ** (k / 4)
        total = weights = 0.0
        for n in range(-200, 201):
            s = n * f / (Q * RATE)
            w = np.cos(np.pi * s) ** 2 if abs(s) < 0.5 else 0.0
            weights += w
            at = 100 * t + n
            if 0 <= at < len(x):
                total += w * x[at] * np.exp(-2j * np.pi * f * n / RATE)
        assert S[k, t] == pytest.approx(abs(total) / weights, rel=1e-4)


def test_another_octave_is_a_shift_by_twelve_rows():
    """Where notes sound on; at their ends high notes, whose windows are shorter, end more sharply."""
    low, high = seen(233.0), seen(466.0)
    sounding = [4 + 8 * i for i in range(len(MELODY))]  # the middles of the notes
    np.testing.assert_allclose(high[12:, sounding], low[:-12, sounding], atol=0.01)
    assert np.abs(high - low)[:, sounding].max() > 0.3
    # Along linear frequencies it is none: the distances of the rows double.
    linear = [np.exp(spectrogram(played(f), window=512, hop=250)) for f in (233.0, 466.0)]
    tops = [s.argmax(0)[[4, 12, 20, 28]] for s in linear]
    assert len(set((tops[1] - tops[0]).tolist())) > 2


def test_a_convolution_gives_the_same_map_at_another_height(key):
    """The notes' sentence: the same representation, at a different height of the network's output."""
    K = layers.init_convolution(key, (5, 3), 1, 4)
    low, high = (
        layers.relu(layers.conv(K, jnp.asarray(seen(f))[None, ..., None]))[0] for f in (233.0, 466.0)
    )
    sounding = np.array([4, 12, 20, 28])
    a, b = np.asarray(high)[14:-2, sounding], np.asarray(low)[2:-14, sounding]
    np.testing.assert_allclose(a, b, atol=0.02)
    assert np.abs(b).max() > 0.3
    # What is pooled over all heights does not know the octave.
    tops = [np.asarray(m)[:, sounding].max(0) for m in (low, high)]
    np.testing.assert_allclose(*tops, atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(rate=8000, lowest=220, octaves=0), "octaves: got 0"),
        (dict(rate=8000, lowest=220, octaves=2, hop=0), "hop: got 0"),
        (dict(rate=8000, lowest=0, octaves=2), "lowest: got 0 Hz"),
        (dict(rate=8000, lowest=1000, octaves=3), "lowest: got 1000 Hz.*under half of the rate, 4000"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.log_spectrogram(np.zeros(100), **options)
