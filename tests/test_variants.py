"""Pure functions of arrays are the same eagerly and under jit, vmap and pmap: one table of them all."""

import re
import zlib
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from refusals import refused

from dlnotes import layers, outputs
from dlnotes.layers.normalization import LayerNorm


def r(*shape):
    """A place for random numbers, drawn by `numbers`."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def whole(below, *shape):
    """A place for random whole numbers in ``0 … below - 1``."""
    return below, jax.ShapeDtypeStruct(shape, jnp.int32)


def drawn(init, *sizes, **options):
    """Parameters of these shapes, random in every number."""
    return jax.eval_shape(lambda key: init(key, *sizes, **options), jax.random.key(0))


IMAGE = r(2, 6, 5, 4)
MASK = "mask"
"""A place for booleans ``(2, 6, 5)``, a box from the first position on."""

ELEMENTWISE = (
    "absolute", "cosine", "elu", "erf", "gelu", "hard_tanh", "identity", "leaky_relu", "odd_bump", "relu",
    "sigmoid", "silu", "sine_plus", "softplus", "tanh",
)  # fmt: skip

LAYERS = {
    **{name: (getattr(layers, name), r(3, 4)) for name in ELEMENTWISE},
    "prelu": (layers.prelu, r(3, 4), r(4)),
    "relu_with_slope": (lambda z: layers.relu_with_slope(z, 0.5), r(3, 4)),
    "smooth_unit": (layers.smooth_unit, drawn(layers.init_smooth_unit, 3), r(3, 4)),
    "dense": (layers.dense, drawn(layers.init_dense, 4, 3), r(5, 4)),
    "corrupt": (lambda x: layers.corrupt(jax.random.key(5), x, amount=0.4), r(3, 4)),
    "factored_dense": (layers.factored_dense, drawn(layers.init_factored, 4, 2, 3), r(5, 4)),
    "masked_dense": (
        lambda p, x: layers.masked_dense(p, x, layers.connections(4, 3, 0.5)),
        drawn(layers.init_dense, 4, 3),
        r(5, 4),
    ),
    "maxout": (lambda z: layers.maxout(z, 2), r(3, 6)),
    "dense_maxout": (lambda p, x: layers.dense_maxout(p, x, 2), drawn(layers.init_dense, 4, 6), r(5, 4)),
    "conv_maxout": (
        lambda p, x: layers.conv_maxout(p, x, 2),
        drawn(layers.init_convolution, (3, 3), 4, 6),
        IMAGE,
    ),
    "rbf": (layers.rbf, drawn(layers.init_rbf, 4, 3), r(5, 4)),
    "rbf_kernel": (lambda x, z: layers.rbf_kernel(x, z, 0.5), r(5, 4), r(3, 4)),
    "polynomial_kernel": (layers.polynomial_kernel, r(5, 4), r(3, 4)),
    "polynomial_features": (layers.polynomial_features, r(5, 4)),
    "fourier_features": (
        layers.fourier_features,
        drawn(layers.init_fourier_features, 4, 6, gamma=0.5),
        r(5, 4),
    ),
    "fourier_deviation": (lambda k: layers.fourier_deviation(k, 7), r(3, 4)),
    "primal_ridge": (lambda x, y: layers.primal_ridge(x, y, 0.1), r(5, 4), r(5, 2)),
    "dual_ridge": (lambda x, y: layers.dual_ridge(layers.rbf_kernel(x, x, 0.5), y, 0.1), r(5, 4), r(5, 2)),
    "masked_softmax": (lambda e: layers.masked_softmax(e, None), r(3, 4)),
    "additive_scores": (layers.additive_scores, r(3), r(2, 3), r(2, 5, 3)),
    "soft_read": (layers.soft_read, r(3, 2), r(4, 3)),
    "hard_read": (lambda m, z: layers.hard_read(m, z, jax.random.key(3), "gumbel"), r(3, 2), r(4, 3)),
    "soft_switch": (layers.soft_switch, r(4, 3)),
    "bernoulli_gate": (
        lambda z: layers.bernoulli_gate(jax.random.key(3), z, "gumbel", temperature=0.5),
        r(5, 4),
    ),
    "gated_dense": (
        lambda p, x, u: layers.gated_dense(p, x, u, grouped=True),
        drawn(layers.init_dense, 4, 6),
        r(5, 4),
        whole(2, 5, 3),
    ),
    "sort_by_group": (lambda group: layers.sort_by_group(group, 3), (3, r(7))),
    "grouped_dense": (
        lambda W, b, x, group: layers.grouped_dense(
            layers.Dense(W, b), x, layers.sort_by_group(group, 3, tile=2)
        ),
        r(3, 4, 2),
        r(3, 2),
        r(7, 4),
        (3, r(7)),
    ),
    "calibrated": (lambda x: layers.calibrated(x, share=0.9).scale, r(5, 4)),
    "quantize_dense": (lambda p: layers.quantize_dense(p).scale, drawn(layers.init_dense, 4, 3)),
    "quantized_dense": (
        lambda p, x: layers.quantized_dense(layers.quantize_dense(p), x),
        drawn(layers.init_dense, 4, 3),
        r(5, 4),
    ),
    "quantize_convolution": (
        lambda p: layers.quantize_convolution(p).scale,
        drawn(layers.init_convolution, (3, 2), 4, 3),
    ),
    "quantized_conv": (
        lambda p, x: layers.quantized_conv(layers.quantize_convolution(p), x),
        drawn(layers.init_convolution, (3, 2), 4, 3),
        IMAGE,
    ),
    "crop": (lambda x, c: layers.crop(x, c, 3), IMAGE, whole(5, 2, 2)),
    "bilinear_crop": (lambda x, c: layers.bilinear_crop(x, c, 3), IMAGE, r(2, 2)),
    "conv": (layers.conv, drawn(layers.init_convolution, (3, 2), 4, 3), IMAGE),
    "convolve": (lambda x, k: layers.convolve(x, k, stride=2, dilation=2), IMAGE, r(2, 2, 4, 3)),
    "depthwise": (layers.depthwise, IMAGE, r(3, 3, 4, 2)),
    "transposed_convolve": (lambda x, k: layers.transposed_convolve(x, k, stride=2), IMAGE, r(2, 2, 3, 4)),
    "locally_connected": (
        layers.locally_connected,
        drawn(layers.init_locally_connected, (6, 5), (3, 3), 4, 3),
        IMAGE,
    ),
    "circulant": (layers.circulant, r(4)),
    "circulant_eigenvalues": (lambda k: layers.circulant_eigenvalues(k, 5), r(3)),
    "doubly_block_circulant": (lambda k: layers.doubly_block_circulant(k, (3, 4)), r(2, 3)),
    "periodic_convolution": (layers.periodic_convolution, r(5), r(3)),
    "toeplitz": (lambda k: layers.toeplitz(k, 5), r(3)),
    "conv_stage": (layers.conv_stage, drawn(layers.init_convolution, (3, 3), 4, 3), IMAGE),
    "masked_adaptive_pool": (lambda x, m: layers.masked_adaptive_pool(x, m, 2), IMAGE, MASK),
    "masked_group_norm": (
        lambda p, x, m: layers.masked_group_norm(p, x, m, groups=2),
        LayerNorm(r(4), r(4)),
        IMAGE,
        MASK,
    ),
    "masked_mean": (layers.masked_mean, IMAGE, MASK),
    "neighborhood_pool": (layers.neighborhood_pool, IMAGE),
    "averaged_variance": (layers.averaged_variance, r(3, 4)),
    "adaptive_pool": (lambda x: layers.adaptive_pool(x, (3, 2)), IMAGE),
    "avg_pool": (lambda x: layers.avg_pool(x, 3, 2), IMAGE),
    "channel_max_pool": (lambda x: layers.channel_max_pool(x, 2), IMAGE),
    "clustered_pool": (lambda x: layers.clustered_pool(x, 3), IMAGE),
    "cluster_locations": (lambda s: layers.cluster_locations(s, 3), r(2, 6, 5)),
    "distance_weighted_pool": (layers.distance_weighted_pool, IMAGE),
    "global_avg_pool": (layers.global_avg_pool, IMAGE),
    "l2_pool": (layers.l2_pool, IMAGE),
    "learned_pool": (layers.learned_pool, layers.LearnedPooling(r(3, 6, 5, 2)), IMAGE),
    "max_pool": (lambda x: layers.max_pool(x, 3, 2, "SAME"), IMAGE),
    "upsample": (lambda x: layers.upsample(x, 2, "linear"), IMAGE),
    "switched_max_pool": (lambda x: layers.switched_max_pool(jnp.asarray(x)[:, :, :4]).values, IMAGE),
    "max_unpool": (lambda y: layers.max_unpool(y, jnp.ones(np.shape(y), jnp.int32)), IMAGE),
    "dropout": (lambda x: layers.dropout(jax.random.key(3), x, 0.4), r(3, 4)),
    "unroll": (lambda p, xs: layers.unroll(layers.gru, p, xs), drawn(layers.gru.init, 3, 4), r(2, 5, 3)),
    "teacher_forced": (
        layers.teacher_forced,
        drawn(layers.output_recurrent(2).init, 3, 4),
        r(2, 5, 3),
        r(2, 5, 2),
    ),
    "grid_rnn": (layers.grid_rnn, drawn(layers.init_grid_rnn, 4, 3), IMAGE),
}
"""Public name → (function of arrays, its arguments)."""

NOT_PURE = {
    "activation", "initializer", "connections", "recurrent_cell", "cell_of", "deep_input", "deep_transition",
    "delayed", "leaky", "lstm_variant", "output_recurrent", "plain_cell", "reservoir", "ridge_readout",
    "output_size", "receptive_field", "stack_geometry", "gru", "lstm", "rnn", "random", "bernoulli",
    "fold_in", "forward_mode",
    "tree_cell", "tree_lstm", "affine_tree", "tensor_tree", "node_states", "count_waves", "soft_chart",
    "compose_pairs", "connected_regions", "mean_field", "free_run", "memory_curve", "local_window",
    "multiplier", "requantize", "convolve_functions", "switch_bits",
}  # fmt: skip
"""What takes static arguments alone, keys or host numbers; and cells, trees and the mean field, which the
tests beside them hold to the same."""

OUTPUTS = {
    "cross_entropy": (lambda z, y: outputs.cross_entropy(z, y, label_smoothing=0.1), r(4, 3), whole(3, 4)),
    "binary_cross_entropy": (outputs.binary_cross_entropy, r(4, 1), whole(2, 4)),
    "squared_error": (outputs.squared_error, r(4, 2), r(4, 2)),
    "absolute_error": (outputs.absolute_error, r(4, 2), r(4, 2)),
    "pinball": (lambda p, y: outputs.pinball(p, y, quantile=0.3), r(4, 2), r(4, 2)),
    "gaussian_nll": (outputs.gaussian_nll, r(4, 2), r(4, 2)),
    "bernoulli_nll": (outputs.bernoulli_nll, r(4, 2), r(4, 2)),
    "laplace_nll": (outputs.laplace_nll, r(4, 2), r(4, 2)),
    "heteroscedastic_nll": (outputs.heteroscedastic_nll, r(4, 4), r(4, 2)),
    "full_covariance_nll": (outputs.full_covariance_nll, r(4, 5), r(4, 2)),
    "mixture_nll": (lambda raw, y: outputs.mixture_nll(raw, y, components=3), r(4, 15), r(4, 2)),
    "full_mixture_nll": (lambda raw, y: outputs.full_mixture_nll(raw, y, components=3), r(4, 18), r(4, 2)),
    "shared_precision_nll": (outputs.shared_precision_nll, r(4, 3), r(4, 2)),
    "hinge": (outputs.hinge, r(4, 3), whole(3, 4)),
    "brier": (outputs.brier, r(4, 3), whole(3, 4)),
    "clipped_linear_nll": (outputs.clipped_linear_nll, r(4, 1), whole(2, 4)),
    "distillation": (
        lambda z, y, t: outputs.distillation(z, y, t, temperature=3.0, share=0.7),
        r(4, 3),
        whole(3, 4),
        r(4, 3),
    ),
    "imitation": (lambda p, y, t: outputs.imitation(p, y, t, share=0.7), r(4, 2), r(4, 2), r(4, 2)),
    "accuracy": (outputs.accuracy, r(4, 3), whole(3, 4)),
    "exact_match": (outputs.exact_match, r(9, 1, 2), whole(2, 9, 1)),
    "over_steps": (lambda z, y: outputs.over_steps(outputs.cross_entropy, z, y), r(4, 2, 3), whole(3, 4)),
    "target_count": (outputs.target_count, whole(3, 4, 5)),
    "mean_of": (lambda t, w: outputs.mean_of(outputs.PerExample(t, t * t), w * w), r(4), r(4)),
    "dependence": (outputs.dependence, r(9, 3)),
    "distance_correlations": (outputs.distance_correlations, r(9, 3)),
    "heteroscedastic": (lambda raw: outputs.heteroscedastic(raw).variance, r(4, 6)),
    "full_covariance": (lambda raw: outputs.full_covariance(raw, 2).covariance, r(4, 5)),
    "mixture": (lambda raw: outputs.mixture(raw, 3, 2).mode, r(4, 15)),
    "full_mixture": (lambda raw: outputs.full_mixture(raw, 3, 2).factor, r(4, 18)),
    "shared_precision": (lambda raw: outputs.shared_precision(raw).precision, r(4, 3)),
    "cost_functional": (outputs.cost_functional, r(4), r(5), r(4, 5)),
    "functional_minimum": (outputs.functional_minimum, r(5), r(4, 5)),
    "logit": (lambda z: outputs.logit(outputs.complement(z)), r(3, 4)),
    "complement": (outputs.complement, r(3, 4)),
    "sigmoid_slope": (outputs.sigmoid_slope, r(3, 4)),
    "above_maximum": (outputs.above_maximum, r(4, 3)),
    "strongest_wrong_share": (outputs.strongest_wrong_share, r(4, 3), whole(3, 4)),
    "tempered_softmax": (lambda z: outputs.tempered_softmax(z, 0.5), r(4, 3)),
    "argmax_error_bound": (lambda z: outputs.argmax_error_bound(z, 0.5), r(4, 3)),
    "mixture_gradients": (
        lambda z, m, s, y: outputs.mixture_gradients(z, m, outputs.complement(s), y),
        r(4, 3),
        r(4, 3, 2),
        r(4, 3, 2),
        r(4, 2),
    ),
    "scale_gradient": (outputs.scale_gradient, r(4, 3), r(4, 3)),
    "scaled_mixture_nll": (
        lambda raw, y: outputs.scaled_mixture_nll(raw, y, components=3),
        r(4, 15),
        r(4, 2),
    ),
}
MAKERS = {
    "frames_nll", "full_mixture_size", "joint_loss", "likelihood", "of_task", "penalized", "scored", "unit",
    "unpenalized", "unscored",
}  # fmt: skip
"""What takes or makes other functions."""

ON_THE_HOST = {
    "boundary_f", "bracket_f1", "confusion", "error_rates", "mean_iou", "segmentation", "self_agreement",
}  # fmt: skip
"""Metrics of a whole data set, in numpy."""

TABLE = {f"layers.{k}": v for k, v in LAYERS.items()} | {f"outputs.{k}": v for k, v in OUTPUTS.items()}


def numbers(name, seed):
    """Random arguments of a row."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])

    def leaf(place):
        if isinstance(place, str):
            box = rng.integers(1, 6, (2, 2))
            return jnp.asarray((np.indices((6, 5))[:, None] < box.T[:, :, None, None]).all(0))
        return jnp.asarray(rng.normal(size=place.shape), jnp.float32)

    def argument(place):
        if isinstance(place, tuple) and isinstance(place[0], int):
            return jnp.asarray(rng.integers(0, place[0], place[1].shape), jnp.int32)
        return jax.tree.map(leaf, place)

    return tuple(argument(place) for place in TABLE[name][1:])


