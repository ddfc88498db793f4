"""Annotations from the server to a file of labelled pages: incremental, and the same bytes for the same state.

Three files: the pages, beside them ``NAME.quarantine`` (JSON Lines: what cannot be used, with the reason) and
``NAME.state`` (where the next pull begins). Each is written whole or not at all, the state last: a pull that is cut
anywhere is repeated by the next one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.labelled import LabelledPage, read_pages, write_pages
from annotator.labelstudio.client import Server
from annotator.labelstudio.index import TaskState, read_index, read_task_by_id
from annotator.labelstudio.pages import ReadTask, build_pages, read_task

_log = logging.getLogger(__name__)

_FORMAT = 2
# The server takes the names for tasks and annotations alike; without them it also sends every prediction.
_COLUMNS = "id,data,annotations,result,completed_by,created_at,updated_at,lead_time,was_cancelled,parent_prediction"
_COLUMNS += ",ground_truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a pull found: pages and annotations in the file now, and how many tasks it had to read.

    ``skipped`` counts all skips, also those of pages that everyone skipped, which make no page.
    """

    full: bool
    tasks_read: int
    pages: int
    annotations: int
    skipped: int
    discussed: int
    quarantined: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class PullState:
    """Where the next pull begins; ``tasks`` maps each task with work on it to its article and its ``updated_at``."""

    url: str
    project: int
    tasks: Mapping[int, tuple[str | None, str]]
    digests: tuple[str, str]


def quarantine_path(output: Path) -> Path:
    """Return where a pull to ``output`` puts what cannot be used (no .jsonl: it holds no labelled pages)."""
    return output.with_name(output.name + ".quarantine")


def state_path(output: Path) -> Path:
    """Return where a pull to ``output`` keeps its state."""
    return output.with_name(output.name + ".state")


