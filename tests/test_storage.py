"""Scored articles out and back: formats, round trips, interrupted and refused writing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.columns import ROW_GROUP
from annotator.errors import InputError, RecordError
from annotator.records import (
    LABELS,
    Article,
    Attribution,
    Label,
    ScoredArticle,
    ScoredSegment,
    SourceType,
    Span,
)
from annotator.storage import CSV_COLUMNS, ScoredWriter, read_scored, write_scored

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "« C’est non »,\r\na dit l’élue, Léa Kervran.\n\nLire aussi =1+1"


def scored(article_id: str = "a-1", *, text: str = TEXT, **changes) -> ScoredArticle:
    segments = (
        ScoredSegment(
            span=Span(0, 42),
            label=Label.ATTRIBUTED_QUOTE,
            confidence=0.9312,
            probabilities=dict(zip(LABELS, (0.05, 0.9312, 0.0188, 0.0), strict=True)),
            needs_review=False,
            role="body",
            unverified=False,
            attribution=Attribution(
                source=Span(30, 41), cue=Span(16, 21), source_type=SourceType.PERSON, antecedent=Span(22, 28)
            ),
        ),
        ScoredSegment(
            span=Span(44, len(TEXT)),
            label=Label.BOILERPLATE,
            confidence=0.5,
            probabilities=dict.fromkeys(LABELS, 0.25),
            needs_review=True,
        ),
    )
    article = Article(article_id=article_id, text=text, outlet="Le Fanal", warnings=("language: looks like 'en'",))
    whole = ScoredArticle(
        article=article, model_version="m1", segments=segments, profile={"quoted": {"share": 0.5, "n": 2}, "é": [None]}
    )
    return replace(whole, **changes)


def many(count: int) -> Iterator[ScoredArticle]:
    return (scored(f"a-{n}") for n in range(count))


# --- round trips -------------------------------------------------------------------------------------------------

PROBABILITY = st.integers(0, 10_000).map(lambda n: round(n / 10_000, 4))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def scored_articles(draw: st.DrawFn, text: st.SearchStrategy[str] = WORDS) -> ScoredArticle:
    pieces = draw(st.lists(st.tuples(st.sampled_from(["", " ", "\r\n\n"]), text.filter(bool)), max_size=4))
    gaps_and_texts = "".join(gap + piece for gap, piece in pieces)
    segments, start = [], 0
    span = st.integers(0, 10).flatmap(lambda a: st.integers(a + 1, 11).map(lambda b: Span(a, b)))
    for gap, piece in pieces:
        start += len(gap)
        attribution = st.builds(
            Attribution,
            source=st.none() | span,
            cue=st.none() | span,
            source_type=st.none() | st.sampled_from(SourceType),
            source_segment=st.none() | st.integers(0, 3),
            antecedent=st.none() | span,
            anonymity_reason=st.none() | span,
        )
        segments.append(
            ScoredSegment(
                span=Span(start, start + len(piece)),
                label=draw(st.sampled_from(LABELS)),
                confidence=draw(PROBABILITY),
                probabilities={label: draw(PROBABILITY) for label in LABELS},
                needs_review=draw(st.booleans()),
                role=draw(st.sampled_from([None, "headline", "body"])),
                unverified=draw(st.none() | st.booleans()),
                attribution=draw(st.none() | attribution),
            )
        )
        start += len(piece)
    optional = st.none() | text
    return ScoredArticle(
        article=Article(
            article_id=draw(text),
            text=gaps_and_texts,
            outlet=draw(optional),
            url=draw(optional),
            title=draw(optional),
            date=draw(optional),
            warnings=tuple(draw(st.lists(text, max_size=2))),
        ),
        model_version="m1",
        segments=tuple(segments),
        profile=draw(st.none() | st.dictionaries(text, PROBABILITY | text | st.none(), max_size=3)),
    )


@settings(max_examples=50, deadline=None)
@given(articles=st.lists(scored_articles(), max_size=3))
def test_every_format_that_is_read_gives_back_what_was_written(articles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    for name in ("o.jsonl", "o.jsonl.gz", "o.parquet"):
        assert write_scored(articles, folder / name) == len(articles)
        assert list(read_scored([folder / name])) == articles


@settings(max_examples=50, deadline=None)
@given(article=scored_articles(st.text(max_size=8) | st.just("avant \ud800 après")))
def test_lone_surrogates_survive_json_lines(article, tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "o.jsonl"
    write_scored([article], path)
    assert json.loads(path.read_bytes().decode("utf-8")) == article.to_dict()
    assert list(read_scored([path])) == [article]


@pytest.mark.parametrize("fmt", ["parquet", "csv"])
def test_lone_surrogates_are_refused_where_they_cannot_be(tmp_path, fmt):
    path = tmp_path / f"o.{fmt}"
    broken = scored("mal", text=TEXT.replace("Lire", "Lir\udc80"))
    with pytest.raises(RecordError, match=r"article 'mal': .*JSON Lines"), ScoredWriter(path) as writer:
        writer.write(broken)
    with ScoredWriter(path) as writer:  # it can be caught, and the rest written
        writer.write(scored("b"))
        with pytest.raises(RecordError):
            writer.write(broken)
        writer.write(scored("c"))
    if fmt == "parquet":
        assert [s.article.article_id for s in read_scored([path])] == ["b", "c"]


def test_values_without_a_form_in_json_are_refused(tmp_path):
    for name in ("o.jsonl", "o.parquet"):
        with pytest.raises(RecordError, match="article 'a-1'"):
            write_scored([scored(profile={"share": float("nan")})], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_warnings_come_back(tmp_path):
    path = tmp_path / "o.jsonl"
    write_scored([scored()], path)
    [back] = read_scored([path])
    assert back.article.warnings == ("language: looks like 'en'",)


def test_many_files_in_order(tmp_path):
    write_scored([scored("1")], tmp_path / "a.parquet")
    write_scored([scored("2")], tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "b.jsonl").read_bytes()))
    files = [tmp_path / "b.jsonl", tmp_path / "a.parquet", tmp_path / "b.jsonl.gz"]
    assert [s.article.article_id for s in read_scored(files)] == ["2", "1", "2"]


# --- formats -----------------------------------------------------------------------------------------------------


def test_json_lines_are_the_contract(tmp_path):
    path = tmp_path / "o.jsonl"
    write_scored(many(3), path)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [s.to_dict() for s in many(3)]
    assert lines[-1] == ""
    assert "l’élue" in lines[0]


def test_parquet_is_one_row_an_article_in_row_groups(tmp_path):
    path = tmp_path / "o.parquet"
    write_scored(many(ROW_GROUP + 1), path)
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        assert groups == [ROW_GROUP, 1]
        [row] = file.read_row_group(1).to_pylist()
    expected = scored(f"a-{ROW_GROUP}").to_dict()
    assert json.loads(row.pop("profile")) == expected.pop("profile")
    assert row == expected


def test_an_empty_parquet_has_its_schema(tmp_path):
    write_scored([], tmp_path / "o.parquet")
    write_scored(many(1), tmp_path / "p.parquet")
    assert pq.read_schema(tmp_path / "o.parquet") == pq.read_schema(tmp_path / "p.parquet")
    assert list(read_scored([tmp_path / "o.parquet"])) == []


def test_csv_is_one_row_a_segment(tmp_path):
    path = tmp_path / "o.csv"
    write_scored([scored("=id"), scored("b", segments=())], path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [r["article_id"] for r in rows] == ["=id", "=id"]  # nothing is altered, not even what a sheet computes
    assert [TEXT[int(r["start"]) : int(r["end"])] for r in rows] == [r["text"] for r in rows]
    quote, link = rows
    assert (quote["source"], quote["cue"], quote["source_type"]) == ("Léa Kervran", "a dit", "person")
    assert (quote["source_start"], quote["cue_end"], quote["role"], quote["unverified"]) == (
        "30",
        "21",
        "body",
        "false",
    )
    assert (quote["p_attributed_quote"], quote["confidence"], quote["needs_review"]) == ("0.9312", "0.9312", "false")
    assert (link["index"], link["label"], link["needs_review"], link["source"], link["unverified"]) == (
        *("1", "boilerplate", "true", "", ""),
    )


@pytest.mark.parametrize("text", ["un\rdeux", "un\ndeux", 'un "mot", « deux »', " blancs ", "\u2028"])
def test_csv_keeps_every_character(tmp_path, text):
    whole = scored(text=text, segments=(replace(scored().segments[1], span=Span(0, len(text))),))
    write_scored([whole], tmp_path / "o.csv")
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [text]


@pytest.mark.parametrize("name", ["o.jsonl", "o.parquet", "o.csv"])
def test_lean_has_no_text_of_the_page(tmp_path, name):
    path = tmp_path / name
    write_scored([scored(segments=(replace(scored().segments[1], span=Span(0, len(TEXT))),))], path, lean=True)
    if name == "o.csv":
        assert path.read_bytes().count(b"Lire") == 0
        assert "text" not in path.read_text().splitlines()[0].split(",")
        return
    if name == "o.parquet":
        assert not [c for c in pq.read_schema(path).names if c == "text"]
    with pytest.raises(RecordError, match=rf"{name}:1: .*no 'text'"):
        list(read_scored([path]))


@pytest.mark.parametrize("fmt", ["jsonl", "csv", "parquet"])
def test_streams_are_written_and_left_open(tmp_path, fmt):
    stream = io.BytesIO()
    write_scored(many(2), stream, fmt=fmt)
    path = tmp_path / f"o.{fmt}"
    write_scored(many(2), path)
    assert stream.getvalue() == path.read_bytes()


def test_packed_output_is_the_same_every_time(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz", "c.csv.gz"):
        write_scored(many(2), tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "c.csv.gz").read_bytes()).startswith(b"article_id,")


# --- what is interrupted or refused ------------------------------------------------------------------------------


def interrupt(writer: ScoredWriter) -> None:
    with writer:
        for article in many(ROW_GROUP + 1):
            writer.write(article)
        raise KeyboardInterrupt


OUTPUTS = ["o.jsonl", "o.jsonl.gz", "o.csv", "o.csv.gz", "o.parquet"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupted_run_leaves_nothing(tmp_path, name):
    with pytest.raises(KeyboardInterrupt):
        interrupt(ScoredWriter(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_existing_file_is_replaced_only_when_asked_and_done(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(InputError, match="exists"):
        ScoredWriter(path)
    with pytest.raises(KeyboardInterrupt):
        interrupt(ScoredWriter(path, overwrite=True))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"old")]
    write_scored(many(1), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() != b"old"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "o.jsonl").symlink_to(tmp_path / "real" / "x.jsonl")
    write_scored(many(1), tmp_path / "o.jsonl")
    assert (tmp_path / "o.jsonl").is_symlink()
    assert (tmp_path / "real" / "x.jsonl").is_file()


@pytest.mark.parametrize("fmt", ["jsonl", "csv", "parquet"])
def test_a_full_disk_is_one_line(fmt):
    with pytest.raises(InputError, match=r"^/dev/full: cannot be written: No space left on device$"):
        write_scored(many(300), "/dev/full", fmt=fmt)
    assert Path("/dev/full").is_char_device()  # written to, not replaced


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_that_cannot_grow_leaves_nothing(tmp_path, name):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_scored(many(300), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error_of_the_output():
    class Closed(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: object) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        write_scored(many(1), Closed())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("o.txt", "ends in .jsonl"),
        ("o", "ends in .jsonl"),
        ("o.parquet.gz", "leave .gz off"),
        ("absent/o.jsonl", "No such file or directory"),
        ("file/o.jsonl", "Not a directory"),
    ],
)
def test_outputs_that_are_refused(tmp_path, name, words):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        ScoredWriter(tmp_path / name)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


GOOD = json.dumps(scored().to_dict())


@pytest.mark.parametrize(
    ("name", "data", "where"),
    [
        ("r.jsonl", f"{GOOD}\n{{", "r.jsonl:2: not a line of JSON"),
        ("r.jsonl", f"{GOOD}\n\n[1]", "r.jsonl:3: a JSON object"),
        ("r.jsonl", f"{GOOD}\n{{}}", "r.jsonl:2: the record has no 'text'"),
        ("r.jsonl", GOOD.replace('"schema": 1', '"schema": 2'), "r.jsonl:1: schema 2"),
        ("r.jsonl", GOOD.replace('"segments": [', '"segments": ["x", '), "r.jsonl:1: not a scored article"),
        ("r.jsonl.gz", "no gzip", "r.jsonl.gz: not a sound gzip"),
        ("r.parquet", "PAR1", "r.parquet: not a sound Parquet"),
        ("r.csv", "a,b", "r.csv: scored articles are read back from"),
        ("", "", "no.jsonl: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_back_is_named(tmp_path, name, data, where):
    path = tmp_path / (name or "no.jsonl")
    if name:
        path.write_text(data, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_scored([path]))
    assert f"{tmp_path}/{where}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_documentation_names_every_column():
    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(keys, value))
        return set().union(value, *map(keys, value.values())) if isinstance(value, dict) else set()

    page = (Path(__file__).parents[1] / "docs" / "schema.md").read_text(encoding="utf-8")
    columns = {*CSV_COLUMNS, *keys(scored(profile=None).to_dict())}
    assert {"p_boilerplate", "anonymity_reason", "reported_claim", "text_sha256"} <= columns
    assert columns <= set(re.findall(r"`([a-z_0-9]+)`", page))
