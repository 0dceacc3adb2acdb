"""What the experiments on depth and recursion are built of."""

import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import data


def test_the_nets_of_a_task_have_about_as_many_parameters():
    module = experiment("recurrent/deep_transitions")
    options = module.DeepTransitions()
    task = module.digits(32)
    most = module.size(module.PLAIN, task, options.hidden)
    for net in range(1, len(module.NETS)):
        hidden = module.hidden_of(net, task, options.hidden)
        assert abs(module.size(net, task, hidden) / most - 1) < 0.06


@pytest.mark.parametrize("net", [1, 2])
def test_orthogonal_starts_keep_the_length_of_a_state(net, key):
    module = experiment("recurrent/deep_transitions")
    task = module.latch(module.DeepTransitions(examples=10), 5)
    cell = module.network(net, "orthogonal", task, 6).init(key).forward[0]
    through = cell.layers[0].W @ cell.W
    both = [through] if cell.S is None else [through, cell.S]
    assert (cell.S is None) == (net == module.DEEP)
    for W in both:
        np.testing.assert_allclose(W @ W.T, np.eye(6) / len(both), atol=1e-6)


def test_an_image_is_read_row_by_row():
    module = experiment("recurrent/deep_transitions")
    images = data.load("digits").train.x[..., 0]
    np.testing.assert_array_equal(module.digits(8).train.x, images)
    np.testing.assert_array_equal(module.digits(64).train.x[:, 9, 0], images[:, 1, 1])
