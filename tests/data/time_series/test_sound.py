"""Sounds against numpy's transform frame by frame, and classes told by measures of their own."""

import contextlib
import io
import re

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile

import dlnotes.data as data
from dlnotes.data.time_series.sound import CLASSES, FLOOR, read_wav, spectrogram, synthesize


@pytest.mark.parametrize(
    ("samples", "window", "hop"), [(200, 64, 64), (201, 64, 24), (64, 64, 9), (99, 50, 7)]
)
def test_spectrogram_is_the_transform_of_each_frame(samples, window, hop):
    x = np.random.default_rng(0).standard_normal((2, samples))
    w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = [x[:, i : i + window] * w for i in range(0, samples - window + 1, hop)]
    expected = np.stack([np.log(FLOOR + np.abs(np.fft.rfft(f)) / w.sum()) for f in frames], axis=-1)
    np.testing.assert_allclose(spectrogram(x, window=window, hop=hop), expected, rtol=1e-5, atol=1e-5)


def ridge(x):
    """Frequency of the strongest component of each loud frame, in Hz."""
    s = spectrogram(x, window=256, hop=64)
    loud = s.max(axis=0) > s.max() - 0.7
    return s[:, loud].argmax(axis=0) * 8000 / 256


def test_each_class_is_what_it_says():
    rng = np.random.default_rng(1)
    for _ in range(20):
        up, down, steady = (ridge(synthesize(kind, rng, noise=0.0)) for kind in CLASSES[:3])
        assert up[-1] > 1.15 * up[0]
        assert down[-1] < down[0] / 1.15
        assert np.ptp(steady) <= 8000 / 256
        two = np.abs(np.fft.rfft(synthesize("two tones", rng, noise=0.0)))
        peaks, _ = signal.find_peaks(two, height=two.max() / 2, distance=10)
        assert len(peaks) == 2
        assert 2**0.24 < peaks[1] / peaks[0] < 2**0.76
        for kind, low, high in [("tremolo", 20, 50), ("clicks", 30, 80)]:
            x = synthesize(kind, rng, noise=0.0)
            loudness = np.abs(signal.hilbert(x))
            loudness = loudness[np.flatnonzero(x)[0] : np.flatnonzero(x)[-1]]
            beats = np.abs(np.fft.rfft(loudness - loudness.mean(), 1 << 16))
            hertz = np.arange(len(beats)) * 8000 / (1 << 16)
            inside = (hertz > 15) & (hertz < 90)
            assert low - 4 < hertz[inside][beats[inside].argmax()] < high + 4, kind


def test_noise_is_as_loud_as_asked():
    for seed in range(5):
        quiet, loud = (synthesize("steady", np.random.default_rng(seed), noise=s) for s in (0.0, 0.7))
        there = np.flatnonzero(quiet)
        rms = np.sqrt(np.mean(quiet[there[0] : there[-1] + 1] ** 2))
        assert abs(np.std(loud - quiet) / rms - 0.7) < 0.05


