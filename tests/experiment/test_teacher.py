"""A student of a run folder: what it learns from, against numpy; resumed bit for bit; refusals by name."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false
import json
import shutil
from contextlib import contextmanager

import chex
import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment import run as running
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.kept_teaching import kept_teachings, teachings
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.run import Interrupted, resume, run
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.teacher import Asked, with_teachers_found

DIGITS = {"kind": "digits", "validation": 60, "test": 1600}
SHORT = {"duration": "12 steps", "seeds": 1, "batch_size": 16}


def student(directory, runs, *, share=1.0, data=None, **sections):
    raw = tiny(directory, model={"kind": "mlp", "widths": [3], "dropout": 0.0}, **sections)
    raw["training"] = SHORT | {"ema": 0.9} | sections.get("training", {})
    raw["teacher"] = {"runs": [str(runs)], "share": share} | sections.get("teacher", {})
    return parse(raw | ({} if data is None else {"data": data}))


def taught_by(config, dataset):
    (found,) = teachings(running.groups(with_teachers_found(config)), dataset)
    return found


@pytest.fixture(scope="module")
def digits_teacher(tmp_path_factory):
    raw = tiny(tmp_path_factory.mktemp("digits"), data=DIGITS, training={"duration": "6 steps", "seeds": 2})
    return run(parse(raw | {"data": DIGITS}))


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_all_seeds_of_a_run_answer_together(mean, finished, tmp_path):
    opened = open_run(finished.folder)
    config = student(tmp_path, finished.folder, teacher={"mean": mean})
    teaching = taught_by(config, opened.dataset)
    logits = opened.evaluator.predict(opened.state.members, opened.dataset.train).astype(np.float64)
    want = logits.mean(0) if mean == "logits" else logsumexp(log_softmax(logits, -1), 0) - np.log(3)
    y = teaching.dataset.train.y
    assert y.shape == (opened.dataset.train.size, 3)
    np.testing.assert_array_equal(y[:, 0], opened.dataset.train.y)
    np.testing.assert_allclose(y[:, 1:], want, atol=1e-5)
    assert "3 seeds of" in teaching.told
    assert teaching.dataset.test is opened.dataset.test


def test_the_first_step_is_that_of_the_loss(finished, tmp_path):
    """The training loss that is logged is ``T²·KL`` of the whole batch; evaluation is by the labels."""
    n = finished.dataset.train.size
    config = student(
        tmp_path,
        finished.folder,
        share=0.75,
        teacher={"temperature": 3.0},
        training={"batch_size": n, "duration": "1 steps", "log_every": 1},
        optimizer={"kind": "sgd", "learning_rate": 0.0 + 1e-9},
    )
    result = run(config)
    first = json.loads((result.folder / "metrics.jsonl").read_text().splitlines()[0])
    opened = open_run(result.folder)
    z = opened.evaluator.predict(opened.state.members, finished.dataset.train)[0].astype(np.float64)
    t = taught_by(config, finished.dataset).dataset.train.y[:, 1:].astype(np.float64)
    log_p, log_q = log_softmax(t / 3, -1), log_softmax(z / 3, -1)
    labels = -log_softmax(z, -1)[np.arange(n), finished.dataset.train.y]
    want = 0.75 * 9 * (np.exp(log_p) * (log_p - log_q)).sum(-1) + 0.25 * labels
    np.testing.assert_allclose(first["loss"][0], want.mean(), rtol=1e-4)
    right = (z.argmax(-1) == finished.dataset.train.y).mean()
    np.testing.assert_allclose(first["accuracy"][0], right, rtol=1e-5)
    found = evaluate_run(result.folder, split="train")
    np.testing.assert_allclose(found["loss"]["mean"], labels.mean(), rtol=1e-4)
    assert result.summary["teacher"] == [f"3 seeds of {finished.folder}"]


def interrupted_at(monkeypatch, config, at):
    steps = [0]

    @contextmanager
    def stoppable():
        yield lambda: steps[0] >= at

    monkeypatch.setattr(running, "_stoppable", stoppable)
    with pytest.raises(Interrupted) as stopped:
        run(config, watch=lambda progress: steps.__setitem__(0, progress.step))
    monkeypatch.undo()
    return stopped.value.folder


@pytest.fixture
def copied(finished, tmp_path):
    """A teacher's run in a folder that a test may spoil."""
    return shutil.copytree(finished.folder, tmp_path / "teachers" / "one")


