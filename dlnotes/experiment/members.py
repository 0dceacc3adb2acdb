"""Which of a run's members is used: of the best point of its sweep, or of the point that is named."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnotes.config import ConfigError
from dlnotes.experiment.groups import Group
from dlnotes.experiment.kept_files import DamagedFile
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import best_point, chosen_on
from dlnotes.formatting import choice_in_words, in_shell
from dlnotes.training.state import BAD_GRADIENT, BAD_LOSS, REASONS, Member

_log = logging.getLogger(__name__)

PointName = int | Mapping[str, Any] | None
"""A sweep point: its number from 0, some or all of its values by option, or ``None`` for the best."""


@dataclass(frozen=True)
class Chosen:
    """A sweep point and its members, or one of them.

    Attributes:
      point: its number, from 0 in the order of the sweep.
      points: of how many.
      values: what was swept → its value there.
      group: number of its compiled program.
      members: of the point, in the group.
      numbers: of the members in the whole run: those of point 0 come first.
      seeds: of the members.
      why: such as ``"the best of 4 on validation"``, "" where it was named or is the only one.
      member: the member that is named, counted in the group; ``None`` for the first that did not fail.
    """

    point: int
    points: int
    values: Mapping[str, Any]
    group: int
    members: slice
    numbers: range
    seeds: tuple[int, ...]
    why: str = ""
    member: int | None = None

    def in_words(self) -> str:
        """``"point 1 (optimizer.learning_rate = 0.01), the best of 2 on validation"``, "" without a sweep."""
        if self.points == 1:
            return ""
        values = ", ".join(f"{k} = {choice_in_words(v)}" for k, v in self.values.items())
        return f"point {self.point} ({values})" + (f", {self.why}" if self.why else "")


def choose(
    groups: Sequence[Group],
    records: Sequence[Mapping[str, Any]] | None,
    point: PointName = None,
    member: int | None = None,
) -> Chosen:
    """Find the point that is asked for, by default the best one on validation.

    Args:
      groups: of the run.
      records: the points of its summary, ``None`` before it has ended.
      point: which one.
      member: of the run, counted over all points from 0, or with ``point`` of that point.

    Raises:
      ValueError: naming what was asked for and what the run has.
    """
    every = _every(groups)
    if point is None and member is not None:
        for found in every:
            if member in found.numbers:
                return _with(found, member=found.members.start + member - found.numbers.start)
        raise ValueError(f"member: got {member}, the run has {every[-1].numbers.stop}, from 0")
    if point is not None:
        found = every[_named(every, point)]
    elif len(every) == 1:
        found = every[0]
    else:
        found = _best(every, records)
    if member is None:
        return found
    if not 0 <= member < len(found.numbers):
        where = found.in_words() or "the run"
        raise ValueError(f"member: got {member}, {where} has {len(found.numbers)}, from 0")
    return _with(found, member=found.members.start + member)


def choose_kept(
    groups: Sequence[Group], folder: RunFolder, point: PointName = None, member: int | None = None
) -> Chosen:
    """`choose` with the points of a run folder's summary.

    A damaged summary is passed over, with a warning, where nothing has to be chosen by it.

    Raises:
      ConfigError: naming what was asked for and what the run has, or the damaged summary.
    """
    try:
        records = (folder.summary() or {}).get("points")
    except DamagedFile as error:
        several = sum(len(group.points) for group in groups) > 1
        if several and point is None and member is None:
            again = f"dlnotes resume {in_shell(folder.path)}"
            told = f"it would tell the best point; name one, or let it be written anew: {again}"
            raise ConfigError(error.source, [*error.problems, told]) from None
        _log.warning("%s %s; it is not needed here", error.source, error.problems[0])
        records = None
    try:
        return choose(groups, records, point, member)
    except ValueError as error:
        raise ConfigError(str(folder.path), [str(error)]) from None


def failed_members(members: Member) -> np.ndarray:
    """Whether each member of a group failed: its loss or its gradient was not finite."""
    return np.isin(np.asarray(members.reason), (BAD_LOSS, BAD_GRADIENT))


def good_member(chosen: Chosen, members: Member) -> int:
    """The member that is used, counted in its group: the one named, or the first that did not fail.

    Raises:
      ValueError: when it failed, or all did.
    """
    failed = failed_members(members)
    if chosen.member is None:
        require_good(chosen, members)
        return chosen.members.start + int(np.flatnonzero(~failed[chosen.members])[0])
    if failed[chosen.member]:
        at = chosen.member - chosen.members.start
        good = [n for n, bad in zip(chosen.numbers, failed[chosen.members]) if not bad]
        allowed = f"; of its point these did not: {', '.join(map(str, good))}" if good else ""
        which = f"{chosen.numbers[at]} (seed {chosen.seeds[at]})"
        raise ValueError(f"member: {which} failed, {_why(members, chosen.member)}{allowed}")
    return chosen.member


def require_good(chosen: Chosen, members: Member) -> None:
    """Check that some member of a point did not fail.

    Raises:
      ValueError: with the reason of the first.
    """
    if failed_members(members)[chosen.members].all():
        of = f" of {chosen.in_words()}" if chosen.points > 1 else ""
        first = _why(members, chosen.members.start)
        raise ValueError(f"every seed{of} failed ({first}): there is nothing to use")


def member_in_words(chosen: Chosen, members: Member) -> str:
    """The member that is used, such as ``"point 1 (…), the best of 2 on validation: seed 0 (member 2)"``.

    A run of one member has none to tell from others: "".

    Args:
      chosen: the point, and the member if it is named.
      members: of its group, which say who failed.

    Raises:
      ValueError: see `good_member`.
    """
    at = good_member(chosen, members) - chosen.members.start
    if chosen.points == 1 and len(chosen.seeds) == 1:
        return ""
    point = chosen.in_words()
    failed = int(failed_members(members)[chosen.members].sum())
    told = f"seed {chosen.seeds[at]} (member {chosen.numbers[at]})"
    told += f", {failed} of {len(chosen.seeds)} seeds failed" if failed else ""
    return f"{point}: {told}" if point else told


def _why(members: Member, member: int) -> str:
    return f"{REASONS[int(members.reason[member])]} at step {int(members.stopped_at[member])}"


def _with(chosen: Chosen, **changed: Any) -> Chosen:
    return Chosen(**(chosen.__dict__ | changed))


def _every(groups: Sequence[Group]) -> list[Chosen]:
    """Every point of a run in the order of its sweep."""
    placed = {index: (g, p) for g, group in enumerate(groups) for p, index in enumerate(group.indices)}
    found, first = [], 0
    for index in sorted(placed):
        g, p = placed[index]
        group = groups[g]
        seeds = group.config.training.seeds
        members = slice(p * seeds, (p + 1) * seeds)
        found.append(
            Chosen(
                point=index,
                points=len(placed),
                values=group.points[p].values,
                group=g,
                members=members,
                numbers=range(first, first + seeds),
                seeds=tuple(int(s) for s in group.seeds[members]),
            )
        )
        first += seeds
    return found


def _best(every: list[Chosen], records: Sequence[Mapping[str, Any]] | None) -> Chosen:
    which = f"a point of the sweep, 0 to {len(every) - 1}"
    if records is None:
        raise ValueError(
            f"the run has not ended (there is no summary.json), none of its {len(every)} points is the "
            f"best yet; name {which}"
        )
    split = chosen_on(records)
    if split is None:
        raise ValueError(f"the run measured only its test part, on which nothing may be chosen; name {which}")
    position = best_point(records)
    if position is None:
        raise ValueError("every member of the run failed: there is nothing to use")
    return _with(every[records[position]["point"]], why=f"the best of {len(every)} on {split}")


def _named(every: list[Chosen], point: int | Mapping[str, Any]) -> int:
    """The position of the point that is named."""
    if not isinstance(point, (int, np.integer, Mapping)) or isinstance(point, bool):
        raise ValueError(f"point: got {point!r}, allowed are a number from 0 and a mapping of options")
    if not isinstance(point, Mapping):
        if not 0 <= point < len(every):
            only = "the run has no sweep" if len(every) == 1 else f"the run has {len(every)}, from 0"
            raise ValueError(f"point: got {point}, {only}")
        return int(point)
    told = ", ".join(f"{k} = {choice_in_words(v)}" for k, v in point.items())
    swept = list(every[0].values)
    if unknown := [path for path in point if path not in swept]:
        raise ValueError(f"point: got {unknown[0]!r}, swept are {', '.join(swept) or 'none'}")
    for alike in (_equal, _alike):
        found = [i for i, p in enumerate(every) if all(alike(p.values[k], v) for k, v in point.items())]
        if len(found) == 1:
            return found[0]
        if found:
            some = "; ".join(every[i].in_words() for i in found[:5])
            raise ValueError(f"point: got {told}, which {len(found)} points have: {some}")
    some = "; ".join(p.in_words() for p in every[:5]) + ("; …" if len(every) > 5 else "")
    raise ValueError(f"point: got {told}, which no point has: {some}")


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _alike(a: Any, b: Any) -> bool:
    """Whether two values read alike in a table, which has four digits."""
    return choice_in_words(a) == choice_in_words(b)
