"""The project on the server: found by title, made, its settings compared and updated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotator.errors import AnnotatorError, InputError
from annotator.labelstudio.client import Server, ServerError, writing
from annotator.labelstudio.config import project_settings, refused_changes, settings_diff, used_values

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitResult:
    """What ``init`` did: ``diff`` is what differed, ``applied`` whether it was changed."""

    project_id: int
    created: bool
    diff: tuple[str, ...]
    applied: bool


class LabelInUseError(AnnotatorError):
    """A new config would drop or rename labels that results hold."""


def find_project(server: Server, title: str) -> Mapping[str, Any] | None:
    """Return the project of exactly this title, None where there is none.

    Of several, the only one with tasks counts, or the first: a creation that was cut and came through late leaves
    an empty twin.

    Raises:
        InputError: several projects of this title have tasks.
    """
    listed = server.pages("api/projects/", {"ordering": "id"}, items="results", keep=lambda item: item)
    found = [item for item in listed if item.get("title") == title]
    if not found:
        return None
    busy = [item for item in found if item.get("task_number")]
    if len(busy) > 1:
        ids = ", ".join(str(item["id"]) for item in busy)
        raise InputError(f"{server.url}: projects {ids} all have the title {title!r}: rename all but one")
    chosen = (busy or found)[0]
    if len(found) > 1:
        others = ", ".join(str(item["id"]) for item in found if item is not chosen)
        _log.warning(
            "project %r is number %s; %s of the same title are empty: delete them", title, chosen["id"], others
        )
    project: Mapping[str, Any] = server.get(f"api/projects/{chosen['id']}/")
    return project


def open_project(server: Server, title: str) -> Mapping[str, Any]:
    """Return the project of this title.

    Raises:
        InputError: there is none, or several.
    """
    project = find_project(server, title)
    if project is None:
        raise InputError(f"{server.url}: no project {title!r}: make it with  annotator labelstudio init")
    return project


def init(server: Server, title: str, guide: str, *, update: bool = False) -> InitResult:
    """Create the project, or compare it with what it should be; ``update`` applies the difference.

    Raises:
        LabelInUseError: the new config drops or renames a label in use; one line a label.
        InputError: the guide or the config on the server cannot be read, the title is empty, or several projects
            have it.
        ServerError: the server failed.
    """
    if not title.strip():
        raise InputError("the title of the project is empty: name it with --project")
    wanted = project_settings(guide)
    project = find_project(server, title)
    created = project is None
    if project is None:
        body = {"title": title, **wanted}
        project = writing(lambda: server.write("POST", "api/projects/", body), lambda: find_project(server, title))
        project = server.get(f"api/projects/{project['id']}/")
    key = int(project["id"])
    diff = settings_diff(project, wanted)
    if not diff or not update:
        return InitResult(project_id=key, created=created, diff=tuple(diff), applied=False)
    if refused := refused_changes(wanted["label_config"], _used(server, key)):
        raise LabelInUseError(f"project {title!r}: not updated: {'; '.join(refused)}: migrate those labels first")

    def look() -> Mapping[str, Any] | None:
        now = server.get(f"api/projects/{key}/")
        return None if settings_diff(now, wanted) else now

    writing(lambda: server.write("PATCH", f"api/projects/{key}/", wanted), look)
    if left := settings_diff(server.get(f"api/projects/{key}/"), wanted):
        raise ServerError(f"project {title!r}: the server kept {len(left)} lines of its own settings: {left[0]}")
    return InitResult(project_id=key, created=created, diff=tuple(diff), applied=True)


def _used(server: Server, project: int) -> Mapping[tuple[str, str], int]:
    """Count the labels in annotations, drafts and predictions of the whole project."""

    def results(task: dict[str, Any]) -> Mapping[tuple[str, str], int]:
        groups = (task.get("annotations"), task.get("drafts"), task.get("predictions"))
        return used_values(item.get("result") or () for group in groups for item in group or ())

    total: dict[tuple[str, str], int] = {}
    for counts in server.pages(
        "api/tasks/",
        {"project": project, "fields": "all", "include": "id,annotations,drafts,predictions,result"},
        items="tasks",
        keep=results,
    ):
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
