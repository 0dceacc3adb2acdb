"""Experiment modules: where they are, and how one is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from dlnotes.checks import did_you_mean
from dlnotes.claims.claim import Claim
from dlnotes.config import ConfigError
from dlnotes.config.shipped import shipped_folder


def experiments_beside(config: Path) -> Path:
    """The ``experiments`` folder beside the ``configs`` folder that holds a config file.

    Raises:
      ConfigError: when the file is in no such folder, or there is none beside it.
    """
    config = config.absolute()
    for folder in config.parents:
        if folder.name == "configs":
            beside = folder.parent / "experiments"
            if beside.is_dir():
                return beside
            raise ConfigError(
                str(config), [f"experiment: there is no folder {beside}, where it is looked for"]
            )
    problem = (
        "experiment: a claim's config must lie in a folder called configs, beside one called experiments"
    )
    raise ConfigError(str(config), [problem])


def experiments_folder(config: Path, named: str | None, *, reading: bool, trust: bool) -> Path:
    """The folder whose modules a claim's config may run.

    A config may come from a stranger, and its experiment is a program. So a folder that the config itself
    names counts only where it is the ``experiments`` of the current project: of the working directory, of a
    folder above it, or of dlnotes itself. The folder beside the config counts when a person asks to measure
    the claim.

    Args:
      config: the file.
      named: what it says under ``experiments``.
      reading: the config, or its run, is only shown or judged.
      trust: the person said that the code may run.

    Raises:
      ConfigError: when the folder is not to be trusted, with the way out.
    """
    folder = Path(named) if named else experiments_beside(config)
    if trust or (named is None and not reading) or folder.resolve() in _own_folders():
        return folder
    problem = (
        f"experiment: its module would run from {folder}, which is not the experiments folder of the current "
        f"project ({Path.cwd()}); go to that project, or add --trust if you trust the code there"
    )
    raise ConfigError(str(config), [problem])


def _own_folders() -> set[Path]:
    here = Path.cwd().resolve()
    own = {(folder / "experiments").resolve() for folder in (here, *here.parents)}
    shipped = shipped_folder("experiments")
    return own if shipped is None else own | {shipped.resolve()}


def module_path(folder: Path, experiment: str, *, source: str) -> Path:
    """The file of ``"chapter/name"``.

    Raises:
      ConfigError: when there is none, with the nearest name.
    """
    path = folder / f"{experiment}.py"
    if path.is_file():
        return path
    # A file whose name begins with "_" helps the claims beside it.
    known = sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/[!_]*.py"))
    hint = did_you_mean(experiment, known)
    raise ConfigError(source, [f"experiment: got {experiment!r}, there is no {path}{hint}"])


def load_claim(folder: Path, path: Path, *, source: str) -> Claim:
    """Import an experiment module and take its ``CLAIM``.

    Modules of one folder may import each other relatively; nothing is added to ``sys.path``.

    Raises:
      ConfigError: when the module gives no `Claim`. Errors inside the module are its own.
    """
    module = _imported(folder, path)
    claim = getattr(module, "CLAIM", None)
    if not isinstance(claim, Claim):
        raise ConfigError(source, [f"experiment: {path} must set CLAIM to a dlnotes.claims.Claim"])
    return claim


def _imported(folder: Path, path: Path) -> ModuleType:
    # The folder's own name in sys.modules, so that two experiments folders cannot be confused.
    name = f"dlnotes_experiments_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"
    package = folder
    _package(name, package)
    for part in path.relative_to(folder).with_suffix("").parts[:-1]:
        package, name = package / part, f"{name}.{part}"
        _package(name, package)
    name = f"{name}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(name: str, folder: Path) -> None:
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
