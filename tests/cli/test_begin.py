"""The commands one begins with, in an empty folder."""

import json

import pytest
from typer.testing import CliRunner

from dlnotes.cli import main as cli
from dlnotes.config.shipped import shipped_configs

SHORT = ("training.duration=1 epochs", "training.seeds=1", "devices.strategy=single", "output.figures=false")


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


def test_a_shipped_config_runs_by_its_name_and_so_does_its_copy(empty):
    done = call("run", "linear_digits", *SHORT)
    assert done.exit_code == 0, done.output
    assert f"config: {shipped_configs()['families/linear_digits']}" in done.stderr
    done = call("copy", "linear_digits", "my.toml")
    assert done.output.split() == ["my.toml"]
    done = call("run", "my", *SHORT)
    assert done.exit_code == 0, done.output
    losses = [
        json.loads(path.read_text())["points"][0]["metrics"]["test"]["loss"]["values"]
        for path in (empty / "runs").glob("*/*/summary.json")
    ]
    assert len(losses) == 2
    assert losses[0] == losses[1]


def test_show_and_copy_of_nothing_are_told(empty):
    assert call("show", "linear_digits").exit_code == 0
    for words in (("show", "quikstart"), ("copy", "quikstart"), ("run", "quikstart")):
        done = call(*words)
        assert done.exit_code == 2
        assert "did you mean 'quickstart'" in done.output
    assert list(empty.iterdir()) == []
