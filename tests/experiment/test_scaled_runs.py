"""Runs whose inputs are scaled: prediction, evaluation and the exported file scale new ones alike."""

import csv

import chex
import jax
import numpy as np
import pytest
from tiny_run import tiny

import dlnotes.data as data
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import resume, run


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    """Two kinds of spectra of several lengths: where the peak is, at any height and over any ground."""
    folder = tmp_path_factory.mktemp("spectra")
    rng = np.random.default_rng(0)
    lengths, y = rng.integers(9, 13, 60), np.arange(60) % 2
    place = np.where(y == 0, 2, 6)[:, None]
    peak = np.exp(-((np.arange(12) - place) ** 2))
    x = (np.exp(rng.normal(0, 3, (60, 1))) * (peak + 0.1 + 0.01 * rng.normal(size=(60, 12))))[..., None]
    np.savez(folder / "spectra.npz", x=x, y=y, lengths=lengths)
    np.savez(folder / "new.npz", x=100 * x[:7], lengths=lengths[:7])
    return folder


def config_of(spectra, directory, **scaling):
    raw = tiny(directory)
    return parse(raw | {
        "data": {"kind": "npz", "path": str(spectra / "spectra.npz")},
        "model": {"kind": "conv_net", "stages": [{"channels": 4}], "head": "average"},
        "scaling": scaling,
    })  # fmt: skip


def read(path):
    with open(path, encoding="utf-8") as file:
        return [(row["class"], float(row["p(0)"])) for row in csv.DictReader(file)]


SCALINGS = [
    {"log": True, "each": "example", "by": "quantiles"},
    pytest.param({"by": "range", "channels": "together"}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_a_run_predicts_and_is_exported_in_its_scale(spectra, tmp_path, scaling):
    result = run(config_of(spectra, tmp_path / "runs", **scaling))
    folder = result.folder
    again = parse(result.config.model_dump())
    assert again.scaling == result.config.scaling
    measured = evaluate_run(folder, data_path=spectra / "spectra.npz")
    known = [evaluate_run(folder, split=part)["accuracy"]["mean"] for part in ("train", "validation", "test")]
    assert min(known) <= measured["accuracy"]["mean"] <= max(known)
    rows = read(predict_run(folder, spectra / "new.npz", output=tmp_path / "p.csv"))
    model = jax.export.deserialize(bytearray(export_run(folder).read_bytes()))
    new = np.load(spectra / "new.npz")
    mask = np.arange(12) < new["lengths"][:, None]
    answer = np.asarray(model.call(new["x"].astype(np.float32), mask))
    np.testing.assert_allclose(answer[:, 0], [p for _, p in rows], atol=1e-4)
    if "each" in scaling:  # the same spectra a hundred times as strong: log alone would tell them apart
        found = data.read_inputs(spectra / "new.npz", result.dataset)
        assert np.abs(found.x).max() < 10
    # Without its data a run knows the scale too.
    moved = spectra / "spectra.npz"
    moved.rename(tmp_path / "away.npz")
    try:
        assert read(predict_run(folder, spectra / "new.npz", output=tmp_path / "q.csv")) == rows
    finally:
        (tmp_path / "away.npz").rename(moved)


def test_a_scaled_run_is_resumed_bit_for_bit(spectra, tmp_path):
    scaling = {"log": True, "each": "channel"}
    whole = run(config_of(spectra, tmp_path / "a", **scaling))
    config = config_of(spectra, tmp_path / "b", **scaling).model_dump()
    half = run(parse(config, ["training.duration='13 steps'"]))
    longer = resume(half.folder, ["training.duration='30 steps'"])
    chex.assert_trees_all_equal(longer.states, whole.states)


def test_data_of_a_program_are_scaled_too(tmp_path):
    raw = tiny(tmp_path) | {"scaling": {"by": "range"}}
    found = run(parse(raw), dataset=data.load("two_moons", n=60), keep=False)
    assert found.dataset.train.x.min() == 0
    with pytest.raises(ConfigError, match=r"scaling\.each: got 'channel'"):
        run(parse(raw | {"scaling": {"each": "channel"}}))
    assert not list(tmp_path.iterdir())
