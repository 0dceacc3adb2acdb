"""Predictions with dropout kept on: their mean, and how far they spread."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples
from dlnotes.experiment.class_quality import decided_classes
from dlnotes.experiment.members import good_member
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.result import Trained
from dlnotes.models.large_scale.ensemble import mean_of_logs, sample_outputs
from dlnotes.training.state import Member, evaluated_params
from dlnotes.typing import Array, PRNGKey

KEY = 0x5A3B
"""What tells the keys of samples from those of training."""


def check_samples(trained: Trained, one: Member, samples: int) -> None:
    """Check that a run's network has dropout, and one answer for each input.

    Args:
      trained: the run.
      one: the member that predicts, with its axis.
      samples: as asked for.

    Raises:
      ConfigError: naming what does not fit.
    """
    name, dataset, model = str(trained.folder.path), trained.dataset, trained.config.model
    if samples < 2:
        raise ConfigError(name, [f"samples: got {samples}, allowed is at least 2: one has no spread"])
    if trained.config.training.loss == "quantiles":
        told = "samples: got it with training.loss = 'quantiles', which tell how far an answer spreads"
        raise ConfigError(name, [told])
    if dataset.task not in ("classification", "regression"):
        told = f"samples: are of one answer for each input, {dataset.name} has {dataset.task} targets"
        raise ConfigError(name, [told])
    rates = {f: getattr(model, f) for f in type(model).model_fields if f.endswith("dropout")}
    rates |= {
        path.split(".", 1)[1]: float(np.asarray(v)[0])
        for path, v in one.hyper.items()
        if path.startswith("model.") and path.endswith("dropout")
    }
    if model.kind != "given" and not model.random and not any(rates.values()):
        have = ", ".join(f"model.{k} = {v:g}" for k, v in rates.items())
        told = "samples: are for networks with dropout, trained with model.dropout above 0; this one has "
        told += have or f"none (model.kind = {model.kind!r})"
        raise ConfigError(name, [told])


def sampled_outputs(
    trained: Trained, one: Member, examples: Examples, samples: int, *, rows: int = 512
) -> np.ndarray:
    """Outputs ``(samples, n, …)`` of one member, each time with other units dropped.

    The numbers drawn follow from the run's seed, the sample and the number of the example alone.

    Args:
      trained: the run.
      one: the member, with its axis.
      examples: inputs.
      samples: how many.
      rows: examples computed at once; it changes no answer.
    """
    setup = trained.evaluator.setup
    member: Member = jax.tree.map(lambda a: jnp.asarray(a[0]), one._replace(opt_state=()))
    params = evaluated_params(member, best=setup.keep_best)
    model = setup.recipe_of(member.hyper).model
    key = jax.random.fold_in(jax.random.key(trained.config.seed), KEY)

    @jax.jit
    def block(params: Any, x: Any, mask: Any, first: Array) -> Array:
        keys = _keys(key, first, len(jax.tree.leaves(x)[0]))
        return sample_outputs(model, params, x, key=keys, samples=samples, mask=mask)

    n, found = examples.size, []
    rows = min(rows, n)
    for start in range(0, n, rows):
        taken = np.minimum(np.arange(start, start + rows), n - 1)  # the last block is as large as the others
        x, mask = jax.tree.map(lambda a, i=taken: np.asarray(a[i]), (examples.x, examples.mask))
        found.append(np.asarray(block(params, x, mask, np.int32(start)), np.float32)[:, : n - start])
    return np.concatenate(found, axis=1)


def _keys(key: PRNGKey, first: Array, n: int) -> PRNGKey:
    """The keys of examples ``first … first + n``."""
    return jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(n, dtype=jnp.int32))


def sampled_predictions(trained: Trained, one: Member, examples: Examples, samples: int) -> dict[str, Any]:
    """The columns that are written, as `dlnotes.experiment.predict_run` does without samples.

    Of classes the mean probability, and its standard deviation over the samples; of numbers their mean and
    standard deviation in the target's own units, with the network's own spread where it gives one:
    ``Var = E[σ²] + Var[μ]``.
    """
    outputs = sampled_outputs(trained, one, examples, samples)
    dataset = trained.dataset
    if dataset.task == "classification":
        p = np.asarray(jnp.exp(mean_of_logs(jnp.asarray(outputs))))
        each = np.asarray(jax.nn.softmax(jnp.asarray(outputs), axis=-1))
        which = good_member(trained.chosen, trained.state.members)
        named = np.array(dataset.classes)[decided_classes(trained, which, p)]
        return {"class": named, "probability": p, "deviation": each.std(axis=0, ddof=1)}
    scale, spread = dataset.standardize_y, unit_of(trained.config, dataset)
    means, variance = outputs, np.float32(0)
    if spread is not None:
        given = jax.vmap(spread.distribution)(jnp.asarray(outputs))
        means, variance = np.asarray(given.mean), np.asarray(given.variance).mean(axis=0)
    value, deviation = means.mean(axis=0), np.sqrt(variance + means.var(axis=0, ddof=1))
    if scale is None:
        return {"value": value, "deviation": deviation}
    return {"value": scale.inverse(value), "deviation": deviation * scale.scale}
