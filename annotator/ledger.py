"""What a sharded run has done, on disk: one SQLite file in the output folder, ``.ledger.sqlite``.

A shard counts as done when the ledger says so, which happens in one transaction after the shard has its name. The
same transaction holds the ids and texts that the shard claimed, so that a killed run resumes with exactly what its
finished shards knew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from annotator.errors import InputError
from annotator.reader import ReadFailure

NAME = ".ledger.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS parts
    (number INTEGER PRIMARY KEY, name TEXT NOT NULL, fingerprint TEXT NOT NULL, shards INTEGER);
CREATE TABLE IF NOT EXISTS shards
    (part INTEGER, number INTEGER, record TEXT NOT NULL, PRIMARY KEY (part, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures
    (part INTEGER, shard INTEGER, position INTEGER, place TEXT NOT NULL, error TEXT NOT NULL,
     PRIMARY KEY (part, shard, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ids (digest BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (digest BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_PLACES = 40  # bits of a place that number an item in its part

Claim = Literal["ids", "texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A finished shard, as the manifest has it.

    ``items`` counts what the shard covers of its part from item ``first`` on; ``file`` is None where none of them
    gave a record; ``skipped`` counts pages that were left out, by reason.
    """

    part: int
    shard: int
    input: str
    first: int
    items: int
    file: str | None = None
    articles: int = 0
    segments: int = 0
    failed: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


class LedgerDamagedError(InputError):
    """The file is there and is no ledger, or not a whole one."""


class Ledger:
    """An open ledger; one process at a time.

    Raises:
        InputError: it cannot be read or written, or another process works in the same folder.
        LedgerDamagedError: its file is damaged.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open or make the ledger of a folder; None: a temporary one, on disk, gone when closed."""
        self._where = "temporary ledger" if folder is None else str(folder)
        with self._guarded():
            self._db = sqlite3.connect("" if folder is None else folder / NAME, timeout=0.2, isolation_level=None)
            try:
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA cache_size=-65536")  # 64 MiB
                self._db.execute("BEGIN EXCLUSIVE")
                for statement in _SCHEMA.strip().split(";\n"):
                    self._db.execute(statement.rstrip(";"))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if "locked" in text:
                text = "another run is writing here: wait for it, or name another folder"
            elif "not a database" in text or "malformed" in text:
                raise self._damaged() from error
            elif "unable to open" in text or "readonly" in text:
                text = f"{NAME} cannot be written: give yourself write permission there, or name another folder"
            raise InputError(f"{self._where}: {text}") from error

    def _damaged(self) -> LedgerDamagedError:
        return LedgerDamagedError(f"{self._where}: {NAME} is damaged: start again with --force, or name another folder")

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._guarded():
            return self._db.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside happen, or nothing of it."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.rollback()
            raise

    # --- settings

    def settings(self) -> dict[str, Any]:
        """Return what the run was begun with; empty for a new ledger."""
        with self._guarded():
            return {key: json.loads(value) for key, value in self._run("SELECT key, value FROM settings")}

    def check(self) -> None:
        """Look through the whole file.

        Raises:
            LedgerDamagedError: it is damaged.
        """
        if self._run("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise self._damaged()

    def clear(self) -> None:
        """Forget everything."""
        for table in ("settings", "parts", "shards", "failures", "ids", "texts", "known"):
            self._run(f"DELETE FROM {table}")  # noqa: S608 -- ours

    def set_settings(self, values: Mapping[str, Any]) -> None:
        """Note what the run is begun with."""
        for key, value in values.items():
            self._run("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, json.dumps(value))

    # --- parts and shards

    def part(self, number: int) -> tuple[str, str, int | None] | None:
        """Return name, fingerprint and, when it is all done, the number of shards of a part that was begun."""
        row = self._run("SELECT name, fingerprint, shards FROM parts WHERE number = ?", number).fetchone()
        return row if row is None else (row[0], row[1], row[2])

    def begun_parts(self) -> int:
        """Return one more than the highest number of a part that was begun."""
        (highest,) = self._run("SELECT max(number) FROM parts").fetchone()
        return 0 if highest is None else int(highest) + 1

    def begin_part(self, number: int, name: str, fingerprint: str) -> None:
        """Note that a part is begun."""
        self._run("INSERT OR IGNORE INTO parts VALUES (?, ?, ?, NULL)", number, name, fingerprint)

    def end_part(self, number: int, shards: int | None) -> None:
        """Note that all ``shards`` of a part are done (None: that they are not any more)."""
        self._run("UPDATE parts SET shards = ? WHERE number = ?", shards, number)

    def add_shard(self, record: ShardRecord, failures: Iterable[tuple[int, ReadFailure]]) -> None:
        """Note a shard as done, with what failed in it by position."""
        key = (record.part, record.shard)
        self._run("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", *key, json.dumps(record.to_dict()))
        self._run("DELETE FROM failures WHERE part = ? AND shard = ?", *key)
        for position, failure in failures:
            place, text = (x.encode("utf-8", "backslashreplace").decode() for x in (failure.where, failure.error))
            self._run("INSERT INTO failures VALUES (?, ?, ?, ?, ?)", *key, position, place, text)

    def drop_shard(self, part: int, shard: int) -> None:
        """Note that a shard has to be made again."""
        self._run("DELETE FROM shards WHERE part = ? AND number = ?", part, shard)

    def shards(self, part: int | None = None) -> Iterator[ShardRecord]:
        """Yield the finished shards of a part, or all, in order."""
        where, values = ("", ()) if part is None else ("WHERE part = ?", (part,))
        for (text,) in self._run(f"SELECT record FROM shards {where} ORDER BY part, number", *values):  # noqa: S608
            yield ShardRecord(**json.loads(text))

    def failures(self) -> Iterator[ReadFailure]:
        """Yield what failed in finished shards, in order."""
        for place, error in self._run("SELECT place, error FROM failures ORDER BY part, shard, position"):
            yield ReadFailure(place, error)

    # --- ids and texts

    def claim(self, table: Claim, digest: bytes, part: int, position: int) -> tuple[str, int] | None:
        """Claim an id or a text for an item; return the part's name and position of an earlier one that has it.

        The item that comes first in the input holds a claim, whichever asked first.
        """
        place = part << _PLACES | position
        self._run(
            f"INSERT INTO {table} VALUES (?, ?) "  # noqa: S608 -- one of two names
            "ON CONFLICT (digest) DO UPDATE SET place = min(place, excluded.place)",
            digest,
            place,
        )
        return self.earlier(table, digest, part, position)

    def earlier(self, table: Claim, digest: bytes, part: int, position: int) -> tuple[str, int] | None:
        """Return who holds an id or text, unless it is the item itself."""
        row = self._run(f"SELECT place FROM {table} WHERE digest = ?", digest).fetchone()  # noqa: S608
        if row is None or row[0] == part << _PLACES | position:
            return None
        number, first = row[0] >> _PLACES, row[0] & ((1 << _PLACES) - 1)
        found = self.part(number)
        return ("an earlier input" if found is None else found[0], first)

    def add_known(self, digests: Iterable[bytes]) -> None:
        """Note ids that need no scoring, inside a transaction of the caller's."""
        with self._guarded():
            self._db.executemany("INSERT OR IGNORE INTO known VALUES (?)", ((digest,) for digest in digests))

    def knows(self, digest: bytes) -> bool:
        """Say whether an id needs no scoring."""
        return self._run("SELECT 1 FROM known WHERE digest = ?", digest).fetchone() is not None
