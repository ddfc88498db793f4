"""Bodies of requests to articles, scored articles to answers."""

from __future__ import annotations

import hashlib
import html
import io
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotator.errors import AnnotatorError, InputError, RecordError
from annotator.labelstudio.config import LABEL, MARK, TEXT
from annotator.labelstudio.convert import BLIND, article_of, prediction, shown_text
from annotator.reader import ID_FIELDS, TEXT_FIELDS, StdinFormat, read_articles
from annotator.records import Article, ScoredArticle
from annotator.serve.limits import Limits, RefusedError
from annotator.serve.model import OutOfTimeError

_log = logging.getLogger(__name__)

PARQUET = "application/vnd.apache.parquet"
_FORMATS: Mapping[str, StdinFormat] = {
    "text/plain": "text",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/x-ndjson": "jsonl",
    "text/csv": "csv",
}
_MANY = frozenset({"application/x-ndjson", "text/csv", PARQUET})
_UNPACKED = 8  # times the bytes of a body that Parquet may hold: it packs tightly, and can be made to deceive

Score = Callable[[Article], ScoredArticle]


def parse_json(body: bytes) -> Any:
    """Return what a body holds.

    Raises:
        RefusedError: it is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # their text may quote the body
        raise RefusedError(422, "the body is not JSON (UTF-8)") from None


def tasks_of(body: Any) -> list[Any]:
    """Return the tasks of a request to predict.

    Raises:
        RefusedError: there is no list of tasks.
    """
    tasks = body.get("tasks") if isinstance(body, Mapping) else None
    if not isinstance(tasks, list):
        raise RefusedError(422, "the body has no list 'tasks'")
    return tasks


def predict(
    tasks: list[Any], label_config: Any, version: str, score: Score, limits: Limits
) -> list[dict[str, Any] | list[Any]]:
    """Return one result a task, in order; a task that cannot be scored gets a prediction without regions, score 0.

    Label Studio sends all the tasks that somebody has selected at once, and drops them all for one error. So what
    the limits leave undone gets an empty list: no prediction; Label Studio sends these tasks again when next asked.

    Raises:
        OutOfTimeError: the time of the request was over before the first task was done.
    """
    controls = _controls(label_config)
    results: list[dict[str, Any] | list[Any]] = []
    for task in tasks[: limits.articles]:
        try:
            found = prediction(score(_article_of_task(task, limits)))
            if task["data"].get(BLIND):  # nobody is to see it (push --blind)
                found["result"] = []
        except OutOfTimeError:
            if not results:
                raise
            break
        except Exception as error:  # noqa: BLE001 -- one result a task, whatever it holds; its text may quote the task
            number = task.get("id") if isinstance(task, Mapping) else None
            name = number if isinstance(number, int) else "?"
            reason = str(error) if isinstance(error, _NoTextError) else type(error).__name__
            _log.info("task %s is not predicted: %s", name, reason)
            found = {"model_version": version, "score": 0.0, "result": []}
        if controls is not None:
            # An arrow is no control's; it needs the marks at both its ends, and their labels.
            known = controls | ({None} if {LABEL, MARK} <= controls else set())
            found["result"] = [item for item in found["result"] if item.get("from_name") in known]
        results.append(found)
    if left := len(tasks) - len(results):
        _log.warning("%d of %d tasks are not predicted, within the limits: ask for them again", left, len(tasks))
    return results + [[] for _ in range(left)]


class _NoTextError(RecordError):
    """A task without a text that could be scored; its message quotes nothing."""


def _article_of_task(task: Any, limits: Limits) -> Article:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        raise _NoTextError("it has no data")
    shown = data.get(TEXT)
    if not isinstance(shown, str) or not shown.strip():
        raise _NoTextError("its data have no text")
    if len(shown) > limits.characters:
        raise _NoTextError(f"its text is longer than {limits.characters} characters")
    try:
        return article_of(data)
    except RecordError:
        # Not pushed by annotator, or edited since: the offsets are of what is shown, so that is what is scored.
        title = data.get("title")
        title = shown_text(title) or None if isinstance(title, str) else None
        return Article(article_id="task", text=shown_text(shown), title=title)


def _controls(label_config: Any) -> set[str] | None:
    """Return the names in a labelling config: a region of a control that is not there would void the prediction."""
    if not isinstance(label_config, str) or not label_config.strip():
        return None
    return {html.unescape(name) for _, name in re.findall(r"""\bname\s*=\s*(["'])(.*?)\1""", label_config, re.DOTALL)}


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.articles:
        raise RefusedError(413, f"{count} articles: {limits.articles} at most at once")


