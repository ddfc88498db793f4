"""The commands of ``annotator models``: parse, call one function, print.

Data go to stdout, messages to stderr. Exit status: 0 all done, 1 the gate refuses or a version is
broken, 2 nothing could be done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from annotator.errors import AnnotatorError

if TYPE_CHECKING:
    from annotator.evaluation import Evaluation
    from annotator.gatefile import GateSet, SetResult

app = typer.Typer(
    help="Model versions: list, show, compare, put in use, take back, judge at the gate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Models = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of model versions (default: $ANNOTATOR_MODELS, the user's, the shipped)."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads (default: one a core).")]
Resamples = Annotated[int, typer.Option("--resamples", min=100, help="Resamples of the articles.")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the whole result to a file.")]


@app.command("list")
def list_(models: Models = None) -> None:
    """List the versions of a registry with the macro-F1 they reached; the one in use is marked."""
    from annotator.registry import (
        broken_versions,
        current_version,
        list_versions,
        model_path,
        models_folder,
        read_manifest,
        read_metrics,
    )

    folder = models_folder(models)
    if not folder.is_dir():
        raise AnnotatorError(f"{folder}: no such folder: name a registry with --models or ANNOTATOR_MODELS")
    broken = broken_versions(folder)
    try:
        current = current_version(folder)
    except AnnotatorError:
        current = ""
    rows = []
    for version in (name for name in list_versions(folder) if name not in broken):
        details = read_manifest(model_path(folder, version), verify=False).details
        metrics = read_metrics(folder / version)
        reached = [f"{name} {_macro(data)}" for name, data in metrics.items() if name not in ("error", "error_fast")]
        made, data = str(details.get("created_at", "")), str(details.get("train_digest", ""))[:12]
        rows.append(("*" if version == current else "", version, made, data, "; ".join(reached)))
    _print_rows(["in use", "version", "made", "data", "macro-F1"], rows)
    _say(f"{len(rows)} versions in {folder}")
    _name_broken(broken)


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Version (default: the current one).")] = None,
    models: Models = None,
) -> None:
    """Print a version's manifest and metrics as JSON, after checking its files; ``fast`` names its fast model."""
    from annotator.registry import model_path, models_folder, read_manifest, read_metrics

    folder = model_path(models_folder(models), version)
    read_manifest(folder)
    data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if (folder / "fast.json").is_file():
        data["fast"] = read_manifest(folder, fast=True).version
    if metrics := read_metrics(folder):
        data["metrics"] = metrics
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Version, or the name of a fast model (models show).")],
    b: Annotated[str, typer.Argument(help="Version to hold against it: what is printed is B - A.")],
    labelled: Annotated[list[Path], typer.Argument(help="Labelled pages: .jsonl files or folders.")],
    models: Models = None,
    as_json: Json = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resampling.")] = 0,
    resamples: Resamples = 1000,
    threads: Threads = None,
) -> None:
    """Compare two versions on labelled pages: paired differences with intervals, and the segments that flipped."""
    from annotator.classifier import SegmentClassifier
    from annotator.comparison import compare as compare_evaluations
    from annotator.dataset import read_pages
    from annotator.evaluation import evaluate
    from annotator.pipeline import score

    pages = read_pages(*labelled)

    def run(version: str) -> Evaluation:
        model = SegmentClassifier.load(models, version, threads=threads)
        return evaluate(
            pages, lambda article, spans: score(article, model, spans=spans), seed=seed, resamples=resamples
        )

    found = compare_evaluations(run(a), run(b), seed=seed, resamples=resamples)
    spans = {page.article.article_id: [segment.span for segment in page.segments] for page in pages}
    rows = [("macro-F1", _signed(found.macro_f1))]
    rows += [(f"F1 {label}", _signed(estimate)) for label, estimate in found.labels.items()]
    mended = sum(flip.b == flip.gold for flip in found.flips)
    broken = sum(flip.a == flip.gold for flip in found.flips)
    rows += [("flipped", f"{len(found.flips)} segments: {mended} mended, {broken} broken")]
    _print_rows(["measure", f"{b} - {a}"], rows)
    flips = [
        [flip.article_id, str(span.start), str(span.end), flip.gold, flip.a or "-", flip.b or "-"]
        for flip in found.flips
        for span in [spans[flip.article_id][flip.segment]]
    ]
    _print_rows(["page", "start", "end", "gold", a, b], flips)
    _write(as_json, found.to_dict())


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version to put in use.")],
    models: Models = None,
) -> None:
    """Put a version in use, gate or no gate: CURRENT names it from now on."""
    from annotator.registry import models_folder
    from annotator.registry import promote as put_in_use

    folder = models_folder(models)
    with _hold(folder):
        put_in_use(folder, version)
    _say(f"{version} is in use in {folder}")


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="Version (default: the one in use before).")] = None,
    models: Models = None,
    project: Annotated[
        str | None,
        typer.Option("--project", envvar="LABEL_STUDIO_PROJECT", help="Also in this project of Label Studio."),
    ] = None,
    url: Annotated[str, typer.Option("--url", envvar="LABEL_STUDIO_URL")] = "http://localhost:8080",
    token_file: Annotated[Path | None, typer.Option("--token-file", help="File that holds the access token.")] = None,
) -> None:
    """Go back to the version in use before; in Label Studio to its predictions, nothing is computed anew."""
    from annotator.registry import model_path, models_folder, previous_version, read_manifest
    from annotator.registry import promote as put_in_use

    folder = models_folder(models)
    with _hold(folder):
        chosen = version or previous_version(folder)
        read_manifest(model_path(folder, chosen))
        if project is not None:
            from annotator.labelstudio.client import Server, find_token
            from annotator.labelstudio.lock import locked
            from annotator.labelstudio.project import open_project
            from annotator.labelstudio.switch import switch

            # Label Studio first: where its predictions are lacking nothing has changed yet.
            with Server(url, find_token(None, token_file)) as server, locked(server.url, project):
                server.check_version()
                switch(server, open_project(server, project), chosen)
            _say(f"project {project!r} shows the predictions of {chosen}")
        put_in_use(folder, chosen, back=True)
    _say(f"{chosen} is in use in {folder}")


