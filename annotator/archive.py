"""Scoring archives into a folder of shards that a killed run resumes byte by byte.

The inputs are read in parts (:mod:`annotator.parts`), a part is cut into shards of so many items, and a shard is
named by both numbers: ``000003-00012.jsonl`` covers items 12,000 to 12,999 of the fourth part when a shard has 1,000.
docs/schema.md describes the folder.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotator.bulk import EngineConfig
from annotator.classifier import SegmentClassifier
from annotator.errors import InputError
from annotator.ledger import NAME, Ledger, LedgerDamagedError, ShardRecord
from annotator.parts import Part, plan_parts, read_part, refuse_stdin
from annotator.reader import ReadFailure, refuse_outputs
from annotator.records import ScoredArticle
from annotator.registry import replace_text
from annotator.shards import ERRORS, ShardConfig, ShardWork, judge, known_ids, make_shard, shards_of

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_SHARD = re.compile(r"\d{6,}-\d{5,}\.(jsonl|csv|parquet)")
# What a killed run leaves of a shard or of the manifest.
_LEFTOVER = re.compile(rf"\.{_SHARD.pattern}\.\w+\.part|\.({MANIFEST}|errors\.jsonl)\.\d+")


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

    What folders and patterns find in ``folder`` itself is not read.

    Raises:
        InputError: the folder holds other things or is named as an input or as known, the run there was begun
            otherwise or its inputs have changed, its ledger is damaged, the disk is full.
    """
    with open_run(folder, inputs, classifier.version, config, resume=resume, force=force, known=known) as ledger:
        try:
            for part in plan_parts(inputs, config.size, folder):
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
    if resume and force:
        raise InputError("--resume goes on with a run, --force replaces it: give one of the two")
    refuse_stdin(inputs)
    refuse_outputs(inputs, [folder])
    out = folder.resolve()
    for path in known:
        if path.resolve().is_relative_to(out):
            raise InputError(f"{path}: is known and the output too: name another output")
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
    except FileExistsError as error:
        raise InputError(f"{folder}: shards need a folder, and this is a file: name another") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    if not force and there and NAME not in there:
        raise InputError(f"{folder}: the folder is not empty: name another, or write into it with --force")
    if force and not there & {NAME, MANIFEST} and any(map(_SHARD.fullmatch, there)):
        raise InputError(f"{folder}: holds shards without the ledger and manifest of their run: name another folder")
    ledger = _locked(folder, force=force)
    try:
        begun = ledger.settings()
        idle = not ledger.begun_parts() and there <= {NAME, f"{NAME}-journal", MANIFEST}
        if begun and not force and not idle:
            if not resume:
                raise InputError(f"{folder}: holds a run already: go on with --resume, or replace it with --force")
            _refuse_other_settings(folder, begun, wanted)
            _refuse_changed_parts(ledger, folder, inputs, config)
            _remove(folder, leftovers=True)
        elif begun or force or there <= {NAME, f"{NAME}-journal"}:
            with ledger.transaction():
                ledger.clear()
                for path in known:  # what cannot be read ends here, when nothing is removed yet
                    ledger.add_known(known_ids(path))
                ledger.set_settings(wanted)
                _remove(folder, leftovers=not force)
        else:
            raise InputError(f"{folder}: its ledger {NAME} is empty, and other files are there: replace with --force")
        _describe(ledger, folder, complete=False)
    except BaseException:
        ledger.__exit__()
        raise
    return ledger


def _locked(folder: Path, *, force: bool) -> Ledger:
    """Open the ledger, which keeps other runs out; with ``force``, a damaged one is dropped."""
    if force:
        try:
            with Ledger(folder) as ledger:
                ledger.check()
        except LedgerDamagedError:
            for name in (NAME, f"{NAME}-journal"):
                (folder / name).unlink(missing_ok=True)
    return Ledger(folder)


def _refuse_other_settings(folder: Path, begun: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if _comparable(key, begun.get(key)) != _comparable(key, value):
            raise InputError(
                f"{folder}: the run there was begun with {key} {_brief(begun.get(key))}, not {_brief(value)}: "
                "give the same, or start again with --force"
            )


def _comparable(key: str, value: Any) -> Any:
    """Paths are the same however they are written (``in/``, ``./in``); ids are made of the normal form anyway."""
    return [Path(path) for path in value] if key in {"inputs", "known"} and isinstance(value, list) else value


def _refuse_changed_parts(ledger: Ledger, folder: Path, inputs: Sequence[str | Path], config: ShardConfig) -> None:
    """Compare the parts that were begun with the inputs as they are, before anything is written."""
    begun = ledger.begun_parts()
    planned = 0
    for part in itertools.islice(plan_parts(inputs, config.size, folder), begun):
        planned += 1
        found = ledger.part(part.number)
        if found is not None:
            _refuse_changed(folder, part, found)
    if planned < begun:
        last = ledger.part(begun - 1)
        raise _changed(folder, last[0] if last else "inputs")


def _refuse_changed(folder: Path, part: Part, begun: tuple[str, str, int | None]) -> None:
    if begun[:2] != (part.name, part.fingerprint()):
        raise _changed(folder, part.name)


def _changed(folder: Path, name: str) -> InputError:
    return InputError(f"{folder}: {name}: the inputs have changed since the run began: start again with --force")


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _remove(folder: Path, *, leftovers: bool) -> None:
    """Remove what a run has written, and nothing else; or only the unfinished files that a killed one left.

    The caller holds the lock: they are not those of a run that goes on.
    """
    try:
        for path in list(folder.iterdir()):
            name = path.name
            if _LEFTOVER.fullmatch(name) or (not leftovers and (_SHARD.fullmatch(name) or name in {MANIFEST, ERRORS})):
                path.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error


def begin_part(ledger: Ledger, folder: Path, part: Part) -> set[int] | None:
    """Return the numbers of the part's finished shards, or None when all of it is done.

    Raises:
        InputError: the part's files are not those with which it was begun.
    """
    begun = ledger.part(part.number)
    if begun is None:
        return set()
    _refuse_changed(folder, part, begun)
    done = set()
    for record in list(ledger.shards(part.number)):
        if record.file is None or _size(folder / record.file) == record.bytes:
            done.add(record.shard)
        else:
            logger.warning("%s is missing or cut short: it is made again", folder / record.file)
            ledger.drop_shard(part.number, record.shard)
    if begun[2] == len(done):
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
    try:
        return _describe(ledger, folder, complete=complete)
    except InputError:
        if complete:
            raise
    return Summary()


def _describe(ledger: Ledger, folder: Path, *, complete: bool) -> Summary:
    summary, shards = Summary(), []
    for record in ledger.shards():
        summary.add(record)
        shards.append(record.to_dict())
    manifest = {"schema": 1, "complete": complete, **ledger.settings(), "shards": shards}
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    errors = [
        json.dumps({"where": failure.where, "error": failure.error}, ensure_ascii=False) + "\n"
        for failure in ledger.failures()
    ]
    try:
        # A lone surrogate (a file name that is not UTF-8) becomes its JSON escape.
        replace_text(folder / MANIFEST, text.encode("utf-8", "backslashreplace").decode())
        if errors:
            replace_text(folder / ERRORS, "".join(errors))
        else:
            (folder / ERRORS).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: the manifest cannot be written: {error.strerror or error}: make room or give yourself write "
            "permission, then go on with --resume"
        ) from error
    return summary
