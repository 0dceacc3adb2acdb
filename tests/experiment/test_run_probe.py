"""Linear probes of a trained run, against numpy and scikit-learn on the run's own layers."""

import csv
import json

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment import open_run, probe_run
from dlnotes.experiment import probe as probes
from dlnotes.experiment.run import run
from dlnotes.models import activations
from dlnotes.training.state import evaluated_params

DATA = {"n": 200, "validation": 0.3, "test": 0.3}


def trained(directory, **sections):
    return run(parse(tiny(directory, data=DATA, **sections))).folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("probed") / "runs", model={"widths": [5, 4]})


def test_probes_are_ridge_regressions_on_the_layers(folder, monkeypatch):
    monkeypatch.setattr(probes, "BLOCK", 32)  # several blocks, the last of them not full
    found = probe_run(folder, kind="ridge", decays=(0.1,))
    assert [layer.name for layer in found.layers] == ["input", "hidden[0]", "hidden[1]", "output"]
    assert [layer.shape for layer in found.layers] == [(2,), (5,), (4,), (2,)]
    opened = open_run(folder)
    setup = opened.evaluator.setup
    for seed in range(3):
        member = jax.tree.map(lambda a, i=seed: a[i], opened.state.members._replace(opt_state=()))
        model, params = setup.recipe_of(member.hyper).model, evaluated_params(member, best=setup.keep_best)
        train, test = (opened.dataset.split(part) for part in ("train", "test"))
        a, b = (activations(model, params, part.x)["hidden[1]"] for part in (train, test))
        a, b = (np.asarray(v, np.float64) for v in (a, b))
        scale = np.sqrt(((a - a.mean(0)) ** 2).mean())
        fitted = Ridge(alpha=0.1 * len(a)).fit((a - a.mean(0)) / scale, np.eye(2)[train.y])
        right = fitted.predict((b - a.mean(0)) / scale).argmax(1) == test.y
        assert found.layers[2].accuracy["test"]["values"][seed] == pytest.approx(right.mean(), abs=1e-6)
        own = np.asarray(opened.evaluator.predict(opened.state.members, test)[seed]).argmax(-1) == test.y
        assert found.network["test"]["values"][seed] == pytest.approx(own.mean(), abs=1e-6)


def test_the_command_prints_a_table_and_writes_figure_table_and_json(folder):
    done = CliRunner().invoke(app, ["probe", str(folder), "--kind", "ridge", "--rows", "40"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["layer", "values", "train", "validation", "test"]
    assert lines[3].startswith("hidden[1]")
    assert "ridge probes, 40 train, 40 validation, 40 test examples" in done.stdout
    assert lines[-3:] == [str(folder / p) for p in ("figures/probe.png", "figures/probe.csv", "probe.json")]
    assert (folder / "figures" / "probe.png").stat().st_size > 5_000
    with open(folder / "figures" / "probe.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["input", "hidden[0]", "hidden[1]", "output"]
    kept = json.loads((folder / "probe.json").read_text())
    assert float(rows[2]["test_mean"]) == pytest.approx(
        kept["layers"][2]["accuracy"]["test"]["mean"], rel=1e-6
    )
    done = CliRunner().invoke(app, ["probe", str(folder), "--kind", "ridge", "--rows", "40", "--json"])
    assert json.loads(done.stdout)["layers"] == kept["layers"]


@pytest.mark.slow
def test_logistic_probes_of_one_capacity_without_a_validation_part(tmp_path):
    made = run(
        parse(tiny(tmp_path, data={"n": 90, "validation": 0, "test": 0.3}, model={"widths": [6]}))
    ).folder
    found = probe_run(made, components=2)
    assert list(found.examples) == ["train", "test"]
    assert all(0.4 < layer.accuracy["test"]["mean"] <= 1 for layer in found.layers)


@pytest.mark.slow
def test_layers_wider_than_a_probe_are_folded(folder, monkeypatch):
    monkeypatch.setattr(probes, "WIDEST", 3)
    jax.clear_caches()
    found = probe_run(folder, kind="ridge")
    assert [layer.features for layer in found.layers] == [2, 3, 3, 2]
    assert "5 → 3" in found.in_words()
    jax.clear_caches()


def test_what_does_not_fit_is_said(folder, tmp_path):
    with pytest.raises(ConfigError, match="rows: got 3, allowed is at least 10"):
        probe_run(folder, rows=3)
    with pytest.raises(ConfigError, match="components: got 0"):
        probe_run(folder, components=0)
    done = CliRunner().invoke(app, ["probe", str(folder), "--kind", "tree"])
    assert done.exit_code == 2
    assert "--kind: got 'tree', allowed are logistic and ridge" in done.output
    done = CliRunner().invoke(app, ["probe", str(tmp_path)])
    assert done.exit_code == 2
    assert "is not a run folder" in done.output
    numbers = {"kind": "tabular", "name": "diabetes"}
    other = run(parse(tiny(tmp_path, data=numbers, training={"duration": "2 steps", "seeds": 1}))).folder
    with pytest.raises(
        ConfigError, match="its task is regression: probes tell the classes of whole examples"
    ):
        probe_run(other)
