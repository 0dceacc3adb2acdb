import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dlnotes
from dlnotes.claims import rows as catalog
from dlnotes.claims.measure import open_claim
from dlnotes.claims.reproduce import claim_configs
from dlnotes.cli import main as cli
from dlnotes.config import load

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = """# A linear classifier, two epochs.
[data]
kind = "digits"
[model]
kind = "linear"
[training]
duration = "2 epochs"
[devices]
strategy = "single"
[output]
figures = false
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options)


def test_help_version_and_importing_do_not_load_jax(tmp_path):
    code = """
import sys, dlnotes, dlnotes.cli.main
from typer.testing import CliRunner
for line in ("--help", "--version", "run none.toml", "evaluate nowhere", "list", "schema"):
    result = CliRunner().invoke(dlnotes.cli.main.app, line.split())
    print(result.exit_code)
heavy = {"jax", "matplotlib", "flax", "orbax", "sklearn"} & set(sys.modules)
print(sorted(heavy))
"""
    done = python(code, cwd=tmp_path)
    assert done.stdout.split() == ["0", "0", "2", "2", "0", "0", "[]"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_config_exits_with_2_names_every_problem_and_creates_nothing(tiny):
    done = subprocess.run(
        [sys.executable, "-m", "dlnotes", "run", str(tiny), "model.kid=3", "training.seeds=0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "model.kid" in done.stderr
    assert "training.seeds" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in tiny.parent.iterdir()] == ["tiny.toml"]


def test_run_then_resume_evaluate_and_predict(tiny):
    done = call("run", tiny, "training.seeds=2", "--quiet")
    assert done.exit_code == 0, done.output
    folder = Path(done.stdout.splitlines()[-1])
    assert (folder / "summary.json").is_file()
    assert done.stdout.startswith("test accuracy")
    assert "step " in done.stderr
    assert "step " not in done.stdout

    again = call("resume", folder)
    assert again.exit_code == 0
    assert again.stdout.splitlines()[:2] == done.stdout.splitlines()[:2]

    measured = call("evaluate", folder, "--split", "validation")
    assert measured.exit_code == 0
    assert "validation accuracy" in measured.stdout

    wrong = call("evaluate", folder, "--split", "tset")
    assert wrong.exit_code == 2
    assert "tset" in wrong.stderr


def test_show_prints_toml_that_reads_back_to_the_same_config(tiny):
    done = call("show", tiny, "training.seeds=3")
    shown = tiny.with_name("shown.toml")
    shown.write_text(done.stdout)
    assert load(shown) == load(tiny, ["training.seeds=3"])
    assert tomllib.loads(done.stdout)["optimizer"]


def test_show_counts_the_networks_layers_in_comments(tiny):
    done = call("show", tiny)
    comments = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert comments[0].split() == [
        "#",
        "layer",
        "output",
        "parameters",
        "multiply-adds",
        "operations/byte",
        "receptive",
        "field",
    ]
    batch = load(tiny).training.batch_size
    intensity = 2 * batch * 640 / (4 * (640 + batch * (64 + 10)))
    # 64 · 10 weights and 10 biases
    assert comments[-2].split()[-3:] == ["650", "640", f"{intensity:.3g}"]
    assert comments[-1] == f"# operations/byte: forward, in batches of {batch}"
    image = call("show", tiny, "model={kind='cnn', channels=[4, 6], dense=[]}").stdout
    assert "# convolutions[1][0]     4 × 4 × 6" in image
    assert image.splitlines()[-4].endswith("8 × 8")


def test_show_says_why_there_is_no_table_of_layers(tiny):
    done = call("show", tiny, "data={kind='csv', path='none.csv', target='y'}")
    assert done.exit_code == 0
    assert "# no table of layers: " in done.stdout
    assert "none.csv" in done.stdout.split("no table of layers")[1]
    tomllib.loads(done.stdout)


def test_the_schema_is_printed_or_written(tmp_path):
    printed = json.loads(call("schema").stdout)
    assert call("schema", "--output", tmp_path / "s.json").exit_code == 0
    assert json.loads((tmp_path / "s.json").read_text()) == printed
    assert printed["title"] == "dlnotes config"


class _Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [("Interrupted", 75, "interrupted; resume with: dlnotes resume runs/x"), ("RunFailed", 1, "error: why")],
)
def test_how_a_run_ended_is_the_exit_status(tiny, monkeypatch, error, status, told):
    from dlnotes.experiment import run as running

    argument = Path("runs/x") if error == "Interrupted" else "why"

    def fail(*_, **__):
        raise getattr(running, error)(argument)

    monkeypatch.setattr(running, "run", fail)
    done = call("run", tiny)
    assert done.exit_code == status
    assert done.stderr.splitlines() == [told]
    assert done.stdout == ""


def test_an_unexpected_error_is_short_and_its_traceback_is_kept_in_the_run_folder(tiny, monkeypatch):

    def fail(self, **_):
        raise _Stop("first line False\nsecond line")

    monkeypatch.setattr("dlnotes.experiment.trainer.Trainer.train", fail)
    done = call("run", tiny)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: _Stop: first line")
    assert "Traceback" not in done.stderr
    assert "second line" not in done.stderr
    (kept,) = tiny.parent.glob("runs/tiny/*/error.txt")
    assert "Traceback" in kept.read_text()
    assert str(kept.relative_to(tiny.parent)) in done.stderr
    assert "Traceback" in call("run", tiny, "--debug").stderr
    monkeypatch.setenv("DLNOTES_DEBUG", "1")
    assert "Traceback" in call("run", tiny).stderr


def test_process_options_must_come_together(tiny):
    done = call("run", tiny, "--processes", 2)
    assert done.exit_code == 2
    assert "--coordinator" in done.stderr


def test_a_reader_that_goes_away_is_no_failure(tiny):
    done = subprocess.run(
        f"{sys.executable} -m dlnotes list | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_data_sets_are_listed_and_checked():
    assert "digits" in call("data", "list").stdout
    assert call("data", "check", "iris").stdout == "iris: whole\n"
    assert call("data", "fetch", "xor").exit_code == 0
    unknown = call("data", "check", "mnits")
    assert unknown.exit_code == 2
    assert "mnits" in unknown.stderr


def test_the_doctor_tells_what_is_there():
    done = call("doctor")
    assert done.exit_code == 0, done.output
    for word in ("jax", "devices", "strategies", "compilation cache", "mnist"):
        assert word in done.stdout


def test_the_package_offers_its_names_lazily():
    assert set(dlnotes.__all__) <= set(dir(dlnotes))
    for name in dlnotes.__all__:
        assert getattr(dlnotes, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = dlnotes.nothing


def test_list_has_every_row_once_as_text_and_as_json():
    rows = json.loads(call("list", "--json").stdout)
    assert len({r["id"] for r in rows}) == len(rows) == 133
    keys = {"id", "title", "section", "kind", "functions", "tests", "config", "verdict"}
    assert all(keys <= set(r) for r in rows)
    text = call("list").stdout
    assert all(f"  {r['id']} " in text for r in rows)
    assert "quickstart.toml" in text


@pytest.mark.parametrize("row", catalog.ROWS, ids=lambda r: r.id)
def test_what_a_row_names_exists(row):
    for name in row.functions:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
    for path in (*row.tests, *filter(None, [row.config])):
        assert (REPOSITORY / path).is_file(), path
    if row.built:
        assert row.functions
        assert row.tests
        assert row.kind == "code" or row.config


CLAIMS = claim_configs(REPOSITORY / "configs")


@pytest.mark.parametrize("path", CLAIMS, ids=lambda p: p.stem)
def test_a_shipped_claim_is_that_of_the_row_it_names(path):
    opened = open_claim(path, budget="quick")
    row = next(r for r in catalog.ROWS if r.id == opened.claim.id)
    assert path.stem.split("_")[0] == row.id
    assert row.kind == "claim"
    assert row.config == path.relative_to(REPOSITORY).as_posix() or opened.claim.id in str(row.config)
