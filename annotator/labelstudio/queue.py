"""The review queue on the server: a task's place as its score, and a view in that order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotator.errors import InputError
from annotator.labelstudio.client import Server
from annotator.labelstudio.views import write_queue_view, write_scores
from annotator.records import ScoredArticle
from annotator.review.queue import Candidate, Place, QueueRules, candidates, queue

_COLUMNS = "id,data,total_annotations,cancelled_annotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """What was written: the places of tasks that wait, how many are begun, done, not scored, and changed scores."""

    places: tuple[Place, ...]
    begun: int
    done: int
    unknown: int
    scores_changed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        counts = {name: getattr(self, name) for name in ("begun", "done", "unknown", "scores_changed")}
        return {"waiting": len(self.places), **counts}


def write_queue(
    server: Server,
    project: Mapping[str, Any],
    scored: Iterable[ScoredArticle],
    *,
    genres: Mapping[str, str | None] | None = None,
    rules: QueueRules | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> QueueReport:
    """Order the tasks that still need annotators: those begun first (the same order among them), then the others.

    A task is done when it has as many annotations as the project asks for (``maximum_annotations``); its score stays.
    The queue is made of the articles scored; tasks of other articles come last.

    Raises:
        InputError: an article comes twice among those scored, or the share of random pages is out of range.
        ServerError: the server failed.
    """
    tell = progress or (lambda *_: None)
    key, overlap = int(project["id"]), int(project.get("maximum_annotations") or 1)
    tasks = server.pages(
        "api/tasks/",
        {"project": key, "fields": "all", "include": _COLUMNS, "query": json.dumps({"ordering": ["tasks:id"]})},
        items="tasks",
        keep=lambda task: (int(task["id"]), str((task.get("data") or {}).get("article_id")), _work(task)),
        progress=lambda n, total: tell("tasks", n, total),
    )
    found = candidates(scored, genres)
    known = {item.article_id: item for item in found}
    if len(known) != len(found):
        raise InputError(f"{len(found) - len(known)} articles come twice in the scored files: give each once")
    waiting: dict[str, list[int]] = {}
    begun: set[str] = set()
    done: list[Candidate] = []
    unknown = []
    for task, article, work in tasks:
        if article not in known:
            unknown.append((task, work))
        elif work >= overlap:
            done.append(known[article])
        else:
            waiting.setdefault(article, []).append(task)
            if work:
                begun.add(article)
    places = queue([known[name] for name in waiting], done=done, rules=rules)
    ordered = sorted(places, key=lambda place: (place.article_id not in begun, place.position))
    late = [task for task, work in unknown if work < overlap]
    order = [task for place in ordered for task in waiting[place.article_id]] + late
    scores = {task: round(place / max(1, len(order)), 6) for place, task in enumerate(order)}
    changed = write_scores(server, key, scores, progress=lambda n, total: tell("scores", n, total))
    write_queue_view(server, key, overlap=overlap)
    return QueueReport(
        places=tuple(ordered), begun=len(begun), done=len(done), unknown=len(unknown), scores_changed=changed
    )


def _work(task: Mapping[str, Any]) -> int:
    return int(task.get("total_annotations") or 0)
