"""What a page holds is data wherever it stands in the file; and the words and colours of the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from scored_articles import TEXT, article

from annotator.marks import LABEL_MARKS
from annotator.profile import SIGNALS, profile_article
from annotator.report.data import article_data, clean, json_text, summary
from annotator.report.figures import MOST_DOTS, Estimate, Spread, Style, interval_strips, nice_top, spread_strips
from annotator.report.page import PALETTE, tint
from annotator.report.words import LANGS, signal_about, signal_names, words

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["</script>", "<!--<script>", "]]>", "&lt;", "\u2028\u2029", "\ud800", "\x00\x1b", "\ufeff", "${1}{{1}}{% x %}"]
)


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), lambda s: st.lists(s) | st.dictionaries(ANY_TEXT, s)))
def test_data_hold_no_markup_and_come_back_as_they_were(value):
    text = json_text(value)
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff]", text)
    text.encode("utf-8")

    def shown(item):
        if isinstance(item, str):
            return re.sub("[\ud800-\udfff]", "\ufffd", item)
        if isinstance(item, dict):
            return {shown(k): shown(v) for k, v in item.items()}
        return [shown(v) for v in item] if isinstance(item, list) else item

    # A pair of lone surrogates that Python keeps apart is one character to JSON; no decoder makes such strings.
    assert json.loads(text) == shown(value)


@given(ANY_TEXT)
def test_cleaned_text_has_its_length_and_can_stand_in_xml(text):
    found = clean(text)
    assert len(found) == len(text)
    element = etree.Element("a")
    element.text = found
    assert etree.fromstring(etree.tostring(element)).text == (found or None)


def test_a_plot_is_a_strip_a_row_with_nothing_the_policy_forbids_and_no_word():
    style = Style(key="k-1", colour="#009E73")
    points = [
        [Estimate(value=0.5, low=0.4, high=0.6, few=False), Estimate(value=0.1, low=None, high=None, few=True)],
        [Estimate(value=None, low=None, high=None, few=True), Estimate(value=1.0, low=0.9, high=1.0, few=False)],
    ]
    spreads = [Spread(values=(0.1, 0.2, 0.9), few=(True, False, False)), Spread(values=(), few=())]
    for strips in (interval_strips(points, style), spread_strips(spreads, style)):
        assert len(strips) == 2
        roots = [etree.fromstring(strip) for strip in strips]
        elements = [element for root in roots for element in root.iter()]
        assert {etree.QName(e).localname for e in elements} == {"svg", "path", "use", "defs"}
        assert not "".join(e.text or "" for e in elements).strip()
        assert not any(name == "style" or name.startswith("on") for e in elements for name in e.attrib)
        ids = [e.get("id") for e in elements if "id" in e.attrib]
        assert len(ids) == len(set(ids))
        assert {e.get("href") for e in elements if "href" in e.attrib} <= {f"#{name}" for name in ids}
        assert all(name.startswith("k-1-") for name in ids)
    first, second = (etree.fromstring(strip) for strip in interval_strips(points, style))
    assert [len(list(root.iter("{*}use"))) for root in (first, second)] == [2, 1]
    assert "#6b6b6b" in etree.tostring(first).decode()
    assert "#6b6b6b" not in etree.tostring(second).decode()


def test_a_plot_of_very_many_articles_shows_quartiles_alone():
    values = tuple(n % 97 / 97 for n in range(MOST_DOTS + 1))
    (strip,) = spread_strips([Spread(values=values, few=(False,) * len(values))], Style(key="k", colour="#009E73"))
    assert len(strip) < 2000


def test_an_article_s_data_give_back_all_that_is_shown():
    scored = replace(article(), profile=profile_article(article(), None).to_dict())
    data = json.loads(json_text(article_data(scored)))
    full = scored.to_dict()
    assert data["text"] == TEXT
    for short, long in zip(data["segments"], full["segments"], strict=True):
        assert short["probabilities"] == list(long["probabilities"].values())
        for name in ("start", "end", "label", "confidence"):
            assert short[name] == long[name]
        assert bool(short.get("needs_review")) == long["needs_review"]
        assert bool(short.get("unverified")) == bool(long["unverified"])
        marks = {k: v for k, v in (long["attribution"] or {}).items() if v is not None}
        for value in marks.values():
            if isinstance(value, dict):
                del value["text"]
        assert short.get("attribution", {}) == marks
    assert len(json_text(data)) < 0.6 * len(json.dumps(full))


def test_a_summary_counts_what_the_filters_ask_for():
    assert summary(article())["counts"] == [[3, 1, 1, 1], [3, 1, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0]]


def test_both_languages_say_the_same_things():
    one, other = (words(lang) for lang in LANGS)
    assert one.keys() == other.keys()
    for name in one:
        assert set(re.findall(r"\{\w+\}", one[name])) == set(re.findall(r"\{\w+\}", other[name])), name
    for lang in LANGS:
        assert set(signal_names(lang)) == set(signal_about(lang)) == set(SIGNALS)
        assert all(phrase.strip() for phrase in words(lang).values())
    # French puts no-break spaces there.
    assert not re.search(r" [:;?!%»]|« ", "".join(v for k, v in words("fr").items() if k != "example_text"))


def luminance(colour):
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """The ratio of WCAG 2.2, from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_pair_of_text_and_ground_is_legible():
    grounds = [PALETTE["paper"], PALETTE["tint"], *(tint(mark.colour) for mark in LABEL_MARKS.values())]
    pairs = [
        *product((PALETTE["ink"],), grounds),
        *product((PALETTE["soft"], PALETTE["link"]), grounds[:2]),
        *((PALETTE["badge-ink"], mark.colour) for mark in LABEL_MARKS.values()),
        (PALETTE["grey"], PALETTE["paper"]),
    ]
    assert min(contrast(*pair) for pair in pairs) >= 4.5
    assert min(contrast(PALETTE["focus"], ground) for ground in grounds) >= 3
    assert contrast(PALETTE["edge"], PALETTE["paper"]) >= 3


def test_axes_end_at_round_numbers_that_hold_everything():
    assert [nice_top([v], share=True) for v in (0.1, 0.26, 0.7)] == [0.2, 0.5, 1.0]
    assert [nice_top([v], share=False) for v in (0.4, 7, 11, 100, 4321)] == [1.0, 10.0, 20.0, 100.0, 5000.0]
