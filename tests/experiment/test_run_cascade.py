"""Runs as the stages of a cascade, against numpy on all their outputs."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment import cascade as cascades
from dlnotes.experiment import fit_cascade, open_run
from dlnotes.experiment.members import good_member
from dlnotes.experiment.run import run

DATA = {"n": 400, "validation": 0.3, "test": 0.3}


def trained(directory, widths, **sections):
    training = {"training": {"duration": "60 steps", "seeds": 2}} | sections
    return run(parse(tiny(directory, data=DATA, model={"widths": widths}, **training))).folder


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    return [trained(tmp_path_factory.mktemp("stages") / "runs", widths) for widths in ([2], [16])]


def scores_of(folder, part):
    opened = open_run(folder)
    examples = opened.dataset.split(part)
    member = good_member(opened.chosen, opened.state.members)
    logits = np.asarray(opened.evaluator.predict(opened.state.members, examples)[member], np.float64)
    logp = log_softmax(logits, -1)
    return logp[:, 1] - logsumexp(np.delete(logp, 1, 1), -1), np.asarray(examples.y) == 1


def test_stages_keep_what_all_of_them_accept(stages, monkeypatch):
    monkeypatch.setattr(cascades, "ROWS", 32)  # several tiles, the last of them not full
    found = fit_cascade(stages, "lower", recall=0.95)
    for part in ("validation", "test"):
        scores, positive = zip(*(scores_of(folder, part) for folder in stages))
        kept = np.stack(scores) > found.thresholds[:, None]
        first, last = found.counts[part]
        assert first.reached == kept.shape[1]
        assert first.kept == last.reached == kept[0].sum()
        assert last.kept == kept.all(0).sum()
        assert last.positives_kept == (kept.all(0) & positive[0]).sum()
    assert found.counts["validation"][-1].overall_recall >= 0.95
    assert found.multiply_adds == (2 * 2 + 2 * 2, 2 * 16 + 16 * 2)
    first, last = found.counts["test"]
    assert last.multiply_adds == pytest.approx(64 * last.reached / first.reached)


def test_the_command_prints_a_table_and_writes_json(stages, tmp_path):
    path = tmp_path / "made" / "cascade.json"
    order = [
        "cascade",
        *map(str, stages),
        "--class",
        "lower",
        "--recall",
        "0.99",
        "--recall",
        "0.9",
        "-o",
        str(path),
    ]
    done = CliRunner().invoke(app, order)
    assert done.exit_code == 0, done.output
    assert "stage 2: threshold" in done.stdout
    assert done.stdout.splitlines()[-1] == str(path)
    kept = json.loads(path.read_text())
    assert len(kept["thresholds"]) == 2
    assert kept["stages"]["validation"][1]["recall"] >= 0.9


def test_what_does_not_fit_is_said(stages, tmp_path):
    with pytest.raises(ConfigError, match="positive: got '7', allowed are upper, lower"):
        fit_cascade(stages, "7")
    with pytest.raises(ConfigError, match=r"stage 1 \(.*\) keeps 0 of \d+ positives of the validation part"):
        fit_cascade(stages, "lower", given=[99.0, None])
    with pytest.raises(ConfigError, match="runs: got none"):
        fit_cascade([], "1")
    done = CliRunner().invoke(
        app, ["cascade", *map(str, stages), "--class", "lower", *["--recall", "0.9"] * 3]
    )
    assert done.exit_code == 2
    assert "--recall: got 3, allowed are one or 2" in done.output
    done = CliRunner().invoke(app, ["cascade", str(tmp_path), "--class", "lower"])
    assert done.exit_code == 2
    assert "is not a run folder" in done.output


@pytest.mark.slow
def test_runs_on_other_examples_are_no_stages(stages, tmp_path):
    other = run(parse(tiny(tmp_path, data=DATA | {"seed": 3}, training={"duration": "2 steps"}))).folder
    with pytest.raises(ConfigError, match="its validation part does not have the examples of"):
        fit_cascade([stages[0], other], "lower")
    numbers = {"kind": "tabular", "name": "diabetes"}
    regression = run(parse(tiny(tmp_path, training={"duration": "2 steps"}) | {"data": numbers})).folder
    with pytest.raises(ConfigError, match="its task is regression, a stage of a cascade classifies"):
        fit_cascade([regression], "0")