@pytest.mark.parametrize("noise", [0.0, pytest.param(0.3, marks=pytest.mark.slow)])
def test_interrupted_and_resumed_is_undisturbed(noise, copied, tmp_path, monkeypatch):
    config = student(tmp_path, copied, teacher={"noise": noise})
    whole = run(config)
    folder = interrupted_at(monkeypatch, config, 5)
    if not noise:  # the answers lie in the student's folder
        shutil.rmtree(copied)
    again = resume(folder)
    chex.assert_trees_all_equal(again.states, whole.states)
    assert (folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()
    if noise:
        shutil.rmtree(copied)
    assert evaluate_run(folder)["accuracy"] == evaluate_run(whole.folder)["accuracy"]  # needs no teacher


@pytest.mark.slow
def test_lost_answers_are_asked_for_again_and_another_teacher_is_refused(copied, tmp_path, monkeypatch):
    config = student(tmp_path, copied)
    whole = run(config)
    folder = interrupted_at(monkeypatch, config, 5)
    (file,) = (folder / "data").glob("teacher-*.npy")
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)
    chex.assert_trees_all_equal(resume(folder).states, whole.states)
    kept = RunFolder.open(folder)
    plan = running.groups(kept.config())
    before = kept_teachings(kept, plan, whole.dataset, write=False)[0].dataset.train.y
    file.unlink()
    after = kept_teachings(kept, plan, whole.dataset, write=True)[0].dataset.train.y
    np.testing.assert_array_equal(after, before)
    assert file.is_file()
    file.unlink()
    other = run(parse(tiny(tmp_path / "others", training={"duration": "2 steps"})))
    shutil.rmtree(copied)
    shutil.copytree(other.folder, copied)
    with pytest.raises(ConfigError, match="does not answer as the one that the run was begun with"):
        resume(folder)


@pytest.mark.slow
def test_what_changes_is_answered_anew(digits_teacher, tmp_path):
    """The teacher sees what the student sees: the shifted image, in its own scale."""
    config = student(
        tmp_path, digits_teacher.folder, data=DIGITS, augment={"shift": 2}, teacher={"noise": 0.1}
    )
    config = with_teachers_found(config)
    (group,) = running.groups(config)
    asked = Asked(group, digits_teacher.dataset)
    teaching = asked.teaching()
    assert teaching.answers == ""
    setup = running.prepare(group, digits_teacher.dataset, teaching=teaching)
    recipe = setup.recipe_of({})
    train = digits_teacher.dataset.train
    x, y = recipe.augment(jax.random.split(jax.random.key(1), 8), train.x[:8], train.y[:8])
    assert not np.allclose(x, train.x[:8])
    np.testing.assert_array_equal(y[:, 0], train.y[:8])
    want = asked.answers(train._replace(x=np.asarray(x), y=train.y[:8]))
    np.testing.assert_allclose(y[:, 1:], want, atol=1e-5)
    again = recipe.augment(jax.random.split(jax.random.key(1), 8), train.x[:8], train.y[:8])
    np.testing.assert_array_equal(again[1], y)


