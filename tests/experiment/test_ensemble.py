"""The mean of what several seeds predict, held against numpy; those that failed are left out."""

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.run import open_run, run


def trained(directory, data=None, **sections):
    raw = tiny(directory, **sections)
    return open_run(run(parse(raw | ({} if data is None else {"data": data}))).folder)


def outputs_of(opened, split="test"):
    members, examples = opened.state.members, opened.dataset.split(split)
    return np.asarray(opened.evaluator.predict(members, examples), np.float64), examples.y


def test_probabilities_of_classes_are_averaged(finished):
    opened = open_run(finished.folder)
    logits, y = outputs_of(opened)
    p = np.exp(log_softmax(logits, -1)).mean(0)
    found = evaluate_run(opened, ensemble=True)
    assert found["loss"]["values"] == [found["loss"]["mean"]]
    np.testing.assert_allclose(found["loss"]["mean"], -np.log(p[np.arange(len(y)), y]).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"]["mean"], (p.argmax(-1) == y).mean(), rtol=1e-6)
    each = evaluate_run(opened)
    assert found["loss"]["mean"] <= each["loss"]["mean"] + 1e-6  # Jensen


def test_one_seed_is_itself(tmp_path):
    opened = trained(tmp_path, training={"seeds": 1, "duration": "6 steps"})
    alone, joined = evaluate_run(opened), evaluate_run(opened, ensemble=True)
    for name in alone:
        np.testing.assert_allclose(joined[name]["mean"], alone[name]["mean"], rtol=1e-5)


@pytest.mark.parametrize("loss", ["auto", pytest.param("heteroscedastic_nll", marks=pytest.mark.slow)])
def test_numbers_and_densities(loss, tmp_path):
    opened = trained(
        tmp_path,
        data={"kind": "tabular", "name": "diabetes"},
        training={"seeds": 3, "duration": "9 steps", "loss": loss},
    )
    found, each = evaluate_run(opened, ensemble=True), evaluate_run(opened)
    raw, y = outputs_of(opened)
    scale = opened.dataset.standardize_y.scale
    if loss == "auto":
        mean = raw.mean(0)
        np.testing.assert_allclose(found["loss"]["mean"], ((mean - y) ** 2).sum(-1).mean(), rtol=1e-4)
    else:
        m, s = raw[..., :1], np.logaddexp(0, raw[..., 1:])
        mean = m.mean(0)
        assert found["loss"]["mean"] < each["loss"]["mean"]
        assert s.min() > 0
    np.testing.assert_allclose(found["absolute_error"]["mean"], (np.abs(mean - y) * scale).mean(), rtol=1e-4)


def test_seeds_that_failed_are_left_out(finished, tmp_path):
    opened = open_run(finished.folder)
    reason = np.asarray(opened.state.members.reason).copy()
    reason[1] = 1
    members = opened.state.members._replace(reason=reason)
    broken = jax.tree.map(lambda a: a, opened)
    object.__setattr__(broken, "state", opened.state._replace(members=members))
    logits, y = outputs_of(opened)
    p = logsumexp(log_softmax(logits[[0, 2]], -1), 0) - np.log(2)
    found = evaluate_run(broken, ensemble=True)
    np.testing.assert_allclose(found["loss"]["mean"], -p[np.arange(len(y)), y].mean(), rtol=1e-5)


def test_the_command_says_how_many(finished):
    done = CliRunner().invoke(app, ["evaluate", str(finished.folder), "--ensemble"])
    assert done.exit_code == 0, done.output
    assert "ensemble of 3 seeds" in done.output
    assert "test accuracy" in done.output


@pytest.mark.slow
def test_an_encoder_decoder_is_refused(tmp_path):
    data = {"kind": "number_words", "maximum": 99, "n_train": 60, "n_validation": 4, "n_test": 8}
    raw = tiny(tmp_path) | {"data": data, "model": {"kind": "seq2seq", "hidden": 6, "embedding": 4}}
    with pytest.raises(ConfigError, match="not for 'seq2seq'"):
        evaluate_run(run(parse(raw)).folder, ensemble=True)
