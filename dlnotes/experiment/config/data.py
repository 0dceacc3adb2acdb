"""[data]: which data set, and how it is split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnotes.experiment.config.fields import Section

Part = Annotated[int | float, Field(ge=0)]
ArrayInput = Literal["auto", "vector", "image", "volume", "sequence", "tokens"]
ArrayTask = Literal["auto", "classification", "regression", "tokens", "pixels"]


class _Split(Section):
    validation: Part = Field(
        default=0.1, description="share (below 1) or number of examples held out for validation"
    )
    test: Part = Field(default=0.2, description="share (below 1) or number of examples held out for the test")
    seed: int = Field(default=0, ge=0, description="seed of the split, the same for every training seed")


class Digits(_Split):
    """scikit-learn's 1797 handwritten digits, 8×8 pixels, ten classes. No network needed."""

    kind: Literal["digits"]
    standardize: bool = True


class SizedDigits(_Split):
    """The bundled digits at many sizes, on images of many sizes."""

    kind: Literal["sized_digits"]
    min_size: int = Field(default=8, ge=8, le=512)
    max_size: int = Field(default=32, ge=8, le=512)
    standardize: bool = True


class _Idx(Section):
    validation: Part = Field(
        default=5000, description="share or number of training images held out for validation"
    )
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the idx files; else the usual places")
    download: bool = Field(default=True, description="fetch the canonical files when they are not found")


class Mnist(_Idx):
    """MNIST: 60,000 + 10,000 handwritten digits, 28×28."""

    kind: Literal["mnist"]


class FashionMnist(_Idx):
    """Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28×28."""

    kind: Literal["fashion_mnist"]


class Npz(_Split):
    """Your own arrays in one .npz file."""

    kind: Literal["npz"]
    path: str
    x: str = "x"
    y: str = "y"
    mask: str = Field(default="mask", description="name of the (examples, time) mask, if the file has one")
    lengths: str = Field(default="lengths", description="name of the lengths, if the file has them")
    input: ArrayInput = "auto"
    task: ArrayTask = "auto"
    standardize: bool = True


class Npy(_Split):
    """Your own arrays in two .npy files."""

    kind: Literal["npy"]
    x_path: str
    y_path: str
    input: ArrayInput = "auto"
    task: ArrayTask = "auto"
    standardize: bool = True


class Csv(_Split):
    """Your own table: a header line, a named target column; text columns become one-hot."""

    kind: Literal["csv"]
    path: str
    target: str
    task: Literal["auto", "classification", "regression"] = "auto"
    categorical: tuple[str, ...] = Field(default=(), description="numeric columns to treat as categories")
    drop: tuple[str, ...] = Field(default=(), description="columns to leave out")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    standardize: bool = True


class ImageFolder(_Split):
    """Your own pictures: a folder with one sub-folder per class."""

    kind: Literal["image_folder"]
    path: str
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | Literal["own"] = Field(
        default=(32, 32), description="that all are resized to; 'own' keeps each one's size"
    )
    max_size: int = Field(default=256, ge=1, description="longest side kept with size = 'own'")
    channels: Literal[1, 3] = 3
    standardize: bool = True


class SeriesFiles(Section):
    """Your own series of any lengths in .ts files (the UEA archive's form)."""

    kind: Literal["series"]
    train_path: str
    test_path: str | None = Field(default=None, description="test examples; else a share of the others")
    validation: Part = Field(default=0.1, description="share or number of train_path's examples held out")
    test: Part | None = Field(default=None, description="the same for the test; 0.2 where no test_path is")
    seed: int = Field(default=0, ge=0, description="seed of the split, the same for every training seed")
    standardize: bool = True


class JapaneseVowels(Section):
    """Nine speakers saying two vowels: 270 + 370 series of 12 channels and 7 to 29 steps."""

    kind: Literal["japanese_vowels"]
    validation: Part = Field(default=0.1, description="share or number of training utterances held out")
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the .ts files; else the usual places")


