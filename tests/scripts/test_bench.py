"""The statistics and tables of the benchmarks; no peer is needed."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.bench import report
from scripts.bench.cases import CASES
from scripts.bench.run import chosen

RESULTS = Path(report.__file__).parent


class Bar(NamedTuple):
    case: str
    kind: str
    peer: str
    value: float


def result(rates, difference=0.0, error=None):
    return {"rates": rates, "difference": difference, "error": error, "losses": None}


def test_ratios_are_paired_by_round():
    # The machine slows down threefold in the second round: the paired ratio does not see it.
    assert report.paired_ratios([30.0, 10.0, 60.0], [10.0, 5.0, 20.0]) == [3.0, 2.0, 3.0]
    assert report.ratio_to({"a": result([30.0, 10.0, 60.0]), "b": result([10.0, 5.0, 20.0])}, "a", "b") == (
        3.0,
        2.0,
        3.0,
    )


def test_ratio_of_what_was_not_measured():
    assert report.ratio_to({"a": result([1.0])}, "a", "missing") is None
    assert report.ratio_to({"a": result([1.0]), "b": result([])}, "a", "b") is None
    with pytest.raises(ValueError, match="2 rounds, the reference has 3"):
        report.paired_ratios([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0384, "0.038"),
        (1.304, "1.30"),
        (31.06, "31.1"),
        (412.7, "413"),
        (30412.4, "30 412"),
        (999.7, "1 000"),
    ],
)
def test_numbers_have_no_exponents(value, text):
    assert report.number(value) == text


def test_judge():
    cases = {"cnn": {"torch": result([10.0, 10.0, 10.0]), "ours": result([12.0, 14.0, 13.0])}}
    first = {"cnn": {"ours": {"warm": [0.9, 0.6, 0.8], "error": None}}}
    bars = [
        Bar("cnn", "ratio", "torch", 1.25),
        Bar("cnn", "ratio", "torch", 1.35),
        Bar("cnn", "ratio", "bmm", 1.0),
        Bar("cnn", "seconds", "", 0.7),
        Bar("cnn", "seconds", "", 0.8),
        Bar("xor", "ratio", "torch", 400),
    ]
    verdicts = report.judge(bars, cases, first)
    assert [v["verdict"] for v in verdicts] == [
        "met",
        "missed",
        "not measured",
        "missed",
        "met",
        "not measured",
    ]
    assert verdicts[0]["value"] == pytest.approx({"median": 1.3, "low": 1.2, "high": 1.4})
    assert verdicts[3]["value"] == {"median": 0.8, "low": 0.6, "high": 0.9}


def test_a_failed_first_step_is_not_measured():
    first = {"cnn": {"ours": {"warm": [0.1], "error": "losses differ"}}}
    assert report.judge([Bar("cnn", "seconds", "", 0.7)], {}, first)[0]["verdict"] == "not measured"


def test_page():
    cases = {
        "xor": report.summarize(
            {
                "torch": result([100.0, 50.0, 80.0]),
                "ours": result([400.0, 300.0, 240.0], 3e-7),
                "late": result([], 0.5, "losses differ by 5e-01: a | b\nsecond line " + "x" * 300),
            },
            "torch",
        )
    }
    assert cases["xor"]["ours"]["ratio"] == {"median": 4.0, "low": 3.0, "high": 6.0}
    assert cases["xor"]["late"]["rate"] is None
    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {"jax": "1", "torch": "2"},
        "settings": {
            "rounds": 3,
            "seconds": 0.1,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"xor": "XOR"},
        "units": {"xor": "steps/s"},
        "cases": cases,
        "first_step": {
            "cnn": {
                "torch": {"import": [1.0, 1.1], "cold": [0.2], "warm": [0.1], "error": None},
                "ours": {"import": [], "cold": [], "warm": [], "error": "no\nengine"},
            }
        },
        "bars": report.judge([Bar("xor", "ratio", "torch", 5)], cases, {}),
    }
    page = report.markdown(json.loads(json.dumps(document)))
    assert "| xor: ours ≥ 5 × torch | 4.00 [3.00–6.00] | missed |" in page
    assert "| ours | 300 | 4.00 [3.00–6.00] | 3e-07 |" in page
    assert "losses differ by 5e-01: a \\| b second line" in page
    assert "| cnn torch | 1.05 [1.00–1.10] | 0.200 [0.200–0.200] | 0.100 [0.100–0.100] |" in page
    assert "| cnn ours | — | — | no engine |" in page
    assert "not measurements" in page
    rows = [line for line in page.splitlines() if line.startswith("| late")]
    assert len(rows) == 1
    assert rows[0].endswith("… |")
    assert math.isclose(cases["xor"]["ours"]["rate"]["median"], 300.0)


def test_an_earlier_runs_cases_are_kept_with_their_date():
    def run(date, names):
        return {
            "date": date,
            "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
            "versions": {"jax": "1"},
            "settings": {
                "rounds": 5,
                "seconds": 1.5,
                "check_steps": 5,
                "tolerance": 1e-4,
                "reference": "torch",
            },
            "titles": {"xor": "XOR", "cnn": "CNN"},
            "units": {"xor": "steps/s", "cnn": "examples/s"},
            "cases": {name: report.summarize({"torch": result([100.0])}, "torch") for name in names},
            "first_step": {},
            "bars": [],
        }

    new = run("2026-02-02", [])
    report.keep(new, run("2026-01-01", ["xor"]))
    new["cases"] |= run("", ["cnn"])["cases"]
    page = report.markdown(new)
    assert "## xor: XOR\n\nMeasured on 2026-01-01, a CPU: 5 rounds of 1.5 s" in page
    assert "## cnn: CNN\n\n| variant" in page


def test_cases_are_chosen_by_pattern():
    assert chosen("--cases", "cnn*, xor", ["xor", "mlp", "cnn", "cnn_1d"]) == ["xor", "cnn", "cnn_1d"]
    with pytest.raises(SystemExit, match="--cases: got 'rnn"):
        chosen("--cases", "rnn*", ["xor", "cnn"])


def test_a_note_stands_below_its_case():
    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {},
        "settings": {
            "rounds": 5,
            "seconds": 1.5,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"xor": "XOR"},
        "units": {"xor": "steps/s"},
        "notes": {"xor": "Only the forward pass."},
        "cases": {"xor": report.summarize({"torch": result([100.0])}, "torch")},
        "first_step": {},
        "bars": [],
    }
    assert "## xor: XOR\n\nOnly the forward pass.\n\n| variant" in report.markdown(document)


def test_a_sweep_is_one_table():
    def case(**rates):
        return report.summarize({name: result(of) for name, of in rates.items()}, "first")

    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {},
        "settings": {
            "rounds": 5,
            "seconds": 1.5,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"a": "batch 8", "b": "batch 32", "xor": "XOR"},
        "units": dict.fromkeys(("a", "b", "xor"), "nodes/s"),
        "sweeps": {"a": "By batch", "b": "By batch"},
        "cases": {
            "a": case(levels=[10.0], ours=[20.0]),
            "xor": case(ours=[1.0]),
            "b": case(levels=[100.0], ours=[]),
        },
        "first_step": {},
        "bars": [],
    }
    page = report.markdown(document)
    assert page.count("By batch") == 1
    assert "## a" not in page
    assert "| batch 8 | 10.0 | 20.0 | 2.00 [2.00–2.00] |\n| batch 32 | 100 | — | — |" in page


def test_the_stored_page_is_that_of_the_stored_results():
    document = json.loads((RESULTS / "results.json").read_text())
    assert report.markdown(document) == (RESULTS / "RESULTS.md").read_text()


def test_what_was_measured_is_still_a_case():
    """By the same name, in the same unit, with variants that still take part."""
    document = json.loads((RESULTS / "results.json").read_text())
    for name, case in document["cases"].items():
        assert document["units"][name] == CASES[name].unit
        assert set(case) <= set(CASES[name].variants)
