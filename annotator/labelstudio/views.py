"""Views and task scores: what people should look at, where they look.

A view is a tab of the data manager, known by its title: written again, it is replaced. Label Studio has no score of a
task; the score of its predictions orders both the data manager and *Label All Tasks* (low first), so that is where the
place in the queue goes: on every prediction of the task, whichever model version is in use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.labelstudio.client import Server, writing
from annotator.labelstudio.index import TaskState, by_key, read_index

_log = logging.getLogger(__name__)

VIEW_TASKS = 200  # a filter names each task: beyond that the data manager becomes slow
ADJUDICATION, DISAGREEMENTS, SUSPECTS, QUEUE = "À trancher", "Désaccords", "Étiquettes suspectes", "File de relecture"
_SCORED = {"filter": "filter:tasks:total_annotations", "type": "Number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewReport:
    """A view as it was written: its title, and how many tasks it names (``left`` were one too many)."""

    title: str
    tasks: int
    left: int


def task_ids(server: Server, project: int, articles: Iterable[str]) -> list[int]:
    """Return the task of each article (that worked on, else the first), in the order given; others are left out.

    Raises:
        ServerError: the project cannot be read.
    """
    home: dict[str, TaskState] = {}
    for (article, _), group in by_key(read_index(server, project)).items():
        best = max(group, key=lambda state: (state.worked_on, -state.task_id))
        if article not in home or best.task_id > home[article].task_id:  # the text as it is now: the latest task
            home[article] = best
    return [home[name].task_id for name in dict.fromkeys(articles) if name in home]


def write_tasks_view(server: Server, project: int, title: str, tasks: Sequence[int]) -> ViewReport:
    """Write a view that shows these tasks, the first 200 of them; none: an empty view.

    They are shown in the order of their ids: a score that ordered them would overwrite their places in the queue.

    Raises:
        ServerError: the server failed.
    """
    named = list(dict.fromkeys(tasks))[:VIEW_TASKS]
    items = [{"filter": "filter:tasks:id", "operator": "equal", "type": "Number", "value": n} for n in named or [0]]
    _write_view(server, project, title, {"conjunction": "or", "items": items}, ["tasks:id"])
    return ViewReport(title=title, tasks=len(named), left=len(set(tasks)) - len(named))


def write_queue_view(server: Server, project: int, *, overlap: int) -> ViewReport:
    """Write the view of the queue: tasks with fewer annotations than ``overlap``, in the order of their scores.

    Raises:
        ServerError: the server failed.
    """
    items = [{**_SCORED, "operator": "less", "value": overlap}]
    _write_view(server, project, QUEUE, {"conjunction": "and", "items": items}, ["tasks:predictions_score"])
    return ViewReport(title=QUEUE, tasks=0, left=0)


def _write_view(server: Server, project: int, title: str, filters: Mapping[str, Any], ordering: Sequence[str]) -> None:
    def found() -> list[dict[str, Any]]:
        listed = server.get("api/dm/views/", {"project": project})
        views: list[dict[str, Any]] = listed.get("results", []) if isinstance(listed, Mapping) else listed
        same = [view for view in views if (view.get("data") or {}).get("title") == title]
        return sorted(same, key=lambda view: int(view["id"]))

    def body() -> dict[str, Any]:
        data = {"title": title, "type": "list", "target": "tasks", "filters": dict(filters), "ordering": list(ordering)}
        return {"project": project, "data": data}

    def look() -> bool | None:
        return True if found() else None

    def create() -> bool:
        server.write("POST", "api/dm/views/", body())
        return True

    before = found()
    if not before:
        writing(create, look)
        return

    def update() -> bool:
        server.write("PATCH", f"api/dm/views/{before[0]['id']}/", body())
        return True

    writing(update, lambda: None)  # the same body twice gives the same view


def write_scores(
    server: Server,
    project: int,
    scores: Mapping[int, float],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Give every prediction of each task its task's score; return how many predictions had another one.

    Raises:
        ServerError: the server failed; run it again, what is written stays.
    """
    tell = progress or (lambda *_: None)
    listed = server.get("api/predictions/", {"project": project})
    items: list[dict[str, Any]] = listed.get("results", []) if isinstance(listed, Mapping) else listed
    wrong = [item for item in items if item["task"] in scores and item.get("score") != scores[item["task"]]]
    for done, item in enumerate(wrong, start=1):
        path, body = f"api/predictions/{item['id']}/", {"score": scores[item["task"]]}

        def write(path: str = path, body: dict[str, float] = body) -> bool:
            server.write("PATCH", path, body)
            return True

        def look(path: str = path, body: dict[str, float] = body) -> bool | None:
            return True if server.get(path).get("score") == body["score"] else None

        writing(write, look)
        tell(done, len(wrong))
    return len(wrong)
