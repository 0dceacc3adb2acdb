"""Does a molecule pass the blood-brain barrier? B3DB's molecules as trees of atoms."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.lines import read_lines
from dlnotes.data.split import split_groups, split_indices
from dlnotes.data.trees.smiles import Molecule, parse_smiles, smiles_tree
from dlnotes.data.trees.tree import batch_trees, vocabulary

B3DB = store.FileSet(
    name="b3db",
    files={"b3db_classification.tsv.gz": "f3acb4dc6fd14826e5a2efc97a509adb16ab284461776189411cbd0a8ce86054"},
    where="the Python package qc-b3db 1.1.1 (the columns smiles and label of its B3DB_classification.tsv; "
    "also github.com/theochem/B3DB)",
    license="CC0",
    source="Meng et al., 2021",
)
CLASSES = ("BBB-", "BBB+")


def read_molecules(path: str | Path) -> tuple[list[str], np.ndarray]:
    """SMILES and class, 1 where the molecule passes, of a table with the columns smiles and label.

    Raises:
      ValueError: naming file and line, when it has other columns, labels or cells.
    """
    lines = read_lines(path)
    header = lines[0].split("\t") if lines else []
    if header != ["smiles", "label"]:
        raise ValueError(f"{path}: line 1: got columns {', '.join(header)}, allowed are smiles, label")
    smiles, labels = [], []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != 2 or cells[1] not in CLASSES:
            raise ValueError(
                f"{path}: line {number}: got {line!r}, allowed is SMILES, a tab and {' or '.join(CLASSES)}"
            )
        smiles.append(cells[0])
        labels.append(CLASSES.index(cells[1]))
    return smiles, np.array(labels, np.int32)


def molecule_key(molecule: Molecule, *, rounds: int | None = None) -> int:
    """A number that does not depend on how a molecule is written, and hardly ever is that of another one.

    Every atom's number is mixed with those of its neighbors and the bonds to them, as often as there are
    atoms (at most ``rounds`` times): ``c ← hash(c, sorted((bond, c') of each neighbor))``.

    Source: Weisfeiler and Lehman, 1968; Shervashidze et al., 2011.
    """
    n = len(molecule.atoms)
    near: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for first, second, kind, _ in molecule.bonds:
        near[first].append((second, ord(kind)))
        near[second].append((first, ord(kind)))
    color = [_mixed(*map(ord, atom.name)) for atom in molecule.atoms]
    for _ in range(n if rounds is None else min(n, rounds)):
        mixed = [
            _mixed(c, *sorted(_mixed(kind, color[b]) for b, kind in near[a])) for a, c in enumerate(color)
        ]
        known, color = len(set(color)), mixed
        if len(set(mixed)) == known:  # no two atoms are told apart that were not before
            break
    return _mixed(n, *sorted(color))


def _mixed(*numbers: int) -> int:
    # Hashes of tuples of integers are the same in every process.
    return hash(numbers)


def scaffold(molecule: Molecule) -> Molecule:
    """The rings of a molecule and what links them: end atoms are taken off until there is none.

    Of a molecule without rings nothing is left.

    Source: Bemis and Murcko, 1996.
    """
    left = set(range(len(molecule.atoms)))
    near: list[set[int]] = [set() for _ in molecule.atoms]
    for first, second, _, _ in molecule.bonds:
        near[first].add(second)
        near[second].add(first)
    ends = [a for a in left if len(near[a]) < 2]
    while ends:
        atom = ends.pop()
        left.discard(atom)
        for other in near[atom]:
            near[other].discard(atom)
            if len(near[other]) == 1:
                ends.append(other)
        near[atom] = set()
    number = {atom: i for i, atom in enumerate(sorted(left))}
    bonds = [
        b._replace(first=number[b.first], second=number[b.second])
        for b in molecule.bonds
        if b.first in left and b.second in left
    ]
    return Molecule(tuple(molecule.atoms[a] for a in number), tuple(bonds))


def molecules(
    *,
    split: Literal["random", "molecule", "scaffold"] = "random",
    min_count: int = 5,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Dataset:
    """7,807 molecules as trees of atoms: does it pass the blood-brain barrier? Input "tree", two classes.

    See `dlnotes.data.trees.smiles.smiles_tree` for the trees. Names of atoms come from the training part.

    Args:
      split: "random", line by line. But half of the lines differ from another one only in what lies where in
        space, which the trees do not tell. With "molecule" all lines of one such molecule are in one part;
        with "scaffold" all molecules of the same rings and links are, so that the test asks about new kinds.
      min_count: an atom's name that occurs less often in the training part becomes ``<unk>``.
      validation, test: shares or numbers of molecules; a group that does not fit is in the training part.
      seed: of the split.
      data_dir: a folder with the file, or with a sub-folder ``b3db`` of it; otherwise ``$DLNOTES_DATA/b3db``,
        the user's cache and the system's data sets are searched.

    Raises:
      DataNotFound: when the file is nowhere; the message says where it can be had.
      ValueError: when it is another one, or an option is out of range.

    Source: Meng et al., 2021, a curated diverse molecular database of blood-brain barrier permeability.
    """
    if split not in ("random", "molecule", "scaffold"):
        raise ValueError(f"split: got {split!r}, allowed are random, molecule, scaffold")
    if min_count < 1:
        raise ValueError(f"min_count: got {min_count}, allowed is at least 1")
    paths = store.obtain(B3DB, data_dir=data_dir)
    for problem in store.damage(B3DB, paths):
        raise ValueError(problem)
    smiles, y = read_molecules(paths[0])
    if split == "random":
        parts = split_indices(len(y), validation=validation, test=test, seed=seed, stratify=y)
    else:
        read = [parse_smiles(text) for text in smiles]
        keys = [molecule_key(scaffold(m) if split == "scaffold" else m) for m in read]
        parts = split_groups(keys, validation=validation, test=test, seed=seed)
    trees = [smiles_tree(text) for text in smiles]
    symbols = vocabulary((trees[i] for i in parts[0]), min_count=min_count)
    made = batch_trees(trees, symbols)
    return assemble(
        "molecules",
        made.trees,
        y,
        parts,
        input="tree",
        task="classification",
        outputs=2,
        mask=made.mask,
        classes=CLASSES,
        symbols=symbols,
        sources={str(paths[0]): store.sha256(paths[0])},
        notation="smiles",
    )
