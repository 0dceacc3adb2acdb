"""What an offline run of Weights & Biases wrote, read without their library's insides."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, 7


def records(path: Path) -> list[Any]:
    """The records of a ``.wandb`` file: a log of blocks, whose pieces are checked by length alone."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportMissingImports]

    raw, at, whole, found = path.read_bytes(), _HEADER, b"", []
    assert raw[:4] == b":W&B"
    while at + _HEADER <= len(raw):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = struct.unpack_from("<HB", raw, at + 4)
        if kind == 0:
            break
        whole += raw[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if kind in (1, 4):  # a whole record, or its last piece
            found.append(Record.FromString(whole))
            whole = b""
    return found


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Every run in a run folder's ``wandb/`` by id, its parts put together.

    Returns:
      By id ``{"name", "group", "kind", "tags", "config", "history", "summary", "exits", "files"}``.
    """
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime_ns):
        run: dict[str, Any] = {}
        for record in records(path):
            match record.WhichOneof("record_type"):
                case "run":
                    new = {"config": {}, "history": [], "summary": {}, "exits": [], "artifacts": []}
                    run = runs.setdefault(record.run.run_id, new)
                    run |= {"name": record.run.display_name, "group": record.run.run_group}
                    run |= {"kind": record.run.job_type, "tags": list(record.run.tags)}
                    run |= {"project": record.run.project}
                    run["config"] |= {_name(c): json.loads(c.value_json) for c in record.run.config.update}
                case "config":
                    run["config"] |= {_name(c): json.loads(c.value_json) for c in record.config.update}
                case "history":
                    row = {_name(item): json.loads(item.value_json) for item in record.history.item}
                    run["history"].append({k: v for k, v in row.items() if not k.startswith("_")})
                case "summary":
                    run["summary"] |= {_name(i): json.loads(i.value_json) for i in record.summary.update}
                case "artifact":
                    run["artifacts"].append([e.path for e in record.artifact.manifest.contents])
                case "request":
                    if record.request.WhichOneof("request_type") == "log_artifact":
                        manifest = record.request.log_artifact.artifact.manifest
                        run["artifacts"].append([e.path for e in manifest.contents])
                case "exit":
                    run["exits"].append(record.exit.exit_code)
    return runs


def _name(item: Any) -> str:
    return ".".join(item.nested_key) or item.key
