"""Which columns of a table are used for what, and the inputs that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.data import csv_table as table
from dlnotes.data.missing_cells import Strategy, fit_fills
from dlnotes.data.table_columns import calendar_names, check_hashed, hashed_names


class Columns(NamedTuple):
    """The columns that [data] names.

    Attributes:
      target, categorical, drop, dates, date_format, calendar, hashed, id, weight: as of `dlnotes.data.csv`.
    """

    target: Sequence[str]
    categorical: Sequence[str]
    drop: Sequence[str]
    dates: Sequence[str]
    date_format: str
    calendar: Sequence[str]
    hashed: Mapping[str, int]
    id: str | None
    weight: str | None

    def _named(self) -> list[tuple[str, Sequence[str]]]:
        own = [("target", self.target), ("categorical", self.categorical), ("drop", self.drop)]
        own += [("dates", self.dates), ("calendar", self.calendar), ("hashed", list(self.hashed))]
        return own + [(n, [c]) for n, c in (("id", self.id), ("weight", self.weight)) if c is not None]

    def check(self) -> None:
        """Refuse what cannot be whatever the file holds.

        Raises:
          ValueError: naming the option, and a column that two options ask for.
        """
        check_hashed(self.hashed)
        if self.date_format and not (self.dates or self.calendar):
            raise ValueError(f"date_format: got {self.date_format!r}, dates and calendar name no column")
        alone = [(option, names) for option, names in self._named() if option not in ("dates", "categorical")]
        seen: dict[str, str] = {}
        for option, names in alone:
            for name in names:
                if name in seen:
                    told = "twice" if seen[name] == option else f"which is also {seen[name]}"
                    raise ValueError(f"{option}: got {name!r}, {told}")
                seen[name] = option
        for name in self.hashed:
            for option, names in (("categorical", self.categorical), ("dates", self.dates)):
                if name in names:
                    raise ValueError(f"hashed: got {name!r}, which is also in {option}")

    def inputs(self, path: str | Path, header: Sequence[str]) -> list[str]:
        """The columns that are inputs, those that are hashed included.

        Raises:
          ValueError: when a named column is not there, or none is left.
        """
        for option, names in self._named():
            for name in names:
                if name not in header:
                    hint = did_you_mean(name, header)
                    raise ValueError(
                        f"{option}: got {name!r}, the columns of {path} are {', '.join(header)}{hint}"
                    )
        others = (*self.target, *self.drop, self.id, self.weight)
        columns = [name for name in header if name not in others]
        if not columns:
            raise ValueError(f"{path}: no column is left for the inputs")
        return columns

    def made_of(self, read: table.Table, columns: Sequence[str]) -> tuple[str, ...]:
        """Inputs of the columns that are not hashed.

        Raises:
          ValueError: as `dlnotes.data.csv_table.feature_names`.
        """
        table.check_names(read, columns)
        plain = [name for name in columns if name not in self.hashed]
        return table.feature_names(read, plain, self.categorical, (*self.dates, *self.calendar))

    def weights(self, read: table.Table) -> np.ndarray:
        """The weight of each row.

        Raises:
          ValueError: with the line of one that is no number from 0.
        """
        assert self.weight is not None
        found = table.numbers(read, self.weight, hint="a weight is a number from 0")
        if (found < 0).any():
            i = int(np.argmax(found < 0))
            raise ValueError(
                f"{read.path}: {read.unit} {read.lines[i]}: weight {self.weight!r} holds {found[i]:g}, "
                "allowed is a number from 0"
            )
        return found

    def encoding(
        self,
        read: table.Table,
        features: tuple[str, ...],
        train: np.ndarray,
        impute: Strategy | None,
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Names of all inputs, and the options of `dlnotes.data.csv_table.encode` that make them.

        Args:
          read: the table.
          features: of `made_of`.
          train: rows of the training part.
          impute: how missing cells are filled.

        Raises:
          ValueError: for a cell that does not fit, or an input of the name of another.
        """
        encoding: dict[str, Any] = {}
        dates = list(dict.fromkeys((*self.dates, *self.calendar)))
        if dates:
            encoding["dates"] = dates
        if self.date_format:
            encoding["date_format"] = self.date_format
        marks: tuple[str, ...] = ()
        if impute is not None:
            encoding["fills"], marks = fit_fills(read, features, train, impute, dates, self.date_format)
        derived: list[str] = []
        if self.calendar:
            times = {name: self._has_times(read, name) for name in self.calendar}
            encoding["calendar"] = times
            derived += [n for name, t in times.items() for n in calendar_names(name, times=t)]
        if self.hashed:
            encoding["hashed"] = dict(self.hashed)
            derived += [n for name, buckets in self.hashed.items() for n in hashed_names(name, buckets)]
        every = (*features, *marks, *derived)
        if len(set(every)) < len(every):
            twice = next(name for name in every if every.count(name) > 1)
            raise ValueError(f"{read.path}: two inputs would be named {twice!r}, rename the column")
        return every, encoding

    def _has_times(self, read: table.Table, name: str) -> bool:
        days = table.day_numbers(read, name, fill=0.0, form=self.date_format)
        return bool((days != np.floor(days)).any())