def articles_of(body: bytes, content_type: str, limits: Limits) -> tuple[list[Article], bool]:
    """Return the articles of a request to score, and whether the body was a list of them.

    Raises:
        RefusedError: it cannot be read, or is too long.
    """
    kind = content_type.partition(";")[0].strip().lower()
    many = kind in _MANY
    if kind in {"application/json", ""}:
        if not body.strip():
            raise RefusedError(422, "the body is empty")
        value = parse_json(body)
        many = isinstance(value, list)
        items = value if many else [value]
        _check_count(len(items), limits)
        body = b"".join(json.dumps(item).encode() + b"\n" for item in _named(items))
    elif kind not in _FORMATS and kind != PARQUET:
        raise RefusedError(422, f"Content-Type must be application/json, {', '.join((*_FORMATS, PARQUET))}")
    fmt = _FORMATS.get(kind, "jsonl")
    try:
        articles = _read_parquet(body, limits) if kind == PARQUET else _read(body, fmt, limits) if body else []
    except InputError as error:
        raise RefusedError(422, str(error).replace("stdin:", "article ")) from error
    except AnnotatorError as error:
        raise RefusedError(422, str(error)) from error
    if fmt in {"text", "html"}:
        articles = [replace(article, article_id="text-" + article.text_sha256[:16]) for article in articles]
    for number, article in enumerate(articles, start=1):
        if len(article.text) > limits.characters:
            raise RefusedError(413, f"article {number}: {len(article.text)} characters, {limits.characters} at most")
    return articles, many


def _read(body: bytes, fmt: StdinFormat, limits: Limits) -> list[Article]:
    pages = read_articles(["-"], stdin=io.BytesIO(body), stdin_format=fmt)
    articles = list(islice(pages, limits.articles + 1))
    _check_count(len(articles), limits)
    return articles


def _read_parquet(body: bytes, limits: Limits) -> list[Article]:
    with NamedTemporaryFile(suffix=".parquet") as file:
        file.write(body)
        file.flush()
        try:
            groups = pq.ParquetFile(file.name).metadata
            size = sum(groups.row_group(i).total_byte_size for i in range(groups.num_row_groups))
        except (pa.ArrowException, OSError) as error:
            raise RefusedError(422, "the body is no Parquet file, or a damaged one") from error
        if size > _UNPACKED * limits.body_bytes:
            raise RefusedError(413, f"the file holds {size} bytes when unpacked: send fewer articles at once")
        try:
            articles = list(islice(read_articles([file.name]), limits.articles + 1))
        except InputError as error:
            raise RefusedError(422, str(error).replace(f"{file.name}:", "article ")) from error
        _check_count(len(articles), limits)
        return [replace(art, article_id=art.article_id.replace(file.name, "parquet")) for art in articles]


def _named(items: list[Any]) -> list[Any]:
    """Give articles without an id one made of their text."""
    named: list[Any] = []
    seen: dict[str, int] = {}
    for item in items:
        text = next((item[n] for n in TEXT_FIELDS if item.get(n) is not None), None) if isinstance(item, dict) else None
        if not isinstance(text, str) or any(item.get(name) not in (None, "") for name in ID_FIELDS):
            named.append(item)
            continue
        stem = "text-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        seen[stem] = seen.get(stem, 0) + 1
        named.append(item | {"article_id": stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"})
    return named
