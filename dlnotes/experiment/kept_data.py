"""The data of a run that is resumed or used: those that it was trained on, or what is known of them."""

from __future__ import annotations

import logging
from typing import Any

from dlnotes import data
from dlnotes.config import Config, ConfigError
from dlnotes.config.fields import OwnSplit
from dlnotes.config.places import expanded_if_set
from dlnotes.config.toml import FILES
from dlnotes.data.dataset import Dataset
from dlnotes.data.images.image_table_tasks import image_table_tasks
from dlnotes.data.metadata import changes, dataset_of, metadata_of
from dlnotes.data.reconstruction import inputs_as_targets
from dlnotes.data.task_table import csv_tasks
from dlnotes.data.test_file import with_test_file
from dlnotes.experiment.kept_files import DamagedFile, digest, read_json
from dlnotes.experiment.run_folder import RunFolder, keep_metadata
from dlnotes.experiment.scaling import with_scaling
from dlnotes.experiment.start_scales import as_started
from dlnotes.experiment.tasks import wanted_of, with_tasks

_log = logging.getLogger(__name__)


def load_data(config: Config) -> Dataset:
    """The data set that [data] names.

    Raises:
      ConfigError: when the files are missing or wrong, with the reason.
    """
    options = config.data.model_dump(exclude={"kind"})
    own_test = options.pop("test_path", None) if isinstance(config.data, OwnSplit) else None
    if own_test:
        own_test, options["test"] = str(expanded_if_set(own_test)), 0
    options |= {name: str(expanded_if_set(options[name])) for name in FILES if options.get(name)}
    try:
        of_table = {"csv": csv_tasks, "image_table": image_table_tasks}.get(config.data.kind)
        if config.tasks is not None and of_table is not None:
            dataset = of_table(wanted=wanted_of(config), **options)
            return with_scaling(config, with_test_file(dataset, own_test) if own_test else dataset)
        dataset = data.load(config.data.kind, **options)
        if own_test:
            dataset = with_test_file(dataset, own_test)
        dataset = with_scaling(config, with_tasks(config, dataset))
        return inputs_as_targets(dataset) if config.model.reconstructs else dataset
    except (ValueError, OSError) as error:
        raise ConfigError("data", [str(error)]) from error


def data_digest(dataset: Dataset) -> str:
    """A checksum of all that is known of a data set, the SHA-256 of its files included, but not their places.

    A checkpoint keeps it, for the case that the run folder's own notes on the data are lost.
    """
    known = metadata_of(dataset)
    return digest(known | {"sources": sorted(known["sources"].values())})


def check_data(kept: RunFolder, dataset: Dataset, *, write: bool) -> None:
    """Check that the data of a resumed run are those that it began with.

    Where the folder's notes on the data are damaged or gone, the newest checkpoint's checksum decides, and
    they are written anew.

    Args:
      kept: the run folder.
      dataset: as it is now.
      write: whether this process writes.

    Raises:
      ConfigError: when the data are others.
    """
    metadata, why = _metadata(kept)
    if metadata is not None:
        if changed := changes(metadata, dataset):
            raise ConfigError(str(kept.path), [f"data: {problem}" for problem in changed])
        return
    extras = kept.extras()
    if extras and not _as_in(extras, dataset):
        raise ConfigError(str(kept.path), [f"data: {why}, and the data are not those of the checkpoint"])
    if extras:
        _log.warning("%s: it is written anew, the data are those of the checkpoint", why)
    if write:
        keep_metadata(kept, dataset)


def known_data(kept: RunFolder, config: Config) -> Dataset:
    """The data of a run as they were: what was kept of them, where they are gone or have changed since.

    Raises:
      ConfigError: when neither the data nor what was kept of them can be had.
    """
    metadata, why = _metadata(kept)
    try:
        dataset = as_started(kept, config, load_data(config))
    except ConfigError as error:
        if metadata is None:
            raise ConfigError("data", [*error.problems, why]) from error
        return dataset_of(metadata, missing="; ".join(error.problems))
    if metadata is None:
        if not _as_in(kept.extras(), dataset):
            raise ConfigError(str(kept.path), [f"data: {why}, and the data are not those of the checkpoint"])
        _log.warning("%s: the data are used, which are those of the checkpoint", why)
        return dataset
    if not (changed := changes(metadata, dataset)):
        return dataset
    return dataset_of(metadata, missing="; ".join(changed))


def _metadata(kept: RunFolder) -> tuple[dict[str, Any] | None, str]:
    """What was kept of the data, or why it cannot be had."""
    try:
        found = read_json(kept.metadata_path)
    except DamagedFile as error:
        return None, f"{error.source} {error.problems[0]}"
    return found, f"{kept.metadata_path} is gone"


def _as_in(extras: list[dict[str, Any]], dataset: Dataset) -> bool:
    """Whether the data are those that checkpoints were made with; older ones do not say."""
    saved = {extra["data"] for extra in extras if "data" in extra}
    return not saved or saved == {data_digest(dataset)}
