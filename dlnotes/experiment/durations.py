"""A run's lengths in steps, and what decides them: the batch, and the buckets of examples of many sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from dlnotes.config import Config
from dlnotes.config.fields import steps_in
from dlnotes.config.models import TreeNet
from dlnotes.data.buckets import Buckets, buckets_for
from dlnotes.data.dataset import Dataset
from dlnotes.data.order import BucketOrder, steps_per_epoch
from dlnotes.layers.recursive.schedule import Waves, count_waves


@dataclass(frozen=True)
class Durations:
    """The lengths of a run in steps."""

    total: int
    evaluate_every: int
    log_every: int
    checkpoint_every: int | None
    batch_size: int
    per_epoch: int


def durations(config: Config, dataset: Dataset, order: BucketOrder | None = None) -> Durations:
    """The config's durations for this data set; a batch is never larger than the training part.

    Args:
      config: of a group.
      dataset: for the size of its training part.
      order: of a training part in buckets, each of which ends with a batch of its own.
    """
    n = dataset.train.size
    batch_size = batch_size_of(config, dataset)
    per_epoch = steps_per_epoch(n, batch_size) if order is None else order.per_epoch
    steps = partial(steps_in, steps_per_epoch=per_epoch, examples_per_epoch=n)
    total = steps(config.training.duration)
    every = config.checkpoint.every
    return Durations(
        total=total,
        evaluate_every=min(steps(config.training.evaluate_every), total),
        log_every=config.training.log_every or min(50, max(1, total // 50)),
        checkpoint_every=steps(every) if every is not None else None,
        batch_size=batch_size,
        per_epoch=per_epoch,
    )


def buckets_of(config: Config, dataset: Dataset) -> Buckets | None:
    """The buckets of the training part, ``None`` where everything is padded to the largest.

    Raises:
      ValueError: when buckets are asked for and the examples have no sizes of their own.
    """
    most, mask = config.training.buckets, dataset.train.mask
    if most == 1:
        return None
    if mask is None:
        raise ValueError(
            f"training.buckets: got {most}, {dataset.name} has examples of one size: allowed is 1"
        )
    return buckets_for(dataset.train, most)


def waves_of(config: Config, dataset: Dataset, batch_size: int) -> Waves | None:
    """What a batch of trees drawn from the training part costs; ``None`` where nothing goes in waves."""
    if not isinstance(config.model, TreeNet) or config.model.schedule != "waves":
        return None
    n, train = dataset.train.size, dataset.train
    rows = np.random.default_rng(0).permutation(n)[: min(batch_size, n)]
    return count_waves(train.x.children[rows], train.x.order[rows], train.mask[rows])


def batch_size_of(config: Config, dataset: Dataset) -> int:
    """Examples of a batch: those asked for, or the whole training part where it has fewer."""
    return min(config.training.batch_size, dataset.train.size)


def bucket_order(buckets: Buckets | None, batch_size: int) -> BucketOrder | None:
    """The order of the training part sorted by bucket, ``None`` without any."""
    return None if buckets is None else BucketOrder(buckets.shapes, buckets.counts, batch_size)