CONSTANT = {"outputs.target_count"}
"""Rows whose result does not depend on their numbers."""


@cache
def eager(name):
    """Two rows of arguments and, computed operation by operation, what the function gives for them."""
    arguments = [numbers(name, seed) for seed in range(2)]
    want = [TABLE[name][0](*a) for a in arguments]
    chex.assert_tree_all_finite(want)
    first = [jax.tree.leaves(w)[0] for w in want]
    assert name in CONSTANT or not np.allclose(*first), "the function's arguments say nothing"
    return jax.tree.map(lambda *a: jnp.stack(a), *arguments), jax.tree.map(lambda *a: jnp.stack(a), *want)


LONG = {
    "layers.cluster_locations", "layers.clustered_pool", "layers.grid_rnn", "layers.masked_adaptive_pool",
    "layers.teacher_forced", "layers.unroll", "outputs.full_covariance_nll", "outputs.mixture",
}  # fmt: skip
"""Rows that take seconds operation by operation."""


class _Transformations(chex.TestCase):
    def is_eager(self, name):
        both, want = eager(name)
        function = TABLE[name][0]
        if self.variant.type is chex.ChexVariantType.WITH_PMAP:  # one row of arguments on each device
            how = {"broadcast_args_to_devices": False, "n_devices": 2, "reduce_fn": None}
            got = self.variant(function, **how)(*both)
        else:  # jit, and vmap inside it
            got = self.variant(jax.vmap(function))(*both)
        chex.assert_trees_all_equal_shapes_and_dtypes(got, want)
        chex.assert_trees_all_close(got, want, rtol=2e-5, atol=2e-5)


