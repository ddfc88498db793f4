"""Labelled pages: reading and writing."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import ANNOTATION, TEXT, lines, page, with_segment

from annotator.dataset import read_pages, write_pages
from annotator.errors import InputError, RecordError
from annotator.records import Attribution, Label, Span


def test_the_fixture_page_marks_what_it_means_to():
    marks = [seg.attribution for seg in page().segments if seg.attribution]
    assert [(a.source.of(TEXT), a.cue.of(TEXT)) for a in marks] == [
        ("la capitainerie", "Selon"),
        ("Ondine Karvel", "a soufflé"),
    ]


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.jsonl.gz"])
def test_a_page_survives_writing_and_reading_whole(tmp_path, name):
    full = page(annotations=(ANNOTATION,), features="quai | chiffres")
    full = with_segment(full, 1, unverified=False, also=Label.EDITORIAL_FRAMING)
    bare = page("p2", outlet=None, split=None, genre=None, topic=None)
    write_pages([full, bare], tmp_path / name)
    first = (tmp_path / name).read_bytes()
    again = read_pages(tmp_path / name)
    assert [replace(item, annotations=()) for item in again] == [replace(full, annotations=()), bare]
    kept = again[0].annotations[0]
    assert {key: kept[key] for key in ANNOTATION if key != "segments"} == {
        key: ANNOTATION[key] for key in ANNOTATION if key != "segments"
    }
    assert ANNOTATION["segments"][0].items() <= kept["segments"][0].items()
    write_pages(again, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_every_page_and_segment_has_the_same_keys():
    rich, bare = page(annotations=(ANNOTATION,)).to_dict(), page(outlet=None, genre=None).to_dict()
    assert list(rich) == list(bare)
    assert len({tuple(seg) for seg in rich["segments"] + bare["segments"]}) == 1
    assert "text" not in rich["segments"][0]
    assert rich["segments"][1]["attribution"]["source"] == {"start": 28, "end": 43, "text": "la capitainerie"}


@given(st.text(st.characters(), min_size=1))
def test_any_text_survives_even_lone_surrogates_and_line_separators(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    pages = [page("a", text=text), page("b", text=text + "\u2028\ud800")]
    write_pages(pages, path)
    assert read_pages(path) == pages


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "pages.jsonl"
    write_pages([page()], path)
    before = path.read_bytes()

    def pages():
        yield page("new")
        raise InputError("the source broke off")

    with pytest.raises(InputError, match="broke off"):
        write_pages(pages(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_no_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_pages([page()], tmp_path / "missing" / "pages.jsonl")


def test_pages_keyed_by_doc_id_with_bare_offsets_are_read(tmp_path):
    record = {
        "doc_id": "d-1",
        "outlet": "La Vigie",
        "genre": "agency",
        "text": TEXT,
        "segments": [
            {"start": 0, "end": 20, "label": "reported_claim", "also": ["editorial_framing"]},
            {"start": 22, "end": 68, "label": "reported_claim", "attribution": {"cue": [22, 27]}},
            {"start": 69, "end": 106, "label": "attributed_quote"},
        ],
    }
    (read,) = read_pages(lines(tmp_path / "real.jsonl", record))
    assert (read.article.article_id, read.article.title, read.split) == ("d-1", None, None)
    assert read.segments[0].also is Label.EDITORIAL_FRAMING
    assert read.segments[1].attribution == Attribution(cue=Span(22, 27))


def test_a_folder_stands_for_its_jsonl_files_by_name(tmp_path):
    for name, key in (("b.jsonl", "2"), ("a.jsonl", "1"), ("c.jsonl.gz", "3")):
        write_pages([page(key)], tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a page")
    assert [item.article.article_id for item in read_pages(tmp_path)] == ["1", "2", "3"]


def record(**changes):
    return page("ok").to_dict() | changes


def segment(**changes):
    return record(segments=[page().to_dict()["segments"][0] | changes])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("{not json", "not JSON"),
        ("[1, 2]", "a page is a JSON object, this is list"),
        (record(article_id=None), "article_id is of type NoneType"),
        ({"text": "Rien."}, "no 'article_id'"),
        ({"article_id": "x", "segments": []}, "lacks the key 'text'"),
        ({"article_id": "x", "text": "Rien."}, "lacks the key 'segments'"),
        (record(text="Autre chose."), "text_sha256 does not match"),
        (record(outlet=3), "outlet is of type int"),
        (record(split="test"), "split 'test'"),
        (record(codebook="1"), "codebook is of type str"),
        (record(segments=7), "not a labelled page"),
        (segment(label="claim"), "segment 0: unknown label 'claim': use one of reported_claim"),
        (segment(also="claim"), "unknown label 'claim'"),
        (segment(also=["boilerplate", "boilerplate"]), "also holds 2 labels"),
        (segment(start=-1), r"span \[-1, 20\)"),
        (segment(start=20), r"span \[20, 20\)"),
        (segment(start="0"), "start is of type str"),
        (segment(end=True), "end is of type bool"),
        (segment(unverified="no"), "unverified 'no'"),
        (segment(attribution={"source_type": "robot"}), "unknown source_type 'robot'"),
        (segment(attribution={"cue": [1.0, 2.0]}), "an offset of cue is of type float"),
        (segment(attribution={"source_segment": "3"}), "source_segment is of type str"),
        (segment(attribution={"cue": {"start": 0, "end": 2, "text": "La"}}), "its 'text' is not what stands there"),
    ],
)
def test_each_broken_line_is_named_with_its_number_in_one_line(tmp_path, broken, message):
    path = tmp_path / "pages.jsonl"
    line = broken if isinstance(broken, str) else json.dumps(broken)
    path.write_text(json.dumps(page("first").to_dict()) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=message) as caught:
        read_pages(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert "\n" not in str(caught.value)


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"article_id": "caf\xe9"}\n')
    with pytest.raises(RecordError, match=r"latin\.jsonl:1: not JSON in UTF-8"):
        read_pages(path)


def test_the_same_id_twice_names_both_places_even_for_one_file_given_twice(tmp_path):
    path = lines(tmp_path / "a.jsonl", page("x").to_dict(), page("y").to_dict())
    other = lines(tmp_path / "b.jsonl", page("z").to_dict(), page("y").to_dict())
    with pytest.raises(RecordError, match=r"b\.jsonl:2: article_id 'y' is already at .*a\.jsonl:2"):
        read_pages(path, other)
    with pytest.raises(RecordError, match=r"a\.jsonl:1: article_id 'x' is already at .*a\.jsonl:1"):
        read_pages(path, path)


def test_paths_that_cannot_be_read_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pages(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match=r"holds no \*\.jsonl"):
        read_pages(tmp_path)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(page().to_dict()).encode())[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_pages(cut)
    (tmp_path / "plain.jsonl.gz").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        read_pages(tmp_path / "plain.jsonl.gz")
