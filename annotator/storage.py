"""Writing scored articles to JSON Lines, Parquet and CSV, and reading them back.

Everything streams: a line, a row or a batch at a time. docs/schema.md describes the files column by column.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, cast

from annotator.columns import ParquetSink, from_columns, not_json, not_utf8
from annotator.errors import InputError, RecordError
from annotator.files import known_format, read_rows
from annotator.records import LABELS, ScoredArticle, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

RecordFormat = Literal["jsonl", "csv", "parquet"]

CSV_COLUMNS = (
    *("article_id", "outlet", "url", "title", "date", "model_version", "index", "start", "end", "role", "label"),
    *("confidence", *(f"p_{label}" for label in LABELS), "needs_review", "unverified"),
    *("source_start", "source_end", "source", "cue_start", "cue_end", "cue", "source_type", "text"),
)


def read_scored(paths: Iterable[str | Path]) -> Iterator[ScoredArticle]:
    """Read scored articles back from JSON Lines and Parquet files, in order.

    Raises:
        InputError: a file that cannot be read, or is of another format; ``path:line`` opens the message.
        RecordError: a record that is lean or breaks the schema.
    """
    for where, record in read_records(paths):
        yield ScoredArticle.from_dict(record, where=where)


def read_records(paths: Iterable[str | Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the records of JSON Lines and Parquet files as they stand, lean or not, each with its ``path:line``.

    Raises:
        InputError: a file that cannot be read, or is of another format.
        RecordError: a line that is no JSON object.
    """
    for path in map(Path, paths):
        if known_format(path) not in {"jsonl", "parquet"}:
            raise InputError(f"{path}: scored articles are read back from .jsonl and .parquet (also .gz) only")
        rows = read_rows(path)
        while True:
            try:
                row = next(rows, None)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            if row is None:
                break
            where = f"{path}:{row.number}"
            if isinstance(row.value, InputError):
                raise InputError(f"{where}: {row.value}") from row.value
            if not isinstance(row.value, dict):
                raise RecordError(f"{where}: a JSON object is expected, found {type(row.value).__name__}")
            yield where, from_columns(row.value, where)


# --- scored articles out -----------------------------------------------------------------------------------------


