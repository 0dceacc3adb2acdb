"""What the claim on deep recurrent nets is measured with."""

import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import data


def images(module, steps, n=4):
    """A task of so many random images."""
    x = np.random.default_rng(0).random((n, steps, 784 // steps), np.float32)
    part = data.Examples(x, np.arange(n, dtype=np.int32))
    return module.Task(part, part, part)


def test_the_nets_have_about_as_many_parameters():
    module = experiment("recurrent/deep_transitions")
    task, hidden = images(module, 28), module.DeepTransitions().hidden
    most = module.size(module.PLAIN, task, hidden)
    for net in (module.DEEP, module.STACKED):
        assert abs(module.size(net, task, module.hidden_of(net, task, hidden)) / most - 1) < 0.06
    both = [module.hidden_of(net, task, hidden) for net in (module.DEEP, module.SKIP)]
    assert both[0] == both[1]


@pytest.mark.parametrize("net", [1, 2])
def test_orthogonal_starts_keep_the_length_of_a_state(net):
    module = experiment("recurrent/deep_transitions")
    model = module.network(net, images(module, 98), 6)
    params = module.drawn_starts(model, np.array([3, 4]))
    cell = params.forward[0]
    assert (cell.S is None) == (net == module.DEEP)
    both = [cell.layers[0].W @ cell.W, *([] if cell.S is None else [cell.S])]
    for W in both:
        product = W @ np.swapaxes(W, 1, 2)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(6), (2, 6, 6)) / len(both), atol=1e-5)
    assert np.abs(cell.U).max() < (6 / 7) ** 0.5
    alone = module.drawn_starts(model, np.array([4]))
    np.testing.assert_array_equal(alone.forward[0].W[0], cell.W[1])


def test_an_image_is_read_row_by_row(monkeypatch):
    module = experiment("recurrent/deep_transitions")
    pixels = np.random.default_rng(0).random((9, 784), np.float32)
    part = data.Examples(pixels, np.arange(9))
    monkeypatch.setattr(module.data, "load", lambda name: None)
    monkeypatch.setattr(module.data, "parts_of", lambda *_: (part, part, part))
    by_rows, by_pieces = (module.digits(module.DeepTransitions(), steps).train.x for steps in (28, 98))
    np.testing.assert_array_equal(by_rows[3, 5], pixels[3, 140:168])
    np.testing.assert_array_equal(by_pieces[3, 5], pixels[3, 40:48])
    with pytest.raises(ValueError, match="needed are divisors of 784, 28 among them"):
        module.DeepTransitions(readings=(28, 30))


def test_what_is_judged():
    module = experiment("recurrent/deep_transitions")
    loss = np.array([[[9.0, 9.0], [0.1, 0.3]], [[9.0, 9.0], [0.4, 0.6]], [[9.0, 9.0], [0.2, 0.2]]])[None]
    assert abs(module.harder({"train_loss": loss}, module.DEEP, module.PLAIN).value - 0.3) < 1e-9
    right = np.zeros((1, 4, 2, 3, 5), bool)
    right[:, module.STACKED, module.END] = True
    measured = {"right": right, "steps": np.array([28])}
    assert module.stacking(measured, 28).value == 100
    assert module.stacking(measured, 28, module.HALF).value == 0
