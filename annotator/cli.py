"""The command line. A command parses, calls the library, prints: data on stdout, messages and progress on stderr.

Exit status: 0 all done, 1 some input failed (listed on stderr and in a file), 2 wrong usage or nothing could start.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from annotator import __version__
from annotator.errors import AnnotatorError
from annotator.labels import app as labels_app
from annotator.labelstudio.commands import app as labelstudio_app
from annotator.models_commands import app as models_app
from annotator.report.commands import report
from annotator.scoring import score
from annotator.serve.commands import serve

if TYPE_CHECKING:
    from annotator.reader import ReadFailure

StdinFormat = Literal["text", "html", "jsonl", "csv"]

app = typer.Typer(
    name="annotator",
    help="Mark every segment of French news pages: reported claim, attributed quote, editorial framing, boilerplate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")
app.add_typer(labels_app, name="labels")
app.add_typer(labelstudio_app, name="labelstudio")
app.command()(score)
app.command()(report)
app.command()(serve)


Inputs = Annotated[
    list[str],
    typer.Argument(help="Files, folders, glob patterns, or - for standard input.", show_default=False),
]
Models = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of model versions (default: $ANNOTATOR_MODELS, the user's, the shipped)."),
]
ModelVersion = Annotated[str | None, typer.Option("--model", help="Model version (default: the current one).")]
Fast = Annotated[bool, typer.Option("--fast", help="The version's smaller model: quicker, somewhat less right.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads (default: one a core).")]
StdinAs = Annotated[
    StdinFormat | None, typer.Option("--stdin-format", help="Format of standard input (default: found from content).")
]


def _err() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _say(message: str) -> None:
    _err().print(message, markup=False)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what the library does, to stderr.")] = False,
) -> None:
    """Set up logging; print the version when asked."""
    if version:
        typer.echo(f"annotator {__version__}")
        raise typer.Exit
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(name)s: %(message)s")
    if not verbose:
        # Libraries warn about single pages (what matters of it stands in the record) and about their caches.
        for name in ("htmldate", "charset_normalizer", "matplotlib"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@app.command()
def show(
    inputs: Inputs,
    models: Models = None,
    model: ModelVersion = None,
    fast: Fast = False,
    threads: Threads = None,
    stdin_format: StdinAs = None,
) -> None:
    """Show pages in the terminal, coloured by label, with confidence and what needs review."""
    from annotator.bulk import score_inputs
    from annotator.classifier import SegmentClassifier
    from annotator.terminal import render_page

    failures: list[ReadFailure] = []

    def failed(failure: ReadFailure) -> None:
        failures.append(failure)
        _say(f"failed: {failure.where}: {failure.error}")

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    classifier = SegmentClassifier.load(models, model, threads=threads, fast=fast)
    stdin = sys.stdin.buffer if "-" in inputs else None
    for index, scored in enumerate(
        score_inputs(inputs, classifier, on_failure=failed, stdin=stdin, stdin_format=stdin_format)
    ):
        if index:
            console.rule(style="dim")
        console.print(render_page(scored))
    if failures:
        raise typer.Exit(1)


@app.command()
def evaluate(
    labelled: Annotated[
        list[Path], typer.Argument(help="Labelled pages: .jsonl files or folders.", show_default=False)
    ],
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the whole result to a file.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resampling.")] = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Resamples of the articles.")] = 1000,
    models: Models = None,
    model: ModelVersion = None,
    fast: Fast = False,
    threads: Threads = None,
) -> None:
    """Compare the model's labels with people's: macro-F1 with its interval, per label, calibration, attribution."""
    from annotator.classifier import SegmentClassifier
    from annotator.dataset import read_pages
    from annotator.evaluation import evaluate as run_evaluation
    from annotator.pipeline import score as score_article

    classifier = SegmentClassifier.load(models, model, threads=threads, fast=fast)
    result = run_evaluation(
        read_pages(*labelled),
        lambda article, spans: score_article(article, classifier, spans=spans),
        seed=seed,
        resamples=resamples,
    )
    header, *rows = result.table()
    _print_rows(header, rows)
    if as_json is not None:
        text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n"
        try:
            as_json.write_text(text, encoding="utf-8")
        except OSError as error:
            raise AnnotatorError(f"{as_json}: cannot be written ({error.strerror})") from error
        _say(f"written to {as_json}")


@app.command()
def profile(
    scored: Annotated[
        list[Path],
        typer.Argument(help="Scored records: .jsonl (also .gz) or .parquet, lean or not.", show_default=False),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write: .jsonl or .csv.")] = None,
    by: Annotated[Literal["outlet", "article"], typer.Option("--by", help="What gets a profile.")] = "outlet",
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    models: Models = None,
) -> None:
    """Profile outlets or articles: who speaks, who is named, in shares with intervals; no overall score.

    Prints tables on a terminal, one JSON object a line elsewhere. Figures marked * are not corrected for the model's
    error, which is not known for them.
    """
    from annotator.profile import errors_in, profile_files, write_profiles
    from annotator.registry import models_folder
    from annotator.terminal import profile_tables

    profiles = profile_files(scored, errors_in(models_folder(models)), by=by)
    if output is not None:
        write_profiles(profiles, output, overwrite=force)
    elif sys.stdout.isatty():
        console = Console(highlight=False)
        for table in profile_tables(list(profiles), width=console.width):
            console.print(table, end="\n\n")
    else:
        write_profiles(profiles, sys.stdout.buffer)


@labels_app.command("check")
def labels_check(
    paths: Annotated[list[Path], typer.Argument(help="Labelled pages: .jsonl files or folders.", show_default=False)],
) -> None:
    """Check labelled pages: offsets, coverage, labels, attribution, splits; exit 1 when something is wrong."""
    from annotator.dataset import check_paths

    problems = check_paths(*paths)
    for problem in problems:
        typer.echo(problem)
    if problems:
        _say(f"{len(problems)} problems")
        raise typer.Exit(1)
    _say("no problem found")


@labels_app.command("stats")
def labels_stats(
    paths: Annotated[list[Path], typer.Argument(help="Labelled pages: .jsonl files or folders.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count pages, outlets, segments by label, attributions; print the digest of the data."""
    from annotator.dataset import read_pages, stats

    result = stats(read_pages(*paths))
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        return
    header, *rows = result.table()
    _print_rows(header, rows)
    typer.echo("origins\t" + ", ".join(f"{count} {name}" for name, count in result.origins.items() if count))
    typer.echo(f"digest {result.digest}")


def _print_rows(header: list[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        for row in (header, *rows):
            typer.echo("\t".join(map(str, row)))
        return
    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    Console(highlight=False).print(table)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except AnnotatorError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our stdout has gone (head, less): nothing is left to say, to anyone.
        _to_devnull(sys.stdout)
        sys.exit(141)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)


def _to_devnull(stream: IO[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main() -> None:
    """Run the command line; errors of the library become one line on stderr and exit status 2."""
    with _one_line_errors():
        app()
