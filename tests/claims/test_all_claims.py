"""What holds of every claim here: its texts, budgets, sources, tuning seeds and evidence of learning."""

import re
from pathlib import Path

import pytest

from dlnotes.claims.measure import Opened, open_claim
from dlnotes.claims.reproduce import claim_configs
from dlnotes.claims.rows import ROWS

CONFIGS = claim_configs(Path(__file__).parents[2] / "configs" / "claims")
ALLOWED = re.compile(
    r"[FCRLP]\d+\.\d+[a-z]?"  # rows
    r"|\b(19|20)\d\d\b"  # years of papers
    r"|\b\w+-\d+\b|\bL[12²]\b|\b[A-Za-z]+\d+\b"  # names, such as CIFAR-10, L2 and float32
    r"|√2"
    r"|\{[^}]*\}"  # numbers from the record
)
ASSERTING = re.compile(
    r"\b(fails?|holds?|is|are|does|do|has|needs?|beats?|helps?|finds?|makes?|gets?|cannot|no better)\b"
)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem, scope="module")
def opened(request) -> Opened:
    return open_claim(request.param)


def test_the_full_budget_is_the_options_defaults(opened):
    """So that a reading, which is written for the defaults, is shown at the full budget."""
    assert opened.options == opened.claim.options()
    assert opened.budget == "full"


def test_what_was_done_is_said(opened):
    method = opened.claim.method
    assert 80 <= len(method) <= 1200
    assert method.endswith(".")
    assert all(len(sentence) < 400 for sentence in re.split(r"(?<=[.;:]) ", method))


def test_numbers_of_a_reading_come_from_the_record(opened):
    left = ALLOWED.sub("", opened.claim.reading)
    assert not re.search(r"\d", left), left


def test_each_part_says_who_says_it_where_and_what(opened):
    for part in opened.claim.parts:
        assert part.source.says.strip(), part.name
        assert part.source.who == "ours" or part.source.where, part.name
        if part.source.who == "paper":
            assert re.search(r"\b(18|19|20)\d\d\b", part.source.where), part.name
        assert len(part.name) <= 60
        assert len(part.what) >= 5


def test_choices_rest_on_three_seeds_and_verdicts_on_ten(opened):
    options = opened.claim.options()
    assert getattr(options, "tuning_seeds", 3) >= 3
    assert options.seeds >= 10


def test_titles_do_not_assert():
    """A title that asserts would collide with a verdict."""
    for row in ROWS:
        if row.kind == "claim":
            assert not ASSERTING.search(row.title), (row.id, row.title)
            assert len(row.title) <= 75, (row.id, row.title)


def test_every_measured_row_has_its_config():
    by_row = {row.id: row for row in ROWS if row.config}
    named = {path.stem.split("_")[0] for path in CONFIGS}
    assert named == set(by_row)
    for path in CONFIGS:
        assert by_row[path.stem.split("_")[0]].config == f"configs/claims/{path.name}"
