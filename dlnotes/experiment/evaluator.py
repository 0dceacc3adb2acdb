"""Metrics and outputs of trained members, on the devices that they were trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.data.buckets import divide
from dlnotes.data.dataset import Examples
from dlnotes.data.in_file import in_parts, is_in_file
from dlnotes.devices import placement as placing
from dlnotes.experiment.programs import stored
from dlnotes.experiment.setup import Setup
from dlnotes.training import loop
from dlnotes.training.loader import (
    LARGE,
    blocks_of,
    bucketed_blocks_of,
    joined,
    parts_of_blocks,
    put_blocks,
    size_of,
)
from dlnotes.training.sharded import compile_evaluation, compile_prediction, gather, put_state
from dlnotes.training.state import Member, TrainState

MOST_PIXELS = 2**20
"""Pixels of images that a member evaluates at once."""


class Evaluator:
    """Evaluates and predicts for a group of members.

    It keeps what is costly and always the same: compiled programs, and the splits on the devices.

    Args:
      setup: of the group.
      placement: where the members are.
    """

    def __init__(self, setup: Setup, placement: placing.Placement):
        self.setup, self.placement = setup, placement
        self._convolutional = setup.group.config.model.convolutional
        self._evaluators: dict[bool, Callable] = {}
        self._predictors: dict[bool, Callable] = {}
        self._blocks: dict[str, Any] = {}
        self.probes: dict[
            bool, Evaluator
        ] = {}  # of `dlnotes.experiment.routing`, by whether the best are used
        division = placement.division()
        self._parts = division.parts * division.multiple  # that share the rows of a block

    def evaluate(self, members: Member, split: str, *, best: bool | None = None) -> dict[str, np.ndarray]:
        """Loss and metrics of a split, each ``(members,)``.

        Args:
          members: on the host or the placement's devices.
          split: "train", "validation" or "test".
          best: use the best parameters; by default where they are kept.
        """
        examples = self.setup.dataset.split(split)
        if is_in_file(examples):
            return self._measure(members, map(self._put_blocks, self._read(examples)), best)
        return self._measure(members, [self._split_blocks(split)], best)

    def evaluate_examples(self, members: Member, examples: Any) -> dict[str, np.ndarray]:
        """`evaluate` of examples that are no split of the data set."""
        return self._measure(members, [self._put_blocks(examples)], None)

    def predict(self, members: Member, examples: Any, *, classes: bool = False) -> np.ndarray:
        """Outputs ``(members, examples, ...)``, float32, or the most probable classes.

        Devices that divide batches divide these too; otherwise one of them predicts. Of several processes
        all must call this, and each gets all outputs.
        """
        rows, divided = self._block_rows(), self.placement.shard == "batch"
        if classes not in self._predictors:
            program = compile_prediction(
                self.placement,
                loop.predict_blocks(self.setup.recipe_of, best=self.setup.keep_best, classes=classes),
                convolutions=self._convolutional,
            )
            self._predictors[classes] = stored(program, self.setup, self.placement, "predict", classes)
        predict = self._predictors[classes]
        slim = members._replace(opt_state=(), best=members.best if self.setup.keep_best else None)
        if divided and not isinstance(slim.stopped_at, jax.Array):
            slim = put_state(self.placement, TrainState(jnp.array(0), slim)).members

        if is_in_file(examples):
            pieces = (self.predict(members, some, classes=classes) for some in self._read(examples))
            return np.concatenate(list(pieces), axis=1)

        def outputs_of(part: Any) -> np.ndarray:
            blocks = blocks_of(part, rows, parts=self._parts)
            outputs = gather(predict(slim, put_blocks(self.placement, blocks) if divided else blocks))
            return outputs.reshape(outputs.shape[0], -1, *outputs.shape[3:])[:, : part.size]

        if self.setup.buckets is None:
            return outputs_of(examples)
        divided_parts = divide(examples, len(self.setup.buckets.shapes))
        outputs = joined([(where, outputs_of(part)) for where, part in divided_parts])
        return self._up_to_the_mask(outputs, examples)

    def _up_to_the_mask(self, outputs: np.ndarray, examples: Any) -> np.ndarray:
        """Answers at positions as far as the examples go, 0 behind the largest bucket."""
        dataset = self.setup.dataset
        if dataset.task not in ("tokens", "pixels") or dataset.input == "pair":
            return outputs
        sizes = examples.mask.shape[1:]
        behind = [(0, size - got) for size, got in zip(sizes, outputs.shape[2:])]
        return np.pad(outputs, [(0, 0), (0, 0), *behind, *[(0, 0)] * (outputs.ndim - 2 - len(behind))])

    def _measure(self, members: Member, pieces: Iterable[Any], best: bool | None) -> dict[str, np.ndarray]:
        best = self.setup.keep_best if best is None else best
        if best not in self._evaluators:
            axis = self.placement.division().axis_name
            evaluate = loop.total_blocks(
                self.setup.recipe_of, metric_names=self.setup.metric_names, best=best, axis_name=axis
            )
            program = compile_evaluation(self.placement, evaluate, convolutions=self._convolutional)
            self._evaluators[best] = stored(program, self.setup, self.placement, "evaluate", best)
        slim = members._replace(opt_state=(), best=members.best if best else None)
        if not isinstance(slim.stopped_at, jax.Array):
            slim = put_state(self.placement, TrainState(jnp.array(0), slim)).members
        found = [gather(self._evaluators[best](slim, blocks)) for blocks in pieces]
        totals = np.sum(found, axis=0)
        return dict(zip(self.setup.metric_names, totals[:, 0] / np.maximum(totals[:, 1], np.float32(1))))

    def _read(self, examples: Examples) -> Iterator[Examples]:
        """A part that stays in its file, some whole blocks at a time."""
        rows = self._block_rows()
        most = max(1, LARGE * examples.size // size_of(examples) // rows) * rows
        for some in in_parts(examples, most):
            yield Examples(*(None if a is None else a[some] for a in examples))

    def _split_blocks(self, split: str) -> Any:
        if split not in self._blocks:
            self._blocks[split] = self._put_blocks(self.setup.dataset.split(split))
        return self._blocks[split]

    def _block_rows(self) -> int:
        """Examples evaluated at once; fewer of large images, whose maps of features take memory."""
        rows = max(32, min(1024, 8192 // self.setup.group.members))
        if self.setup.dataset.input == "image":
            rows = max(
                1, min(rows, MOST_PIXELS // (self.setup.dataset.inputs[0] * self.setup.dataset.inputs[1]))
            )
        return rows

    def _put_blocks(self, examples: Any) -> Any:
        rows = self._block_rows()
        parts = self._parts
        if self.setup.buckets is None:
            divided = parts_of_blocks(examples, rows, parts=parts)
        else:
            most = self.setup.group.config.training.buckets
            divided = bucketed_blocks_of(examples, rows, most, parts=parts)
        put = [put_blocks(self.placement, blocks) for blocks in divided]
        return put if len(put) > 1 else put[0]
