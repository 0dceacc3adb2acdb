"""The cases of the benchmarks, their data, and who takes part; neither torch nor keras is needed."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scripts.bench import inputs, trees, variants
from scripts.bench.bars import BARS, FIRST_STEP_CASES, FIRST_STEP_VARIANTS
from scripts.bench.cases import CASES, VARIANTS
from scripts.bench.networks import Cnn, Mlp, Network, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.peers import ours, ours_networks
from scripts.bench.spec import Case

ROOT = Path(__file__).resolve().parents[2]


def small_network(network: Network) -> Network:
    match network:
        case Mlp():
            features, *hidden, outputs = network.widths
            return replace(network, widths=(features, *(min(m, 5) for m in hidden), outputs))
        case Cnn():
            return replace(network, input_shape=(8, 8, 2), channels=(3, 4), dense=5, outputs=6)
        case Staged():
            channels = (3, 4, 5)[: len(network.channels)]
            size = 32 if network.any_size else 8
            return replace(network, input_shape=(*(size,) * network.rank, 2), channels=channels, outputs=6)
        case Recurrent():
            return replace(network, steps=4, features=3, hidden=5, outputs=6)
        case Seq2Seq():
            return replace(
                network, source_steps=4, target_steps=4, vocabulary=7, outputs=6, embedding=3, hidden=5
            )
        case TreeLstm():
            return replace(network, symbols=7, hidden=4, outputs=3, leaves=(2, 5))


def small(case: Case) -> Case:
    """The same at sizes of a few units and examples."""
    examples = 4 if case.batch == case.examples else 8
    return replace(
        case,
        network=small_network(case.network),
        batch=4,
        examples=examples,
        members=min(case.members, 2),
    )


@pytest.mark.parametrize("name", CASES)
def test_every_case_builds(name):
    """Its data are those its network reads, and its weights those of our parameters, leaf by leaf."""
    case = small(CASES[name])
    weights, data = inputs.make_weights(case), inputs.make_data(case)
    model = ours_networks.build(case.network)
    members = max(case.members, 1)
    like = jax.eval_shape(jax.vmap(model.init), jax.random.split(jax.random.key(0), members))
    params = ours_networks.given(case.network, like, weights)
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda a: a.shape, like)

    x, y, mask = ours.WAYS[type(case.network)].examples(data.x, data.y)
    apply = jax.vmap(lambda params: model.apply(params, x, mask=mask))
    logits = jax.eval_shape(apply, params)
    assert logits.shape[:2] == (members, case.examples)
    assert logits.shape[-1] == case.network.outputs
    assert len(y) == case.examples
    assert inputs.per_unit(case, data) > 0
    assert case.trains == (len(data.batches) > 0)


def test_every_network_has_a_way_to_be_trained():
    assert set(ours.WAYS) == set(get_args(Network))


@pytest.mark.parametrize(
    "name", ["cnn_residual", "cnn_1d", "cnn_3d", "cnn_pool", "cnn_overlap_pool", "gru_64"]
)
def test_flax_computes_the_same(name):
    """From the same arrays, in the order of the layers; more of them are refused where they have no names."""
    from scripts.bench.peers import flax_linen

    case = small(CASES[name])
    network, weights = case.network, inputs.make_weights(case)
    assert not isinstance(network, Seq2Seq | TreeLstm)
    model = ours_networks.build(network)
    params = jax.tree.map(jnp.asarray, ours_networks.initial(network, model, weights))
    module, theirs = flax_linen.build(network, weights)
    x = np.random.default_rng(0).normal(size=(2, *network.input_shape)).astype(np.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        want: Any = module.apply({"params": theirs}, x)
    np.testing.assert_allclose(jax.jit(model.apply)(params, jnp.asarray(x)), want, rtol=1e-4, atol=1e-5)
    if isinstance(network, Staged):
        with pytest.raises(ValueError, match="weights: got"):
            ours_networks.initial(network, model, weights[:1] + weights)


def alone(weights, x, grid):
    """One image of any size through 3×3 convolutions, ReLU, 2×2 pooling, regional means and a dense layer."""
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
    case = CASES["cnn_any_size"]
    assert isinstance(case.network, Staged)
    network = replace(case.network, input_shape=(32, 32, 2), channels=(3, 4, 5), outputs=6)
    case = replace(case, network=network, examples=7, batch=7)
    weights, data = inputs.make_weights(case), inputs.make_data(case)
    assert data.sizes.min() >= 8
    assert data.sizes.max() <= 32
    assert len(np.unique(data.sizes, axis=0)) > 3
    images = [x[: size[0], : size[1]] for x, size in zip(data.x, data.sizes)]
    want = inputs.probabilities([alone(weights, x, network.grid) for x in images])
    junk = data._replace(x=np.full_like(data.x, 9))
    for i, image in enumerate(images):
        junk.x[i, : image.shape[0], : image.shape[1]] = image
    for given, most in ((data, 3), (junk, 1)):
        variant = ours.answer(case, weights, given, most=most)
        np.testing.assert_allclose(variant.check([]), want, rtol=1e-4)
    answered, seconds = variant.run(0)
    assert answered == 7
    assert seconds > 0


@pytest.mark.parametrize(
    ("shape", "leaves", "highest"),
    [
        ("anywhere", (10, 40), range(5, 40)),
        ("halves", (32, 32), [5]),
        ("chains", (9, 9), [8]),
        ("uneven", (3, 50), [2, 49]),
    ],
)
def test_trees_of_a_case(shape, leaves, highest):
    """Every node but the root has a parent before it, inner ones two children; leaves alone have symbols."""
    network = TreeLstm(symbols=7, hidden=4, outputs=3, leaves=leaves, shape=shape)
    case = replace(CASES["tree"], network=network, examples=40, batch=8)
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


def table(module: str) -> set[str]:
    """The names in a module's ``VARIANTS``, read without importing what may not be installed."""
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    tables = [
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "VARIANTS"
    ]
    assert len(tables) == 1
    return set(ast.literal_eval(ast.List([k for k in tables[0].keys if k], ast.Load())))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_of_a_case_is_found(name):
    assert name in table(variants.module_of(name))
    if not name.startswith(variants.OTHER_PYTHON):
        assert callable(variants.find(name))


def test_every_variant_in_a_table_takes_part_in_a_case():
    tables = [table(f"scripts.bench.peers.{module}") for module in set(variants.MODULES.values())]
    assert sorted(name for names in tables for name in names) == sorted(VARIANTS)


def test_an_unknown_variant_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"variant: got 'torch_eagr'; did you mean 'torch_eager'\? \(allowed: "
    ):
        variants.find("torch_eagr")


def test_bars_and_first_steps_are_of_known_cases():
    assert set(FIRST_STEP_VARIANTS) <= set(VARIANTS)
    assert set(FIRST_STEP_CASES) <= set(CASES)
    for bar in BARS:
        assert {"ours", bar.peer or "ours"} <= set(CASES[bar.case].variants)


def test_imports_are_no_more_than_what_is_asked_for():
    """The cases need the standard library alone, and ours none of the peers."""
    program = """
import sys
from scripts.bench import bars, cases
assert not {"torch", "keras", "jax", "numpy"} & set(sys.modules), "by the cases"
from scripts.bench.variants import find
assert callable(find("ours"))
theirs = {"torch", "keras", "scripts.bench.peers.pytorch", "scripts.bench.peers.flax_linen"}
assert not theirs & set(sys.modules), "by ours"
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
