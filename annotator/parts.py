"""The inputs of a run in numbered parts, so that what is done can be told from what is left.

A part is one file of records, or up to a shard's worth of files that are a page each. Its items (articles and
failures, in order) are numbered from 0; skipped pages of a crawl have no number. Reading a part twice gives the same
items as long as its files are the same, which its fingerprint tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.errors import InputError
from annotator.files import known_format
from annotator.language import with_language_warning
from annotator.reader import ReadFailure, Skipped, expand, read_file
from annotator.records import Article

Item = Article | ReadFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files that are read in one go; ``faults`` are inputs among them that stand for no file.

    ``name`` has escapes where the file's name is not UTF-8. ``own_ids`` says that its records may carry ids of their
    own, which another part may hold too. Ids of pages that are files are their paths, ids of a crawl's records are
    unique by their standard: to compare them all would cost a cluster one more reading.
    """

    number: int
    name: str
    files: tuple[Path | ReadFailure, ...]
    own_ids: bool

    def fingerprint(self) -> str:
        """Return a digest of the names, sizes and times of the files, in hex."""
        state = hashlib.blake2b(digest_size=16)
        for file in self.files:
            if isinstance(file, ReadFailure):
                state.update(f"{file.where}\0fault\n".encode("utf-8", "surrogateescape"))
                continue
            try:
                found = file.stat()
                text = f"{file.as_posix()}\0{found.st_size}\0{found.st_mtime_ns}\n"
            except OSError:
                text = f"{file.as_posix()}\0absent\n"
            state.update(text.encode("utf-8", "surrogateescape"))
        return state.hexdigest()


def refuse_stdin(inputs: Sequence[str | Path]) -> None:
    """Refuse inputs that cannot be read again.

    Raises:
        InputError: standard input is among the inputs.
    """
    if "-" in map(str, inputs):
        raise InputError(
            "standard input cannot be read again after a stop: save it to a file, or write one output file"
        )


def plan_parts(inputs: Sequence[str | Path], pages: int, output: Path) -> Iterator[Part]:
    """Yield the parts of a run, lazily, in the order of the inputs; at most ``pages`` files of one page a part.

    What folders and patterns find in the folder ``output`` is left out.

    Raises:
        InputError: see :func:`refuse_stdin`.
    """
    refuse_stdin(inputs)
    number = 0
    seen: set[bytes] = set()
    waiting: list[Path | ReadFailure] = []

    def grouped() -> Iterator[Part]:
        nonlocal number
        if waiting:
            first = waiting[0]
            name = first.where if isinstance(first, ReadFailure) else first.as_posix()
            yield Part(number=number, name=_storable(name), files=tuple(waiting), own_ids=False)
            number += 1
            waiting.clear()

    for given in inputs:
        for found in expand(given, [output]):
            file: Path | ReadFailure = found
            if isinstance(found, Path):
                key = hashlib.blake2b(found.as_posix().encode("utf-8", "surrogateescape"), digest_size=8).digest()
                if key in seen:
                    file = ReadFailure(found.as_posix(), "the file is among the inputs already: name it once")
                seen.add(key)
            kind = None if isinstance(file, ReadFailure) else known_format(file)
            if isinstance(file, Path) and kind in {"jsonl", "csv", "parquet", "warc"}:
                yield from grouped()
                yield Part(number=number, name=_storable(file.as_posix()), files=(file,), own_ids=kind != "warc")
                number += 1
            else:
                waiting.append(file)
                if len(waiting) >= pages:
                    yield from grouped()
    yield from grouped()


def _storable(name: str) -> str:
    """Write what is not UTF-8 in a file's name as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_part(part: Part, *, any_language: bool = False, check_language: bool = True) -> Iterator[Item | Skipped]:
    """Yield what a part holds, lazily, in order; articles come with their language warning where it is looked for."""
    for file in part.files:
        if isinstance(file, ReadFailure):
            yield file
            continue
        for number, item in read_file(file, any_language=any_language):
            if isinstance(item, Article):
                yield with_language_warning(item) if check_language else item
            elif isinstance(item, Skipped):
                yield item
            else:
                where = file.as_posix()
                yield ReadFailure(f"{where}:{number}" if number else where, str(item))
