"""Texts of claims: what they name must exist, and numbers come from the record."""

from types import SimpleNamespace

import pytest

from dlnotes.claims import Above, Claim, Options, Part, exact, texts


def claim(**changes) -> Claim:
    """A claim with one part."""
    part = Part("gap", "It is larger.", "gap, points", lambda m: exact(1.0), Above(0))
    return Claim(
        **(
            {
                "id": "x",
                "statement": "It is larger.",
                "source": "a friend",
                "options": Options,
                "measure": lambda options: {},
                "draw": lambda options, measured: None,
                "parts": (part,),
            }
            | changes
        )
    )


def test_fields_are_filled_from_options_effects_and_facts():
    text = "{options.seeds:,} seeds; the gap is {parts[a gap, points]}; rate {facts[rate]}, {facts[name]}."
    texts.check(text, "method", options=["seeds"], parts=["a gap, points"])
    filled = texts.fill(
        text,
        options=SimpleNamespace(seeds=1000),
        parts={"a gap, points": "0.61 [0.59, 0.62]"},
        facts={"rate": 0.0300001, "name": "Adam"},
    )
    assert filled == "1,000 seeds; the gap is 0.61 [0.59, 0.62]; rate 0.03, Adam."


@pytest.mark.parametrize(
    "text", ["{options.steps}", "{parts[gape]}", "{gap}", "{options}", "{0}", "{facts}", "{parts.gap}"]
)
def test_a_text_that_names_what_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match=r"method: got the field .*gap"):
        claim(method=text)
    claim(method="{options.seeds} {parts[gap]} {facts[anything]} {{braces}}")


def test_a_part_may_name_options():
    part = Part("gap", "After {options.steps} steps.", "gap", lambda m: exact(1.0), Above(0))
    with pytest.raises(ValueError, match="gap: statement: got the field {options.steps}"):
        claim(parts=(part,))


def test_a_fact_that_the_claim_does_not_give_is_an_error():
    with pytest.raises(ValueError, match="got \\['rate'\\], a text needs 'gap'"):
        texts.fill("{facts[gap]}", options=None, parts={}, facts={"rate": 1})
