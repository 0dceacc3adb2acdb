"""[data]: sequences, series and pairs; what `dlnotes.config.data` puts together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dlnotes.config.fields import Decimal, OwnSplit, Part, Source, Split

Ahead = Annotated[int, Field(ge=1)]


class SeriesFiles(Source):
    """Your own series of any lengths in .ts files (the UEA archive's form)."""

    always: ClassVar = ("sequence", "classification")
    kind: Literal["series"]
    train_path: str
    test_path: str | None = Field(default=None, description="test examples; else a share of the others")
    validation: Part = Field(default=0.1, description="share or number of train_path's examples held out")
    test: Part | None = Field(default=None, description="the same for the test; 0.2 where no test_path is")
    seed: int = Field(default=0, ge=0, description="seed of the split, the same for every training seed")
    standardize: bool = True


class PixelSequences(Split):
    """Images read as sequences, a pixel or a row a step; for MNIST and Fashion-MNIST ``test`` is unused."""

    always: ClassVar = ("sequence", "classification")
    kind: Literal["pixel_sequences"]
    source: Literal["digits", "mnist", "fashion_mnist"] = "digits"
    by: Literal["pixels", "rows"] = "pixels"
    permuted: bool = Field(default=False, description="the steps in one random order")
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the idx files; else the usual places")


class JapaneseVowels(Source):
    """Nine speakers saying two vowels: 270 + 370 series of 12 channels and 7 to 29 steps."""

    always: ClassVar = ("sequence", "classification")
    kind: Literal["japanese_vowels"]
    validation: Part = Field(default=0.1, description="share or number of training utterances held out")
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the .ts files; else the usual places")


class CsvSeries(Source):
    """Your own time series: a table whose rows follow each other in time."""

    always: ClassVar = ("sequence", "regression")
    kind: Literal["csv_series"]
    path: str
    columns: tuple[str, ...] = Field(default=(), description="that are seen; all of them if not given")
    targets: tuple[str, ...] = Field(default=(), description="that are forecast; all that are seen")
    window: int = Field(default=24, ge=1, description="rows seen")
    horizon: Ahead | Annotated[tuple[Ahead, ...], Field(min_length=1)] = Field(
        default=1, description="how many rows ahead; several, such as [1, 2, 3], are answered for at once"
    )
    steps: int = Field(
        default=0, ge=0, description="rows ahead that predictions go, each from the ones before; 0 is none"
    )
    time: str = Field(default="", description="column of dates, or of numbers that grow with time")
    date_format: str = Field(default="", description='of the dates, such as "%d.%m.%Y"; else ISO 8601')
    series: str = Field(default="", description="column that tells several series apart")
    identify: bool = Field(default=False, description="tell the network which series it sees")
    known: tuple[str, ...] = Field(default=(), description="columns whose later values are known in advance")
    calendar: tuple[Literal["hour", "weekday", "day", "day_of_year", "month"], ...] = Field(
        default=(), description="told of the dates that are forecast"
    )
    relative: bool = Field(
        default=False, description="see and forecast distances from the last row of the window"
    )
    missing: Literal["refuse", "interpolate", "previous"] = Field(
        default="refuse", description="what is done about empty cells"
    )
    gaps: Literal["refuse", "split", "interpolate", "ignore"] = Field(
        default="refuse", description="what is done about rows that are missing by the column of time"
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Decimal = Field(default=".", description="before the decimals of a number")
    thousands: str = Field(default="", max_length=1, description="between groups of three digits of a number")
    validation: Part = 0.1
    test: Part = 0.2
    standardize: bool = True


Window = Annotated[int, Field(ge=4, description="samples of a frame of the spectrogram, even")]


class Sound(Split):
    """Synthetic chirps, tones and clicks in noise, six classes: waveforms or spectrograms."""

    kind: Literal["sound"]
    form: Literal["waveform", "spectrogram"] = "waveform"
    n: int = Field(default=3000, ge=60)
    noise: float = Field(default=0.5, ge=0, description="of the background, relative to the sound")
    window: Window = 256
    standardize: bool = True
    hop: int = Field(default=64, ge=1, description="samples from a frame to the next")


class SoundFolder(OwnSplit):
    """Your own .wav files: a folder with one sub-folder per class."""

    kind: Literal["sound_folder"]
    path: str
    form: Literal["waveform", "spectrogram"] = "spectrogram"
    rate: int = Field(default=8000, ge=100, description="samples a second, every file is resampled to it")
    seconds: float = Field(default=1.0, gt=0, description="longest time; what comes after is cut")
    hop: int = Field(default=128, ge=1, description="samples from a frame to the next")
    window: Window = 256
    standardize: bool = True


class SkeletonMotion(Split):
    """Angles of the joints of a figure that walks, runs, limps, jumps, squats or waves: 12 channels."""

    always: ClassVar = ("sequence", "classification")
    kind: Literal["skeleton_motion"]
    n: int = Field(default=3000, ge=60)
    frames: int = Field(default=64, ge=8)
    noise: float = Field(default=0.15, ge=0, description="of each measured angle, in radians")
    standardize: bool = True


class Reber(Split):
    """Strings of the embedded Reber grammar against strings with one wrong symbol."""

    always: ClassVar = ("tokens", "classification")
    kind: Literal["reber"]
    n: int = Field(default=4000, ge=10)
    min_length: int = Field(default=9, ge=5)
    max_length: int = Field(default=40, ge=5)
    embedded: bool = Field(
        default=True, description="the grammar inside one that must remember its first symbol"
    )


class _Drawn(Source):
    n_train: int = Field(default=20_000, ge=1)
    n_validation: int = Field(default=1000, ge=0)
    n_test: int = Field(default=2560, ge=0)
    seed: int = Field(default=0, ge=0)


class Adding(_Drawn):
    """Two of many numbers are marked, their sum is asked for."""

    always: ClassVar = ("sequence", "regression")
    kind: Literal["adding"]
    min_length: int = Field(default=100, ge=4)
    max_length: int = Field(default=110, ge=4)
    form: Literal["original", "halves"] = Field(
        default="original", description="values in (-1, 1) and a scaled sum, or values in (0, 1) and the sum"
    )


class CopyMemory(_Drawn):
    """Symbols to be repeated after a long delay."""

    always: ClassVar = ("tokens", "tokens")
    kind: Literal["copy_memory"]
    min_delay: int = Field(default=30, ge=1)
    max_delay: int = Field(default=30, ge=1)
    items: int = Field(default=10, ge=1, description="symbols to be repeated")
    symbols: int = Field(default=8, ge=2, description="different ones among them")
    n_test: int = Field(default=1000, ge=0)


class TemporalOrder(_Drawn):
    """The order of two or three relevant letters far apart in a string."""

    always: ClassVar = ("tokens", "classification")
    kind: Literal["temporal_order"]
    min_length: int = Field(default=100, ge=10)
    max_length: int = Field(default=110, ge=10)
    relevant: Literal[2, 3] = Field(default=2, description="letters that decide")


class Latch(_Drawn):
    """One bit at the beginning of a noisy series, to be kept to its end."""

    always: ClassVar = ("sequence", "classification")
    kind: Literal["latch"]
    min_length: int = Field(default=20, ge=1)
    max_length: int = Field(default=40, ge=1)
    informative: int = Field(default=3, ge=1, description="steps that tell the bit")
    noise: float = Field(default=0.2, ge=0, description="deviation of the noise on every step")
    n_train: int = Field(default=5000, ge=1)
    n_validation: int = Field(default=500, ge=0)
    n_test: int = Field(default=1000, ge=0)


class Parity(_Drawn):
    """Whether a string of bits holds an odd number of ones."""

    always: ClassVar = ("tokens", "classification")
    kind: Literal["parity"]
    min_length: int = Field(default=10, ge=1)
    max_length: int = Field(default=20, ge=1)
    n_train: int = Field(default=10_000, ge=1)
    n_validation: int = Field(default=500, ge=0)
    n_test: int = Field(default=1000, ge=0)


class _Forecast(Source):
    horizon: int = Field(default=1, ge=1, description="how many steps ahead")
    validation: Part = 0.1
    test: Part = 0.2
    standardize: bool = True


class MackeyGlass(_Forecast):
    """Windows of the Mackey-Glass series and a later value of it."""

    always: ClassVar = ("sequence", "regression")
    kind: Literal["mackey_glass"]
    tau: float = Field(default=17.0, gt=0, description="the delay; the series is chaotic from 16.8 on")
    n: int = Field(default=5000, ge=10, description="samples of the series")
    spacing: float = Field(default=1.0, gt=0, description="time from a sample to the next")
    window: int = Field(default=50, ge=1, description="samples seen")


class Lorenz(_Forecast):
    """Windows of the Lorenz system's coordinates and their later values."""

    always: ClassVar = ("sequence", "regression")
    kind: Literal["lorenz"]
    n: int = Field(default=5000, ge=10, description="samples of the series")
    spacing: float = Field(default=0.02, gt=0, description="time from a sample to the next")
    window: int = Field(default=25, ge=1, description="samples seen")
    observed: tuple[Literal["x", "y", "z"], ...] = Field(default=("x", "y", "z"), min_length=1)


class Bouncing(_Drawn):
    """Frames of balls that bounce off pegs, and the step that follows them: a target of several answers."""

    always: ClassVar = ("sequence", "regression")
    kind: Literal["bouncing"]
    window: int = Field(default=30, ge=1, description="frames seen")
    share: float = Field(default=0.3, ge=0, le=1, description="probability to hit a peg in a frame")
    angle: float = Field(default=60.0, ge=-180, le=180, description="by which a peg turns the ball, degrees")
    flip: float = Field(default=0.1, ge=0, le=1, description="probability that a peg turns the spin round")
    noise: float = Field(default=0.1, gt=0, description="deviation of each coordinate of a step")
    n_train: int = Field(default=10_000, ge=1)
    n_test: int = Field(default=2000, ge=0)
    standardize: bool = False


class NumberWords(Source):
    """English number words, character by character, to their digits."""

    always: ClassVar = ("pair", "tokens")
    kind: Literal["number_words"]
    maximum: int = Field(default=9999, ge=99, le=999_999)
    n_train: int = Field(default=4000, ge=10)
    n_validation: int = Field(default=500, ge=1)
    n_test: int = Field(default=500, ge=1)
    seed: int = Field(default=0, ge=0)


class Cmudict(Source):
    """Spelling to phonemes: the CMU Pronouncing Dictionary."""

    always: ClassVar = ("pair", "tokens")
    kind: Literal["cmudict"]
    stress: bool = Field(default=False, description="whether vowels keep their stress")
    letters_only: bool = Field(
        default=True, description="leave out the 7% of words with apostrophes, hyphens or dots"
    )
    split: Literal["twentieths", "random"] = Field(
        default="twentieths", description="by place in the file, as published, or at random"
    )
    validation: Part = Field(default=0.05, description="share or number of words, of a random split")
    test: Part = Field(default=0.1, description="share or number of words, of a random split")
    seed: int = Field(default=0, ge=0, description="of a random split")
    data_dir: str | None = Field(default=None, description="folder with cmudict.dict; else the usual places")


class TextPairs(Source):
    """Your own parallel text: a file with tabs between its columns, one pair a line."""

    always: ClassVar = ("pair", "tokens")
    kind: Literal["text_pairs"]
    path: str
    source: int | str = Field(
        default=1, description="column: its number from 1, or its name in the first line"
    )
    target: int | str = Field(default=2, description="column: its number from 1, or its name")
    tokens: Literal["characters", "words"] = "characters"
    max_length: int | None = Field(default=None, ge=1, description="longest source and target, in symbols")
    min_count: int = Field(default=1, ge=1, description="of a known symbol in the training part")
    validation: Part = Field(default=0.1, description="share or number of the different sources")
    test: Part = Field(default=0.1, description="share or number of the different sources")
    seed: int = Field(default=0, ge=0, description="of the split, the same for every training seed")


class Verses(Source):
    """English verses to Spanish ones, by characters."""

    always: ClassVar = ("pair", "tokens")
    kind: Literal["verses"]
    max_length: int = Field(default=60, ge=1, description="longest verse in either language, in characters")
    validation: Part = 0.1
    test: Part = 0.1
    seed: int = Field(default=0, ge=0)
    data_dir: str | None = Field(default=None, description="folder with the file; else the usual places")


class Text(Source):
    """Windows of characters of a text, each position predicting the next character."""

    always: ClassVar = ("tokens", "tokens")
    kind: Literal["text"]
    path: str | None = Field(
        default=None, description="a UTF-8 text; by default prose that comes with scikit-learn"
    )
    window: int = Field(default=64, ge=2)
    validation: Part = 0.1
    test: Part = 0.1
    limit: int | None = Field(default=200_000, ge=100, description="characters read")


Years = tuple[int, int]


class Speeches(Source):
    """The State of the Union addresses as characters, split by year."""

    always: ClassVar = ("tokens", "tokens")
    kind: Literal["speeches"]
    window: int = Field(default=128, ge=2, description="characters of an example")
    context: int = Field(
        default=0, ge=0, description="characters before those that are predicted in validation and test"
    )
    train: Years = Field(default=(1790, 1999), description="first and last year")
    validation: Years = (2000, 2008)
    test: Years = (2009, 2021)
    data_dir: str | None = Field(default=None, description="folder with the file; else the usual places")


SequenceData = (
    CsvSeries
    | SeriesFiles
    | JapaneseVowels
    | Sound
    | SoundFolder
    | SkeletonMotion
    | Reber
    | Adding
    | CopyMemory
    | TemporalOrder
    | Latch
    | Parity
    | PixelSequences
    | MackeyGlass
    | Lorenz
    | Bouncing
    | NumberWords
    | Cmudict
    | TextPairs
    | Verses
    | Text
    | Speeches
)
