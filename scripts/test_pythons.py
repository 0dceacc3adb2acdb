"""Run the tests on every Python of this machine, each with what pip installs for it today.

    python scripts/test_pythons.py                       # all of 3.11 and later that are found
    python scripts/test_pythons.py --only 3.13 -- -x     # what follows -- goes to pytest
    python scripts/test_pythons.py --list                # what is found; nothing is run

A Python is found when `PATH` has it as ``python3.X``, when pyenv has installed it, or when it runs this
script. Each gets a virtual environment of its own in a temporary folder, where the project is installed
with its test extra. A table at the end says what was tested; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
COLUMNS = ("Python", "jax", "numpy", "passed", "failed", "skipped", "seconds")

# An environment cannot be made without these two, which some systems package by themselves.
_ASK = "import ensurepip, sys, venv; print('%d.%d.%d' % sys.version_info[:3])"
_VERSIONS = "from importlib.metadata import version; print(version('jax'), version('numpy'))"


class Python(NamedTuple):
    """An interpreter of this machine.

    Attributes:
      version: such as (3, 12, 1).
      path: of its executable.
    """

    version: tuple[int, ...]
    path: Path


class Row(NamedTuple):
    """What came of the tests on one Python.

    Attributes:
      python: its version.
      jax: the version that was installed, "" when none was.
      numpy: likewise.
      passed: tests.
      failed: tests, those with an error outside of the test included.
      skipped: tests.
      seconds: that the tests took.
      problem: why it failed though no test did, else "".
    """

    python: str
    jax: str = ""
    numpy: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    problem: str = ""


def candidates(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Executables that may be a Python of interest, by their names and places.

    Args:
      environ: the environment's variables: ``PATH``, ``PYENV_ROOT``.
      home: the user's folder.
    """
    found = [Path(sys.executable)]
    for folder in filter(None, environ.get("PATH", "").split(os.pathsep)):
        for path in sorted(Path(folder).glob("python3.*")):
            named = re.fullmatch(r"python3\.(\d+)(\.exe)?", path.name)
            if named and (3, int(named[1])) >= OLDEST:
                found.append(path)
    versions = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    return found + sorted(versions.glob("*/bin/python"))


def version_of(path: Path) -> tuple[int, ...] | None:
    """What an interpreter says of itself, ``None`` when it does not run or cannot make environments."""
    try:
        said = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    good = said.returncode == 0 and re.fullmatch(r"\d+\.\d+\.\d+", said.stdout.strip())
    return tuple(map(int, said.stdout.split("."))) if good else None


def newest_of_each(paths: Iterable[Path]) -> list[Python]:
    """The newest Python of each 3.X, from `OLDEST` on; of equal ones the first."""
    best: dict[tuple[int, ...], Python] = {}
    for path in dict.fromkeys(paths):
        version = version_of(path)
        if version is None or version < OLDEST:
            continue
        before = best.get(version[:2])
        if before is None or version > before.version:
            best[version[:2]] = Python(version, path)
    return [best[minor] for minor in sorted(best)]


def test(python: Python, folder: Path, arguments: Sequence[str]) -> Row:
    """Install the project in an environment of its own and run its tests there.

    Args:
      python: the interpreter.
      folder: of the environment; made.
      arguments: for pytest.
    """
    version = ".".join(map(str, python.version))
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    inside = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", f"{ROOT}[test]"]
    try:
        subprocess.run([python.path, "-m", "venv", folder], check=True, env=environ)
        subprocess.run(pip, check=True, env=environ, cwd=ROOT)
        said = subprocess.run(
            [inside, "-c", _VERSIONS], check=True, env=environ, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return Row(version, problem="not installed")
    jax, numpy = said.stdout.split()
    report = folder / "report.xml"
    start = time.perf_counter()
    status = subprocess.run(
        [inside, "-m", "pytest", f"--junitxml={report}", *arguments], env=environ, cwd=ROOT
    ).returncode
    row = Row(version, jax, numpy, *counts(report), time.perf_counter() - start)
    return row._replace(problem=f"pytest gave {status}" if status and not row.failed else "")


def counts(report: Path) -> tuple[int, int, int]:
    """Tests that passed, failed and were skipped, by pytest's JUnit file; zeros when it wrote none."""
    if not report.exists():
        return 0, 0, 0
    suites = list(ElementTree.parse(report).iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return total - failed - skipped, failed, skipped


def table(rows: Iterable[Row]) -> str:
    """One line for each Python, under `COLUMNS`; a problem stands at the end of its line."""
    cells: list[tuple[str, ...]] = [COLUMNS]
    for row in rows:
        numbers = (row.passed, row.failed, row.skipped, round(row.seconds))
        cells.append((row.python, row.jax or "-", row.numpy or "-", *map(str, numbers)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells]
    problems = ["", *(row.problem for row in rows)]
    return "\n".join(f"{line}  {problem}".rstrip() for line, problem in zip(lines, problems))


def main(arguments: Sequence[str]) -> int:
    """Parse the command line, test and print; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [-- …]",
    )
    parser.add_argument("--only", action="append", metavar="3.X", help="this Python alone; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the environments and say where they are")
    parser.add_argument("--list", action="store_true", help="say which Pythons are found, and end")
    ours, theirs = list(arguments), []
    if "--" in ours:
        cut = ours.index("--")
        ours, theirs = ours[:cut], ours[cut + 1 :]
    options = parser.parse_args(ours)

    found = newest_of_each(candidates(os.environ, Path.home()))
    by_minor = {".".join(map(str, python.version[:2])): python for python in found}
    if missing := [only for only in options.only or () if only not in by_minor]:
        parser.error(f"--only: got {', '.join(missing)}, found are {', '.join(by_minor)}")
    chosen = [python for minor, python in by_minor.items() if not options.only or minor in options.only]
    if options.list:
        for python in chosen:
            print(".".join(map(str, python.version)), python.path)
        return 0

    folder = Path(tempfile.mkdtemp(prefix="dlnotes-pythons-"))
    rows = []
    try:
        for python in chosen:
            minor = ".".join(map(str, python.version[:2]))
            print(f"Python {minor}: {python.path}", flush=True)
            rows.append(test(python, folder / minor, theirs))
            if not options.keep:
                shutil.rmtree(folder / minor, ignore_errors=True)
    finally:
        if options.keep:
            print(f"the environments are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table(rows)}")
    return int(any(row.failed or row.problem for row in rows))


if __name__ == "__main__":
    # So that the environments, of a gigabyte each, do not stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
