"""Labelled pages: problems, splits, leakage, digest, counts."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import ANNOTATION, lines, page, with_segment

from annotator.dataset import (
    LabelledSegment,
    check,
    check_paths,
    digest,
    leakage,
    outlet_families,
    read_pages,
    split_by_outlet,
    stats,
    write_pages,
)
from annotator.errors import InputError
from annotator.records import Attribution, Label, SourceType, Span

# --- problems


def test_a_sound_page_has_no_problem():
    assert check([page(annotations=(ANNOTATION,))], where="here") == []


def test_a_carried_source_is_an_attribution():
    assert check([with_segment(page(), 0, attribution=Attribution(source_segment=2))], where="here") == []


PLANTED = {
    "uncovered": (replace(page(), segments=page().segments[1:]), r"characters \[0, 22\) are not white space"),
    "overlap": (with_segment(page(), 1, span=Span(19, 68)), r"\[19, 68\) overlaps"),
    "past the end": (with_segment(page(), 2, span=Span(69, 200)), r"\[69, 200\) ends past the text"),
    "blank segment": (
        replace(page(), segments=(*page().segments[:1], replace(page().segments[0], span=Span(20, 22)))),
        "nothing but white space",
    ),
    "source outside": (
        with_segment(page(), 1, attribution=Attribution(source=Span(0, 7), source_type=SourceType.PERSON)),
        r"segment 1 .*source \[0, 7\) lies outside",
    ),
    "cue past the text": (
        with_segment(page(), 2, attribution=Attribution(cue=Span(300, 310))),
        "cue .* ends past the text",
    ),
    "framing with a source": (with_segment(page(), 1, label=Label.EDITORIAL_FRAMING), "takes no attribution"),
    "furniture with a source": (with_segment(page(), 2, label=Label.BOILERPLATE), "takes no attribution"),
    "type alone": (
        with_segment(page(), 0, attribution=Attribution(source_type=SourceType.MEDIA)),
        "source_type without source or cue",
    ),
    "empty attribution": (with_segment(page(), 0, attribution=Attribution()), "no mark at all"),
    "source carried from nowhere": (
        with_segment(page(), 0, attribution=Attribution(source_segment=9)),
        "source_segment 9: name another segment",
    ),
    "source carried from itself": (
        with_segment(page(), 0, attribution=Attribution(source_segment=0)),
        "source_segment 0: name another segment",
    ),
    "source carried beside its own": (
        with_segment(page(), 1, attribution=Attribution(source=Span(28, 43), source_segment=2)),
        "beside a source of its own",
    ),
    "antecedent of nothing": (
        with_segment(page(), 1, attribution=Attribution(cue=Span(22, 27), antecedent=Span(0, 7))),
        "antecedent without a source",
    ),
    "unknown label": (with_segment(page(), 0, label="claim"), "unknown label"),
    "unverified framing": (
        with_segment(page(), 0, label=Label.EDITORIAL_FRAMING, unverified=True),
        "unverified is for reported_claim and attributed_quote only",
    ),
    "same second label": (with_segment(page(), 0, also=Label.REPORTED_CLAIM), "second reader"),
    "codebook": (page(codebook=9), "codebook 9"),
    "split": (page(split="test"), "split 'test'"),
    "no outlet": (page(outlet=None), "no outlet"),
    "e-mail": (page(annotations=(ANNOTATION | {"annotator": "merle@ambres.example"},)), "give a pseudonym"),
    "offsets of an annotation": (
        page(annotations=(ANNOTATION | {"segments": [{"start": 0, "end": 10**6, "label": "boilerplate"}]},)),
        r"annotation 0: segments: segment \[0, 1000000\) ends past the text",
    ),
    "origin": (page(annotations=(ANNOTATION | {"segments": [{"origin": "guessed"}]},)), "origin 'guessed'"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_check_finds_each_planted_problem_and_names_the_page(name):
    planted, message = PLANTED[name]
    found = check([page("sound"), replace(planted, article=replace(planted.article, article_id="sick"))], where="here")
    assert found
    assert all(line.startswith("here: page 'sick': ") and "\n" not in line for line in found)
    assert any(re.search(message, line) for line in found)


def test_check_finds_problems_between_pages():
    pages = [page("a", outlet="Le Phare d’Ambres"), page("b", outlet="LE PHARE D'AMBRES (Ambres)", split="gate")]
    found = check([*pages, pages[0]], where="here")
    assert any("article_id 'a' stands for 2 pages" in line for line in found)
    assert any("outlet on both sides" in line for line in found)
    assert any("same text: 'a' in train, 'b' in gate" in line for line in found)


def test_check_holds_the_split_frozen():
    before = [page("a", split="gate"), page("b", split="gate"), page("c", split="gate"), page("d", split="train")]
    after = [page("a", split="train"), page("c", split="gate", text="Un autre texte."), page("d", split=None)]
    found = [line for line in check(after, where="here", before=before) if "leak" not in line]
    assert [line.split(": ", 2)[1:] for line in found if "frozen" in line] == [
        ["page 'a'", "was on the side 'gate', now 'train': the split is frozen, restore it"],
        ["page 'b'", "a gate page is gone: the gate is frozen, restore it"],
        ["page 'c'", "the text of a gate page changed: the gate is frozen, restore it"],
        ["page 'd'", "was on the side 'train', now None: the split is frozen, restore it"],
    ]


def test_check_paths_lists_unreadable_lines_and_problems_together(tmp_path):
    sick = with_segment(page("sick"), 1, label=Label.BOILERPLATE).to_dict()
    broken = page("x").to_dict()
    broken["segments"][0]["label"] = "claim"
    path = lines(tmp_path / "a.jsonl", sick, broken, page("ok").to_dict())
    found = check_paths(path)
    assert [line.split(": ")[0] for line in found] == [f"{path}:2", str(path)]
    assert "unknown label 'claim'" in found[0]
    assert "page 'sick'" in found[1]


# --- splits and leakage

OUTLETS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=1, max_size=60)


def pages_of(drawn):
    part = LabelledSegment(span=Span(0, 1), label=Label.REPORTED_CLAIM)
    return [
        page(f"p{i}", text="x", outlet=f"Journal {outlet}", segments=(part,) * size)
        for i, (outlet, size) in enumerate(drawn)
    ]


@given(OUTLETS, st.integers(2, 5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_folds_hold_whole_outlets_cover_all_pages_are_balanced_and_ignore_order(drawn, folds, seed, shuffler):
    pages = pages_of(drawn)
    sizes = Counter()
    for item in pages:
        sizes[item.article.outlet] += max(1, len(item.segments))
    if len(sizes) < folds:
        with pytest.raises(InputError, match="outlets"):
            split_by_outlet(pages, folds=folds, seed=seed)
        return
    parts = split_by_outlet(pages, folds=folds, seed=seed)
    ids = [item.article.article_id for part in parts for item in part]
    assert sorted(ids) == sorted(item.article.article_id for item in pages)
    outlets = [{item.article.outlet for item in part} for part in parts]
    assert sum(map(len, outlets)) == len(set.union(*outlets))
    loads = [sum(sizes[name] for name in part) for part in outlets]
    assert min(loads) > 0
    assert max(loads) - min(loads) <= max(sizes.values())
    shuffled = list(pages)
    shuffler.shuffle(shuffled)
    again = split_by_outlet(shuffled, folds=folds, seed=seed)
    assert [{item.article.outlet for item in part} for part in again] == outlets


@given(OUTLETS, st.floats(0.05, 0.95), st.integers(0, 3))
def test_a_held_out_share_is_whole_outlets_and_not_above_the_share(drawn, share, seed):
    pages = pages_of(drawn)
    sizes = Counter()
    for item in pages:
        sizes[item.article.outlet] += max(1, len(item.segments))
    if len(sizes) < 2:
        return
    rest, held = split_by_outlet(pages, share=share, seed=seed)
    assert rest
    assert held
    inside = {item.article.outlet for item in held}
    assert not inside & {item.article.outlet for item in rest}
    load = sum(sizes[name] for name in inside)
    assert load <= share * sizes.total() or load == min(sizes.values())


def test_another_seed_gives_other_folds():
    pages = pages_of([(i, 3) for i in range(12)])
    found = {str(split_by_outlet(pages, folds=3, seed=seed)) for seed in range(5)}
    assert len(found) > 1


@pytest.mark.parametrize("given_", [{}, {"folds": 2, "share": 0.5}, {"folds": 1}, {"share": 0}, {"share": 1.0}])
def test_a_split_that_makes_no_sense_is_refused(given_):
    with pytest.raises(InputError, match="split_by_outlet"):
        split_by_outlet(pages_of([(1, 1), (2, 1), (3, 1)]), seed=0, **given_)


def test_names_of_one_house_are_one_family():
    names = [
        "L'Écho du Cœur",
        "L’ECHO DU COEUR",
        "L'Echo du coeur (Belgique)",
        "Les Cahiers (L'Écho du Cœur)",
    ]
    families = outlet_families(
        [*names, "L'Écho du Corps (Belgique)", "Belvédère [Belgique]", "20 Minutes", "20minutes", None]
    )
    house = {families[name] for name in names}
    assert len(house) == 1
    others = {families[name] for name in ("L'Écho du Corps (Belgique)", "Belvédère [Belgique]", None)}
    assert len(others | house) == 4
    assert families["20 Minutes"] == families["20minutes"]


@given(st.lists(st.text(st.sampled_from("AbÉ ()[]'"), max_size=9)))
def test_any_names_have_families(names):
    families = outlet_families(names)
    assert set(families) == {*names, None}


def words(start, count):
    return " ".join(f"mot{i}" for i in range(start, start + count))


def test_leakage_finds_outlets_twins_and_near_duplicates_and_nothing_else():
    train = [
        page("t1", outlet="La Vigie", text=words(0, 60)),
        page("t2", outlet="Le Relais", text=words(1000, 60)),
        page("t3", outlet="Le Relais", text=words(2000, 30) + " " + words(5000, 30)),
        page("t4", outlet="Le Coin", text=words(3000, 200)),
    ]
    gate = [
        page("g1", outlet="la vigie (Ambres)", text=words(9000, 60)),
        page("g2", outlet="Le Fanal", text=words(1000, 30) + "\n\n" + words(1030, 30)),
        page("g3", outlet="Le Fanal", text=words(2000, 30).upper() + " " + words(6000, 30)),
        page("g4", outlet="Le Fanal", text=words(3000, 12) + " " + words(7000, 60)),
    ]
    found = leakage(train, gate)
    assert [line.split(":")[0] for line in found] == ["outlet on both sides", "same text", "near-duplicate"]
    assert "'La Vigie'" in found[0]
    assert "'t2' in train, 'g2' in gate" in found[1]
    assert "'t3' in train, 'g3' in gate share 43%" in found[2]  # 23 of 53 8-grams
    assert leakage(train, []) == leakage([], gate) == []


# --- digest and counts


@given(st.permutations(["a", "b", "c"]))
def test_the_digest_ignores_the_order_of_pages(order):
    pages = {key: page(key) for key in "abc"}
    assert digest([pages[key] for key in order]) == digest(pages.values())


def test_the_digest_ignores_layout_split_and_annotations_but_not_what_is_labelled(tmp_path):
    base = page()
    same = [page(split="gate", genre=None, annotations=(ANNOTATION,)), with_segment(base, 0, also=Label.BOILERPLATE)]
    write_pages([base], tmp_path / "a.jsonl.gz")
    bare = {"doc_id": "p1"} | {key: base.to_dict()[key] for key in ("text", "segments")}
    same += read_pages(tmp_path / "a.jsonl.gz") + read_pages(lines(tmp_path / "b.jsonl", bare))
    assert {digest([item]) for item in same} == {digest([base])}
    mark = base.segments[2].attribution
    other = [
        page("p9"),
        page(text="Autre."),
        with_segment(base, 0, label=Label.EDITORIAL_FRAMING),
        with_segment(base, 0, span=Span(0, 19)),
        with_segment(base, 0, unverified=False),
        with_segment(base, 2, attribution=None),
        with_segment(base, 2, attribution=replace(mark, source_type=SourceType.ANONYMOUS)),
        with_segment(base, 2, attribution=replace(mark, cue=None)),
    ]
    assert len({digest([item]) for item in [base, *other]}) == len(other) + 1


def test_stats_count_by_split_and_genre():
    pages = [
        page("a"),
        page("b", outlet="Le Phare d’Ambres (édition du soir)", genre="live"),
        page("c", outlet="La Vigie", split="gate", genre=None),
    ]
    found = stats([with_segment(pages[0], 0, label=Label.BOILERPLATE), *pages[1:]])
    rows = {(row.kind, row.name): row for row in found.rows}
    assert list(rows) == [
        ("all", "all"),
        ("split", "train"),
        ("split", "gate"),
        ("genre", "-"),
        ("genre", "daily"),
        ("genre", "live"),
    ]
    everything = rows["all", "all"]
    assert (everything.pages, everything.outlets, everything.segments) == (3, 2, 9)
    assert everything.labels == {
        Label.REPORTED_CLAIM: 5,
        Label.ATTRIBUTED_QUOTE: 3,
        Label.EDITORIAL_FRAMING: 0,
        Label.BOILERPLATE: 1,
    }
    assert (everything.sources, everything.cues, everything.source_types[SourceType.PERSON]) == (6, 6, 3)
    assert (everything.length["min"], everything.length["median"], everything.length["max"]) == (20, 37, 46)
    assert rows["split", "train"].outlets == 1
    table = found.table()
    assert {len(cells) for cells in table} == {len(table[0])}
    assert table[1][:4] == ["all", "3", "2", "9"]
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["labels"]["boilerplate"] == 1
    assert stats([]).rows[0].segments == 0


@pytest.mark.shared
def test_the_shared_real_pages_are_sound(shared_data):
    pages = {name: read_pages(shared_data / "real" / f"{name}.jsonl") for name in ("train", "gate")}
    assert {name: len(found) for name, found in pages.items()} == {"train": 262, "gate": 51}
    for name, found in pages.items():
        assert check(found, where=name) == []
    assert sum(seg.also is not None for item in pages["gate"] for seg in item.segments) == 19
