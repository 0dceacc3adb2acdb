"""Many claims, one after another: what is already measured under the same config and code is kept."""

from __future__ import annotations

import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from dlnotes.checks import did_you_mean
from dlnotes.claims.measure import Opened, judge, last_measured, open_claim, run_claim
from dlnotes.claims.records import committed, read_record
from dlnotes.config import ConfigError, is_claim, read_raw
from dlnotes.config.shipped import shipped_folder
from dlnotes.devices.prepare import cpu_count
from dlnotes.experiment.engines import Engine, Task, each
from dlnotes.formatting import Record
from dlnotes.jax_internals import accelerator_installed

State = Literal["measured", "kept", "no data", "failed"]


@dataclass(frozen=True)
class Done:
    """How one claim ended.

    Attributes:
      opened: the claim.
      state: "measured" now, "kept" from an earlier run, "no data" where its data set is not on this
        machine, or "failed" with an error.
      record: of the claim, ``None`` where there is none.
      folder: of the run, ``None`` where there is none.
      message: why there is no record.
      seconds: spent on it now.
    """

    opened: Opened
    state: State
    record: dict[str, Any] | None
    folder: Path | None
    message: str
    seconds: float


def claim_configs(folder: Path) -> list[Path]:
    """The configs of claims under a folder, in the order of the notes' rows, other names after them."""
    found = []
    for path in sorted(folder.rglob("*.toml")):
        try:
            if is_claim(read_raw(path)):
                found.append(path)
        except ConfigError:  # said when that config is run
            continue
    return sorted(found, key=lambda path: _order(path.stem))


def configs_to_choose_from(folder: Path | None, wanted: Sequence[str]) -> list[Path]:
    """The configs of claims in a folder; without one those of ``configs`` here and those that are shipped.

    A folder ``configs`` of a project of one's own is all that there is, unless a claim is asked for that it
    does not have.

    Args:
      folder: that a person named, or ``None``.
      wanted: as in `choose`.
    """
    if folder is not None:
        return claim_configs(folder)
    here = claim_configs(Path("configs"))
    if here and all(any(_fits(path, name) for path in here) for name in wanted):
        return here
    shipped = shipped_folder("configs")
    names = {path.name for path in here}
    more = [] if shipped is None else [p for p in claim_configs(shipped) if p.name not in names]
    return sorted([*here, *more], key=lambda path: _order(path.stem))


def choose(paths: Sequence[Path], wanted: Sequence[str]) -> list[Path]:
    """Those of the configs that are asked for.

    Args:
      paths: of `claim_configs`; each file is called ``<row>_<name>.toml``.
      wanted: rows ("F1.4"), chapters ("F1", "F"), names ("F1.4_xor_starts") or paths; none takes all.

    Raises:
      ConfigError: when one fits nothing, with the nearest that exists.
    """
    if not wanted:
        return list(paths)
    problems, chosen = [], set()
    for name in wanted:
        fits = {path for path in paths if _fits(path, name)}
        if not fits:
            ids = sorted({name for path in paths for name in _names(path)})
            problems.append(
                f"{name}: no claim is called so{did_you_mean(name, ids)} (`dlnotes list` shows them)"
            )
        chosen |= fits
    if problems:
        raise ConfigError("reproduce", problems)
    return [path for path in paths if path in chosen]


def _names(path: Path) -> tuple[str, ...]:
    """What a config may be called by: its row, chapter, part of the notes, and file."""
    row = path.stem.split("_")[0]
    chapter = row.split(".")[0]
    return (row, chapter, chapter.rstrip("0123456789"), path.stem)


def _fits(path: Path, name: str) -> bool:
    return name in _names(path) or Path(name).absolute() == path.absolute()


def _order(stem: str) -> tuple[Any, ...]:
    row = re.fullmatch(r"([FCRLP])(\d*)\.(\d+)([a-z]?)", stem.split("_")[0])
    if row is None:
        return (len("FCRLP"), 0, 0, stem)
    return ("FCRLP".index(row[1]), int(row[2] or 0), int(row[3]), stem)


