"""Real speech with a label for every frame: nine speakers who say two vowels."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, initial_params, optimizer, tune_and_train
from dlnotes.typing import IGNORE, Array, Params, PRNGKey

RATES = (1e-3, 3e-3, 1e-2)
FIRST_SEED = 600
PLACES = 5
"""Parts of an utterance, from its first frames to its last, of which the figure shows each."""


def labeled(part: data.Examples) -> data.Examples:
    """Each frame has its utterance's speaker as a label; behind the end there is none."""
    y = np.where(part.mask, part.y[:, None], IGNORE)
    return data.Examples(part.x.astype(np.float32), y.astype(np.int32))


def masked(model: models.Model) -> models.Model:
    """A net on padded utterances: frames of zeros are padding."""

    def apply(params: Params, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        return model.apply(params, x, key=key, mask=jnp.any(x != 0, -1))

    return models.Model(model.init, apply)


def recipe_of(hyper: Hyperparams, *, model: models.Model) -> Recipe:
    """Adam on the cross-entropy of all frames."""
    return Recipe(model, outputs.cross_entropy, {}, optimizer("adam", hyper["rate"], clip_norm=1.0))


def places(mask: np.ndarray) -> np.ndarray:
    """Of each frame the fifth of its utterance that it lies in, (utterances, time)."""
    length = mask.sum(1, keepdims=True)
    return np.minimum(PLACES * np.arange(mask.shape[1])[None] // np.maximum(length, 1), PLACES - 1)


def measure(hidden: int, *, seeds: int, tuning_seeds: int, steps: int) -> dict[str, np.ndarray]:
    """Frames named right by a bidirectional and a causal GRU of about as many parameters.

    Returns:
      "speech", (nets, half of the steps or all, seeds, utterances), the share of each test utterance;
      "speech_places", (nets, half or all, fifths, seeds); "speech_rate", (nets,).

    Raises:
      DataNotFound: without the files of Japanese Vowels.
    """
    found = data.load("japanese_vowels", validation=0.2)
    assert found.validation is not None
    assert found.test is not None
    train, held, test = (labeled(part) for part in (found.train, found.validation, found.test))
    there = test.y != IGNORE
    where = places(there)
    channels, speakers = train.x.shape[-1], found.outputs
    wide = round(1.7 * hidden)
    made = [
        masked(models.sequence_labeler(channels, hidden, speakers, cell="gru", bidirectional=True)),
        masked(models.sequence_labeler(channels, wide, speakers, cell="gru")),
    ]
    right = np.zeros((2, 2, seeds, len(test.y)))
    by_place, rate = np.zeros((2, 2, PLACES, seeds)), np.zeros(2)
    for k, model in enumerate(made):
        trained = tune_and_train(
            partial(recipe_of, model=model),
            train,
            held,
            {"net": [k]},
            {"rate": RATES},
            start=lambda _, members, model=model: initial_params(model, members),
            seeds=seeds,
            tuning_seeds=tuning_seeds,
            first_seed=FIRST_SEED,
            steps=steps,
            batch_size=min(32, train.size),
            record=steps,
            every=max(1, steps // 2),
            probe=lambda params: params,
        )
        rate[k] = RATES[trained.chosen[0]]
        run = jax.jit(lambda all, m=model: jax.lax.map(lambda p: jnp.argmax(m.apply(p, test.x), -1), all))
        for when in (0, 1):
            named = np.asarray(run(jax.tree.map(lambda a, i=when + 1: a[i], trained.fit.probes)))
            good = (named == test.y[None]) & there[None]
            right[k, when] = good.sum(-1) / there.sum(-1)[None]
            for place in range(PLACES):
                by_place[k, when, place] = good[:, there & (where == place)].mean(-1)
    return {"speech": right, "speech_places": by_place, "speech_rate": rate}
