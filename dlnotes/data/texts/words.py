"""Texts as symbols: words and characters, and the vocabulary that a training part gives."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Literal, NamedTuple

PAD, UNKNOWN = "<pad>", "<unk>"

Tokens = Literal["words", "characters"]

MOST_FORMS = 200
"""The largest number of symbols for the forms of unknown words."""

_SEEN = 5
"""How many rare words of the training part must have a form for it to become a symbol."""

_ASCII = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_APOSTROPHES = "'\u2019"


def normalized(text: str) -> str:
    """The text in Unicode's composed form (NFC), as texts of different systems are compared.

    >>> normalized("e\\u0301") == "\\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


def split_words(text: str) -> list[str]:
    """The words of a text and, each by itself, its other signs; white space only divides.

    A word is a run of letters, their marks, digits and low lines, with apostrophes inside. A script that
    does not divide its words gives long ones: there characters are the better symbols.

    >>> split_words("Don't panic: n_jobs=2!")
    ["Don't", 'panic', ':', 'n_jobs', '=', '2', '!']
    """
    if text.isascii():
        return _ASCII.findall(text)
    found: list[str] = []
    for kind, run in groupby(text, _kind):
        if kind == "word":
            found.append("".join(run))
        elif kind == "other":
            found.extend(run)
    return _with_apostrophes(found, text)


@cache
def _kind(sign: str) -> str:
    if sign.isspace():
        return "space"
    category = unicodedata.category(sign)
    return "word" if category[0] in "LMN" or category in ("Pc", "Cf") else "other"


def _with_apostrophes(found: list[str], text: str) -> list[str]:
    """Joins ``l ’ eau`` where the text has no space around the apostrophe."""
    if not any(sign in text for sign in _APOSTROPHES):
        return found
    joined: list[str] = []
    place = 0
    touching: list[bool] = []
    for part in found:
        start = text.index(part, place)
        touching.append(start == place and place > 0)
        place = start + len(part)
    i = 0
    while i < len(found):
        inside = (
            found[i] in _APOSTROPHES
            and joined
            and i + 1 < len(found)
            and touching[i]
            and touching[i + 1]
            and _kind(joined[-1][-1]) == _kind(found[i + 1][0]) == "word"
        )
        if inside:
            joined[-1] += found[i] + found[i + 1]
            i += 2
        else:
            joined.append(found[i])
            i += 1
    return joined


def split_text(text: str, tokens: Tokens, *, lower: bool) -> list[str]:
    """The symbols of a text before a vocabulary knows them.

    Args:
      text: any text.
      tokens: "words" (see `split_words`) or "characters"; of these every run of white space is one space.
      lower: in small letters.

    >>> split_text("So  it IS", "characters", lower=True)
    ['s', 'o', ' ', 'i', 't', ' ', 'i', 's']
    """
    text = normalized(text)
    text = text.lower() if lower else text
    return split_words(text) if tokens == "words" else list(" ".join(text.split()))


def form_of(word: str) -> str:
    """The form of a word: A for runs of capitals, a of other letters, 0 of digits, other signs themselves.

    >>> form_of("KMeans"), form_of("n_samples"), form_of("1.5"), form_of("reading")
    ('Aa', 'a_a', '0.0', 'a')
    """
    kinds = ("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    return "".join(kind for kind, _ in groupby(kinds))[:8]


def _forms(word: str) -> tuple[str, ...]:
    """The symbols that an unknown word can have, the most exact first."""
    form = form_of(word)
    endings = [word[-n:].lower() for n in (3, 2) if len(word) > n + 1 and word[-n:].isalpha()]
    return (*(f"<unk:{form}-{ending}>" for ending in endings), f"<unk:{form}>")


class Vocabulary(NamedTuple):
    """Symbols by their numbers.

    Attributes:
      symbols: ``<pad>``, ``<unk>``, the forms of unknown words if there are any, then what is known.
      index: the number of each.
      lower: whether words are looked up in small letters.
    """

    symbols: tuple[str, ...]
    index: Mapping[str, int]
    lower: bool

    def number(self, word: str) -> int:
        """The number of a symbol; what is not known has that of its form, else that of ``<unk>``."""
        known = self.index.get(word.lower() if self.lower else word)
        if known is not None and known >= self.first:
            return known
        if self.first > 2:
            for form in _forms(word):
                if form in self.index:
                    return self.index[form]
        return 1

    @property
    def first(self) -> int:
        """The number of the first symbol that stands for itself."""
        return _first(self.symbols)

    def numbers(self, words: Iterable[str]) -> list[int]:
        """`number` of each."""
        return [self.number(word) for word in words]


@cache
def _first(symbols: tuple[str, ...]) -> int:
    return next((i for i, s in enumerate(symbols) if i > 1 and not _is_form(s)), len(symbols))


def _is_form(symbol: str) -> bool:
    return symbol.startswith("<unk:") and symbol.endswith(">")


def known_symbols(symbols: Sequence[str], *, lower: bool) -> Vocabulary:
    """The vocabulary of symbols that `vocabulary` chose."""
    return Vocabulary(tuple(symbols), {symbol: i for i, symbol in enumerate(symbols)}, lower)


def vocabulary(
    texts: Iterable[Sequence[str]], *, min_count: int, most: int, lower: bool, forms: bool = False
) -> Vocabulary:
    """The vocabulary of a training part: its most frequent symbols.

    Args:
      texts: the symbols of each text, before `lower`.
      min_count: how often a symbol must be there to be known.
      most: the largest number of known symbols.
      lower: whether words that differ in capitals only are one.
      forms: whether the rare words get a symbol for each form and ending that many of them have, by which
        an unknown word is taken later.

    >>> vocabulary([["a", "b", "a"]], min_count=2, most=10, lower=False).symbols
    ('<pad>', '<unk>', 'a')
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    merged: Counter[str] = Counter()
    for word, n in counts.items():
        merged[word.lower() if lower else word] += n
    reserved = {PAD, UNKNOWN}
    frequent = sorted((-n, word) for word, n in merged.items() if n >= min_count and word not in reserved)
    kept = [word for _, word in frequent[:most] if not _is_form(word)]
    if not forms:
        return known_symbols((PAD, UNKNOWN, *kept), lower=lower)
    known = set(kept)
    of_form: Counter[str] = Counter()
    for word in counts:
        if (word.lower() if lower else word) not in known:
            of_form.update(_forms(word))
    common = [form for form, n in of_form.most_common() if n >= _SEEN][:MOST_FORMS]
    return known_symbols((PAD, UNKNOWN, *sorted(common), *kept), lower=lower)