def pull(
    server: Server,
    project: Mapping[str, Any],
    output: Path,
    *,
    full: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> PullReport:
    """Bring ``output`` to what the server holds.

    Without ``full``, only tasks that changed since the last pull are read; a file that was changed by hand is read
    in full.

    Raises:
        InputError: the output cannot be read or written, or holds pages that a pull would lose: such as were not
            pulled or, without ``full``, come from another project.
        RecordError: the output exists and is no file of labelled pages.
        ServerError: the server failed, or a listing is not whole; the files are as before.
    """
    tell = progress or (lambda *_: None)
    key = int(project["id"])
    previous = pulled_before(output)
    state = None if full else read_state(output, server.url, key, filled=bool(previous))
    index = read_index(server, key, data=False, progress=lambda done, total: tell("looking for changes", done, total))
    stamps = {item.task_id: item.updated_at for item in index if item.worked_on}
    if state is None:
        tasks = read_tasks(server, key, tell=lambda done, total: tell("annotations", done, total))
        pages, quarantine = build_pages(tasks, previous)
        known: dict[int, tuple[str | None, str]] = {}
    else:
        tasks, affected = _changed(server, state, index, tell)
        fresh, refused = build_pages(tasks, previous)
        pages = [page for name, page in previous.items() if name not in affected] + fresh
        pages.sort(key=lambda page: page.article.article_id)
        known = {task: entry for task, entry in state.tasks.items() if task in stamps}
        read = {task.task_id for task in tasks} | (set(state.tasks) - set(known))
        quarantine = [item for item in _read_quarantine(output) if item["task_id"] not in read] + refused
        quarantine.sort(key=lambda item: (str(item["article_id"]), item["task_id"], item["annotation_id"]))
    if gone := sorted(set(previous) - {page.article.article_id for page in pages}):
        _log.warning("%s: %d pages leave, the server holds no usable work on them: %s", output, len(gone), gone[:5])
    # A stamp from before the task was read: what came in between is read again next time.
    known |= {task.task_id: (_article(task), stamps.get(task.task_id, "")) for task in tasks}
    _write(output, pages, quarantine)
    _write_state(output, PullState(url=server.url, project=key, tasks=known, digests=_digests(output)))
    records = [item for page in pages for item in page.annotations]
    return PullReport(
        full=state is None,
        tasks_read=len(tasks),
        pages=len(pages),
        annotations=len(records),
        skipped=sum(bool(item.get("skipped")) for item in (*records, *quarantine)),
        discussed=sum(bool(item.get("discuss")) for item in records),
        quarantined=sum(not item.get("skipped") for item in quarantine),
    )


def pulled_before(output: Path) -> dict[str, LabelledPage]:
    """Return the pages that earlier pulls left in ``output``, by article.

    Raises:
        InputError: nothing can be pulled to there, or pages stand there that no pull has written.
        RecordError: it exists and holds something else.
    """
    if not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise InputError(f"{output}: annotations are pulled to a .jsonl or .jsonl.gz file: name one")
    if not output.parent.is_dir():
        raise InputError(f"{output}: its folder does not exist: make it")
    previous = {page.article.article_id: page for page in read_pages(output)} if output.exists() else {}
    for name, page in previous.items():
        if not any("annotation_id" in item for item in page.annotations):
            raise InputError(f"{output}: a pull would lose page {name!r}, which was not pulled: name another file")
    return previous


def _article(task: ReadTask) -> str | None:
    return None if task.article is None else task.article.article_id


def read_tasks(
    server: Server, project: int, *, since: str | None = None, tell: Callable[[int, int], None] | None = None
) -> list[ReadTask]:
    """Read every task that has annotations, or those that changed after ``since``; checked against the total.

    Raises:
        ServerError: the listing fails or is not whole.
    """
    items = []
    if since:
        items.append({"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since})
    query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
    found = server.pages(
        "api/tasks/",
        {"project": project, "fields": "all", "include": _COLUMNS, "query": json.dumps(query)},
        items="tasks",
        keep=lambda task: read_task(task) if task.get("annotations") else None,
        progress=tell,
    )
    return [task for task in found if task is not None]


def changed_since(state: PullState, index: Iterable[TaskState]) -> list[TaskState]:
    """Return the tasks with work on them that are not as the last pull found them."""
    return [
        item
        for item in index
        if item.worked_on and (item.task_id not in state.tasks or state.tasks[item.task_id][1] != item.updated_at)
    ]


def _changed(
    server: Server, state: PullState, index: Sequence[TaskState], tell: Callable[[str, int, int], None]
) -> tuple[list[ReadTask], set[str]]:
    """Read the tasks that changed, and those that show the same articles; return them and the articles' names."""
    changed = changed_since(state, index)
    tasks: dict[int, ReadTask] = {}
    if changed:
        since = datetime.fromisoformat(min(item.updated_at for item in changed)) - timedelta(seconds=1)
        stamp = since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        found = read_tasks(
            server, state.project, since=stamp, tell=lambda done, total: tell("annotations", done, total)
        )
        tasks = {task.task_id: task for task in found}
    live = {item.task_id for item in index if item.worked_on}
    gone = set(state.tasks) - live
    affected = {name for task in tasks.values() if (name := _article(task)) is not None}
    affected |= {
        name for task in gone | set(tasks) if task in state.tasks and (name := state.tasks[task][0]) is not None
    }
    beside = {task for task in live & set(state.tasks) if state.tasks[task][0] in affected} - set(tasks)
    for task in sorted(beside):
        raw = read_task_by_id(server, task)
        if raw is not None and raw.get("annotations"):
            tasks[task] = read_task(raw)
    return [tasks[task] for task in sorted(tasks)], affected


# --- files -------------------------------------------------------------------------------------------------------


def _write(output: Path, pages: list[LabelledPage], quarantine: list[dict[str, Any]]) -> None:
    lines = [json.dumps(item, separators=(",", ":"), sort_keys=True) + "\n" for item in quarantine]
    _replace(quarantine_path(output), "".join(lines))
    write_pages(pages, output)


def _replace(path: Path, content: str) -> None:
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as stream:
            temporary = Path(stream.name)
            stream.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _read_quarantine(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in quarantine_path(output).read_text(encoding="utf-8").splitlines()]


def _digests(output: Path) -> tuple[str, str]:
    def digest(path: Path) -> str:
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            return ""

    return digest(output), digest(quarantine_path(output))


def read_state(output: Path, url: str, project: int, *, filled: bool = False) -> PullState | None:
    """Return the state of the last pull to ``output``; None where the next one must read everything.

    Raises:
        InputError: the last pull was from another project and left pages there (``filled``).
    """
    try:
        found = json.loads(state_path(output).read_text(encoding="utf-8"))
        state = PullState(
            url=found["url"],
            project=found["project"],
            tasks={int(task): (name, stamp) for task, (name, stamp) in found["tasks"].items()},
            digests=(found["digests"][0], found["digests"][1]),
        )
        fits = found["format"] == _FORMAT
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        _log.warning("%s: cannot be used: reading everything", state_path(output))
        return None
    if (state.url, state.project) != (url, project):
        if filled:
            raise InputError(
                f"{output}: holds pages of project {state.project} of {state.url}, this is project {project} of {url}: "
                "name another file, or replace them with --full"
            )
        return None
    if not fits or state.digests != _digests(output) or "" in state.digests:
        _log.warning("%s: the pages were changed since the last pull: reading everything", output)
        return None
    return state


def _write_state(output: Path, state: PullState) -> None:
    record = {
        "format": _FORMAT,
        "url": state.url,
        "project": state.project,
        "tasks": {str(task): list(entry) for task, entry in sorted(state.tasks.items())},
        "digests": list(state.digests),
    }
    _replace(state_path(output), json.dumps(record, indent=1, sort_keys=True) + "\n")
