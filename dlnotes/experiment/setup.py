"""All that is known of a group of trainings before the first step, found once."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from dlnotes.data import Dataset
from dlnotes.data.buckets import Buckets
from dlnotes.data.in_file import is_in_file
from dlnotes.data.order import BucketOrder
from dlnotes.devices.placement import Placement
from dlnotes.experiment.decision import check_decision
from dlnotes.experiment.durations import Durations, batch_size_of, bucket_order, buckets_of, durations
from dlnotes.experiment.fine_tuning import with_labels
from dlnotes.experiment.groups import Group
from dlnotes.experiment.objective import loss_name, metrics_of
from dlnotes.experiment.recipe import recipe_of
from dlnotes.experiment.starting import Starting, check_paths
from dlnotes.experiment.tasks import task_metrics
from dlnotes.experiment.teaching import Teaching
from dlnotes.experiment.weighting import with_weights
from dlnotes.models import Model
from dlnotes.training.loader import fits_on_device
from dlnotes.training.state import RecipeOf, TrainState, init_state
from dlnotes.training.step import evaluate_batch
from dlnotes.typing import Batch


@dataclass(frozen=True)
class Setup:
    """A group of trainings and its data, checked against each other.

    Attributes:
      group: the members.
      dataset: what they learn from.
      buckets: of the training part, ``None`` where everything is padded to the largest.
      order: of the training part sorted by bucket, ``None`` without any.
      lengths: of the run in steps.
      recipe_of: what is trained, from a member's swept numbers.
      metric_names: of what is evaluated, the loss first.
      keep_best: whether the best parameters on validation are kept.
      keeps_state: whether the network has a state beside its parameters (see `dlnotes.models.Model`).
      teaching: what a teacher gives, ``None`` without one; ``dataset`` is then with its answers.
      starting: what another run gives for the start, ``None`` without one.
      described: whether the config and the files that it names say all of the programs. It is false of a
        setup that `dataclasses.replace` makes of another, with functions of its own.
    """

    group: Group
    dataset: Dataset
    buckets: Buckets | None
    order: BucketOrder | None
    lengths: Durations
    recipe_of: RecipeOf
    metric_names: tuple[str, ...]
    keep_best: bool
    keeps_state: bool
    teaching: Teaching | None = None
    starting: Starting | None = None
    described: bool = field(default=False, init=False)


def prepare(
    group: Group,
    dataset: Dataset,
    *,
    model: Model | None = None,
    known: dict[int, Buckets | None] | None = None,
    teaching: Teaching | None = None,
    starting: Starting | None = None,
    described: bool = False,
) -> Setup:
    """Find what a group's training needs, and check that its sections and the data fit together.

    Args:
      group: the members.
      dataset: what they learn from.
      model: a network to train instead of the one that the config describes.
      known: buckets of this training part by ``training.buckets``, from groups before; new ones are added.
      teaching: what a teacher gives: its data set takes the place of ``dataset``.
      starting: what another run gives for the start; needed for training only.
      described: whether config and files say all of network and data; what a teacher or another run gives
        they do not.

    Raises:
      ValueError: naming what does not fit, before anything is compiled or written.
    """
    config, known = group.config, {} if known is None else known
    check_decision(config, dataset)
    dataset = with_labels(config, dataset if teaching is None else teaching.dataset)
    dataset = with_weights(config, dataset)
    most = config.training.buckets
    if most not in known:
        known[most] = buckets_of(config, dataset)
    order = bucket_order(known[most], batch_size_of(config, dataset))
    lengths = durations(config, dataset, order)
    if "training.label_smoothing" in group.hyperparams and loss_name(config, dataset) != "cross_entropy":
        raise ValueError("training.label_smoothing: only cross_entropy can be smoothed")
    trained = recipe_of(
        config, dataset, model, lengths=lengths, flatten_small=group.members == 1, teaching=teaching
    )
    network = trained({k: v[0] for k, v in group.hyperparams.items()}).model
    check_paths(config, network)
    setup = Setup(
        group=group,
        dataset=dataset,
        buckets=known[most],
        order=order,
        lengths=lengths,
        recipe_of=trained,
        metric_names=(
            "loss",
            *(metrics_of(dataset) if config.tasks is None else task_metrics(config, dataset)),
        ),
        keep_best=_keeps_best(group, dataset),
        keeps_state=network.update is not None,
        teaching=teaching,
        starting=starting,
    )
    object.__setattr__(setup, "described", described and teaching is None and starting is None)
    _trace(setup)
    return setup


def state_shapes(setup: Setup) -> TrainState:
    """Shapes of the state of all members."""
    return jax.eval_shape(
        lambda seeds, hyperparams: init_state(setup.recipe_of, seeds, hyperparams, keep_best=setup.keep_best),
        setup.group.seeds,
        setup.group.hyperparams,
    )


def stays_resident(setup: Setup, placement: Placement, memory: int | None = None) -> bool:
    """Whether the training part lies on each device as a whole: asked for, or it fits; in one process only.

    Inputs that are in a file do so only where it is asked for.

    Args:
      setup: of the group.
      placement: its devices.
      memory: bytes of one of them; by default it is asked for.
    """
    asked = setup.group.config.devices.resident
    if placement.processes > 1 or asked == "no":
        return False
    if asked == "yes":
        return True
    return not is_in_file(setup.dataset.train) and fits_on_device(setup.dataset.train, placement, memory)


def _keeps_best(group: Group, dataset: Dataset) -> bool:
    training = group.config.training
    select = training.select
    if select == "auto":
        select = "best" if training.early_stopping is not None else "last"
    if select == "best" and dataset.validation is None:
        raise ValueError(f"training.select: got 'best', {dataset.name} has no validation part")
    return select == "best"


def _trace(setup: Setup) -> None:
    """Trace the start and a forward pass: what does not fit must show before anything is written."""
    rows = jax.tree.map(lambda a: a[:1], tuple(setup.dataset.train))

    def forward(seeds, hyperparams, x, y, mask):
        member = jax.tree.map(lambda a: a[0], init_state(setup.recipe_of, seeds, hyperparams).members)
        batch = Batch(x, y, mask, jnp.ones(1, jnp.float32))
        return evaluate_batch(setup.recipe_of(member.hyper), member.params, batch)

    jax.eval_shape(forward, setup.group.seeds, setup.group.hyperparams, *rows)
