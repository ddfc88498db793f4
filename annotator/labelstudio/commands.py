"""The commands of ``annotator labelstudio``: parse, call one function, print.

Data go to stdout, messages and progress to stderr. Exit status: 0 all done, 1 some articles failed or a project
differs from what it should be, 2 nothing could be done (an error of the library, printed by the root command).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from annotator.labelstudio.client import Server
    from annotator.records import ScoredArticle

app = typer.Typer(
    name="labelstudio",
    help="Send scored pages to Label Studio, pre-annotated, and bring labelled pages back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # their tables of local variables would show the token
)

Url = Annotated[
    str, typer.Option("--url", envvar="LABEL_STUDIO_URL", help="Address of Label Studio.", show_default=True)
]
Token = Annotated[
    str | None,
    typer.Option("--token", help="Access token (others on this machine see it: prefer $LABEL_STUDIO_API_KEY)."),
]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File that holds the access token.")]
Title = Annotated[str, typer.Option("--project", envvar="LABEL_STUDIO_PROJECT", help="Title of the project.")]
Scored = Annotated[list[Path], typer.Argument(help="Scored articles: .jsonl or .parquet.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_URL = "http://localhost:8080"
DEFAULT_TITLE = "annotator"


@app.command()
def init(
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    guide: Annotated[
        Path | None, typer.Option("--guide", help="Guide for annotators, Markdown (default: the shipped one).")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Apply what differs to the project.")] = False,
) -> None:
    """Create the project, or show how it differs from what it should be; prints its number."""
    from annotator.labelstudio import project as projects
    from annotator.labelstudio.config import guide_path, read_guide
    from annotator.labelstudio.lock import locked

    text = read_guide(guide_path(guide))
    with _server(url, token, token_file) as server, locked(server.url, project):
        result = projects.init(server, project, text, update=update)
    for line in result.diff:
        _say(line)
    if result.created:
        _say(f"project {project!r} is made: {server.url}projects/{result.project_id}")
    elif result.applied:
        _say(f"project {project!r} is updated")
    elif result.diff:
        _say(f"project {project!r} differs (- project, + wanted): apply it with --update")
    else:
        _say(f"project {project!r} is as it should be")
    typer.echo(str(result.project_id))
    if result.diff and not result.applied:
        raise typer.Exit(1)


@app.command()
def push(
    scored: Scored,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    changed: Annotated[bool, typer.Option("--changed", help="New tasks for articles whose text changed.")] = False,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Model versions that keep their predictions (default: all).")
    ] = None,
    switch: Annotated[
        bool, typer.Option("--switch", help="Put the model version in use although open tasks lack it.")
    ] = False,
    blind: Annotated[
        float, typer.Option("--blind", min=0, max=1, help="Share of the new tasks that show no prediction.")
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    batch_bytes: Annotated[int, typer.Option("--batch-bytes", min=1, help="Size of a request.")] = 4_000_000,
    as_json: Json = False,
) -> None:
    """Make tasks with predictions of scored articles; what is there already is left alone."""
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.push import PushOptions
    from annotator.labelstudio.push import push as push_articles

    options = PushOptions(
        changed=changed, keep=keep, switch=switch, dry_run=dry_run, batch_bytes=batch_bytes, blind=blind
    )
    with _server(url, token, token_file) as server, locked(server.url, project), _progress() as tell:
        report = push_articles(server, open_project(server, project), _source(scored), options, progress=tell)
    for line in report.failed:
        _say(f"failed: {line}")
    for name in report.changed:
        if not changed:
            _say(f"article {name!r} has another text on the server: left alone (--changed makes a new task)")
    for line in report.remarks:
        _say(line)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        would = "would be " if dry_run else ""
        blinded = f" ({report.blind} blind)" if report.blind else ""
        typer.echo(
            f"{report.created} tasks {would}made{blinded}, {report.predicted} predictions {would}added, "
            f"{report.left_alone} articles left alone, {report.doubles_removed} doubles {would}removed"
        )
        if report.switched:
            typer.echo(f"model version {report.model_version} {'would be put' if dry_run else 'is'} in use")
        if report.pruned:
            typer.echo(f"predictions {would}deleted of {', '.join(report.pruned)}")
    if report.failed or (report.changed and not changed):
        raise typer.Exit(1)


@app.command()
def queue(
    scored: Scored,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    genres: Annotated[
        list[Path] | None, typer.Option("--genres", help="JSON Lines with article_id and genre: the input, say.")
    ] = None,
    random_share: Annotated[float, typer.Option("--random", min=0, max=1, help="Share of pages at random.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random pages.")] = 0,
    as_json: Json = False,
) -> None:
    """Order the open tasks for review: scores of the tasks, and a view in that order.

    Uncertain pages come first, from many outlets, with --genres also of many genres.
    """
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.queue import write_queue
    from annotator.review.queue import QueueRules, read_genres

    rules = QueueRules(random_share=random_share, seed=seed)
    stated = read_genres(genres or ())
    with _server(url, token, token_file) as server, locked(server.url, project), _progress() as tell:
        report = write_queue(
            server, open_project(server, project), _source(scored)(), genres=stated, rules=rules, progress=tell
        )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        typer.echo(
            f"{len(report.places)} tasks wait ({report.begun} begun), {report.done} are done, "
            f"{report.unknown} were not scored; {report.scores_changed} scores changed"
        )


@app.command()
def pull(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File of labelled pages to bring up to date (.jsonl, also .gz).")
    ],
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    full: Annotated[bool, typer.Option("--full", help="Read everything, not only what changed.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the annotations of everyone to a file of labelled pages; what cannot be used goes to OUT.quarantine."""
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.pull import pull as pull_pages
    from annotator.labelstudio.pull import quarantine_path

    with _server(url, token, token_file) as server, locked(server.url, project), _progress() as tell:
        report = pull_pages(server, open_project(server, project), output, full=full, progress=tell)
    if report.quarantined:
        _say(f"{report.quarantined} annotations cannot be used: reasons in {quarantine_path(output)}")
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        typer.echo(
            f"{report.pages} pages, {report.annotations} annotations ({report.skipped} skipped, "
            f"{report.discussed} to discuss), {report.tasks_read} tasks read"
        )


