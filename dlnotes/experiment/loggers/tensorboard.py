"""The metrics of a group as TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def tensorboard_writer(folder: Path) -> tuple[Callable[[dict[str, Any]], None], Callable[[], None]]:
    """What writes the records of metrics.jsonl into event files, and what closes them.

    Args:
      folder: of the group; the files lie in its ``tensorboard/``.
    """
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(record: dict[str, Any]) -> None:
        for name, values in record.items():
            if name not in ("step", "epoch", "split"):
                for member, value in enumerate(values):
                    tag = f"{record['split']}/{name}" + (f"/member{member}" if len(values) > 1 else "")
                    writer.add_scalar(tag, value, record["step"])

    return write, writer.close
