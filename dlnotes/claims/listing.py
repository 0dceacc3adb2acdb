"""The rows of the notes with what stands of them here, for `dlnotes list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlnotes.claims.rows import ROWS, SECTIONS, Row
from dlnotes.config.shipped import shipped_folder


def as_json() -> list[dict[str, Any]]:
    """Every row as a plain dictionary, with its last verdict; claims of your own after the notes'.

    ``"trial"`` says whether that verdict counts for nothing, being of the quick budget or of options of one's
    own; ``"current"`` whether it was measured by the code as it is now.
    """
    keys = ("id", "title", "section", "kind", "functions", "tests", "config", "built")
    verdicts = last_verdicts()
    rows = [{key: getattr(row, key) for key in keys} for row in (*ROWS, *_own_claims())]
    nothing = {"verdict": None, "verdict_text": None, "trial": None, "current": None}
    return [row | verdicts.get(row["id"], nothing) for row in rows]


def last_verdicts() -> dict[str, dict[str, Any]]:
    """The verdict of each claim's newest record, by id and by config name.

    Records are looked for in ``runs`` and among the committed results.
    """
    from dlnotes.claims.fingerprint import on_this_code
    from dlnotes.claims.records import committed as committed_in
    from dlnotes.claims.report.wording import is_trial, verdict_text
    from dlnotes.claims.reproduce import newest_records, rank

    folders = folders_of("experiments")
    records = [record for folder in folders for record in committed_in(folder)]
    records += [record for record, _ in newest_records(Path("runs")).values()]
    records.sort(key=lambda r: (rank(r), r["measured"]))
    found = {}
    for record in {record["name"]: record for record in records}.values():
        state = {"verdict": record["verdict"], "verdict_text": verdict_text(record)}
        state |= {"trial": is_trial(record)}
        state |= {"current": any(on_this_code(record, folder) for folder in folders)}
        found |= {record["name"]: state, record["id"]: state}
    return found


def _own_claims() -> list[Row]:
    """Configs of claims here that measure no row of the notes, each as a row."""
    from dlnotes.claims.reproduce import claim_configs

    known = {row.id for row in ROWS}
    folder = Path("configs")
    found = claim_configs(folder) if folder.is_dir() else []
    own = [path for path in found if path.stem.split("_")[0] not in known]
    return [Row(path.stem, _first_comment(path), "claim", config=path.as_posix(), built=True) for path in own]


def as_text() -> str:
    """The rows by chapter, then the configs."""
    from dlnotes.claims.report.wording import OTHER_CODE

    lines = []
    rows = as_json()
    width = max(len(row["title"]) for row in rows)
    chapters = SECTIONS | {"": "Claims of your own"}
    for chapter, section in chapters.items():
        mine = [r for r in rows if (r["id"].split(".")[0] if r["section"] else "") == chapter]
        if not mine:
            continue
        done = sum(row["built"] for row in mine)
        lines += ["", f"{chapter}  {section} ({done} of {len(mine)} rows built)".strip()]
        for row in mine:
            state = row["verdict_text"] or _state(row)
            if row["current"] is False:
                state += f" ({OTHER_CODE})"
            lines.append(f"  {row['id']:<6}  {row['kind']:<5}  {row['title']:<{width}}  {state}")
            about = [n.removeprefix("dlnotes.") for n in row["functions"]] + [row["config"] or ""]
            lines += [f"  {'':<13}  {'  '.join(about).strip()}"] if any(about) else []
    found = configs()
    if found:
        wide = max(len(str(path)) for path, _ in found)
        lines += ["", "configs"]
        lines += [f"  {path!s:<{wide}}  {about}".rstrip() for path, about in found]
    return "\n".join(lines[1:])


def _state(row: dict[str, Any]) -> str:
    return "built" if row["built"] else "in part" if row["functions"] else "not built yet"


def configs() -> list[tuple[Path, str]]:
    """Configs of trainings, with their first comment; those of claims stand with their rows.

    The shipped ones stand as ``configs/<name>.toml``, which the commands find in any folder.
    """
    found = []
    for folder in folders_of("configs"):
        for path in sorted(folder.rglob("*.toml")):
            if path.parent.name != "claims":
                found.append((Path("configs") / path.relative_to(folder), _first_comment(path)))
    return found


def folder_of(name: str) -> Path | None:
    """A folder of the current one, else the one that comes with dlnotes."""
    return next(iter(folders_of(name)), None)


def folders_of(name: str) -> list[Path]:
    """The folder of that name in the current one, and the one that comes with dlnotes, each once."""
    shipped = shipped_folder(name)
    found = [Path(name)] if Path(name).is_dir() else []
    if shipped is not None and not (found and found[0].resolve() == shipped.resolve()):
        found.append(shipped)
    return found


def _first_comment(path: Path) -> str:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#:"):
            continue
        text = line.lstrip("#").strip()
        if not line.startswith("#"):
            return ""
        if text:
            return text
    return ""
