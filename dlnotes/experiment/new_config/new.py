"""A config for a person's own files, guessed from what they hold, checked, and written."""

from __future__ import annotations

import os
import shlex
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dlnotes import data
from dlnotes.config import Config, ConfigError, parse
from dlnotes.config.copying import schema_line
from dlnotes.config.fields import OwnSplit
from dlnotes.config.places import name_of
from dlnotes.config.toml import FILES, find_files
from dlnotes.data.dataset import Dataset
from dlnotes.data.test_file import with_test_file
from dlnotes.experiment.new_config.guess import Asked, Guess
from dlnotes.experiment.new_config.kinds import guess
from dlnotes.experiment.new_config.recipes import recipe
from dlnotes.experiment.new_config.write import config_text, described


class Written(NamedTuple):
    """A config that was written.

    Attributes:
      path: of the file.
      told: what the data were taken for, in sentences.
    """

    path: Path
    told: tuple[str, ...]


def new_config(
    path: str | Path,
    output: str | Path | None = None,
    *,
    target: Sequence[str] = (),
    kind: str | None = None,
    force: bool = False,
) -> Written:
    """Look at a file or folder and write a config that trains on it, with comments.

    The data are read as a run reads them, so that what a run would refuse is refused here.

    Args:
      path: of the data.
      output: the file to write, or a folder for it; by default named after the data, in the current folder.
      target: columns to be predicted (the array of an .npz file); by default guessed.
      kind: of [data]; by default guessed.
      force: write over a file that is there.

    Raises:
      ConfigError: when the data cannot be used or told, or the file is there; nothing is written.

    Example:
      ``new_config("iris.csv", "my.toml").path``
    """
    source = Path(os.path.expanduser(path))
    written = _output(source, output, force)
    asked = Asked(source, tuple(target), kind)
    found = _placed(guess(asked), written)
    raw = {"name": name_of(written.stem), "data": _section(found)}
    dataset, said = _read(asked, raw, written)
    chosen = recipe(found, dataset)
    text = config_text(
        written.name if written.parent == Path() else str(written),
        _command(path, output, target, kind),
        schema_line(written),
        found,
        dataset,
        chosen,
        said,
    )
    _check(text, written)
    try:
        content = text.encode()
        with written.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise _there(written) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(str(written), [f"cannot be written: {why}"]) from None
    return Written(written, (f"{found.kind}: {found.why}", *described(dataset), *found.notes, *said))


def _output(source: Path, output: str | Path | None, force: bool) -> Path:
    """The file to write, refused where that cannot be."""
    stem = source.name.partition(".")[0] if source.is_file() else source.resolve().name
    own = f"{name_of(stem)}.toml"
    path = Path(own) if output is None else Path(os.path.expanduser(output))
    if path.is_dir():
        path = path / own
    if path.suffix != ".toml":
        raise ConfigError(str(path), ["-o: a name that ends in .toml is needed"])
    if not path.parent.is_dir():
        raise ConfigError(str(path), [f"there is no folder {path.parent}; make it first"])
    if os.path.lexists(path) and not force:
        raise _there(path)
    return path


def _there(path: Path) -> ConfigError:
    return ConfigError(str(path), ["is there already; -o gives another name, --force writes over it"])


def _placed(found: Guess, written: Path) -> Guess:
    """The guess with its paths as they stand in the file: from its folder if they lie in it, else whole."""
    folder = written.parent.resolve()

    def place(value: str) -> str:
        whole = Path(os.path.abspath(value))
        inside = Path(os.path.realpath(whole.parent)) / whole.name
        return inside.relative_to(folder).as_posix() if inside.is_relative_to(folder) else str(whole)

    options = tuple(o._replace(value=place(o.value)) if o.name in FILES else o for o in found.options)
    return found._replace(options=options)


def _section(found: Guess) -> dict[str, Any]:
    return {"kind": found.kind} | {option.name: option.value for option in found.options}


def _read(asked: Asked, raw: dict[str, Any], written: Path) -> tuple[Dataset, list[str]]:
    """The data as a run reads them, and what their reader says."""
    meant = {"data": dict(raw["data"])}
    find_files(meant, written.parent)
    any_model = {"model": {"kind": "given"}}
    config = parse(raw | meant | any_model, source=str(asked.path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = _load(config)
        except (ValueError, OSError) as error:
            raise asked.refuse(str(error).removeprefix(f"{asked.path.absolute()}: ")) from None
    return made, list(dict.fromkeys(str(w.message) for w in caught))


def _load(config: Config) -> Dataset:
    options = config.data.model_dump(exclude={"kind"})
    own_test = options.pop("test_path", None) if isinstance(config.data, OwnSplit) else None
    made = data.load(config.data.kind, **options)
    return with_test_file(made, own_test) if own_test else made


def _check(text: str, written: Path) -> None:
    """Check that what will be written is a config."""
    raw = tomllib.loads(text)
    find_files(raw, written.parent)
    parse(raw | {"name": name_of(written.stem)}, source=str(written))


def _command(path: str | Path, output: Any, target: Sequence[str], kind: str | None) -> str:
    words = ["dlnotes", "new", str(path)]
    words += ["-o", str(output)] if output is not None else []
    words += [word for name in target for word in ("--target", name)]
    words += ["--kind", kind] if kind else []
    return shlex.join(words)
