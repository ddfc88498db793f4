"""Where a project stands, and what a push or a pull would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.labelstudio.client import Server
from annotator.labelstudio.index import by_key, read_index, version_counts
from annotator.labelstudio.pull import changed_since, pulled_before, read_state, read_tasks
from annotator.labelstudio.push import PushOptions, PushReport, Source, push


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Counts of a project; ``annotators`` has done, skipped, discussed and accepted for each pseudonym."""

    tasks: int
    done: int
    skipped: int
    discussed: int
    quarantined: int
    doubles: int
    foreign: int
    annotators: Mapping[str, Mapping[str, int]]
    started_from: Mapping[str, int]
    predictions: Mapping[str, int]
    model_version: str | None
    push: PushReport | None
    pull: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return record | {"push": None if self.push is None else self.push.to_dict()}

    def table(self) -> list[tuple[str, str]]:
        """Return rows of name and value, for people."""
        rows = [
            ("tasks", str(self.tasks)),
            ("done", str(self.done)),
            ("skipped by everyone", str(self.skipped)),
            ("in discussion", str(self.discussed)),
            ("annotations that cannot be used", str(self.quarantined)),
            ("double tasks", str(self.doubles)),
            ("tasks of others", str(self.foreign)),
            ("model version in use", self.model_version or "none"),
        ]
        rows += [(f"predictions of {name}", str(count)) for name, count in self.predictions.items()]
        rows += [(f"annotations started from {name}", str(count)) for name, count in self.started_from.items()]
        rows += [
            (name, ", ".join(f"{count} {what}" for what, count in counts.items()))
            for name, counts in self.annotators.items()
        ]
        if self.push is not None:
            done = f"{self.push.created} new tasks, {self.push.predicted} new predictions"
            rows.append(("a push would make", f"{done}, {len(self.push.changed)} articles have changed text"))
            if self.push.switched:
                rows.append(("a push would put in use", str(self.push.model_version)))
        if self.pull is not None:
            rows.append(("a pull would read", f"{self.pull['tasks']} tasks ({self.pull['mode']})"))
        return rows


def status(
    server: Server,
    project: Mapping[str, Any],
    *,
    source: Source | None = None,
    output: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Status:
    """Read the project; nothing is written, on the server or here.

    Raises:
        InputError: ``source`` holds several model versions, a file cannot be read, or a pull would refuse ``output``.
        ServerError: the server failed.
    """
    tell = progress or (lambda *_: None)
    key = int(project["id"])
    index = read_index(server, key, progress=lambda done, total: tell("tasks", done, total))
    tasks = read_tasks(server, key, tell=lambda done, total: tell("annotations", done, total))
    people: dict[str, Counter[str]] = {}
    versions: Counter[str] = Counter()
    for task in tasks:
        for item in task.annotations:
            record = item.record
            counts = people.setdefault(record["annotator"], Counter(done=0, skipped=0, discussed=0, accepted=0))
            counts["skipped" if record["skipped"] else "done"] += 1
            counts["discussed"] += bool(record["discuss"])
            counts["accepted"] += bool(record["accepted"])
            if not record["skipped"]:
                versions[record["model_version"] or "no prediction"] += 1
        for refused in task.quarantine:
            people.setdefault(refused["annotator"], Counter(done=0, skipped=0, discussed=0, accepted=0))[
                "unusable"
            ] += 1
    would: Mapping[str, Any] | None = None
    if output is not None:
        state = read_state(output, server.url, key, filled=bool(pulled_before(output)))
        busy = [item for item in index if item.worked_on]
        would = {
            "mode": "full" if state is None else "incremental",
            "tasks": len(busy) if state is None else len(changed_since(state, index)),
        }
    return Status(
        tasks=len(index),
        done=sum(any(item.segments for item in task.annotations) for task in tasks),
        skipped=sum(bool(task.annotations) and all(i.record["skipped"] for i in task.annotations) for task in tasks),
        discussed=sum(any(item.record["discuss"] for item in task.annotations) for task in tasks),
        quarantined=sum(len(task.quarantine) for task in tasks),
        doubles=sum(len(group) - 1 for group in by_key(index).values()),
        foreign=sum(item.key is None for item in index),
        annotators={name: dict(people[name]) for name in sorted(people)},
        started_from=dict(sorted(versions.items())),
        predictions=dict(sorted(version_counts(server, key).items())),
        model_version=project.get("model_version") or None,
        push=None if source is None else push(server, project, source, PushOptions(dry_run=True, changed=True)),
        pull=would,
    )
