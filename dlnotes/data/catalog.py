"""The data sets that dlnotes knows by name: where each is, how to get it, and whether it is whole."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dlnotes.data import download as store
from dlnotes.data.images import mnist as mnist_sets
from dlnotes.data.texts import cmudict as pronunciation
from dlnotes.data.texts import speeches as speech
from dlnotes.data.texts import text_pairs as parallel
from dlnotes.data.time_series import ts_files
from dlnotes.data.trees import molecules as molecule_sets
from dlnotes.data.trees import tree_files as treebank

_PUBLISHED = {s.name: s for s in (mnist_sets.MNIST, mnist_sets.FASHION_MNIST)}
_FILES = {
    "japanese_vowels": ("sequence, 9 classes", ts_files.JAPANESE_VOWELS),
    "cmudict": ("pair, tokens", pronunciation.CMUDICT),
    "verses": ("pair, tokens", parallel.VERSES),
    "speeches": ("tokens, language model", speech.SPEECHES),
    "molecules": ("tree, 2 classes", molecule_sets.B3DB),
    "sst": ("tree, 5 or 2 classes", treebank.SST),
}
_BUNDLED = {
    "digits": ("image, 10 classes", "digits", {}, "CC BY 4.0", "Alpaydin and Kaynak, UCI 1998"),
    "sized_digits": ("image, 10 classes", "sized_digits", {}, "CC BY 4.0", "digits at many sizes"),
    "breast_cancer": ("vector, 2 classes", "tabular", None, "CC BY 4.0", "Wolberg et al., UCI 1995"),
    "wine": ("vector, 3 classes", "tabular", None, "CC BY 4.0", "Aeberhard and Forina, UCI 1991"),
    "iris": ("vector, 3 classes", "tabular", None, "CC BY 4.0", "Fisher, 1936"),
    "diabetes": ("vector, regression", "tabular", None, "as in scikit-learn", "Efron et al., 2004"),
    "photo_patches": (
        "image in colour, 2 classes",
        "photo_patches",
        {},
        "CC BY 2.0",
        "danielbuechele and vultilion, flickr.com",
    ),
    "text": ("tokens, language model", "text", {}, "BSD-3 and PSF", "scikit-learn and Python help texts"),
}
_EXTRAS = {  # kind, package that holds the files, extra of dlnotes that installs it
    "brain_patches": (
        "volume, 3 classes",
        "nilearn",
        "volumes",
        "free, with its copyright notice",
        "Fonov et al., 2011",
    ),
}
_GENERATED = {
    "scenes": ("image, 11 classes a pixel", "overlapping digits in clutter"),
    "xor": ("vector, 2 classes", "Minsky and Papert, 1969"),
    "two_moons": ("vector, 2 classes", "two half circles"),
    "reber": ("tokens, 2 classes", "Reber, 1967"),
    "adding": ("sequence, regression", "Hochreiter and Schmidhuber, 1997"),
    "copy_memory": ("tokens, tokens", "Arjovsky et al., 2016"),
    "temporal_order": ("tokens, 4 or 8 classes", "Hochreiter and Schmidhuber, 1997"),
    "latch": ("sequence, 2 classes", "Bengio, Simard and Frasconi, 1994"),
    "parity": ("tokens, 2 classes", "Bengio, Simard and Frasconi, 1994"),
    "mackey_glass": ("sequence, regression", "Mackey and Glass, 1977"),
    "lorenz": ("sequence, regression", "Lorenz, 1963"),
    "number_words": ("pair, tokens", "English number words"),
    "sound": ("sequence or image, 6 classes", "tones, chirps and clicks in noise"),
    "moving_digits": ("volume, 9 or 10 classes", "scikit-learn's digits in motion"),
    "list_ops": ("tree or tokens, 10 classes", "Nangia and Bowman, 2018"),
    "logic": ("tree, 7 classes", "Bowman, Potts and Manning, 2015"),
}


def available() -> list[dict[str, Any]]:
    """One entry a data set: ``name``, ``kind``, ``found``, ``how``, ``licence``, ``source``.

    ``found`` is a folder, "bundled", "generated", or ``None`` when the files are not on this machine;
    ``how`` then says how to get them.
    """
    entries = []
    for name, published in _PUBLISHED.items():
        paths = mnist_sets.locate(published)
        entries.append(
            {
                "name": name,
                "kind": "image, 10 classes",
                "found": str(paths[0].parent) if paths else None,
                "how": f"dlnotes data fetch {name}, or files in $DLNOTES_DATA/{name}/",
                "licence": published.licence,
                "source": published.source,
            }
        )
    for name, (kind, files) in _FILES.items():
        paths = store.locate(files)
        entries.append(
            {
                "name": name,
                "kind": kind,
                "found": str(paths[0].parent) if paths else None,
                "how": f"dlnotes data fetch {name}, or a file in $DLNOTES_DATA/{files.name}/"
                if files.address
                else f"files in $DLNOTES_DATA/{files.name}/, from {files.where}",
                "licence": files.licence,
                "source": files.source,
            }
        )
    for name, (kind, _, _, licence, source) in _BUNDLED.items():
        entries.append(
            {
                "name": name,
                "kind": kind,
                "found": "bundled",
                "how": "comes with the libraries that dlnotes depends on",
                "licence": licence,
                "source": source,
            }
        )
    for name, (kind, package, extra, licence, source) in _EXTRAS.items():
        entries.append(
            {
                "name": name,
                "kind": kind,
                "found": "bundled" if find_spec(package) else None,
                "how": f'comes with {package}: pip install "dlnotes[{extra}]"',
                "licence": licence,
                "source": source,
            }
        )
    for name, (kind, source) in _GENERATED.items():
        entries.append(
            {
                "name": name,
                "kind": kind,
                "found": "generated",
                "how": "drawn from a seed",
                "licence": "none needed",
                "source": source,
            }
        )
    return entries


def fetch(name: str, *, data_dir: str | Path | None = None) -> Path | None:
    """Makes the files of a data set be on this machine; nothing to do for bundled and generated ones.

    Returns:
      The folder of the files, or ``None`` where there are none.

    Raises:
      DataNotFound: when they can neither be found nor downloaded.
      ValueError: when the name is unknown.
    """
    _check_name(name)
    if name in _FILES:
        return store.obtain(_FILES[name][1], data_dir=data_dir)[0].parent
    if name not in _PUBLISHED:
        return None
    return mnist_sets.obtain(_PUBLISHED[name], data_dir=data_dir)[0].parent


def check(name: str, *, data_dir: str | Path | None = None) -> list[str]:
    """What is wrong with a data set on this machine: an empty list when it can be used.

    Files are read completely and compared with their published checksums.

    Raises:
      ValueError: when the name is unknown.
    """
    _check_name(name)
    if name in _PUBLISHED:
        return _check_published(_PUBLISHED[name], data_dir)
    if name in _FILES:
        try:
            return store.damage(_FILES[name][1], store.obtain(_FILES[name][1], data_dir=data_dir))
        except (OSError, ValueError) as error:
            return [str(error)]
    from dlnotes.data import load

    try:
        if name in _BUNDLED:
            _, source, options, _, _ = _BUNDLED[name]
            load(source, **({"name": name} if options is None else options))
        else:
            load(name)
    except (ImportError, OSError, ValueError) as error:
        return [str(error)]
    return []


def _check_name(name: str) -> None:
    known = [*_PUBLISHED, *_FILES, *_BUNDLED, *_EXTRAS, *_GENERATED]
    if name not in known:
        raise ValueError(f"name: got {name!r}, allowed are {', '.join(known)}")


def _check_published(published: mnist_sets.IdxSet, data_dir: str | Path | None) -> list[str]:
    from dlnotes.data.images.idx import read_idx

    paths = mnist_sets.locate(published, data_dir=data_dir)
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
