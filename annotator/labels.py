"""The commands of ``annotator labels`` about people's work: agreement, queue, suspects, adjudication.

As in :mod:`annotator.cli`: a command parses, calls the library, prints. What goes to Label Studio goes there only when
a project is named (``--project``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from annotator.errors import InputError
from annotator.labelstudio.commands import DEFAULT_URL, Token, TokenFile, Url, _server
from annotator.registry import replace_text

DEFAULT_BASE = "models/base"
ImportFormat = Literal["csv", "conll", "labelstudio"]

app = typer.Typer(help="Labelled pages: check, count, compare, choose, mend.", no_args_is_help=True)

Labelled = Annotated[list[Path], typer.Argument(help="Labelled pages: .jsonl files or folders.", show_default=False)]
Project = Annotated[
    str | None, typer.Option("--project", help="Also write a view to this Label Studio project.", show_default=False)
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File for the list (.jsonl).")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists; never a file that is read.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the resampling.")]


@app.command()
def agreement(
    labelled: Labelled,
    scored: Annotated[
        list[Path] | None, typer.Option("--scored", help="The predictions that were pushed (.jsonl, .parquet).")
    ] = None,
    output: Output = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    seed: Seed = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Resamples of the articles.")] = 1000,
    project: Project = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
) -> None:
    """Measure how far annotators agree, with each other, with the model, over time; list where they do not."""
    from annotator.dataset import read_pages
    from annotator.labelstudio.views import DISAGREEMENTS
    from annotator.review.agreement import agreement as measure
    from annotator.storage import read_scored

    _check_output(output, [*labelled, *(scored or ())], force=force)
    found = measure(read_pages(*labelled), scored=read_scored(scored) if scored else (), seed=seed, resamples=resamples)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _rows(found.table())
    _say(f"{len(found.disagreements)} segments with different labels")
    _list(output, [item.to_dict() for item in found.disagreements])
    _view(project, DISAGREEMENTS, [item.article_id for item in found.disagreements], url, token, token_file)


@app.command()
def queue(
    scored: Annotated[list[Path], typer.Argument(help="Scored articles: .jsonl or .parquet.", show_default=False)],
    labelled: Annotated[
        list[Path] | None, typer.Option("--labelled", help="Pages that are labelled already: they are not queued.")
    ] = None,
    genres: Annotated[
        list[Path] | None, typer.Option("--genres", help="JSON Lines with article_id and genre: the input, say.")
    ] = None,
    random_share: Annotated[float, typer.Option("--random", min=0, max=1, help="Share of pages at random.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random pages.")] = 0,
    output: Output = None,
    force: Force = False,
) -> None:
    """Order scored pages for review: uncertain first, from many outlets, some at random; with --genres of many genres.

    A scored page states no genre: without --genres only outlets are spread.
    """
    from annotator.dataset import read_pages
    from annotator.review.queue import Candidate, QueueRules, candidates, read_genres
    from annotator.review.queue import queue as order
    from annotator.storage import read_scored

    _check_output(output, [*scored, *(labelled or ())], force=force)
    pages = read_pages(*labelled) if labelled else []
    known = {page.article.article_id: page for page in pages}
    done = [
        Candidate(article_id=name, outlet=page.article.outlet, genre=page.genre, uncertainty=0.0)
        for name, page in known.items()
    ]
    stated = read_genres(genres or ())
    waiting = [item for item in candidates(read_scored(scored), stated) if item.article_id not in known]
    places = order(waiting, done=done, rules=QueueRules(random_share=random_share, seed=seed))
    names = ("position", "article_id", "outlet", "uncertainty", "why")
    records = [{name: getattr(place, name) for name in names} for place in places]
    _list(output, records)
    if output is None:
        _rows([list(names), *([_cell(record[name]) for name in names] for record in records)])


@app.command()
def suspects(
    labelled: Labelled,
    scored: Annotated[
        list[Path] | None,
        typer.Option("--scored", help="Out-of-fold predictions, if you have them: of models that never saw the page."),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="Frozen encoder for predictions of its own.")] = DEFAULT_BASE,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where its features are kept (.npz).", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the folds.")] = 0,
    top: Annotated[int, typer.Option("--top", min=1, help="How many to list.")] = 100,
    output: Output = None,
    force: Force = False,
    project: Project = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
) -> None:
    """Rank labels by how likely they are wrong: confident learning on out-of-fold predictions.

    Without --scored, a linear head on a frozen encoder predicts, in five folds of whole outlets. The view of --project
    shows the tasks in the order of their numbers; the ranking is in the list.
    """
    from annotator.dataset import read_pages
    from annotator.labelstudio.views import SUSPECTS
    from annotator.review.suspects import out_of_fold, page_probabilities, require
    from annotator.review.suspects import suspects as rank
    from annotator.storage import read_scored

    _check_output(output, [*labelled, *(scored or ())], force=force)
    require()
    pages = read_pages(*labelled)
    if not any(page.segments for page in pages):
        raise InputError(f"{', '.join(map(str, labelled))}: no labelled segment to judge: give pages with labels")
    if scored:
        stated = page_probabilities(pages, read_scored(scored))
    else:
        if base == DEFAULT_BASE and not Path(base).is_dir():  # else it would be taken for a name on the hub
            raise InputError(f"{base}: no such folder here: name an encoder with --base, or predictions with --scored")
        from annotator.training.base import load_base
        from annotator.training.features import cached_features, segment_features

        if cache is None:
            features = segment_features(pages, load_base(base))
        else:
            features = cached_features(pages, lambda: load_base(base), base, cache)
        stated = out_of_fold(pages, features, seed=seed)
    ranked = rank(pages, stated)[:top]
    _list(output, [item.to_dict() for item in ranked])
    if output is None:
        head = ["rank", "article_id", "start", "end", "label", "suggested", "quality", "flagged"]
        _rows([head, *([_cell(item.to_dict()[name]) for name in head] for item in ranked)])
    _view(project, SUSPECTS, [item.article_id for item in ranked], url, token, token_file)


@app.command()
def adjudicate(
    labelled: Labelled,
    output: Output = None,
    force: Force = False,
    project: Project = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    token_file: TokenFile = None,
) -> None:
    """List what a majority does not decide: ties, À discuter. The star on an annotation decides; a pull takes it.

    Exit status 1 while something waits.
    """
    from annotator.dataset import read_pages
    from annotator.labelstudio.views import ADJUDICATION
    from annotator.merging import undecided

    _check_output(output, labelled, force=force)
    found = [item for page in read_pages(*labelled) for item in undecided(page)]
    names = ("article_id", "reason")
    records = [
        {name: getattr(item, name) for name in names}
        | {"start": item.span.start, "end": item.span.end, "labels": item.labels, "task_ids": list(item.task_ids)}
        for item in found
    ]
    _list(output, records)
    if output is None and records:
        _rows([list(records[0]), *([_cell(value) for value in record.values()] for record in records)])
    _view(project, ADJUDICATION, [item.article_id for item in found], url, token, token_file)
    if found:
        _say(f"{len(found)} segments of {len({item.article_id for item in found})} pages wait for a decision")
        raise typer.Exit(1)
    _say("nothing waits for a decision")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Labelled data, UTF-8.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Labelled pages to write (.jsonl, .jsonl.gz).")],
    fmt: Annotated[ImportFormat, typer.Option("--format", help="What it is.")] = "csv",
    names: Annotated[
        list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="Another name of a label.")
    ] = None,
    outlet: Annotated[str | None, typer.Option("--outlet", help="Outlet of pages that state none.")] = None,
    force: Force = False,
) -> None:
    """Make labelled pages of data of one's own: CSV of sentence and label, CoNLL, a Label Studio export."""
    from annotator.dataset import check, write_pages
    from annotator.label_import import import_file
    from annotator.migration import read_pairs

    _check_output(output, [source], force=force)
    pages, refused = import_file(source, fmt, names=read_pairs("--map", names), outlet=outlet)
    problems = check(pages, where=str(source))
    for line in (*refused, *problems):
        _say(line)
    if problems or not pages:
        what = f"{len(problems)} problems, see above" if problems else "no page is left"
        raise InputError(f"{source}: {what}: mend them; nothing is written")
    if output.exists() and not output.is_file():
        raise InputError(f"{output}: not a file: name one that ends in .jsonl")
    write_pages(pages, output.resolve())  # a link stays a link
    _say(f"{len(pages)} pages, {sum(len(page.segments) for page in pages)} segments written to {output}")
    if refused:
        raise typer.Exit(1)


