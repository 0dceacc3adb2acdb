"""The statistics and tables of the benchmarks; no peer is needed."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_PATH = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "report.py"


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("bench_report", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bar(NamedTuple):
    case: str
    kind: str
    peer: str
    value: float


def result(rates, difference=0.0, error=None):
    return {"rates": rates, "difference": difference, "error": error, "losses": None}


def test_ratios_are_paired_by_round(report):
    # The machine slows down threefold in the second round: the paired ratio does not see it.
    assert report.paired_ratios([30.0, 10.0, 60.0], [10.0, 5.0, 20.0]) == [3.0, 2.0, 3.0]
    assert report.ratio_to({"a": result([30.0, 10.0, 60.0]), "b": result([10.0, 5.0, 20.0])}, "a", "b") == (
        3.0,
        2.0,
        3.0,
    )


def test_ratio_of_what_was_not_measured(report):
    assert report.ratio_to({"a": result([1.0])}, "a", "missing") is None
    assert report.ratio_to({"a": result([1.0]), "b": result([])}, "a", "b") is None
    with pytest.raises(ValueError, match="2 rounds, the reference has 3"):
        report.paired_ratios([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0384, "0.038"),
        (1.304, "1.30"),
        (31.06, "31.1"),
        (412.7, "413"),
        (30412.4, "30 412"),
        (999.7, "1 000"),
    ],
)
def test_numbers_have_no_exponents(report, value, text):
    assert report.number(value) == text


def test_judge(report):
    cases = {"cnn": {"torch": result([10.0, 10.0, 10.0]), "ours": result([12.0, 14.0, 13.0])}}
    first = {"cnn": {"ours": {"warm": [0.9, 0.6, 0.8], "error": None}}}
    bars = [
        Bar("cnn", "ratio", "torch", 1.25),
        Bar("cnn", "ratio", "torch", 1.35),
        Bar("cnn", "ratio", "bmm", 1.0),
        Bar("cnn", "seconds", "", 0.7),
        Bar("cnn", "seconds", "", 0.8),
        Bar("xor", "ratio", "torch", 400),
    ]
    verdicts = report.judge(bars, cases, first)
    assert [v["verdict"] for v in verdicts] == [
        "met",
        "missed",
        "not measured",
        "missed",
        "met",
        "not measured",
    ]
    assert verdicts[0]["value"] == pytest.approx({"median": 1.3, "low": 1.2, "high": 1.4})
    assert verdicts[3]["value"] == {"median": 0.8, "low": 0.6, "high": 0.9}


def test_a_failed_first_step_is_not_measured(report):
    first = {"cnn": {"ours": {"warm": [0.1], "error": "losses differ"}}}
    assert report.judge([Bar("cnn", "seconds", "", 0.7)], {}, first)[0]["verdict"] == "not measured"


def test_page(report):
    cases = {
        "xor": report.summarize(
            {
                "torch": result([100.0, 50.0, 80.0]),
                "ours": result([400.0, 300.0, 240.0], 3e-7),
                "late": result([], 0.5, "losses differ by 5e-01: a | b\nsecond line " + "x" * 300),
            },
            "torch",
        )
    }
    assert cases["xor"]["ours"]["ratio"] == {"median": 4.0, "low": 3.0, "high": 6.0}
    assert cases["xor"]["late"]["rate"] is None
    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {"jax": "1", "torch": "2"},
        "settings": {
            "rounds": 3,
            "seconds": 0.1,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"xor": "XOR"},
        "units": {"xor": "steps/s"},
        "cases": cases,
        "first_step": {
            "cnn": {
                "torch": {"import": [1.0, 1.1], "cold": [0.2], "warm": [0.1], "error": None},
                "ours": {"import": [], "cold": [], "warm": [], "error": "no\nengine"},
            }
        },
        "bars": report.judge([Bar("xor", "ratio", "torch", 5)], cases, {}),
    }
    page = report.markdown(json.loads(json.dumps(document)))
    assert "| xor: ours ≥ 5 × torch | 4.00 [3.00–6.00] | missed |" in page
    assert "| ours | 300 | 4.00 [3.00–6.00] | 3e-07 |" in page
    assert "losses differ by 5e-01: a \\| b second line" in page
    assert "| cnn torch | 1.05 [1.00–1.10] | 0.200 [0.200–0.200] | 0.100 [0.100–0.100] |" in page
    assert "| cnn ours | — | — | no engine |" in page
    assert "not measurements" in page
    rows = [line for line in page.splitlines() if line.startswith("| late")]
    assert len(rows) == 1
    assert rows[0].endswith("… |")
    assert math.isclose(cases["xor"]["ours"]["rate"]["median"], 300.0)


def load(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", _PATH.with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_earlier_runs_cases_are_kept_with_their_date(report):
    def run(date, names):
        return {
            "date": date,
            "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
            "versions": {"jax": "1"},
            "settings": {
                "rounds": 5,
                "seconds": 1.5,
                "check_steps": 5,
                "tolerance": 1e-4,
                "reference": "torch",
            },
            "titles": {"xor": "XOR", "cnn": "CNN"},
            "units": {"xor": "steps/s", "cnn": "examples/s"},
            "cases": {name: report.summarize({"torch": result([100.0])}, "torch") for name in names},
            "first_step": {},
            "bars": [],
        }

    new = run("2026-02-02", [])
    report.keep(new, run("2026-01-01", ["xor"]))
    new["cases"] |= run("", ["cnn"])["cases"]
    page = report.markdown(new)
    assert "## xor: XOR\n\nMeasured on 2026-01-01, a CPU: 5 rounds of 1.5 s" in page
    assert "## cnn: CNN\n\n| variant" in page


def test_cases_are_chosen_by_pattern():
    run = load("run")
    assert run.chosen("--cases", "cnn*, xor", ["xor", "mlp", "cnn", "cnn_1d"]) == ["xor", "cnn", "cnn_1d"]
    with pytest.raises(SystemExit, match="--cases: got 'rnn"):
        run.chosen("--cases", "rnn*", ["xor", "cnn"])


@pytest.mark.parametrize("kind", ["residual", "conv1d", "conv3d", "pool", "overlap_pool"])
def test_weights_fit_our_network(kind):
    """Every case's arrays are those of the model, in its order, and flax computes the same with them."""
    pytest.importorskip("flax")
    import jax
    import jax.numpy as jnp
    import numpy as np

    from scripts.bench import cases, inputs, kinds, ours
    from scripts.bench.variants import flax_loop

    case = next(c for c in cases.CASES.values() if c.kind == kind)
    rank = kinds.STAGES[kind].rank
    case = case._replace(sizes=(*(8,) * rank, 2, *(3, 4, 5)[: len(kinds.STAGES[kind].strides)], 6))
    weights = inputs.make_weights(case)
    model = ours.network(case)
    like = jax.eval_shape(jax.vmap(model.init), jax.random.split(jax.random.key(0), 1))
    params = jax.tree.map(lambda a: jnp.asarray(a[0]), ours.given(case, like, weights))
    theirs = flax_loop.params_of(case, weights)
    x = np.random.default_rng(0).normal(size=(2, *inputs.input_shape(case))).astype(np.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        want: Any = flax_loop.Network(case).apply({"params": theirs}, x)
    np.testing.assert_allclose(jax.jit(model.apply)(params, jnp.asarray(x)), want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="weights: got"):
        ours.given(case, like, weights[:1] + weights)


def alone(weights, x, grid):
    """One image of any size through 3×3 convolutions, ReLU, 2×2 pooling, regional means and a dense layer."""
    import numpy as np

    for K, b in weights[:-1]:
        around = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
        h = np.maximum(np.einsum("hwcij,ijco->hwo", around, K) + b, 0)
        m, n = len(h) // 2, h.shape[1] // 2
        x = h[: 2 * m, : 2 * n].reshape(m, 2, n, 2, -1).max((1, 3))

    def cells(m):
        return [slice(i * m // grid, -(-(i + 1) * m // grid)) for i in range(grid)]

    means = [x[r, c].mean((0, 1)) for r in cells(x.shape[0]) for c in cells(x.shape[1])]
    W, b = weights[-1]
    return np.concatenate(means) @ W + b


def test_images_of_many_sizes_are_answered_as_if_alone():
    """By buckets or all in one shape, in the order of the data; what lies beyond an image is not read."""
    import numpy as np

    from scripts.bench import cases, inputs, kinds, ours

    case = next(c for c in cases.CASES.values() if not c.trains)
    case = case._replace(sizes=(32, 32, 2, 3, 4, 5, 6), examples=7, batch=7)
    weights, data = inputs.make_weights(case), inputs.make_data(case)
    assert data.sizes.min() >= 8
    assert data.sizes.max() <= 32
    assert len(np.unique(data.sizes, axis=0)) > 3
    images = [x[: size[0], : size[1]] for x, size in zip(data.x, data.sizes)]
    want = inputs.probabilities([alone(weights, x, kinds.STAGES[case.kind].grid) for x in images])
    junk = data._replace(x=np.full_like(data.x, 9))
    for i, image in enumerate(images):
        junk.x[i, : image.shape[0], : image.shape[1]] = image
    for given, most in ((data, 3), (junk, 1)):
        variant = ours.any_size(case, weights, given, most)
        np.testing.assert_allclose(variant.check([]), want, rtol=1e-4)
    answered, seconds = variant.run(0)
    assert answered == 7
    assert seconds > 0


def test_a_note_stands_below_its_case(report):
    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {},
        "settings": {
            "rounds": 5,
            "seconds": 1.5,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"xor": "XOR"},
        "units": {"xor": "steps/s"},
        "notes": {"xor": "Only the forward pass."},
        "cases": {"xor": report.summarize({"torch": result([100.0])}, "torch")},
        "first_step": {},
        "bars": [],
    }
    assert "## xor: XOR\n\nOnly the forward pass.\n\n| variant" in report.markdown(document)


def test_a_sweep_is_one_table(report):
    def case(**rates):
        return report.summarize({name: result(of) for name, of in rates.items()}, "first")

    document = {
        "date": "2026-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "system": "Linux", "load": 0.1},
        "versions": {},
        "settings": {
            "rounds": 5,
            "seconds": 1.5,
            "check_steps": 5,
            "tolerance": 1e-4,
            "reference": "torch",
        },
        "titles": {"a": "batch 8", "b": "batch 32", "xor": "XOR"},
        "units": dict.fromkeys(("a", "b", "xor"), "nodes/s"),
        "sweeps": {"a": "By batch", "b": "By batch"},
        "cases": {
            "a": case(levels=[10.0], ours=[20.0]),
            "xor": case(ours=[1.0]),
            "b": case(levels=[100.0], ours=[]),
        },
        "first_step": {},
        "bars": [],
    }
    page = report.markdown(document)
    assert page.count("By batch") == 1
    assert "## a" not in page
    assert "| batch 8 | 10.0 | 20.0 | 2.00 [2.00–2.00] |\n| batch 32 | 100 | — | — |" in page


@pytest.mark.parametrize(
    ("kind", "leaves", "highest"),
    [
        ("random_trees", (10, 40), range(5, 40)),
        ("balanced_trees", (32, 32), [5]),
        ("chains", (9, 9), [8]),
        ("uneven_trees", (3, 50), [2, 49]),
    ],
)
def test_trees_of_a_case(kind, leaves, highest):
    """Every node but the root has a parent before it, inner ones two children; leaves alone have symbols."""
    import numpy as np

    from scripts.bench import cases, inputs, trees

    case = cases.CASES["tree"]._replace(kind=kind, sizes=(7, 4, 3, *leaves), examples=40, batch=8)
    data = inputs.make_data(case)
    sizes = trees.count(data.x)
    assert (sizes[:, None] == data.sizes).all()
    assert inputs.per_unit(case, data) == pytest.approx(40 / sizes.sum())
    for nodes, size in zip(data.x, sizes):
        assert (nodes[size:] == trees.NONE).all()
        tree, rows = nodes[:size], np.arange(size)
        assert tree[0, trees.PARENT] == -1
        assert (tree[:, trees.PARENT] < rows).all()
        pairs, inner = trees.children(tree), tree[:, trees.LABEL] == -1
        assert leaves[0] <= size - inner.sum() <= leaves[1]
        assert ((pairs >= 0) == inner[:, None]).all()
        assert (
            pairs[inner, 0] == rows[inner] + 1
        ).all()  # and what lies below it follows, then the right one
        assert sorted(pairs[inner].ravel()) == list(rows[1:])
        assert 0 <= tree[~inner, trees.LABEL].min() <= tree[:, trees.LABEL].max() < 7
        assert trees.heights(tree)[0] in highest
