"""The shipped claims of a chapter, measured at their quick size: what the chapters' tests share."""

from pathlib import Path

import numpy as np
import pytest

from dlnotes.data.store import DataNotFound
from dlnotes.experiment.claims import VERDICTS
from dlnotes.experiment.claims.reproduce import choose, claim_configs
from dlnotes.experiment.claims.running import judge, open_claim, run_claim

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def of_chapter(chapter: str):
    """A decorator that runs a test for each claim of a chapter."""
    paths = choose(claim_configs(CONFIGS), [chapter])
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


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
