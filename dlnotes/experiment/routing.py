"""How a network with several parts uses them: the experts of a gate, the leaves of a tree, blocks
of units."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from dlnotes import models
from dlnotes.config.models import GatedMlp, MixtureOfExperts, SoftTree
from dlnotes.data.dataset import Examples
from dlnotes.experiment.network import model_of
from dlnotes.experiment.objective import unit_of
from dlnotes.models.model import Model
from dlnotes.outputs.losses import PerExample
from dlnotes.training.state import Hyperparams, Member, Recipe
from dlnotes.typing import Array

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator


def routing_metrics(
    evaluator: Evaluator, members: Member, examples: Examples, *, best: bool | None = None
) -> dict[str, np.ndarray]:
    """How the examples are divided over the parts of a network, each ``(members,)``; {} for other families.

    Of a mixture of experts: "load_1", "load_2", … (the share of examples whose largest gate is that
    expert's), "experts_used" (``exp`` of the entropy of these shares, over E: 1 where all are used alike, 1/E
    where one is), "gate_entropy" (nats, the mean over examples) and "saved_work" (the share of the
    multiply-adds of computing all experts that a hard gate leaves out; 0 with a soft gate).

    Of a gated perceptron: "blocks_on" (the share of its blocks that are on at inference, the mean over
    examples), "gate_entropy" (nats a block: 0 where all are sure) and "saved_work"
    (the share of the multiply-adds of the perceptron without gates that is left out, the gates' own counted;
    below 0 where they cost more).

    Of a soft tree: "leaves_used" (the same of the leaves that examples most probably end in),
    "path_entropy" (nats, the mean over examples), and for classes "one_path_accuracy".

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: of one split.
      best: use the best parameters; by default where they are kept.
    """
    best = evaluator.setup.keep_best if best is None else best
    family = evaluator.setup.group.config.model
    if isinstance(family, MixtureOfExperts):
        gates = _probe(evaluator, lambda options: _gates_only, best).predict(members, examples)
        return expert_metrics(gates) | {"saved_work": np.full(len(gates), _saved(evaluator, family))}
    if isinstance(family, GatedMlp):
        found = _probe(evaluator, _blocks, best).predict(members, examples)
        u, probability = np.split(found.astype(np.float64), 2, axis=2)
        off = 1 - probability
        return {
            "blocks_on": u.mean(axis=(1, 2, 3)),
            "gate_entropy": (_entropy(np.stack([probability, off], axis=-1))).mean(axis=(1, 2, 3)),
            "saved_work": _left_out(evaluator, family, u.mean(axis=(1, 3))),
        }
    if isinstance(family, SoftTree):
        found = _probe(evaluator, _paths_and_answer(evaluator), best).predict(members, examples)
        leaves = 2**family.depth
        paths, answer = found[..., :leaves], found[..., leaves:]
        measured = {"leaves_used": _spread(paths), "path_entropy": _entropy(paths).mean(axis=1)}
        if evaluator.setup.dataset.task == "classification":
            right = answer.argmax(axis=-1) == np.asarray(examples.y)[None]
            measured["one_path_accuracy"] = right.mean(axis=1)
        return measured
    return {}


def expert_metrics(gates: np.ndarray) -> dict[str, np.ndarray]:
    """Loads and entropies of gates ``(members, examples, E)``, see `routing_metrics`.

    Example:
      >>> gates = np.array([[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]])
      >>> {k: float(v[0].round(2)) for k, v in expert_metrics(gates).items()}
      {'load_1': 0.67, 'load_2': 0.33, 'experts_used': 0.94, 'gate_entropy': 0.48}
    """
    loads = {f"load_{e + 1}": share for e, share in enumerate(_shares(gates).T)}
    return loads | {"experts_used": _spread(gates), "gate_entropy": _entropy(gates).mean(axis=1)}


def _shares(p: np.ndarray) -> np.ndarray:
    """``(members, parts)`` shares of the examples whose most probable part it is."""
    chosen = p.argmax(axis=-1)
    return np.stack([(chosen == part).mean(axis=1) for part in range(p.shape[-1])], axis=1)


def _spread(p: np.ndarray) -> np.ndarray:
    """``exp(H) / parts`` of the shares, between 0 and 1."""
    return np.exp(_entropy(_shares(p))) / p.shape[-1]


def _entropy(p: np.ndarray) -> np.ndarray:
    """``−Σ p log p`` over the last axis; NaN where a member has failed."""
    p = p.astype(np.float64)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)


Probe = Callable[[dict[str, Any]], Callable[[Any, Any], Array]]
"""From the options of [model] to ``look(params, x) -> (batch, numbers)``."""


def _probe(evaluator: Evaluator, probe: Probe, best: bool) -> Evaluator:
    """An evaluator that predicts with a look at the network instead of the network, on the same devices."""
    setup = evaluator.setup
    if best in evaluator.probes:
        return evaluator.probes[best]

    def recipe_of(hyper: Hyperparams) -> Recipe:
        recipe = setup.recipe_of(hyper)
        options = setup.group.config.model.model_dump() | {
            name.removeprefix("model."): v for name, v in hyper.items() if name.startswith("model.")
        }
        look = probe(options)
        network = Model(recipe.model.init, lambda params, x, *, key=None, mask=None: look(params, x))
        return recipe._replace(model=network, loss=_nothing, evaluation_loss=None, metrics={})

    looks = replace(setup, recipe_of=recipe_of, keep_best=best)
    evaluator.probes[best] = type(evaluator)(looks, evaluator.placement)
    return evaluator.probes[best]


def _nothing(output: Array, y: Array) -> PerExample:
    zeros = jnp.zeros(output.shape[0], jnp.float32)
    return PerExample(zeros, zeros)


def _gates_only(params: Any, x: Any) -> Array:
    return models.gate_weights(params, x)


def _blocks(options: dict[str, Any]) -> Callable[[Any, Any], Array]:
    def look(params: Any, x: Any) -> Array:
        found = models.open_blocks(
            params,
            x,
            activation=options["activation"],
            inference=options["inference"],
            share=options["share"],
        )
        return jnp.concatenate(found, axis=1)

    return look


def _left_out(evaluator: Evaluator, family: GatedMlp, on: np.ndarray) -> np.ndarray:
    """Of the multiply-adds of a perceptron, the share that is left out.

    Args:
      on: ``(members, layers)`` shares of the blocks.
    """
    dataset = evaluator.setup.dataset
    if family.inference == "expected":
        on = np.ones_like(on)
    inputs, widths = int(np.prod(dataset.inputs)), family.widths
    hidden = np.array([a * b for a, b in itertools.pairwise((inputs, *widths))], np.float64)
    gates = sum(n * family.blocks for n in (inputs, *widths[:-1])) if family.share < 1 else 0
    output = widths[-1] * dataset.outputs
    return 1 - (on @ hidden + on[:, -1] * output + gates) / (hidden.sum() + output)


def _paths_and_answer(evaluator: Evaluator) -> Probe:
    factory = model_of(evaluator.setup.group.config, evaluator.setup.dataset)

    def probe(options: dict[str, Any]) -> Callable[[Any, Any], Array]:
        one_path = factory(options | {"hard": True})

        def look(params: Any, x: Any) -> Array:
            paths = models.path_probabilities(params, x, activation=options["activation"])
            return jnp.concatenate([paths, one_path.apply(params, x).astype(paths.dtype)], axis=1)

        return look

    return probe


def _saved(evaluator: Evaluator, family: MixtureOfExperts) -> float:
    """Of the multiply-adds of all experts and the gate, the share that one expert and the gate leave out."""
    if family.gate == "soft":
        return 0.0
    dataset = evaluator.setup.dataset
    spread = unit_of(evaluator.setup.group.config, dataset)
    outputs = dataset.outputs if spread is None else spread.size
    sizes = (int(np.prod(dataset.inputs)), *family.hidden, outputs)
    one, of_gate = sum(a * b for a, b in itertools.pairwise(sizes)), sizes[0] * family.experts
    return (family.experts - 1) * one / (family.experts * one + of_gate)
