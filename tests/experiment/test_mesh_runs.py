"""Runs on a mesh of several axes: resumed bit for bit, resumed elsewhere, evaluated and predicted."""

import shutil

import chex
import jax
import numpy as np
import pytest
from test_checkpoint_recovery import TOGETHER, close_end, finish, only_run, start, start_together, write
from test_run import equal, interrupting, lines

from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.placing import inference_placement
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import Interrupted, open_run, resume, run
from dlnotes.training.state_files import MANIFEST

SECTIONS = {
    "model": {"kind": "mlp", "widths": [64, 32], "dropout": 0.2},
    "training": {"seeds": 2, "early_stopping": {"patience": 50}, "evaluate_every": "5 steps"},
    "data": {"kind": "two_moons", "n": 60, "validation": 0.2},
}
MESH = {"strategy": "auto", "mesh": {"data": 2, "model": 2}}


@pytest.fixture(scope="module")
def on_mesh(tmp_path_factory):
    from tiny_run import tiny

    from dlnotes.config import parse

    folder = tmp_path_factory.mktemp("mesh") / "runs"
    return run(parse(tiny(folder, **SECTIONS, devices=MESH)))


def close(got, expected, tolerance=2e-4):
    """Adam divides by the root of a square, which makes rounding larger."""
    chex.assert_trees_all_close(got, expected, rtol=tolerance, atol=tolerance)


def test_it_ends_as_on_one_device(on_mesh, config):
    alone = run(config(**SECTIONS))
    close(on_mesh.states[0].members.params, alone.states[0].members.params)
    close(on_mesh.states[0].members.best.params, alone.states[0].members.best.params)
    assert on_mesh.summary["placement"] == ["mesh of 4 cpu devices, data 2, model 2"]
    part, whole = (r.summary["state_bytes_per_device"][0] for r in (on_mesh, alone))
    assert part < 0.75 * whole


def test_interrupted_and_resumed_is_undisturbed(on_mesh, config, monkeypatch):
    watch = interrupting(monkeypatch, 7)
    with pytest.raises(Interrupted) as stopped:
        run(config(**SECTIONS, devices=MESH), watch=watch)
    monkeypatch.undo()
    result = resume(stopped.value.folder)
    equal(result.states, on_mesh.states)
    assert lines(stopped.value.folder) == lines(on_mesh.folder)


@pytest.mark.parametrize(
    "devices",
    [
        pytest.param(["devices.mesh={members=2,fsdp=2,model=2}"], marks=pytest.mark.slow),
        pytest.param(["devices.mesh={data=4,fsdp=2}"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_another_mesh_goes_on(devices, on_mesh, config, monkeypatch):
    watch = interrupting(monkeypatch, 7)
    with pytest.raises(Interrupted) as stopped:
        run(config(**SECTIONS), watch=watch)
    monkeypatch.undo()
    result = resume(stopped.value.folder, ["devices.strategy='mesh'", *devices])
    close(result.states[0].members.params, on_mesh.states[0].members.params)


def test_it_is_used_on_its_mesh(on_mesh, tmp_path):
    members = open_run(on_mesh.folder).state.members
    assert inference_placement(on_mesh.config).describe() == "mesh of 4 cpu devices, data 2, model 2"
    found = evaluate_run(on_mesh.folder)
    for name, value in on_mesh.metrics["test"].items():
        np.testing.assert_allclose(found[name]["mean"], value["mean"], rtol=1e-5)
    x = on_mesh.dataset.test.x
    np.save(tmp_path / "x.npy", x)
    predict_run(on_mesh.folder, tmp_path / "x.npy", output=tmp_path / "out.csv")
    written = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True)
    assert len(written) == len(x)
    assert isinstance(jax.tree.leaves(members)[0], np.ndarray)


@pytest.mark.slow
@pytest.mark.parametrize(("mesh", "resident"), [({"model": 4}, "auto"), ({"data": 2, "fsdp": 2}, "no")])
def test_two_processes_share_a_state(mesh, resident, tmp_path):
    sections = TOGETHER | {"model": {"kind": "mlp", "widths": [64, 32]}}
    path, alone = write(tmp_path / "one", **sections | {"devices": {"strategy": "single"}})
    finish(start("run", path, "-q"))
    path, shared = write(
        tmp_path / "two", **sections | {"devices": {"strategy": "mesh", "mesh": mesh, "resident": resident}}
    )
    for process in start_together("run", path, 2, devices=2):
        finish(process)
    close_end(only_run(shared), only_run(alone))
    folder = only_run(shared) / "checkpoints"
    steps = sorted((int(p.name) for p in folder.iterdir()), reverse=True)
    assert {p.name for p in (folder / str(steps[0])).iterdir()} == {"part-0-of-2", "part-1-of-2"}
    shutil.rmtree(folder / str(steps[0]))
    finish(start("resume", only_run(shared), "devices.mesh={members=1,data=1,fsdp=1,model=1}"))  # alone
    assert (folder / str(steps[0]) / MANIFEST).is_file()
    close_end(only_run(shared), only_run(alone))
    said = [finish(p) for p in start_together("evaluate", only_run(shared), 2, devices=2, options=())]
    (loss,) = [line for line in said[0].splitlines() if line.startswith("test loss")]
    assert loss in finish(start("evaluate", only_run(alone)))
