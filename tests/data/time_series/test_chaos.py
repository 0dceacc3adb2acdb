"""The chaotic series against other integrators, and windows of a series against plain slices."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import numpy as np
import pytest
from scipy.integrate import odeint, solve_ivp

import dlnotes.data as data
from dlnotes.data.time_series.chaos import lorenz_series, mackey_glass_series
from dlnotes.data.time_series.forecasting import forecast


def method_of_steps(tau, spans, start=1.2):
    """The Mackey-Glass solution by scipy: in each span of length τ the delayed value is the span before."""
    before = lambda t: start  # noqa: E731
    value, pieces = start, []
    for k in range(spans):

        def slope(t, x, before=before):
            delayed = before(t - tau)
            return 0.2 * delayed / (1 + delayed**10) - 0.1 * x

        solved = solve_ivp(
            slope,
            (k * tau, (k + 1) * tau),
            [value],
            method="DOP853",
            rtol=1e-11,
            atol=1e-12,
            dense_output=True,
        )
        pieces.append(solved.sol)
        value = float(solved.y[0, -1])
        before = lambda t, dense=solved.sol: float(dense(t)[0])  # noqa: E731
    return lambda t: float(pieces[min(int(t // tau), spans - 1)](t)[0])


def test_mackey_glass_against_scipys_method_of_steps():
    exact = method_of_steps(17.0, 5)
    series = mackey_glass_series(86, discard=0)
    assert series[0] == 1.2
    np.testing.assert_allclose(series, [exact(t) for t in range(86)], atol=3e-7)
    np.testing.assert_array_equal(mackey_glass_series(40, discard=46), series[46:])


def test_the_error_falls_with_the_order_of_the_method():
    exact = method_of_steps(6.0, 4)

    def error(method, substeps):
        series = mackey_glass_series(25, tau=6.0, discard=0, method=method, substeps=substeps)
        return np.abs(series - [exact(t) for t in range(25)]).max()

    assert np.log2(error("rk4", 2) / error("rk4", 4)) == pytest.approx(4, abs=0.7)
    assert np.log2(error("euler", 20) / error("euler", 40)) == pytest.approx(1, abs=0.2)


def test_euler_is_the_published_recursion():
    x = [0.9] * 171
    for k in range(170, 170 + 300):
        past = x[k - 170]
        x.append(x[k] + 0.1 * (0.2 * past / (1 + past**10) - 0.1 * x[k]))
    series = mackey_glass_series(31, discard=0, method="euler", start=0.9)
    np.testing.assert_allclose(series, x[170::10], rtol=1e-12)


def test_several_series_at_once_and_the_fixed_point():
    both = mackey_glass_series(30, discard=5, start=[0.7, 1.0])
    np.testing.assert_allclose(both[:, 0], mackey_glass_series(30, discard=5, start=0.7), rtol=1e-12)
    np.testing.assert_allclose(both[:, 1], 1.0, rtol=1e-12)  # β/(1 + 1) = γ


def test_lorenz_against_another_integrator():
    def flow(state, _):
        x, y, z = state
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    times = 0.02 * np.arange(400)
    other = odeint(flow, [1.0, 2.0, 3.0], times, rtol=1e-12, atol=1e-12, mxstep=5000)
    np.testing.assert_allclose(lorenz_series(400, discard=0, start=(1, 2, 3)), other, atol=1e-4)
    mirrored = lorenz_series(400, discard=0, start=(-1, -2, 3))
    np.testing.assert_allclose(mirrored * [-1, -1, 1], other, atol=1e-4)
    still = np.sqrt(8 / 3 * 27)
    rest = lorenz_series(50, discard=3, start=(still, still, 27.0))
    np.testing.assert_allclose(rest, np.tile([still, still, 27], (50, 1)), atol=1e-6)


def test_windows_are_slices_and_no_part_looks_into_another():
    series = np.arange(60.0)[:, None] * [1, 10]
    d = forecast(
        "line",
        series,
        features=("a", "b"),
        targets=("b",),
        window=5,
        horizon=3,
        validation=0.1,
        test=0.2,
        standardize=False,
    )
    seen = []
    for part in (d.train, d.validation, d.test):
        for x, y in zip(part.x, part.y):
            start = int(x[0, 0])
            np.testing.assert_array_equal(x, series[start : start + 5])
            np.testing.assert_array_equal(y, [series[start + 7, 1]])
        seen.append({int(v) for v in part.x[..., 0].ravel()} | {int(v) // 10 for v in part.y.ravel()})
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert set().union(*seen) == set(range(60))
    assert (d.inputs, d.outputs, d.task, d.input) == ((5, 2), 1, "regression", "sequence")


def test_the_sources_forecast_and_standardize_by_the_training_part():
    d = data.mackey_glass(n=400, window=20, horizon=6)
    raw = d.standardize.inverse(d.train.x[:, 0, 0])
    np.testing.assert_allclose(raw, mackey_glass_series(400)[: d.train.size], atol=1e-5)
    assert d.train.x.mean() == pytest.approx(0, abs=1e-4)
    assert d.train.y.std() == pytest.approx(1, abs=1e-4)
    d = data.lorenz(n=300, window=10, observed=("z", "x"), standardize=False)
    np.testing.assert_allclose(d.train.x[0], lorenz_series(10)[:, [2, 0]], rtol=1e-5)
    assert d.features == ("z", "x")


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (mackey_glass_series, {"n": 0}, "n: got 0"),
        (mackey_glass_series, {"n": 9, "tau": 17.03}, "tau: got 17.03, allowed is a positive multiple"),
        (mackey_glass_series, {"n": 9, "method": "heun"}, "method: got 'heun'"),
        (mackey_glass_series, {"n": 9, "spacing": 0}, "spacing: got 0"),
        (mackey_glass_series, {"n": 9, "start": np.nan}, "start: got"),
        (lorenz_series, {"n": 9, "start": (1, 2)}, "start: got"),
        (lorenz_series, {"n": 9, "discard": -1}, "discard: got -1"),
        (data.lorenz, {"observed": ("x", "x")}, "observed: got"),
        (data.mackey_glass, {"n": 60, "window": 50}, "60 steps are too few for windows of 50"),
        (data.mackey_glass, {"n": 100, "window": 0}, "window: got 0"),
        (data.mackey_glass, {"n": 100, "horizon": 0}, "horizon: got 0"),
    ],
)
def test_bad_options_are_named(function, options, message):
    n = options.pop("n", None)
    arguments = () if n is None or function in (data.lorenz, data.mackey_glass) else (n,)
    options |= {"n": n} if n is not None and not arguments else {}
    with pytest.raises(ValueError, match=message):
        function(*arguments, **options)
