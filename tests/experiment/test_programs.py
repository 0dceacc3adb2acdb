"""Programs of a run that the next run loads: the same numbers bit for bit, and only where files say all."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes import data, models
from dlnotes.config import parse
from dlnotes.devices import program_store
from dlnotes.experiment.groups import groups
from dlnotes.experiment.run import resume, run
from dlnotes.experiment.setup import prepare


@pytest.fixture
def made(monkeypatch):
    """How many programs were compiled to be kept."""
    found, compile_and_write = [], program_store.compile_and_write

    def counted(lowered):
        found.append(1)
        return compile_and_write(lowered)

    monkeypatch.setattr(program_store, "compile_and_write", counted)
    return found


def config(folder, **sections):
    return tiny(folder) | {"model": {"kind": "mlp", "widths": [5]}} | sections


def equal(one, other):
    for a, b in zip(*(jax.tree.leaves(r.states[0].members.params) for r in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.metrics == other.metrics


@pytest.mark.parametrize("devices", [{"strategy": "single"}, {"strategy": "mesh"}])
def test_the_second_run_makes_none_and_gives_the_same_bits(tmp_path, made, devices):
    first = run(parse(config(tmp_path / "a", devices=devices)))
    count = len(made)
    assert count >= 2  # the steps, the evaluation
    second = run(parse(config(tmp_path / "b", name="another", devices=devices)))  # another folder and name
    assert len(made) == count
    equal(first, second)


def test_a_resumed_run_loads_them_and_goes_on_bit_for_bit(tmp_path, made):
    training = {"duration": "12 steps", "batch_size": 16, "seeds": 2}
    whole = run(parse(config(tmp_path / "a", training=training)))
    begun = run(parse(config(tmp_path / "b", training=training | {"duration": "5 steps"})))
    equal(whole, resume(begun.folder, ["training.duration='12 steps'"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"kind": "mlp", "widths": [5], "activation": "tanh"}},
        {"optimizer": {"kind": "sgd", "learning_rate": 0.1}},
        {"data": {"kind": "two_moons", "n": 120, "noise": 0.2}},
    ],
)
def test_another_config_makes_its_own(tmp_path, made, changed):
    base = {"data": {"kind": "two_moons", "n": 120}, "optimizer": {"kind": "adam", "learning_rate": 0.1}}
    run(parse(config(tmp_path / "a", **base)))
    count = len(made)
    run(parse(config(tmp_path / "b", **base | changed)))
    assert len(made) > count


def test_of_ones_own_network_or_data_none_is_kept(tmp_path, made):
    raw = parse(config(tmp_path / "a"))
    dataset = data.two_moons(n=100)
    run(raw, dataset=dataset)
    run(parse(config(tmp_path / "b", model={"kind": "given"})), model=models.mlp(2, (3,), 2), dataset=dataset)
    assert not made


def test_a_setup_with_functions_of_its_own_shares_no_program(tmp_path):
    """The key names the config, which does not know of them."""
    raw = parse(config(tmp_path / "a"))
    (group,) = groups(raw)
    setup = prepare(group, data.two_moons(n=60), described=True)
    assert setup.described
    assert not replace(setup, recipe_of=lambda hyper: setup.recipe_of(hyper)).described
    assert not prepare(group, data.two_moons(n=60)).described
