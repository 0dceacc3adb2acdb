"""Plans, against what runs have and against sums done by hand."""

import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, load, parse
from dlnotes.data.download import DataNotFound
from dlnotes.devices.chips import CHIPS, topology
from dlnotes.devices.mesh import bytes_per_device
from dlnotes.experiment.placing import placement_of
from dlnotes.experiment.plan import plan, setups
from dlnotes.experiment.planned_program import NotCompiled, compile_here, compiled_elsewhere
from dlnotes.experiment.trainer import Trainer
from dlnotes.training.loader import size_of

ROOT = Path(__file__).parents[2]
CONFIGS = [p for p in sorted((ROOT / "configs").rglob("*.toml")) if "experiment =" not in p.read_text()]
WIDTHS = [20, 30]


def config(**sections):
    base = {
        "data": {"kind": "digits"},
        "model": {"kind": "mlp", "widths": WIDTHS},
        "optimizer": {"kind": "adam"},
        "training": {"duration": "4 steps", "batch_size": 32},
    }
    return parse({k: base.get(k, {}) | sections.get(k, {}) for k in base | sections})


def planned(on="v5e:2x2", **sections):
    (setup,) = setups(config(**sections))
    return plan(setup, topology(on))


def parameters(widths):
    sizes = [64, *widths, 10]
    return sum((a + 1) * b for a, b in pairwise(sizes))


def test_sums_by_hand():
    found = planned(devices={"strategy": "mesh"})
    sizes = [64, *WIDTHS, 10]
    products = [a * b for a, b in pairwise(sizes)]
    # Forward, by the weights, and by the activations before them, of which the inputs need none.
    assert found.work.multiply_adds == 32 * (3 * sum(products) - products[0])
    assert found.work.activations == 4 * 32 * sum(sizes[1:])
    assert found.parameters == parameters(WIDTHS)
    assert found.work.gradient == 4 * parameters(WIDTHS)
    assert (found.chips, found.rows, found.members, found.batch) == (4, 8, 1, 32)
    assert found.work.loops == 0
    np.testing.assert_allclose(
        found.step.interconnect, topology("v5e:2x2").all_reduce(4 * parameters(WIDTHS))
    )
    np.testing.assert_allclose(
        found.step.products, 2 * found.work.multiply_adds / 4 / CHIPS["v5e"].products["float32"]
    )


@pytest.mark.parametrize("seeds", [1, 8])
def test_memory_is_what_a_run_has_there(seeds):
    made = config(training={"seeds": seeds}, devices={"strategy": "auto"})
    (setup,) = setups(made)
    found = plan(setup, topology("cpu:8"))
    trainer = Trainer(setup, placement_of(setup, jax.devices()[:8]))
    assert len(trainer.placement.devices) == found.chips == (8 if seeds == 8 else 1)
    state = trainer.initial()
    assert found.needed.state == size_of(state.members) / found.chips
    assert found.needed.data == size_of(setup.dataset.train)
    program = compile_here(made, topology("cpu:8"), 0)
    own = found.needed.state + found.needed.data
    assert own <= program["memory"]["arguments"] <= own + 100  # the numbers of steps
    assert program["collectives"] == {}


@pytest.mark.parametrize("mesh", [{"fsdp": 2, "model": 2}, {"members": 2, "data": 2}], ids=str)
def test_a_mesh_is_planned_as_it_is_run(mesh):
    made = config(training={"seeds": 2}, devices={"mesh": mesh})
    (setup,) = setups(made)
    found = plan(setup, topology("cpu:8"))
    trainer = Trainer(setup, placement_of(setup, jax.devices()[:8]))
    assert found.chips == 4
    assert found.rows == 16
    assert found.members_here == 2 // mesh.get("members", 1)
    assert found.needed.state == bytes_per_device(trainer.initial().members)
    program = compile_here(made, topology("cpu:8"), 0)
    own = found.needed.state + found.needed.data
    assert own <= program["memory"]["arguments"] <= own + 100


def test_a_state_that_is_divided_may_fit_where_a_whole_one_does_not(file):
    options = ("--on", "v5e:2x2", "--no-compile", "model.widths=[50000,50000]")
    done = run(file, *options)
    assert done.exit_code == 1
    assert "devices.mesh = {model = 4}" in done.output
    assert run(file, *options, "devices.mesh={fsdp=2}").exit_code == 1  # the largest array is gathered
    assert run(file, *options, "devices.mesh={model=4}").exit_code == 0


def test_the_program_is_the_one_that_a_run_would_compile():
    made = config(devices={"strategy": "mesh"})
    program = compile_here(made, topology("cpu:4"), 0)
    sent = program["collectives"].pop("all-reduce")
    assert not program["collectives"]
    assert 4 * parameters(WIDTHS) <= sent["bytes"] <= 4 * parameters(WIDTHS) + 100


def test_a_batch_is_worth_dividing_when_it_is_large():
    small = planned("v5e:4x4")
    assert min(small.ways, key=small.ways.get) == 1
    (advice,) = small.advice
    assert "a batch of 32 is not worth dividing by more than 1" in advice
    large = planned("v5e:2x2", model={"widths": [4000, 4000]}, training={"batch_size": 100_000})
    assert large.batch < 2000  # there are no more digits
    assert large.step.limit in ("memory", "interconnect")


def test_seeds_are_divided_first():
    found = planned("v5e:2x2", training={"seeds": 8})
    assert found.rows == 32
    assert found.step.interconnect == 0
    assert "4 tpu devices" in found.placement[0]
    assert "divided first" in found.placement[1]


def test_hosts_stream_their_data():
    found = planned("v5e:4x4")
    assert not found.resident
    assert found.needed.data < size_of(setups(config())[0].dataset.train)