class TestQuick(_Transformations):
    """Rows of the table against themselves, eagerly."""

    @chex.variants(with_jit=True, with_pmap=True)
    @parameterized.named_parameters(*((name, name) for name in TABLE if name not in LONG))
    def test_is_eager(self, name):
        self.is_eager(name)


@pytest.mark.slow
class TestLong(_Transformations):
    """The others."""

    @chex.variants(with_jit=True, with_pmap=True)
    @parameterized.named_parameters(*((name, name) for name in sorted(LONG)))
    def test_is_eager(self, name):
        self.is_eager(name)


OURS = re.compile(r"[\w.\[\]', ]+: (got|gives) ")
"""How an error begins that says which argument does not fit."""


def wrong_shapes(leaf):
    """Arrays of shapes near that of an argument: one axis less or more, other sizes."""
    shape = leaf.shape
    others = [shape[1:], (2, *shape), (*shape[:-1], shape[-1] + 1), (shape[0] + 1, *shape[1:])]
    others += [(shape[0], shape[1] + 3, *shape[2:])] if len(shape) > 1 else []
    return [jax.ShapeDtypeStruct(other, leaf.dtype) for other in others]


@pytest.mark.parametrize("name", [name for name in TABLE if name not in LONG])
def test_a_shape_that_does_not_fit_is_named(name):
    """What is refused is refused by the library, not by the compiler."""
    leaves, structure = jax.tree.flatten(numbers(name, 0))
    for i, leaf in enumerate(leaves):
        for other in wrong_shapes(leaf):
            given = structure.unflatten([*leaves[:i], other, *leaves[i + 1 :]])
            refusal = refused(TABLE[name][0], *given)
            assert refusal is None or OURS.match(refusal), f"{other.shape}: {refusal}"


