"""What the claims on teacher forcing and on fixed contexts make by themselves."""

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment


def test_least_squares_goes_on_exactly_with_exact_values_and_nearly_with_noisy_ones():
    module = experiment("recurrent/teacher_forcing")
    options = module.TeacherForcing(test=50)
    exact = module.least_squares(0.0, options, np.random.default_rng(0))
    noisy = module.least_squares(0.1, options, np.random.default_rng(0))
    assert exact.max() < 1e-9
    assert 0.0005 < noisy.mean() < 0.03


def test_unrolled_nets_read_only_the_known_values(key):
    module = experiment("recurrent/teacher_forcing")
    free, fed = module.predictor(5, 3), module.predictor(5, None)
    params = free.init(key)
    x = jax.random.normal(key, (2, 7, 1))
    own = free.apply(params, x)
    np.testing.assert_allclose(own, free.apply(params, x.at[:, 3:].set(9.0)), atol=1e-6)
    fed_own = jnp.concatenate([x[:, :3, 0], own[:, 2:-1]], 1)[..., None]
    np.testing.assert_allclose(own, fed.apply(params, fed_own), atol=1e-6)


def test_a_share_of_zero_replaces_nothing_and_of_one_all_behind_the_prefix(key):
    module = experiment("recurrent/teacher_forcing")
    params = module.predictor(4).init(key)
    x = jax.random.normal(key, (2, 30, 1))
    np.testing.assert_array_equal(module.mixed(params, x, jnp.float32(0), key), x)
    own = module.mixed(params, x, jnp.float32(1), key)
    np.testing.assert_array_equal(own[:, : module.PREFIX], x[:, : module.PREFIX])
    predicted = module.predictor(4, module.PREFIX).apply(params, x)
    np.testing.assert_allclose(own[:, module.PREFIX :, 0], predicted[:, module.PREFIX - 1 : -1], atol=1e-6)


def test_strings_are_repeated_backwards():
    module = experiment("recurrent/fixed_context")
    examples = module.strings(np.array([1, 3, 4]), 4, np.random.default_rng(0))
    for source, y, n in zip(examples.x.source, examples.y, (1, 3, 4)):
        np.testing.assert_array_equal(y[:n], source[:n][::-1])
        assert y[n] == 0
        assert np.all(y[n + 1 :] == -1)
        assert np.all(source[n:] == 0)


def test_the_longest_length_with_half_of_the_strings_right():
    module = experiment("recurrent/fixed_context")
    right = np.array([[[1.0, 0.9, 0.5, 0.4], [0.4, 0.2, 0.1, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(module.longest_right({"right": right}, 0), [3, 0, 4])


def test_only_the_context_differs_in_size():
    module = experiment("recurrent/fixed_context")
    made = module.networks(module.FixedContext())
    shapes = [jax.eval_shape(model.init, jax.random.key(0)) for model in made]
    assert [s.forward[0].W.shape[0] for s in shapes] == [4, 8, 16, 32, 8]
    assert {s.decoder[0].W.shape[0] for s in shapes} == {32}
    assert module.parameters(made[-1]) < module.parameters(made[-2])
