"""The page of promises names tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS / "PROMISES.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
OF_NUMBERS = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file, name):
    text = (TESTS.parent / file).read_text(encoding="utf-8")
    assert f"\ndef {name or 'test_'}" in text


def test_the_table_of_numbers_names_tests_that_exist():
    text = (TESTS / "experiment" / "test_numerics.py").read_text(encoding="utf-8")
    assert OF_NUMBERS
    assert [name for name in OF_NUMBERS if f"\ndef {name}(" not in text] == []


def test_every_promise_names_a_test():
    promises = re.split(r"\n- ", PAGE.split("## Numbers")[0])[1:]
    assert len(promises) > 12
    assert [promise for promise in promises if "`tests/" not in promise] == []
