"""SMILES: known molecules, every molecule of B3DB written anew from another atom, and what is refused."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.download import FileSet, damage
from dlnotes.data.trees.bigrams import bigram_accuracy, bigram_counts
from dlnotes.data.trees.molecules import B3DB, molecule_key, read_molecules, scaffold
from dlnotes.data.trees.smiles import parse_smiles, smiles_tree
from dlnotes.data.trees.tree import vocabulary

REAL = os.environ.get("DLNOTES_DATA")
REAL = REAL and Path(REAL) / "b3db" / "b3db_classification.tsv.gz"
needs_data = pytest.mark.skipif(not (REAL and REAL.exists()), reason="DLNOTES_DATA has no b3db")


@pytest.mark.parametrize(
    ("text", "atoms", "bonds", "rings"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", "C9O4", 13, 1),  # aspirin
        ("Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C8N4O2", 15, 2),  # caffeine
        ("C1CC2CCC1CC2", "C8", 9, 2),  # bicyclo[2.2.2]octane
        ("C12C3C4C1C5C2C3C45", "C8", 12, 5),  # cubane
        ("[Na+].[Cl-]", "ClNa", 0, 0),
        ("C%10CCCC%10", "C5", 5, 1),
        ("[2H]C([2H])([2H])Br", "BrCH3", 4, 0),
        ("N[C@@H](C)C(=O)[O-]", "C3NO2", 5, 0),
        ("c1ccccc1-c1ccc[nH]1", "C10N", 12, 2),
        ("F/C=C/F", "C2F2", 3, 0),
        ("C#N", "CN", 1, 0),
    ],
)
def test_known_molecules(text, atoms, bonds, rings):
    made = parse_smiles(text)
    counts = Counter(atom.symbol.capitalize() for atom in made.atoms)
    assert "".join(f"{s}{n if n > 1 else ''}" for s, n in sorted(counts.items())) == atoms
    assert len(made.bonds) == bonds
    assert sum(bond.closes for bond in made.bonds) == rings


def test_bonds_charges_and_hydrogens():
    made = parse_smiles("C=C-c1cc[nH]c1C#[N+2]C[O-][Fe+++]")
    assert [a.name for a in made.atoms if a.charge] == ["N+2", "O-", "Fe+3"]
    assert [a.name for a in made.atoms].count("nH") == 1
    kinds = {(b.first, b.second): b.kind for b in made.bonds}
    assert kinds[0, 1] == "="
    assert kinds[1, 2] == "-"
    assert kinds[2, 6] == ":"
    assert kinds[7, 8] == "#"


def test_trees_of_molecules():
    tree = smiles_tree("OC(=O)c1ccccc1-c1ccccc1")
    assert tree.label == (
        *("O", "C", "=O", "c", "c", "c", "c", "c", "c"),
        "ring6",
        "-c",
        *"cccc",
        "c",
        "ring6",
    )
    assert tree.parent.tolist() == [-1, 0, 1, 1, 3, 4, 5, 6, 7, 8, 8, 10, 11, 12, 13, 14, 15]
    assert smiles_tree("[Na+].CC.[Cl-]").label == ("Na+", ".C", "C", ".Cl-")
    assert smiles_tree("C1CCCCC=1").label[-1] == "=ring6"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no atom"),
        ("CX", "'X' at character 2 is no part"),
        ("C(C", "a branch is not closed"),
        ("C)C", r"'\)' at character 2 closes nothing"),
        ("C()C", "is an empty branch"),
        ("C1CC", "ring 1, opened at character 2, is not closed"),
        ("C11", "an atom is bound to itself"),
        ("C1C1", "two bonds are between the same atoms"),
        ("C=1CCC#1", "ring 1 opens with bond '=' and is closed with '#'"),
        ("C==C", "follows another bond"),
        ("CC=", "ends with bond '='"),
        ("C.", "ends with a dot"),
        ("=C", "has no atom before it"),
        ("C(=)C", "follows the bond '='"),
        ("C[Q", r"'\[' at character 2 is no part"),
        ("C%1C", "needs two digits"),
    ],
)
def test_what_is_no_molecule(text, message):
    with pytest.raises(ValueError, match=message):
        parse_smiles(text)


def written_anew(molecule, rng):
    """The same molecule as SMILES from a random atom, neighbors in random order, rings numbered anew."""
    near = [[] for _ in molecule.atoms]
    for bond in molecule.bonds:
        near[bond.first].append((bond.second, bond.kind))
        near[bond.second].append((bond.first, bond.kind))
    for list_of in near:
        rng.shuffle(list_of)
    seen, closing, numbers = {}, {}, iter(range(1, 100))

    def find_rings(atom, above):
        seen[atom] = len(seen)
        for other, kind in near[atom]:
            if other == above:
                continue
            if other not in seen:
                find_rings(other, atom)
            elif seen[other] < seen[atom]:
                number = f"%{next(numbers):02d}"
                closing.setdefault(other, []).append(kind + number)
                closing.setdefault(atom, []).append(kind + number)
                rings.add(frozenset((atom, other)))

    def write(atom, above):
        a = molecule.atoms[atom]
        hydrogen = "" if a.hydrogens is None else f"H{a.hydrogens}" if a.hydrogens else ""
        text = f"[{a.symbol}{hydrogen}{a.charge:+d}]" if a.charge or a.hydrogens is not None else a.symbol
        text += "".join(closing.get(atom, []))
        done.add(atom)
        for other, kind in near[atom]:
            if other != above and frozenset((atom, other)) not in rings and other not in done:
                text += f"({kind}{write(other, atom)})"
        return text

    rings, done, parts = set(), set(), []
    for atom in rng.permutation(len(near)).tolist():
        if atom not in seen:
            find_rings(atom, -1)
            parts.append(write(atom, -1))
    return ".".join(parts)


@needs_data
@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.slow)])
def test_molecules_of_b3db_come_back(every):
    smiles, labels = read_molecules(REAL)
    assert len(smiles) == 7807
    assert labels.sum() == 4956
    rng = np.random.default_rng(0)
    for text in smiles[::every]:
        made = parse_smiles(text)
        again = parse_smiles(written_anew(made, rng))
        assert molecule_key(made) == molecule_key(again)
        assert molecule_key(scaffold(made)) == molecule_key(scaffold(again))
        # Euler: bonds - atoms + parts bonds close rings, however it is written
        parts = text.count(".") + 1
        for one in (made, again):
            assert sum(b.closes for b in one.bonds) == len(one.bonds) - len(one.atoms) + parts
        tree = smiles_tree(text)
        assert len(tree.label) == len(made.atoms) + sum(b.closes for b in made.bonds)
        assert sum("ring" not in name for name in tree.label) == len(made.atoms)


def test_keys_tell_molecules_apart_and_scaffolds_take_off_what_hangs():
    texts = [
        "CCO",
        "COC",
        "CC=O",
        "C1CC1O",
        "OC1CC1",
        "c1ccccc1",
        "C1CCCCC1",
        "CC[O-]",
        "C1CCC1CC",
        "C1CCCCC1C",
    ]
    keys = [molecule_key(parse_smiles(t)) for t in texts]
    assert keys[3] == keys[4]
    assert len(set(keys)) == len(texts) - 1
    assert molecule_key(parse_smiles("CCO")) == molecule_key(parse_smiles("OCC"))

    def left(text):
        return scaffold(parse_smiles(text))

    assert len(left("CCCCO").atoms) == len(left("C").atoms) == 0
    assert molecule_key(left("CCc1ccc(O)cc1CC(C)C")) == molecule_key(parse_smiles("c1ccccc1"))
    linked = "c1ccccc1CCN1CCCCC1"
    assert molecule_key(left("Cc1ccc(F)cc1CC(=O)N1CCCCC1C")) == molecule_key(left(linked))
    assert len(left(linked).atoms) == 14


def table(tmp_path, monkeypatch):
    """A table of made-up lines in the place of B3DB, several spellings of the same molecules among them."""
    import gzip
    import hashlib

    rng, lines = np.random.default_rng(0), ["smiles\tlabel"]
    for i in range(240):
        text = "C" * (1 + i % 20) + f"C1{'C' * (1 + i % 12)}C1" + "O" * (i % 2)
        lines.append(f"{written_anew(parse_smiles(text), rng)}\tBBB{'+' if i % 2 else '-'}")
    content = "\n".join(lines).encode()
    (tmp_path / "b3db").mkdir()
    (tmp_path / "b3db" / "b3db_classification.tsv.gz").write_bytes(gzip.compress(content))
    digest = hashlib.sha256(content).hexdigest()
    made = FileSet("b3db", {"b3db_classification.tsv.gz": digest}, "", "", "")
    monkeypatch.setattr("dlnotes.data.trees.molecules.B3DB", made)
    return tmp_path


def test_groups_are_in_one_part(tmp_path, monkeypatch):
    folder = table(tmp_path, monkeypatch)
    smiles, _ = read_molecules(folder / "b3db" / "b3db_classification.tsv.gz")
    for split in ("molecule", "scaffold"):
        d = data.molecules(split=split, data_dir=folder, seed=3, min_count=1)
        assert d.train.size + d.validation.size + d.test.size == 240
        assert abs(d.test.size - 48) < 25
        assert d.classes == ("BBB-", "BBB+")
    keys = [molecule_key(parse_smiles(t)) for t in smiles]
    parts = data.split.split_groups(keys, validation=0.1, test=0.2, seed=3)
    assert sorted(np.concatenate(parts)) == list(range(240))
    groups = [{keys[i] for i in part} for part in parts]
    assert len(set.union(*groups)) == sum(map(len, groups))
    d = data.molecules(data_dir=folder, min_count=1)
    assert (d.train.size, d.validation.size, d.test.size) == (168, 24, 48)
    assert bigram_accuracy(d) == 1.0  # the label is whether there is an oxygen
    with pytest.raises(ValueError, match="split: got 'rows'"):
        data.molecules(split="rows", data_dir=folder)
    path = tmp_path / "bad.tsv"
    path.write_text("smiles\tlabel\nC\tyes")
    with pytest.raises(ValueError, match="line 2: got 'C\\\\tyes'"):
        read_molecules(path)


def test_bigrams_are_counted():
    trees = [smiles_tree("CC(=O)O"), smiles_tree("CCC")]
    symbols = vocabulary(trees)
    made = data.batch_trees(trees, symbols)
    counts = bigram_counts(made.trees, made.mask, len(symbols)).toarray()
    index, kinds = {n: i for i, n in enumerate(symbols)}, len(symbols) + 1
    assert counts[0, index["C"]] == 2
    assert counts[1, index["C"]] == 3

    def pair(above, below):
        return counts[:, kinds + index[above] * kinds + index[below]].tolist()

    assert pair("C", "C") == [1, 2]
    assert pair("C", "=O") == pair("C", "O") == [1, 0]
    assert counts.sum() == 4 + 3 + 3 + 2


@needs_data
def test_b3db_is_the_published_file():
    assert damage(B3DB, [REAL]) == []
