"""What the server holds of a project: its tasks by article, their predictions by version, and doubles among them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.labelstudio.client import Server, ServerError, writing
from annotator.labelstudio.convert import BLIND

_log = logging.getLogger(__name__)

Key = tuple[str, str]  # article_id, text_sha256

# Asked for by name, the server leaves out the regions, which are most of a task; model versions need fields=all.
_LIST_LIMIT = 500  # characters of a list, then the server cuts it off
_COUNTS = ("total_annotations", "cancelled_annotations", "draft_exists")
_COLUMNS = ",".join(("id", "updated_at", "predictions_model_versions", "total_predictions", *_COUNTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One task; ``worked_on`` counts annotations, skips and drafts; ``key`` is None for what others put there.

    ``blind``: annotators see no prediction on it (``push --blind``), whatever model version comes.
    """

    task_id: int
    key: Key | None
    versions: tuple[str, ...]
    predictions: int
    worked_on: int
    updated_at: str
    whole: bool = True
    blind: bool = False


def read_index(
    server: Server, project: int, *, data: bool = True, progress: Callable[[int, int], None] | None = None
) -> list[TaskState]:
    """List every task of the project, in the order of ids, without its regions; ``key`` is None without ``data``.

    Raises:
        ServerError: the list cannot be read whole.
    """
    states = server.pages(
        "api/tasks/",
        {
            "project": project,
            "fields": "all",
            "include": _COLUMNS + (",data" if data else ""),
            "query": json.dumps({"ordering": ["tasks:id"]}),
        },
        items="tasks",
        keep=_state,
        progress=progress,
    )
    return [state if state.whole else _with_versions(server, state) for state in states]


def _with_versions(server: Server, state: TaskState) -> TaskState:
    """Ask for the predictions themselves: the server cuts its list of versions off."""
    found = _predictions(server, state.task_id)
    versions = {str(item.get("model_version")) for item in found}
    return replace(state, versions=tuple(sorted(versions)), predictions=len(found), whole=True)


def _predictions(server: Server, task: int) -> list[dict[str, Any]]:
    found = server.get("api/predictions/", {"task": task})
    items: list[dict[str, Any]] = found.get("results", []) if isinstance(found, Mapping) else found
    return sorted(items, key=lambda item: int(item["id"]))


def _state(task: Mapping[str, Any]) -> TaskState:
    data = task.get("data") or {}
    versions = str(task.get("predictions_model_versions") or "")
    names = versions.split(",")
    article, digest = data.get("article_id"), data.get("text_sha256")
    return TaskState(
        task_id=int(task["id"]),
        key=(article, digest) if isinstance(article, str) and isinstance(digest, str) else None,
        versions=tuple(sorted({name.strip() for name in names if name.strip()})),
        predictions=int(task.get("total_predictions") or 0),
        worked_on=sum(int(task.get(name) or 0) for name in _COUNTS),
        updated_at=str(task.get("updated_at") or ""),
        whole=len(versions) < _LIST_LIMIT,
        blind=bool(data.get(BLIND)),
    )


def by_key(states: Iterable[TaskState]) -> dict[Key, list[TaskState]]:
    """Group tasks that show the same text of the same article; ids ascend."""
    groups: dict[Key, list[TaskState]] = {}
    for state in states:
        if state.key is not None:
            groups.setdefault(state.key, []).append(state)
    return groups


def remove_doubles(
    server: Server, states: Sequence[TaskState], *, dry_run: bool = False
) -> tuple[list[int], list[str]]:
    """Delete tasks that show what another task shows and that nobody has worked on (``dry_run``: only find them).

    Of several, those worked on stay, else the one of the lowest id: two machines that clean up at once agree.

    Returns:
        The ids removed, and one line for each article that more than one worked-on task shows.
    """
    removed: list[int] = []
    reported: list[str] = []
    for (article, _), group in by_key(states).items():
        if len(group) < 2:
            continue
        fresh = {state.task_id: is_worked_on(server, state) for state in group}
        busy = [key for key, work in fresh.items() if work]
        stay = busy or [min(fresh)]
        for key in fresh:
            if key not in stay:
                if not dry_run:
                    remove_task(server, key)
                removed.append(key)
        if len(busy) > 1:
            ids = ", ".join(map(str, busy))
            reported.append(
                f"article {article!r}: tasks {ids} show the same text and all hold work: kept, merged on pull"
            )
    return removed, reported


def is_worked_on(server: Server, state: TaskState) -> bool:
    """Ask the server once more whether somebody has annotated, skipped or drafted."""
    if state.worked_on:
        return True
    task = read_task_by_id(server, state.task_id)
    return task is not None and bool(task.get("annotations") or task.get("drafts"))


def read_task_by_id(server: Server, task: int) -> dict[str, Any] | None:
    """Return a task with its annotations, None where it is gone."""
    try:
        found: dict[str, Any] = server.get(f"api/tasks/{task}/")
    except ServerError as error:
        if error.status == 404:
            return None
        raise
    return found


def remove_task(server: Server, task: int) -> None:
    """Delete a task; that it is already gone is fine."""
    _delete(server, f"api/tasks/{task}/")


def remove_prediction(server: Server, prediction: int) -> None:
    """Delete a prediction; that it is already gone is fine."""
    _delete(server, f"api/predictions/{prediction}/")


def _delete(server: Server, path: str) -> None:
    def look() -> bool | None:
        try:
            server.get(path)
        except ServerError as error:
            if error.status == 404:
                return True
            raise
        return None

    def write() -> bool:
        try:
            server.write("DELETE", path)
        except ServerError as error:
            if error.status != 404:
                raise
        return True

    writing(write, look)


def remove_double_predictions(server: Server, states: Iterable[TaskState]) -> list[int]:
    """Delete all but the first prediction of each task and version; return the ids removed."""
    removed: list[int] = []
    for state in states:
        if state.predictions <= len(state.versions):
            continue
        seen: set[str] = set()
        for item in _predictions(server, state.task_id):
            version = str(item.get("model_version"))
            if version in seen:
                remove_prediction(server, int(item["id"]))
                removed.append(int(item["id"]))
            seen.add(version)
    return removed


def version_counts(server: Server, project: int) -> dict[str, int]:
    """Return the number of predictions of each model version in the project."""
    answer = server.get(f"api/projects/{project}/model-versions/")
    return {str(name): int(count) for name, count in answer.items()} if isinstance(answer, Mapping) else {}
