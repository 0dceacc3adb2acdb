"""A state over several devices: the same trajectory, less of it on each. SGD, as in test_placement."""

import tomllib
from pathlib import Path

import jax
import pytest
from test_placement import BASE, merged, same, train

from dlnotes import data
from dlnotes.config import ConfigError, parse
from dlnotes.devices.mesh import bytes_per_device, place_on_mesh, spec_of
from dlnotes.devices.placement import place
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.trainer import Trainer

CONFIGS = Path(__file__).parents[2] / "configs/families"
WIDE = {"model": {"kind": "mlp", "widths": [64, 32], "dropout": 0.3}}


@pytest.fixture(scope="module")
def digits():
    whole = data.digits(test=40, validation=37)
    train = whole.train._replace(x=whole.train.x[:61], y=whole.train.y[:61])
    return whole.__class__(**{**whole.__dict__, "train": train})


@pytest.fixture(scope="module")
def alone(digits):
    return {seeds: train(digits, place("single", members=seeds), **of(seeds)) for seeds in (1, 2)}


def of(seeds, **training):
    return WIDE | {"training": BASE["training"] | {"seeds": seeds} | training}


@pytest.mark.parametrize(
    ("sizes", "seeds"),
    [
        ({"model": 2}, 1),
        ({"data": 2, "model": 2}, 1),
        ({"fsdp": 4}, 1),
        ({"members": 2, "data": 2, "model": 2}, 2),
        pytest.param({"data": 4, "model": 2}, 1, marks=pytest.mark.slow),
        pytest.param({"data": 2, "fsdp": 2, "model": 2}, 1, marks=pytest.mark.slow),
        pytest.param({"members": 2, "fsdp": 2, "model": 2}, 2, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_mesh_changes_nothing(sizes, seeds, digits, alone):
    same(train(digits, place_on_mesh(sizes, members=seeds), **of(seeds)), alone[seeds])


def test_streamed_batches_lie_over_the_mesh(digits, alone):
    sizes = {"data": 2, "fsdp": 2, "model": 2}
    same(train(digits, place_on_mesh(sizes, members=1), **of(1), devices={"resident": "no"}), alone[1])


def trainer(dataset, placement, **sections):
    (group,) = groups(parse(merged(**WIDE | sections)))
    return Trainer(prepare(group, dataset), placement)


def test_each_device_holds_its_part(digits):
    whole = bytes_per_device(trainer(digits, place("single", members=1)).initial())
    state = trainer(digits, place_on_mesh({"data": 2, "model": 4}, members=1)).initial()
    held = bytes_per_device(state)
    # Two matrices of 64 × 64 and 64 × 32 numbers are divided, and their averages; the momentum of all
    # parameters is one vector of a length that 4 does not divide.
    divided = 2 * 4 * (64 * 64 + 64 * 32)
    assert held == whole - divided * 3 // 4
    own = trainer(digits, place_on_mesh({"model": 4}, members=1, rules={"params/hidden/*/W": ["", ""]}))
    assert bytes_per_device(own.initial()) == whole - divided // 2 * 3 // 4


def test_parameters_start_as_on_one_device(digits):
    found = trainer(digits, place_on_mesh({"model": 4}, members=1)).initial()
    same(jax.device_get(found), jax.device_get(trainer(digits, place("single", members=1)).initial()), 0)


@pytest.mark.parametrize(
    ("shape", "model", "fsdp", "expected"),
    [
        ((512, 512), 2, 1, (None, "model")),
        ((512, 100), 8, 1, ("model", None)),
        ((7, 9, 11, 13), 2, 1, ()),
        ((6, 1000), 3, 4, ("model", "fsdp")),
        ((1024, 6), 4, 8, (("model", "fsdp"), None)),
        ((31, 31), 31, 1, ()),
    ],
)
def test_the_rule(shape, model, fsdp, expected):
    assert tuple(spec_of(shape, model=model, fsdp=fsdp)) == expected


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            {"hidden/9/W": ["model"]},
            r"got 'hidden/9/W', which is no array's name; there are",
        ),
        (
            {"hidden/0/W": ["", "", "model"]},
            r"got .* for .*hidden/0/W, which has the 2 axes",
        ),
        ({"output/b": ["model"]}, r"got 'model' for an axis of 10 of .*output/b; the mesh's 4"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(rules, said, digits):
    with pytest.raises(ConfigError, match=said):
        trainer(digits, place_on_mesh({"model": 4}, members=1, rules=rules))


@pytest.mark.parametrize(
    ("sizes", "members", "said"),
    [
        ({"data": 3, "model": 3}, 1, "got data = 3, model = 3, which is 9 devices; there are 8"),
        ({"members": 2}, 3, "got members = 2, which does not divide 3 trainings"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(sizes, members, said):
    with pytest.raises(ValueError, match=said):
        place_on_mesh(sizes, members=members)


def test_every_process_takes_part():
    class Device:
        platform = "cpu"

        def __init__(self, i):
            self.id, self.process_index = i, i // 2

    with pytest.raises(ValueError, match="which is 2 devices; several processes use all 4"):
        place_on_mesh({"data": 2}, members=1, devices=[Device(i) for i in range(4)])


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ({"mesh": {"model": 2}, "strategy": "pmap"}, "strategy: got 'pmap'"),
        ({"mesh": {"model": 2}, "count": 2}, "count: got 2"),
        ({"sharding": {"w": ["model"]}}, r"needs? \[devices.mesh\]"),
        ({"mesh": {"model": 2}, "sharding": {"w": ["model", "model"]}}, "an axis can be named once"),
        ({"mesh": {"modl": 2}}, "modl"),
        ({"mesh": {"model": 0}}, "model"),
    ],
)
def test_a_config_that_says_two_things_is_refused(devices, said):
    with pytest.raises(ConfigError, match=said):
        parse(merged(devices=devices))


def test_names_of_the_state_can_be_used(digits):
    placement = place_on_mesh({"model": 4}, members=1, rules={"hidden/0/W": ["model"]})
    state = trainer(digits, placement).initial()
    specs = {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(a.sharding.spec)
        for path, a in jax.tree_util.tree_flatten_with_path(state)[0]
    }
    asked = [name for name in specs if name.endswith("hidden/0/W")]
    assert asked == ["members/params/hidden/0/W", "members/average/hidden/0/W"]
    assert all(specs[name][:2] == ("members", "model") for name in asked)
    assert specs["members/params/hidden/1/W"] == ("members", "model", None)


FAMILIES = (
    "conv2d_spectrogram",
    "maxout_digits",
    "lstm_characters",
    "attention_number_words",
    "tree_lstm_list_ops",
    "grid_digits",
    "refinement_digits",
    "rbf_digits",
    "lstm_reber",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_trained_as_on_one_device(name, monkeypatch):
    monkeypatch.setattr("dlnotes.devices.mesh.LEAST", 64)
    raw = tomllib.loads((CONFIGS / f"{name}.toml").read_text())
    raw["optimizer"] = {"kind": "sgd", "learning_rate": 0.01}
    raw["training"] |= {"duration": "4 steps", "seeds": 1, "evaluate_every": "4 steps"}
    raw["training"].pop("early_stopping", None)
    config = parse({k: v for k, v in raw.items() if k != "sweep"})
    (group,) = groups(config)
    setup = prepare(group, load_data(config))

    def end(placement):
        trained = Trainer(setup, placement).train(folder=None, watch=lambda p: None, stop=lambda: False)
        return trained.state, trained.state_bytes

    (alone, whole), (shared, part) = (
        end(p) for p in (place("single", members=1), place_on_mesh({"data": 2, "model": 2}, members=1))
    )
    same(shared, alone, 2e-5)
    assert part < 0.75 * whole
