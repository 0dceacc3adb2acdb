"""[data]: which data set, and how it is split."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dlnotes.config.fields import Decimal, OwnSplit, Part, Source, Split
from dlnotes.config.picture_data import PictureData
from dlnotes.config.sequence_data import SequenceData
from dlnotes.config.text_data import TextData
from dlnotes.config.tree_data import TreeData

ArrayInput = Literal["auto", "vector", "image", "volume", "sequence", "tokens"]
ArrayTask = Literal["auto", "classification", "regression", "tokens", "pixels"]


class Digits(Split):
    """scikit-learn's 1797 handwritten digits, 8×8 pixels, ten classes. No network needed."""

    always: ClassVar = ("image", "classification")
    kind: Literal["digits"]
    standardize: bool = True


Digit = Annotated[int, Field(ge=0, le=9)]


class DigitClasses(Split):
    """Some classes of the bundled digits: tasks that are related and may have no class in common."""

    always: ClassVar = ("image", "classification")
    kind: Literal["digit_classes"]
    classes: tuple[Digit, ...] = Field(default=(0, 1, 2, 3, 4), min_length=2, max_length=10)
    standardize: bool = True


class SizedDigits(Split):
    """The bundled digits at many sizes, on images of many sizes."""

    always: ClassVar = ("image", "classification")
    kind: Literal["sized_digits"]
    min_size: int = Field(default=8, ge=8, le=512)
    max_size: int = Field(default=32, ge=8, le=512)
    standardize: bool = True


class _Idx(Source):
    validation: Part = Field(
        default=5000, description="share or number of training images held out for validation"
    )
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the idx files; else the usual places")
    download: bool = Field(default=True, description="fetch the canonical files when they are not found")


class Mnist(_Idx):
    """MNIST: 60,000 + 10,000 handwritten digits, 28×28."""

    always: ClassVar = ("image", "classification")
    kind: Literal["mnist"]


class FashionMnist(_Idx):
    """Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28×28."""

    always: ClassVar = ("image", "classification")
    kind: Literal["fashion_mnist"]


class Npz(OwnSplit):
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


class Npy(OwnSplit):
    """Your own arrays in two .npy files."""

    kind: Literal["npy"]
    x_path: str
    y_path: str
    input: ArrayInput = "auto"
    task: ArrayTask = "auto"
    standardize: bool = True


class Csv(OwnSplit):
    """Your own table, CSV or Parquet: a named target column; text columns become one-hot."""

    always: ClassVar = ("vector", "any")
    kind: Literal["csv"]
    path: str
    target: str | tuple[str, ...] = Field(
        description="column to predict; or several of numbers, labels or counts"
    )
    task: Literal["auto", "classification", "regression", "labels", "counts"] = Field(
        default="auto",
        description='"labels": columns of 0 and 1, or one that lists a row\'s labels; "counts": 0, 1, 2, …',
    )
    separator: str = Field(default=";", min_length=1, description="between the labels of a cell")
    categorical: tuple[str, ...] = Field(default=(), description="numeric columns to treat as categories")
    drop: tuple[str, ...] = Field(
        default=(), description='columns to leave out; "" is a column without a name'
    )
    dates: tuple[str, ...] = Field(
        default=(), description="columns of dates (2020-12-31), to be taken as days since 1970-01-01"
    )
    date_format: str = Field(default="", description='of the dates, such as "%d.%m.%Y"; else ISO 8601')
    calendar: tuple[str, ...] = Field(
        default=(), description="columns of dates, also as their places in the year, the week and the day"
    )
    hashed: dict[str, Annotated[int, Field(ge=2, le=4096)]] = Field(
        default={}, description="columns of many texts, with the number of inputs that these share"
    )
    id: str | None = Field(default=None, description="column that names the rows; predictions carry it")
    weight: str | None = Field(default=None, description="column of what a row counts in training, from 0")
    impute: Literal["median", "mean", "most_frequent"] | None = Field(
        default=None,
        description="fills missing cells, with inputs that mark them; else they are refused",
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Decimal = Field(default=".", description="before the decimals of a number")
    thousands: str = Field(default="", max_length=1, description="between groups of three digits of a number")
    standardize: bool = True


class ImageShards(OwnSplit):
    """Your own pictures in shards: WebDataset's .tar files, or ArrayRecord files."""

    always: ClassVar = ("image", "classification")
    kind: Literal["image_shards"]
    path: str = Field(description="a shard, a folder of them, or a pattern such as train-{000..127}.tar")
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        default=(32, 32), description="that all are resized to"
    )
    label: str = Field(
        default="",
        description='ending or feature that holds the class: by default "cls" in tar files and "label" in '
        'ArrayRecord files; "json:NAME" takes a field',
    )
    image: str = Field(default="image", description="feature of ArrayRecord files that holds the picture")
    channels: Literal[1, 3] = 3
    standardize: bool = True


