"""Reading pages: files, folders, glob patterns and standard input to articles, one at a time.

A text is taken as it is: the decoded file less its byte order mark, line ends kept. A broken input is reported and
reading goes on. docs/schema.md lists formats, fields and ids.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from glob import glob, has_magic
from pathlib import Path
from typing import Any, BinaryIO, Literal

from annotator.errors import InputError
from annotator.files import (
    Row,
    csv_rows,
    decode,
    json_rows,
    known_extensions,
    known_format,
    open_bytes,
    read_rows,
    reading,
)
from annotator.html import html_to_article
from annotator.language import looks_french, with_language_warning
from annotator.records import Article

_log = logging.getLogger(__name__)

StdinFormat = Literal["text", "html", "jsonl", "csv"]

TEXT_FIELDS = ("text", "content", "body")
ID_FIELDS = ("article_id", "id", "doc_id")
OUTLET_FIELDS = ("outlet", "sitename", "domain")
_FIELDS = (*TEXT_FIELDS, *ID_FIELDS, *OUTLET_FIELDS, "url", "title", "date", "text_sha256", "schema", "model_version")
_HTML_OPENING = re.compile(
    r"\s*<(?:!--|(?:!doctype|\?xml|html|head|body|meta|title|main|article|section|div|h1|p)\b)", re.IGNORECASE
)
_JSONL_OPENING = re.compile(rb'\s*\{\s*"')


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """An input that gave no article: ``where`` is a path, or ``path:line`` (``path:row`` for Parquet)."""

    where: str
    error: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A page of a crawl that is no failure and no article: why it is left out."""

    reason: Literal["not French"]


