"""Damage every file of run folders in every way, use them, and count what comes of it.

    python scripts/stress/damage.py                  # all trials: about a quarter of an hour
    python scripts/stress/damage.py --sample 50      # so many, drawn at random with --seed

Five folders are made: a training that ended, one that was stopped half-way, one of two processes that each
hold a part of the state, a sweep, and a measured claim. In a copy of a folder one file has a byte changed, is
cut in half, emptied, filled with zeros, taken away, or has a folder in its place. Then the copy is resumed,
evaluated, used to predict, exported; a claim is judged. A trial is

- right, when what comes out is what comes out of the folder as it was;
- older, when a warning names the damaged checkpoint, and the one before it gives the answer;
- refused, when an error says which file is damaged, in one of the ways that the command line prints plainly;
- WRONG otherwise: another number, another error, or a refusal that does not name the file.

The exit status is 1 if a trial was wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # those of the folder of two processes

import dlnotes
from dlnotes.config import ConfigError, parse
from dlnotes.devices.compiler import enable_compilation_cache
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import Interrupted, RunFailed, resume, run

PLAIN = (ConfigError, RunFailed)
"""Errors that the command line prints in plain words."""


class Trial(NamedTuple):
    """One file damaged in one way, and one thing done with the folder.

    Attributes:
      folder: which one.
      file: its path in the folder.
      damage: its name.
      action: its name.
    """

    folder: str
    file: str
    damage: str
    action: str


def change_a_byte(path: Path, rng: random.Random) -> None:
    """Another value of one byte."""
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    """The first half is left."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, rng: random.Random) -> None:
    """Nothing is left in it."""
    path.write_bytes(b"")


def zeros(path: Path, rng: random.Random) -> None:
    """As long as before, but zeros."""
    path.write_bytes(bytes(path.stat().st_size))


def gone(path: Path, rng: random.Random) -> None:
    """The file is not there."""
    path.unlink()


def folder_instead(path: Path, rng: random.Random) -> None:
    """A folder of its name."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "a byte": change_a_byte,
    "cut": cut,
    "empty": empty,
    "zeros": zeros,
    "gone": gone,
    "a folder": folder_instead,
}


def _resumed(folder: Path, data: Path) -> Any:
    result = resume(folder)
    return [np.asarray(a) for state in result.states for a in _leaves(state.members)]


def _evaluated(folder: Path, data: Path) -> Any:
    return evaluate_run(folder)


def _predicted(folder: Path, data: Path) -> Any:
    return predict_run(folder, data).read_text(encoding="utf-8")


def _exported(folder: Path, data: Path) -> Any:
    from jax import export

    program = export.deserialize(bytearray(export_run(folder).read_bytes()))
    return np.asarray(program.call(np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)))


def _leaves(tree: Any) -> list[Any]:
    import jax
    import jax.numpy as jnp

    return [a for a in jax.tree.leaves(tree) if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)]


def _judged(folder: Path, data: Path) -> Any:
    from dlnotes.claims.measure import judge

    record = judge(folder, trust=True)
    return record["verdict"], record["parts"], record["reading"]


ACTIONS: dict[str, Callable[[Path, Path], Any]] = {
    "resume": _resumed,
    "evaluate": _evaluated,
    "predict": _predicted,
    "export": _exported,
}
OF_CLAIMS: dict[str, Callable[[Path, Path], Any]] = {"judge": _judged}


def make(work: Path) -> tuple[dict[str, Path], Path]:
    """The folders, and a table of two columns and a class on which the nets are trained."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 2))
    rows = [f"{a:.4f},{b:.4f},{'yes' if a * b > 0 else 'no'}" for a, b in x]
    table, fresh = work / "table.csv", work / "fresh.csv"
    table.write_text("\n".join(["a,b,label", *rows]) + "\n")
    fresh.write_text("\n".join(["a,b", *(r.rpartition(",")[0] for r in rows[:20])]) + "\n")
    base = {
        "name": "plain",
        "data": {"kind": "csv", "path": str(table), "target": "label"},
        "model": {"kind": "mlp", "widths": [8]},
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "training": {"duration": "60 steps", "batch_size": 16, "seeds": 2, "log_every": 10},
        "checkpoint": {"every": "20 steps"},
        "devices": {"strategy": "single"},
        "output": {"figures": False, "directory": str(work / "runs")},
    }
    swept = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.001, 0.05]}}
    folders = {
        "ended": run(parse(base)).folder,
        "stopped": _stopped(parse(base | {"name": "stopped"})),
        "in parts": _in_parts(
            base | {"name": "parts", "devices": {"strategy": "mesh", "mesh": {"model": 2}}}
        ),
        "swept": run(parse(base | {"name": "swept", "sweep": swept})).folder,
        "claim": _claim(work / "own"),
    }
    return {name: folder for name, folder in folders.items() if folder is not None}, fresh


def _stopped(config: Any) -> Path:
    """A run that is told to stop after its second checkpoint."""
    import signal

    def watch(progress: Any) -> None:
        if progress.step >= 40:
            signal.raise_signal(signal.SIGTERM)

    try:
        run(config, watch=watch)
    except Interrupted as stopped:
        if stopped.folder is not None:
            return stopped.folder
    raise RuntimeError("the run was not stopped")


