"""The command ``annotator serve``: parse, make the application, run it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.errors import AnnotatorError, InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

PASSWORD_VARIABLE = "ANNOTATOR_SERVE_PASSWORD"  # noqa: S105 -- the name of a variable
_LOCAL = ("127.", "localhost", "::1")


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 9090,
    models: Annotated[
        Path | None,
        typer.Option("--models", help="Folder of model versions (default: $ANNOTATOR_MODELS, the user's, …)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Version to keep to (default: what CURRENT names, also later).")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads (default: one a core).")] = None,
    user: Annotated[
        str | None, typer.Option("--user", help=f"Ask for Basic authentication; password in ${PASSWORD_VARIABLE}.")
    ] = None,
    body_bytes: Annotated[int, typer.Option("--body-bytes", min=1, help="Bytes of a request.")] = 32_000_000,
    articles: Annotated[int, typer.Option("--articles", min=1, help="Articles a request.")] = 500,
    characters: Annotated[int, typer.Option("--characters", min=1, help="Characters an article.")] = 300_000,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, help="Seconds a request.")] = 90.0,
    pull_to: Annotated[
        Path | None,
        typer.Option(
            "--pull-to", help="Folder that annotations are pulled to (labelstudio.jsonl), soon after webhooks."
        ),
    ] = None,
    pull_pause: Annotated[float, typer.Option("--pull-pause", min=0.0, help="Seconds from webhook to pull.")] = 5.0,
    pull_every: Annotated[float, typer.Option("--pull-every", min=1.0, help="Seconds between pulls, at most.")] = 900.0,
    url: Annotated[
        str, typer.Option("--url", envvar="LABEL_STUDIO_URL", help="Address of Label Studio, for --pull-to.")
    ] = "http://localhost:8080",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with its token (default: $LABEL_STUDIO_API_KEY).")
    ] = None,
    project: Annotated[
        str, typer.Option("--project", envvar="LABEL_STUDIO_PROJECT", help="Title of the project, for --pull-to.")
    ] = "annotator",
) -> None:
    """Serve the model over HTTP: ML backend for Label Studio, POST /score for anyone; GET /docs lists all."""
    try:
        import uvicorn

        from annotator.serve.app import create_app
    except ImportError as error:
        raise MissingExtraError("annotator serve", "serve", error.name or "fastapi") from error
    from annotator.serve.limits import Limits, Login
    from annotator.serve.model import CurrentModel

    login = None
    if user is not None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        if not password or not user or ":" in user:
            raise InputError(f"--user: needs a name without ':' and a password in ${PASSWORD_VARIABLE}")
        login = Login(user=user, password=password)
    elif not host.startswith(_LOCAL):
        _log.warning("%s is open to other machines, without a password: see --user", host)
    application = create_app(
        CurrentModel(models, model, threads=threads),
        limits=Limits(body_bytes=body_bytes, articles=articles, characters=characters, seconds=seconds),
        login=login,
        pull=None if pull_to is None else _puller(pull_to, url, token_file, project),
        pull_pause=pull_pause,
        pull_every=pull_every,
    )
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # the guard logs routes; addresses and queries are nobody's business
        timeout_graceful_shutdown=int(seconds) + 5,
        server_header=False,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal that stopped it once more when all requests are done: that is a good end here.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AnnotatorError(
            f"{host}:{port}: cannot listen here ({error.strerror}): is another server at it?"
        ) from error
    with listening:
        typer.echo(f"listening on http://{host}:{listening.getsockname()[1]}", err=True)
        server.run(sockets=[listening])


def _puller(folder: Path, url: str, token_file: Path | None, project: str) -> Callable[[], None]:
    """Return what one pull does; what can be wrong from the start is told now."""
    from annotator.labelstudio.client import Server, find_token
    from annotator.labelstudio.lock import locked
    from annotator.labelstudio.project import open_project
    from annotator.labelstudio.pull import pull

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: make it, annotations are pulled there")
    token = find_token(None, token_file)
    with Server(url, token):
        pass  # address, token and extra are well formed; the server itself may come up later

    def run() -> None:
        with Server(url, token) as server, locked(server.url, project):
            server.check_version()
            report = pull(server, open_project(server, project), folder / "labelstudio.jsonl")
        _log.info("pulled: %d pages, %d annotations", report.pages, report.annotations)

    return run