@app.command()
def migrate(
    paths: Annotated[
        list[Path], typer.Argument(help="Labelled pages, gate.json, a labelling config (.xml), or folders of them.")
    ],
    rename: Annotated[
        list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Several OLD to one NEW: a merge.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="OLD=FILE", help="CSV: article_id, start, label.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Change the files; else only say what would be.")] = False,
) -> None:
    """Rename, merge or split a label in files; each keeps a backup beside it (.before)."""
    from annotator.migration import Migration, apply, plan, read_decisions, read_pairs

    splits = {old: read_decisions(Path(file)) for old, file in read_pairs("--split", split).items()}
    migration = Migration(renames=read_pairs("--rename", rename), splits=splits)
    planned = plan(paths, migration)
    for change in planned.changes:
        for (old, new), count in sorted(change.counts.items()):
            typer.echo(f"{change.path}\t{old}\t{new or '(dropped)'}\t{count}")
    for line in planned.remarks:
        _say(line)
    if write:
        for backup in apply(planned.changes):
            _say(f"before: {backup}")
    else:
        _say(f"{len(planned.changes)} files would change: add --write")


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rows(rows: Iterable[Sequence[str]]) -> None:
    for row in rows:
        typer.echo("\t".join(row))


def _check_output(output: Path | None, inputs: Iterable[Path], *, force: bool) -> None:
    """Refuse an output that exists, before the work begins; what the command reads is refused with ``force`` too."""
    if output is None or not output.is_file():
        return
    for path in inputs:
        if path.exists() and (output.samefile(path) or (path.is_dir() and output.parent.samefile(path))):
            raise InputError(f"{output}: the command reads this file: give the output another name")
    if not force:
        raise InputError(f"{output}: the file exists: give another name, or replace it with --force")


def _list(output: Path | None, records: Sequence[Mapping[str, Any]]) -> None:
    if output is None:
        return
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    # A lone surrogate has no UTF-8 form, but a JSON escape.
    text = text.encode("utf-8", "backslashreplace").decode()
    try:
        if output.exists() and not output.is_file():  # /dev/stdout, a pipe: nothing to replace
            output.write_text(text, encoding="utf-8")
        else:
            replace_text(output.resolve(), text)  # a link stays a link
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
    _say(f"{len(records)} lines written to {output}")


def _view(
    project: str | None, title: str, articles: Sequence[str], url: str, token: str | None, token_file: Path | None
) -> None:
    if project is None:
        return
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.views import task_ids, write_tasks_view

    with _server(url, token, token_file) as server, locked(server.url, project):
        key = int(open_project(server, project)["id"])
        report = write_tasks_view(server, key, title, task_ids(server, key, articles))
    more = f", {report.left} more are not in it" if report.left else ""
    _say(f"view {title!r} of project {project!r}: {report.tasks} tasks{more}")
