"""Crawls: WARC and WET files written here, record by record, and what is read of them."""

from __future__ import annotations

import gzip
import io
import uuid
import zlib
from pathlib import Path

import brotli
import pytest

from annotator.reader import ReadFailure, read_articles
from annotator.records import Article

FRENCH = (
    "La préfecture a levé mardi l'interdiction de naviguer, selon un arrêté publié dans la soirée. "
    "Les pêcheurs du port reprendront la mer lundi, après trois semaines d'attente et une forêt de formulaires. "
)
ENGLISH = "The mayor said on Monday that the harbour would open again next week, after a long and costly repair. " * 2
PAGE = f"<html><head><title>Le port</title></head><body><p>{FRENCH}</p></body></html>"


def record(kind: str, content: bytes, number: int, *, url: str, content_type: str, wrap: bool = False) -> bytes:
    uri = f"<{url}>" if wrap else url
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uuid.UUID(int=number)}>\r\n"
        f"WARC-Date: 2024-05-01T10:00:00Z\r\nWARC-Target-URI: {uri}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def response(
    body: bytes | str,
    number: int = 1,
    *,
    status: str = "200 OK",
    content_type: str = "text/html; charset=utf-8",
    headers: str = "",
    url: str = "https://www.port-baie.example/2024/mer.html",
    wrap: bool = False,
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{headers}\r\n".encode()
    return record(
        "response", head + data, number, url=url, content_type="application/http; msgtype=response", wrap=wrap
    )


def conversion(text: str, number: int = 1) -> bytes:
    return record("conversion", text.encode(), number, url="http://baie.example:8080/a", content_type="text/plain")


def read(path: Path, data: bytes, **options) -> tuple[list[Article], list[ReadFailure], list[str]]:
    path.write_bytes(data)
    failures: list[ReadFailure] = []
    skipped: list[str] = []
    articles = read_articles(
        [path], on_error=failures.append, on_skip=lambda page: skipped.append(page.reason), **options
    )
    return list(articles), failures, skipped


@pytest.mark.parametrize("pack", ["no", "each record", "the whole file"])
def test_html_responses_become_articles(tmp_path, pack):
    records = [
        record("warcinfo", b"software: a test\r\n", 90, url="", content_type="application/warc-fields"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", 91, url="https://a.example", content_type="application/http"),
        response(PAGE, 1),
        response(b"\x89PNG\r\n", 2, content_type="image/png"),
        response(PAGE, 3, status="404 Not Found"),
        response(PAGE.replace("Le port", "La mer"), 4, content_type="application/xhtml+xml", wrap=True),
        record("revisit", b"", 92, url="https://a.example", content_type="application/http"),
    ]
    if pack == "each record":
        records = [gzip.compress(item) for item in records]
    data = b"".join(records)
    path = tmp_path / ("a.warc" if pack == "no" else "a.warc.gz")
    found, failures, skipped = read(path, gzip.compress(data) if pack == "the whole file" else data)
    assert (failures, skipped) == ([], [])
    assert [article.title for article in found] == ["Le port", "La mer"]
    assert found[0].article_id == "urn:uuid:00000000-0000-0000-0000-000000000001"
    assert found[0].text == FRENCH.strip()
    assert {article.outlet for article in found} == {"port-baie.example"}
    assert {article.url for article in found} == {"https://www.port-baie.example/2024/mer.html"}


def test_wet_files_are_read_as_text(tmp_path):
    found, _, _ = read(tmp_path / "a.warc.wet.gz", gzip.compress(conversion(FRENCH)))
    assert [(article.text, article.outlet, article.url) for article in found] == [
        (FRENCH, "baie.example", "http://baie.example:8080/a")
    ]


def test_other_languages_are_left_out_of_crawls_unless_asked_for(tmp_path):
    data = conversion(ENGLISH, 1) + conversion(FRENCH, 2) + conversion("12 345", 3)
    found, failures, skipped = read(tmp_path / "a.wet", data)
    assert [article.text for article in found] == [FRENCH]
    assert (failures, skipped) == ([], ["not French"] * 2)
    found, _, skipped = read(tmp_path / "a.wet", data, any_language=True)
    assert len(found) == 3
    assert not skipped
    assert "'en'" in found[0].warnings[0]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE.encode("iso-8859-1"), "text/html; charset=ISO-8859-1"),  # the header
        (PAGE.replace("<head>", '<head><meta charset="mac-roman">').encode("mac-roman"), "text/html"),  # the page
        (PAGE.encode("cp1252"), "text/html"),  # the bytes
        (PAGE.encode(), "text/html; charset=ISO-8859-1"),  # the header, which is wrong
    ],
)
def test_the_charset_is_found_in_header_page_and_bytes(tmp_path, body, content_type):
    (article,), failures, _ = read(tmp_path / "a.warc", response(body, content_type=content_type))
    assert not failures
    assert article.text == FRENCH.strip()


def chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:50], data[50:])) + b"0\r\n\r\n"


RAW = PAGE.encode()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chunked(RAW), "Transfer-Encoding: chunked\r\n"),
        (gzip.compress(RAW), "Content-Encoding: gzip\r\n"),
        (gzip.compress(RAW), "Content-Encoding: x-gzip\r\n"),
        (brotli.compress(RAW), "Content-Encoding: br\r\n"),
        (zlib.compress(RAW), "Content-Encoding: deflate\r\n"),
        (zlib.compress(RAW)[2:-4], "Content-Encoding: deflate\r\n"),
        (chunked(gzip.compress(RAW)), "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"),
        # Unpacked by the crawler, which kept the header:
        *((RAW, f"Content-Encoding: {name}\r\n") for name in ("gzip", "br", "deflate", "zstd", "unheard-of")),
        (RAW, "Transfer-Encoding: chunked\r\n"),
    ],
)
def test_bodies_are_unpacked_by_what_they_are(tmp_path, body, headers):
    found, failures, _ = read(tmp_path / "a.warc", response(body, 1, headers=headers) + response(PAGE, 2))
    assert not failures
    assert [article.text for article in found] == [FRENCH.strip()] * 2


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_damaged_body_costs_its_page_only(tmp_path, coding, packed):
    bad = response(packed(RAW)[:-20], 1, headers=f"Content-Encoding: {coding}\r\n")
    found, failures, _ = read(tmp_path / "a.warc", bad + response(PAGE, 2))
    assert len(found) == 1
    (failure,) = failures
    assert failure.where.endswith("a.warc:1")
    assert "damaged" in failure.error


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.warc", (response(PAGE, 1) + response(PAGE, 2))[:-90], "cut short"),
        ("a.warc.gz", gzip.compress(response(PAGE, 1) * 9)[:-30], "cut short"),
        ("a.warc", b"Ceci n'est pas une archive.\n" * 40, "not a sound WARC file"),
        ("a.warc.gz", b"Ceci n'est pas une archive.\n" * 40, "not a sound gzip file"),
        ("a.warc", response(PAGE, 1) + b"garbage\r\n" * 9, "not a sound WARC file"),
        ("a.warc", response(PAGE, 1) + response(PAGE, 2)[:70], "cut short within a record's header"),
    ],
)
def test_a_damaged_file_is_one_failure(tmp_path, name, data, error):
    _, failures, _ = read(tmp_path / name, data)
    assert len(failures) == 1
    assert error in failures[0].error


def test_a_page_too_large_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("annotator.crawl.LARGEST_PAGE", 4000)
    big = PAGE.replace("</p>", f"{FRENCH * 40}</p>")
    packed = response(gzip.compress(big.encode()), 2, headers="Content-Encoding: gzip\r\n")
    deflated = response(zlib.compress(big.encode()), 4, headers="Content-Encoding: deflate\r\n")
    found, failures, _ = read(tmp_path / "a.warc", response(big, 1) + packed + response(PAGE, 3) + deflated)
    assert len(found) == 1
    assert ["MiB" in failure.error for failure in failures] == [True, True, True]


def test_the_root_dot_of_a_host_is_no_part_of_the_outlet(tmp_path):
    (found,), _, _ = read(tmp_path / "a.warc", response(PAGE, url="https://www.port-baie.example./mer.html"))
    assert found.outlet == "port-baie.example"


def test_a_crawl_on_standard_input_is_refused_by_name():
    failures: list[ReadFailure] = []
    assert list(read_articles(["-"], stdin=io.BytesIO(response(PAGE)), on_error=failures.append)) == []
    assert "name of its file" in failures[0].error


def test_the_same_file_twice_gives_the_same_articles(tmp_path):
    data = b"".join(response(PAGE, n) for n in range(20))
    assert read(tmp_path / "a.warc", data) == read(tmp_path / "a.warc", data)
