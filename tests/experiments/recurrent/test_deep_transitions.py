"""What the claim on deep recurrent nets is measured with."""

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
def test_orthogonal_starts_keep_the_length_of_a_state(net):
    module = experiment("recurrent/deep_transitions")
    model = module.network(net, module.latch(module.DeepTransitions(examples=10), 5), 6)
    seeds = np.array([3, 4, 3])
    params = module.drawn_starts(model, np.array([1, 1, 0]), seeds)
    cell = params.forward[0]
    assert (cell.S is None) == (net == module.DEEP)
    both = [cell.layers[0].W @ cell.W, *([] if cell.S is None else [cell.S])]
    for W in both:
        product = W @ np.swapaxes(W, 1, 2)
        np.testing.assert_allclose(product[:2], np.broadcast_to(np.eye(6), (2, 6, 6)) / len(both), atol=1e-5)
        assert np.abs(product[2] - np.eye(6) / len(both)).max() > 0.1
    np.testing.assert_array_equal(cell.U[0], cell.U[2])
    assert np.abs(cell.U).max() < (6 / 7) ** 0.5
    alone = module.drawn_starts(model, np.array([1]), seeds[1:2])
    np.testing.assert_array_equal(alone.forward[0].W[0], cell.W[1])


def test_an_image_is_read_row_by_row():
    module = experiment("recurrent/deep_transitions")
    images = data.load("digits").train.x[..., 0]
    np.testing.assert_array_equal(module.digits(8).train.x, images)
    np.testing.assert_array_equal(module.digits(64).train.x[:, 9, 0], images[:, 1, 1])


def test_what_is_harder_is_judged_on_the_clearer_task():
    module = experiment("recurrent/deep_transitions")
    low, high = np.log(2) * np.array([0.1, 0.9])
    # Nets × seeds: of four trainings of the deep net two stay above half of chance, of the plain one none.
    latch = np.array([[[low] * 4, [low, high, low, high], [low] * 4, [low] * 4]])
    digits = np.log(10) * np.array([[[0.1, 0.2], [0.11, 0.2], [0.1, 0.2], [0.1, 0.2]]])
    measured = {"latch_train_loss": latch, "digits_train_loss": digits}
    assert module.harder(measured, module.LATCH, module.DEEP, module.PLAIN).value == 50
    found = module.harder(measured, module.DIGITS, module.DEEP, module.PLAIN)
    assert abs(found.value - 0.5) < 1e-9
    wider = module.clearer(measured, module.DEEP, module.PLAIN)
    assert wider.high - wider.low > found.high - found.low
    right = np.zeros((2, 4, 3, 5), bool)
    right[:, module.STACKED] = True
    assert module.stacking({"digits_right": right}).value == 100