class _Sound(_Split):
    window: int = Field(default=256, ge=4, description="samples of a frame of the spectrogram, even")
    standardize: bool = True


class Sound(_Sound):
    """Synthetic chirps, tones and clicks in noise, six classes: waveforms or spectrograms."""

    kind: Literal["sound"]
    form: Literal["waveform", "spectrogram"] = "waveform"
    n: int = Field(default=3000, ge=60)
    noise: float = Field(default=0.5, ge=0, description="of the background, relative to the sound")
    hop: int = Field(default=64, ge=1, description="samples from a frame to the next")


class SoundFolder(_Sound):
    """Your own .wav files: a folder with one sub-folder per class."""

    kind: Literal["sound_folder"]
    path: str
    form: Literal["waveform", "spectrogram"] = "spectrogram"
    rate: int = Field(default=8000, ge=100, description="samples a second, every file is resampled to it")
    seconds: float = Field(default=1.0, gt=0, description="longest time; what comes after is cut")
    hop: int = Field(default=128, ge=1, description="samples from a frame to the next")


class MovingDigits(Section):
    """Videos of a digit that rests or moves in one of eight directions."""

    kind: Literal["moving_digits"]
    target: Literal["motion", "digit"] = "motion"
    frames: int = Field(default=8, ge=2)
    size: int = Field(default=16, ge=8, description="pixels of each side")
    noise: float = Field(default=0.1, ge=0)
    n_train: int = Field(default=2000, ge=10)
    n_validation: int = Field(default=300, ge=1)
    n_test: int = Field(default=1000, ge=1)
    seed: int = Field(default=0, ge=0)
    standardize: bool = True


class BrainPatches(Section):
    """Cubes of a mean brain's image, the tissue at the centre to be told; needs the volumes extra."""

    kind: Literal["brain_patches"]
    size: int = Field(default=13, ge=3, le=31, description="voxels (mm) of each side, odd")
    n_train: int = Field(default=3000, ge=3)
    n_validation: int = Field(default=600, ge=1)
    n_test: int = Field(default=1500, ge=1)
    seed: int = Field(default=0, ge=0)


class ImageMasks(_Split):
    """Your own pictures with the class of each pixel: a folder with images/ and masks/ of the same names."""

    kind: Literal["image_masks"]
    path: str
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (64, 64)
    channels: Literal[1, 3] = 3
    classes: tuple[str, ...] = Field(
        default=(), description="a name for each class number; else the numbers in the masks"
    )
    standardize: bool = True


class Scenes(Section):
    """Objects over one another and over clutter, with the class of each pixel."""

    kind: Literal["scenes"]
    source: Literal["digits", "mnist", "fashion_mnist"] = Field(
        default="digits", description='of the objects; "digits" needs no files'
    )
    size: tuple[Annotated[int, Field(ge=4)], Annotated[int, Field(ge=4)]] = (32, 32)
    objects: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        default=(1, 3), description="least and greatest number of objects in a scene"
    )
    object_size: tuple[Annotated[int, Field(ge=3)], Annotated[int, Field(ge=3)]] = Field(
        default=(10, 16), description="least and greatest length in pixels of an object's longer side"
    )
    clutter: int = Field(default=6, ge=0, description="unlabelled fragments of objects in a scene")
    noise: float = Field(default=0.1, ge=0, description="deviation of the noise on grey levels in [0, 1]")
    classes: int = Field(default=10, ge=1, le=10, description="classes of the source that are used")
    n_train: int = Field(default=2000, ge=1)
    n_validation: int = Field(default=200, ge=0)
    n_test: int = Field(default=500, ge=0)
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the source's files")
    download: bool = Field(default=True, description="fetch the source's files when they are not found")


class PhotoPatches(Section):
    """Tiles of two colour photographs that come with scikit-learn; which of the two is the class."""

    kind: Literal["photo_patches"]
    size: int = Field(default=16, ge=4, le=64, description="pixels of each side")
    standardize: bool = True


