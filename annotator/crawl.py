"""Crawls: the pages of WARC and WET files (ISO 28500), from disk, one record at a time.

FastWARC parses records; the file is unpacked by Python's gzip, which tells a file that is cut short, where FastWARC
would end in silence. Bodies are unpacked here, by what they are and not by what their header says alone: crawlers
differ in whether they keep the transfer's encodings, and the header stays either way.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from fastwarc.stream_io import BrotliReader, ChunkedReader, ZstdReader
from fastwarc.warc import ArchiveIterator, WarcRecordType

from annotator.errors import InputError
from annotator.files import decode, open_bytes, reading
from annotator.html import html_to_article
from annotator.records import Article

# Larger than what crawlers keep of a page (Common Crawl: 5 MiB); its tree of HTML takes some 25 times as much memory.
LARGEST_PAGE = 8 << 20
_LONGEST_HEADER = 1 << 16
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?\r\n")


class _Unbroken:
    """A stream that ends where it breaks and keeps the error: what was read before it is used first."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._tail = b""
        self.error: OSError | EOFError | zlib.error | None = None

    @property
    def in_header(self) -> bool:
        """Whether what was read ends within the header of a record, which FastWARC passes over in silence."""
        return self._tail.rpartition(b"\r\n\r\n")[2].startswith(b"WARC/")

    def read(self, size: int = -1) -> bytes:
        if self.error is not None:
            return b""
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            self.error = error
            return b""
        self._tail = (self._tail + data)[-_LONGEST_HEADER:]
        return data

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def close(self) -> None:
        self._stream.close()


def read_crawl(path: Path) -> Iterator[tuple[int, Article | InputError]]:
    """Yield the pages of a WARC or WET file with the number of their record (from 1, records of all kinds counted).

    Pages are HTML responses with a status of 2xx (WARC), and conversions to plain text (WET). The id is the record's
    own, a URN; the outlet is the host without ``www.``.

    Raises:
        InputError: the file is none of these, or damaged; pages before the damage have been yielded.
    """
    with reading(), open_bytes(path) as opened:
        stream = _Unbroken(opened)
        try:
            for number, record in enumerate(ArchiveIterator(stream, parse_http=False), start=1):
                if record.record_type & (WarcRecordType.response | WarcRecordType.conversion):
                    yield from _page(record, number, path)
        except OSError as error:  # all that FastWARC raises
            if stream.error is None:
                raise InputError(f"not a sound WARC file ({error}): copy or download it again") from error
        if stream.error is not None:
            raise stream.error
        if stream.in_header:
            raise InputError("the file is cut short within a record's header: copy or download it again")


def _page(record: Any, number: int, path: Path) -> Iterator[tuple[int, Article | InputError]]:
    url = record.headers.get("WARC-Target-URI", "").strip("<>")
    article_id = (record.record_id or "").strip("<>") or f"{path.as_posix()}#{number}"
    is_html = record.record_type == WarcRecordType.response
    try:
        if is_html:
            record.parse_http()
            if record.http_headers is None or not 200 <= (record.http_headers.status_code or 0) < 300:
                return
            if (record.http_content_type or "").lower() not in _HTML:
                return
        elif not record.headers.get("Content-Type", "").lower().startswith("text/plain"):
            return
        data = _body(record)
        if is_html:
            data = _decoded(data, record.http_headers.get("Transfer-Encoding"), transfer=True)
            for coding in reversed((record.http_headers.get("Content-Encoding") or "").split(",")):
                data = _decoded(data, coding, transfer=False)
            article = html_to_article(
                data, article_id=article_id, url=url or None, header_charset=record.http_charset, outlet=_host(url)
            )
        else:
            text, warning = decode(data)
            article = Article(
                article_id=article_id,
                text=text,
                outlet=_host(url),
                url=url or None,
                warnings=(warning,) if warning else (),
            )
    except InputError as error:
        yield number, error
    else:
        yield number, article


def _body(record: Any) -> bytes:
    data: bytes = record.reader.read(LARGEST_PAGE + 1)
    if len(data) > LARGEST_PAGE:
        raise _too_large()
    if len(data) < record.content_length:
        raise InputError("the record is cut short: copy or download the file again")
    return data


def _decoded(data: bytes, coding: str | None, *, transfer: bool) -> bytes:
    """Undo one coding of HTTP (RFC 9110, 8.4 and RFC 9112, 7.1); data that are not so coded stay as they are."""
    name = (coding or "").strip().lower().removeprefix("x-")
    reader: Any = None
    if transfer:
        if name.endswith("chunked") and _CHUNK.match(data):
            reader = ChunkedReader(io.BytesIO(data))
    elif name == "gzip" and data.startswith(b"\x1f\x8b"):
        reader = gzip.GzipFile(fileobj=io.BytesIO(data))
    elif name == "br":
        reader = BrotliReader(io.BytesIO(data))
    elif name == "zstd" and data.startswith(b"\x28\xb5\x2f\xfd"):
        reader = ZstdReader(io.BytesIO(data))
    elif name == "deflate":
        return _inflated(data)
    if reader is None:
        return data
    try:
        unpacked: bytes = reader.read(LARGEST_PAGE + 1)
    except (OSError, EOFError, zlib.error) as error:
        if name == "br":  # Brotli has no signature: the header may be what is left of a body unpacked already
            return data
        raise InputError(f"the page's {name} data are damaged") from error
    if len(unpacked) > LARGEST_PAGE:
        raise _too_large("unpacked")
    return unpacked


def _inflated(data: bytes) -> bytes:
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):  # servers send either
        unpacking = zlib.decompressobj(bits)
        try:
            unpacked = unpacking.decompress(data, LARGEST_PAGE + 1)
        except zlib.error:
            continue
        if len(unpacked) > LARGEST_PAGE:
            raise _too_large("unpacked")
        if not unpacking.eof:
            raise InputError("the page's deflate data are damaged")
        return unpacked
    return data


def _too_large(how: str = "") -> InputError:
    return InputError(f"a page of more than {LARGEST_PAGE >> 20} MiB {how}".rstrip() + ": left out")


def _host(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None
    return host.rstrip(".").removeprefix("www.") or None if host else None
