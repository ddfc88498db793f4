"""The command ``annotator score``: parse, score into one file or a folder of shards, tell what failed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from annotator.errors import AnnotatorError, InputError, RecordError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from annotator.bulk import EngineConfig
    from annotator.classifier import SegmentClassifier
    from annotator.ledger import ShardRecord
    from annotator.reader import ReadFailure
    from annotator.records import ScoredArticle
    from annotator.shards import ShardConfig, Verdict
    from annotator.storage import RecordFormat

SHARD_SIZE = 1000


class OutputFormat(StrEnum):
    """What ``score`` writes."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    CSV = "csv"


class Engine(StrEnum):
    """Where ``score`` works."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """Which model to load, and where."""

    models: Path | None
    version: str | None
    fast: bool
    device: str

    def classifier(self, config: EngineConfig) -> SegmentClassifier:
        from annotator.classifier import SegmentClassifier

        return SegmentClassifier.load(
            self.models, self.version, threads=config.session_threads, fast=self.fast, device=self.device
        )


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders, glob patterns, or - for standard input.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .jsonl, .csv (each also .gz) or .parquet; or a folder/."),
    ] = None,
    fmt: Annotated[
        OutputFormat | None, typer.Option("--format", help="Format (default: by the name of OUT, else jsonl).")
    ] = None,
    lean: Annotated[bool, typer.Option("--lean", help="Leave out the texts of pages and segments.")] = False,
    errors: Annotated[
        Path | None, typer.Option("--errors", help="Where failed inputs are listed (default: OUT.errors.jsonl).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    shard_size: Annotated[
        int | None,
        typer.Option("--shard-size", min=1, help=f"Pages a shard; OUT is a folder of shards (default: {SHARD_SIZE})."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the shards in OUT, if any.")] = False,
    skip_known: Annotated[
        list[Path] | None, typer.Option("--skip-known", help="Leave out articles of this output, by id (repeatable).")
    ] = None,
    dedupe: Annotated[bool, typer.Option("--dedupe", help="Leave out pages that repeat, or nearly, another.")] = False,
    any_language: Annotated[
        bool, typer.Option("--any-language", help="Of crawls (WARC, WET): also pages that are not French.")
    ] = False,
    engine: Annotated[Engine, typer.Option("--engine", help="This machine, or a Ray cluster.")] = Engine.LOCAL,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster (default: one on this machine).")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option("--models", help="Folder of model versions (default: $ANNOTATOR_MODELS, the user's, …)."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model version (default: the current one).")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="The version's smaller model: quicker, somewhat less right.")
    ] = False,
    device: Annotated[
        Literal["cpu", "cuda"], typer.Option("--device", help="Where ONNX Runtime computes (cuda: onnxruntime-gpu).")
    ] = "cpu",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads (default: one a core).")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Pages scored at a time (default: one a thread).")
    ] = None,
    stdin_format: Annotated[
        Literal["text", "html", "jsonl", "csv"] | None,
        typer.Option("--stdin-format", help="Format of standard input (default: found from content)."),
    ] = None,
) -> None:
    """Score pages: one record an article, in input order, to OUT or stdout."""
    from annotator.bulk import EngineConfig, count_articles, score_inputs
    from annotator.ledger import Ledger
    from annotator.reader import ReadFailure, refuse_outputs
    from annotator.shards import ShardConfig, keeper
    from annotator.storage import ScoredWriter

    config = EngineConfig.for_threads(threads, workers)
    known = skip_known or []
    load = _Load(models=models, version=model, fast=fast, device=device)
    fmt_name: RecordFormat | None = fmt.value if fmt else None
    watch = _Watch()
    if engine is not Engine.RAY and address is not None:
        raise InputError("--address is that of a Ray cluster: add --engine ray")
    if shard_size is not None or resume or engine is Engine.RAY or _is_folder(output, fmt):
        if output is None:
            raise InputError("shards need a folder to stand in: name it with -o")
        if _names_file(output) and not output.is_dir():
            raise InputError(f"{output}: a file's name, but shards need a folder: name one, or leave out their options")
        if errors is not None:
            raise InputError("--errors is for one output file: a folder of shards has its own errors.jsonl")
        if stdin_format is not None:
            raise InputError("--stdin-format: shards are not made of standard input: name files")
        if engine is Engine.RAY and workers is not None:
            raise InputError("--workers is for this machine: with --engine ray, --threads are those of an actor")
        shards = ShardConfig(
            size=shard_size or SHARD_SIZE,
            fmt=fmt_name or "jsonl",
            lean=lean,
            dedupe=dedupe,
            any_language=any_language,
        )
        try:
            _score_shards(
                inputs, output, shards, config, watch, load=load, resume=resume, force=force, known=known,
                address=(address or "") if engine is Engine.RAY else None, threads=threads,
            )  # fmt: skip
        except KeyboardInterrupt:
            _say(f"interrupted: what is done stands in {output}; go on with --resume")
            raise typer.Exit(130) from None
        return
    if output is None and fmt is OutputFormat.PARQUET and sys.stdout.isatty():
        raise AnnotatorError("Parquet is binary: name a file with -o, or send stdout to one")
    listed = _error_list(inputs, output, errors, force=force)
    outputs = [path for path in (output, listed) if path is not None]
    refuse_outputs([*inputs, *known], outputs)
    if output is None and sys.stdout is None:
        raise InputError("standard output is closed: name a file with -o")
    classifier = load.classifier(config)
    target = output if output is not None else sys.stdout.buffer
    with ExitStack() as stack:
        writer = stack.enter_context(ScoredWriter(target, fmt_name, lean=lean, overwrite=force))
        verdict = None
        if known or dedupe:
            verdict = keeper(stack.enter_context(Ledger(None)), dedupe=dedupe, known=known)
        stack.enter_context(watch.progress)
        watch.begin(None if watch.progress.disable or verdict else count_articles(inputs, outputs))
        for scored in score_inputs(
            inputs,
            classifier,
            on_failure=watch.failed,
            stdin=sys.stdin.buffer if "-" in inputs and sys.stdin is not None else None,
            stdin_format=stdin_format,
            any_language=any_language,
            on_skip=lambda page: watch.skip(page.reason),
            keep=None if verdict is None else lambda article: watch.keeps(verdict(article)),
            config=config,
            outputs=outputs,
        ):
            try:
                writer.write(scored)
            except RecordError as error:  # what the format cannot hold
                watch.failed(ReadFailure(scored.article.article_id, str(error)))
            else:
                watch.scored(scored)
    watch.tell_skipped(watch.skipped)
    if watch.failures:
        _list_failures(watch.failures, listed)
        raise typer.Exit(1)
    if errors is None and listed is not None:
        listed.unlink(missing_ok=True)  # of a run before


def _score_shards(
    inputs: list[str],
    folder: Path,
    shards: ShardConfig,
    config: EngineConfig,
    watch: _Watch,
    *,
    load: _Load,
    resume: bool,
    force: bool,
    known: list[Path],
    address: str | None,
    threads: int | None,
) -> None:
    """Score into a folder of shards, here or (``address`` not None) on a Ray cluster, and say what was done."""
    from annotator.shards import ERRORS

    with watch.progress:
        watch.begin(None)
        if address is None:
            from annotator.archive import run_shards

            classifier = load.classifier(config)
            summary = run_shards(
                inputs, folder, classifier, shards, engine=config,
                resume=resume, force=force, known=known, on_failure=watch.failed, on_scored=watch.scored,
            )  # fmt: skip
        else:
            from annotator.cluster import ClusterConfig, run_on_ray
            from annotator.registry import current_version, find_version, models_folder

            models = models_folder(load.models)
            model, named_fast = find_version(models, load.version or current_version(models))
            cluster = ClusterConfig(
                address=address or None, threads=threads or 1, fast=load.fast or named_fast, device=load.device
            )
            summary = run_on_ray(
                inputs, folder, model, shards, cluster,
                resume=resume, force=force, known=known, on_failure=watch.failed, on_shard=watch.shard,
            )  # fmt: skip
    watch.tell_skipped(summary.skipped)
    _say(f"{summary.articles} articles, {summary.segments} segments in {summary.shards} shards in {folder}")
    if summary.failed:
        _say(f"{_inputs(summary.failed)} failed, listed in {folder / ERRORS}")
        raise typer.Exit(1)


def _is_folder(output: Path | None, fmt: OutputFormat | None) -> bool:
    """Say whether ``-o`` is a folder of shards: it is one, or is not there yet and has no extension."""
    return output is not None and (output.is_dir() or not (output.exists() or output.suffix or fmt))


def _names_file(output: Path) -> bool:
    return output.name.removesuffix(".gz").endswith(tuple(f".{fmt.value}" for fmt in OutputFormat))


def _error_list(inputs: list[str], output: Path | None, errors: Path | None, *, force: bool) -> Path | None:
    """Return where failed inputs are listed; None: on stderr alone.

    Raises:
        InputError: the list would take the place of something else, or has no folder to stand in.
    """
    if errors is None:
        return None if output is None else output.with_name(output.name + ".errors.jsonl")
    if errors == output or str(errors) in inputs:
        raise InputError(f"--errors {errors}: this is the output or an input: give the list a name of its own")
    if errors.is_file() and not force:  # devices and pipes are written to directly
        raise InputError(f"--errors {errors}: the file exists: give another name, or add --force")
    if not errors.parent.is_dir():
        raise InputError(f"--errors {errors}: its folder does not exist: make it")
    return errors


class _Watch:
    """What a run shows while it goes on, and what it has to tell at its end."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.failures: list[ReadFailure] = []
        self.skipped: Counter[str] = Counter()
        self._task: TaskID | None = None
        self._segments = 0

    def begin(self, total: int | None) -> None:
        self._task = self.progress.add_task("scoring", total=total, rate="")

    def failed(self, failure: ReadFailure) -> None:
        self.failures.append(failure)
        self.progress.console.print(f"failed: {failure.where}: {failure.error}", markup=False, soft_wrap=True)

    def skip(self, reason: str) -> None:
        self.skipped[reason] += 1

    def keeps(self, verdict: Verdict) -> bool:
        if isinstance(verdict, str):
            self.skip(verdict)
        return verdict is None

    def scored(self, scored: ScoredArticle) -> None:
        self._advance(1, len(scored.segments))

    def shard(self, record: ShardRecord) -> None:
        self._advance(record.articles, record.segments)

    def _advance(self, articles: int, segments: int) -> None:
        if self._task is None:
            return
        self._segments += segments
        elapsed = self.progress.tasks[0].elapsed or 0.0
        rate = f"{self._segments / elapsed:.0f} segments/s" if elapsed > 1 else ""
        self.progress.update(self._task, advance=articles, rate=rate)

    def tell_skipped(self, skipped: Counter[str]) -> None:
        if skipped:
            _say("left out: " + ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())))


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def _inputs(count: int) -> str:
    return f"{count} input{'s' if count > 1 else ''}"


def _list_failures(failures: list[ReadFailure], path: Path | None) -> None:
    count = f"{_inputs(len(failures))} failed"
    if path is None:
        _say(f"{count}, listed above")
        return
    lines = [json.dumps({"where": f.where, "error": f.error}, ensure_ascii=False) + "\n" for f in failures]
    try:
        path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        _say(f"{count}, listed above; {path}: cannot be written ({error.strerror})")
        return
    _say(f"{count}, listed in {path}")
