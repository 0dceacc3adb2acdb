"""A run folder or a config that came from a stranger: read, but nothing of it runs or leads out of it."""

import base64
import hashlib
import json
import re
import shutil

import pytest
from claim_project import make, times_measured
from typer.testing import CliRunner

from dlnotes.claims.measure import judge, open_claim, run_claim
from dlnotes.claims.records import committed, file_inside, problem, read_record
from dlnotes.cli import main as cli
from dlnotes.config import ConfigError
from dlnotes.experiment.kept_files import read_json, write_json

CHECKED = (
    "kind", "verdict", "name", "measured", "budget", "decided_by", "fingerprint", "part verdict", "effect"
)  # fmt: skip
"""Texts of a record that may not be any text."""
SCRIPT = "<script>document.title='x'</script>"


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A project that came by mail, with a measured run; its experiment leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    config = make(tmp_path / "theirs")
    folder, _ = run_claim(open_claim(config, [f'output.directory="{tmp_path}/theirs/runs"']))
    module = tmp_path / "theirs/experiments/coins/coin.py"
    evil = module.with_name("evil.py")
    evil.write_text(f"open({str(tmp_path / 'was_here')!r}, 'w').close()\n" + module.read_text())
    for file in (config, folder / "config.toml"):
        file.write_text(file.read_text().replace("coins/coin", "coins/evil"))
    environment = read_json(folder / "environment.json")
    environment["config"]["experiment"] = "coins/evil"
    write_json(folder / "environment.json", environment)
    mine = tmp_path / "mine"
    (mine / "configs").mkdir(parents=True)
    monkeypatch.chdir(mine)
    return config, folder


def test_reading_does_not_run_their_code(stranger, tmp_path):
    config, folder = stranger
    for words in (("judge", folder), ("show", config)):
        done = call(*words)
        assert done.exit_code == 2, done.output
        assert "is not the experiments folder of the current project" in done.output
        assert "--trust" in done.output
    for words in (("report", "--runs", folder.parents[1]), ("list",)):
        assert call(*words).exit_code == 0
    assert not (tmp_path / "was_here").exists()


def test_a_folder_that_carries_its_own_configs_and_experiments_is_not_trusted(stranger, tmp_path):
    _, folder = stranger
    inside = tmp_path / "mail/configs/run"
    shutil.copytree(folder, inside)
    shutil.copytree(tmp_path / "theirs/experiments", tmp_path / "mail/experiments")
    text = (inside / "config.toml").read_text()
    (inside / "config.toml").write_text(re.sub(r"(?m)^experiments = .*\n", "", text))
    with pytest.raises(ConfigError, match="current project"):
        judge(inside)
    assert not (tmp_path / "was_here").exists()


def test_a_config_that_names_a_folder_elsewhere_does_not_run_it(stranger, tmp_path):
    theirs, _ = stranger
    config = tmp_path / "mine/configs/theirs.toml"
    text = f'experiments = "{tmp_path}/theirs/experiments"\n' + theirs.read_text()
    config.write_text(text)
    with pytest.raises(ConfigError, match="current project"):
        open_claim(config)
    assert not (tmp_path / "was_here").exists()
    open_claim(config, trust=True)
    assert (tmp_path / "was_here").exists()


def test_trust_and_the_project_itself_run_it(stranger, tmp_path, monkeypatch):
    config, folder = stranger
    assert call("judge", folder, "--trust").exit_code == 0
    monkeypatch.chdir(tmp_path / "theirs")
    assert call("judge", folder).exit_code == 0
    assert call("show", config).exit_code == 0
    assert times_measured(tmp_path / "theirs") == 1


@pytest.mark.parametrize("name", ["/etc/hostname", "../../secret.png", "link.png", "figures/link.png"])
def test_files_outside_of_the_run_folder_are_left_out(name, tmp_path, caplog):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    run = tmp_path / "runs/one"
    (run / "figures").mkdir(parents=True)
    (run / "link.png").symlink_to(secret)
    (run / "figures/link.png").symlink_to(secret)
    assert file_inside(run, name) is None
    assert "outside" in caplog.text


def test_a_figure_that_is_no_picture_is_left_out(tmp_path):
    (tmp_path / "figure.png").write_text("root:x:0:0")
    (tmp_path / "good.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert file_inside(tmp_path, "figure.png") is None
    assert file_inside(tmp_path, 7) is None
    assert file_inside(tmp_path, "none.png") is None
    assert file_inside(tmp_path, "good.png") == tmp_path / "good.png"


def test_every_field_of_a_record_is_of_its_type_or_escaped(stranger):
    _, folder = stranger
    good = read_json(folder / "summary.json")
    assert problem(good) is None
    part, where = good["parts"][0], lambda key, part: {"parts": [part | {key: SCRIPT}, *good["parts"][1:]]}
    changes = [(key, value, {key: SCRIPT}) for key, value in good.items()]
    changes += [(f"part {key}", value, where(key, part)) for key, value in part.items()]
    changes += [("options", "", {"options": {"seeds": 10, SCRIPT: SCRIPT}})]
    changes += [("effect", "", where("effect", part) | {"seconds": 1.0})]
    for key, value, change in changes:
        (folder / "summary.json").write_text(json.dumps(good | change))
        done = call("report", "--runs", folder.parents[1], "--output", folder / "page.html")
        if read_record(folder) is None:
            assert not isinstance(value, str) or key in CHECKED, key
            assert "holds no measured claim" in done.output
            continue
        assert done.exit_code == 0, (key, done.output)
        assert SCRIPT not in (folder / "page.html").read_text(), key


def test_only_the_page_s_own_script_may_run(stranger):
    _, folder = stranger
    call("report", "--runs", folder.parents[1], "--output", folder / "page.html")
    page = (folder / "page.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert f"script-src 'sha256-{hashed}'" in policy[1]
    assert "default-src 'none'" in policy[1]


def test_damaged_records_are_said(tmp_path, caplog):
    (tmp_path / "summary.json").write_text('{"kind": "cla')
    assert read_record(tmp_path) is None
    assert "is damaged: it cannot be read" in caplog.text
    for text in ("{", "{}", '[{"kind": "claim"}]'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(ConfigError, match=r"results\.json"):
            committed(tmp_path)
