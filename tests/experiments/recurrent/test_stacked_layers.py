"""What the claim on stacked layers is measured with."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.data.texts.text_pairs import Entry, paired

MODULE = experiment("recurrent/stacked_layers")
spelling = sys.modules[f"{MODULE.__name__.rsplit('.', 1)[0]}._spelling"]
CODE = {"a": ("AH",), "b": ("B",), "x": ("K", "S"), "e": (), "t": ("T",)}


def dictionary(n=240):
    rng = np.random.default_rng(0)
    every = {"".join(rng.choice(list(CODE), rng.integers(3, 8))) for _ in range(2 * n)}
    entries = [Entry(w, tuple(w), (tuple(s for a in w for s in CODE[a]),)) for w in sorted(every)[:n]]
    entries[-1] = entries[-1]._replace(answers=(*entries[-1].answers, ("AH", "AH")))
    rows = np.arange(n)
    parts = rows[: n // 2], rows[n // 2 : n // 4 * 3], rows[n // 4 * 3 :]
    return paired("code", entries, parts, unknown=False)


def test_letters_have_the_phonemes_that_they_stand_for():
    words = spelling.words(dictionary(), (80, 30, 40), 7)
    assert set(words.labels) == set(CODE.values())
    for part in (words.train, words.validation):
        for x, y, mask, said in zip(*part.examples, part.said):
            letters = [chr(96 + c) for c in x[mask]]
            assert [words.labels[c] for c in y[mask]] == [CODE[a] for a in letters]
            assert tuple(s for a in letters for s in CODE[a]) in said
            assert (y[~mask] == -1).all()
    assert words.test.examples.size == 40
    right = np.zeros((40, 7), int)
    for i, (x, mask) in enumerate(zip(words.test.examples.x, words.test.examples.mask)):
        right[i, mask] = [words.labels.index(CODE[chr(96 + c)]) for c in x[mask]]
    assert not spelling.wrong_words(right, words.test, words.labels).any()
    right[3, 0] = (right[3, 0] + 1) % len(words.labels)
    assert spelling.wrong_words(right, words.test, words.labels).sum() == 1
    with pytest.raises(ValueError, match="got 500 for train"):
        spelling.words(dictionary(), (500, 30, 40), 7)


def test_all_depths_have_about_as_many_parameters():
    made = MODULE.networks(MODULE.StackedLayers(), 27, 90)
    sizes = [MODULE.size(model) for model in made]
    assert max(sizes) / min(sizes) < 1.05
    depths = [len(jax.eval_shape(model.init, jax.random.key(0)).forward) for model in made]
    assert depths == [1, 2, 3]


def test_padding_changes_no_label_and_layers_are_those_of_the_net(key):
    model = MODULE.labeler(27, 5, 4, 2, 3)
    params = model.init(key)
    x = jnp.array([[3, 1, 20, 0, 0], [2, 5, 4, 9, 7]])
    np.testing.assert_allclose(
        model.apply(params, x)[0, :3], model.apply(params, x[:1, :3])[0], rtol=1e-4, atol=1e-5
    )
    part = spelling.Spelling(MODULE.data.Examples(np.asarray(x), np.zeros((2, 5), np.int32)), ((), ()))
    letter, first, second = MODULE.representations(model, params, part)
    assert letter.shape == (2, 5, 27)
    assert first.shape == second.shape == (2, 5, 10)
    logits = np.asarray(second) @ np.asarray(params.V) + np.asarray(params.c)
    np.testing.assert_allclose(logits[0, :3], model.apply(params, x)[0, :3], rtol=1e-4, atol=1e-5)