def _in_parts(raw: dict[str, Any]) -> Path:
    """A run of two processes with half of the parameters each."""
    runs = Path(raw["output"]["directory"])
    path = runs.with_name("parts.toml")
    path.write_text(tomli_w.dumps(raw))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "dlnotes", "run", str(path), "-q", "--processes", "2"]
    both = [
        subprocess.Popen([*command, "--process-id", str(i), "--coordinator", address], env=told)
        for i in range(2)
    ]
    if any(process.wait() for process in both):
        raise RuntimeError("the run of two processes failed")
    (folder,) = (runs / "parts").iterdir()
    return folder


_MODULE = """
import numpy as np
from dlnotes.claims import Above, Claim, Options, Part, Plot, mean
from dlnotes.plotting import new_figure

class Coin(Options):
    throws: int = 200

def measure(options):
    rng = np.random.default_rng(1)
    return {"heads": rng.random((options.seeds, options.throws)) < 0.7}

def draw(options, measured):
    figure = new_figure(4, 3)
    heads = measured["heads"].mean(1)
    figure.subplots().plot(heads)
    return Plot(figure, {"heads": heads})

CLAIM = Claim(
    id="mine.coin", statement="The coin is not fair.", source="a friend", options=Coin,
    measure=measure, draw=draw,
    parts=(Part("heads", "There are more heads.", "share", lambda m: mean(m["heads"].mean(1)), Above(0.5)),),
    method="{options.seeds} coins, {options.throws} throws.",
)
"""


def _claim(project: Path) -> Path:
    from dlnotes.claims.measure import open_claim, run_claim

    module, config = project / "experiments/coins/coin.py", project / "configs/claims/mine.coin.toml"
    for path, text in ((module, _MODULE), (config, 'experiment = "coins/coin"\n\n[options]\nthrows = 200\n')):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return run_claim(open_claim(config, [f'output.directory="{project / "runs"}"']))[0]


def trials(folders: dict[str, Path]) -> Iterator[Trial]:
    """Every file of every folder, in every way, for everything that is done with it."""
    for name, folder in folders.items():
        actions = OF_CLAIMS if name == "claim" else ACTIONS
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            for damage in DAMAGES:
                for action in actions:
                    yield Trial(name, file.relative_to(folder).as_posix(), damage, action)


def attempt(trial: Trial, source: Path, data: Path, rng: random.Random, right: Any) -> str:
    """What comes of a trial: "right", "right, and said", "older, and said", "refused", or what is wrong."""
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "runs" / trial.folder / source.name
        shutil.copytree(source, copy)
        DAMAGES[trial.damage](copy / trial.file, rng)
        action = (OF_CLAIMS if trial.folder == "claim" else ACTIONS)[trial.action]
        with _heard() as said:
            try:
                found = action(copy, data)
            except PLAIN as error:
                return "refused" if _names(str(error), trial.file) else f"WRONG: refused by: {error}"
            except Exception as error:  # what is not plain is what is looked for
                return f"WRONG: {type(error).__name__}: {error}"
        told = any(_names(text, trial.file) for text in said)
        if not _same(found, right):
            return "older, and said" if told and "checkpoints" in trial.file else "WRONG: another result"
        return "right, and said" if told else "right"


def _names(text: str, file: str) -> bool:
    """Whether a message names a damaged file, or the checkpoint that it is part of."""
    parts = file.split("/")
    return any(part in text for part in (parts[-1], "checkpoint" if "checkpoints" in parts else parts[-1]))


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener = Listener()
    logging.getLogger("dlnotes").addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger("dlnotes").removeHandler(listener)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b) or (a != a and b != b)


def main() -> int:
    """Make the folders, go through the trials, print the counts."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--sample", type=int, help="trials drawn at random; by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the changed bytes and of the sample")
    parser.add_argument("--only", help="trials whose words hold this, such as 'facts.json resume'")
    options = parser.parse_args()
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    enable_compilation_cache()
    rng, started = random.Random(options.seed), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="dlnotes-damage-") as work:
        folders, data = make(Path(work))
        planned = list(trials(folders))
        if options.only:
            planned = [t for t in planned if all(word in " ".join(t) for word in options.only.split())]
        if options.sample:
            planned = rng.sample(planned, min(options.sample, len(planned)))
        right: dict[tuple[str, str], Any] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for trial in planned:
            key = trial.folder, trial.action
            if key not in right:
                right[key] = _undamaged(folders[trial.folder], data, *key)
            came = attempt(trial, folders[trial.folder], data, rng, right[key])
            counts[trial.action, came.partition(":")[0]] += 1
            if came.startswith("WRONG"):
                print(*trial, "→", came, sep="  ", flush=True)
    print(f"\ndlnotes {dlnotes.__version__}: {len(planned)} trials, {time.perf_counter() - started:.0f} s")
    outcomes = ("right", "right, and said", "older, and said", "refused", "WRONG")
    print(f"{'':10}" + "".join(f"{o:>17}" for o in outcomes))
    for action in (*ACTIONS, *OF_CLAIMS):
        print(f"{action:10}" + "".join(f"{counts[action, o]:17}" for o in outcomes))
    return int(any(o == "WRONG" for _, o in counts))


def _undamaged(folder: Path, data: Path, name: str, action: str) -> Any:
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "runs" / name / folder.name
        shutil.copytree(folder, copy)
        return (OF_CLAIMS if name == "claim" else ACTIONS)[action](copy, data)


if __name__ == "__main__":
    sys.exit(main())