def test_sound_data():
    waves, images = (
        data.sound(form=form, n=62, seed=3, standardize=False) for form in ("waveform", "spectrogram")
    )
    assert (waves.input, waves.inputs, waves.outputs) == ("sequence", (2048, 1), 6)
    assert (images.input, images.inputs) == ("image", (129, 29, 1))
    assert waves.train.mask is None
    np.testing.assert_array_equal(waves.train.y, images.train.y)
    np.testing.assert_allclose(
        images.test.x[..., 0], spectrogram(waves.test.x[..., 0], window=256, hop=64), atol=1e-4
    )
    assert not np.array_equal(waves.train.x, data.sound(n=62, seed=4, standardize=False).train.x)
    again = data.sound(n=62, seed=3)
    np.testing.assert_allclose(again.train.x.std(), 1, atol=1e-5)
    for options, message in [
        ({"form": "mel"}, "form: got 'mel'"),
        ({"window": 255}, "window: got 255"),
        ({"window": 4096}, "window: got 4096"),
        ({"hop": 0}, "hop: got 0"),
        ({"n": 5}, "n: got 5"),
        ({"noise": -1.0}, "noise: got -1.0"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            data.sound(**options)


def test_wav_files_of_every_sample_type(tmp_path):
    path, rng = tmp_path / "a.wav", np.random.default_rng(5)
    x = rng.uniform(-1, 1, 400)
    for raw, tolerance in [
        (x.astype(np.float32), 1e-7),
        ((x * 32767).astype(np.int16), 1e-4),
        ((x * 2147483647).astype(np.int32), 1e-6),
        ((x * 127 + 128).astype(np.uint8), 2e-2),
        (np.stack([x, x], axis=1), 1e-7),
    ]:
        wavfile.write(path, 8000, raw)
        np.testing.assert_allclose(read_wav(path, rate=8000), x, atol=tolerance)
    slow = np.sin(2 * np.pi * 50 * np.arange(4000) / 4000)
    wavfile.write(path, 4000, slow)
    fast = read_wav(path, rate=6000)
    assert fast.shape == (6000,)
    np.testing.assert_allclose(
        fast[100:-100], np.sin(2 * np.pi * 50 * np.arange(6000) / 6000)[100:-100], atol=5e-3
    )


def test_damaged_wav_files_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    whole = io.BytesIO()
    wavfile.write(whole, 8000, np.arange(50, dtype=np.int16))
    whole = whole.getvalue()
    for content in [b"", whole[:10], whole[:30], whole[:80], b"x" * 100]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(f"{path}: ")):
            read_wav(path, rate=8000)
    rng = np.random.default_rng(6)
    for _ in range(400):
        bad = bytearray(whole)
        for i in rng.integers(0, 44, 2):
            bad[i] = rng.integers(0, 256)
        path.write_bytes(bytes(bad))
        with contextlib.suppress(ValueError):  # and nothing else
            read_wav(path, rate=8000)
    wavfile.write(path, 8000, np.array([0, np.nan]))
    with pytest.raises(ValueError, match="row 1 holds NaN"):
        read_wav(path, rate=8000)


@pytest.fixture
def recordings(tmp_path):
    """Two classes, one of them with a folder inside; 3 to 90 samples at 200 Hz; and what each file holds."""
    rng, kept = np.random.default_rng(7), {}
    for i in range(12):
        folder = tmp_path / "own" / ("high", "low/inner")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        x = rng.uniform(-1, 1, 3 if i == 0 else int(rng.integers(30, 90))).astype(np.float32)
        wavfile.write(folder / f"{i:02}.wav", 200, x)
        kept[i] = x
    (tmp_path / "own" / "high" / "._00.wav").write_text("what a Mac leaves beside each file")
    return tmp_path / "own", kept


def test_other_files_among_sounds_are_said(recordings):
    path, _ = recordings
    (path / "readme.md").write_text("x")
    (path / "low" / "inner" / "a.mp3").write_text("x")
    with pytest.warns(UserWarning, match=r"readme\.md and 1 other file: left out"):
        data.sound_folder(path, rate=200, window=20, hop=10)


def test_folder_of_waveforms(recordings):
    path, kept = recordings
    d = data.sound_folder(
        path, form="waveform", rate=200, seconds=0.25, validation=2, test=2, standardize=False
    )
    assert (d.name, d.input, d.inputs, d.classes) == ("own", "sequence", (50, 1), ("high", "low"))
    assert len(d.sources) == 12
    left = [(x[:50].tolist(), ("high", "low")[i % 2]) for i, x in kept.items()]
    for part in (d.train, d.validation, d.test):
        for x, mask, y in zip(part.x, part.mask, part.y):
            left.remove((x[mask, 0].tolist(), d.classes[y]))
            assert (x[~mask] == 0).all()
    assert not left


def test_folder_of_spectrograms(recordings):
    path, kept = recordings
    d = data.sound_folder(path, rate=200, window=20, hop=10, validation=2, test=2, standardize=False)
    longest = max(map(len, kept.values()))
    assert (d.input, d.inputs) == ("image", (11, 1 + (longest - 20) // 10, 1))
    left = [np.pad(x, (0, max(0, 20 - len(x)))) for x in kept.values()]
    left = [spectrogram(x, window=20, hop=10) for x in left]
    for part in (d.train, d.validation, d.test):
        assert part.mask.shape == part.x.shape[:-1]
        for x, mask in zip(part.x[..., 0], part.mask):
            frames = int(mask[0].sum())
            assert (mask == (np.arange(x.shape[1]) < frames)).all()
            found = [i for i, s in enumerate(left) if s.shape[1] == frames and np.allclose(s, x[:, :frames])]
            left.pop(found[0])
    assert not left


def test_folder_of_equal_lengths_needs_no_mask(recordings):
    path, kept = recordings
    d = data.sound_folder(
        path, form="waveform", rate=200, seconds=0.02, window=4, hop=4, validation=2, test=2
    )
    assert d.inputs == (4, 1)
    assert d.train.mask is not None  # one sound has 3 samples
    wavfile.write(path / "high" / "00.wav", 200, kept[1])
    assert (
        data.sound_folder(path, form="waveform", rate=200, seconds=0.02, window=4, hop=4).train.mask is None
    )


def test_folder_refuses(recordings, tmp_path):
    path, _ = recordings
    for options, message in [
        ({"rate": 10}, "rate: got 10"),
        ({"seconds": 0.0}, "seconds: got 0.0"),
        ({"rate": 200, "window": 300}, "window: got 300"),
        ({"rate": 200, "window": 20, "hop": 30}, "hop: got 30"),
        ({"rate": 200, "window": 20, "hop": 10, "test": 0}, None),
        ({"rate": 200, "window": 20, "hop": 10, "test": 12}, "own: validation, test: got 1 + 12"),
    ]:
        if message is None:
            assert data.sound_folder(path, **options).test is None
            continue
        with pytest.raises(ValueError, match=re.escape(message)):
            data.sound_folder(path, **options)
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="the only class is 'a'"):
        data.sound_folder(tmp_path / "empty")
    (tmp_path / "empty" / "b").mkdir()
    with pytest.raises(ValueError, match=r"a: the folder holds no \.wav files"):
        data.sound_folder(tmp_path / "empty")
    (path / "low" / "inner" / "01.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"01\.wav: not readable as \.wav"):
        data.sound_folder(path, rate=200, window=20, hop=10)
