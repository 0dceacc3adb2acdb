"""A run of a given flax network with batch statistics, from its start to its export."""

# pyright: reportArgumentType=false
import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

from dlnotes import data, models
from dlnotes.config import ConfigError, parse
from dlnotes.devices.placement import place
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.groups import groups
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import Interrupted, open_run, resume, run
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.trainer import Trainer
from dlnotes.outputs import accuracy, cross_entropy
from dlnotes.training.fitting import fit, predict
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe


class Nnx(nnx.Module):
    """Batch normalization and dropout between two layers."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(2, 6, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(6, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(6, 2, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.tanh(self.norm(self.hidden(x)))))


class Linen(nn.Module):
    """Batch normalization alone, in linen."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(nn.tanh(nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))))


SAMPLE = jnp.zeros((1, 2))
NNX = models.from_flax(Nnx, SAMPLE)
LINEN = models.from_flax(Linen(), SAMPLE, train_argument="train")


@pytest.fixture
def given(config):
    """``given(training={…}) -> Config`` of a run whose network is given."""

    def make(**sections):
        raw = config(**sections).model_dump(exclude_unset=True)
        return parse(raw | {"model": {"kind": "given"}})

    return make


def test_run_resume_evaluate_predict_export(given, tmp_path, monkeypatch):
    whole = run(given(), model=NNX)
    from contextlib import contextmanager

    from dlnotes.experiment import run as running

    taken = [0]

    @contextmanager
    def stoppable():
        yield lambda: taken[0] >= 11

    monkeypatch.setattr(running, "_stoppable", stoppable)
    with pytest.raises(Interrupted) as stopped:
        run(given(), model=NNX, watch=lambda p: taken.__setitem__(0, p.step))
    monkeypatch.undo()
    folder = stopped.value.folder
    with pytest.raises(ConfigError, match="'given' needs the network itself"):
        resume(folder)
    result = resume(folder, model=NNX)
    chex.assert_trees_all_equal(result.states, whole.states)
    assert (folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()

    trained = open_run(folder, model=NNX)
    params, test = result.params(1), result.dataset.split("test")
    assert abs(params.state["norm"]["mean"]).max() > 0.01
    logits = np.asarray(NNX.apply(params, jnp.asarray(test.x)))
    measured = evaluate_run(trained)
    right = (logits.argmax(1) == test.y).mean()
    np.testing.assert_allclose(measured["accuracy"]["values"][1], right, rtol=1e-6)
    raw = np.asarray(result.dataset.standardize.inverse(test.x), np.float32)
    np.save(tmp_path / "x.npy", raw)
    p = special.softmax(logits.astype(np.float64), -1)
    with np.load(predict_run(trained, tmp_path / "x.npy", output=tmp_path / "o.npz", member=1)) as found:
        np.testing.assert_allclose(found["probability"], p, atol=1e-5)
    path = export_run(trained, output=tmp_path / "model.jax", member=1)
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    for n in (1, 5):
        np.testing.assert_allclose(exported.call(raw[:n]), p[:n], atol=1e-5)


def test_another_network_is_not_resumed(given):
    folder = run(given(training={"duration": "2 steps"}), model=NNX).folder
    with pytest.raises(ConfigError, match="checkpoint"):
        resume(folder, model=LINEN)


@pytest.mark.parametrize("strategy", [pytest.param("pmap", marks=pytest.mark.slow), "mesh"])
def test_devices_are_parts_of_a_batch(strategy, given):
    """Two devices are an accumulated batch of two parts; an epoch's last batch is filled up alike."""
    options = {"duration": "7 steps", "batch_size": 14, "seeds": 1, "ema": 0.9}
    dataset = data.load("two_moons", n=60)
    found = []
    for placement, parts in ((place("single", members=1), 2), (place(strategy, members=1, count=2), 1)):
        (group,) = groups(given(training=options | {"accumulate": parts}))
        trainer = Trainer(prepare(group, dataset, model=NNX), placement)
        outcome = trainer.train(folder=None, watch=lambda p: None, stop=lambda: False)
        found.append((outcome.state, trainer.evaluator.evaluate(outcome.state.members, "test")))
    assert trainer.placement.shard == "batch"
    chex.assert_trees_all_close(*found, rtol=2e-4, atol=2e-5)


def test_fit_trains_every_seed_from_its_own_start():
    moons = data.load("two_moons", n=60)
    recipe = Recipe(NNX, cross_entropy, {"accuracy": accuracy}, optimizer("adam", 0.05), random=True)
    found = fit(recipe, moons.train, steps=60, batch_size=7, seeds=range(3))
    assert found.history["loss"][-5:].mean() < 0.75 * found.history["loss"][:5].mean()
    outputs = predict(NNX, found.params, jnp.asarray(moons.train.x))
    assert ((outputs.argmax(-1) == moons.train.y).mean(1) > 0.8).all()
    means = found.params.state["norm"]["mean"]
    assert not np.allclose(means[0], means[1])
    on = fit(recipe, moons.train, steps=1, batch_size=7, seeds=range(3), start=found.params)
    assert np.abs(on.params.state["norm"]["mean"] - means).max() < 1.0
    assert (on.history["loss"] < found.history["loss"][:1]).all()
