"""What a run has done: a file a step, with a digest of what the step was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.registry import file_digest, replace_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished step: the digest of its inputs and what came out."""

    inputs: str
    result: dict[str, Any]


def read_record(folder: Path, step: str) -> Record | None:
    """Return the record of a step in ``folder``, None where it was never finished.

    Raises:
        InputError: the record cannot be read.
    """
    path = folder / "steps" / f"{step}.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Record(inputs=data["inputs"], result=data["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error!r}): delete it, and the step is done again") from error


def write_record(folder: Path, step: str, record: Record) -> None:
    """Write the record of a finished step, whole or not at all."""
    path = folder / "steps" / f"{step}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    data = {"inputs": record.inputs, "finished": now, "result": record.result}
    replace_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def inputs_digest(inputs: Any) -> str:
    """Return the SHA-256 (hex) of a value's JSON form; paths count by their name as given."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """Return one digest of files and of the ``*.jsonl`` files of folders, by content; a file that is not there counts.

    Raises:
        ModelError: a file cannot be read.
    """
    found = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        found += [[p.name, file_digest(p) if p.is_file() else None] for p in inside]
    return inputs_digest(found)
