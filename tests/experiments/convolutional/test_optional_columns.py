"""What the claim on optional columns gives its networks, against the table itself."""

import jax
import numpy as np
import pytest
from experiment_module import experiment
from sklearn.datasets import load_wine

optional = experiment("convolutional/optional_columns")


def test_a_table_is_split_and_every_second_column_is_there():
    parts = optional.table("wine", 3, 5)
    wine = load_wine()
    assert [len(p.y) for p in parts] == [5 * n for n in (106, 18, 54)]
    train = parts[0].x[::5, :, 0]
    np.testing.assert_allclose(train.mean(0), np.zeros(13), atol=1e-5)
    np.testing.assert_allclose(train.std(0), np.ones(13), atol=1e-5)
    everything = np.concatenate([p.x[::5, :, 0] for p in parts])
    z = (wine.data - wine.data.mean(0)) / wine.data.std(0)
    # The same rows in another order, on another scale.
    np.testing.assert_allclose(np.corrcoef(everything.T), np.corrcoef(z.T), atol=1e-4)
    there = np.concatenate([p.there for p in parts])
    assert there[:, ::2].all()
    assert there[:, 1::2].mean() == pytest.approx(0.5, abs=0.04)


def test_what_each_network_is_given_by_hand():
    x = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]], np.float32)
    there = np.array([[True, False, True], [False, False, True]])
    part = optional.Observed(x, there, np.array([0, 1]))
    packed = optional.given(optional.CONVOLUTION, part)
    assert packed.x[..., 0].tolist() == [[1, 3, 0], [6, 0, 0]]
    assert packed.mask.tolist() == [[True, True, False], [True, False, False]]
    told = optional.given(optional.TOLD, part)
    assert told.x[0].tolist() == [[1, 1, 0, 0], [3, 0, 0, 1], [0, 0, 0, 0]]
    assert told.x[1, 0].tolist() == [6, 0, 0, 1]
    dense = optional.given(optional.DENSE, part)
    assert dense.x.tolist() == [[1, 0, 3, 1, 0, 1], [0, 0, 6, 0, 0, 1]]
    assert dense.mask is None


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_is_not_there_changes_no_answer(which, key):
    rng = np.random.default_rng(0)
    x, there = rng.normal(size=(4, 6, 1)).astype(np.float32), rng.random((4, 6)) < 0.6
    there[:, 0] = True
    model = optional.network(which, 6, 1, 3, 5)
    params = model.init(key)
    answers = []
    for values in (x, np.where(there[..., None], x, np.float32(99))):
        given = optional.given(which, optional.Observed(values, there, np.zeros(4, np.int32)))
        answers.append(model.apply(params, given.x, mask=given.mask))
    np.testing.assert_array_equal(*answers)
    assert jax.tree.leaves(answers)[0].shape == (4, 3)


def test_only_the_told_network_knows_a_value_of_another_column(key):
    """The same value alone in one column or in another: the convolution cannot tell them apart."""
    x = np.full((2, 6, 1), 1.7, np.float32)
    there = np.zeros((2, 6), bool)
    there[0, 1] = there[1, 4] = True
    part = optional.Observed(x, there, np.zeros(2, np.int32))
    for which, same in ((optional.CONVOLUTION, True), (optional.TOLD, False), (optional.DENSE, False)):
        model = optional.network(which, 6, 1, 3, 5)
        given = optional.given(which, part)
        one, other = model.apply(model.init(key), given.x, mask=given.mask)
        assert np.allclose(one, other) == same
