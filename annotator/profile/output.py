"""Profiles out: JSON Lines, one profile a line, and CSV, one figure a row (docs/profile.md)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from annotator.errors import InputError
from annotator.files import known_format
from annotator.profile.values import Profile

CSV_COLUMNS = (
    *("scope", "article_id", "outlet", "model_version", "articles", "segments", "signal"),
    *("value", "low", "high", "n", "observed", "corrected"),
)


def write_profiles(profiles: Iterable[Profile], target: Path | BinaryIO, *, overwrite: bool = False) -> int:
    """Write profiles as they come and return how many; a stream gets JSON Lines, a path what its name says.

    A file takes its name when all is written.

    Raises:
        InputError: the name ends in neither .jsonl nor .csv, the file exists, or it cannot be written.
    """
    if not isinstance(target, Path):
        return _write(map(_json_line, profiles), target)
    kind = known_format(target)
    if kind not in {"jsonl", "csv"} or target.suffix.lower() == ".gz":
        raise InputError(f"{target}: the name of a file of profiles ends in .jsonl or .csv")
    if target.is_file() and not overwrite:
        raise InputError(f"{target}: the file exists: name another, or replace it with --force")
    special = target.exists() and not target.is_file()  # a pipe or a device is written to directly
    part = target if special else target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            count = _write(map(_json_line, profiles) if kind == "jsonl" else _csv_lines(profiles), file)
        if not special:
            part.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        if not special:
            part.unlink(missing_ok=True)
    return count if kind == "jsonl" else count - 1


def _write(parts: Iterable[bytes], file: BinaryIO) -> int:
    count = 0
    for count, part in enumerate(parts, start=1):  # noqa: B007 - returned
        file.write(part)
    return count


def _json_line(profile: Profile) -> bytes:
    record = profile.to_dict()
    try:
        return f"{json.dumps(record, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8, but has an escape in JSON
        return f"{json.dumps(record)}\n".encode()


def _csv_lines(profiles: Iterable[Profile]) -> Iterator[bytes]:
    """Yield the header, then the rows of each profile."""
    yield _csv_bytes([CSV_COLUMNS])
    for profile in profiles:
        head = (profile.scope, profile.article_id, profile.outlet, profile.model_version)
        yield _csv_bytes(
            (
                *(*head, profile.articles, profile.segments, name),
                *(figure.value, figure.low, figure.high, figure.n, figure.observed, str(figure.corrected).lower()),
            )
            for name, figure in profile.figures.items()
        )


def _csv_bytes(rows: Iterable[tuple[object, ...]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode("utf-8", "backslashreplace")
