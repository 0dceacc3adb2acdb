"""Molecules written as SMILES: to atoms and bonds, and to a tree of atoms.

``CC(=O)Oc1ccccc1C(=O)O`` is aspirin. Read are the organic subset, atoms in square brackets, the bonds
``- = # $ : / \\``, branches, ring closures (``1``, ``%10``) and dots. What lies where in space (``@``, ``/``,
``\\``), isotopes and atom numbers are read but not kept.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from dlnotes.data.trees.tree import Tree

_ATOM = re.compile(
    r"""(?P<organic>Cl|Br|[BCNOPSFI]|[bcnops]|\*)
    | \[ (?P<isotope>\d*) (?P<symbol>[A-Z][a-z]?|se|as|te|[bcnops]|\*)
      (?:@(?:@|TH[12]|AL[12]|SP[123]|TB\d+|OH\d+)?)?
      (?:(?P<hydrogen>H)(?P<hydrogens>\d*))? (?P<charge>\+\d+|-\d+|\++|-+)? (?::\d+)? \]""",
    re.VERBOSE,
)
_RING = re.compile(r"%(\d\d)|(\d)")
_BONDS = "-=#$:/\\"
_SINGLE = "-/\\"


class Atom(NamedTuple):
    """One atom as written.

    Attributes:
      symbol: the element, in small letters where it is aromatic.
      hydrogens: those in its square bracket; ``None`` outside of one, where valence tells.
      charge: in elementary charges.
    """

    symbol: str
    hydrogens: int | None = None
    charge: int = 0

    @property
    def aromatic(self) -> bool:
        """Whether it is written in small letters."""
        return self.symbol[0].islower()

    @property
    def name(self) -> str:
        """Element and charge, and the hydrogen of an aromatic atom: ``nH``, ``N+``, ``O-``."""
        hydrogen = "H" if self.aromatic and self.hydrogens else ""
        sign = ("+" if self.charge > 0 else "-") * min(abs(self.charge), 1)
        return self.symbol + hydrogen + sign + (str(abs(self.charge)) if abs(self.charge) > 1 else "")


class Bond(NamedTuple):
    """A bond between two atoms, the one written first in front.

    Attributes:
      first, second: numbers of the atoms.
      kind: "-", "=", "#", "$" or ":" (aromatic, between two small letters).
      closes: whether it closes a ring, so that the molecule's other bonds make a tree.
    """

    first: int
    second: int
    kind: str
    closes: bool


class Molecule(NamedTuple):
    """Atoms and bonds in the order in which they are written."""

    atoms: tuple[Atom, ...]
    bonds: tuple[Bond, ...]


def parse_smiles(text: str) -> Molecule:
    """Atoms and bonds of a SMILES string.

    Raises:
      ValueError: with the place, for anything that is no SMILES: an unknown symbol, a branch or a ring that
        is not closed, a bond without an atom behind it, two bonds between the same atoms.

    >>> [atom.name for atom in parse_smiles("C[N+](C)(C)CC(=O)[O-]").atoms]
    ['C', 'N+', 'C', 'C', 'C', 'C', 'O', 'O-']
    """
    atoms: list[Atom] = []
    bonds: list[Bond] = []
    bound: set[tuple[int, int]] = set()
    branches: list[int] = []  # atoms that open branches hang on
    rings: dict[str, tuple[int, str, int]] = {}  # atom, bond and place of each open ring
    last, bond, place = -1, "", 0

    def join(first: int, second: int, kind: str, closes: bool) -> None:
        if first == second or (first, second) in bound:
            what = "an atom is bound to itself" if first == second else "two bonds are between the same atoms"
            raise ValueError(f"smiles: {what} at character {place + 1}")
        aromatic = atoms[first].aromatic and atoms[second].aromatic
        kind = (":" if aromatic else "-") if not kind else "-" if kind in _SINGLE else kind
        bonds.append(Bond(first, second, kind, closes))
        bound.update(((first, second), (second, first)))

    while place < len(text):
        letter = text[place]
        if found := _ATOM.match(text, place):
            atoms.append(_atom(found))
            if last >= 0:
                join(last, len(atoms) - 1, bond, closes=False)
            last, bond = len(atoms) - 1, ""
            place = found.end()
            continue
        if letter not in "()." + _BONDS and not (letter == "%" or (letter.isascii() and letter.isdigit())):
            raise ValueError(f"smiles: {letter!r} at character {place + 1} is no part of a molecule")
        if last < 0:
            raise ValueError(f"smiles: {letter!r} at character {place + 1} has no atom before it")
        if found := _RING.match(text, place):
            number = (found.group(1) or found.group(2)).lstrip("0") or "0"
            if number in rings:
                first, opened, _ = rings.pop(number)
                if opened and bond and opened != bond and not (opened in _SINGLE and bond in _SINGLE):
                    raise ValueError(
                        f"smiles: ring {number} opens with bond {opened!r} and is closed with {bond!r} "
                        f"at character {place + 1}"
                    )
                join(first, last, bond or opened, closes=True)
            else:
                rings[number] = (last, bond, place)
            bond, place = "", found.end()
            continue
        if letter in _BONDS:
            if bond:
                raise ValueError(f"smiles: {letter!r} at character {place + 1} follows another bond")
            bond = letter
        elif letter == "%" or bond:
            what = "needs two digits" if letter == "%" else f"follows the bond {bond!r}"
            raise ValueError(f"smiles: {letter!r} at character {place + 1} {what}")
        elif letter == "(":
            branches.append(last)
        elif letter == ")":
            if not branches or text[place - 1] == "(":
                what = "is an empty branch" if branches else "closes nothing"
                raise ValueError(f"smiles: ')' at character {place + 1} {what}")
            last = branches.pop()
        else:
            last = -1
        place += 1
    if branches:
        raise ValueError(f"smiles: a branch is not closed, {text!r}")
    if rings:
        number, (_, _, at) = next(iter(rings.items()))
        raise ValueError(f"smiles: ring {number}, opened at character {at + 1}, is not closed")
    if bond or not atoms or last < 0:
        what = f"ends with bond {bond!r}" if bond else "ends with a dot" if atoms else "holds no atom"
        raise ValueError(f"smiles: {text!r} {what}")
    return Molecule(tuple(atoms), tuple(bonds))


def _atom(found: re.Match[str]) -> Atom:
    if found["organic"]:
        return Atom(found["organic"])
    charge = found["charge"] or ""
    value = int(charge) if charge[1:].isdigit() else len(charge) * (-1 if charge[:1] == "-" else 1)
    hydrogens = int(found["hydrogens"] or 1) if found["hydrogen"] else 0
    return Atom(found["symbol"], hydrogens, value)


def smiles_tree(text: str) -> Tree:
    """A molecule as a tree: the bonds that close no ring, from the first atom on.

    An atom's name has the bond to the atom above it in front, where that is neither single nor aromatic, or
    is a single one between two aromatic atoms. A bond that closes a ring is a leaf named ``ring6`` below the
    atom where it is closed, 6 being the number of atoms on the way round through the tree. Parts behind
    a dot hang on the first atom of all, with ``.`` for a bond.

    Raises:
      ValueError: as `parse_smiles`.

    >>> smiles_tree("O=C1CC1").label
    ('O', '=C', 'C', 'C', 'ring3')
    """
    atoms, bonds = parse_smiles(text)
    up, by = np.full(len(atoms), -1), [""] * len(atoms)
    closures: list[list[str]] = [[] for _ in atoms]
    for first, second, kind, closes in bonds:
        if not closes:
            up[second], by[second] = first, kind
    depth = np.zeros(len(atoms), int)
    for atom in range(1, len(atoms)):  # an atom is written behind the one above it
        if up[atom] < 0:
            up[atom], by[atom] = 0, "."
        depth[atom] = depth[up[atom]] + 1
    for first, second, kind, closes in bonds:
        if closes:
            aromatic = atoms[first].aromatic and atoms[second].aromatic
            closures[second].append(_mark(kind, aromatic) + f"ring{_way(up, depth, first, second)}")
    below: list[list[int]] = [[] for _ in atoms]
    for atom in range(1, len(atoms)):
        below[up[atom]].append(atom)
    label: list[str] = []
    parent: list[int] = []
    todo = [(0, -1)]
    while todo:
        atom, above = todo.pop()
        aromatic = atom > 0 and atoms[atom].aromatic and atoms[up[atom]].aromatic
        label.append((_mark(by[atom], aromatic) if atom else "") + atoms[atom].name)
        parent.append(above)
        own = len(label) - 1
        label += closures[atom]
        parent += [own] * len(closures[atom])
        todo += [(child, own) for child in reversed(below[atom])]
    return Tree(tuple(label), np.array(parent, np.int32))


def _mark(kind: str, aromatic: bool) -> str:
    return "" if kind == (":" if aromatic else "-") else kind


def _way(up: np.ndarray, depth: np.ndarray, a: int, b: int) -> int:
    """Atoms on the way from one to the other through the tree, both counted."""
    length = 1
    while a != b:
        if depth[a] < depth[b]:
            a, b = b, a
        a = int(up[a])
        length += 1
    return length
