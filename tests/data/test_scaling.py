"""Inputs in other scales: against scikit-learn and closed forms, with padding, and the same for new files."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

import dlnotes.data as data
from dlnotes.config import ConfigError, parse
from dlnotes.data.metadata import dataset_of, metadata_of
from dlnotes.data.scaling import raw_inputs, scaled

RNG = np.random.default_rng(0)
X = (np.exp(RNG.normal(0, 3, (60, 4))) * RNG.choice([-1, 1], (60, 4)) + [0, 5, -100, 1e-3]).astype(np.float64)
Y = np.arange(60) % 3


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, x=X, y=Y)
    return path


def trained_rows(d):
    """The raw numbers of the training part."""
    return raw_inputs(np.asarray(d.train.x), d)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    ("options", "oracle"),
    [
        ({}, StandardScaler()),
        ({"by": "quantiles"}, RobustScaler()),
        ({"by": "quantiles", "quantiles": (0.1, 0.8)}, RobustScaler(quantile_range=(10, 80))),
        ({"by": "range"}, MinMaxScaler()),
    ],
    ids=["deviation", "quantiles", "other quantiles", "range"],
)
def test_statistics_of_the_training_part(table, options, oracle, standardize):
    plain = data.npz(table, standardize=standardize)
    d = scaled(plain, **options)
    known = oracle.fit(trained_rows(plain))
    for name in ("train", "validation", "test"):
        raw = raw_inputs(plain.split(name).x, plain)
        np.testing.assert_allclose(d.split(name).x, known.transform(raw), rtol=2e-4, atol=2e-5)
    assert scaled(d) is d


def test_logarithms(table):
    plain = data.npz(table, standardize=False)
    d = scaled(plain, log=True, by="nothing")
    raw = np.asarray(plain.train.x, np.float64)
    sizes = np.median(np.abs(raw), axis=0)
    np.testing.assert_allclose(d.train.x, np.sign(raw) * np.log1p(np.abs(raw) / sizes), rtol=1e-5)
    np.testing.assert_allclose(trained_rows(d), raw, rtol=1e-4, atol=1e-6)
    # In another unit the same: c has the unit of the channel.
    np.savez(table, x=X * 1e-9, y=Y)
    again = scaled(data.npz(table, standardize=False), log=True, by="nothing")
    np.testing.assert_allclose(again.train.x, d.train.x, rtol=1e-4)


def test_each_vector_by_itself(table):
    d = scaled(data.npz(table), each="example", by="nothing")
    for x, raw in zip(d.train.x, trained_rows(data.npz(table))):
        np.testing.assert_allclose(x, (raw - raw.mean()) / raw.std(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def series(tmp_path):
    """Sequences of several lengths whose padding holds nonsense."""
    lengths = RNG.integers(2, 8, 40)
    x = RNG.normal([3, -50], [1, 9], (40, 8, 2)) * RNG.uniform(0.1, 100, (40, 1, 1))
    path = tmp_path / "s.npz"
    np.savez(path, x=x, y=np.arange(40) % 2, lengths=lengths)
    return path


@pytest.mark.parametrize("each", ["example", "channel"])
def test_padding_counts_nowhere(series, each):
    plain = data.npz(series, standardize=False)
    d = scaled(plain, each=each, by="nothing")
    assert not d.train.x[~d.train.mask].any()
    for x, raw, mask in zip(d.train.x, plain.train.x, d.train.mask):
        real = raw[mask].astype(np.float64)
        axis = None if each == "example" else 0
        np.testing.assert_allclose(x[mask], (real - real.mean(axis)) / real.std(axis), rtol=1e-3, atol=1e-4)
    robust = scaled(plain, by="quantiles")
    real = plain.train.x[plain.train.mask]
    np.testing.assert_allclose(robust.standardize.mean, np.median(real, axis=0), rtol=1e-5)


def test_all_channels_in_one_scale(series):
    d = scaled(data.npz(series), by="quantiles", channels="together")
    plain = data.npz(series, standardize=False)
    low, middle, high = np.quantile(plain.train.x[plain.train.mask], (0.25, 0.5, 0.75))
    np.testing.assert_allclose(d.standardize.mean, [middle] * 2, rtol=1e-4)
    np.testing.assert_allclose(d.standardize.scale, [high - low] * 2, rtol=1e-4)


def test_numbers_that_are_equal_or_mostly_equal(tmp_path):
    x = np.full((40, 3), 7.0)
    x[:, 1] = np.where(np.arange(40) % 8 == 0, np.arange(40), 0.0)  # both quantiles are 0
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(40) % 2)
    for options in ({"by": "quantiles"}, {"by": "range"}, {"log": True}, {"each": "example", "by": "range"}):
        d = scaled(data.npz(tmp_path / "t.npz"), **options)
        assert np.isfinite(d.train.x).all()
        assert np.abs(d.train.x).max() < 50
    plain = data.npz(tmp_path / "t.npz", standardize=False)
    assert scaled(plain, by="quantiles").standardize.scale[1] == pytest.approx(plain.train.x[:, 1].std())
    np.savez(tmp_path / "e.npz", x=np.full((40, 3), 7.0), y=np.arange(40) % 2)
    assert not scaled(data.npz(tmp_path / "e.npz"), each="example").train.x.any()


OPTIONS = [
    {"log": True, "each": "channel"},
    {"log": True, "by": "quantiles"},
    {"each": "example", "by": "range"},
    {"by": "quantiles", "channels": "together"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_new_files_are_scaled_like_the_training_data(series, options):
    d = scaled(data.npz(series, validation=0, test=0), **options)
    found = data.evaluate_inputs(series, d)
    np.testing.assert_array_equal(found.x, d.train.x)
    # What a run keeps of them is enough, also after JSON.
    import json

    kept = dataset_of(json.loads(json.dumps(metadata_of(d))), missing="gone")
    np.testing.assert_array_equal(data.read_inputs(series, kept).x, d.train.x)


def test_the_levels_of_pictures_stay_known():
    d = scaled(data.load("digits"), each="example")
    assert d.reading["levels"]["high"] == 1
    x = np.asarray(data.load("digits", standardize=False).test.x, np.float64)
    alone = (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(d.standardize.inverse(d.test.x), alone, atol=1e-5)


def config(**sections):
    return {"data": {"kind": "digits"}, "model": {"kind": "mlp"}} | sections


FAULTS = {
    "unknown": ({"scaling": {"by": "median"}}, "scaling.by: got 'median'"),
    "quantiles": (
        {"scaling": {"by": "quantiles", "quantiles": [0.7, 0.2]}},
        "quantiles: got 0.7, 0.2",
    ),
    "unused": ({"scaling": {"quantiles": [0.1, 0.9]}}, 'quantiles: got 0.1, 0.9 with by = "deviation"'),
    "tokens": (
        {"scaling": {}, "data": {"kind": "reber"}, "model": {"kind": "sequence_classifier"}},
        "scaling: is for inputs of numbers, data.kind 'reber' has tokens inputs",
    ),
    "autoencoder": (
        {"scaling": {"log": True, "each": "example"}, "model": {"kind": "deep_autoencoder"}},
        "scaling: got log, each where inputs are targets too",
    ),
    "teacher": ({"scaling": {"log": True}, "teacher": {"runs": ["a"]}}, "scaling: got log with"),
    "black": (
        {"scaling": {"each": "example"}, "augment": {"shift": 1, "fill": "black"}},
        "augment.fill: got 'black' with scaling.each",
    ),
    "swept": (
        {"scaling": {}, "sweep": {"kind": "grid", "parameters": {"scaling.log": [True, False]}}},
        "sweep.parameters.scaling.log: cannot be swept",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_configs_that_do_not_fit(fault):
    sections, message = FAULTS[fault]
    with pytest.raises(ConfigError) as said:
        parse(config(**sections))
    assert message in str(said.value)


def test_data_that_do_not_fit(series, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="scaling.each: got 'channel' for the vectors"):
        scaled(data.load("tabular", name="iris"), each="channel")
    with pytest.raises(ValueError, match="scaling.each: got 'example' for .*is forecast"):
        scaled(data.load("mackey_glass", n=200), each="example")
    with pytest.raises(ValueError, match="scaling: is for inputs of numbers"):
        scaled(data.load("reber", n=20))
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    np.save(tmp_path / "y.npy", Y)
    monkeypatch.setattr("dlnotes.data.in_file.MOST", 100)
    with pytest.raises(ValueError, match="stay in their file"):
        scaled(data.npy(tmp_path / "x.npy", tmp_path / "y.npy"))