@pytest.mark.parametrize("name", [name for name in TABLE if name not in {*LONG, "outputs.mean_of"}])
def test_lists_are_arrays(name):
    given = numbers(name, 0)
    got = TABLE[name][0](*jax.tree.map(lambda a: a.tolist(), given))
    want = jax.tree.map(lambda a: a[0], eager(name)[1])
    chex.assert_trees_all_equal_shapes_and_dtypes(got, want)
    chex.assert_trees_all_close(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [f"layers.{name}" for name in ELEMENTWISE])
def test_whole_numbers_are_numbers(name):
    """Also in an array: a slope of 0.01 must not become a whole number."""
    function, want = TABLE[name][0], TABLE[name][0](jnp.array([1.0, -2.0]))
    for given in ([1, -2], np.array([1, -2]), jnp.array([1, -2]), np.array([1.0, -2.0])):
        got = function(given)
        assert got.dtype == jnp.float32
        np.testing.assert_array_equal(got, want)
    scalar = function(-2)
    assert scalar.shape == ()
    assert not scalar.weak_type
    np.testing.assert_allclose(scalar, want[1], rtol=1e-6)


def test_the_table_is_complete():
    public = {name for name in layers.__all__ if name[0].islower() and not name.startswith("init_")}
    assert public - NOT_PURE == set(LAYERS)
    public = {name for name in outputs.__all__ if name[0].islower()}
    assert public - MAKERS - ON_THE_HOST == set(OUTPUTS)
