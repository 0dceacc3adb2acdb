"""Baselines against scikit-learn on the same split, closed forms of autoregression, and counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dlnotes import data
from dlnotes.analysis.baselines import QUICK, Baseline, Effort, answers, baselines_of, drawn
from dlnotes.analysis.baselines.labels import label_of_symbol
from dlnotes.analysis.baselines.ngrams import next_symbol
from dlnotes.analysis.baselines.numbers import numbers_of, resampled
from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Examples, Forecast
from dlnotes.data.texts.ngrams import ngram_bits
from dlnotes.data.time_series.forecasting import forecast


def fitted(dataset, split="test", **options):
    """Outputs by the baseline's name."""
    found, _ = answers(baselines_of(dataset), dataset, dataset.split(split), **options)
    assert not [a for a in found if a.why]
    return {a.name: a.outputs for a in found}


@pytest.fixture(scope="module")
def wine():
    return data.load("tabular", name="wine")


def test_classes_of_a_table_are_those_of_scikit_learn(wine):
    train, test, held = wine.train, wine.test, wine.validation
    found = fitted(wine, seed=3)
    assert list(found) == ["most frequent class", "linear", "boosted trees", "extra trees"]
    np.testing.assert_allclose(
        np.exp(found["most frequent class"][0]), np.bincount(train.y) / len(train.y), rtol=1e-5
    )
    tried = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)).fit(train.x, train.y)
        for c in (0.01, 0.1, 1.0, 10.0)
    ]
    best = max(tried, key=lambda m: m.predict_log_proba(held.x)[np.arange(held.size), held.y].mean())
    expected = {
        "linear": best,
        "boosted trees": HistGradientBoostingClassifier(random_state=3, early_stopping=False),
        "extra trees": ExtraTreesClassifier(100, random_state=3),
    }
    for name, model in expected.items():
        with threadpool_limits(1):  # else its threads wait for each other on a busy machine
            if name != "linear":
                model.fit(train.x, train.y)
        p = model.predict_proba(test.x)
        np.testing.assert_allclose(np.exp(found[name]), np.maximum(p, 1e-6), rtol=1e-3, atol=1e-6)


def test_numbers_of_a_table_are_those_of_scikit_learn():
    diabetes = data.load("tabular", name="diabetes")
    train, test = diabetes.train, diabetes.test
    found = fitted(diabetes, seed=1)
    penalties = 10.0 ** np.arange(-3, 5)
    linear = make_pipeline(StandardScaler(), RidgeCV(penalties)).fit(train.x.astype(np.float64), train.y)
    np.testing.assert_allclose(found["linear"].ravel(), np.ravel(linear.predict(test.x)), atol=1e-5)
    trees = ExtraTreesRegressor(100, random_state=1).fit(train.x, train.y.ravel())
    np.testing.assert_allclose(found["extra trees"].ravel(), trees.predict(test.x), atol=1e-5)
    np.testing.assert_allclose(found["mean"], np.full_like(test.y, train.y.mean()), atol=1e-6)
    np.testing.assert_allclose(found["median"], np.full_like(test.y, np.median(train.y)), atol=1e-6)


def test_the_nearest_image():
    digits = data.load("digits")
    train, test = digits.train, digits.test
    (nearest,) = (b for b in baselines_of(digits) if b.name == "nearest neighbor")
    (found,), rows = answers([nearest], digits, test)
    model = KNeighborsClassifier(1).fit(train.x.reshape(len(train.x), -1), train.y)
    np.testing.assert_array_equal(found.outputs.argmax(-1), model.predict(test.x.reshape(len(test.x), -1)))
    assert rows == train.size


def series(n=300, columns=2, season=None):
    """An autoregressive series of two columns, or one with a season and a trend of the noise."""
    rng = np.random.default_rng(5)
    out = np.zeros((n, columns))
    for t in range(2, n):
        out[t] = 0.6 * out[t - 1] - 0.3 * out[t - 2][::-1] + rng.normal(size=columns)
    if season is not None:
        out = 0.3 * out + 10 * np.sin(2 * np.pi * np.arange(n) / season)[:, None]
    return 40 + 3 * out


def windows(values, **options):
    how = {"window": 4, "horizon": 2, "validation": 0.1, "test": 0.2, "standardize": True}
    names = tuple("abc"[: values.shape[1]])
    return forecast("made", values, features=names, targets=("b",), **(how | options))


@pytest.mark.parametrize("standardize", [True, False])
def test_persistence_is_the_last_value_in_the_targets_units(standardize):
    values = series()
    made = windows(values, standardize=standardize)
    found = fitted(made)["persistence"]
    raw = found if made.standardize_y is None else made.standardize_y.inverse(found)
    last = values[-len(found) - 2 : -2, 1:2]  # two rows before each value that is forecast
    np.testing.assert_allclose(raw, last, rtol=1e-5)