@pytest.mark.slow
def test_a_teacher_sees_inputs_in_its_own_scale(tmp_path):
    """Teacher and student standardize by training parts of their own."""
    rng = np.random.default_rng(3)
    x = rng.normal(5, 3, (60, 4)).astype(np.float32)
    y = (x @ np.array([[1.0], [2.0], [0.0], [-1.0]]) + 7).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    data = {"kind": "npz", "path": str(tmp_path / "d.npz"), "task": "regression", "seed": 1}
    model = {"kind": "mlp", "widths": [5]}
    raw = tiny(tmp_path, training={"seeds": 2, "duration": "5 steps", "batch_size": 8})
    teacher = run(parse(raw | {"data": data, "model": model}))
    raw = tiny(tmp_path, training={"seeds": 1, "duration": "3 steps", "batch_size": 8})
    raw |= {"data": data | {"seed": 2}, "model": model, "teacher": {"runs": [str(teacher.folder)]}}
    result = run(parse(raw))
    opened, ours = open_run(teacher.folder), result.dataset
    theirs = opened.dataset
    assert not np.allclose(theirs.standardize.mean, ours.standardize.mean)
    inputs = theirs.standardize(ours.standardize.inverse(ours.train.x)).astype(np.float32)
    outputs = opened.evaluator.predict(opened.state.members, ours.train._replace(x=inputs)).mean(0)
    want = ours.standardize_y(theirs.standardize_y.inverse(outputs))
    got = taught_by(parse(raw), ours).dataset.train.y
    np.testing.assert_array_equal(got[:, :1], ours.train.y)
    np.testing.assert_allclose(got[:, 1:], want, atol=1e-5)
    assert np.isfinite(result.metrics["test"]["absolute_error"]["mean"])


def test_further_inputs_have_the_teachers_answers_alone(finished, tmp_path):
    x = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    np.save(tmp_path / "more.npy", x)
    config = student(tmp_path, finished.folder, teacher={"extra": str(tmp_path / "more.npy")})
    train = taught_by(config, finished.dataset).dataset.train
    n = finished.dataset.train.size
    assert train.size == n + 10
    np.testing.assert_array_equal(train.y[n:, 0], -1)
    scale = finished.dataset.standardize
    np.testing.assert_allclose(train.x[n:], x if scale is None else scale(x), rtol=1e-5)
    result = run(config)
    assert result.metrics["test"]["accuracy"]["mean"] >= 0


def test_a_folder_of_runs_is_its_newest_that_has_ended(finished, tmp_path):
    root = tmp_path / "teachers"
    for name in ("20260101-1", "20260102-2", "20260103-3"):
        shutil.copytree(finished.folder, root / name)
    (root / "20260103-3" / "summary.json").unlink()
    (root / "notes").mkdir()
    found = with_teachers_found(student(tmp_path, root))
    assert found.teacher.runs == (str(root / "20260102-2"),)
    assert run(student(tmp_path, root)).config.teacher.runs == found.teacher.runs


SWEPT = {"teacher.temperature": [1.0, 5.0], "teacher.share": [0.0, 1.0]}


@pytest.mark.slow
def test_numbers_of_the_teacher_are_swept_in_one_program(finished, tmp_path):
    config = student(
        tmp_path,
        finished.folder,
        sweep={"kind": "grid", "parameters": SWEPT},
    )
    assert len(running.groups(config)) == 1
    result = run(config)
    raw = tiny(tmp_path, model={"widths": [3], "dropout": 0.0})
    plain = run(parse(raw | {"training": SHORT | {"ema": 0.9}}))
    params = [result.params(point=p) for p in range(4)]
    chex.assert_trees_all_close(params[0], plain.params(), atol=1e-6)  # a share of 0 learns from labels
    assert not np.allclose(params[1].output.W, params[3].output.W)


@pytest.mark.slow
def test_a_sweep_of_teachers_goes_on(finished, tmp_path, monkeypatch):
    """Each group has answers of its own; one that has no checkpoint yet is not taken for another."""
    means = {"kind": "grid", "parameters": {"teacher.mean": ["probabilities", "logits"]}}
    config = student(tmp_path, finished.folder, sweep=means, training={"duration": "4 steps"})
    whole = run(config)
    assert not np.allclose(*(whole.params(point=p).output.W for p in range(2)))
    folder = interrupted_at(monkeypatch, config, 2)
    assert not (folder / "group-001" / "checkpoints").exists()
    chex.assert_trees_all_equal(resume(folder).states, whole.states)


