"""The config: every mistake is answered with path, value and what is allowed, all at once."""

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from inspect import signature
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlnotes.config import (
    ConfigError,
    dynamic_paths,
    is_claim,
    json_schema,
    load,
    parse,
    read_raw,
    to_toml,
)
from dlnotes.config.data import Data
from dlnotes.config.fields import OwnSplit, steps_in
from dlnotes.data import source

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.toml"))
BASE = {"data": {"kind": "digits"}, "model": {"kind": "mlp"}}


def problems(raw):
    with pytest.raises(ConfigError) as error:
        parse(raw)
    return error.value.problems


def wrong(**sections):
    raw = {k: dict(v) for k, v in BASE.items()}
    for section, options in sections.items():
        raw[section] = raw.get(section, {}) | options if isinstance(options, dict) else options
    return raw


WRONG = {
    "unknown option": (
        wrong(model={"widht": [3]}),
        ["model.widht", "[3]", "did you mean 'widths'", "allowed:"],
    ),
    "unknown section": (wrong(optimiser={}), ["optimiser", "did you mean 'optimizer'", "training"]),
    "unknown kind": (wrong(model={"kind": "mpl"}), ["model.kind", "'mpl'", "did you mean 'mlp'", "tree_net"]),
    "kind missing": ({"data": {}, "model": {"kind": "mlp"}}, ["data.kind", "missing"]),
    "section missing": ({"data": {"kind": "digits"}}, ["model", "missing"]),
    "not in list": (
        wrong(optimizer={"kind": "adm"}),
        ["optimizer.kind", "'adm'", "did you mean 'adam'", "sgd"],
    ),
    "type": (wrong(training={"batch_size": "many"}), ["training.batch_size", "'many'", "integer"]),
    "too small": (
        wrong(training={"batch_size": 0}),
        ["training.batch_size", "got 0", "greater than or equal to 1"],
    ),
    "too large": (wrong(model={"dropout": 1.0}), ["model.dropout", "got 1.0", "less than 1"]),
    "not finite": (wrong(optimizer={"learning_rate": float("nan")}), ["optimizer.learning_rate", "nan"]),
    "in a list": (
        wrong(model={"widths": [4, -1]}),
        ["model.widths[1]", "got -1", "greater than or equal to 1"],
    ),
    "duration": (wrong(training={"duration": "ten"}), ["training.duration", "'ten'", "10 epochs"]),
    "no duration": (wrong(training={"duration": 0}), ["training.duration", "got 0", "positive"]),
    "half a step": (wrong(training={"duration": "1.5 steps"}), ["training.duration", "whole"]),
    "schedule": (
        wrong(optimizer={"schedule": {"kind": "cosine", "finale": 1}}),
        ["optimizer.schedule.finale", "did you mean 'final'"],
    ),
    "accumulate": (
        wrong(training={"batch_size": 10, "accumulate": 3}),
        ["training", "got 3", "divide batch_size 10"],
    ),
    "option of another optimizer": (
        wrong(optimizer={"kind": "sgd", "b1": 0.9}),
        ["optimizer", "b1 does not apply to sgd", "momentum"],
    ),
    "nesterov alone": (wrong(optimizer={"kind": "sgd", "nesterov": True}), ["nesterov needs momentum"]),
    "ramp alone": (
        wrong(optimizer={"kind": "sgd", "momentum_ramp": {"final": 0.9, "over": 5}}),
        ["momentum_ramp needs momentum"],
    ),
    "family and data": (
        wrong(model={"kind": "seq2seq"}),
        ["model.kind", "'seq2seq'", "'digits'", "allowed: linear, mlp, maxout_mlp"],
    ),
    "augmenting tables": (
        {"data": {"kind": "two_moons"}, "model": {"kind": "mlp"}, "augment": {"shift": 1}},
        ["augment", "two_moons", "vector"],
    ),
    "erasing everything": (wrong(augment={"erase": 1.0}), ["augment.erase", "got 1.0", "less than 1"]),
    "best without validation": (
        wrong(data={"validation": 0}, training={"select": "best"}),
        ["data.validation", "select = 'best'"],
    ),
    "sweep of nothing": (
        wrong(sweep={"kind": "grid", "parameters": {"model.wdths": [[1]]}}),
        ["sweep.parameters.model.wdths", "did you mean 'widths'"],
    ),
    "sweep value": (
        wrong(sweep={"kind": "grid", "parameters": {"model.dropout": [0.1, 2.0]}}),
        ["sweep.parameters.model.dropout", "got 2.0", "less than 1"],
    ),
    "sweep empty": (
        wrong(sweep={"kind": "grid", "parameters": {"model.dropout": []}}),
        ["sweep.parameters.model.dropout", "empty"],
    ),
    "sweep of what does not train": (
        wrong(sweep={"kind": "grid", "parameters": {"output.directory": ["a"]}}),
        ["sweep.parameters.output.directory", "cannot be swept"],
    ),
    "range": (
        wrong(sweep={"kind": "random", "parameters": {"model.dropout": {"low": 0.5, "high": 0.1}}}),
        ["low", "0.5", "below high 0.1"],
    ),
    "name": (wrong(name="a/b"), ["name", "'a/b'"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_answered_with_path_value_and_allowed(name):
    raw, words = WRONG[name]
    (line,) = problems(raw)
    assert all(word in line for word in words), line
    assert "\n" not in line
    assert "pydantic" not in line


def test_all_mistakes_come_at_once():
    raw = wrong(
        data={"test": -1},
        model={"widht": [3], "dropout": 2},
        optimizer={"kind": "adm", "schedule": {"kind": "cos"}},
        training={"batch_size": 0, "seeds": "x"},
        color="red",
    )
    found = problems(raw)
    starts = [line.split(":")[0] for line in found]
    assert starts == [
        "data.test", "model.dropout", "model.widht", "optimizer.kind", "optimizer.schedule.kind",
        "training.batch_size", "training.seeds", "color",
    ] or sorted(starts) == sorted([
        "data.test", "model.dropout", "model.widht", "optimizer.kind", "optimizer.schedule.kind",
        "training.batch_size", "training.seeds", "color",
    ])  # fmt: skip


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "quickstart.toml").write_text("[data\n")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    for name, words in {
        "quikstart.toml": ["no such file", "did you mean", "quickstart.toml"],
        "quickstart.toml": ["is not TOML", "line 1"],
        "latin.toml": ["is not UTF-8"],
        "": ["is a folder"],
    }.items():
        with pytest.raises(ConfigError) as error:
            load(tmp_path / name)
        assert all(w in str(error.value) for w in [*words, str(tmp_path)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\nkind = "digits"\n[model]\nkind = "mlp"\n')
    return path


def test_overrides(file):
    config = load(
        file,
        ["model.widths=[3, 4]", "optimizer.kind=sgd", "optimizer.learning_rate = 1e-2",
         "training.duration=5 epochs", "data.standardize=false", "augment.shift=1", 'name="other"'],
    )  # fmt: skip
    assert config.model.widths == (3, 4)  # pyright: ignore[reportAttributeAccessIssue]
    assert (config.optimizer.kind, config.optimizer.learning_rate) == ("sgd", 0.01)
    assert config.training.duration == "5 epochs"
    assert config.data.standardize is False  # pyright: ignore[reportAttributeAccessIssue]
    assert config.augment is not None
    assert config.augment.shift == 1
    assert config.name == "other"
    assert load(file).name == "mine"


@pytest.mark.parametrize(
    ("override", "word"),
    [("model.width", "must look like"), ("=3", "must look like"), ("model..w=3", "must look like"),
     ("model.kind.x=3", "kind is a value, not a section"), ("model.widhts=[1]", "did you mean 'widths'")],
)  # fmt: skip
def test_wrong_overrides(file, override, word):
    with pytest.raises(ConfigError, match=re.escape(word)):
        load(file, [override])


@cache
def schema_checker():
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_are_good_and_fit_the_schema(path):
    if not is_claim(read_raw(path)):  # those of claims are opened by test_cli
        config = load(path)
        assert parse(tomllib.loads(to_toml(config))) == config
    schema_checker().validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_open_with_a_card(path):
    lines = path.read_text().splitlines()
    schema = re.fullmatch(r"#:schema (\S+)", lines[0])
    assert schema, "the first line must be #:schema"
    assert (path.parent / schema[1]).resolve() == (ROOT / "configs" / "schema.json").resolve()
    card = "\n".join(line for line in lines[1:15] if line.startswith("#"))
    for word in ("Shows:", "Data:", "Cost:", "Expected:"):
        assert word in card, word


def test_there_are_shipped_configs():
    assert CONFIGS


def test_the_shipped_schema_is_up_to_date():
    """Refresh it with: dlnotes schema --output configs/schema.json"""
    assert json.loads((ROOT / "configs" / "schema.json").read_text()) == json.loads(json.dumps(json_schema()))


def test_the_schema_is_a_schema_and_refuses_what_we_refuse():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert checker.is_valid(BASE | {"training": {"duration": 500}})
    for raw in (
        "unknown option",
        "unknown section",
        "unknown kind",
        "not in list",
        "too small",
        "in a list",
        "duration",
    ):
        assert not checker.is_valid(WRONG[raw][0]), raw


def test_toml_round_trip_of_everything():
    raw = wrong(
        optimizer={
            "kind": "sgd", "momentum": 0.5, "nesterov": True,
            "momentum_ramp": {"final": 0.99, "over": "3 epochs"},
            "schedule": {"kind": "step", "boundaries": [10, "2 epochs"], "factor": 0.3, "warmup": 5},
            "learning_rate": 3.3e-7, "clip_norm": 1,
        },
        training={"early_stopping": {"patience": 2}, "duration": "1.5 epochs", "max_norm": 3},
        augment={"erase": 0.2},
        sweep={"kind": "random", "parameters": {
            "optimizer.learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
            "model.widths": [[3], [4, 5]]}},
    )  # fmt: skip
    config = parse(raw)
    assert parse(tomllib.loads(to_toml(config))) == config
    assert to_toml(parse(tomllib.loads(to_toml(config)))) == to_toml(config)


def test_nothing_changes_after_reading():
    with pytest.raises(ValueError, match="frozen"):
        parse(BASE).training.seeds = 3


@pytest.mark.parametrize(
    ("text", "steps"),
    [(500, 500), ("500 steps", 500), ("1 step", 1), ("2 epochs", 14), ("0.5 epochs", 4), ("100 examples", 7),
     ("1 example", 1), ("250 examples", 18), (" 3  epochs ", 21)],
)  # fmt: skip
def test_durations(text, steps):
    duration = parse(wrong(training={"duration": text})).training.duration
    assert steps_in(duration, steps_per_epoch=7, examples_per_epoch=100) == steps


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=12) | st.integers() | st.booleans() | st.floats() | st.none() | st.lists(st.integers())
)
def test_no_duration_escapes_as_another_error(value):
    try:
        duration = parse(wrong(training={"duration": value})).training.duration
    except ConfigError:
        return
    assert steps_in(duration, 7, 100) >= 1


def test_numbers_that_may_be_traced_are_marked():
    paths = dynamic_paths(parse(wrong(optimizer={"kind": "sgd"})))
    assert {
        "model.dropout",
        "model.init_scale",
        "optimizer.learning_rate",
        "training.label_smoothing",
    } <= paths
    assert not paths & {"model.widths", "training.batch_size", "seed"}


def test_reading_a_config_does_not_load_jax():
    code = (
        "import sys; from dlnotes.config import load, json_schema, to_toml\n"
        f"c = load({str(ROOT / 'configs' / 'quickstart.toml')!r}); to_toml(c); json_schema()\n"
        "loaded = {'jax', 'flax', 'orbax', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("section", get_args(get_args(Data)[0]), ids=lambda s: s.__name__)
def test_a_source_takes_all_that_its_section_offers(section):
    kind = section.model_fields["kind"].annotation.__args__[0]
    offered = set(section.model_fields) - {"kind"}
    if issubclass(section, OwnSplit):
        offered -= {"test_path"}  # see `dlnotes.data.test_file`, for all of them
    assert offered <= set(signature(source(kind)).parameters), kind


def test_older_names_are_read_as_they_are_meant():
    """Configs and run folders from before an option or a kind was renamed."""
    masks = {"data": {"kind": "scenes"}, "model": {"kind": "pixel_labeller"}}
    assert parse(masks).model.kind == "pixel_labeler"
    assert masks["model"]["kind"] == "pixel_labeller"  # the mapping that was given is left as it is
    labels = {"data": {"kind": "copy_memory"}, "model": {"kind": "sequence_labeller"}}
    assert parse(labels).model.kind == "sequence_labeler"
    trees = {"data": {"kind": "sst", "least": 4, "measured": "nodes"}, "model": {"kind": "tree_net"}}
    now = parse(trees, ["data.least=5"])
    assert (now.data.min_count, now.data.eval_targets) == (5, "nodes")
    assert "least" not in to_toml(now)
