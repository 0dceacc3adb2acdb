"""Generated and bundled data against oracles that share no code with them."""

import re

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.texts.number_words import CLASSES, SYMBOLS, number_to_words
from dlnotes.data.texts.reber import is_grammatical

# The grammar as a regular expression. After B, T S* X reaches state D and P reaches state C; from C,
# T* V reaches F; from F, V ends and P returns to D; from D, X returns to C and S ends.
_FROM_C = r"T*V(?:PXT*V)*(?:V|PS)"
INNER = rf"B(?:TS*X(?:S|X{_FROM_C})|P{_FROM_C})E"
REBER = re.compile(INNER)
EMBEDDED = re.compile(rf"B(?:T{INNER}T|P{INNER}P)E")


def strings(examples, symbols):
    for x, mask in zip(examples.x, examples.mask):
        assert (x[~mask] == 0).all()
        assert (x[mask] > 0).all()
        yield "".join(symbols[i] for i in x[mask])


def parts(dataset):
    return [p for p in (dataset.train, dataset.validation, dataset.test) if p is not None]


@pytest.mark.parametrize(("embedded", "pattern"), [(True, EMBEDDED), (False, REBER)])
def test_reber_labels_agree_with_a_regular_expression(embedded, pattern):
    d = data.reber(n=300, min_length=9, max_length=20, embedded=embedded, seed=3)
    seen, lengths = [], set()
    for part in parts(d):
        for string, y in zip(strings(part, d.symbols), part.y):
            assert bool(pattern.fullmatch(string)) == (d.classes[y] == "grammatical"), string
            seen.append(string)
            lengths.add(len(string))
    assert len(set(seen)) == 300
    assert lengths >= set(range(11, 20))
    assert sum(p.y.sum() for p in parts(d)) == 150


def test_reber_automaton_against_the_expression_on_random_strings():
    rng = np.random.default_rng(0)
    accepted = 0
    for _ in range(3000):
        middle = "".join(rng.choice(list("TPSXVE"), rng.integers(3, 6)))
        accepted += is_grammatical(f"B{middle}E", embedded=False)
        assert is_grammatical(f"B{middle}E", embedded=False) == bool(REBER.fullmatch(f"B{middle}E"))
    assert accepted


def test_reber_spoilt_strings_are_one_symbol_away():
    d = data.reber(n=40, max_length=14, seed=1)
    for string, y in zip(strings(d.train, d.symbols), d.train.y):
        near = [string[:i] + c + string[i + 1 :] for i in range(len(string)) for c in "BTPSXVE"]
        assert any(EMBEDDED.fullmatch(s) for s in near) or y == 1


def test_reber_refuses_too_few_strings():
    with pytest.raises(ValueError, match="only 4 grammatical strings"):
        data.reber(n=50, max_length=9)


def words_to_number(words):
    """An independent reading: add units and tens, multiply by hundred and thousand."""
    units = {
        w: i
        for i, w in enumerate(
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
        )
    }
    units |= {"twelve": 12, "thirteen": 13, "fifteen": 15, "eighteen": 18}
    units |= {f"{w}teen": units[w] + 10 for w in ("four", "six", "seven", "nine")}
    units |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
    units |= {"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
    total = current = 0
    for word in words.replace("-", " ").split():
        if word == "hundred":
            current *= 100
        elif word in ("thousand", "million", "billion"):
            total += current * 1000 ** (1 + ["thousand", "million", "billion"].index(word))
            current = 0
        else:
            current += units[word]
    return total + current


def test_number_words_read_back():
    rng = np.random.default_rng(0)
    for number in [*range(2500), *rng.integers(0, 10**12, 1000).tolist(), 10**12 - 1]:
        assert words_to_number(number_to_words(number)) == number
    assert number_to_words(40) == "forty"
    assert number_to_words(1_000_019) == "one million nineteen"
    assert len({number_to_words(i) for i in range(10000)}) == 10000
    with pytest.raises(ValueError, match="number: got -1"):
        number_to_words(-1)


def test_number_words_conventions():
    d = data.number_words(maximum=999, n_train=50, n_validation=10, n_test=20, seed=2)
    assert d.inputs == (len(SYMBOLS),)
    assert d.outputs == len(CLASSES) == 11
    numbers = []
    for part in parts(d):
        for source, target, y, mask in zip(part.x.source, part.x.target, part.y, part.mask):
            assert ((source > 0) == mask).all()
            words = "".join(d.symbols[i] for i in source[mask])
            end = y.tolist().index(0)
            assert (y[end + 1 :] == -1).all()
            digits = "".join(d.classes[i] for i in y[:end])
            assert words_to_number(words) == int(digits)
            assert digits == str(int(digits))
            assert target[0] == d.outputs
            assert (target[1 : end + 1] == y[:end]).all()
            assert (target[end + 1 :] == 0).all()
            numbers.append(int(digits))
    assert len(set(numbers)) == 80
    with pytest.raises(ValueError, match="got 1500 examples of 1000 numbers"):
        data.number_words(maximum=999, n_train=1500, n_validation=0, n_test=0)


def test_text_windows_follow_the_text_and_stay_in_their_part(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("abcde \n"), 1000)) + "é" * 20
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    d = data.text(path, window=8, validation=0.1, test=0.2, limit=None)
    joined = []
    for part in parts(d):
        assert part.mask is None
        assert (part.x.reshape(-1)[1:] == part.y.reshape(-1)[:-1]).all()
        codes = [*part.x.reshape(-1), part.y[-1, -1]]
        joined.append("".join(d.symbols[i] if i else "é" for i in codes))
    assert text.startswith("".join(joined))
    assert len(text) - len("".join(joined)) < 8 + 3
    assert "é" not in d.symbols
    assert (d.test.x == 0).any()
    assert list(d.sources) == [str(path)]
    path.write_bytes(b"fine\nbad \xff\n" * 50)
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
        data.text(path)
    path.write_text("short")
    with pytest.raises(ValueError, match="5 characters are too few"):
        data.text(path)


