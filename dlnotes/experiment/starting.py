"""What a group of trainings begins with, where [start] names another run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from dlnotes.config import Config, ConfigError
from dlnotes.experiment.param_paths import leaves_of, meets, unknown
from dlnotes.experiment.start_scales import Scales, scales_to_json
from dlnotes.models.model import Model, learned_of
from dlnotes.typing import Params

Places = Mapping[str, Mapping[int, Sequence[int]]]
"""By the key of a leaf: along which of its axes only some places are taken over, and which."""


@dataclass(frozen=True)
class Starting:
    """The parameters that another run gives a group, and where they go.

    Attributes:
      run: its folder.
      seeds: of each training seed here, the one of that run that it starts from.
      which: of each training seed here, the row of the arrays.
      arrays: by the key of a leaf, ``(rows, …)``; ``None`` where they are lost and not needed any more.
      places: see `Places`; arrays have these places only.
      scales: of inputs and targets, where they are those of that run.
      told: what is taken over and what is not, in sentences.
    """

    run: str
    seeds: tuple[int, ...]
    which: tuple[int, ...]
    arrays: dict[str, np.ndarray] | None
    places: Places = field(default_factory=dict)
    scales: Scales = field(default_factory=dict)
    told: tuple[str, ...] = ()
    known: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of all that changes the training."""
        if self.arrays is None:
            return self.known
        plain = {key: {str(axis): list(at) for axis, at in one.items()} for key, one in self.places.items()}
        said = [list(self.which), plain, scales_to_json(self.scales)]
        sha = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for key in sorted(self.arrays):
            a = np.ascontiguousarray(self.arrays[key])
            sha.update(f"{key} {a.dtype} {a.shape}".encode() + a.tobytes())
        return sha.hexdigest()

    def summary(self) -> dict[str, Any]:
        """What a run's summary says of it."""
        return {"run": self.run, "seeds": list(self.seeds), "told": list(self.told)}

    def parts(self, settings: int) -> dict[str, np.ndarray]:
        """The arrays of every member of a group, the seeds side by side for each setting of swept numbers.

        Raises:
          ConfigError: when they are lost.
        """
        if self.arrays is None:
            told = (
                "start.run: what was taken over is damaged or gone in this folder, and no checkpoint is whole"
            )
            raise ConfigError("config", [told])
        rows = np.tile(np.asarray(self.which, np.int64), settings)
        return {key: a[rows] for key, a in self.arrays.items()}

    def onto(self, params: Params, parts: Mapping[str, Any]) -> Params:
        """The parameters of one member, with what is taken over in its place."""

        def leaf(path: Any, own: Any) -> Any:
            key = jax.tree_util.keystr(path)
            if key not in parts:
                return own
            if key not in self.places:
                return jax.numpy.asarray(parts[key], own.dtype)
            at = [np.asarray(self.places[key].get(i, range(n))) for i, n in enumerate(own.shape)]
            return own.at[np.ix_(*at)].set(parts[key])

        return jax.tree_util.tree_map_with_path(leaf, params)


def check_paths(config: Config, model: Model) -> None:
    """Refuse paths of [start] that the network does not have, and a training that would move nothing.

    Raises:
      ValueError: naming every path, and those that there are.
    """
    start = config.start
    if start is None:
        return
    params = jax.eval_shape(model.init, jax.random.key(0))
    paths = list(leaves_of(params))
    found = []
    for option in ("layers", "fresh", "frozen"):
        found += unknown(f"start.{option}", getattr(start, option) or (), paths)
    learned = list(leaves_of(learned_of(params)))
    if not found and all(meets(path, start.frozen) for path in learned):
        found = [f"start.frozen: got {', '.join(start.frozen)}, which leaves nothing to be trained"]
    if found:
        raise ValueError("; ".join(found))
