"""Sounds, as waveforms or as spectrograms: synthetic ones, and folders of a person's own ``.wav`` files."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import signal
from scipy.io import wavfile
from scipy.signal import windows

from dlnotes import bounded
from dlnotes.data import arrays
from dlnotes.data.assemble import assemble, length_mask
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.folders import class_folders, of_the_system, say_left_out
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices
from dlnotes.data.time_series.ts_files import pad_series

FORMS = ("waveform", "spectrogram")
CLASSES = ("rising", "falling", "steady", "two tones", "tremolo", "clicks")
RATE = 8000  # of the synthetic sounds, in samples a second
SAMPLES = 2048
MOST_STEPS = 10_000
"""Parts of a second of a sound file, at most, into which resampling divides it: the rate is that near."""
FLOOR = 1e-4  # of a spectrogram's magnitudes, 80 dB below a full-scale tone
_DAMAGE = (  # what scipy raises on bytes that are not what they say (found by fuzzing)
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    UnboundLocalError,  # no data chunk
    ZeroDivisionError,
    struct.error,
    wavfile.WavFileWarning,
)


def spectrogram(x: np.ndarray, *, window: int, hop: int) -> np.ndarray:
    """Log-magnitudes of a short-time Fourier transform, at the frames that lie wholly inside the signal.

    ``S[f, t] = log(10⁻⁴ + |Σ_k w_k x_{t·hop + k} e^{−2πi f k / window}| / Σ_k w_k)`` with a Hann window
    ``w``.

    Args:
      x: ``(..., samples)``, at least ``window`` of them.
      window: samples of a frame, even.
      hop: samples from a frame to the next.

    Returns:
      ``(..., window / 2 + 1, 1 + (samples − window) // hop)``, low frequencies first.

    >>> spectrogram(np.zeros(1000), window=200, hop=100).shape
    (101, 9)
    """
    transform = signal.ShortTimeFFT(
        windows.hann(window, sym=False), hop, fs=1.0, scale_to="magnitude", phase_shift=None
    )
    samples = x.shape[-1]
    frames = 1 + (samples - window) // hop
    # Frame p of scipy's is centerd at sample p · hop; a shift by half a window puts our first at its first.
    moved = np.concatenate([np.zeros((*x.shape[:-1], (-(window // 2)) % hop), x.dtype), x], axis=-1)
    first = -(-(window // 2) // hop)
    found = transform.stft(moved, p0=first, p1=first + frames)
    return np.log(FLOOR + np.abs(found)).astype(np.float32)


def frame_counts(samples: Any, *, window: int, hop: int) -> np.ndarray:
    """How many whole frames signals of these lengths have (see `spectrogram`)."""
    return 1 + (np.asarray(samples) - window) // hop


def _check_form(form: str, window: int, hop: int, samples: int) -> None:
    if form not in FORMS:
        raise ValueError(f"form: got {form!r}, allowed are {', '.join(FORMS)}")
    if window < 4 or window % 2 or window > samples:
        raise ValueError(f"window: got {window}, allowed are even numbers from 4 to {samples} samples")
    if not 1 <= hop <= window:
        raise ValueError(f"hop: got {hop}, allowed is 1..{window} (the window)")


def synthesize(kind: str, rng: np.random.Generator, *, noise: float) -> np.ndarray:
    """One synthetic sound: ``(2048,)`` samples at 8 kHz, about a quarter of a second.

    The sound begins and ends anywhere (it lasts 100 to 230 ms), has a pitch of 300 to 1500 Hz at any phase, a
    loudness of its own, and lies in white noise. "rising" and "falling" slide by 1/2 to 3/2 octaves, "two
    tones" are apart by 1/4 to 3/4 octaves, "tremolo" is a tone that swells 20 to 50 times a second, "clicks"
    are decaying bursts of a tone, 30 to 80 a second.

    Args:
      kind: one of `CLASSES`.
      rng: all that is random is drawn from it.
      noise: standard deviation of the background, relative to the sound's root mean square.
    """
    length = int(rng.integers(800, 1841))
    start = int(rng.integers(0, SAMPLES - length + 1))
    t = np.arange(length) / RATE
    pitch, degrees, octaves = 300 * 5 ** rng.uniform(), rng.uniform(0, 360), rng.uniform(0.5, 1.5)
    turn = 2 * np.pi * pitch * t + np.radians(degrees)
    if kind in ("rising", "falling"):
        ends = (pitch, pitch * 2**octaves)
        low, high = ends if kind == "rising" else ends[::-1]
        tone = np.asarray(signal.chirp(t, low, t[-1], high, method="logarithmic", phi=degrees))  # pyright: ignore[reportArgumentType]
    elif kind == "two tones":
        tone = np.sin(turn) + np.sin(turn * 2 ** (octaves / 2) + rng.uniform(0, 2 * np.pi))
    elif kind == "tremolo":
        tone = np.sin(turn) * (1 + np.sin(2 * np.pi * rng.uniform(20, 50) * t + rng.uniform(0, 2 * np.pi)))
    elif kind == "clicks":
        since = (t + rng.uniform(0, 1)) % (1 / rng.uniform(30, 80))
        tone = np.sin(2 * np.pi * pitch * since) * np.exp(-since / 0.002)
    else:
        tone = np.sin(turn)
    tone *= windows.tukey(length, 0.15)
    tone /= np.sqrt(np.mean(tone**2))
    out = noise * rng.standard_normal(SAMPLES)
    out[start : start + length] += tone
    return (0.2 * 4 ** rng.uniform(-1, 0) * out).astype(np.float32)


def sound(
    *,
    form: Literal["waveform", "spectrogram"] = "waveform",
    n: int = 3000,
    noise: float = 0.5,
    window: int = 256,
    hop: int = 64,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Synthetic sounds of six classes, as sequences ``(2048, 1)`` or as images of their spectrograms.

    No recordings: chirps, tones and clicks in noise (see `synthesize`). `sound_folder` reads real ones.

    Args:
      form: "waveform", or "spectrogram": ``(window / 2 + 1, frames, 1)``, see `spectrogram`.
      n: number of sounds, as many of each class as can be.
      noise: standard deviation of the background, relative to the sound's root mean square.
      window: samples of a frame of the spectrogram, even; 256 are 32 ms.
      hop: samples from a frame to the next.
      validation: share or number of sounds for validation.
      test: the same for the test part.
      seed: of the sounds and of the split.
      standardize: whether all numbers are standardized together.

    Raises:
      ValueError: when an option is out of range.

    >>> sound(form="spectrogram", n=60).inputs
    (129, 29, 1)
    """
    _check_form(form, window, hop, SAMPLES)
    if n < 10 * len(CLASSES):
        raise ValueError(f"n: got {n}, at least {10 * len(CLASSES)} sounds are needed")
    if noise < 0:
        raise ValueError(f"noise: got {noise}, allowed is 0 or more")
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(CLASSES)
    x = np.stack([synthesize(CLASSES[label], rng, noise=noise) for label in y])
    waves = form == "waveform"
    made = assemble(
        "sound",
        x[..., None] if waves else spectrogram(x, window=window, hop=hop)[..., None],
        y,
        split_indices(n, validation=validation, test=test, seed=seed, stratify=y),
        input="sequence" if waves else "image",
        task="classification",
        outputs=len(CLASSES),
        standardize=standardize,
        classes=CLASSES,
    )
    seconds = SAMPLES / RATE
    options = {"form": form, "rate": RATE, "seconds": seconds, "window": window, "hop": hop}
    return read_as(made, form="sounds", sounds=options)


def read_wav(path: str | Path, *, rate: int) -> np.ndarray:
    """``(samples,)`` float32 of a ``.wav`` file in [−1, 1], its channels averaged, resampled to ``rate``.

    Raises:
      ValueError: naming the file, when it is damaged, empty or holds NaN or infinity.
    """
    bounded.ordinary(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", "Chunk .non-data. not understood", wavfile.WavFileWarning)
            own, raw = wavfile.read(path)
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path}: not readable as .wav, is it complete? ({error})") from None
    if raw.size == 0:
        raise ValueError(f"{path}: holds no samples")
    if not 100 <= own <= 1_000_000:
        raise ValueError(f"{path}: has {own} samples a second, allowed is 100..1000000")
    if raw.dtype.kind == "f":
        arrays.check_finite(path, "samples", raw)
        x = raw.astype(np.float64)
    elif raw.dtype == np.uint8:
        x = (raw.astype(np.float64) - 128) / 128
    else:
        x = raw / float(-int(np.iinfo(raw.dtype).min))
    arrays.check_size(path, "samples", x)
    x = x.mean(axis=1) if x.ndim == 2 else x
    if own != rate:
        # The filter is as long as the larger of the two numbers, which of odd rates would be millions.
        ratio = Fraction(rate, own).limit_denominator(MOST_STEPS)
        x = signal.resample_poly(x, max(ratio.numerator, 1), ratio.denominator)
    return x.astype(np.float32)


def sound_folder(
    path: str | Path,
    *,
    form: Literal["waveform", "spectrogram"] = "spectrogram",
    rate: int = 8000,
    seconds: float = 1.0,
    window: int = 256,
    hop: int = 128,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Your own recordings: a folder with one sub-folder of ``.wav`` files for each class.

    Files may lie in folders inside those of the classes. Sounds of different lengths are padded at the
    end, with a mask; where all are as long there is none. Other files are left out, which is said.

    Args:
      path: the folder.
      form: "waveform": sequences ``(time, 1)``; "spectrogram": images ``(window / 2 + 1, frames, 1)``, see
        `spectrogram`.
      rate: samples a second that every file is resampled to.
      seconds: longest time; what comes after it is cut.
      window: samples of a frame of the spectrogram, even; shorter sounds are padded to one frame.
      hop: samples from a frame to the next.
      validation: share or number of sounds for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether all numbers are standardized together.

    Raises:
      FileNotFoundError: when there is no such folder.
      ValueError: when a file is not a readable sound, a class has none, or there is a single class.
    """
    if rate < 100:
        raise ValueError(f"rate: got {rate}, at least 100 samples a second are needed")
    longest = int(rate * seconds)
    if longest < 4:
        raise ValueError(f"seconds: got {seconds}, which is {longest} samples, at least 4 are needed")
    _check_form(form, window, hop, longest if form == "spectrogram" else max(window, longest))
    left: list[Path] = []
    folders = class_folders(path, left=left)
    if len(folders) < 2:
        raise ValueError(f"{path}: the only class is {folders[0].name!r}, two sub-folders are needed")
    files = [(label, file) for label, folder in enumerate(folders) for file in wav_files(folder, left=left)]
    say_left_out(left)
    y = np.array([label for label, _ in files])
    options = {"form": form, "rate": rate, "seconds": seconds, "window": window, "hop": hop}
    x, mask = read_sounds([file for _, file in files], **options)
    classes = tuple(folder.name for folder in folders)
    try:
        parts = split_indices(
            len(y), validation=validation, test=test, seed=seed, stratify=np.array(classes)[y]
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    made = assemble(
        Path(path).name,
        x,
        y,
        parts,
        input="sequence" if form == "waveform" else "image",
        task="classification",
        outputs=len(classes),
        mask=None if mask.all() else mask,
        standardize=standardize,
        classes=classes,
        sources={str(file): sha256(file) for _, file in files},
    )
    return read_as(made, form="sounds", sounds=options)


def read_sounds(
    files: Sequence[Path], *, form: str, rate: int, seconds: float, window: int, hop: int
) -> tuple[np.ndarray, np.ndarray]:
    """Some ``.wav`` files as waveforms or spectrograms, padded at the end, and the mask of what is real.

    Args:
      files: at least one.
      form, rate, seconds, window, hop: as for `sound_folder`.

    Returns:
      ``(n, time, 1)`` and ``(n, time)``, or ``(n, window / 2 + 1, frames, 1)`` and ``(n, window / 2 + 1,
      frames)``.

    Raises:
      ValueError: naming a file that is not a readable sound.
    """
    longest = int(rate * seconds)
    x, mask = pad_series([read_wav(file, rate=rate)[:longest, None] for file in files])
    if form == "waveform":
        return x, mask
    sizes = mask.sum(axis=1)
    x = np.pad(x[..., 0], ((0, 0), (0, max(0, window - x.shape[1]))))
    x = spectrogram(x, window=window, hop=hop)[..., None]
    frames = frame_counts(np.maximum(sizes, window), window=window, hop=hop)
    return x, np.repeat(length_mask(frames, x.shape[2])[:, None], x.shape[1], axis=1)


def wav_files(folder: Path, *, left: list[Path] | None = None) -> list[Path]:
    """The ``.wav`` files of a folder and of those inside it, in sorted order, hidden ones left out.

    Args:
      folder: where they are.
      left: takes the files that are no ``.wav`` files; without it they are said at once.

    Raises:
      ValueError: when there is none.
    """
    inside = sorted(p for p in folder.rglob("*") if p.is_file())
    seen = [p for p in inside if not any(of_the_system(part) for part in p.relative_to(folder).parts)]
    files = [p for p in seen if p.suffix.lower() == ".wav"]
    if not files:
        raise ValueError(f"{folder}: the folder holds no .wav files")
    others = [p for p in seen if p.suffix.lower() != ".wav"]
    if left is None:
        say_left_out(others)
    else:
        left += others
    return files
