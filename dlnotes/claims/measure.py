"""From a claim's config to its record: measure, judge, draw. Judging never measures again."""

from __future__ import annotations

import datetime
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes import bounded
from dlnotes.claims import texts
from dlnotes.claims.claim import Claim, Measured, Options, Part
from dlnotes.claims.fingerprint import fingerprint
from dlnotes.claims.learned import Machine, evidence
from dlnotes.claims.load import experiments_folder, load_claim, module_path
from dlnotes.claims.rules import verdict_of
from dlnotes.claims.statistics import Interval
from dlnotes.config import ClaimConfig, ConfigError, is_claim, read_raw, validate_as
from dlnotes.config.shipped import find_config
from dlnotes.data.download import sha256
from dlnotes.experiment.kept_files import DamagedFile, read_json, write_json
from dlnotes.experiment.run_folder import RunFolder, runs_of
from dlnotes.formatting import effect_text

MEASUREMENTS = "measurements.npz"


@dataclass(frozen=True)
class Opened:
    """A claim's config with everything it names: checked, loaded, ready to be measured.

    Attributes:
      config: resolved: a copy of it elsewhere measures the same.
      claim: of the module.
      options: checked.
      module: file of the experiment module.
      path: of the config file.
      fingerprint: of what decides the numbers, as it was when the module was loaded (see
        `dlnotes.claims.load.fingerprint`).
      budget: "quick", "full" or "large", or "own" where options differ from the file's.
    """

    config: ClaimConfig
    claim: Claim
    options: Options
    module: Path
    path: Path
    fingerprint: str
    budget: str

    @property
    def name(self) -> str:
        """Of the config, and of the folder of its runs."""
        return self.config.name


def open_claim(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    budget: str | None = None,
    reading: bool = False,
    trust: bool = False,
) -> Opened:
    """Read and check a claim's config, and load its experiment module.

    Args:
      path: of the TOML file, in a ``configs`` folder beside an ``experiments`` folder; or its name where it
        is shipped.
      overrides: such as ``["options.seeds=20"]``.
      budget: "quick" and "large" take the options of that table; ``None`` leaves it to the file.
      reading: it is only shown or judged, so only the current project's experiments may run.
      trust: its experiment may run wherever it lies.

    Raises:
      ConfigError: with every problem found.
    """
    path = find_config(path)
    source = str(path)
    raw = read_raw(path, overrides)
    if not is_claim(raw):
        raise ConfigError(source, ["experiment: missing, the config of a claim must name one"])
    if budget is not None:
        raw["budget"] = budget
    config = validate_as(ClaimConfig, raw, source=source)
    folder = experiments_folder(path, config.experiments, reading=reading, trust=trust)
    module = module_path(folder, config.experiment, source=source)
    claim = load_claim(folder, module, source=source)
    options = _options(claim, config, config.budget, "options.", source)
    for name in ("quick", "large"):  # a mistake in a table must not wait for its first use
        if getattr(config, name) and config.budget != name:
            _options(claim, config, name, f"{name}.", source)
    told = config
    if overrides:
        told = validate_as(ClaimConfig, {**read_raw(path), "budget": config.budget}, source=source)
    usual = options == _options(claim, told, told.budget, "options.", source)
    resolved = config.model_copy(
        update={
            "options": options.model_dump(mode="json"),
            "quick": {},
            "large": {},
            "experiments": str(folder.absolute()),
        }
    )
    found = fingerprint(module, resolved.options)
    return Opened(resolved, claim, options, module, path, found, config.budget if usual else "own")


def _options(claim: Claim, config: ClaimConfig, budget: str, prefix: str, source: str) -> Options:
    """A claim's options under a budget."""
    changed = {"quick": config.quick, "large": config.large}.get(budget, {})
    return validate_as(claim.options, config.options | changed, source=source, prefix=prefix)


def run_claim(opened: Opened, *, command: list[str] | None = None) -> tuple[Path, dict[str, Any]]:
    """Measure a claim into a new run folder, then judge it.

    Args:
      opened: see `open_claim`.
      command: recorded in environment.json.

    Returns:
      The run folder and the record, which is its summary.json.
    """
    from dlnotes.devices.compiler import enable_compilation_cache
    from dlnotes.devices.prepare import cpu_count, prepare

    prepare(min(cpu_count(), 64))
    enable_compilation_cache()
    kept = RunFolder.create(opened.config, command)
    started = time.perf_counter()
    measured = opened.claim.measure(opened.options)
    seconds = time.perf_counter() - started
    save_measurements(kept.path / MEASUREMENTS, measured)
    measurement = {
        "fingerprint": opened.fingerprint,
        "jax": metadata.version("jax"),
        "seconds": seconds,
        "budget": opened.budget,
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "measurements": sha256(kept.path / MEASUREMENTS),
        "config": _short(opened.path),
        "module": _short(opened.module),
    }
    write_json(kept.path / "measurement.json", measurement)
    return kept.path, judge(kept.path, opened)


