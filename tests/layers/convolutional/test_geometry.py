"""Sizes and receptive fields against what the layers do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlnotes.layers import Window, convolve, max_pool, output_size, receptive_field, stack_geometry

WINDOWS = st.builds(
    Window,
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
)


def apply(x, layers):
    for w in layers:
        kernel = jnp.ones((w.size, 1, 1))  # no weight is 0, so the support is everything that is seen
        x = convolve(x, kernel, stride=w.stride, dilation=w.dilation, padding=[w.padding])
    return x


@settings(deadline=None, max_examples=12)
@given(st.lists(WINDOWS, min_size=1, max_size=3), st.integers(12, 20))
@pytest.mark.slow
def test_sizes_and_fields_are_those_of_the_layers(layers, n):
    size = n
    for w in layers:
        assume(w.dilation * (w.size - 1) + 1 <= size + sum(w.padding))
        size = output_size(size, w)
    x = jnp.ones((1, n, 1))
    assert apply(x, layers).shape == (1, size, 1)
    field = receptive_field(layers)
    for i in {0, size - 1}:
        seen = np.flatnonzero(jax.grad(lambda x, i=i: apply(x, layers)[0, i, 0])(x)[0, :, 0])
        first, last = field.start + i * field.stride, field.start + i * field.stride + field.size - 1
        assert all(max(first, 0) <= s <= min(last, n - 1) for s in seen)
        if all(w.dilation == 1 and w.stride <= w.size for w in layers) and first >= 0 and last < n:
            # without gaps, all of it is seen
            np.testing.assert_array_equal(seen, np.arange(first, last + 1))


def test_pooling_has_the_field_of_its_window():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 12, 1)), jnp.float32)
    layers = [Window(3), Window(2, 2)]
    field = receptive_field(layers)
    got = jax.jacobian(lambda x: max_pool(convolve(x, jnp.ones((3, 1, 1)), padding="VALID"), (2,))[0, :, 0])(
        x
    )
    for i, row in enumerate(np.asarray(got)[:, 0, :, 0]):
        seen = np.flatnonzero(row)
        assert field.start + i * field.stride <= seen.min()
        assert seen.max() < field.start + i * field.stride + field.size


def test_wrong_windows_are_named():
    with pytest.raises(ValueError, match="window: reaches over 5, the padded input has 4"):
        output_size(4, Window(5))
    with pytest.raises(ValueError, match="stride: got 0"):
        receptive_field([Window(3, 0)])
    with pytest.raises(ValueError, match="padding: got"):
        output_size(4, Window(3, padding=(-1, 0)))
    with pytest.raises(ValueError, match="layers: layer 1: window: reaches over 5, the padded input has 2"):
        stack_geometry(4, [Window(3), Window(5)])
    with pytest.raises(ValueError, match="layers: layer 0 has 2 windows, allowed are 1 or 3"):
        stack_geometry((4, 4, 4), [(Window(1), Window(1))])


def test_a_stack_over_three_axes_layer_by_layer():
    layers = [
        (Window(3, padding=(1, 1)), Window(3, 2), Window(1)),
        Window(2, 2),
        (Window(2), Window(1), Window(3, dilation=2)),
    ]
    x = jnp.ones((1, 12, 15, 14, 1))
    for stage, layer in zip(stack_geometry(x.shape[1:-1], layers), layers):
        windows = (layer,) * 3 if isinstance(layer, Window) else layer
        x = convolve(
            x,
            jnp.ones((*(w.size for w in windows), 1, 1)),
            stride=[w.stride for w in windows],
            dilation=[w.dilation for w in windows],
            padding=[w.padding for w in windows],
        )
        assert stage.sizes == x.shape[1:-1]
    each = zip(*((layer,) * 3 if isinstance(layer, Window) else layer for layer in layers))
    assert stage.fields == tuple(receptive_field(axis) for axis in each)
