"""Methods compared fairly: chosen on seeds of their own, broken trainings never chosen."""

import numpy as np
import pytest

from dlnotes import data, models, outputs
from dlnotes.data import Examples
from dlnotes.training import (
    Recipe,
    evaluate,
    fit,
    initial_params,
    optimizer,
    schedules,
    tune_and_train,
    tune_briefly_and_train,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 3)).astype(np.float32)
TRAIN = Examples(X, (X @ rng.normal(size=(3, 2)) + rng.normal(size=(24, 2))).astype(np.float32))
LINEAR = models.linear(3, 2)


def recipe_of(hyper):
    sgd = optimizer("sgd", hyper["rate"] * hyper["factor"])
    return Recipe(LINEAR, outputs.squared_error, {"absolute_error": outputs.absolute_error}, sgd)


def tuned(**changes):
    options = {"seeds": 2, "tuning_seeds": 3, "steps": 12} | changes
    methods = {"factor": [1.0, 0.01]}
    return tune_and_train(recipe_of, TRAIN, TRAIN, methods, {"rate": [0.01, 0.1, 1e30]}, **options)


def test_each_method_is_trained_at_its_own_best_point():
    found = tuned()
    assert found.tuning.shape == (2, 3)
    assert np.isinf(found.tuning[:, 2]).all()  # broke down: its last finite parameters do not count
    np.testing.assert_array_equal(found.chosen, found.tuning.argmin(1))
    np.testing.assert_array_equal(found.by_method(found.hyperparams["factor"])[:, 0], np.float32([1.0, 0.01]))
    chosen = np.float32([0.01, 0.1, 1e30])[found.chosen]
    np.testing.assert_array_equal(found.by_method(found.hyperparams["rate"])[:, 0], chosen)


def test_the_tuning_losses_are_those_of_single_trainings_on_other_seeds():
    found = tuned()
    for m, factor in enumerate((1.0, 0.01)):
        for p, rate in enumerate((0.01, 0.1)):
            hyperparams = {"rate": np.full(3, rate), "factor": np.full(3, factor)}
            single = fit(recipe_of, TRAIN, steps=12, seeds=[2, 3, 4], hyperparams=hyperparams)
            loss = evaluate(recipe_of, hyperparams, single.params, TRAIN)["loss"]
            np.testing.assert_allclose(found.tuning[m, p], loss.mean(), rtol=1e-5)


def test_a_start_of_one_s_own_and_the_model_s():
    own = tuned(start=lambda hyperparams, seeds: initial_params(LINEAR, seeds, "he"), steps=1)
    by_model = tuned(steps=1)
    assert (own.fit.history["loss"][0] != by_model.fit.history["loss"][0]).all()
    first = by_model.by_method(by_model.fit.history["loss"][0])
    np.testing.assert_array_equal(first[0], first[1])  # a seed's start is the same for every method


def test_without_a_validation_part_the_speed_of_training_decides():
    found = tune_and_train(
        recipe_of, TRAIN, None, {"factor": [1.0]}, {"rate": [1e-4, 0.1]}, seeds=1, tuning_seeds=3, steps=20
    )
    assert found.chosen.tolist() == [1]


def test_nothing_to_compare():
    with pytest.raises(ValueError, match="methods, grid: got none"):
        tune_and_train(recipe_of, TRAIN, None, {}, {"rate": [1.0]}, seeds=1, tuning_seeds=1, steps=1)


def test_parts_are_rows_of_numbers():
    digits = data.load("digits")
    train, validation, test = data.parts_of(digits, 20, None, 5)
    assert train.x.shape == (20, 64)
    assert test.x.shape == (5, 64)
    assert validation.x.shape == (len(digits.validation.y), 64)
    np.testing.assert_array_equal(train.x[3], digits.train.x[3].reshape(-1))


def test_shorter_trainings_choose():
    def falling(steps):
        def of(hyper):
            factor = schedules.cosine(steps)
            return Recipe(LINEAR, outputs.squared_error, {}, optimizer("sgd", hyper["rate"], factor=factor))

        return of

    # After two steps the rate of a hundredth of the other is behind; so it is not chosen.
    found = tune_briefly_and_train(
        falling,
        TRAIN,
        TRAIN,
        {"one": [0.0]},
        {"rate": [0.001, 0.1, 1e30]},
        seeds=2,
        tuning_seeds=3,
        first_seed=5,
        steps=12,
        tuning_steps=2,
        record=12,
    )
    for point, rate in enumerate((0.001, 0.1)):
        hyperparams = {"rate": np.full(3, rate)}
        single = fit(falling(2), TRAIN, steps=2, seeds=[8, 9, 10], hyperparams=hyperparams)
        loss = evaluate(falling(2), hyperparams, single.params, TRAIN)["loss"]
        np.testing.assert_allclose(found.tuning[0, point], loss.mean(), rtol=1e-5)
    assert found.chosen.tolist() == [1]
    alone = fit(falling(12), TRAIN, steps=12, seeds=[5, 6], hyperparams={"rate": np.full(2, 0.1)}, record=12)
    for a, b in zip(found.fit.params, alone.params):
        np.testing.assert_array_equal(a, b)