class Xor(Section):
    """The four points of XOR: training and test set are the same."""

    kind: Literal["xor"]


class TwoMoons(_Split):
    """Two interleaved half circles with Gaussian noise."""

    kind: Literal["two_moons"]
    n: int = Field(default=1000, ge=10)
    noise: float = Field(default=0.15, ge=0)
    standardize: bool = True


class Tabular(_Split):
    """A real table that comes with scikit-learn."""

    kind: Literal["tabular"]
    name: Literal["breast_cancer", "wine", "iris", "diabetes"] = "breast_cancer"
    standardize: bool = True


class Reber(_Split):
    """Strings of the embedded Reber grammar against strings with one wrong symbol."""

    kind: Literal["reber"]
    n: int = Field(default=4000, ge=10)
    min_length: int = Field(default=9, ge=5)
    max_length: int = Field(default=40, ge=5)
    embedded: bool = Field(
        default=True, description="the grammar inside one that must remember its first symbol"
    )


class NumberWords(Section):
    """English number words, character by character, to their digits."""

    kind: Literal["number_words"]
    maximum: int = Field(default=9999, ge=99, le=999_999)
    n_train: int = Field(default=4000, ge=10)
    n_validation: int = Field(default=500, ge=1)
    n_test: int = Field(default=500, ge=1)
    seed: int = Field(default=0, ge=0)


class Text(Section):
    """Windows of characters of a text, each position predicting the next character."""

    kind: Literal["text"]
    path: str | None = Field(
        default=None, description="a UTF-8 text; by default prose that comes with scikit-learn"
    )
    window: int = Field(default=64, ge=2)
    validation: Part = 0.1
    test: Part = 0.1
    limit: int | None = Field(default=200_000, ge=100, description="characters read")


class ListOps(Section):
    """Nested list operations (MIN, MAX, MED, SM) as trees; the answer is a digit."""

    kind: Literal["list_ops"]
    n_train: int = Field(default=5000, ge=10)
    n_validation: int = Field(default=500, ge=1)
    n_test: int = Field(default=1000, ge=1)
    max_depth: int = Field(default=4, ge=1, le=20)
    max_args: int = Field(default=4, ge=2, le=10)
    max_length: int = Field(default=50, ge=4)
    seed: int = Field(default=0, ge=0)


Data = Annotated[
    Digits
    | SizedDigits
    | Mnist
    | FashionMnist
    | Npz
    | Npy
    | Csv
    | ImageFolder
    | SeriesFiles
    | JapaneseVowels
    | Sound
    | SoundFolder
    | MovingDigits
    | BrainPatches
    | PhotoPatches
    | ImageMasks
    | Scenes
    | Xor
    | TwoMoons
    | Tabular
    | Reber
    | NumberWords
    | Text
    | ListOps,
    Field(discriminator="kind"),
]

INPUT_OF: dict[str, tuple[str, str] | None] = {
    "digits": ("image", "classification"),
    "sized_digits": ("image", "classification"),
    "mnist": ("image", "classification"),
    "fashion_mnist": ("image", "classification"),
    "image_folder": ("image", "classification"),
    "series": ("sequence", "classification"),
    "japanese_vowels": ("sequence", "classification"),
    "sound": None,
    "sound_folder": None,
    "moving_digits": ("volume", "classification"),
    "brain_patches": ("volume", "classification"),
    "photo_patches": ("image", "classification"),
    "image_masks": ("image", "pixels"),
    "scenes": ("image", "pixels"),
    "xor": ("vector", "classification"),
    "two_moons": ("vector", "classification"),
    "tabular": ("vector", "any"),
    "csv": ("vector", "any"),
    "reber": ("tokens", "classification"),
    "number_words": ("pair", "tokens"),
    "text": ("tokens", "tokens"),
    "list_ops": ("tree", "classification"),
    "npz": None,
    "npy": None,
}
"""What each data set feeds a model with, where that is known before the files are read."""
