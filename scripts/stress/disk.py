"""Train where the disk is full, has no inodes, can only be read, or where the clock is set back.

    python scripts/stress/disk.py          # Linux, as root (it mounts small file systems in memory)

Each trial trains a small network by the command line. It is right when the command ends with the exit status
and the words below, and when the same training, resumed after the cause is gone, ends with the numbers of one
that was not disturbed. The exit status is 1 if a trial was wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CONFIG = """
name = "small"
[data]
kind = "two_moons"
n = 400
[model]
kind = "mlp"
widths = [64, 64]
[optimizer]
kind = "adam"
learning_rate = 0.01
[training]
duration = "400 steps"
batch_size = 16
seeds = 4
[checkpoint]
every = "100 steps"
[devices]
strategy = "single"
[output]
figures = false
"""

_LATER = """
import datetime, sys, time
from dlnotes.experiment import trainer

real, ahead = time.time, [86400.0]
time.time = lambda: real() + ahead[0]

class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(time.time(), tz)

save = trainer.Checkpoints.save
def set_back(self, *arguments):
    ahead[0] -= 2 * 86400.0
    return save(self, *arguments)
trainer.Checkpoints.save = set_back

from dlnotes.experiment import run_folder
run_folder.datetime.datetime = Clock
from dlnotes.cli.main import main
main()
"""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    output: str


def dlnotes(*words: Any, program: str | None = None) -> Done:
    """Run the command line; ``program`` is Python code to run instead of the package."""
    start = ["-m", "dlnotes"] if program is None else ["-c", program]
    command = [sys.executable, *start, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return Done(done.returncode, done.stdout + done.stderr)


@contextmanager
def small_disk(options: str) -> Iterator[Path]:
    """A file system in memory."""
    with tempfile.TemporaryDirectory(prefix="dlnotes-disk-") as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def remount(place: Path, options: str) -> None:
    """Give a file system other options."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def numbers(runs: Path) -> Any:
    """The points of the only run's summary."""
    (summary,) = runs.glob("small/*/summary.json")
    return json.loads(summary.read_text())["points"]


class Trials:
    """Counts of trials, each told in a line.

    Args:
      config: file of the training.
      right: the points of an undisturbed run.
    """

    def __init__(self, config: Path, right: Any):
        self.config, self.right, self.wrong = config, right, 0

    def note(self, name: str, *problems: str) -> None:
        """Tell how a trial ended."""
        found = [problem for problem in problems if problem]
        self.wrong += bool(found)
        print(f"{name:44} {'; '.join(found) if found else 'right'}", flush=True)

    def run_in(self, runs: Path, **options: Any) -> Done:
        """Start the training with its run folder there."""
        return dlnotes("run", self.config, f'output.directory="{runs}"', "-q", **options)

    def resumed(self, runs: Path) -> str:
        """What is wrong with the run after it was resumed."""
        (folder,) = (runs / "small").iterdir()
        again = dlnotes("resume", folder, "-q")
        if again.status:
            return f"resume ended with {again.status}: {again.output[-300:]}"
        return "" if numbers(runs) == self.right else "other numbers after resuming"


def ended(done: Done, status: int, words: str) -> str:
    """What is wrong with a status and an output."""
    if "Traceback" in done.output:
        return f"a traceback: {done.output[-300:]}"
    if done.status != status:
        return f"exit status {done.status} instead of {status}: {done.output[-300:]}"
    return "" if words in done.output else f"no {words!r} in: {done.output[-300:]}"


def disturb(trials: Trials) -> None:
    """Every trial."""
    full = {f"full at {size} kB": f"size={size}k" for size in (40, 80, 160, 240, 320)}
    few = {f"no inodes after {count}": f"size=50m,nr_inodes={count}" for count in (6, 12, 20, 30, 40)}
    for name, options in (full | few).items():
        with small_disk(options) as place:
            told = ended(trials.run_in(place), 1, "no space left")
            remount(place, "size=50m,nr_inodes=10000")
            trials.note(name, told, trials.resumed(place) if not told else "")
    with small_disk("size=50m") as place:
        remount(place, "ro")
        trials.note("a folder that can only be read", ended(trials.run_in(place), 2, "Read-only file system"))
    with small_disk("size=50m") as place, tempfile.TemporaryDirectory() as other:
        told = ended(trials.run_in(place), 0, "")
        (folder,) = (place / "small").iterdir()
        remount(place, "ro")
        evaluated = ended(dlnotes("evaluate", folder), 0, "accuracy")
        refused = ended(dlnotes("resume", folder, "-q"), 2, "cannot be written: Read-only file system")
        exported = ended(dlnotes("export", folder, "-o", Path(other) / "model.jax"), 0, "")
        trials.note("a run folder that can only be read", told, evaluated, refused, exported)
    with tempfile.TemporaryDirectory() as runs:
        done = trials.run_in(Path(runs), program=_LATER)
        told = ended(done, 0, "")
        other = "" if told or numbers(Path(runs)) == trials.right else "other numbers"
        trials.note("a clock that is set back at every checkpoint", told, other)


def main() -> int:
    """Train once without disturbance, then with every one."""
    if sys.platform != "linux" or os.geteuid():
        print("this needs Linux and root, to mount small file systems", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "small.toml"
        config.write_text(CONFIG)
        done = dlnotes("run", config, f'output.directory="{work}/runs"', "-q")
        if done.status:
            print(done.output, file=sys.stderr)
            return 1
        trials = Trials(config, numbers(Path(work) / "runs"))
        disturb(trials)
    print(f"wrong: {trials.wrong}")
    return int(trials.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
