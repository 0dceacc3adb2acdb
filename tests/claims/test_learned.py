"""Parts whose networks have not learned are open, whatever their effect; and whose parts decide a row."""

import numpy as np
import pytest

from dlnotes.claims import (
    Above,
    Claim,
    Interval,
    Level,
    Machine,
    Options,
    Part,
    Plateau,
    book,
    exact,
    notes,
    ours,
    paper,
)
from dlnotes.claims.measure import judged
from dlnotes.claims.report.wording import learned_text
from dlnotes.claims.sources import deciding


def verdicts(*parts: Part) -> list[dict]:
    claim = Claim("x", "It is so.", "a friend", Options, lambda o: {}, lambda o, m: None, parts)
    return judged(claim, {}, Options())


def part(value: float, width: float, learned, name: str = "gap", source=None) -> Part:
    effect = Interval(value, value - width / 2, value + width / 2, 10, "")
    source = source or notes("a section", "It is so.")
    return Part(name, "It is so.", "gap, points", lambda m: effect, Above(0), source, learned)


@pytest.mark.parametrize(
    ("half", "verdict", "why"),
    [
        (4.1, "holds", ""),
        (5.9, "holds", ""),
        (6.1, "open", "not trained far enough"),
        (3.9, "open", "not trained far enough"),
        (np.nan, "open", "not trained far enough"),
    ],
)
def test_a_plateau_is_a_change_within_the_intervals_width(half, verdict, why):
    (found,) = verdicts(part(5.0, 1.0, Plateau(lambda m: exact(half))))
    assert (found["verdict"], found["why"]) == (verdict, why)
    assert found["learned"]["holds"] == (verdict == "holds")
    assert "doubled" in found["learned"]["what"]


def test_a_failing_part_of_networks_that_have_not_learned_is_open():
    assert verdicts(part(-5.0, 1.0, None))[0]["verdict"] == "fails"
    (found,) = verdicts(part(-5.0, 1.0, Plateau(lambda m: exact(-9.0))))
    assert (found["verdict"], found["why"]) == ("open", "not trained far enough")


def test_an_effect_without_spread_may_not_move_at_all():
    assert verdicts(part(1.0, 0.0, Plateau(lambda m: exact(1.0))))[0]["verdict"] == "holds"
    assert verdicts(part(1.0, 0.0, Plateau(lambda m: exact(1.1))))[0]["verdict"] == "open"


def test_a_known_level_is_evidence():
    for reached, verdict in ((99.0, "holds"), (93.0, "open")):
        level = Level("test accuracy, %", lambda m, reached=reached: exact(reached), Above(97))
        (found,) = verdicts(part(5.0, 1.0, level))
        assert found["verdict"] == verdict
        assert found["learned"]["effect"]["value"] == reached
        assert found["learned"]["rule"] == "the interval lies above 97"


def test_a_machine_that_lacks_what_a_part_is_about_decides_nothing():
    for has, verdict, why, told in (
        (1, "holds", "", "The machine can tell: an instruction, is 1"),
        (0, "open", "this machine lacks what it is about", "The machine cannot tell: an instruction, is 0"),
    ):
        machine = Machine("an instruction", lambda m, has=has: exact(has), Above(0.5))
        (found,) = verdicts(part(5.0, 1.0, machine))
        assert (found["verdict"], found["why"]) == (verdict, why)
        assert learned_text(found["learned"]).startswith(told)


def test_why_a_part_is_open():
    assert verdicts(part(0.1, 1.0, None))[0]["why"] == "the interval crosses the threshold"
    assert verdicts(part(np.nan, 1.0, None))[0]["why"] == "the effect is not a number"
    assert verdicts(part(5.0, 1.0, None))[0]["why"] == ""


def test_the_first_speaker_decides():
    sources = [notes("s", "a"), book("6.1", "b"), paper("Someone 2010", "c"), ours("d")]
    for i, who in enumerate(("notes", "book", "paper", "ours")):
        assert deciding(sources[i:][::-1]) == who
    with pytest.raises(ValueError, match="got none"):
        deciding([])
    found = verdicts(
        part(5.0, 1.0, None, "ours", sources[3]),
        part(5.0, 1.0, None, "a paper's", sources[2]),
        part(5.0, 1.0, None, "also a paper's", sources[2]),
    )
    assert [p["decides"] for p in found] == [False, True, True]
    assert found[1]["source"] == {"who": "paper", "where": "Someone 2010", "says": "c"}
