"""RESULTS.md and results.json; and that every disagreement points at something that exists."""

import json
import re
from pathlib import Path

import pytest
from claim_records import record, records

from dlnotes.claims.errata import ERRATA, Measured
from dlnotes.claims.fingerprint import marked
from dlnotes.claims.report import tables as results
from dlnotes.claims.rows import ROWS, SECTIONS

ROOT = Path(__file__).parents[2]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_every_claim_is_a_short_line_of_a_table_that_leads_to_its_section():
    found = records()
    text = results.markdown(reversed(found), ROWS)
    lines = [
        cells(line) for line in text.splitlines() if line.startswith("| ") and "claim | verdict" not in line
    ]
    assert [line[0] for line in lines] == [each["id"].replace("_", r"\_") for each in found]
    assert {len(line) for line in lines} == {3}
    assert lines[1][2] == "✗ fails"
    assert lines[2][2] == "? open: the interval crosses the threshold"
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^### (.*)$", text, re.MULTILINE)
    }
    for line in lines:
        (target,) = re.findall(r"\(#(.*)\)$", line[1])
        assert target in anchors


def test_a_claim_says_what_was_done_and_each_part_with_its_number_unit_rule_and_source():
    section = results.markdown(records(), ROWS).split("### F1.4")[1].split("### ")[0]
    for words in (
        "What was done.* Networks of two to 16 units",
        "- ✗ **What is held to be true of two units are not enough",
        "share of starts that solve the task, width 2, plain descent: **0.612 [0.591, 0.620]**",
        r"(needed: \< 0.95; n = 4,096)",
        "Notes, «funcionamiento básico»: It depends on the start.",
        "The networks have learned: training accuracy, %, is 99.2 (needed: \\> 95)",
        "Measured beside. The notes do not say this, so it does not decide.",
        "2.4 × 10⁻⁷",
        "Ours: Rounding must not decide.",
        "(../configs/claims/F1.4_starts.toml)",
    ):
        assert words in section, words
    assert section.index("two units") < section.index("Measured beside") < section.index("closed form")


def test_header_says_how_it_was_made():
    head = results.markdown(records(), ROWS, command="dlnotes made-this").split("## ")[0]
    for words in (
        "dlnotes made-this",
        "2026-11-24",
        "Linux-6.1-x86_64",
        "2 processors",
        "6 min 14 s in all",
        "7 holds, 3 fails, 2 open",
    ):
        assert words in head


def test_readings_are_shown_of_rows_that_hold_too():
    text = results.markdown(records(), ROWS)
    assert text.count("*Reading.* Wide nets solve it from nearly every start") == len(records())


def test_a_trial_is_no_finding():
    text = results.markdown([record("F1.2", budget="quick"), record("F1.3", budget="own")], ROWS)
    assert text.count("✓ trial: holds") == 4
    assert "0 holds, 0 fails, 0 open" in text
    assert "2 of 2 verdicts are trials" in text
    assert "trial:" not in results.markdown([record("F1.2"), record("F1.3", budget="large")], ROWS)


def test_what_the_notes_do_not_say_names_who_does():
    parts = [one | {"decides": True} for one in record()["parts"]]
    text = results.markdown([record(decided_by="paper", parts=parts)], ROWS)
    assert "The notes do not say this. A paper does." in text
    assert "Measured beside" not in text


def test_words_cannot_break_the_table():
    text = results.markdown([record("F1.2", title="a | b `c`\n<b>*d*</b>")], ROWS)
    line = next(line for line in text.splitlines() if line.startswith("| F1.2"))
    assert cells(line)[1] == r"[a \| b \`c\` \<b\>\*d\*\</b\>](#f12-a--b-cbdb)"


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
        assert each["budget"] in ("full", "large")
    text = (ROOT / "experiments" / "RESULTS.md").read_text(encoding="utf-8")
    for config in re.findall(r"\.\./(configs/[\w./-]+)", text):
        assert (ROOT / config).is_file(), config
    for id in re.findall(r"^\| ([A-Z]+\d+\.\d+[a-z]?) \|", text, re.MULTILINE):
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
        if isinstance(name, Measured):
            continue  # see the next test
        if name.startswith("tests/"):
            assert (ROOT / name).is_file(), name
        else:  # a paper, with its year
            assert re.search(r"\b(19|20)\d\d\b", name), name


@pytest.mark.parametrize(
    ("each", "evidence"),
    [(d, e) for d in ERRATA for e in d.evidence if isinstance(e, Measured)],
    ids=lambda value: str(value)[:40],
)
def test_measured_evidence_does_not_contradict_the_correction(each, evidence):
    """A row is named only for a part that tests the sentence, with the verdict that supports it."""
    (of_row,) = (r for r in COMMITTED if r["id"] == evidence.row)
    verdicts = {one["name"]: one["verdict"] for one in of_row["parts"]}
    assert verdicts.get(evidence.part) == evidence.verdict, (each.printed, verdicts)
