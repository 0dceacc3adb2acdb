"""Monte-Carlo dropout of a run: mean and spread of predictions, the same numbers every time."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run
from dlnotes.experiment.sampling import sampled_outputs


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    raw = tiny(tmp_path_factory.mktemp("numbers"), training={"seeds": 1, "duration": "4 steps"})
    return run(parse(raw | {"data": {"kind": "tabular", "name": "diabetes"}}))


def inputs(result, path, n=7):
    x = result.dataset.test.x[:n]
    scale = result.dataset.standardize
    np.save(path, x if scale is None else scale.inverse(x).astype(np.float32))
    return path


def read(path):
    with np.load(path) as found:
        return dict(found)


def test_classes(finished, tmp_path):
    path = inputs(finished, tmp_path / "x.npy")
    with np.load(
        predict_run(finished.folder, path, output=tmp_path / "a.npz", samples=30, member=1)
    ) as found:
        got = dict(found)
    opened = open_run(finished.folder, member=1)
    one = jax.tree.map(lambda a: a[1:2], opened.state.members)
    z = sampled_outputs(
        opened, one, finished.dataset.test._replace(x=finished.dataset.test.x[:7], y=np.zeros(7)), 30
    )
    p = softmax(z.astype(np.float64), -1)
    assert z.shape == (30, 7, 2)
    np.testing.assert_allclose(got["probability"], p[:, :7].mean(0), atol=1e-5)
    np.testing.assert_allclose(got["deviation"], p[:, :7].std(0, ddof=1), atol=1e-5)
    assert (got["deviation"] > 0).any()
    with np.load(
        predict_run(finished.folder, path, output=tmp_path / "b.npz", samples=30, member=1)
    ) as again:
        for name, value in got.items():
            np.testing.assert_array_equal(again[name], value)


def test_numbers_in_their_own_units(numbers, tmp_path):
    path = inputs(numbers, tmp_path / "x.npy")
    got = read(predict_run(numbers.folder, path, output=tmp_path / "a.npz", samples=25))
    opened = open_run(numbers.folder)
    x = numbers.dataset.test.x[:7]
    z = sampled_outputs(opened, opened.state.members, numbers.dataset.test._replace(x=x, y=np.zeros(7)), 25)
    scale = numbers.dataset.standardize_y
    np.testing.assert_allclose(got["value"], scale.inverse(z.mean(0)), rtol=1e-5)
    np.testing.assert_allclose(got["deviation"], z.std(0, ddof=1) * scale.scale, rtol=1e-4)


def test_examples_together_or_apart_are_the_same(finished):
    opened = open_run(finished.folder)
    one = jax.tree.map(lambda a: a[:1], opened.state.members)
    test = finished.dataset.test
    whole = sampled_outputs(opened, one, test, 5)
    np.testing.assert_allclose(sampled_outputs(opened, one, test, 5, rows=4), whole, atol=1e-6)
    model = opened.evaluator.setup.recipe_of({}).model
    params = jax.tree.map(lambda a: jnp.asarray(a[0]), opened.state.members.average)
    plain = np.asarray(model.apply(params, test.x))
    many = sampled_outputs(opened, one, test, 2000).mean(0)
    assert np.abs(many - plain).mean() < 0.5 * np.abs(whole - plain[None]).mean()  # near weight scaling


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"model": {"kind": "mlp", "widths": [3]}}, r"samples: .*dropout above 0.*model.dropout = 0"),
        ({"model": {"kind": "linear"}}, r"samples: .*model.kind = 'linear'"),
    ],
)
def test_a_network_without_dropout_is_refused(sections, told, tmp_path):
    raw = tiny(tmp_path, training={"duration": "2 steps", "seeds": 1}) | sections
    result = run(parse(raw))
    path = inputs(result, tmp_path / "x.npy")
    with pytest.raises(ConfigError, match=told):
        predict_run(result.folder, path, samples=5)
    with pytest.raises(ConfigError, match="samples: got 1"):
        predict_run(result.folder, path, samples=1)


def test_the_command(finished, tmp_path):
    path = inputs(finished, tmp_path / "x.npy")
    out = tmp_path / "p.csv"
    done = CliRunner().invoke(
        app, ["predict", str(finished.folder), str(path), "--samples", "6", "--output", str(out)]
    )
    assert done.exit_code == 0, done.output
    with open(out, newline="") as file:
        header, *rows = csv.reader(file)
    names = finished.dataset.classes
    assert header == ["row", "class", *(f"p({c})" for c in names), *(f"deviation({c})" for c in names)]
    assert len(rows) == 7