def reproduce(
    opened: Sequence[Opened],
    *,
    again: bool = False,
    jobs: int = 1,
    engine: Engine | None = None,
    starting: Callable[[int, Opened], None] = lambda index, claim: None,
) -> Iterator[Done]:
    """Measure and judge claims; one that fails does not stop the others.

    Args:
      opened: the claims.
      again: measure also what has been measured.
      jobs: processes that share them, each with its part of the processors; with one, they run here and
        in order. Several take those of a chapter (F, C, R) first that took longest before.
      engine: does each claim as a task of its own, instead of these processes.
      starting: told of each claim before it starts (with several processes, before it is shown).

    Yields:
      One `Done` per claim, as they end.
    """
    if engine is not None:
        ordered = _longest_first(opened)
        tasks = [Task(_elsewhere, (str(c.path), c.config.budget, again), c.name) for c in ordered]
        for count, (index, outcome) in enumerate(each(engine, tasks)):
            starting(count, ordered[index])
            yield Done(ordered[index], *outcome)
        return
    if jobs == 1:
        for index, claim in enumerate(opened):
            starting(index, claim)
            yield Done(claim, *_outcome(claim, again))
        return
    spawned = get_context("spawn")  # not forked: jax has threads
    shares = spawned.SimpleQueue()
    for share in _shares(jobs):
        shares.put(share)
    with ProcessPoolExecutor(jobs, spawned, initializer=_take_share, initargs=(shares,)) as pool:
        waiting = {
            pool.submit(_elsewhere, str(c.path), c.config.budget, again): c for c in _longest_first(opened)
        }
        try:
            for index, future in enumerate(as_completed(waiting)):
                starting(index, waiting[future])
                yield Done(waiting[future], *future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def usual_jobs(budget: str | None) -> int:
    """Processes to reproduce with: one for each of up to four processors, for the large budget one.

    A claim on two processors takes more than half as long as on one. An accelerator is not shared.
    """
    if budget == "large" or accelerator_installed():
        return 1
    return min(cpu_count(), 4)


def _longest_first(opened: Sequence[Opened]) -> list[Opened]:
    """Chapter by chapter in the order given, in each first what took longest in the committed results."""
    took: dict[str, float] = {}
    for folder in {one.module.parent.parent for one in opened}:
        with suppress(ConfigError):  # what is damaged there is told of where it is read for itself
            took |= {r["name"]: r["seconds"] for r in committed(folder) if r["kind"] == "claim"}
    chapters = list(dict.fromkeys(one.name[0] for one in opened))
    return sorted(opened, key=lambda one: (chapters.index(one.name[0]), -took.get(one.name, 0.0)))


def _shares(jobs: int) -> list[set[int]]:
    """The processors of each of some processes; empty where the system does not bind a process to any."""
    if not hasattr(os, "sched_getaffinity"):
        return [set()] * jobs
    mine = sorted(os.sched_getaffinity(0))
    return [set(mine[i::jobs]) or {mine[i % len(mine)]} for i in range(jobs)]


def _take_share(shares: Any) -> None:
    """Bind this process to its processors, with as many threads and devices; end it with its parent."""
    if share := shares.get():
        os.sched_setaffinity(0, share)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_Outcome = tuple[State, "dict[str, Any] | None", "Path | None", str, float]


def _outcome(claim: Opened, again: bool) -> _Outcome:
    from dlnotes.data.download import DataNotFound

    started = time.perf_counter()
    state: State
    folder, record, message = None, None, ""
    try:
        before = None if again else last_measured(claim)
        state = "measured" if before is None else "kept"
        folder, record = run_claim(claim) if before is None else (before, judge(before, claim))
    except DataNotFound as error:
        state, message = "no data", str(error)
    except Exception as error:
        state, message = "failed", "".join(traceback.format_exception(error))
    return state, record, folder, message, time.perf_counter() - started


def _elsewhere(path: str, budget: str, again: bool) -> _Outcome:
    """`_outcome` in another process, to which a claim's functions cannot be sent."""
    return _outcome(open_claim(path, budget=budget), again)


def open_all(paths: Sequence[Path], *, budget: str | None) -> list[Opened]:
    """Check every config before the first is measured.

    Raises:
      ConfigError: with the problems of all of them.
    """
    opened, problems = [], []
    for path in paths:
        try:
            opened.append(open_claim(path, budget=budget))
        except ConfigError as error:
            problems += [f"{path}: {p}" for p in error.problems]
    if problems:
        raise ConfigError("claims", problems)
    return opened


def rank(record: Mapping[str, Any]) -> int:
    """How much a record's budget counts: trials of the quick budget least, then own options, full, large."""
    return ("quick", "own", "full", "large").index(record["budget"])


def newest_records(directory: Path) -> dict[str, tuple[Record, Path]]:
    """The newest record of each claim's config under a folder of runs, with its run folder.

    One of a larger budget comes before one of a smaller, however old.
    """
    found: dict[str, tuple[Record, Path]] = {}
    for path in sorted(directory.glob("*/*/measurement.json"), key=lambda p: p.parent.name):
        record = read_record(path.parent)
        if record is None:
            continue
        name = record["name"]
        if name in found and rank(found[name][0]) > rank(record):
            continue
        found[name] = (record, path.parent)
    return found
