"""Scoring archives into a folder of shards that a killed run resumes byte by byte.

The inputs are read in parts (:mod:`annotator.parts`), a part is cut into shards of so many items, and a shard is
named by both numbers: ``000003-00012.jsonl`` covers items 12,000 to 12,999 of the fourth part when a shard has 1,000.
docs/schema.md describes the folder.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.bulk import EngineConfig
from annotator.classifier import SegmentClassifier
from annotator.errors import InputError
from annotator.ledger import NAME, Ledger, ShardRecord
from annotator.parts import Part, plan_parts, read_part
from annotator.reader import ReadFailure
from annotator.records import ScoredArticle
from annotator.registry import replace_text
from annotator.shards import ERRORS, ShardConfig, ShardWork, judge, known_ids, make_shard, shards_of

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


@dataclass(slots=True)
class Summary:
    """What a run has done in all, shards of earlier runs in the same folder included."""

    shards: int = 0
    articles: int = 0
    segments: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, record: ShardRecord) -> None:
        """Count a shard in."""
        self.shards += 1
        self.articles += record.articles
        self.segments += record.segments
        self.failed += record.failed
        self.skipped.update(record.skipped)


def run_shards(
    inputs: Sequence[str | Path],
    folder: Path,
    classifier: SegmentClassifier,
    config: ShardConfig,
    *,
    engine: EngineConfig | None = None,
    resume: bool = False,
    force: bool = False,
    known: Sequence[Path] = (),
    on_failure: Callable[[ReadFailure], None] | None = None,
    on_scored: Callable[[ScoredArticle], None] | None = None,
) -> Summary:
    """Score inputs into the shards of ``folder``, one shard after the other.

    Args:
        inputs: files, folders, patterns; not standard input.
        folder: made where it does not exist.
        classifier: the model.
        config: what the shards hold.
        engine: how much is done at a time.
        resume: go on with the run that the folder holds, if any; finished shards stay as they are.
        force: replace the run that the folder holds.
        known: earlier outputs (files or folders of shards) whose articles are left out, by id.
        on_failure: called with each failure of this run.
        on_scored: called with each record of this run.

    Raises:
        InputError: the folder holds other things, the run there was begun otherwise or its inputs have changed,
            the disk is full.
    """
    with open_run(folder, inputs, classifier.version, config, resume=resume, force=force, known=known) as ledger:
        try:
            for part in plan_parts(inputs, config.size):
                done = begin_part(ledger, folder, part)
                if done is None:
                    continue
                items = read_part(part, any_language=config.any_language)
                count = 0
                for number, cut in shards_of(items, config.size):
                    count = number + 1
                    if number in done:
                        deque(cut, maxlen=0)
                        continue
                    work = ShardWork(part=part.number, number=number, input=part.name, first=number * config.size)
                    with ledger.transaction():
                        ledger.begin_part(part.number, part.name, part.fingerprint())
                        record, failures = make_shard(
                            work, cut, judge(ledger, part, config), classifier, folder, config, engine, on_scored
                        )
                        ledger.add_shard(record, failures)
                    for _, failure in failures:
                        if on_failure is not None:
                            on_failure(failure)
                ledger.begin_part(part.number, part.name, part.fingerprint())
                ledger.end_part(part.number, count)
            return finish(ledger, folder, complete=True)
        except BaseException:
            finish(ledger, folder, complete=False)
            raise


# --- the folder --------------------------------------------------------------------------------------------------


def open_run(
    folder: Path,
    inputs: Sequence[str | Path],
    version: str,
    config: ShardConfig,
    *,
    resume: bool,
    force: bool,
    known: Sequence[Path],
) -> Ledger:
    """Open a run in a folder: a new one, or with ``resume`` the one that is there.

    Raises:
        InputError: see :func:`run_shards`.
    """
    wanted: dict[str, Any] = {
        "model": version,
        "inputs": [str(given) for given in inputs],
        "shard size": config.size,
        "format": config.fmt,
        "lean": config.lean,
        "dedupe": config.dedupe,
        "any language": config.any_language,
        "known": [str(path) for path in known],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in folder.iterdir()}
        if force and not resume:
            _clear(folder, there)
        elif there and NAME not in there:
            raise InputError(f"{folder}: the folder is not empty: name another, or write into it with --force")
        for path in folder.glob(".*.part"):  # of a run that was killed
            path.unlink()
    except FileExistsError as error:
        raise InputError(f"{folder}: shards need a folder, and this is a file: name another") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    ledger = Ledger(folder)
    try:
        begun = ledger.settings()
        if not begun:
            for path in known:
                ledger.add_known(known_ids(path))
            with ledger.transaction():
                ledger.set_settings(wanted)
            return ledger
        if not resume:
            raise InputError(f"{folder}: holds a run already: go on with --resume, or replace it with --force")
        for key, value in wanted.items():
            if begun.get(key) != value:
                raise InputError(
                    f"{folder}: the run there was begun with {key} {_brief(begun.get(key))}, not {_brief(value)}: "
                    "give the same, or start again with --force"
                )
    except BaseException:
        ledger.__exit__()
        raise
    return ledger


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _clear(folder: Path, there: set[str]) -> None:
    """Remove what a run has written, and nothing else."""
    if NAME not in there:
        return
    with Ledger(folder) as ledger:
        names = [record.file for record in ledger.shards() if record.file]
    for name in (*names, MANIFEST, ERRORS, NAME):
        (folder / name).unlink(missing_ok=True)


def begin_part(ledger: Ledger, folder: Path, part: Part) -> set[int] | None:
    """Return the numbers of the part's finished shards, or None when all of it is done.

    Raises:
        InputError: the part's files are not those with which it was begun.
    """
    begun = ledger.part(part.number)
    if begun is None:
        return set()
    name, fingerprint, shards = begun
    if (name, fingerprint) != (part.name, part.fingerprint()):
        raise InputError(
            f"{folder}: {part.name}: the inputs have changed since the run began: start again with --force"
        )
    done = set()
    for record in list(ledger.shards(part.number)):
        if record.file is None or _size(folder / record.file) == record.bytes:
            done.add(record.shard)
        else:
            logger.warning("%s is missing or cut short: it is made again", folder / record.file)
            ledger.drop_shard(part.number, record.shard)
    if shards == len(done):
        return None
    ledger.end_part(part.number, None)
    return done


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def finish(ledger: Ledger, folder: Path, *, complete: bool) -> Summary:
    """Write the manifest and the list of failures from the ledger; return what has been done in all.

    Raises:
        InputError: they cannot be written, and the run is complete (else what stopped it is the error to tell).
    """
    summary, shards = Summary(), []
    try:
        for record in ledger.shards():
            summary.add(record)
            shards.append(record.to_dict())
        manifest = {"schema": 1, "complete": complete, **ledger.settings(), "shards": shards}
        replace_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        errors = [
            json.dumps({"where": failure.where, "error": failure.error}, ensure_ascii=False) + "\n"
            for failure in ledger.failures()
        ]
        if errors:
            replace_text(folder / ERRORS, "".join(errors))
        else:
            (folder / ERRORS).unlink(missing_ok=True)
    except (OSError, InputError) as error:
        if complete:
            raise InputError(f"{folder}: the manifest cannot be written: {error}") from error
    return summary