@dataclass(slots=True)
class _Seen:
    """Where each id was first read: about 120 bytes an id, 230 where each is a file of its own."""

    files: list[str] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    def claim(self, article_id: str, number: int | None) -> str | None:
        """Note an id of the file opened last; return the place that holds it already, if any."""
        digest = hashlib.blake2b(article_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        place = (len(self.files) - 1) << 40 | (number or 0)
        first = self.places.setdefault(digest, place)
        if first == place:
            return None
        name, line = self.files[first >> 40], first & ((1 << 40) - 1)
        return f"{name}:{line}" if line else name


def read_articles(
    inputs: Sequence[str | Path],
    *,
    stdin: BinaryIO | None = None,
    stdin_format: StdinFormat | None = None,
    on_error: Callable[[ReadFailure], None] | None = None,
    check_language: bool = True,
    any_language: bool = False,
    on_skip: Callable[[Skipped], None] | None = None,
    outputs: Sequence[Path] = (),
) -> Iterator[Article]:
    """Read articles lazily, in the order of the inputs; a file is opened when its first article is asked for.

    Args:
        inputs: files; folders (read in depth, sorted by name, files of known formats only, hidden ones and linked
            folders left out); glob patterns (``**`` for any depth; sorted, files of known formats only); ``-``.
        stdin: the stream that ``-`` stands for, in bytes; text unless it opens like JSON Lines or HTML.
        stdin_format: its format, where that is known.
        on_error: called with each failure, after which reading goes on.
        check_language: add a warning to articles that do not look French.
        any_language: read pages of crawls (WARC, WET) in other languages than French too.
        on_skip: called with each page of a crawl that is left out.
        outputs: files and folders being written, which folders and patterns leave out.

    Yields:
        One article a page or record. Blank pages are articles too.

    Raises:
        InputError: the first failure, when there is no ``on_error``.
    """
    seen = _Seen()
    for name, items in _sources(inputs, stdin, stdin_format, outputs, any_language=any_language):
        seen.files.append(name)
        with closing(items):
            for number, item in items:
                where = f"{name}:{number}" if number else name
                if isinstance(item, Skipped):
                    if on_skip is not None:
                        on_skip(item)
                    continue
                if isinstance(item, Article) and (first := seen.claim(item.article_id, number)):
                    item = InputError(f"article_id {item.article_id!r} was read before, at {first}: ids must differ")  # noqa: PLW2901
                if isinstance(item, Article):
                    yield with_language_warning(item) if check_language else item
                elif on_error is None:
                    raise InputError(f"{where}: {item}") from item
                else:
                    on_error(ReadFailure(where, str(item)))


# --- inputs to files ---------------------------------------------------------------------------------------------

_Items = Iterator[tuple[int | None, "Article | InputError | Skipped"]]


def _sources(
    inputs: Sequence[str | Path],
    stdin: BinaryIO | None,
    stdin_format: StdinFormat | None,
    outputs: Sequence[Path],
    *,
    any_language: bool,
) -> Iterator[tuple[str, Any]]:
    """Yield the name of each source with a generator over what it holds."""
    for given in inputs:
        if str(given) == "-":
            yield "stdin", _guarded(_read_stdin(stdin, stdin_format))
            stdin = None
            continue
        for path in expand(given, outputs):
            if isinstance(path, ReadFailure):
                yield path.where, _guarded(iter([(None, InputError(path.error))]))
            else:
                yield path.as_posix(), read_file(path, any_language=any_language)


def _guarded(items: _Items) -> _Items:
    """Turn an error that ends a source into its last item."""
    try:
        yield from items
    except InputError as error:
        yield None, error


def refuse_outputs(inputs: Sequence[str | Path], outputs: Sequence[Path]) -> None:
    """Refuse an output that is named as something to read.

    Raises:
        InputError: one is: it would be written while it is read.
    """
    written = {output.resolve() for output in outputs}
    for given in inputs:
        if str(given) != "-" and Path(given).resolve() in written:
            raise InputError(f"{given}: is read, and is the output too: name another output")


def expand(given: str | Path, outputs: Sequence[Path] = ()) -> Iterator[Path | ReadFailure]:
    """Yield the files that one input (file, folder or pattern) stands for, or why there are none.

    What a folder or a pattern finds that is one of ``outputs``, or lies in one, is left out.
    """
    path = Path(given)
    try:
        # An input that itself lies in an output was chosen there.
        written = [out for out in (o.resolve() for o in outputs) if not path.resolve().is_relative_to(out)]
        if path.is_dir():
            yield from _found(_walk(path, written), path.as_posix(), "the folder holds no file of a known format")
        elif path.exists() or path.is_symlink():
            yield path
        elif has_magic(str(given)):
            yield from _found(
                _matches(str(given), written), str(given), "no file of a known format matches the pattern"
            )
        else:
            yield ReadFailure(path.as_posix(), "no such file or folder")
    except OSError as error:  # a name too long, a folder that is closed to us
        yield ReadFailure(path.as_posix(), f"cannot be read: {error.strerror or error}")


def _is_in(path: Path, outputs: Sequence[Path]) -> bool:
    """Say whether a path is, or lies in, one of the outputs (resolved); few paths are worth asking the disk for."""
    return any(out.name in path.parts and path.resolve().is_relative_to(out) for out in outputs)


def _matches(pattern: str, outputs: Sequence[Path]) -> Iterator[Path]:
    fixed = sum(1 for _ in itertools.takewhile(lambda part: not has_magic(part), Path(pattern).parts))
    for match in sorted(glob(pattern, recursive=True)):  # noqa: PTH207 -- Path.glob takes no absolute pattern
        path = Path(match)
        # glob goes through linked folders below **, where a link that leads back up makes pages without end
        linked = "**" in pattern and any(p.is_symlink() for p in path.parents if len(p.parts) > fixed)
        if known_format(path) and not linked and not path.is_dir() and not _is_in(path, outputs):
            yield path


def _found(files: Iterator[Path | ReadFailure], where: str, nothing: str) -> Iterator[Path | ReadFailure]:
    empty = True
    for path in files:
        empty = False
        yield path
    if empty:
        yield ReadFailure(where, f"{nothing} ({known_extensions()})")


def _walk(folder: Path, outputs: Sequence[Path]) -> Iterator[Path | ReadFailure]:
    try:
        entries = sorted(folder.iterdir(), key=lambda p: p.name)
    except OSError as error:
        yield ReadFailure(folder.as_posix(), f"cannot be read: {error.strerror or error}")
        return
    for path in entries:
        if path.name.startswith(".") or _is_in(path, outputs):
            continue
        if path.is_dir():
            if not path.is_symlink():  # a link may lead back up
                yield from _walk(path, outputs)
        elif known_format(path):
            yield path


# --- files to articles -------------------------------------------------------------------------------------------


def read_file(path: Path, *, any_language: bool = False) -> _Items:
    """Read one file: yield the line or row of each record (None for a page that is a file), and what it gave.

    A file that fails is opened once more and read on from where it failed (network file systems lose a handle and
    give it back); when it fails again, the error is its last item.
    """
    done = 0
    try:
        for item in _read_file(path, any_language=any_language):
            yield item
            done += 1
    except InputError as first:
        _log.info("%s: %s: reading it once more", path, first)
        yield from _guarded(itertools.islice(_read_file(path, any_language=any_language), done, None))


def _read_file(path: Path, *, any_language: bool) -> _Items:
    """Yield what one file holds, with the line or row of each record; None for a file that is one page."""
    fmt, name = known_format(path), path.as_posix()
    if fmt is None:
        raise InputError(f"unknown extension {path.suffix!r} ({known_extensions()})")
    if fmt in {"text", "html"}:
        with reading(), open_bytes(path) as stream:
            data = stream.read()
        yield None, _page(data, html=fmt == "html", article_id=name)
    elif fmt == "warc":
        yield from _crawled(path, any_language=any_language)
    else:
        yield from _articles(read_rows(path, columns=_FIELDS), name, table=fmt != "jsonl")


def _crawled(path: Path, *, any_language: bool) -> _Items:
    from annotator.crawl import read_crawl  # noqa: PLC0415 -- only crawls pay for it

    for number, page in read_crawl(path):
        french = any_language or isinstance(page, InputError) or looks_french(page.text)
        yield number, page if french else Skipped("not French")


def _read_stdin(stream: BinaryIO | None, fmt: StdinFormat | None) -> _Items:
    if stream is None:
        raise InputError("standard input ('-') is not there, or was read already: name it once")
    with reading():
        head: list[bytes] = []
        for line in stream:
            head.append(line)
            if line.strip():
                break
        if b"".join(head).startswith(b"WARC/"):
            raise InputError("a crawl (WARC, WET) on standard input: give the name of its file instead")
        if fmt is None and _JSONL_OPENING.match(b"".join(head).removeprefix(b"\xef\xbb\xbf")):
            fmt = "jsonl"
        if fmt in {"jsonl", "csv"}:
            rows = (json_rows if fmt == "jsonl" else csv_rows)(itertools.chain(head, stream))
            yield from _articles(rows, "stdin", table=fmt == "csv")
            return
        yield (
            None,
            _page(b"".join(head) + stream.read(), html=None if fmt is None else fmt == "html", article_id="stdin"),
        )


def _page(data: bytes, *, html: bool | None, article_id: str) -> Article:
    """Read one page; ``html`` None: tell by its beginning."""
    if html:
        return html_to_article(data, article_id=article_id)
    text, warning = decode(data)
    if html is None and _HTML_OPENING.match(text):
        return html_to_article(data, article_id=article_id)
    return Article(article_id=article_id, text=text, warnings=(warning,) if warning else ())


def _articles(rows: Iterator[Row], name: str, *, table: bool) -> _Items:
    """Make articles of rows; the columns of a table (CSV, Parquet) are checked once, at its first row."""
    for row in rows:
        if table and isinstance(row.value, Mapping):
            _check_columns(row.value)
            table = False
        try:
            yield row.number, _article(row, f"{name}#{row.number}")
        except InputError as error:
            yield row.number, error


def _check_columns(record: Mapping[str, Any]) -> None:
    if {"index", "start", "end", "label"} <= record.keys():
        raise InputError("a CSV of scored segments, one a row: read the JSON Lines or Parquet output instead")
    if not any(name in record for name in TEXT_FIELDS):
        raise _no_text(record)


def _no_text(record: Mapping[str, Any]) -> InputError:
    if "schema" in record and "model_version" in record:
        return InputError("a scored record without its text (written with --lean?): read the page it was made of")
    names = ", ".join(map(str, record)) or "nothing"
    return InputError(f"no text: needs one of {', '.join(TEXT_FIELDS)}; found {names}")


def _article(row: Row, derived_id: str) -> Article:
    record = row.value
    if isinstance(record, InputError):
        raise record
    if not isinstance(record, Mapping):
        raise InputError(f"a JSON object is expected, found {type(record).__name__}")
    name, text = _first(record, TEXT_FIELDS)
    if text is None:
        raise _no_text(record)
    if not isinstance(text, str):
        raise InputError(f"{name} is {type(text).__name__}, not a string")
    warnings = [row.warning] if row.warning else []
    expected = record.get("text_sha256")
    article = Article(
        article_id=_article_id(record, derived_id),
        text=text,
        outlet=_plain(record, OUTLET_FIELDS, warnings),
        url=_plain(record, ("url",), warnings),
        title=_plain(record, ("title",), warnings),
        date=_plain(record, ("date",), warnings),
        warnings=tuple(warnings),
    )
    if expected is not None and expected != article.text_sha256:
        raise InputError("text_sha256 does not match the text: the text was altered; restore it, or drop text_sha256")
    return article


def _first(record: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """Find the first of the fields that is there and not null."""
    return next(((name, record[name]) for name in names if record.get(name) is not None), ("", None))


def _article_id(record: Mapping[str, Any], derived_id: str) -> str:
    name, value = _first(record, ID_FIELDS)
    if value is None or value == "":
        return derived_id
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"{name} is {type(value).__name__}, not a string or a whole number")
    return str(value)


def _plain(record: Mapping[str, Any], names: Sequence[str], warnings: list[str]) -> str | None:
    """Read a field that describes the page; one of an odd type is no reason to lose the page."""
    name, value = _first(record, names)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (str, int, float)):
        return str(value) or None
    if value is not None:
        warnings.append(f"{name}: {type(value).__name__} instead of a string, left out")
    return None
