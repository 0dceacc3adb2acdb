"""The run that another one starts from: opened, checked against the network and the data, and taken over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dlnotes.config import Config, ConfigError
from dlnotes.config.start import Start
from dlnotes.data.dataset import Dataset
from dlnotes.data.metadata import dataset_of
from dlnotes.experiment.extension import refuse_edits
from dlnotes.experiment.groups import Group, groups
from dlnotes.experiment.kept_files import read_json
from dlnotes.experiment.members import choose_kept
from dlnotes.experiment.param_paths import leaves_of, meets, path_of
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.start_matching import (
    MOST,
    OF_START,
    Matched,
    Source,
    model_differences,
    some,
    template_of,
)
from dlnotes.experiment.start_scales import Scales, replaceable, same_scale, scaled_by, scales_to_json
from dlnotes.experiment.starting import Starting, check_paths
from dlnotes.experiment.teacher import found_run
from dlnotes.formatting import in_shell
from dlnotes.models.model import Model
from dlnotes.training.checkpoints import Checkpoints
from dlnotes.training.state import BAD_GRADIENT, BAD_LOSS

BEST, AVERAGE, LAST = ".members.best.params", ".members.average", ".members.params"
"""Where checkpoints keep parameters."""


def with_start_found(config: Config) -> Config:
    """The config with the run folder that [start] means, where it names a folder of runs, as absolute path.

    Raises:
      ConfigError: when there is no such folder, or no run in it that has ended.
    """
    if config.start is None:
        return config
    start = config.start.model_copy(update={"run": str(found_run(config.start.run, "start.run"))})
    return config.model_copy(update={"start": start})


def starts(plan: Sequence[Group], dataset: Dataset, model: Model | None = None) -> list[Starting | None]:
    """What each group begins with; ``None`` without [start].

    Args:
      plan: the groups of a run.
      dataset: that it trains on.
      model: the network, where it is not the config's.

    Raises:
      ConfigError: naming the run that is gone or has no checkpoint, and everything that does not fit.
    """
    opened: dict[tuple, Source] = {}
    found: list[Starting | None] = []
    for group in plan:
        start = group.config.start
        if start is None:
            found.append(None)
            continue
        key = (start.run, start.point, start.checkpoint)
        if key not in opened:
            opened[key] = source_of(start)
        found.append(_starting(opened[key], group, dataset, model))
    scales = [scales_to_json(one.scales) for one in found if one is not None]
    if any(one != scales[0] for one in scales):
        told = (
            "sweep.parameters: the runs that are started from have inputs of different scales, and a run has "
            "one; allowed is start.standardize = 'own'"
        )
        raise ConfigError("config", [told])
    return found


def in_scales_of(found: Sequence[Starting | None], config: Config, dataset: Dataset) -> Dataset:
    """The data set in the scales of the run that a new one starts from."""
    from dlnotes.data.reconstruction import inputs_as_targets

    scales = next((one.scales for one in found if one is not None), {})
    moved = scaled_by(dataset, scales)
    return inputs_as_targets(moved) if config.model.reconstructs and moved is not dataset else moved


def source_of(start: Start) -> Source:
    """The run that [start] names, with the parameters of its newest whole checkpoint.

    Raises:
      ConfigError: when it is gone, has no checkpoint, or all of its seeds failed.
    """
    path = found_run(start.run, "start.run")
    where = in_shell(path)

    def refused(told: str) -> ConfigError:
        return ConfigError("config", [f"start.run: {where} {told}"])

    try:
        kept = RunFolder.open(path)
        config = kept.config()
        refuse_edits(kept, config)
        plan = groups(config)
        chosen = choose_kept(plan, kept, start.point)
        facts = read_json(kept.metadata_path)
    except ConfigError as error:
        raise ConfigError("config", [f"start.run: {error.source}: {'; '.join(error.problems)}"]) from None
    if config.tasks is not None:
        raise refused(f"has learned several tasks ({', '.join(config.tasks)}), a start has one")
    if facts is None:
        raise refused("keeps nothing of its data (data/facts.json is gone)")
    told: list[str] = []
    store = Checkpoints(kept.group(chosen.group, len(plan)) / "checkpoints")
    found = store.newest(told.append)
    if found is None:
        raise refused("; ".join(["has no whole checkpoint", *told]))
    _, arrays, _ = found
    prefix = _prefix(start, arrays)
    if prefix is None:
        raise ConfigError(
            "config",
            [
                f"start.checkpoint: got 'best', {where} kept none (training.select = 'best' keeps it); "
                "allowed are 'auto', 'last'"
            ],
        )
    rows = chosen.members
    failed = np.isin(arrays[".members.reason"][rows], (BAD_LOSS, BAD_GRADIENT))
    if failed.all():
        raise refused("has no seed that did not fail")
    step = int(arrays[".step"])
    described = {BEST: "at the best evaluation", AVERAGE: f"averaged to step {step}"}.get(
        prefix, f"at step {step}"
    )
    ended = "" if kept.summary_path.is_file() else " of a training that has not ended"
    return Source(
        where,
        str(path),
        plan[chosen.group].config,
        dataset_of(facts, missing="only their shapes are kept"),
        {path_of(key[len(prefix) :]): a[rows] for key, a in arrays.items() if _under(key, prefix)},
        chosen.seeds,
        failed,
        described + ended,
    )


def _prefix(start: Start, arrays: Mapping[str, Any]) -> str | None:
    def has(prefix: str) -> bool:
        return any(_under(key, prefix) for key in arrays)

    if start.checkpoint == "best" and not has(BEST):
        return None
    if start.checkpoint != "last" and has(BEST):
        return BEST
    return AVERAGE if has(AVERAGE) else LAST


def _under(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and re.match(r"[.\[]|$", key[len(prefix) :]) is not None


def _starting(source: Source, group: Group, dataset: Dataset, model: Model | None) -> Starting:
    """What a source gives a group.

    Raises:
      ConfigError: naming everything that does not fit.
    """
    config = group.config
    start = config.start
    assert start is not None
    try:
        template = template_of(group, dataset, model)
        check_paths(config, template)
        own = leaves_of(jax.eval_shape(template.init, jax.random.key(0)))
        problems = list(_other_network(source, config))
        if problems:
            raise ConfigError("config", problems)
        matched = Matched(source, group, dataset, model, own)
        which, seeds = _which(source, start, config.training.seeds)
        scales, said = _scales(source, start, dataset, head=matched.head_is_taken)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None
    if matched.problems:
        raise ConfigError("config", matched.problems)
    rows, compact = np.unique(np.asarray(which), return_inverse=True)
    arrays = {key: np.ascontiguousarray(a[rows]) for key, a in matched.arrays.items()}
    frozen = [path for path in own if meets(path, start.frozen)]
    numbers = sum(int(np.prod(a.shape[1:])) for a in arrays.values())
    told = [
        f"start: {len(arrays)} of {len(own)} arrays ({numbers:,} numbers) of {source.where}, "
        f"{source.described}; " + _seeds_told(range(config.seed, config.seed + config.training.seeds), seeds),
        *(f"start: {line}" for line in [*matched.told, *_differences(source, config), *said]),
        *([f"start: {len(frozen)} arrays stay as they are: {some(frozen)}"] if frozen else []),
    ]
    return Starting(
        source.path, tuple(seeds), tuple(int(i) for i in compact), arrays, matched.places, scales, tuple(told)
    )


def _other_network(source: Source, config: Config) -> list[str]:
    there, here, start = source.config.model.kind, config.model.kind, config.start
    if there == here or (start is not None and start.layers is not None):
        return []
    return [
        f"start.run: {source.where} trained a network of kind {there!r}, model.kind is {here!r} here; "
        "allowed is the same kind, or start.layers with the paths that both have"
    ]


def _differences(source: Source, config: Config) -> list[str]:
    if source.config.model.kind != config.model.kind:
        return [f"the network there is of kind {source.config.model.kind!r}"]
    return model_differences(source.config, config, but=OF_START)


def _which(source: Source, start: Start, count: int) -> tuple[list[int], list[int]]:
    """For each seed here the row of the source, and its seed.

    Raises:
      ValueError: naming a seed that is not there or failed.
    """
    good = np.flatnonzero(~source.failed)
    if start.seeds == "in_turn":
        rows = [int(good[i % len(good)]) for i in range(count)]
    elif start.seeds == "first":
        rows = [int(good[0])] * count
    else:
        asked = start.seeds if isinstance(start.seeds, tuple) else (start.seeds,) * count
        allowed = ", ".join(str(source.seeds[i]) for i in good)
        rows = []
        for seed in asked:
            if seed not in source.seeds or source.failed[source.seeds.index(int(seed))]:
                why = "failed" if seed in source.seeds else "is none of its seeds"
                raise ValueError(
                    f"start.seeds: got {seed}, which {why} in {source.where}; allowed are {allowed}"
                )
            rows.append(source.seeds.index(int(seed)))
    return rows, [source.seeds[i] for i in rows]


def _seeds_told(here: Sequence[int], there: Sequence[int]) -> str:
    if list(here) == list(there):
        return (
            f"seed {here[0]} from its seed {there[0]}" if len(here) == 1 else "each seed from its own there"
        )
    if len(set(there)) == 1:
        return (
            f"every seed from its seed {there[0]}"
            if len(here) > 1
            else f"seed {here[0]} from its seed {there[0]}"
        )
    pairs = [f"{a} from {b}" for a, b in zip(here, there)]
    return f"seed {', '.join(pairs[: 2 * MOST])}{', …' if len(pairs) > 2 * MOST else ''}"


def _scales(source: Source, start: Start, dataset: Dataset, *, head: bool) -> tuple[Scales, list[str]]:
    """The scales that are taken over, and what is to be said of them."""
    there, told = source.facts, []
    found: Scales = {}
    if not same_scale(there.standardize, dataset.standardize):
        if start.standardize == "own":
            told.append("the inputs are scaled by the data here, not as there")
        elif _fits(there, dataset):
            found["standardize"] = there.standardize
            told.append(
                f"the inputs are scaled as there ({_scale(there)}), not by the data here ({_scale(dataset)})"
            )
        else:
            told.append("the inputs are scaled by the data here: the scales there are of other inputs")
    if (
        start.standardize == "source"
        and head
        and dataset.task == there.task == "regression"
        and not same_scale(there.standardize_y, dataset.standardize_y)
        and replaceable(there.standardize_y, dataset.standardize_y)
    ):
        found["standardize_y"] = there.standardize_y
        told.append("the targets are scaled as there")
    return found, told


def _fits(there: Dataset, dataset: Dataset) -> bool:
    if there.input != dataset.input or not replaceable(there.standardize, dataset.standardize):
        return False
    scale = there.standardize
    return (
        scale is None or np.broadcast_shapes(np.shape(scale.mean), dataset.inputs[-1:]) == dataset.inputs[-1:]
    )


def _scale(dataset: Dataset) -> str:
    if dataset.standardize is None:
        return "not at all"
    mean, scale = (np.ravel(a) for a in dataset.standardize[:2])
    if len(mean) == 1:
        return f"mean {mean[0]:.4g}, scale {scale[0]:.4g}"
    return f"means {mean[0]:.4g} … {mean[-1]:.4g}"