def test_a_season_is_found_and_its_value_taken():
    values = series(season=7)
    made = windows(values, window=10)
    (seasonal,) = (b for b in baselines_of(made) if b.name == "seasonal persistence")
    (found,), _ = answers([seasonal], made, made.test)
    assert found.about.startswith("the value 7 rows before")
    raw = made.standardize_y.inverse(found.outputs)
    np.testing.assert_allclose(raw, values[-len(raw) - 7 : -7, 1:2], rtol=1e-5)


def test_several_rows_ahead_take_the_last_known_value_of_their_season():
    """Of a season of 3 the fourth and the fifth row ahead are forecast by the rows 6 before them."""
    values = series(season=3)
    one = windows(values, window=8, horizon=5)
    y = np.stack([values[12 + h - 5 : len(values) - 5 + h, 1] for h in (2, 5)], axis=1)
    x = np.stack([values[i : i + 8] for i in range(len(y))])
    made = assemble(
        "ahead", x, y, consecutive(len(x) - 50, 0, 50), input="sequence", task="regression", outputs=2,
        standardize=True, features=one.features, forecast=Forecast(("b+2", "b+5"), 5),
    )  # fmt: skip
    raw = {name: made.standardize_y.inverse(found) for name, found in fitted(made).items()}
    last = x[-50:, :, 1]
    np.testing.assert_allclose(raw["persistence"], last[:, [7, 7]], rtol=1e-5)
    np.testing.assert_allclose(raw["seasonal persistence"], last[:, [7 + 2 - 3, 7 + 5 - 6]], rtol=1e-5)
    assert raw["linear, all columns"].shape == (50, 2)


def test_windows_without_a_season_say_so():
    made = windows(np.cumsum(np.ones((100, 2)), axis=0) ** 2)
    (found,), _ = answers(
        [b for b in baselines_of(made) if b.name == "seasonal persistence"], made, made.test
    )
    assert found.outputs is None
    assert found.why == "no season shows in windows of 4"


@pytest.mark.parametrize("name", ["linear autoregression", "linear, all columns"])
def test_autoregression_is_the_least_squares_of_lags(name):
    made = windows(series())
    own = [1] if name == "linear autoregression" else [0, 1]

    def lags(part):
        return np.asarray(part.x, np.float64)[:, :, own].reshape(part.size, -1)

    model = LinearRegression().fit(lags(made.train), made.train.y)
    np.testing.assert_allclose(fitted(made)[name], model.predict(lags(made.test)), atol=1e-5)


def test_autoregression_finds_the_coefficients_of_the_process():
    """x_t = 0.7 x_{t-1} + e: one step ahead 0.7 times the last value, and noise of deviation 1."""
    rng = np.random.default_rng(0)
    values = np.zeros((5000, 1))
    for t in range(1, len(values)):
        values[t] = 0.7 * values[t - 1] + rng.normal()
    made = forecast(
        "ar1", values, features=("b",), targets=("b",), window=3, horizon=1, validation=0, test=0.4,
        standardize=False,
    )  # fmt: skip
    (linear,) = (b for b in baselines_of(made) if b.name == "linear autoregression")
    (found,), _ = answers([linear], made, made.test)
    np.testing.assert_allclose(found.outputs.ravel(), 0.7 * made.test.x[:, -1, 0], atol=0.25)
    assert np.std(found.outputs - made.test.y) == pytest.approx(1, abs=0.05)


def test_too_few_windows_for_the_coefficients_are_said():
    made = windows(series(40), window=9, validation=0)
    found, _ = answers(baselines_of(made), made, made.test, effort=QUICK._replace(rows=8))
    why = {a.name: a.why for a in found}
    assert why["linear autoregression"] == "8 training windows for 10 coefficients"
    assert not why["persistence"]


def witten_bell(train, context, symbol, kinds):
    """P(symbol | context) by dictionaries, from examples of (context so far, next symbol)."""
    p = 1 / kinds
    for length in range(len(context) + 1):
        own = context[len(context) - length :]
        after = [y for x, y in train if len(x) >= length and x[len(x) - length :] == own]
        if after:
            p = (after.count(symbol) + len(set(after)) * p) / (len(after) + len(set(after)))
    return p


