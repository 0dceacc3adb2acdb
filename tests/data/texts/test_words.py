"""Texts cut into words and characters, and the vocabulary of a training part."""

import unicodedata

import pytest

from dlnotes.data.texts.words import form_of, split_text, split_words, vocabulary


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic: n_jobs=2!", ["Don't", "panic", ":", "n_jobs", "=", "2", "!"]),
        ("l\u2019eau \u2019tis dogs\u2019", ["l\u2019eau", "\u2019", "tis", "dogs", "\u2019"]),
        ("\u00bfQu\u00e9 tal?", ["\u00bf", "Qu\u00e9", "tal", "?"]),
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा", "।"]),  # its vowel signs are marks, not letters
        ("a\u00a0b\u2003c\n\td", ["a", "b", "c", "d"]),
        ("🙂🙂 ok", ["🙂", "🙂", "ok"]),
        ("  ", []),
        ("'quoted' it's", ["'", "quoted", "'", "it's"]),
    ],
)
def test_words_and_signs(text, words):
    assert split_words(text) == words
    assert split_text(text, "words", lower=False) == words


def test_both_forms_of_an_accent_are_one_word():
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != apart
    assert split_text(composed, "words", lower=True) == split_text(apart, "words", lower=True)


def test_characters_keep_one_space():
    assert split_text(" A\n b ", "characters", lower=True) == ["a", " ", "b"]


def test_vocabulary_keeps_the_most_frequent():
    texts = [["b", "a", "B"], ["a", "a", "<unk>", "<pad>", "c"]]
    known = vocabulary(texts, min_count=2, most=10, lower=True)
    assert known.symbols == ("<pad>", "<unk>", "a", "b")
    assert known.numbers(["a", "B", "c", "<pad>", "<unk>"]) == [2, 3, 1, 1, 1]
    assert vocabulary(texts, min_count=1, most=1, lower=False).symbols == ("<pad>", "<unk>", "a")


def test_unknown_words_by_form():
    rare = [f"Name{chr(97 + i)}ing" for i in range(9)] + [f"{i}.5" for i in range(9)]
    known = vocabulary([["the"] * 3 + rare], min_count=2, most=10, lower=False, forms=True)
    assert known.symbols[: known.first] == (
        "<pad>",
        "<unk>",
        "<unk:0.0>",
        "<unk:Aa-ing>",
        "<unk:Aa-ng>",
        "<unk:Aa>",
    )
    named = [
        known.symbols[known.number(word)]
        for word in ("the", "Sing", "Kong", "Bo", "7.25", "lower", "<unk:Aa>")
    ]
    assert named == ["the", "<unk:Aa-ng>", "<unk:Aa-ng>", "<unk:Aa>", "<unk:0.0>", "<unk>", "<unk>"]


def test_forms():
    assert [form_of(w) for w in ("GridSearchCV", "x", "A-1", "ß", "猫")] == ["AaAaA", "a", "A-0", "a", "a"]