def judge(folder: Path, opened: Opened | None = None, *, trust: bool = False) -> dict[str, Any]:
    """Apply a claim's rules to what a run folder holds, and draw its figure.

    Args:
      folder: of a measured claim.
      opened: the claim; ``None`` opens the folder's own config.
      trust: the experiment that the config names may run wherever it lies.

    Returns:
      The record, as written to summary.json.

    Raises:
      ConfigError: when the folder holds no measurement, or a file in it is not as it was written.
    """
    kept = RunFolder.open(folder)
    measurement = read_json(kept.path / "measurement.json")
    if measurement is None:
        raise ConfigError(
            str(folder), ["holds no measurement.json of a claim: it was interrupted, or is a training"]
        )
    given, opened = opened, opened or open_claim(kept.config_path, reading=True, trust=trust)
    # An older version did not keep the budget apart from the config.
    budget = given.budget if given else measurement.get("budget", opened.config.budget)
    measured = load_measurements(kept.path / MEASUREMENTS, measurement.get("measurements"))
    environment = read_json(kept.environment_path) or {}
    if given is None and environment.get("config", made := _plainly(opened.config)) != made:
        raise ConfigError(str(kept.config_path), ["is not what was measured: it has changed since"])
    parts = judged(opened.claim, measured, opened.options)
    decides = [part for part in parts if part["decides"]]
    verdict = verdict_of([part["verdict"] for part in decides])
    figure, numbers = _draw(opened, measured, kept)
    claim = opened.claim
    record = {
        "kind": "claim",
        "id": claim.id,
        **_of_row(claim.id),
        "statement": claim.statement,
        "source": claim.source,
        "verdict": verdict,
        "why": next((part["why"] for part in decides if part["verdict"] == verdict and part["why"]), ""),
        "decided_by": claim.decided_by,
        "parts": parts,
        **_texts(opened, measured, parts),
        "revised": claim.revised,
        "name": opened.name,
        "config": measurement["config"],
        "module": measurement["module"],
        "options": opened.config.options,
        "seeds": opened.options.seeds,
        "seconds": measurement["seconds"],
        "budget": budget,
        "measured": measurement["measured"],
        "fingerprint": measurement["fingerprint"],
        "figure": figure,
        "numbers": numbers,
        "commit": environment.get("commit"),
        "versions": environment.get("versions", {}),
        "platform": environment.get("platform"),
        "processors": environment.get("processors"),
    }
    write_json(kept.summary_path, record)
    return record


NOT_TRAINED = "not trained far enough"
NOT_HERE = "this machine lacks what it is about"
TOO_WIDE = "the interval crosses the threshold"
NO_NUMBER = "the effect is not a number"


def judged(claim: Claim, measured: Measured, options: Options) -> list[dict[str, Any]]:
    """Each part of a claim with its source, effect and verdict, as plain data.

    A part whose networks have not learned, or which the machine cannot tell, is open, whatever its effect.
    """
    return [_judged(part, claim, measured, options) for part in claim.parts]


def _judged(part: Part, claim: Claim, measured: Measured, options: Options) -> dict[str, Any]:
    effect = part.effect(measured)
    verdict, why, learned = part.rule(effect), "", None
    if verdict == "open":
        why = TOO_WIDE if np.isfinite(effect.low) and np.isfinite(effect.high) else NO_NUMBER
    if part.learned is not None:
        what, level, rule = evidence(part.learned, measured, effect)
        learned = {"what": what, "effect": _plain(level), "rule": str(rule), "holds": rule(level) == "holds"}
        machine = isinstance(part.learned, Machine)
        learned |= {"of": "machine"} if machine else {}
        if not learned["holds"]:
            verdict, why = "open", NOT_HERE if machine else NOT_TRAINED

    def filled(text: str) -> str:
        return texts.fill(text, options=options, parts={}, facts={})

    return {
        "name": part.name,
        "statement": filled(part.statement),
        "source": part.source._asdict(),
        "decides": part.source.who == claim.decided_by,
        "rule": str(part.rule),
        "verdict": verdict,
        "why": why,
        "what": filled(part.what),
        "effect": _plain(effect),
        "learned": learned,
    }


