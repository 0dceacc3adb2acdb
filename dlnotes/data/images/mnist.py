"""MNIST and Fashion-MNIST: 60,000 and 10,000 gray images of 28×28 pixels in ten classes.

The four idx files of each are looked for on this machine and otherwise downloaded once. Whatever their
origin, the MD5 of the decompressed bytes must be that of the published files.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.images.idx import read_idx, read_labeled_images
from dlnotes.data.split import split_indices


class IdxFile(NamedTuple):
    """One published file: its name, SHA-256 as published (.gz), and MD5 of its decompressed bytes."""

    name: str
    sha256: str
    md5: str


class IdxSet(NamedTuple):
    """A published image set.

    Attributes:
      name: folder name and config name.
      files: training images, training labels, test images, test labels.
      mirrors: addresses to which a file name is appended.
      classes: class names.
      license: as stated by its authors.
      source: who made it.
    """

    name: str
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    mirrors: tuple[str, ...]
    classes: tuple[str, ...]
    license: str
    source: str


MNIST = IdxSet(
    name="mnist",
    files=(
        IdxFile(
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "a25bea736e30d166cdddb491f175f624",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "2646ac647ad5339dbf082846283269ea",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    classes=tuple("0123456789"),
    license="CC BY-SA 3.0",
    source="LeCun, Cortes and Burges",
)

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    files=(
        IdxFile(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "9018921c3c673c538a1fc5bad174d6f9",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    license="MIT",
    source="Xiao, Rasul and Vollgraf (Zalando Research), 2017",
)


def mnist(
    *,
    validation: float | int = 5000,
    seed: int = 0,
    standardize: bool = True,
    data_dir: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Handwritten digits: images ``(28, 28, 1)``, ten classes, the official 10,000 test images.

    Raw values are gray levels / 255; mean and scale are those of the training part.

    Args:
      validation: share or number of the 60,000 official training images held out, stratified.
      seed: decides which ones.
      standardize: whether ``x = (raw − mean) / scale``.
      data_dir: a folder with the four files (or with a sub-folder ``mnist`` of them); otherwise
        ``$DLNOTES_DATA/mnist``, the user's cache and the system's data sets are searched.
      download: whether missing files may be fetched.

    Raises:
      DataNotFound: when the files are nowhere; the message names them and where to put them.
      ValueError: when a file is damaged.

    Source: LeCun, Bottou, Bengio and Haffner, 1998.
    """
    return load_idx_set(
        MNIST,
        validation=validation,
        seed=seed,
        standardize=standardize,
        data_dir=data_dir,
        download=download,
    )


def fashion_mnist(
    *,
    validation: float | int = 5000,
    seed: int = 0,
    standardize: bool = True,
    data_dir: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Pictures of clothes: images ``(28, 28, 1)``, ten classes, the official 10,000 test images.

    Arguments and errors as for `mnist`; the folder is ``fashion_mnist``.

    Source: Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747.
    """
    return load_idx_set(
        FASHION_MNIST,
        validation=validation,
        seed=seed,
        standardize=standardize,
        data_dir=data_dir,
        download=download,
    )


def locate(published: IdxSet, *, data_dir: str | Path | None = None) -> list[Path] | None:
    """The four files where they all lie in one folder of this machine, else ``None``."""
    return store.find([f.name for f in published.files], store.folders(published.name, data_dir=data_dir))


def obtain(published: IdxSet, *, data_dir: str | Path | None = None, download: bool = True) -> list[Path]:
    """The four files, downloaded into ``data_dir`` or the user's cache where they are missing.

    Raises:
      DataNotFound: with the names of the files and the folders that were searched.
    """
    paths = locate(published, data_dir=data_dir)
    if paths is not None:
        return paths
    reason = "downloading is switched off"
    if download:
        folder = store.cache_folder(published.name) if data_dir is None else Path(data_dir).expanduser()
        try:
            return [
                found[0]
                if (found := store.find([file.name], [folder]))
                else store.download(
                    [mirror + file.name for mirror in published.mirrors],
                    folder / file.name,
                    digest=file.sha256,
                )
                for file in published.files
            ]
        except OSError as error:
            reason = str(error)
    searched = store.folders(published.name, data_dir=data_dir)
    raise store.DataNotFound(
        f"{published.name}: not found on this machine ({reason}).\n"
        "Put these four files (with or without .gz)\n  "
        + "\n  ".join(file.name for file in published.files)
        + f"\ninto the folder {published.name}/ of a folder of your choice, and name that folder in the "
        f"environment variable DLNOTES_DATA (DLNOTES_DATA=/my/data for /my/data/{published.name}/).\n"
        f"They can be had from {' or '.join(published.mirrors)}\nSearched: " + ", ".join(map(str, searched))
    )


def damage(published: IdxSet, *, data_dir: str | Path | None = None) -> list[str]:
    """What is wrong with the four files on this machine, each read completely; nothing when all is well."""
    paths = locate(published, data_dir=data_dir)
    if paths is None:
        searched = ", ".join(str(f) for f in store.folders(published.name, data_dir=data_dir))
        return [f"{published.name}: its four files are in none of {searched}"]
    problems = []
    for file, path in zip(published.files, paths):
        try:
            read_idx(path, dimensions=3 if "idx3" in file.name else 1, md5=file.md5)
        except (OSError, ValueError) as error:
            problems.append(str(error))
    return problems


def load_idx_set(
    published: IdxSet,
    *,
    validation: float | int,
    seed: int,
    standardize: bool,
    data_dir: str | Path | None,
    download: bool,
) -> Dataset:
    """A published idx image set as a `Dataset`; arguments as for `mnist`."""
    paths = obtain(published, data_dir=data_dir, download=download)
    md5 = [file.md5 for file in published.files]
    k = len(published.classes)
    x, y = read_labeled_images(paths[0], paths[1], classes=k, images_md5=md5[0], labels_md5=md5[1])
    x_test, y_test = read_labeled_images(paths[2], paths[3], classes=k, images_md5=md5[2], labels_md5=md5[3])
    train, held, _ = split_indices(len(x), validation=validation, test=0, seed=seed, stratify=y)
    raw = np.concatenate([x, x_test]).astype(np.float32)[..., None]
    raw /= 255
    return assemble(
        published.name,
        raw,
        np.concatenate([y, y_test]),
        (train, held, len(x) + np.arange(len(x_test))),
        input="image",
        task="classification",
        outputs=k,
        standardize=standardize,
        classes=published.classes,
        sources={str(path): store.sha256(path) for path in paths},
    )
