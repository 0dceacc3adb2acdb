"""A damaged file of a run folder is named: what can be had elsewhere is used, and the rest is refused.

`scripts/stress/damage.py` tries every file, every damage and everything that is done with a folder.
"""

import json
import shutil

import numpy as np
import pytest

from dlnotes.claims.measure import judge, last_measured, open_claim, run_claim
from dlnotes.config import ConfigError
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.kept_files import DamagedFile, digest, read_json, write_json
from dlnotes.experiment.run import open_run, resume
from dlnotes.experiment.run_folder import RunFolder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a run that ended."""
    copy = tmp_path / "runs" / "copy"
    shutil.copytree(finished.folder, copy)
    return copy


VALUE = {"a": 1.5, "b": [True, None, "ü"], "c": {"d": float("nan"), "e": np.pi}}


def test_json_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    assert read_json(path) == VALUE | {"c": {"d": None, "e": np.pi}}
    assert json.loads(path.read_text())["sha256"] == digest(read_json(path))
    assert read_json(tmp_path / "none.json") is None
    path.write_text('{"older": 1}')  # without a checksum
    assert read_json(path) == {"older": 1}


def damaged(content, how):
    place = content.index(b"1.5")
    return {
        "digit": content[:place] + b"7" + content[place + 1 :],
        "cut": content[: len(content) // 2],
        "empty": b"",
        "zeros": bytes(len(content)),
        "bytes": b"\xff\xfe" + content,
        "deep": b"[" * 100_000 + b"]" * 100_000,
    }[how]


@pytest.mark.parametrize("how", ["digit", "cut", "empty", "zeros", "bytes", "deep", "folder"])
def test_damaged_json_is_refused_by_name(how, tmp_path):
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    else:
        path.write_bytes(damaged(content, how))
    with pytest.raises(DamagedFile, match=r"a\.json: 1 error\n  is damaged"):
        read_json(path)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_lost_facts_of_the_data_are_made_anew_where_the_data_are_the_same(how, folder, finished, caplog):
    kept = RunFolder(folder)
    before = read_json(kept.metadata_path)
    kept.metadata_path.unlink()
    if how == "damaged":
        kept.metadata_path.write_text("{")
    again = resume(folder)
    assert again.summary["points"] == finished.summary["points"]
    assert "facts.json is" in caplog.text
    assert "it is written anew, the data are those of the checkpoint" in caplog.text
    assert read_json(kept.metadata_path) == before


def test_lost_facts_of_other_data_are_refused(folder, finished):
    from dlnotes import data

    (folder / "data" / "facts.json").unlink()
    other = data.load("two_moons", n=60, seed=5)
    with pytest.raises(ConfigError, match="facts.json is gone, and the data are not those of the checkpoint"):
        resume(folder, dataset=other)


def test_a_lost_config_is_that_of_the_checkpoint(folder, finished, caplog):
    (folder / "config.toml").write_text("training = [")
    assert open_run(folder).config == finished.config
    assert "the config in the newest checkpoint is used" in caplog.text
    (folder / "config.toml").unlink()
    assert resume(folder).summary["points"] == finished.summary["points"]
    assert RunFolder(folder).config() == finished.config


def test_a_config_that_changed_before_the_first_checkpoint_is_refused(folder):
    shutil.rmtree(folder / "checkpoints")
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("learning_rate = 0.02", "learning_rate = 0.82"))
    with pytest.raises(ConfigError, match=r"learning_rate: got 0\.82, the run was made with 0\.02"):
        resume(folder)


def test_a_damaged_summary_is_said_where_it_is_not_needed(folder, finished, caplog):
    (folder / "summary.json").write_text("{")
    found = evaluate_run(folder)
    assert found["loss"]["mean"] == finished.metrics["test"]["loss"]["mean"]
    assert "summary.json is damaged" in caplog.text


def test_a_folder_in_the_place_of_the_summary_is_named(folder):
    (folder / "summary.json").unlink()
    (folder / "summary.json").mkdir()
    with pytest.raises(ConfigError, match=r"summary\.json: 1 error\n  is damaged: a folder is in its place"):
        resume(folder)
    assert not list(folder.glob("*.partial"))


def test_a_checkpoint_that_lost_its_manifest_is_said(folder, caplog):
    *_, newest = sorted((folder / "checkpoints").iterdir(), key=lambda p: int(p.name))
    shutil.copytree(newest, newest.with_name("99"))
    (newest.with_name("99") / "manifest.json").unlink()
    open_run(folder)
    assert "checkpoint at step 99 has no manifest, using the one before it" in caplog.text


def test_a_changed_log_is_set_aside_and_said(folder):
    path = folder / "metrics.jsonl"
    content = path.read_text()
    path.write_text(content.replace("loss", "lass", 1))
    said = []
    resume(folder, watch=lambda progress: said.append(progress.message))
    assert any("metrics.jsonl is damaged" in text for text in said)
    assert (folder / "metrics.jsonl.damaged").read_text() == content.replace("loss", "lass", 1)
    assert "lass" not in path.read_text()


@pytest.fixture
def claim(tmp_path, monkeypatch):
    from claim_project import make

    monkeypatch.chdir(tmp_path)
    opened = open_claim(make(tmp_path), [f'output.directory="{tmp_path}/runs"'])
    return opened, run_claim(opened)[0]


@pytest.mark.parametrize("name", ["measurements.npz", "measurement.json", "environment.json"])
def test_a_damaged_measurement_is_neither_judged_nor_kept(name, claim):
    opened, folder = claim
    assert last_measured(opened) == folder
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 2
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged"):
        judge(folder)
    if name != "environment.json":
        assert last_measured(opened) is None


def test_a_claim_with_other_options_than_were_measured_is_refused(claim):
    _, folder = claim
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("throws = 200", "throws = 900"))
    with pytest.raises(ConfigError, match=r"config\.toml: 1 error\n  is not what was measured"):
        judge(folder)