class ScoredWriter:
    """Writes scored articles to a file or a stream, as a context manager.

    A file is written under a hidden name beside its place and takes its name when all is written: an interrupted
    run leaves the old file or none. What is no regular file (``/dev/null``, a pipe) is written to directly.

    Args:
        target: a path, or a binary stream, which is left open.
        fmt: the format; without it, the path's extension decides.
        lean: leave out the texts of the article and of its segments.
        overwrite: replace a file that exists.
        durable: have a file safe on disk before it takes its name, so that a power cut cannot empty it.

    Raises:
        InputError: an unknown extension, a file that exists, a folder that does not, a full disk.
        RecordError: an article that the format cannot hold (a lone surrogate in Parquet or CSV, NaN in JSON).
    """

    def __init__(
        self,
        target: str | Path | BinaryIO,
        fmt: RecordFormat | None = None,
        *,
        lean: bool = False,
        overwrite: bool = False,
        durable: bool = False,
    ) -> None:
        path = Path(target) if isinstance(target, (str, Path)) else None
        self._name = "output" if path is None else str(path)
        self._lean = lean
        self._durable = durable
        self._fmt = fmt or _output_format(path)
        self._final: Path | None = None
        self._part: Path | None = None
        self._parquet: ParquetSink | None = None
        self._stack = ExitStack()  # closes what was opened here, the innermost first
        self._open = True
        zipped = path is not None and path.name.lower().endswith(".gz")
        if zipped and self._fmt == "parquet":
            raise InputError(f"{path}: Parquet compresses by itself: leave .gz off the name")
        try:
            with self._writing():
                self._file = cast("BinaryIO", target) if path is None else self._opened(path, overwrite=overwrite)
                if zipped:  # no time and no name inside: the same articles give the same bytes
                    packer = gzip.GzipFile("", "wb", 6, self._file, 0)
                    self._file = cast("BinaryIO", self._stack.enter_context(packer))
                if self._fmt == "parquet":
                    self._parquet = ParquetSink(self._file, lean=lean)
                elif self._fmt == "csv":
                    self._file.write(_csv_bytes([CSV_COLUMNS[: -1 if lean else None]]))
        except BaseException:
            self.abort()
            raise

    def _opened(self, path: Path, *, overwrite: bool) -> BinaryIO:
        if path.exists() and not path.is_file():
            return self._stack.enter_context(path.open("wb"))
        if path.exists() and not overwrite:
            raise InputError(f"{path}: the file exists: name another, or replace it with --force")
        self._final = path.resolve()  # a link stays a link
        part = self._final.with_name(f".{self._final.name}.{secrets.token_hex(4)}.part")
        file = self._stack.enter_context(part.open("xb"))
        self._part = part
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, scored: ScoredArticle) -> None:
        """Write one article; CSV gets one row a segment.

        Raises:
            InputError: it cannot be written (disk full, no permission).
            RecordError: the format cannot hold it; nothing of it is written.
        """
        with self._writing():
            if self._parquet is not None:
                self._parquet.write(scored)
            else:
                self._file.write((_json_line if self._fmt == "jsonl" else _csv_rows)(scored, lean=self._lean))

    def close(self) -> None:
        """Write what is left and give the file its name."""
        if not self._open:
            return
        try:
            with self._writing():
                if self._parquet is not None:
                    self._parquet.close()
                self._file.flush()
                self._stack.close()
                if self._part is not None and self._final is not None:
                    if self._durable:
                        _sync(self._part)
                    self._part.replace(self._final)
                    self._part = None
                    if self._durable:
                        _sync(self._final.parent)
            self._open = False
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Drop what was written to a file; what stood there before stays."""
        self._open = False
        if self._parquet is not None:
            self._parquet.abort()
        with suppress(OSError, ValueError):  # a full disk again: the first error is the one to tell
            self._stack.close()
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
            self._part = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader of a pipe has seen enough: not an error of the output
            raise
        except OSError as error:
            raise InputError(f"{self._name}: cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk; folders cannot be waited for on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_scored(
    records: Iterable[ScoredArticle],
    target: str | Path | BinaryIO,
    *,
    fmt: RecordFormat | None = None,
    lean: bool = False,
    overwrite: bool = False,
) -> int:
    """Write scored articles as they come and return how many; see :class:`ScoredWriter`."""
    count = 0
    with ScoredWriter(target, fmt, lean=lean, overwrite=overwrite) as writer:
        for count, scored in enumerate(records, start=1):  # noqa: B007 -- returned
            writer.write(scored)
    return count


def _output_format(path: Path | None) -> RecordFormat:
    fmt = "jsonl" if path is None else known_format(path)
    if fmt not in {"jsonl", "csv", "parquet"}:
        raise InputError(f"{path}: the name of an output ends in .jsonl, .csv (each also .gz) or .parquet")
    return fmt


def _json_line(scored: ScoredArticle, *, lean: bool) -> bytes:
    record = scored.to_dict(lean=lean)
    try:
        try:
            return f"{json.dumps(record, ensure_ascii=False, allow_nan=False)}\n".encode()
        except UnicodeEncodeError:  # a lone surrogate is no UTF-8, but has an escape in JSON
            return f"{json.dumps(record, allow_nan=False)}\n".encode()
    except (TypeError, ValueError) as error:
        raise not_json(scored, error) from error


def _csv_rows(scored: ScoredArticle, *, lean: bool) -> bytes:
    art = scored.article
    rows = []
    for index, seg in enumerate(scored.segments):
        said = seg.attribution

        def span(value: Span | None) -> tuple[int | None, int | None, str | None]:
            return (None, None, None) if value is None else (value.start, value.end, value.of(art.text))

        rows.append(
            (
                *(art.article_id, art.outlet, art.url, art.title, art.date, scored.model_version, index),
                *(seg.span.start, seg.span.end, seg.role, seg.label, seg.confidence),
                *(seg.probabilities.get(label) for label in LABELS),
                *(_boolean(seg.needs_review), _boolean(seg.unverified)),
                *(span(said.source if said else None)),
                *(span(said.cue if said else None)),
                said.source_type if said else None,
                *(() if lean else (seg.span.of(art.text),)),
            )
        )
    try:
        return _csv_bytes(rows)
    except UnicodeEncodeError as error:
        raise not_utf8(scored, "CSV") from error


def _boolean(value: bool | None) -> str | None:  # noqa: FBT001 -- a cell
    return None if value is None else str(value).lower()


def _csv_bytes(rows: Iterable[Sequence[Any]]) -> bytes:
    """Write rows as RFC 4180 has them; with its line end, CR LF, the csv module quotes texts that hold either."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode("utf-8")