class MovingDigits(Source):
    """Videos of a digit that rests or moves in one of eight directions."""

    always: ClassVar = ("volume", "classification")
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


class BrainPatches(Source):
    """Cubes of a mean brain's image, the tissue at the center to be told; needs the volumes extra."""

    always: ClassVar = ("volume", "classification")
    kind: Literal["brain_patches"]
    size: int = Field(default=13, ge=3, le=31, description="voxels (mm) of each side, odd")
    n_train: int = Field(default=3000, ge=3)
    n_validation: int = Field(default=600, ge=1)
    n_test: int = Field(default=1500, ge=1)
    seed: int = Field(default=0, ge=0)


class ImageMasks(OwnSplit):
    """Your own pictures with the class of each pixel: a folder with images/ and masks/ of the same names."""

    always: ClassVar = ("image", "pixels")
    kind: Literal["image_masks"]
    path: str
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (64, 64)
    channels: Literal[1, 3] = 3
    classes: tuple[str, ...] = Field(
        default=(), description="a name for each class number; else the numbers in the masks"
    )
    standardize: bool = True


class Scenes(Source):
    """Objects over one another and over clutter, with the class of each pixel."""

    always: ClassVar = ("image", "pixels")
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
    clutter: int = Field(default=6, ge=0, description="unlabeled fragments of objects in a scene")
    noise: float = Field(default=0.1, ge=0, description="deviation of the noise on gray levels in [0, 1]")
    classes: int = Field(default=10, ge=1, le=10, description="classes of the source that are used")
    n_train: int = Field(default=2000, ge=1)
    n_validation: int = Field(default=200, ge=0)
    n_test: int = Field(default=500, ge=0)
    seed: int = Field(default=0, ge=0)
    standardize: bool = True
    data_dir: str | None = Field(default=None, description="folder with the source's files")
    download: bool = Field(default=True, description="fetch the source's files when they are not found")


class PhotoPatches(Source):
    """Tiles of two color photographs that come with scikit-learn; which of the two is the class."""

    always: ClassVar = ("image", "classification")
    kind: Literal["photo_patches"]
    size: int = Field(default=16, ge=4, le=64, description="pixels of each side")
    standardize: bool = True


class Xor(Source):
    """The four points of XOR: training and test set are the same."""

    always: ClassVar = ("vector", "classification")
    kind: Literal["xor"]


class TwoMoons(Split):
    """Two interleaved half circles with Gaussian noise."""

    always: ClassVar = ("vector", "classification")
    kind: Literal["two_moons"]
    n: int = Field(default=1000, ge=10)
    noise: float = Field(default=0.15, ge=0)
    standardize: bool = True


class Tabular(Split):
    """A real table that comes with scikit-learn."""

    always: ClassVar = ("vector", "any")
    kind: Literal["tabular"]
    name: Literal["breast_cancer", "wine", "iris", "diabetes"] = "breast_cancer"
    standardize: bool = True


ImageAndTableData = (
    Digits
    | DigitClasses
    | SizedDigits
    | Mnist
    | FashionMnist
    | Npz
    | Npy
    | Csv
    | PictureData
    | ImageShards
    | MovingDigits
    | BrainPatches
    | PhotoPatches
    | ImageMasks
    | Scenes
    | Xor
    | TwoMoons
    | Tabular
)

Data = Annotated[ImageAndTableData | SequenceData | TextData | TreeData, Field(discriminator="kind")]