def _plain(effect: Interval) -> dict[str, Any]:
    return {
        "value": float(effect.value),
        "low": float(effect.low),
        "high": float(effect.high),
        "n": int(effect.n),
        "method": effect.method,
    }


def _texts(opened: Opened, measured: Measured, parts: list[dict[str, Any]]) -> dict[str, str]:
    """What was done, and what the verdict means: the latter only for the options it was written for."""
    claim, options = opened.claim, opened.options
    numbers = {
        "options": options,
        "parts": {part["name"]: effect_text(part["effect"]) for part in parts},
        "facts": claim.facts(measured),
    }
    reading = claim.reading if options == claim.options.model_validate({}) else ""
    return {"method": texts.fill(claim.method, **numbers), "reading": texts.fill(reading, **numbers)}


def save_measurements(path: Path, measured: Measured) -> None:
    """Write arrays by name, the whole file at once.

    Raises:
      TypeError: when one is no plain array: it could not be read again without running code.
    """
    arrays = {name: np.asarray(value) for name, value in measured.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcU":
            raise TypeError(f"measured[{name!r}]: got dtype {array.dtype}, allowed are numbers and text")
    partial = path.with_name("partial-" + path.name)
    np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def load_measurements(path: Path, digest: str | None = None) -> dict[str, np.ndarray]:
    """What `save_measurements` wrote.

    Args:
      path: the file.
      digest: its SHA-256, where it is known.

    Raises:
      DamagedFile: when it is gone, cannot be read, or is another file.
    """
    try:
        bounded.ordinary(path)
        if digest not in (None, sha256(path)):
            raise ValueError("its checksum is another")
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        told = f"is damaged: {reason}; measure it again: dlnotes reproduce"
        raise DamagedFile(str(path), [told]) from None


def _plainly(config: ClaimConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def last_measured(opened: Opened) -> Path | None:
    """The newest run folder that holds this very measurement, ``None`` where it must be measured.

    It is the same where options, code and the version of jax are.
    """
    wanted = {"fingerprint": opened.fingerprint, "jax": metadata.version("jax")}
    for path in sorted((runs_of(opened.config) / opened.name).glob("*/measurement.json"))[::-1]:
        try:
            found = read_json(path)
            if isinstance(found, dict) and all(found.get(k) == v for k, v in wanted.items()):
                load_measurements(path.parent / MEASUREMENTS, found.get("measurements"))
                return path.parent
        except DamagedFile:
            continue
    return None


def _draw(opened: Opened, measured: Measured, kept: RunFolder) -> tuple[str, str]:
    """Write the figure and its numbers; their paths inside the run folder."""
    import matplotlib

    from dlnotes.plotting import STYLE, save, write_table

    kept.figures.mkdir(exist_ok=True)
    for path in (kept.figures / f"{opened.name}{ending}" for ending in (".png", ".csv")):
        if path.is_dir():
            raise ConfigError(str(path), ["is a folder, where a file is to be written: move it away"])
    with matplotlib.rc_context(STYLE):
        plot = opened.claim.draw(opened.options, measured)
        figure = save(plot.figure, kept.figures / f"{opened.name}.png")
    columns = [np.asarray(c).tolist() for c in plot.table.values()]
    lengths = {len(c) for c in columns}
    if len(lengths) > 1:
        raise ValueError(f"draw: its table has columns of {sorted(lengths)} rows, one length is needed")
    numbers = write_table(kept.figures / f"{opened.name}.csv", list(plot.table), zip(*columns))
    return figure.relative_to(kept.path).as_posix(), numbers.relative_to(kept.path).as_posix()


def _of_row(id: str) -> dict[str, str]:
    """Title and section of a row of the notes; a person's own claim has its id for a title."""
    from dlnotes.claims.rows import ROWS

    for row in ROWS:
        if row.id == id:
            return {"title": row.title, "section": row.section}
    return {"title": id, "section": ""}


def _short(path: Path) -> str:
    """A path from the folder that holds ``configs`` or ``experiments``: the same on every machine."""
    parts = path.absolute().parts
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] in ("configs", "experiments"):
            return "/".join(parts[i:])
    return path.name
