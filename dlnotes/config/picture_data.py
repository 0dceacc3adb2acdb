"""[data]: pictures in folders and tables; what `dlnotes.config.data` puts together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dlnotes.config.fields import Decimal, OwnSplit

Side = Annotated[int, Field(ge=1)]
ClassOf = Literal["top", "parent", "path"]


class _Pictures(OwnSplit):
    size: tuple[Side, Side] | Literal["own"] = Field(
        default=(32, 32), description="that all are resized to; 'own' keeps each one's size"
    )
    max_size: int = Field(default=256, ge=1, description="longest side kept with size = 'own'")
    channels: Literal[1, 3] = 3
    standardize: bool = True


class ImageFolder(_Pictures):
    """Your own pictures: a folder with one sub-folder per class, or with train/, validation/ and test/."""

    always: ClassVar = ("image", "classification")
    kind: Literal["image_folder"]
    path: str
    class_of: ClassOf = Field(
        default="top",
        description="of nested sub-folders the one that names the class: the top one, the parent of the "
        'image, or the whole path ("animals/cats")',
    )


class ImageTable(_Pictures):
    """Your own pictures in a table, CSV or Parquet: a column of paths, columns of labels or numbers."""

    always: ClassVar = ("image", "any")
    kind: Literal["image_table"]
    path: str
    image: str = Field(description="the column of paths")
    target: str | tuple[str, ...] = Field(
        description="the column of labels or numbers, or several columns of numbers"
    )
    image_dir: str | None = Field(
        default=None, description="folder that paths start from; by default the table's"
    )
    ending: str = Field(
        default="", description='of the files, where the column holds their names without it (".jpg")'
    )
    task: Literal["auto", "classification", "regression"] = "auto"
    split_column: str | None = Field(
        default=None,
        description="column that holds train, validation or test; by default rows are divided at random",
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Decimal = Field(default=".", description="before the decimals of a number")
    thousands: str = Field(default="", max_length=1, description="between groups of three digits of a number")


class VideoFolder(OwnSplit):
    """Your own short videos, as folders of frames or .npz files: a folder with one sub-folder per class."""

    always: ClassVar = ("volume", "classification")
    kind: Literal["video_folder"]
    path: str
    frames: int = Field(
        default=16,
        ge=1,
        description="of every example: longer clips give frames at even distances, shorter ones some twice",
    )
    size: tuple[Side, Side] = Field(default=(32, 32), description="that all frames are resized to")
    channels: Literal[1, 3] = 3
    array: str = Field(
        default="", description='its name in .npz files; by default the only one, or "frames", "video", "x"'
    )
    class_of: ClassOf = Field(
        default="top",
        description="of nested sub-folders the one that names the class: the top one, the parent of the "
        "clip, or the whole path",
    )
    standardize: bool = True


PictureData = ImageFolder | ImageTable | VideoFolder
