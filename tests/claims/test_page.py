"""The report: one page that holds every claim and asks for nothing else."""

import base64
import re
from html import escape
from html.parser import HTMLParser

import pytest
from claim_records import draw_figures, finder, part, record, records

from dlnotes.claims import Above, Below, Within
from dlnotes.claims.errata import ERRATA
from dlnotes.claims.report import page as report
from dlnotes.claims.report.interval_bar import interval_bar
from dlnotes.claims.report.wording import (
    Zone,
    deciding_part,
    in_repository,
    rule_text,
    source_text,
    zone_of,
)
from dlnotes.claims.rows import ROWS
from dlnotes.formatting import effect_text

VOID = {"meta", "link", "input", "img", "br", "rect", "line", "circle"}


class Page(HTMLParser):
    """Elements with their attributes, the visible text, and whether every tag was closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    found = records()
    draw_figures(folder, found)
    path = report.write(found, folder / "out" / "report.html", files=finder(folder), rows=ROWS)
    return folder, found, Page(path.read_text(encoding="utf-8"))


def test_the_page_is_well_formed_and_its_ids_are_unique(made):
    _, _, page = made
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        if link["href"].startswith("#") and "=" not in link["href"]:
            assert link["href"][1:] in ids
    assert {attrs["aria-labelledby"] for attrs in page.all("article")} <= set(ids)


def test_every_record_is_there_once(made):
    _, found, page = made
    assert [attrs["id"] for attrs in page.all("article")] == [each["id"] for each in found]
    rows = [attrs for attrs in page.all("tr") if "data-verdict" in attrs]
    assert [row["data-verdict"] for row in rows] == [each["verdict"] for each in found]
    assert [row["data-chapter"] for row in rows] == [
        *(each["id"].split(".")[0] for each in found[:-1]),
        "other",
    ]
    for each in found:
        for one in each["parts"]:
            assert source_text(one["source"]) in page.text
            assert effect_text(one["effect"]) in page.text
            assert f"Holds if {rule_text(one['rule'])}" in page.text
        assert f"dlnotes run {each['config']}" in page.text
        assert each["reading"] in page.text
        assert each["method"] in page.text


def test_counts_and_rest(made):
    _, _, page = made
    assert "7 hold" in page.text
    assert "3 fail" in page.text
    assert "2 open" in page.text
    left = sum(row.kind == "claim" and row.id.startswith("F3") for row in ROWS) - 2
    assert f"{left} of {left + 2} claims not measured" in page.text


def test_nothing_is_fetched(made):
    folder, _, page = made
    for tag, attrs in page.elements:
        for key in ("src", "href", "action", "poster", "data", "srcset"):
            if attrs.get(key):
                assert attrs[key].startswith(("#", "data:")), (tag, key, attrs[key][:60])
        assert tag not in ("iframe", "object", "embed", "base")
    styles = (folder / "out" / "report.html").read_text(encoding="utf-8").split("<body>")[0]
    assert "@import" not in styles
    assert "url(" not in styles


def test_figures_and_numbers_are_inside(made):
    folder, found, page = made
    images = [attrs for attrs in page.all("img") if attrs.get("src")]
    assert len(images) == len(found)
    assert all(attrs["alt"] for attrs in images)
    first = base64.b64decode(images[0]["src"].split(",", 1)[1])
    assert first == (folder / found[0]["figure"]).read_bytes()
    downloads = [attrs for attrs in page.all("a") if "download" in attrs]
    assert [attrs["download"] for attrs in downloads] == [each["numbers"].split("/")[-1] for each in found]
    assert (
        base64.b64decode(downloads[2]["href"].split(",", 1)[1]) == (folder / found[2]["numbers"]).read_bytes()
    )
    assert "<odd> & name" in page.text  # a column's name, as text


def test_everything_is_escaped(tmp_path):
    evil = '<script>alert("1")</script>&\'"'
    hurt = record("F1.4", **dict.fromkeys(("title", "statement", "source", "reading", "commit"), evil))
    hurt["options"] = {evil: evil}
    hurt["parts"] = [part(evil, Below(1.0), 0.5, 0.4, 0.6, statement=evil, what=evil)]
    hurt["parts"][0]["effect"]["method"] = evil
    hurt |= {"config": f"configs/{evil}.toml", "platform": evil, "name": evil}
    text = report.page([hurt, record(evil, verdict="holds")], files=lambda *_: None)
    page = Page(text)
    assert page.open == []
    assert len(page.all("script")) == 1
    assert escape(evil) in text


def test_missing_files_and_numbers_that_are_none(tmp_path):
    odd = [
        part("nothing finite", Above(0.0), None, None, None, verdict="open"),
        part("no upper end", Below(2.0), 1.5, 1.2, None, verdict="open"),
        part("words for a rule", Below(2.0), 1.5, 1.2, 1.7) | {"rule": "all of them agree"},
    ]
    bare = record("F1.5", parts=odd, verdict="open", options={}, versions={}, platform=None)
    bare |= dict.fromkeys(("figure", "numbers", "commit", "reading", "processors"))
    page = Page(report.write([bare], tmp_path / "r.html", files=finder(tmp_path)).read_text(encoding="utf-8"))
    assert "not a number" in page.text
    assert "No figure was kept" in page.text
    lost = Page(report.page([record("F1.4")], files=finder(tmp_path)))  # named, but not there
    assert "No numbers were kept" in lost.text


def test_no_records_at_all():
    page = Page(report.page([], files=lambda *_: None))
    assert page.open == []
    assert page.all("article") == []
    assert "0 hold" in page.text


def test_trainings_are_left_out_and_a_claim_measured_twice_is_shown_twice():
    twice = [record("F1.4"), record("F1.4", name="other"), {"kind": "training", "id": "x"}]
    page = Page(report.page(twice, files=lambda *_: None))
    assert [attrs["id"] for attrs in page.all("article")] == ["F1.4", "F1.4--2"]


def test_a_quick_measurement_is_marked():
    page = Page(report.page([record("F1.4", budget="quick")], files=lambda *_: None))
    assert "1 of 1 verdict is a trial" in page.text
    assert page.text.count("trial: fails") == 2
    assert "--budget quick" in page.text


def test_disagreements_are_on_the_page(made):
    _, _, page = made
    for each in ERRATA:
        assert " ".join(each.printed.split()) in page.text
        assert " ".join(each.correct.split()) in page.text


@pytest.mark.parametrize(
    ("rule", "zone"),
    [
        (Above(2.5), Zone(2.5, float("inf"))),
        (Below(-1e-5), Zone(float("-inf"), -1e-5)),
        (Within(-0.5, 1e6), Zone(-0.5, 1e6)),
    ],
)
def test_zone_is_read_from_the_printed_rule(rule, zone):
    assert zone_of(str(rule)) == zone


@pytest.mark.parametrize("rule", [Above(0.5), Below(0.5), Within(0.25, 0.5)])
@pytest.mark.parametrize("low", [-3.0, 0.3, 40.0])
def test_bar_shows_the_interval_on_its_side_of_the_threshold(rule, low):
    """Its dot lies in the shaded zone exactly when the value is where the rule wants it."""
    value = low + 0.1
    svg = interval_bar({"value": value, "low": low, "high": low + 0.2, "n": 9, "method": ""}, str(rule))
    zone = re.search(r'class="zone" x="([\d.]+)" y="\d+" width="([\d.]+)"', svg)
    dot = re.search(r'class="value" cx="([\d.]+)"', svg)
    assert zone is not None
    assert dot is not None
    left, x = float(zone[1]), float(dot[1])
    inside = left - 0.2 <= x <= left + float(zone[2]) + 0.2
    threshold = zone_of(str(rule))
    assert threshold is not None
    assert inside == (threshold.low <= value <= threshold.high)
    assert 0 <= x <= 320


def test_bar_of_nothing_finite_is_nothing():
    assert interval_bar({"value": None, "low": None, "high": None}, str(Above(0.0))) == ""


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.99961, 0.99912, 0.99987, "0.99961 [0.99912, 0.99987]"),
        (1234.4, 1101.0, 1388.0, "1234 [1101, 1388]"),
        (-0.02, -0.05, 0.01, "−0.020 [−0.050, 0.010]"),
        (2.5e-9, 1e-9, 4e-9, "2.5 × 10⁻⁹ [1 × 10⁻⁹, 4 × 10⁻⁹]"),
        (1e-5, 1e-5, 1e-5, "1 × 10⁻⁵"),
        (1024.0, 1024.0, 1024.0, "1024"),
        (None, None, None, "not a number"),
        (2.0, 1.0, None, "2 [no finite interval]"),
    ],
)
def test_effects_in_words(value, low, high, words):
    assert effect_text({"value": value, "low": low, "high": high}) == words


def test_the_part_that_decides():
    assert deciding_part(record("F1.4"))["name"] == "two units are not enough"
    parts = [part("a", Below(1.0), 0.5, 0.4, 0.6), part("b", Below(1.0), 2.0, 1.9, 2.1, verdict="fails")]
    assert deciding_part(record("F1.4", parts=parts))["name"] == "b"


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("configs/claims/a.toml", "configs/claims/a.toml"),
        ("/x/configs/y/configs/claims/a.toml", "configs/claims/a.toml"),
        (r"C:\me\experiments\feedforward\a.py", "experiments/feedforward/a.py"),
        ("/x/a.toml", "a.toml"),
        (None, ""),
    ],
)
def test_paths_read_from_the_root_of_the_repository(path, short):
    assert in_repository(path) == short
