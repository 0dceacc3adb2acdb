"""Runs of networks whose parts are used unevenly: what the log and the summary say of it, on any devices."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes import data, models
from dlnotes.config import ConfigError, parse
from dlnotes.devices.placement import place
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.groups import groups
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.trainer import Trainer

EXPERTS = {"kind": "mixture_of_experts", "experts": 3, "hidden": [6], "noise": 0.5, "balance": 0.05}
TREE = {"kind": "soft_tree", "depth": 2}
GATED = {"kind": "gated_mlp", "widths": [8], "blocks": 4, "share": 0.5}


@pytest.fixture
def of(config):
    """``of(model, training={…}) -> Config`` of a run of that family."""

    def make(model, **sections):
        extra = {k: sections.pop(k) for k in ("sweep",) if k in sections}
        return parse(config(**sections).model_dump(exclude_unset=True) | {"model": model} | extra)

    return make


@pytest.mark.slow
def test_a_run_of_experts_from_start_to_export(of, tmp_path):
    result = run(of(EXPERTS))
    test, summary = result.dataset.split("test"), json.loads((result.folder / "summary.json").read_text())
    measured = summary["points"][0]["metrics"]["test"]
    trained = open_run(result.folder)
    for seed, params in enumerate(map(result.params, range(len(measured["loss"]["values"])))):
        gates = np.asarray(models.gate_weights(params, jnp.asarray(test.x)), np.float64)
        share = np.bincount(gates.argmax(1), minlength=3) / len(gates)
        loads = [measured[f"load_{e}"]["values"][seed] for e in (1, 2, 3)]
        np.testing.assert_allclose(loads, share, atol=1e-6)
        np.testing.assert_allclose(
            measured["gate_entropy"]["values"][seed], special.entr(gates).sum(1).mean(), rtol=1e-4
        )
        np.testing.assert_allclose(
            measured["experts_used"]["values"][seed], np.exp(special.entr(share).sum()) / 3, rtol=1e-4
        )
        np.testing.assert_allclose(params.state.share.sum(), 1, rtol=1e-5)
    one = 2 * 6 + 6 * 2
    np.testing.assert_allclose(measured["saved_work"]["mean"], 2 * one / (3 * one + 2 * 3), rtol=1e-6)
    lines = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert all("load_3" in line for line in lines if line["split"] == "validation")
    assert evaluate_run(trained)["load_1"] == measured["load_1"]

    model = models.mixture_of_experts(2, 3, (6,), 2)
    logits = np.asarray(model.apply(result.params(1), jnp.asarray(test.x)))
    raw = np.asarray(result.dataset.standardize.inverse(test.x), np.float32)
    np.save(tmp_path / "x.npy", raw)
    with np.load(predict_run(trained, tmp_path / "x.npy", output=tmp_path / "o.npz", member=1)) as found:
        np.testing.assert_allclose(found["probability"], special.softmax(logits, -1), atol=1e-5)
    path = export_run(trained, output=tmp_path / "model.jax", member=1)
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    for n in (1, 5):
        np.testing.assert_allclose(exported.call(raw[:n]), special.softmax(logits, -1)[:n], atol=1e-5)


@pytest.mark.parametrize("gradient", ["score", "straight_through"])
def test_a_run_of_gated_blocks_from_start_to_export(of, tmp_path, gradient):
    result = run(of(GATED | {"gradient": gradient, "grouped": True}))
    test = result.dataset.split("test")
    measured, trained = result.metrics["test"], open_run(result.folder)
    for seed in range(len(measured["loss"]["values"])):
        params = result.params(seed)
        u, pi = models.open_blocks(params, jnp.asarray(test.x))
        np.testing.assert_allclose(measured["blocks_on"]["values"][seed], u.mean(), rtol=1e-5)
        pi = np.asarray(pi, np.float64)
        np.testing.assert_allclose(
            measured["gate_entropy"]["values"][seed],
            (special.entr(pi) + special.entr(1 - pi)).mean(),
            rtol=1e-4,
        )
        every, gates = 2 * 8 + 8 * 2, 2 * 4
        want = 1 - (u.mean() * every + gates) / every
        np.testing.assert_allclose(measured["saved_work"]["values"][seed], want, rtol=1e-4)
    logits = models.gated_mlp(2, (8,), 2, blocks=4).apply(result.params(0), jnp.asarray(test.x))
    path = export_run(trained, output=tmp_path / "model.jax", member=0)
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    raw = np.asarray(result.dataset.standardize.inverse(test.x), np.float32)
    for n in (1, len(raw)):
        np.testing.assert_allclose(exported.call(raw[:n]), special.softmax(logits, -1)[:n], atol=1e-5)


@pytest.mark.slow
def test_a_run_of_a_tree_says_what_one_path_is_worth(of):
    result = run(of(TREE | {"hard": True}, training={"duration": "30 steps", "seeds": 2}))
    measured = result.metrics["test"]
    assert measured["one_path_accuracy"]["values"] == pytest.approx(measured["accuracy"]["values"])
    test = result.dataset.split("test")
    paths = np.asarray(models.path_probabilities(result.params(0), jnp.asarray(test.x)), np.float64)
    np.testing.assert_allclose(
        measured["path_entropy"]["values"][0], special.entr(paths).sum(1).mean(), rtol=1e-4
    )
    assert 1 / 4 <= measured["leaves_used"]["mean"] <= 1


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(EXPERTS, id="hard"),
        pytest.param(EXPERTS | {"gate": "soft"}, id="soft", marks=pytest.mark.slow),
        pytest.param(TREE, id="tree", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("strategy", [pytest.param("pmap", marks=pytest.mark.slow), "mesh"])
def test_devices_are_parts_of_a_batch(strategy, model, of):
    """The trajectory of two devices is that of one: loads and penalties are of the whole batch."""
    options = {"duration": "8 steps", "batch_size": 12, "seeds": 1}
    dataset = data.load("two_moons", n=60)
    found = []
    for placement in (place("single", members=1), place(strategy, members=1, count=2)):
        (group,) = groups(of(model, training=options, optimizer={"kind": "sgd", "learning_rate": 0.5}))
        trainer = Trainer(prepare(group, dataset), placement)
        outcome = trainer.train(folder=None, watch=lambda p: None, stop=lambda: False)
        found.append((outcome.state, trainer.evaluator.evaluate(outcome.state.members, "test")))
    assert trainer.placement.shard == "batch"
    assert trainer.setup.keeps_state
    chex.assert_trees_all_close(*found, rtol=2e-4, atol=2e-5)


@pytest.mark.slow
def test_seeds_at_once_are_seeds_apart(of):
    together, alone = (
        run(of(EXPERTS, training={"duration": "9 steps", "batch_size": 16, "seeds": seeds}))
        for seeds in (2, 1)
    )
    chex.assert_trees_all_close(together.params(0), alone.params(0), rtol=2e-4, atol=2e-5)


def test_more_leaves_than_examples_are_refused(of):
    with pytest.raises(
        ConfigError, match=r"model\.depth: got 9, a tree with 512 leaves for \d+ training examples"
    ):
        run(of(TREE | {"depth": 9}))


@pytest.mark.slow
def test_swept_numbers_and_a_tree_without_nodes(of):
    swept = run(of(EXPERTS, sweep={"kind": "grid", "parameters": {"model.balance": [0.0, 0.1]}}))
    assert "load_1" in swept.summary["points"][1]["metrics"]["test"]
    plain = run(of(TREE | {"depth": 0}))
    assert plain.metrics["test"]["leaves_used"]["mean"] == pytest.approx(1)


@pytest.mark.slow
def test_a_hard_tree_of_nets_is_exported_for_any_batch(of, tmp_path):
    result = run(of(TREE | {"hard": True, "node": [3], "leaf": "net"}, training={"duration": "3 steps"}))
    trained = open_run(result.folder)
    exported = jax.export.deserialize(bytearray(export_run(trained, output=tmp_path / "m.jax").read_bytes()))
    test = result.dataset.split("test")
    raw = np.asarray(result.dataset.standardize.inverse(test.x), np.float32)
    model = models.soft_tree(2, 2, 2, node=(3,), leaf="net", hard=True)
    p = np.exp(model.apply(result.params(), jnp.asarray(test.x)))
    for n in (1, 7):
        np.testing.assert_allclose(exported.call(raw[:n]), p[:n], atol=1e-5)