@pytest.mark.slow
def test_a_recurrent_net_waits_for_its_loops():
    (setup,) = setups(load(ROOT / "configs" / "families" / "lstm_reber.toml"))
    found = plan(setup, topology("v5e:1x1"))
    assert found.step.limit == "loops"
    assert found.work.loops >= 2 * setup.dataset.train.mask.shape[1]


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\nkind = "digits"\n[model]\nkind = "mlp"\nwidths = [20, 30]\n')
    return path


def test_the_command_says_what_fits(file):
    done = run(file, "--on", "v5e:2x2", "--no-compile")
    assert done.exit_code == 0, done.output
    for words in ("4 TPU v5e", "fits", "examples/s", "batch divided  1: "):
        assert words in done.output
    (found,) = json.loads(run(file, "--on", "v6e:2x4", "--no-compile", "--json").output)
    assert found["topology"] == "v6e:2x4"
    assert found["fits"]
    assert found["needed"]["total"] == sum(found["needed"][k] for k in ("state", "data", "temporary", "code"))
    assert found["step"]["limit"] in found["step"]


def test_what_does_not_fit_is_told_with_a_way_out(file):
    done = run(file, "--on", "v5e:2x2", "--no-compile", "model.widths=[60000,60000]")
    assert done.exit_code == 1
    assert "DOES NOT FIT" in done.output
    assert "the state and gradient of one training are larger than a chip" in done.output
    done = run(file, "--on", "v5e:1x1", "--no-compile", "training.seeds=100", "model.widths=[5000,5000]")
    assert done.exit_code == 1
    assert "fewer trainings at once: " in done.output


def test_wrong_arguments(file, monkeypatch):
    done = run(file, "--on", "v9:4")
    assert done.exit_code == 2
    assert "known chips are" in done.output
    monkeypatch.setattr("dlnotes.devices.absent.find_spec", lambda name: None)
    done = run(file, "--on", "h100:8")
    assert done.exit_code == 2
    assert "dlnotes[cuda]" in done.output
    assert "--no-compile" in done.output


@pytest.mark.slow
def test_a_compiler_that_takes_too_long_is_stopped():
    with pytest.raises(NotCompiled, match=r"stopped after 1 s \(--limit\)"):
        compiled_elsewhere(config(), topology("cpu:2"), 0, 1)
    with pytest.raises(NotCompiled, match="failed"):
        compiled_elsewhere(config(), topology("cpu:2"), 7, 100)
    assert compiled_elsewhere(config(), topology("cpu:2"), 0, 100)["memory"]["arguments"] > 0


def setups_or_skip(made):
    """The groups of a config; a test that needs data that are not here is skipped."""
    try:
        return setups(made)
    except ConfigError as error:
        if isinstance(error.__cause__, DataNotFound):
            pytest.skip(str(error.__cause__))
        raise


@pytest.mark.slow
@pytest.mark.parametrize("on", ["v5e:4x4", "h100:8"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_is_planned(path, on):
    for one in (plan(setup, topology(on)) for setup in setups_or_skip(load(path))):
        assert one.needed.fits
        assert one.step.seconds > 0
        assert one.parameters > 0


COMPILED = ("mlp_breast_cancer", "lstm_reber", "grid_digits")


@pytest.mark.skipif(not find_spec("libtpu"), reason="libtpu is not installed (the extra tpu)")
@pytest.mark.parametrize(
    "path",
    [p if p.stem in COMPILED else pytest.param(p, marks=pytest.mark.slow) for p in CONFIGS],
    ids=lambda p: p.stem,
)
def test_the_compiler_for_tpus_agrees(path):
    made = load(path, ["devices.strategy='mesh'"])
    (setup, *_) = setups_or_skip(made)
    program = compiled_elsewhere(made, topology("v5e:2x2"), 0, 600)
    found = plan(setup, topology("v5e:2x2"), program)
    own = found.needed.state + (found.needed.data if found.resident else 0)
    assert program["memory"]["arguments"] >= own
    if "each batch" in found.placement[0]:
        assert program["collectives"]["all-reduce"]["bytes"] >= found.work.gradient


class Elsewhere(NamedTuple):
    """A device that is not here."""

    platform: str
    device_kind: str
    id: int
    process_index: int = 0


LARGE = {
    "training": {"duration": "4 steps", "batch_size": 800},
    "model": {"kind": "mlp", "widths": [60000]},
}


@pytest.mark.parametrize(
    ("sections", "used"),
    [
        ({}, [1]),  # 20 and 30 units: adding up costs more than a chip saves
        (LARGE, [4, 8]),
        ({"devices": {"count": 2, "strategy": "mesh"}}, [2]),
        (LARGE | {"devices": {"count": 2}}, [2]),
        ({"training": {"duration": "4 steps", "batch_size": 32, "seeds": 8}}, [8]),
    ],
)
@pytest.mark.parametrize("kind", ["TPU v5 lite", "NVIDIA H100 80GB HBM3"])
def test_auto_takes_as_many_as_make_a_step_faster(sections, used, kind):
    (setup,) = setups(config(**sections))
    platform = "tpu" if kind.startswith("TPU") else "gpu"
    found = placement_of(setup, [Elsewhere(platform, kind, i) for i in range(8)])
    assert len(found.devices) in used


def test_seeds_are_divided_over_processes_where_they_come_out_even():
    for seeds, expected in ((8, (8, 1, 1, 1)), (6, None)):
        (setup,) = setups(config(training={"seeds": seeds}))
        found = placement_of(setup, [Elsewhere("gpu", "NVIDIA H100", i, i // 4) for i in range(8)])
        assert getattr(found, "sizes", None) == expected
        assert found.processes == 2
        assert plan(setup, topology("h100:2x4")).members_here == (1 if expected else seeds)
