"""Renaming labels in a result keeps what was kept, and the arrows between its regions."""

from __future__ import annotations

from scored_pages import LINKED, linked

from annotator.labelstudio.anchor import read_result
from annotator.labelstudio.convert import prediction
from annotator.labelstudio.relabel import relabelled


def test_what_was_kept_stays_kept_with_its_arrows():
    result = prediction(linked())["result"]
    before = read_result(result, LINKED).segments
    after = read_result(relabelled(result, {"attributed_quote": "reported_claim"}, LINKED), LINKED).segments
    assert {seg.label for seg in after} == {"reported_claim"}
    assert {seg.origin for seg in after} == {"kept"}
    assert [seg.attribution for seg in after] == [seg.attribution for seg in before]
    assert after[2].attribution.source_segment == 1
