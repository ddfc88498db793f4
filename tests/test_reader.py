"""Reading pages: formats, encodings, inputs, failures, HTML to text, language."""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import tracemalloc
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.errors import InputError
from annotator.html import html_to_article
from annotator.language import language_warning
from annotator.reader import ReadFailure, expand, read_articles
from annotator.records import Article, Label, ScoredArticle, ScoredSegment, Span

FRENCH = (
    "Le préfet de la rade a confirmé mardi que la traversée resterait fermée.\r\n"
    "« C’est un cœur qui s’arrête », déplore l’élue de Port-Cendre, à 10\u00a0h.\r\n\r\nPar Léa Kervran\n"
)
ENGLISH = "The prefect of the harbour confirmed on Tuesday that the crossing would stay closed until the end of June. "
PARIS = "La mairie de Port-Cendre a annoncé mardi la réouverture du marché couvert, fermé depuis trois ans. "


def put(path: Path, data: str | bytes) -> Path:
    """Write a file, packed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def parquet_bytes(rows: list[dict[str, object]], **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def csv_text(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(*inputs: str | Path, **options) -> tuple[list[Article], list[ReadFailure]]:
    """Read without the language model, with failures collected."""
    failures: list[ReadFailure] = []
    options.setdefault("check_language", False)
    return list(read_articles(inputs, on_error=failures.append, **options)), failures


def the_failure(*inputs: str | Path, **options) -> ReadFailure:
    articles, failures = read(*inputs, **options)
    assert articles == []
    [failure] = failures
    assert "\n" not in failure.error
    return failure


# --- formats -----------------------------------------------------------------------------------------------------

ROWS = [
    {"article_id": "a-1", "text": FRENCH, "outlet": "Le Fanal", "url": "https://fanal.example/1", "title": "La rade"},
    {"article_id": "a-2", "text": "Deuxième page, d'un seul tenant ; sans fin.", "outlet": "", "url": "", "title": ""},
]
RECORD_FILES = {
    "r.jsonl": jsonl(*ROWS).encode(),
    "r.ndjson": jsonl(*ROWS).encode(),
    "r.csv": csv_text(ROWS).encode(),
    "r.parquet": parquet_bytes(ROWS),
}
EXPECTED = [
    Article(article_id="a-1", text=FRENCH, outlet="Le Fanal", url="https://fanal.example/1", title="La rade"),
    Article(article_id="a-2", text="Deuxième page, d'un seul tenant ; sans fin."),
]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", RECORD_FILES)
def test_records_of_every_format(tmp_path, name, packed):
    path = put(tmp_path / (name + packed), RECORD_FILES[name])
    assert read(path) == (EXPECTED, [])


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", ["page.txt", "page.md", "PAGE.TXT"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac-roman"]
)
def test_text_is_the_decoded_file(tmp_path, name, packed, encoding):
    text = "# Titre *tel quel*\r\n" + FRENCH
    [article], failures = read(put(tmp_path / (name + packed), text.encode(encoding)))
    assert (article.text, failures) == (text, [])
    assert bool(article.warnings) == (encoding == "mac-roman")


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", ["p.html", "p.htm"])
def test_html_files(tmp_path, name, packed):
    page = '<meta charset="iso-8859-1"><title>Rade</title><nav><a>Une</a><a>Sport</a></nav><p>Fermée.</p>'
    path = put(tmp_path / (name + packed), page.encode("cp1252"))
    assert read(path) == ([Article(article_id=path.as_posix(), text="Une Sport\n\nFermée.", title="Rade")], [])


def test_latin_9_and_plain_latin_1(tmp_path):
    pages = {
        "latin9.txt": "Le cœur de la préfecture bat à Saint-Aubin.".encode("iso8859-15"),
        "latin1.txt": "L'été dernier, la forêt brûlait déjà.".encode("latin-1"),
    }
    for name, data in pages.items():
        put(tmp_path / name, data)
    articles, failures = read(tmp_path)
    assert [(a.text, a.warnings) for a in articles] == [
        ("L'été dernier, la forêt brûlait déjà.", ()),
        ("Le cœur de la préfecture bat à Saint-Aubin.", ()),
    ]
    assert failures == []


def test_an_encoding_by_guess_is_a_warning_when_doubtful(tmp_path):
    text = "Министр заявил во вторник, что реформа будет представлена до конца лета. " * 3
    [article], _ = read(put(tmp_path / "p.txt", text.encode("koi8-r")))
    assert article.text == text
    assert "doubtful" in article.warnings[0]


def test_damaged_utf8_keeps_what_it_can_and_says_so(tmp_path):
    [article], _ = read(put(tmp_path / "p.txt", "été à la préfecture, déjà".encode()[:-1]))
    assert article.text == "été à la préfecture, déj\ufffd"
    assert "U+FFFD" in article.warnings[0]


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_text_survives_utf8_and_utf16(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("u")
    for encoding in ("utf-8-sig", "utf-16"):
        put(folder / f"{encoding}.txt", text.encode(encoding))
    if not text.startswith(("\ufeff", "\x1f\x8b", "PK", "%PDF-", "PAR1")):
        put(folder / "utf-8.txt", text.encode())
    articles, failures = read(folder)
    assert {a.text for a in articles} == {text}
    assert all(not a.warnings for a in articles)
    assert failures == []


@settings(deadline=None)
@given(text=st.text("abcdefghij éèàçêîôûëïœÉÀ«»’“”–—…€\u00a0\r\n.,'", max_size=200))
def test_french_survives_cp1252(text, tmp_path_factory):
    data = text.encode("cp1252")
    try:  # a few letters can be valid UTF-8 by chance, and are then read as that
        expected = data.decode()
    except UnicodeDecodeError:
        expected = text
    [article], failures = read(put(tmp_path_factory.mktemp("w") / "p.txt", data))
    assert (article.text, failures) == (expected, [])


def test_blank_pages_are_articles(tmp_path):
    put(tmp_path / "a.txt", b"")
    put(tmp_path / "b.txt", b"\xef\xbb\xbf \r\n\n")
    put(tmp_path / "c.html", b"")
    put(tmp_path / "d.html", b"<html><head><title>x</title></head><body><script>1</script></body></html>")
    put(tmp_path / "e.jsonl", jsonl({"text": ""}))
    put(tmp_path / "f.csv", "id,text\n7,\n")
    articles, failures = read(tmp_path)
    assert [a.text for a in articles] == ["", " \r\n\n", "", "", ""]
    assert [f.where for f in failures] == [f"{tmp_path.as_posix()}/f.csv:2"]  # an empty cell is no text


# --- fields ------------------------------------------------------------------------------------------------------


def test_fields_are_found_under_their_other_names(tmp_path):
    rows = [
        {"content": "un", "id": 12, "sitename": "Le Fanal", "date": "2021-03-04", "more": [1]},
        {"body": "deux", "doc_id": "d", "domain": "fanal.example", "text": None},
        {"text": "trois", "content": "autre", "article_id": "a", "id": "b", "outlet": "O", "domain": "D"},
        {"text": "quatre", "title": ["x"], "date": 2021},
    ]
    path = put(tmp_path / "r.jsonl", jsonl(*rows))
    articles, failures = read(path)
    assert failures == []
    assert [(a.article_id, a.text, a.outlet, a.date) for a in articles] == [
        ("12", "un", "Le Fanal", "2021-03-04"),
        ("d", "deux", "fanal.example", None),
        ("a", "trois", "O", None),
        (f"{path.as_posix()}#4", "quatre", None, "2021"),
    ]
    assert articles[3].warnings == ("title: list instead of a string, left out",)


def test_ids_come_from_the_path_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(Path("pages/a.txt"), "a")
    put(Path("r.jsonl"), '\n{"text": "x"}\n\n{"text": "y"}\n')
    put(Path("r.csv"), 'text,n\n"x\ny",1\nz,2\n')
    put(Path("r.parquet"), parquet_bytes([{"text": "x"}, {"text": "y"}]))
    articles, _ = read("./pages", "r.jsonl", "r.csv", Path("r.parquet"))
    assert [a.article_id for a in articles] == [
        *("pages/a.txt", "r.jsonl#2", "r.jsonl#4", "r.csv#2", "r.csv#4", "r.parquet#1", "r.parquet#2"),
    ]


def test_parquet_dates_and_batches(tmp_path):
    rows = [{"text": f"page {n}", "id": n, "date": date(2021, 3, 4), "segments": [{"x": n}]} for n in range(150)]
    path = put(tmp_path / "r.parquet", parquet_bytes(rows, row_group_size=40))
    articles, failures = read(path)
    assert [(a.article_id, a.text, a.date) for a in articles] == [
        (str(n), f"page {n}", "2021-03-04") for n in range(150)
    ]
    assert failures == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters_long_fields_and_line_ends(tmp_path, delimiter):
    long = "Une très longue page ; avec, tout\t: « cela »\r\n\n" * 6000
    path = put(tmp_path / "r.csv", csv_text([{"id": "1", "text": long, "title": 'un "titre"'}], delimiter))
    [article], failures = read(path)
    assert (article.text, article.title, failures) == (long, 'un "titre"', [])


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
def test_encodings_of_record_files(tmp_path, encoding):
    put(tmp_path / "a.csv", csv_text([{"id": "1", "text": "L’été à Kerbrec’h"}], ";").encode(encoding))
    put(tmp_path / "b.jsonl", json.dumps({"id": "2", "text": "forêt\u2028mêlée"}, ensure_ascii=False).encode("utf-8"))
    put(tmp_path / "c.jsonl", '{"id": "3", "text": "forêt"}\n{"id": "4", "text": "brûlée"}'.encode(encoding))
    articles, failures = read(tmp_path)
    assert [a.text for a in articles] == ["L’été à Kerbrec’h", "forêt\u2028mêlée", "forêt", "brûlée"]
    assert failures == []


def test_scored_and_labelled_records_are_pages_again(tmp_path):
    page = Article(article_id="s", text="Le port ferme.", outlet="Le Fanal", title="T")
    segment = ScoredSegment(
        span=Span(0, 14),
        label=Label.REPORTED_CLAIM,
        confidence=0.9,
        probabilities=dict.fromkeys(Label, 0.25),
        needs_review=False,
    )
    scored = ScoredArticle(article=page, model_version="v", segments=(segment,))
    labelled = {"doc_id": "l", "text": "Par Léa", "segments": [{"start": 0, "end": 7, "label": "boilerplate"}]}
    path = put(tmp_path / "r.jsonl", jsonl(scored.to_dict(), labelled, scored.to_dict(lean=True)))
    articles, [failure] = read(path)
    assert articles == [page, Article(article_id="l", text="Par Léa")]
    assert (failure.where, "lean" in failure.error) == (f"{path.as_posix()}:3", True)


# --- inputs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.txt", "a/z.md", "a/b/c.txt", ".hidden.txt", ".cache/x.txt", "notes.docx", "a/.x/y.txt", "[1].txt"):
        put(tmp_path / name, name)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        (".", ["[1].txt", "a/b/c.txt", "a/z.md", "b.txt"]),
        ("a", ["a/b/c.txt", "a/z.md"]),
        ("*", ["[1].txt", "b.txt"]),
        ("*.txt", ["[1].txt", "b.txt"]),
        ("a/**/*.txt", ["a/b/c.txt"]),
        ("a/**", ["a/b/c.txt", "a/z.md"]),
        ("[1].txt", ["[1].txt"]),
        ("?.txt", ["b.txt"]),
    ],
)
@pytest.mark.usefixtures("tree")
def test_folders_and_patterns(given_input, expected):
    articles, failures = read(given_input)
    assert [a.article_id for a in articles] == expected
    assert failures == []


def test_absolute_patterns_and_paths(tree):
    articles, failures = read(f"{tree}/a/*.md", tree / "b.txt")
    assert [a.article_id for a in articles] == [f"{tree.as_posix()}/a/z.md", f"{tree.as_posix()}/b.txt"]
    assert failures == []


@pytest.mark.usefixtures("tree")
def test_order_is_the_order_of_the_inputs():
    articles, _ = read("b.txt", "a/z.md", "a/b")
    assert [a.article_id for a in articles] == ["b.txt", "a/z.md", "a/b/c.txt"]


def test_reading_is_lazy(tmp_path):
    first, second = put(tmp_path / "a.jsonl", jsonl({"text": "1"}, {"text": "2"})), tmp_path / "b.txt"
    articles = read_articles([first, second], check_language=False)
    assert next(articles).text == "1"
    assert next(articles).text == "2"
    put(second, "written after the first file was read")
    assert next(articles).text == "written after the first file was read"


def test_a_reader_left_early_closes_its_file(tmp_path, recwarn):
    articles = read_articles([put(tmp_path / "a.jsonl.gz", jsonl({"text": "1"}, {"text": "2"}))], check_language=False)
    next(articles)
    articles.close()
    assert [str(w.message) for w in recwarn] == []


def test_large_files_are_not_held(tmp_path):
    rows = ({"id": n, "text": f"{n} " + "mot " * 5000} for n in range(400))
    path = put(tmp_path / "r.jsonl", jsonl(*rows))
    assert path.stat().st_size > 7_000_000
    tracemalloc.start()
    count = sum(1 for _ in read_articles([path], check_language=False))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("data", "fmt", "expected"),
    [
        (FRENCH.encode(), None, [("stdin", FRENCH)]),
        (b"", None, [("stdin", "")]),
        ("{ce n'est pas du JSON}".encode("utf-16"), None, [("stdin", "{ce n'est pas du JSON}")]),
        (b'\n{"text": "x"}\n{"id": 5, "text": "y"}', None, [("stdin#2", "x"), ("5", "y")]),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE html><p>a<p>b", None, [("stdin", "a\n\nb")]),
        (b"<!-- x --><p>a", None, [("stdin", "a")]),
        (b"<p>a", "text", [("stdin", "<p>a")]),
        (b"a<br>b", "html", [("stdin", "a\nb")]),
        (b"text;id\nun;1\n", "csv", [("1", "un")]),
        (b'text,id\r\n"un\rdeux",1\r\n', "csv", [("1", "un\rdeux")]),
        (b'{"text": "x", \r"id": 3}\r\n', "jsonl", [("3", "x")]),
        (b'{"text": "x"}', "text", [("stdin", '{"text": "x"}')]),
    ],
)
def test_standard_input(data, fmt, expected):
    articles, failures = read("-", stdin=io.BytesIO(data), stdin_format=fmt)
    assert [(a.article_id, a.text) for a in articles] == expected
    assert failures == []


def test_standard_input_is_there_once():
    articles, [failure] = read("-", "-", stdin=io.BytesIO(b"x"))
    assert len(articles) == 1
    assert (failure.where, "once" in failure.error) == ("stdin", True)
    assert the_failure("-").where == "stdin"


# --- failures ----------------------------------------------------------------------------------------------------

BROKEN_FILES = {
    "png.txt": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "NUL"),
    "nul.txt": (b"\0" * 100, "NUL"),
    "bits.txt": (bytes(range(1, 256)) * 4, "control characters"),
    "doc.html": (b"%PDF-1.7 ...", "PDF"),
    "zip.txt": (b"PK\x03\x04....", "zip"),
    "packed.txt": (gzip.compress(b"x"), ".gz"),
    "plain.txt.gz.broken": (b"", "unknown extension"),
    "nul.jsonl": (b'{"text": "x"}\0\0', "NUL"),
    "empty.csv": (b"", "header"),
    "blank.csv": (b"\n1,2\n", "header"),
    "not.parquet": (b"PAR1 but no more", "Parquet"),
    "empty.parquet": (b"", "Parquet"),
    "cut.parquet": (RECORD_FILES["r.parquet"][:-30], "Parquet"),
    "page.docx": (b"x", "known: .txt"),
    "page": (b"x", "known: .txt"),
}
BROKEN_ROWS = {
    "json.jsonl": ("{", "JSON"),
    "deep.jsonl": ("[" * 200_000, "JSON"),
    "list.jsonl": ('["text"]', "found list"),
    "none.jsonl": ('{"title": "x"}', "text, content, body"),
    "null.jsonl": ('{"text": null}', "no text"),
    "list-text.jsonl": ('{"text": ["x"]}', "text is list"),
    "int-text.jsonl": ('{"content": 5}', "content is int"),
    "bool-id.jsonl": ('{"text": "x", "id": true}', "id is bool"),
    "float-id.jsonl": ('{"text": "x", "id": 1.5}', "id is float"),
    "sha.jsonl": ('{"text": "x", "text_sha256": "00"}', "text_sha256"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_one_failure(tmp_path, name):
    data, words = BROKEN_FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    good = put(tmp_path / "good.txt", "bon")
    articles, [failure] = read(path, good)
    assert [a.text for a in articles] == ["bon"]
    assert failure.where == path.as_posix()
    assert words in failure.error
    with pytest.raises(InputError, match=path.name):
        list(read_articles([path]))


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_a_broken_line_is_one_failure(tmp_path, name):
    line, words = BROKEN_ROWS[name]
    path = put(tmp_path / name, f'{{"text": "avant"}}\n{line}\n{{"text": "après"}}\n')
    articles, [failure] = read(path)
    assert [a.text for a in articles] == ["avant", "après"]
    assert failure.where == f"{path.as_posix()}:2"
    assert words in failure.error
    assert "\n" not in failure.error


@pytest.mark.parametrize("name", ["page.txt.gz", "page.html.gz", "r.jsonl.gz", "r.csv.gz", "r.parquet.gz"])
def test_truncated_and_false_gzip(tmp_path, name):
    whole = gzip.compress(b'{"text": "x"}\n' + bytes(range(256)) * 50)
    cut, false = tmp_path / name, tmp_path / f"false-{name}"
    cut.write_bytes(whole[: len(whole) // 2])
    false.write_bytes(b"no gzip at all")
    assert "cut short" in the_failure(cut).error
    assert "not a sound gzip" in the_failure(false).error


@pytest.mark.parametrize("name", ["r.jsonl.gz", "r.csv.gz"])
def test_what_stands_before_the_damage_is_kept(tmp_path, name):
    rows = [{"id": str(n), "text": f"page {n * 7919 % 10_007}"} for n in range(9000)]
    whole = gzip.compress((jsonl(*rows) if "jsonl" in name else csv_text(rows)).encode())
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])
    articles, [failure] = read(path)
    assert 1000 < len(articles) < 9000
    assert [a.text for a in articles] == [r["text"] for r in rows[: len(articles)]]
    assert (failure.where, "cut short" in failure.error) == (path.as_posix(), True)


@settings(deadline=None)
@given(position=st.integers(0, len(RECORD_FILES["r.parquet"]) - 1), byte=st.integers(0, 255))
def test_a_damaged_parquet_is_an_error_at_most(position, byte, tmp_path_factory):
    data = bytearray(RECORD_FILES["r.parquet"])
    data[position] = byte
    path = put(tmp_path_factory.mktemp("d") / "r.parquet", bytes(data))
    articles, failures = read(path)
    assert all(type(a.text) is str for a in articles)
    assert all("\n" not in f.error for f in failures)


def test_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(Path("folder/x.docx"), "x")
    assert the_failure("absent.txt") == ReadFailure("absent.txt", "no such file or folder")
    assert the_failure("*.txt").where == "*.txt"
    assert "known: .txt" in the_failure("folder").error
    assert "known: .txt" in the_failure("folder/*").error
    assert "too long" in the_failure("n" * 5000).error


def test_an_unreadable_file(tmp_path):
    (tmp_path / "a.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "gone.txt")
    put(tmp_path / "c.txt", "bon")
    articles, failures = read(tmp_path)
    assert [a.text for a in articles] == ["bon"]
    assert [f.where for f in failures] == [f"{tmp_path.as_posix()}/{n}.txt" for n in "ab"]
    assert all(f.error.startswith("cannot be read: ") for f in failures)


def test_csv_rows_that_break(tmp_path):
    path = put(tmp_path / "r.csv", 'id,text\n1,un\n2,trop,de,cellules\n\n3,trois\n4\n"5"x,y\n6,six\n7,"sans fin\n')
    articles, failures = read(path)
    assert [a.text for a in articles] == ["un", "trois", "six"]
    assert [f.where.rpartition(":")[2] for f in failures] == ["3", "6", "7", "9"]


@pytest.mark.parametrize("text", ["", ",text"])
def test_a_csv_of_segments_is_named_as_such(tmp_path, text):
    rows = "".join(f"a,{n},0,3,boilerplate{text and ',mot'}\n" for n in range(3))
    path = put(tmp_path / "r.csv", f"article_id,index,start,end,label{text}\n{rows}")
    failure = the_failure(path)
    assert (failure.where, "one a row" in failure.error) == (path.as_posix(), True)


def test_a_table_without_a_text_column_is_one_failure(tmp_path):
    lean = [{"schema": 1, "model_version": "m", "article_id": str(n), "url": "u"} for n in range(3)]
    csv_failure = the_failure(put(tmp_path / "r.csv", "id,titre\n1,a\n2,b\n"))
    assert csv_failure.error == "no text: needs one of text, content, body; found id, titre"
    assert "no text" in the_failure(put(tmp_path / "r.parquet", parquet_bytes([{"id": 1}, {"id": 2}]))).error
    assert "lean" in the_failure(put(tmp_path / "lean.parquet", parquet_bytes(lean))).error


def test_the_same_id_twice_names_both_places(tmp_path):
    one = put(tmp_path / "one.jsonl", jsonl({"id": "x", "text": "1"}, {"id": "y", "text": "2"}))
    two = put(tmp_path / "two.csv", "id,text\nz,3\ny,4\n")
    articles, [failure] = read(one, two)
    assert [a.text for a in articles] == ["1", "2", "3"]
    assert failure.where == f"{two.as_posix()}:3"
    assert f"{one.as_posix()}:2" in failure.error
    page = put(tmp_path / "p.txt", "x")
    articles, [failure] = read(page, page)
    assert len(articles) == 1
    assert f"'{page.as_posix()}' was read before, at {page.as_posix()}" in failure.error


def test_without_on_error_the_first_failure_is_raised(tmp_path):
    path = put(tmp_path / "r.jsonl", '{"text": "avant"}\n{\n')
    articles = read_articles([path], check_language=False)
    assert next(articles).text == "avant"
    with pytest.raises(InputError, match=r"r\.jsonl:2: not a line of JSON"):
        next(articles)


def test_expand_gives_paths_and_failures(tmp_path):
    page = put(tmp_path / "p.txt", "x")
    assert list(expand(tmp_path)) == [page]
    assert [type(found) for found in expand(tmp_path / "absent")] == [ReadFailure]


# --- HTML --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            "<p>L<b>'eau</b>, l'<a href=x>air</a>, <em>anti</em>constitutionnel <i>(non)</i>.</p>",
            "L'eau, l'air, anticonstitutionnel (non).",
        ),
        ("<p>un <b>mot</b> <i>puis</i>\n un\tautre</p>", "un mot puis un autre"),
        ("<p>1<sup>er</sup> A&shy;B a&#8203;b 10&#8239;000&nbsp;€</p>", "1er A\xadB a\u200bb 10\u202f000\xa0€"),
        ("<p>&laquo;&nbsp;oui&nbsp;&raquo; &amp;lt; &eacute;</p>", "«\xa0oui\xa0» &lt; é"),
        ("<p>a<br>b<br/><br>c</p>", "a\nb\n\nc"),
        ("<h1>T</h1><section>a</section><section>b</section><footer>© Le Fanal</footer>", "T\n\na\nb\n© Le Fanal"),
        ("<ul><li>un<li><p>deux</p><li><a><div>trois</div></a></ul>", "un\ndeux\ntrois"),
        ("<table><tr><th>A<th>B<tr><td><p>1</p><td><div>2 (<b>x</b>)</div></table>", "A B\n1 2 (x)"),
        ("<nav><a>Une</a><a>Sport</a></nav><p>Lire <a>l'article</a>.", "Une Sport\n\nLire l'article."),
        ("<pre>une  ligne\n  deux\n\ntrois</pre>", "une ligne\ndeux\n\ntrois"),
        ("<p>a<span style='display:block'>b</span>c", "a\nb\nc"),
        ("<blockquote>Il a dit <q>oui</q>.</blockquote>", "Il a dit «\xa0oui\xa0»."),
        (
            "<div id=cookies>Nous utilisons des cookies <button>Accepter</button><button>Refuser</button></div>",
            "Nous utilisons des cookies Accepter Refuser",
        ),
        ("<p hidden>x<p style='color:red; DISPLAY : none'>x<p style='visibility:hidden'>x<p>vu", "vu"),
        ("<script>x</script><style>x</style><template>x</template><noscript>x</noscript><svg><title>x</title></svg>vu",)
        * 1
        + ("vu",),
        ("<dialog>x</dialog><dialog open>lu</dialog><!-- x --><iframe>x</iframe><video>x</video>", "lu"),
        ("<body style='display:none'><p>vu", "vu"),
        ("texte nu", "texte nu"),
        ("<!doctype html><title>T</title><header>a</header><main>b</main>", "a\nb"),
        ("<p>a\x01b\x0cc &#2; \ud800", "ab c \ufffd"),
    ],
)
def test_html_to_text(page, text):
    assert html_to_article(page, article_id="x").text == text


def test_html_metadata_is_read_offline(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    page = (
        '<html><head><title>La rade ferme | Le Fanal</title><meta property="og:site_name" content="Le Fanal">'
        '<meta property="og:title" content="La rade ferme"><link rel=canonical href="https://fanal.example/rade">'
        '<meta property="article:published_time" content="2031-03-04T08:00:00+01:00"></head><body><h1>La rade ferme'
    )
    assert html_to_article(page, article_id="x") == Article(
        article_id="x",
        text="La rade ferme",
        outlet="Le Fanal",
        url="https://fanal.example/rade",
        title="La rade ferme",
        date="2031-03-04",
    )
    assert html_to_article(page, article_id="x", url="https://a.example/").url == "https://a.example/"


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("<meta http-equiv=Content-Type content='text/html; charset=windows-1251'><p>Ёж".encode("cp1251"), None),
        ("<?xml version='1.0' encoding='koi8-r'?><p>Ёж".encode("koi8-r"), None),
        ("<!-- <meta charset=utf-8> --><meta charset='x-nonsense'><p>Ёж".encode(), None),
        ("<meta charset=iso-8859-5><p>Ёж".encode("koi8-r"), "koi8-r"),
        ("<meta charset=iso-8859-1><p>Ёж".encode("utf-16"), None),
        ("<meta charset=iso-8859-1><p>Ёж".encode(), None),
        ("<meta charset=utf-16><p>Ёж".encode("utf-8-sig"), None),
    ],
)
def test_html_charsets(data, charset):
    assert html_to_article(data, article_id="x", header_charset=charset).text == "Ёж"


@pytest.mark.parametrize("tag", ["<div>", "<b>", "<table><tr><td>", "<ul><li>"])
@pytest.mark.parametrize("depth", [1000, 3000, 20_000])
def test_deep_html_loses_no_text(tag, depth):
    article = html_to_article(f"<p>avant</p>{tag * depth}fond<script>x</script><p>après", article_id="x")
    assert article.text.split() == ["avant", "fond", "après"]
    assert bool(article.warnings) or depth == 1000


def test_five_megabytes_of_html():
    line = "Le port reste fermé, dit le maire. " * 20
    page = f"<div><p>{line}<b>Fin</b>,<br>dit <a href=x>Léa</a>.</p></div>" * 7000
    assert len(page) > 5_000_000
    assert html_to_article(page, article_id="x").text == "\n\n".join([f"{line}Fin,\ndit Léa."] * 7000)


# ruff: noqa: SIM905 -- thirty tags read better as words
MARKUP = st.lists(
    st.sampled_from(
        "<p> </p> <div> <b> </b> <td> <table> <li hidden> <br> <q> </q> <pre> <script> </script> <body> <head> </html> "
        "<x-y> <2> <![CDATA[ --> <!-- &nbsp; &#1; & < > mot fin \u2028 \x0c \x00 \ud800".split(" ")
    ),
    max_size=40,
)


@settings(deadline=None)
@given(parts=MARKUP)
def test_any_markup_gives_clean_lines(parts):
    text = html_to_article("".join(parts), article_id="x").text
    lines = text.split("\n")
    assert lines == [line.strip() for line in lines]
    assert "\n\n\n" not in text
    assert not any(0xE000 <= ord(c) <= 0xF8FF or ord(c) >= 0xF0000 for c in text)


# --- language ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH * 20, "'en'"),
        ("El ministro declaró el martes que la reforma se presentará antes del verano, según fuentes. " * 5, "'es'"),
        ("Der Minister erklärte am Dienstag, dass die Reform vor dem Sommer vorgestellt werde. " * 5, "'de'"),
        ("صرح الوزير يوم الثلاثاء بأن الإصلاح سيقدم قبل الصيف في البرلمان الجديد. " * 5, "'ar'"),
    ],
)
def test_a_page_in_another_language_gets_a_warning(tmp_path, text, language):
    [article] = read_articles([put(tmp_path / "p.txt", text)])
    [warning] = article.warnings
    assert warning.startswith(f"language: looks like {language} (")
    assert "French only" in warning


@pytest.mark.parametrize(
    "text",
    [
        PARIS * 5,
        PARIS.upper(),
        "Accueil | Politique | Monde | Économie | Sport | Culture | Newsletters | Se connecter",
        f"Le maire l'a dit : « {ENGLISH * 10} ». {PARIS * 4}",
        f"Le maire l'a dit : “{ENGLISH * 30}”. {PARIS * 4}",
        PARIS * 6 + ENGLISH * 4,
        "Only a few words.",
        "PSG 3 - 1 OM ; Lille 2 - 0 Lens ; Nantes 1 - 1 Rennes ; Metz 0 - 4 Brest ; Nice - Reims 2 - 2",
        "\ud800" * 50 + PARIS,
        "",
    ],
)
def test_french_pages_and_pages_too_short_to_tell_get_none(text):
    assert language_warning(text) is None


def test_an_english_page_of_quotations_is_english():
    assert "'en'" in (language_warning(f"“{ENGLISH * 5}”") or "")
