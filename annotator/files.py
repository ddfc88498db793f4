"""Files in: their format by name, their encoding by content, their records row by row.

Nothing here knows what a record means. docs/schema.md lists formats and encodings.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
import re
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from annotator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Format = Literal["text", "html", "jsonl", "csv", "parquet", "warc"]

FORMATS: Mapping[str, Format] = {
    ".txt": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".warc": "warc",
    ".wet": "warc",
}
_BATCH = 64
_CSV_FIELD_LIMIT = 1 << 28  # characters; the csv module's own limit, 131,072, is less than a long page
_CSV_DELIMITERS = ",;\t|"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark opens it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    (b"%PDF-", "a PDF file, not a page: extract its text first"),
    (b"\x1f\x8b", "gzip data: give the file a name that ends in .gz"),
    (b"PK\x03\x04", "a zip archive (or an office document), not a page: extract its text first"),
    (b"PAR1", "a Parquet file: give it a name that ends in .parquet"),
)
# What French text holds outside ASCII. A guess whose other characters are rarer than 1 in 20 is not doubtful.
_FRENCH = frozenset("àâäçéèêëîïôöùûüÿœæÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŸŒÆñÑáíóú«»‘’“”„–—…•·€°ºª§£©®™²³½¼×\u00a0")
_PLAUSIBLE = 0.95
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\v\f\r\x1b")
_TEXT_CODECS = re.compile(
    r"utf-8|utf-16.*|ascii|iso8859-\d+|cp125\d|cp437|cp85\d|mac-\w+|koi8-\w|gb\w+|big5\w*|shift_jis|euc_\w+"
)


def decode(data: bytes, *, declared: str | None = None) -> tuple[str, str | None]:
    """Decode a page of unknown encoding; line ends stay as they are, a byte order mark goes.

    Tried in this order: byte order mark, UTF-8, the declared charset, UTF-16 without mark, cp1252 (then Mac Roman
    and cp850, which old French files use), and charset-normalizer. UTF-8 stands before the declaration because
    saved pages often keep a ``<meta>`` that is no longer true, and other encodings are not valid UTF-8 by chance.

    Args:
        data: the bytes of one page, or one line of a file of records.
        declared: the charset that the page or its HTTP header names; an unknown name is ignored.

    Returns:
        The text, and a one-line warning when the guess is doubtful or characters were lost (as U+FFFD).

    Raises:
        InputError: binary data, or no encoding fits.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _replacing(data[len(mark) :], encoding)
    refuse_binary(data)
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError:
        pass
    codec = _codec(declared)
    if codec is not None and codec != "utf-8":
        return _replacing(data, codec)
    if (wide := _bare_utf16(data)) is not None:
        return _replacing(data, wide)
    if len(data.translate(None, _CONTROLS)) < 0.98 * len(data):
        raise InputError("binary data, not a text: more than 2 % of its bytes are control characters")
    damaged = data.decode("utf-8", "replace")
    lost = damaged.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    if sum(not c.isascii() for c in damaged) - lost >= 4 * lost:
        return _replacing(data, "utf-8")
    for encoding in ("cp1252", "mac-roman", "cp850"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        foreign = [c for c in text if not c.isascii()]
        if sum(c in _FRENCH for c in foreign) >= _PLAUSIBLE * len(foreign):
            if encoding != "cp1252":
                return text, f"encoding: guessed {encoding}; convert the file to UTF-8 if words look wrong"
            if re.search(r"[a-z]½[a-z]", text):  # 'c½ur': the byte of œ in ISO-8859-15
                return data.decode("iso8859-15"), None
            return text, None
    return _last_resort(data)


def decoded_lines(lines: Iterable[bytes]) -> Iterator[tuple[str, str | None]]:
    """Decode the lines of a file one by one: UTF-16 by its byte order mark, else UTF-8, else each by itself.

    Yields:
        Each line as :func:`decode` gives it; a line that it refuses comes as UTF-8 with U+FFFD, and a warning.
    """
    rest = iter(lines)
    first = next(rest, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        kept = ""
        for chunk in itertools.chain([first], rest, [b""]):
            *whole, kept = (kept + decoder.decode(chunk, final=not chunk)).split("\n")
            yield from ((f"{line}\n", None) for line in whole)
        if kept:
            yield kept, None
        return
    for raw in itertools.chain([first.removeprefix(codecs.BOM_UTF8)], rest):
        try:
            yield raw.decode("utf-8"), None
        except UnicodeDecodeError:
            try:
                yield decode(raw)
            except InputError:
                yield _replacing(raw, "utf-8")


def refuse_binary(data: bytes) -> None:
    """Raise InputError for bytes that are plainly no text: a known file signature, or NUL bytes outside UTF-16."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            raise InputError(name)
    if data.startswith(tuple(mark for mark, _ in _BOMS)):
        return
    if b"\0" in data and _bare_utf16(data) is None:
        raise InputError("binary data, not a text: it holds NUL bytes")


def _replacing(data: bytes, encoding: str) -> tuple[str, str | None]:
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError:
        return data.decode(
            encoding, "replace"
        ), f"encoding: not all of it is valid {encoding}; lost characters are U+FFFD"


def _bare_utf16(data: bytes) -> str | None:
    """Name the UTF-16 byte order of data without a mark: text in Latin script has a NUL in every other byte."""
    sample = data[: 4096 - 4096 % 2]
    half = len(sample) // 2
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd >= 0.6 * half and even <= 0.05 * half and half:
        return "utf-16-le"
    return "utf-16-be" if even >= 0.6 * half and odd <= 0.05 * half and half else None


def _codec(label: str | None) -> str | None:
    """Map a charset label to a Python codec for text; Latin-1 and ASCII mean cp1252 (WHATWG Encoding, 4.2)."""
    try:
        name = codecs.lookup((label or "").strip()).name
    except (LookupError, ValueError):
        return None
    if name in {"iso8859-1", "ascii"}:
        return "cp1252"
    # A page whose <meta> could be read byte by byte is not UTF-16, whatever it says (HTML, 13.2.3.2).
    return name if _TEXT_CODECS.fullmatch(name) and not name.startswith("utf-16") else None


def _last_resort(data: bytes) -> tuple[str, str | None]:
    from charset_normalizer import from_bytes  # noqa: PLC0415 -- rare, and 30 ms to import

    best = from_bytes(data[:65536]).best()
    if best is None:
        raise InputError("the encoding is not recognised: convert the file to UTF-8")
    text = data.decode(best.encoding, "replace")
    return text, f"encoding: guessed {best.encoding} and doubtful; convert the file to UTF-8"


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it was parsed: its line (JSON Lines, CSV) or row (Parquet) from 1, and its value or its fault."""

    number: int
    value: Any
    warning: str | None = None


def known_format(name: str | Path) -> Format | None:
    """Name the format that a file's extension stands for, ``.gz`` aside; None for an unknown one."""
    return FORMATS.get(Path(Path(name).name.lower().removesuffix(".gz")).suffix)


def known_extensions() -> str:
    """List the known extensions for a message."""
    return f"known: {' '.join(FORMATS)}, each also with .gz"


@contextmanager
def reading() -> Iterator[None]:
    """Turn what files and gzip raise into an InputError of one line, without the path."""
    try:
        yield
    except EOFError as error:
        raise InputError("the gzip file is cut short: copy or download it again") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"not a sound gzip file ({error}): copy or download it again") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading in bytes, unpacked where its name ends in ``.gz``."""
    return cast("BinaryIO", gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb"))


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Yield the records of a JSON Lines, CSV or Parquet file.

    Args:
        path: the file; its extension gives the format.
        columns: of a Parquet file, the columns to read; those that it lacks are passed over. None: all.

    Yields:
        Rows; the value of a row that cannot be parsed is the InputError that says why.

    Raises:
        InputError: what ends the whole file; the message leaves the path to the caller.
    """
    with reading(), ExitStack() as stack:
        stream = stack.enter_context(open_bytes(path))
        if known_format(path) == "parquet":
            if isinstance(stream, gzip.GzipFile):  # Parquet is read from its end
                unpacked = stack.enter_context(TemporaryFile())
                while chunk := stream.read(1 << 20):
                    unpacked.write(chunk)
                stream = cast("BinaryIO", unpacked)
            yield from _parquet_rows(stream, columns)
            return
        refuse_binary(stream.read(4096))
        stream.seek(0)
        yield from (csv_rows if known_format(path) == "csv" else json_rows)(stream)


def json_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield the values of JSON Lines; blank lines are passed over."""
    for number, (line, warning) in enumerate(decoded_lines(lines), start=1):
        if not line.strip():
            continue
        try:
            yield Row(number, json.loads(line), warning)
        except json.JSONDecodeError as error:
            yield Row(number, InputError(f"not a line of JSON: {error.msg} (column {error.colno})"))
        except (ValueError, RecursionError) as error:
            yield Row(number, InputError(f"not a line of JSON: {error}"))


def csv_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield the rows of a CSV file as dicts; empty cells are None, the number is the line where the row begins.

    See :func:`csv_header` for the delimiter. The csv module's limit on the length of a field, which is one for the
    whole process, is raised.

    Raises:
        InputError: the file has no header.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_FIELD_LIMIT))
    warnings: list[str] = []

    def texts() -> Iterator[str]:
        for line, warning in decoded_lines(lines):
            warnings.extend([warning] if warning else [])
            yield line

    source = texts()
    delimiter, header = csv_header(next(source, ""))
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, InputError(f"not a row of CSV: {error}"))
            continue
        if len(cells) > len(header):
            fault = (
                f"the row has {len(cells)} cells, the header {len(header)}: put quotes around cells with {delimiter!r}"
            )
            yield Row(number, InputError(fault))
        elif cells:
            pairs = zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True)
            yield Row(number, {name: cell or None for name, cell in pairs}, warnings[0] if warnings else None)
        warnings.clear()


def csv_header(line: str) -> tuple[str, list[str]]:
    """Return the delimiter of a CSV file, by its first line, and the names of its columns.

    The delimiter (comma, semicolon, tab or vertical bar) is the one that gives most columns: what stands in the rows,
    quotation marks above all, says nothing sure of it.

    Raises:
        InputError: the line is no header.
    """
    if not line.strip():
        raise InputError("a CSV file needs a header line with the names of its columns: its first line is blank")
    try:
        found = {mark: next(csv.reader([line], delimiter=mark)) for mark in _CSV_DELIMITERS}
    except csv.Error as error:
        raise InputError(f"its first line is not the header of a CSV file: {error}") from error
    delimiter = max(_CSV_DELIMITERS, key=lambda mark: len(found[mark]))
    return delimiter, [name.strip() for name in found[delimiter]]


def _parquet_rows(stream: BinaryIO, columns: Sequence[str] | None) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415 -- 0.2 s, only for Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            wanted = None if columns is None else [c for c in columns if c in names]
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                for number, value in enumerate(batch.to_pylist(), start=number + 1):  # noqa: B020 -- it counts on
                    yield Row(number, value)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise InputError(f"not a sound Parquet file: {' '.join(str(error).split())}") from error
