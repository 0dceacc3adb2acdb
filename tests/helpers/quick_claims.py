"""The shipped claims of a chapter, measured at their quick size: what the chapters' tests share."""

from pathlib import Path

import numpy as np
import pytest

from dlnotes.claims import VERDICTS
from dlnotes.claims.measure import judge, open_claim, run_claim
from dlnotes.claims.reproduce import choose, claim_configs
from dlnotes.data.download import DataNotFound

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SLOW = {
    "C6.4",
    "C6.6",
    "C6.8",
    "C6.9",
    "C6.11",
    "C6.12",
    "C6.13",
    "C7.1",
    "C7.2",
    "C7.3",
    "C7.5",
    "C7.6",
    "F1.2",
    "F1.4",
    "F1.5",
    "F1.6",
    "F2.1",
    "F2.3",
    "F2.4",
    "F2.5",
    "F2.6",
    "F2.7",
    "F2.8",
    "F2.9",
    "F2.10",
    "F2.11",
    "F2.12",
    "F3.1",
    "F3.2",
    "F3.3",
    "F3.3b",
    "F3.4",
    "F3.4b",
    "F3.5",
    "F3.5b",
    "F3.7",
    "F3.8",
    "F3.9",
    "F3.10",
    "F3.11",
    "F3.12",
    "F3.13",
    "F4.1",
    "F4.2",
    "F4.3",
    "F4.4",
    "F4.5a",
    "F4.5b",
    "F4.5c",
    "F4.6",
    "F4.7",
    "F4.8",
    "F4.9",
    "F4.10",
    "F5.1",
    "F5.2",
    "F5.3",
    "F5.4",
    "F5.5",
    "R8.2",
    "R9.3",
    "R9.4",
    "R9.5",
    "R9.7",
    "R9.9",
    "R9.11",
    "R9.12",
    "R10.1",
    "R10.2",
    "R10.4",
    "R11.1",
    "R11.2",
    "R11.3",
    "R11.4",
    "R11.5",
    "R12.2",
    "R12.4",
    "R12.5",
    "R12.6",
    "R12.9",
    "L13.1",
    "L13.2",
    "L13.9",
    "L13.10",
    "L13.6",
    "L13.13",
    "L13.7",
    "L13.8",
    "L13.15",
    "L13.14",
    "L13.16",
    "L13.4",
    "L13.11",
    "L13.12",
    "P14.5",
    "P14.6",
    "P14.7",
    "P14.8",
    "P14.10",
}
"""Rows that compile for more than about five seconds even at their quick size."""


def of_chapter(chapter: str):
    """A decorator that runs a test for each claim of a chapter."""
    paths = choose(claim_configs(CONFIGS), [chapter])
    marked = [
        pytest.param(path, marks=pytest.mark.slow if path.stem.split("_")[0] in SLOW else (), id=path.stem)
        for path in paths
    ]
    return pytest.mark.parametrize("path", marked)


def check(path: Path) -> None:
    """Measure, judge and draw one claim; judging the kept measurement again must say the same.

    The verdict itself is not tested: it belongs to the full size, and may be that a claim fails.
    """
    try:
        folder, record = run_claim(open_claim(path, budget="quick"))
    except DataNotFound as error:
        pytest.skip(str(error))
    assert record["verdict"] in VERDICTS
    for part in record["parts"]:
        effect = part["effect"]
        assert not np.isnan(effect["value"]), part["name"]
        assert effect["low"] <= effect["value"] <= effect["high"], part["name"]
    assert (folder / record["figure"]).stat().st_size > 5_000
    assert len((folder / record["numbers"]).read_text().splitlines()) > 1
    assert judge(folder) == record
