"""A run opened for use: its newest checkpoint, its data as far as they are there, what evaluates it."""

from __future__ import annotations

import logging
from pathlib import Path

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.extension import refuse_edits
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import known_data
from dlnotes.experiment.members import PointName, choose_kept
from dlnotes.experiment.placing import inference_placement, prepare_devices
from dlnotes.experiment.result import Trained
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.scaling import with_scaling
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.tasks import with_tasks
from dlnotes.experiment.trainer import restore
from dlnotes.formatting import in_shell
from dlnotes.models.model import Model
from dlnotes.training.checkpoints import Checkpoints

_log = logging.getLogger(__name__)


def open_run(
    folder: str | Path,
    *,
    point: PointName = None,
    member: int | None = None,
    model: Model | None = None,
    dataset: Dataset | None = None,
) -> Trained:
    """Load a run's newest checkpoint: of the best point of its sweep, or of another that is named.

    Where its data are gone or are not what they were, it has the vocabulary, classes and scales that were
    kept in its folder: it can predict, and refuses to be evaluated on a split.

    Args:
      folder: of the run.
      point: of the sweep, by its number from 0 or by its values (``{"model.widths": [16]}``); by default
        the best one on validation.
      member: the one that predicts and is exported, counted over all seeds of all points from 0, or with
        ``point`` over the seeds of that point; by default the first seed that did not fail.
      model, dataset: again, if the run was started with one.

    Raises:
      ConfigError: when it is no run folder, has no checkpoint yet, or has no such point or member.

    Example:
      ``open_run("runs/sweep/…", point={"optimizer.learning_rate": 0.01}).chosen.in_words()``
    """
    kept = RunFolder.open(folder)
    config = kept.config()
    refuse_edits(kept, config)
    all_groups = groups(config)
    chosen = choose_kept(all_groups, kept, point, member)
    prepare_devices(config, all_groups)
    dataset = (
        known_data(kept, config) if dataset is None else with_scaling(config, with_tasks(config, dataset))
    )
    own = all_groups[chosen.group]
    try:
        setup = prepare(own, dataset, model=model)
    except ValueError as error:
        raise ConfigError(str(folder), [str(error)]) from None
    store = Checkpoints(kept.group(chosen.group, len(all_groups)) / "checkpoints")
    told: list[str] = []
    restored = restore(setup, store, told.append)
    if restored is None:
        raise ConfigError(str(folder), ["has no whole checkpoint", *told])
    for line in told:
        again = f"dlnotes resume {in_shell(kept.path)}"
        _log.warning("%s; what it lacks is trained again by: %s", line, again)
    evaluator = Evaluator(setup, inference_placement(config))
    return Trained(kept, own.config, dataset, evaluator, restored[0], chosen, tuple(all_groups))