def test_the_embedded_text_is_english_prose():
    d = data.text(window=32, limit=60_000)
    prose = "".join(d.symbols[i] for i in d.train.x.reshape(-1))
    assert sum(prose.count(f" {w} ") for w in ("the", "of", "and", "is")) > 500
    assert d.train.size + d.validation.size + d.test.size == (60_000 - 3) // 32


def test_xor_and_moons():
    d = data.xor()
    assert (d.train.x.sum(1) % 2 == d.train.y).all()
    assert d.test.x is not None
    assert d.validation is None
    m = data.two_moons(n=200, noise=0.0, standardize=False, seed=4)
    for x, y in zip(m.train.x, m.train.y):
        center = np.array([0.0, 0.0]) if y == 0 else np.array([1.0, 0.5])
        assert np.isclose(np.linalg.norm(x - center), 1, atol=1e-5)
    with pytest.raises(ValueError, match="noise: got -1"):
        data.two_moons(noise=-1)


def test_digits_hold_the_images_of_scikit_learn():
    from sklearn.datasets import load_digits

    d = data.digits(seed=1)
    raw = np.concatenate([d.standardize.inverse(p.x) for p in parts(d)]) * 16
    known = {tuple(np.rint(i).astype(int).ravel()): y for i, y in zip(*load_digits(return_X_y=True))}
    ours = {
        tuple(np.rint(i).astype(int).ravel()): y for i, y in zip(raw, np.concatenate([p.y for p in parts(d)]))
    }
    assert ours == known
    assert abs(d.train.x.mean()) < 1e-5
    assert abs(d.train.x.std() - 1) < 1e-4
    assert d.test.size == 359


@pytest.mark.parametrize(
    ("name", "outputs"), [("breast_cancer", 2), ("wine", 3), ("iris", 3), ("diabetes", 1)]
)
def test_tabular(name, outputs):
    d = data.tabular(name=name)
    assert d.outputs == outputs
    assert len(d.features) == d.inputs[0] == d.train.x.shape[1]
    assert abs(d.train.x.mean(0)).max() < 1e-5
    if name == "diabetes":
        y = d.standardize_y.inverse(d.train.y)
        assert np.allclose(y, np.rint(y), atol=1e-3)
        assert 25 <= y.min() < y.max() <= 346


def test_load_names_what_it_knows():
    assert data.load("two_moons", n=20, seed=1, test=0.3).test.size == 6
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        data.load("digit")
    with pytest.raises(ValueError, match="xor: got an unexpected keyword argument 'n'"):
        data.load("xor", n=4)
    with pytest.raises(AttributeError, match="nothing"):
        _ = data.nothing
    for name in data.__all__:
        assert getattr(data, name) is not None
    with pytest.raises(ValueError, match="name: got 'boston'"):
        data.tabular(name="boston")