REFUSED = {
    "gone": ({"teacher": {"runs": ["/nowhere/at/all"]}}, "there is no such folder"),
    "empty": ({"teacher": {"runs": ["{empty}"]}}, "it is no run folder and has no runs in it"),
    "none": ({"teacher": {"runs": []}}, "teacher.runs"),
    "share": ({"teacher": {"share": 1.5}}, "teacher.share"),
    "temperature": ({"teacher": {"temperature": 0}}, "teacher.temperature"),
    "loss": ({"training": {"loss": "hinge"}}, "training.loss: got 'hinge'"),
    "inputs": ({"data": DIGITS}, "has learned classification of vector inputs, digits is"),
    "task": ({"data": {"kind": "tabular", "name": "diabetes"}}, "has learned classification of vector"),
    "columns": (
        {"data": {"kind": "tabular", "name": "wine"}},
        r"inputs of shape \(2,\), those of wine",
    ),
    "extra": ({"teacher": {"extra": "/nowhere.npy"}}, "teacher.extra: .*no such file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_compiled(name, finished, tmp_path, monkeypatch):
    sections, told = REFUSED[name]
    (tmp_path / "empty").mkdir()
    raw = tiny(tmp_path / "runs", **{k: v for k, v in sections.items() if k == "training"})
    raw |= {"data": sections["data"]} if "data" in sections else {}
    raw["teacher"] = {"runs": [str(finished.folder)]} | sections.get("teacher", {})
    raw["teacher"]["runs"] = [r.format(empty=tmp_path / "empty") for r in raw["teacher"]["runs"]]
    monkeypatch.setattr(running, "_train_all", lambda *a, **k: pytest.fail("it was trained"))
    with pytest.raises(ConfigError, match=told):
        run(parse(raw))
    assert not (tmp_path / "runs").exists()


def test_other_classes_are_named(digits_teacher, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(30, 8, 8, 1)).astype(np.float32), y=np.arange(30) % 3)
    data = {"kind": "npz", "path": str(tmp_path / "d.npz"), "input": "image"}
    raw = tiny(tmp_path) | {"data": data, "teacher": {"runs": [str(digits_teacher.folder)]}}
    with pytest.raises(ConfigError, match="has 10 outputs, .* has 3"):
        run(parse(raw))
    large = {"kind": "sized_digits", "min_size": 8, "max_size": 8}
    with pytest.raises(ConfigError, match="teacher"):
        run(parse(tiny(tmp_path) | {"data": large, "augment": {"shift": 1}} | {"teacher": raw["teacher"]}))


def test_a_teacher_that_has_not_ended_or_failed_is_refused(copied, tmp_path):
    summary = (copied / "summary.json").read_bytes()
    (copied / "summary.json").unlink()
    with pytest.raises(ConfigError, match="has not ended; let it end with: dlnotes resume"):
        run(student(tmp_path, copied))
    (copied / "summary.json").write_text(summary.decode().replace('"steps": [\n  30', '"steps": [\n  20'))
    with pytest.raises(ConfigError, match="teacher.runs: .*damaged"):
        run(student(tmp_path, copied))
    (copied / "summary.json").write_bytes(summary)
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(ConfigError, match="teacher.runs: .*has no whole checkpoint"):
        run(student(tmp_path, copied))


def test_seeds_that_failed_do_not_teach(finished, tmp_path):
    config = with_teachers_found(student(tmp_path, finished.folder))
    (group,) = running.groups(config)
    asked = Asked(group, finished.dataset)
    (one,) = asked.opened
    reason = np.asarray(one.state.members.reason).copy()
    reason[1] = 1
    object.__setattr__(one, "state", one.state._replace(members=one.state.members._replace(reason=reason)))
    logits = one.evaluator.predict(one.state.members, finished.dataset.train)[[0, 2]].astype(np.float64)
    want = logsumexp(log_softmax(logits, -1), 0) - np.log(2)
    np.testing.assert_allclose(asked.teaching().dataset.train.y[:, 1:], want, atol=1e-5)
    assert "2 seeds (1 of 3 failed) of" in asked.told
