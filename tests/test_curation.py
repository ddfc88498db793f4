"""Near-duplicates, splits that keep them together, and the training set with its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import TEXT, page
from test_merging import SAME, work

from annotator.curation import DatasetRules, check_codebooks, placed, training_set
from annotator.dataset import check, leakage, split_by_outlet
from annotator.duplicates import near_duplicates
from annotator.errors import InputError
from annotator.merging import SegmentWeights


def words(start, count):
    return " ".join(f"mot{i}" for i in range(start, start + count))


def story(name, outlet, text, **fields):
    return page(name, outlet=outlet, text=text, **fields)


WIRE = words(0, 80)


def test_near_duplicates_are_found_whatever_their_length_and_nothing_else():
    pages = [
        story("a", "A", WIRE),
        story("b", "B", words(9000, 600) + " " + WIRE.upper()),
        story("c", "C", words(0, 15) + " " + words(500, 65)),
        story("d", "D", "trop court"),
        story("e", "E", "trop court"),
    ]
    found = near_duplicates(pages)
    assert [(pair.first, pair.second) for pair in found] == [("a", "b")]
    assert found[0].share == 1.0
    assert near_duplicates(reversed(pages)) == found


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(10, 120)), min_size=2, max_size=8))
def test_the_proposed_pairs_are_those_of_the_exact_comparison(drawn):
    pages = [story(f"p{n}", f"J{n}", words(at, size)) for n, (at, size) in enumerate(drawn)]
    exact = set()
    for n, one in enumerate(pages):
        for other in pages[n + 1 :]:
            if any("duplicate" in line or "same text" in line for line in leakage([one], [other])):
                exact.add((one.article.article_id, other.article.article_id))
    assert {(pair.first, pair.second) for pair in near_duplicates(pages)} == exact


def test_outlets_that_share_wire_copy_stay_on_one_side_of_every_split():
    pages = [story(f"p{n}", f"Journal {n}", words(1000 * n + 1000, 60)) for n in range(9)]
    pages += [story("x", "Journal 1", WIRE), story("y", "Journal 7", words(5, 70)), story("z", "Journal 3", WIRE)]
    for seed in range(8):
        parts = split_by_outlet(pages, folds=3, seed=seed)
        homes = {item.article.article_id: n for n, part in enumerate(parts) for item in part}
        assert len(homes) == len(pages)
        assert len({homes[name] for name in ("x", "y", "z", "p1", "p7", "p3")}) == 1
        rest, held = split_by_outlet(pages, share=0.4, seed=seed)
        assert leakage(rest, held) == []


def test_a_new_page_follows_its_outlet():
    frozen = [page("g", outlet="La Vigie", split="gate"), page("t", outlet="Le Relais")]
    new = [
        page("n1", outlet="LA VIGIE (Ambres)", split=None),
        page("n2", outlet="Le Coin", split=None),
        page("n3", outlet=None, split=None),
        page("n4", outlet="Le Fanal", split="gate"),
        page("n5", outlet="Le Fanal", split=None),
    ]
    assert [item.split for item in placed(new, frozen)] == ["gate", "train", "train", "gate", "gate"]


def test_gate_pages_their_outlets_and_their_copies_do_not_train():
    pages = [
        story("own", "Le Relais", words(1000, 60), split="train"),
        story("copy", "Le Coin", words(3, 70), split="train"),
        story("same-house", "La Vigie", words(2000, 60), split="train"),
        story("new", "Le Fanal", words(4000, 60), split=None),
        story("mine", "Le Cap", words(5000, 60), split="gate"),
    ]
    gate = [story("wire", "La Vigie", WIRE, split="gate")]
    found = training_set(pages, gate=gate)
    assert [item.article.article_id for item in found.pages] == ["new", "own"]
    assert found.left_out == {
        "near-duplicate of a gate page": ("copy",),
        "of an outlet that stands in the gate": ("same-house",),
        "on the side gate": ("mine",),
    }
    assert leakage(found.pages, [*gate, pages[-1]]) == []
    assert check([*found.pages, *gate], where="set") == []
    again = training_set(list(reversed(pages)), gate=gate)
    assert again == found
    with pytest.raises(InputError, match="of 1 pages none is left"):
        training_set([pages[-1]], gate=gate)


def test_the_set_is_weighted_counted_and_knows_where_it_comes_from():
    annotation = work("a", SAME, origin=("kept", "changed", "kept"), discuss=[[69, 106]])
    reviewed = page("r", annotations=(annotation, work("b", SAME, number=2, skipped=True) | {"segments": []}))
    other = story("o", "Le Coin", words(0, 30))
    found = training_set([reviewed, other], rules=DatasetRules(weights=SegmentWeights(kept=0.3)))
    assert [seg.weight for seg in found.pages[1].segments] == [0.3, 1.0, 0.0]
    assert found.origins == {"written": 1, "drawn": 0, "changed": 1, "kept": 1, "undecided": 1, "decided": 0}
    assert [(item["article_id"], item["annotation_id"]) for item in found.lineage] == [("o", None), ("r", 1)]
    record = found.to_dict()
    assert (record["pages"], record["segments"], record["codebooks"]) == (2, 4, [1])
    assert TEXT not in str(record)


def test_codebooks_are_not_mixed_unless_allowed():
    old = page("old", annotations=(work("a", SAME, codebook=1),))
    new = replace(page("new", outlet="Le Coin"), codebook=2)
    with pytest.raises(InputError, match="1 pages of codebook 1, 1 pages of codebook 2"):
        training_set([old, new])
    assert training_set([old, new], rules=DatasetRules(allow=True)).codebooks == (1, 2)
    assert check_codebooks([old]) == (1,)
