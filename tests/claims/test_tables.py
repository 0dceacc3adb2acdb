"""RESULTS.md and results.json; and that every disagreement points at something that exists."""

import json
import re
from pathlib import Path

import pytest
from claim_records import record, records

from dlnotes.claims.errata import ERRATA
from dlnotes.claims.fingerprint import marked
from dlnotes.claims.report import tables as results
from dlnotes.claims.rows import ROWS, SECTIONS

ROOT = Path(__file__).parents[2]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_every_claim_is_a_line_of_the_table():
    found = records()
    text = results.markdown(reversed(found), ROWS)
    lines = [
        cells(line) for line in text.splitlines() if line.startswith("| ") and "claim | verdict" not in line
    ]
    assert [line[0] for line in lines] == [each["id"].replace("_", r"\_") for each in found]
    assert {len(line) for line in lines} == {7}
    assert "0.612 [0.591, 0.620]" in lines[0][3]
    assert "2.4 × 10⁻⁷" in lines[0][3]
    assert lines[1][2] == "✗ fails"
    assert lines[1][6] == "[F1.4_starts](../configs/claims/F1.4_starts.toml)"


def test_header_says_how_it_was_made():
    head = results.markdown(records(), ROWS, command="dlnotes made-this").split("## ")[0]
    for words in (
        "dlnotes made-this",
        "2026-11-24",
        "Linux-6.1-x86_64",
        "2 processors",
        "6 min 14 s in all",
        "7 holds",
    ):
        assert words in head


def test_what_fails_is_listed_with_its_reading():
    part = results.markdown(records(), ROWS).split("## What fails, or stays open")[1].split("## ")[0]
    assert re.findall(r"\*\*(\S+)\*\*", part) == ["F1.4", "F1.5", "F2.9", "F3.4", "F4.5"]
    assert part.count("Wide nets solve it from nearly every start") == 5


def test_when_nothing_fails():
    assert "Nothing." in results.markdown([record("F1.2")], ROWS)


def test_words_cannot_break_the_table():
    text = results.markdown([record("F1.2", title="a | b `c`\n<b>*d*</b>")], ROWS)
    line = next(line for line in text.splitlines() if line.startswith("| F1.2"))
    assert cells(line)[1] == r"a \| b \`c\` \<b\>\*d\*\</b\>"


def test_files(tmp_path):
    far = record(
        "F1.4", config="/home/me/x/configs/claims/a.toml", module="/home/me/x/experiments/feedforward/a.py"
    )
    far |= {"figure": "/home/me/runs/1/figures/a.png", "numbers": "/home/me/runs/1/figures/a.csv"}
    far["parts"][1]["effect"]["value"] = None
    text, data = results.write([far, {"kind": "training"}], tmp_path / "new")
    assert text.read_text(encoding="utf-8") == results.markdown(marked([far], tmp_path / "new"), ROWS)
    raw = data.read_text(encoding="utf-8")
    assert "/home/me" not in raw + text.read_text(encoding="utf-8")
    (kept,) = json.loads(raw)
    assert kept["config"] == "configs/claims/a.toml"
    assert kept["figure"] == "a.png"
    assert kept["parts"][1]["effect"]["value"] is None
    assert kept["options"] == far["options"]


def test_earlier_claims_are_kept(tmp_path):
    first, second = record("F1.2"), record("F1.3")
    results.write([first, second], tmp_path)
    again = record("F1.3") | {"seconds": 77.0}
    results.write([again], tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [r["id"] for r in kept] == ["F1.2", "F1.3"]
    assert kept[1]["seconds"] == 77.0
    results.write([record("F1.2") | {"seconds": 1.0, "budget": "quick"}], tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [r["budget"] for r in kept] == ["full", "full"]


COMMITTED = json.loads((ROOT / "experiments" / "results.json").read_text(encoding="utf-8"))


def test_the_committed_results_name_only_rows_and_files_that_exist():
    known = {row.id for row in ROWS}
    for each in COMMITTED:
        assert each["id"] in known, each["id"]
        assert (ROOT / each["config"]).is_file(), each["config"]
        assert (ROOT / each["module"]).is_file(), each["module"]
        assert each["budget"] == "full"
    text = (ROOT / "experiments" / "RESULTS.md").read_text(encoding="utf-8")
    for config in re.findall(r"\.\./(configs/[\w./-]+)", text):
        assert (ROOT / config).is_file(), config
    for id in re.findall(r"^\| ([A-Z]+\d+\.\d+) \|", text, re.MULTILINE):
        assert id in known, id


def test_the_committed_table_is_made_of_the_committed_records():
    """Refresh both with: dlnotes report --results experiments"""
    table = results.markdown(marked(COMMITTED, ROOT / "experiments"), ROWS)
    assert (ROOT / "experiments" / "RESULTS.md").read_text(encoding="utf-8") == table


@pytest.mark.parametrize("each", ERRATA, ids=lambda d: d.printed[:40])
def test_evidence_of_a_disagreement_exists(each):
    assert each.section in SECTIONS
    assert each.printed
    assert each.correct
    assert each.evidence
    for name in each.evidence:
        if name.startswith("tests/"):
            assert (ROOT / name).is_file(), name
        elif re.fullmatch(r"[A-Z]\d+\.\d+", name):
            assert name in {row.id for row in ROWS}
        else:  # a paper, with its year
            assert re.search(r"\b(19|20)\d\d\b", name), name
