"""A run that goes on for longer is the longer run, bit for bit; an edited config is refused."""

# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false
import chex
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse, to_toml
from dlnotes.experiment.kept_files import read_json
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run import open_run, resume, run
from dlnotes.experiment.run_folder import RunFolder

LONGER = ["training.duration='50 steps'"]


def small(directory, duration="30 steps", **sections):
    training = {"duration": duration, "log_every": 4, "seeds": 2} | sections.pop("training", {})
    return parse(tiny(directory, training=training, **sections))


def made(directory, duration, **sections):
    return run(small(directory / duration.replace(" ", ""), duration, **sections))


def same(extended, whole):
    chex.assert_trees_all_equal(extended.states, whole.states)
    for name in ("metrics.jsonl", "group-000/metrics.jsonl", "group-001/metrics.jsonl"):
        if (whole.folder / name).exists():
            assert (extended.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert extended.metrics == whole.metrics
    chex.assert_trees_all_equal(open_run(extended.folder).state, open_run(whole.folder).state)


STEP = {"kind": "step", "boundaries": ["20 steps", "40 steps"], "factor": 0.3, "warmup": "5 steps"}
FITTING = {
    "constant": {},
    "steps, stopping early": {
        "optimizer": {"schedule": STEP},
        "training": {"early_stopping": {"patience": 30}, "evaluate_every": "10 steps"},
    },
    "exponential, evaluated at odd steps": {
        "optimizer": {"schedule": {"kind": "exponential", "every": "7 steps"}},
        "training": {"evaluate_every": "8 steps", "log_every": 7},
    },
    "sizes": {"sweep": {"kind": "grid", "parameters": {"model.widths": [[3], [4]]}}},
}


SLOW = ("constant", "exponential, evaluated at odd steps", "sizes", "steps, stopping early")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FITTING]
)
def test_steps_and_then_more_are_one_long_run(name, tmp_path):
    sections = FITTING[name]
    short = made(tmp_path, "30 steps", **sections)
    extended = resume(short.folder, LONGER)
    same(extended, made(tmp_path, "50 steps", **sections))
    assert RunFolder(short.folder).config().training.duration == "50 steps"
    (note,) = extended.summary["extended"]
    assert (note["from"], note["to"]) == ("30 steps", "50 steps")
    assert set(note["steps"]) == {30}
    again = resume(short.folder)  # that has ended too
    chex.assert_trees_all_equal(again.states, extended.states)
    assert [r["step"] for r in again.history()][-1] == 50


@pytest.mark.slow
def test_it_can_be_made_longer_twice_and_is_interruptible_between(tmp_path, monkeypatch):
    short = made(tmp_path, "10 steps")
    with monkeypatch.context() as patch:
        patch.setattr("dlnotes.experiment.run._train_all", lambda *a, **k: None)
        resume(short.folder, ["training.duration='20 steps'"])  # noted, and killed before its first step
    resume(short.folder)
    extended = resume(short.folder, LONGER)
    same(extended, made(tmp_path, "50 steps"))
    assert [e["to"] for e in extended.summary["extended"]] == ["20 steps", "50 steps"]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return made(tmp_path_factory.mktemp("ended"), "30 steps")


@pytest.mark.parametrize(
    ("sections", "duration", "told"),
    [
        (
            {"optimizer": {"schedule": {"kind": "cosine"}}},
            "50 steps",
            "optimizer.schedule: 'cosine' is laid over",
        ),
        pytest.param(
            {"optimizer": {"schedule": {"kind": "linear"}}},
            "50 steps",
            "optimizer.schedule: 'linear'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"optimizer": {"schedule": {"kind": "one_cycle"}}},
            "50 steps",
            "optimizer.schedule: 'one_cycle'",
            marks=pytest.mark.slow,
        ),
        ({}, "20 steps", "has taken 30 steps already"),
        (
            {"training": {"select": "best", "evaluate_every": "8 steps"}},
            "50 steps",
            "evaluation at the end, step 30",
        ),
    ],
)
def test_a_run_that_began_otherwise_is_refused_with_the_reason(sections, duration, told, tmp_path):
    short = made(tmp_path, "30 steps", **sections)
    before = (short.folder / "config.toml").read_text()
    with pytest.raises(ConfigError) as error:
        resume(short.folder, [f"training.duration='{duration}'"])
    assert told in str(error.value)
    assert (short.folder / "config.toml").read_text() == before
    assert not (short.folder / "extended.json").exists()


def test_other_options_cannot_be_given(ended):
    with pytest.raises(ConfigError, match="optimizer.learning_rate: a run cannot be resumed with another"):
        resume(ended.folder, ["optimizer.learning_rate=0.5"])
    resume(ended.folder, ["checkpoint.keep=3", "devices.strategy='single'"])


EDITS = {
    "training": {"batch_size": 32},
    "optimizer": {"learning_rate": 0.5},
    "model": {"activation": "tanh"},
    "data": {"n": 61},
    "seed": 4,
}


@pytest.mark.parametrize("section", EDITS)
@pytest.mark.parametrize("use", [resume, open_run])
def test_an_edited_config_is_refused_with_what_differs(section, use, ended):
    path = ended.folder / "config.toml"
    before = path.read_text()
    edit = EDITS[section]
    raw = RunFolder(ended.folder).config().model_dump(mode="json", exclude_none=True)
    raw[section] = edit if section == "seed" else raw[section] | edit
    path.write_text(to_toml(parse(raw)))
    try:
        with pytest.raises(ConfigError, match="is not what the run was made with") as error:
            use(ended.folder)
    finally:
        path.write_text(before)
    option = section if section == "seed" else f"{section}.{next(iter(edit))}"
    assert f"{option}: got " in str(error.value)
    assert "is trained for longer by: dlnotes resume" in str(error.value)
    assert len(error.value.problems) == 1


def test_what_does_not_change_the_training_may_be_edited(ended):
    path = ended.folder / "config.toml"
    before = path.read_text()
    path.write_text(before.replace("keep = 2", "keep = 4").replace('name = "tiny"', 'name = "other"'))
    try:
        assert resume(ended.folder).states[0].step == 30
    finally:
        path.write_text(before)


def test_checkpoints_of_older_versions_are_not_compared(ended, monkeypatch):
    monkeypatch.setattr("dlnotes.training.checkpoints.Checkpoints.newest_extra", lambda self: {})
    assert resume(ended.folder).states[0].step == 30


def test_an_edited_swept_run_is_refused(tmp_path):
    sweep = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.01, 0.02]}}
    result = run(small(tmp_path, "4 steps", sweep=sweep))
    path = result.folder / "config.toml"
    path.write_text(path.read_text().replace("0.02", "0.03"))
    with pytest.raises(ConfigError, match=r"sweep.parameters.optimizer.learning_rate: got \[0.01, 0.03\]"):
        open_run(result.folder)


def test_the_log_of_an_extended_run_has_its_own_spacing_from_then_on(tmp_path):
    """Without training.log_every a longer run writes fewer lines; those there are stay."""
    short = run(parse(tiny(tmp_path, training={"duration": "30 steps", "log_every": None, "seeds": 1})))
    before = [r for r in read_metrics(short.folder / "metrics.jsonl") if r["split"] == "train"]
    resume(short.folder, ["training.duration='120 steps'"])
    after = [r for r in read_metrics(short.folder / "metrics.jsonl") if r["split"] == "train"]
    assert after[: len(before)] == before
    assert np.all(np.diff([r["step"] for r in after]) > 0)
    assert read_json(short.folder / "extended.json")[0]["to"] == "120 steps"
