"""Who says what a part of a claim says: the notes, the book they follow, a paper, or nobody but us."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Speaker = Literal["notes", "book", "paper", "ours"]
SPEAKERS: tuple[Speaker, ...] = ("notes", "book", "paper", "ours")
"""In the order in which they decide a row: its verdict is that of the parts of the first one it has."""

BOOK = "Goodfellow, Bengio & Courville 2016"


class Source(NamedTuple):
    """Where a part's sentence is from.

    Attributes:
      who: says it.
      where: section of the notes or of the book, or the paper with its year; "" for our own.
      says: the sentence in our words; for our own parts, why it is measured.
    """

    who: Speaker
    where: str
    says: str


def notes(where: str, says: str) -> Source:
    """A sentence of the notes.

    Args:
      where: heading of the section, such as "unidades escondidas".
      says: the sentence, in our words and in English.
    """
    return Source("notes", where, says)


def book(where: str, says: str) -> Source:
    """A sentence of the book that the notes follow, where the notes do not have it.

    Args:
      where: section, such as "6.4.2".
      says: the sentence, in our words.
    """
    return Source("book", f"{BOOK}, {where}", says)


def paper(where: str, says: str) -> Source:
    """A finding of a paper.

    Args:
      where: authors and year, such as "Glorot & Bengio 2010".
      says: the finding, in our words.
    """
    return Source("paper", where, says)


def ours(says: str) -> Source:
    """What nobody but us asks.

    Args:
      says: why it is measured.
    """
    return Source("ours", "", says)


def deciding(sources: Iterable[Source]) -> Speaker:
    """Whose parts decide a row: the notes' where there are any, else the book's, a paper's, our own.

    Raises:
      ValueError: when there is no source.
    """
    found = {source.who for source in sources}
    if not found:
        raise ValueError("sources: got none, needed is one or more")
    return next(who for who in SPEAKERS if who in found)
