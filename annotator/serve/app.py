"""The application: routes, and what they share."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from annotator import __version__
from annotator.classifier import SegmentClassifier
from annotator.records import Article, ScoredArticle
from annotator.report.view import preferred, view_page, view_policy
from annotator.serve import backend
from annotator.serve.counts import CONTENT_TYPE, Counts
from annotator.serve.hints import Hints
from annotator.serve.limits import Guard, Limits, Login
from annotator.serve.model import CurrentModel
from annotator.serve.page import POLICY, docs_page

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_PULL_ACTIONS = ("ANNOTATION", "TASK")  # beginnings of the names of events that a pull may see


def _body(*kinds: str, example: Any) -> dict[str, Any]:
    """Describe a body that is read by hand: Label Studio's must be taken however odd they are."""
    content = {kind: {"schema": {"type": "string"}} for kind in kinds if kind != "application/json"}
    return {"requestBody": {"content": {"application/json": {"example": example}, **content}, "required": True}}


_VIEW_HEADERS = {
    "Content-Security-Policy": view_policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # another version of annotator may answer here tomorrow
    "Vary": "Accept-Language",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"example": {"error": "one line"}}}}
    for status, text in (
        (401, "user or password missing or wrong"),
        (413, "too many bytes, articles or characters"),
        (422, "a body that cannot be read"),
        (503, "no answer within the time of a request"),
    )
}


def create_app(
    model: CurrentModel,
    *,
    limits: Limits | None = None,
    login: Login | None = None,
    pull: Callable[[], None] | None = None,
    pull_pause: float = 5.0,
    pull_every: float = 900.0,
) -> FastAPI:
    """Make the application.

    Args:
        model: what scores.
        limits: bounds of a request.
        login: what Basic authentication asks for (default: nothing); /health stays open.
        pull: brings annotations from Label Studio; without it, webhooks are acknowledged only.
        pull_pause: seconds of quiet after a webhook before ``pull`` runs.
        pull_every: seconds between pulls when no webhook comes.
    """
    bounds = limits or Limits()
    counts = Counts()
    hints = (
        None
        if pull is None
        else Hints(pull, pause=pull_pause, every=pull_every, done=lambda done: counts.pull(done=done))
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if hints is not None:
            hints.start()
        yield
        if hints is not None:
            await anyio.to_thread.run_sync(hints.close)

    app = FastAPI(
        title="annotator",
        version=__version__,
        description="Scores pages: the label, confidence and attribution of every segment. Also an ML backend for "
        "Label Studio.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; /docs below needs no network
        redoc_url=None,
    )
    app.add_middleware(Guard, limits=bounds, login=login, counts=counts)

    def scorer(request: Request, classifier: SegmentClassifier, *, reserve: float = 0.0) -> backend.Score:
        deadline = float(request.state.deadline) - reserve * bounds.seconds

        def run(article: Article) -> ScoredArticle:
            try:
                scored = model.score(article, classifier, deadline)
            except Exception:
                counts.article(None)
                raise
            counts.article(len(scored.segments))
            return scored

        return run

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _json({"error": str(error.detail)}, error.status_code)

    @app.get("/health", tags=["Label Studio"], summary="Whether the server is up")
    async def health() -> Response:
        return _json({"status": "UP", "model_class": "annotator", "model_version": model.loaded.version})

    @app.post(
        "/setup", tags=["Label Studio"], summary="The model version in use; the body is not kept", responses=_ERRORS,
        openapi_extra=_body(example={"project": "1", "schema": "<View/>"}),
    )  # fmt: skip
    async def setup(request: Request) -> Response:
        await request.body()  # it holds a token: read, dropped
        classifier = await _in_thread(model.current)
        return _json({"model_version": classifier.version})

    @app.post(
        "/predict", tags=["Label Studio"], summary="One prediction a task, in order", responses=_ERRORS,
        openapi_extra=_body(example={"tasks": [{"id": 1, "data": {"text": "…"}}], "label_config": "<View/>"}),
    )  # fmt: skip
    async def predict(request: Request) -> Response:
        body = await request.body()

        def work() -> Response:
            value = backend.parse_json(body)
            tasks = backend.tasks_of(value)
            classifier = model.current()
            score = scorer(request, classifier, reserve=0.1)  # to answer with what was done until then
            results = backend.predict(tasks, value.get("label_config"), classifier.version, score, bounds)
            return _json({"results": results})

        return await _in_thread(work)

    @app.post(
        "/webhook", tags=["Label Studio"], summary="A hint that annotations changed", responses=_ERRORS,
        openapi_extra=_body(example={"action": "ANNOTATION_CREATED"}),
    )  # fmt: skip
    async def webhook(request: Request) -> Response:
        value = backend.parse_json(await request.body() or b"{}")
        action = value.get("action") if isinstance(value, dict) else None
        planned = hints is not None and isinstance(action, str) and action.startswith(_PULL_ACTIONS)
        if planned and hints is not None:
            hints.hint()
        return _json({"status": "pull planned" if planned else "nothing to do"})

    @app.get("/versions", tags=["Label Studio"], summary="The model version in use", responses=_ERRORS)
    async def versions() -> Response:
        classifier = await _in_thread(model.current)
        return _json({"versions": [classifier.version]})

    @app.post(
        "/score", tags=["scoring"], summary="One record a page (schema 1); a list of pages gives a list",
        responses=_ERRORS,
        openapi_extra=_body(
            "text/html", "text/plain", "application/x-ndjson", "text/csv", backend.PARQUET,
            example={"text": "Le préfet a démenti, selon la radio."},
        ),
    )  # fmt: skip
    async def score_pages(request: Request) -> Response:
        body = await request.body()
        kind = request.headers.get("content-type", "")

        def work() -> Response:
            articles, many = backend.articles_of(body, kind, bounds)
            if not articles and not many:
                return _json({"error": "the body is empty"}, 422)
            run = scorer(request, model.current())
            records = [run(article).to_dict() for article in articles]
            return _json(records if many else records[0])

        return await _in_thread(work)

    @app.get("/metrics", tags=["operation"], summary="Figures for Prometheus", responses=_ERRORS)
    async def metrics() -> Response:
        return Response(counts.text(model.loaded.version), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def view(request: Request) -> Response:
        lang = preferred(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        page = await _in_thread(partial(view_page, lang))
        return HTMLResponse(page, headers=_VIEW_HEADERS)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    return app


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run in a thread that is left to itself when the time of the request is over; it stops soon after."""
    return await anyio.to_thread.run_sync(partial(work), abandon_on_cancel=True)


def _json(value: Any, status: int = 200) -> Response:
    # In ASCII: a page may hold lone surrogates, which UTF-8 has no bytes for.
    return Response(json.dumps(value), status, media_type="application/json")
