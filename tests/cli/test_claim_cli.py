"""Claims on the command line."""

import json

from claim_project import make
from typer.testing import CliRunner

from dlnotes.cli import main as cli


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_a_claim_is_run_judged_reproduced_and_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    config = make(tmp_path)
    done = call("run", config, "options.throws=60")
    assert done.exit_code == 0, done.output
    assert "mine.coin  mine.coin: trial: holds" in done.stdout
    assert "holds if the interval lies above 0.5" in done.stdout
    folder = done.stdout.splitlines()[-1]
    assert call("judge", folder).stdout.splitlines()[0] == done.stdout.splitlines()[0]
    many = call("reproduce", "--budget", "quick", "--results", tmp_path / "kept")
    assert many.exit_code == 0, many.output
    assert "1 claim: 1 holds (trials, no findings)" in many.stdout
    assert "trial: holds" in many.stderr
    assert "throws = 200" in call("show", config).stdout
    assert "trial: holds" in (tmp_path / "kept" / "RESULTS.md").read_text()
    page = call("report", "--results", tmp_path / "experiments")
    assert page.exit_code == 0, page.output
    assert (tmp_path / "runs" / "report.html").is_file()
    assert "mine.coin" in (tmp_path / "experiments" / "RESULTS.md").read_text()
    own = json.loads(call("list", "--json").stdout)[-1]
    assert (own["id"], own["verdict"], own["trial"]) == ("mine.coin_thrown", "holds", True)
    assert "trial: holds" in call("list").stdout


def test_wrong_use_of_claims_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = tmp_path / "tiny.toml"
    tiny.write_text('[data]\nkind = "xor"\n[model]\nkind = "mlp"\n')
    (tmp_path / "configs").mkdir()
    for line, words in {
        f"run {tiny} --budget quick": "--budget: is for the config of a claim",
        "reproduce Z1": "reproduce: 1 error",
        "report": "holds no measured claim",
        f"judge {tmp_path}": "is not a run folder",
    }.items():
        done = call(*line.split())
        assert done.exit_code == 2, line
        assert words in done.output