@app.command()
def migrate(
    rename: Annotated[list[str], typer.Option("--rename", metavar="OLD=NEW", help="Several OLD to one NEW: a merge.")],
    backup: Annotated[Path, typer.Option("--backup", help="File that keeps config and results as they were (.json).")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    write: Annotated[bool, typer.Option("--write", help="Change the project; else only say what would be.")] = False,
) -> None:
    """Rename or merge a label in the project: its config, and every annotation, draft and prediction."""
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.relabel import relabel
    from annotator.migration import read_pairs

    renames = read_pairs("--rename", rename)
    with _server(url, token, token_file) as server, locked(server.url, project), _progress() as tell:
        report = relabel(
            server, open_project(server, project), renames, backup, dry_run=not write,
            progress=lambda done, total: tell("results", done, total),
        )  # fmt: skip
    for old, count in sorted(report.regions.items()):
        typer.echo(f"{old}\t{renames[old]}\t{count}")
    _say(f"{report.results} results {'changed' if write else 'would change: add --write'}")


@app.command()
def status(
    scored: Annotated[
        list[Path] | None, typer.Argument(help="Scored articles that a push would take.", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File that a pull would write.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
    project: Title = DEFAULT_TITLE,
    as_json: Json = False,
) -> None:
    """Say where the project stands: done, skipped, in discussion, by annotator and model version."""
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.status import status as read_status

    with _server(url, token, token_file) as server, _progress() as tell:
        source = _source(scored) if scored else None
        found = read_status(server, open_project(server, project), source=source, output=output, progress=tell)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    for name, value in found.table():
        typer.echo(f"{name}\t{value}")


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def _source(paths: list[Path]) -> Callable[[], Iterator[ScoredArticle]]:
    from annotator.storage import read_scored

    return lambda: read_scored(paths)


@contextmanager
def _server(url: str, token: str | None, token_file: Path | None) -> Iterator[Server]:
    from annotator.labelstudio.client import Server, find_token

    with Server(url, find_token(token, token_file)) as server:
        server.check_version()
        yield server


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def tell(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=total)
            progress.update(bars[step], completed=done, total=total)

        yield tell