@pytest.mark.parametrize("order", [1, 2, 4])
def test_n_grams_are_interpolated_within_an_example(order):
    rng = np.random.default_rng(2)
    x = rng.choice(4, (6, 9), p=[0.5, 0.3, 0.15, 0.05]).astype(np.int32)
    x[:, 1::3] = x[:, ::3]
    y = np.concatenate([x[:, 1:], rng.integers(0, 4, (6, 1))], axis=1).astype(np.int32)
    y[0, 2] = -1
    names = tuple("abcd")
    made = assemble(
        "made", x, y, consecutive(4, 0, 2), input="tokens", task="tokens", outputs=4, classes=names,
        symbols=names,
    )  # fmt: skip
    (found,), _ = answers([next_symbol(order)], made, made.test)
    p = np.exp(found.outputs.astype(np.float64))
    seen = [
        (tuple(x[i, max(0, t + 2 - order) : t + 1] if order > 1 else ()), int(y[i, t]))
        for i in range(4)
        for t in range(9)
        if y[i, t] >= 0
    ]
    for i in range(2):
        for t in range(9):
            context = tuple(made.test.x[i, max(0, t + 2 - order) : t + 1]) if order > 1 else ()
            expected = [witten_bell(seen, context, c, 4) for c in range(4)]
            np.testing.assert_allclose(p[i, t], expected, rtol=1e-5)


def test_one_long_window_has_the_bits_of_ngram_bits():
    rng = np.random.default_rng(2)
    codes = np.repeat(rng.choice(5, 200, p=[0.4, 0.3, 0.15, 0.1, 0.05]), 2).astype(np.int32)
    train, test = codes[:300], codes[300:]
    names = tuple("abcde")
    made = assemble(
        "made", train[None, :-1], train[None, 1:], consecutive(1, 0, 0), input="tokens", task="tokens",
        outputs=5, classes=names, symbols=names,
    )  # fmt: skip
    (found,), _ = answers([next_symbol(3)], made, Examples(test[None, :-1], test[None, 1:]))
    bits = -found.outputs[0, np.arange(len(test) - 1), test[1:]].mean() / np.log(2)
    # which counts the first symbol of the training text too, as one after nothing
    assert bits == pytest.approx(ngram_bits(train, test, order=3, symbols=5)[-1], rel=2e-3)


def test_the_label_of_a_symbol():
    x = np.array([[0, 1, 1, 2], [1, 2, 0, 0]], np.int32)
    y = np.array([[1, 0, 0, 1], [1, -1, -1, -1]], np.int32)
    mask = y >= 0
    made = replace(
        data.load("copy_memory", n_train=2, n_validation=0, n_test=2),
        train=Examples(x, y, mask), symbols=tuple("abc"), classes=("no", "yes"), outputs=2,
    )  # fmt: skip
    (found,), _ = answers([label_of_symbol()], made, Examples(x, y, mask))
    assert found.outputs.argmax(-1)[mask].tolist() == [1, 0, 0, 1, 0]
    p = np.exp(found.outputs)
    np.testing.assert_allclose(p[0, 1], (np.array([2, 1]) + [0.4, 0.6]) / 4, rtol=1e-5)


KINDS = [
    {"kind": "two_moons", "n": 60},
    {"kind": "sized_digits", "max_size": 12},
    {"kind": "skeleton_motion", "n": 60},
    {"kind": "reber", "n": 60},
    {"kind": "latch", "n_train": 40, "n_validation": 5, "n_test": 10},
    {"kind": "adding", "n_train": 40, "n_validation": 5, "n_test": 10, "min_length": 10, "max_length": 12},
    {
        "kind": "copy_memory",
        "n_train": 40,
        "n_validation": 5,
        "n_test": 10,
        "items": 2,
        "min_delay": 3,
        "max_delay": 3,
    },
    {"kind": "list_ops", "n_train": 40, "n_validation": 5, "n_test": 10, "max_length": 20},
    {"kind": "number_words", "n_train": 40, "n_validation": 5, "n_test": 10},
    {"kind": "text", "limit": 5000},
    {"kind": "scenes", "n_train": 5, "n_validation": 2, "n_test": 3},
    {"kind": "moving_digits", "n_train": 20, "n_validation": 10, "n_test": 10},
]


@pytest.mark.parametrize("options", KINDS, ids=lambda options: options["kind"])
def test_every_kind_of_data_has_baselines_that_answer_in_the_networks_form(options):
    made = data.load(**options)
    test = made.split("test")
    found = fitted(made, effort=QUICK._replace(rows=300), seed=4)
    assert len(found) >= 2
    for outputs in found.values():
        if made.input == "pair":
            assert outputs.shape[0] == test.size
        elif made.task == "regression":
            assert outputs.shape == test.y.shape
        else:
            assert outputs.shape == (*test.y.shape, made.outputs)
            assert np.allclose(np.exp(outputs).sum(-1), 1, atol=0.01)


