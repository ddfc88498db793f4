"""The command ``annotator report``: parse, read, build the page, write it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from annotator.errors import InputError, MissingExtraError


def report(
    scored: Annotated[list[Path], typer.Argument(help="Scored articles: .jsonl or .parquet.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write.")] = Path("report.html"),
    lang: Annotated[Literal["fr", "en"], typer.Option("--lang", help="Language of the page.")] = "fr",
    title: Annotated[str | None, typer.Option("--title", help="Heading of the page.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", help="Folder of model versions, whose known error corrects shares (default: as score)."
        ),
    ] = None,
) -> None:
    """Write a page that opens from disk: outlets side by side with intervals, every article in colour."""
    try:
        from annotator.report.build import build_report
    except ImportError as error:
        raise MissingExtraError("annotator report", "report", error.name or "jinja2") from error
    from annotator.profile import errors_in
    from annotator.registry import models_folder
    from annotator.storage import read_scored

    _check(output, force=force)
    page = build_report(read_scored(scored), errors_in(models_folder(models)), lang=lang, title=title)
    _write(output, page)
    typer.echo(f"{output}: {len(page.encode()) / 1e6:.1f} MB", err=True)


def _check(output: Path, *, force: bool) -> None:
    """Say what is wrong with the output before anything is read."""
    if output.is_file() and not force:
        raise InputError(f"{output}: the file exists: give another name, or replace it with --force")
    if output.is_dir():
        raise InputError(f"{output}: is a folder: name a file in it")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}: make it first")


def _write(output: Path, page: str) -> None:
    """Write under a hidden name and rename: a failure leaves what was there; devices are written to directly."""
    part = None
    try:
        if output.exists() and not output.is_file():
            output.write_text(page, encoding="utf-8", newline="\n")
            return
        final = output.resolve()  # a link stays a link
        part = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
        part.write_text(page, encoding="utf-8", newline="\n")
        part.replace(final)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