@app.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="Versions that stay, the one in use included.")] = 3,
    models: Models = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
) -> None:
    """Remove old versions; the one in use and the one to roll back to stay."""
    from annotator.registry import broken_versions, models_folder
    from annotator.registry import prune as remove

    folder = models_folder(models)
    with _hold(folder):
        for version in remove(folder, keep=keep, dry_run=dry_run):
            typer.echo(version)
        broken = broken_versions(folder)
    _name_broken(broken)


@app.command()
def gate(
    version: Annotated[str | None, typer.Argument(help="Challenger (default: the current version).")] = None,
    champion: Annotated[str | None, typer.Option("--champion", help="Held against it (default: the current).")] = None,
    path: Annotated[Path | None, typer.Option("--gate", help="gate.json (default: labels/gate.json).")] = None,
    gate_data: Annotated[
        list[Path] | None, typer.Option("--gate-data", help="More gate pages, pinned in gate.json by their digest.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Raise the floors to what this version reaches.")] = False,
    allow_regression: Annotated[
        bool, typer.Option("--allow-regression", help="With --update: put floors where they are measured.")
    ] = False,
    models: Models = None,
    as_json: Json = None,
    resamples: Resamples = 2000,
    threads: Threads = None,
) -> None:
    """Judge a version on frozen pages: against the one in use, paired, and against floors; exit 1 when refused."""
    from annotator.classifier import SegmentClassifier
    from annotator.gate import judge, measure, megabytes, slowness
    from annotator.gatefile import GateFile, gate_path, gate_sets, read_gate, set_result, updated, write_gate
    from annotator.registry import current_version, model_path, models_folder

    if allow_regression and not update:
        raise AnnotatorError("--allow-regression goes with --update")
    folder = models_folder(models)
    new = path is not None and update and not path.is_file()
    where = path if new and path is not None else gate_path(path)
    pinned = GateFile() if new else read_gate(where)
    sets = gate_sets(where, pinned, gate_data or (), known=not update and bool(pinned.sets))
    challenger = SegmentClassifier(model_path(folder, version), threads=threads)

    def results(model: SegmentClassifier, sets: Sequence[GateSet]) -> dict[str, SetResult]:
        found = measure(model, sets, resamples=resamples)
        return {name: set_result(one.to_dict(pages=True)) for name, one in found.items()}

    if update:
        if not sets:
            raise AnnotatorError(
                f"{where}: no pages to measure: put gate.jsonl beside it, or name them with --gate-data"
            )
        write_gate(where, updated(pinned, sets, results(challenger, sets), lower=allow_regression))
        _say(f"floors of {len(sets)} sets written to {where}")
        return
    before: SegmentClassifier | None = None
    if champion is not None or current_version(folder) != challenger.version:
        before = SegmentClassifier(model_path(folder, champion), threads=threads)
    verdict = judge(
        pinned,
        sets,
        results(challenger, sets),
        None if before is None else results(before, sets),
        size=megabytes(model_path(folder, version)),
        slower=None if before is None else slowness(challenger, before, sets[0].pages),
        resamples=resamples,
    )
    for line in verdict.lines():
        typer.echo(line)
    _write(as_json, verdict.to_dict())
    if not verdict.passed:
        raise typer.Exit(1)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    """Hold the registry's lock, which a retraining holds too; a package's own folder is left alone."""
    from annotator.labelstudio.lock import hold
    from annotator.registry import refuse_package

    refuse_package(folder)
    if not folder.is_dir():
        raise AnnotatorError(f"{folder}: no such folder: name a registry with --models or ANNOTATOR_MODELS")
    with hold(folder / ".lock", f"models {folder}"):
        yield


def _name_broken(broken: Mapping[str, str]) -> None:
    for line in broken.values():
        _say(f"left out: {line}")
    if broken:
        raise typer.Exit(1)


def _macro(data: dict[str, Any]) -> str:
    try:
        macro = data["own"]["macro_f1"]
        return f"{macro['value']:.3f} [{macro['low']:.3f}, {macro['high']:.3f}]"
    except (KeyError, TypeError, ValueError):
        return "-"


def _signed(estimate: Any) -> str:
    return f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"


def _write(path: Path | None, record: dict[str, Any]) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise AnnotatorError(f"{path}: cannot be written ({error.strerror})") from error
    _say(f"written to {path}")


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def _print_rows(header: list[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        for row in (header, *rows):
            typer.echo("\t".join(map(str, row)))
        return
    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    Console(highlight=False).print(table)