@pytest.mark.parametrize("options", [KINDS[0], KINDS[2], KINDS[3]], ids=lambda options: options["kind"])
def test_the_same_seed_gives_the_same_answers(options):
    made = data.load(**options)
    few = Effort(10_000, 20, 60.0)
    first, second, other = (fitted(made, effort=few, seed=seed) for seed in (4, 4, 5))
    for name, outputs in first.items():
        np.testing.assert_array_equal(outputs, second[name], err_msg=name)
    assert not np.array_equal(first["extra trees"], other["extra trees"])


def test_nothing_of_the_test_part_is_fitted(wine):
    """A test part of no numbers changes no answer to other examples."""
    broken = replace(wine, test=wine.test._replace(x=wine.test.x * np.nan))
    expected, _ = answers(baselines_of(wine), wine, wine.validation)
    found, _ = answers(baselines_of(broken), broken, wine.validation)
    for a, b in zip(expected, found):
        np.testing.assert_array_equal(a.outputs, b.outputs)


def test_large_parts_are_drawn_from_by_seed(wine):
    few = Effort(130, 1000, 60.0)  # 13 columns: ten rows
    a, b, other = (drawn(wine.train, few, seed).x for seed in (0, 0, 1))
    assert a.shape == (10, 13)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, other)
    assert drawn(wine.train, QUICK, 0) is wine.train
    _, rows = answers(baselines_of(wine)[:1], wine, wine.test, effort=few)
    assert rows == 10


def _raise(error):
    def fit(given):
        raise error

    return Baseline("broken", "breaks", fit)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (_raise(ValueError("one class")), "one class"),
        (_raise(MemoryError("too much")), "MemoryError: too much"),
        (
            Baseline("nan", "", lambda given: lambda x: np.full((x.size, 3), np.nan)),
            "its answers are not finite",
        ),
    ],
)
def test_one_that_cannot_be_computed_is_named_and_the_others_go_on(wine, broken, why):
    found, _ = answers([broken, baselines_of(wine)[0]], wine, wine.test)
    assert (found[0].outputs, found[0].why) == (None, why)
    assert found[1].outputs is not None


def test_inputs_that_stay_in_their_file(tmp_path, monkeypatch):
    """Only the rows that are drawn are read."""
    from dlnotes.data import in_file

    monkeypatch.setattr(in_file, "MOST", 1000)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 12)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", (x[:, 0] > 0).astype(np.int64))
    made = data.load("npy", x_path=str(tmp_path / "x.npy"), y_path=str(tmp_path / "y.npy"))
    assert in_file.is_in_file(made.train)
    few = fitted(made, effort=QUICK._replace(rows=100))
    assert (few["boosted trees"].argmax(-1) == made.test.y).mean() > 0.9


def test_the_time_that_is_given_ends():
    wine = data.load("tabular", name="wine")
    found, _ = answers(baselines_of(wine), wine, wine.test, effort=QUICK._replace(seconds=-1.0))
    assert {a.why for a in found} == {"the -1 seconds for all of them were over"}


def test_interrupted_ones_are_said(wine):
    found, _ = answers([_raise(KeyboardInterrupt()), baselines_of(wine)[0]], wine, wine.test)
    assert [a.why for a in found] == ["interrupted", "interrupted"]


def test_one_class_is_said(wine):
    alone = wine.train._replace(y=np.zeros_like(wine.train.y))
    found, _ = answers(baselines_of(wine), wine, wine.test, train=alone)
    why = {a.name: a.why for a in found}
    assert why["linear"] == "the training examples are of one class"
    assert why["most frequent class"] == why["extra trees"] == ""


def test_series_at_equal_distances():
    x = np.array([[[0.0], [2.0], [4.0]], [[1.0], [3.0], [9.0]]], np.float32)
    part = Examples(x, np.zeros(2), np.array([[True] * 3, [True, True, False]]))
    np.testing.assert_allclose(resampled(part), [[0, 2, 4], [1, 2, 3]])


def test_large_images_are_means_of_blocks():
    made = data.load("scenes", n_train=2, n_validation=0, n_test=0)
    x = np.random.default_rng(0).normal(size=(3, 128, 96, 3)).astype(np.float32)
    found = numbers_of(made)(Examples(x, np.zeros(3)))
    assert found.shape[1] <= 4096
    blocks = x.reshape(3, 32, 4, 24, 4, 3)[:, :, :, :, :, :].mean((2, 4))
    assert found.shape == (3, 32 * 24 * 3)
    np.testing.assert_allclose(found, blocks.reshape(3, -1), atol=1e-5)
