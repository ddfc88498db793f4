"""Rename or merge labels in a project: its config and every result that people and models made, with a backup.

The config first gets the new label beside the old one, then every annotation, draft and prediction is rewritten, then
the old label goes. A run that was cut is finished by the next one. A region that was kept as predicted stays so: the
digest in its id is made anew (not where the new label takes no source or cue and the old one had them).
"""

from __future__ import annotations

import copy
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.labelstudio.anchor import ReadSegment, read_result
from annotator.labelstudio.client import Server, writing
from annotator.labelstudio.config import LABEL
from annotator.labelstudio.convert import CODES, RegionId, segment_digest
from annotator.labelstudio.regions import Refusal
from annotator.migration import Migration, migrated_config
from annotator.records import LABELS, Attribution

_KINDS = {"annotations": "api/annotations/", "drafts": "api/drafts/", "predictions": "api/predictions/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelabelReport:
    """How many regions of each old label were (or would be) given a new one, in how many results."""

    regions: Mapping[str, int]
    results: int
    config_changed: bool


def relabel(
    server: Server,
    project: Mapping[str, Any],
    renames: Mapping[str, str],
    backup: Path,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RelabelReport:
    """Rename or merge labels in a project.

    Args:
        server: to talk to.
        project: as the server gives it.
        renames: old to new; new ones are labels that this version knows.
        backup: JSON file that keeps config and results as they were; a file that is there is kept, another run made it.
        dry_run: only count.
        progress: called with the results written and their number.

    Raises:
        InputError: a new label is unknown, or the backup cannot be written.
        ServerError: the server failed; run it again to go on.
    """
    if unknown := sorted(set(renames.values()) - set(LABELS)):
        raise InputError(f"unknown label {unknown[0]!r}: use one of {', '.join(LABELS)}")
    key = int(project["id"])
    tell = progress or (lambda *_: None)
    config = str(server.get(f"api/projects/{key}/")["label_config"])
    last = _without_doubles(migrated_config(config, Migration(renames=renames)))
    found = list(_results(server, key, renames))
    regions: Counter[str] = Counter()
    for held in found:
        regions.update(label for item in held.result for label in _labels(item) if label in renames)
    report = RelabelReport(regions=dict(regions), results=len(found), config_changed=_shape(last) != _shape(config))
    if dry_run:
        return report
    _keep(backup, config, found)
    if report.config_changed:
        _set_config(server, key, _both(config, last, renames))
    for done, held in enumerate(found, start=1):
        body = {**held.fields, "result": relabelled(held.result, renames, held.shown)}

        def write(path: str = held.path, body: dict[str, Any] = body) -> bool:
            server.write("PATCH", path, body)
            return True

        writing(write, lambda: None)  # the same result twice is the same result
        tell(done, len(found))
    if report.config_changed:
        _set_config(server, key, last)
    return report


def relabelled(result: Sequence[Mapping[str, Any]], renames: Mapping[str, str], shown: str) -> list[dict[str, Any]]:
    """Return a result with its labels renamed; ids of regions that are as they were predicted state the new label."""
    new = [dict(copy.deepcopy(dict(item))) for item in result]
    for item in new:
        if item.get("from_name") == LABEL and isinstance(item.get("value"), dict):
            item["value"]["labels"] = [renames.get(label, label) for label in item["value"].get("labels") or ()]
    try:
        segments = read_result(new, shown).segments
    except Refusal:
        return new  # cannot be read, before or after: a pull says why
    kept = {segment.span: segment for segment in segments}
    ids: dict[str, str] = {}
    for before, after in zip(result, new, strict=True):
        old, parsed = _labels(before), RegionId.parse(str(before.get("id")))
        if parsed is None or not old or old[0] not in renames or parsed.span not in kept:
            continue
        seg = kept[parsed.span]
        held = None if seg.attribution is None else seg.attribution.source_segment
        source = None if held is None else segments[held].attribution
        carried = None if source is None else source.source
        for said in _as_sent(seg):
            was = segment_digest(seg.span, old[0], said, unverified=seg.unverified, carried=carried)
            if was == parsed.digest:
                digest = segment_digest(seg.span, seg.label, said, unverified=seg.unverified, carried=carried)
                ids[str(after["id"])] = str(replace(parsed, code=CODES[seg.label], digest=digest))
    for item in new:
        for name in ("id", "parentID", "from_id", "to_id"):  # the last two are the ends of an arrow
            if str(item.get(name)) in ids:
                item[name] = ids[str(item[name])]
    return new


def _as_sent(seg: ReadSegment) -> list[Attribution | None]:
    """Return the attribution as read, and without the kind that reading took from the source it points to."""
    said = seg.attribution
    if said is None or said.source_segment is None or said.source_type is None:
        return [said]
    return [said, replace(said, source_type=None)]


def _labels(item: Mapping[str, Any]) -> list[str]:
    value = item.get("value")
    return list(value.get("labels") or ()) if item.get("from_name") == LABEL and isinstance(value, Mapping) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A result that holds an old label: where it is, the text it is about, and what must go with a change of it."""

    path: str
    shown: str
    result: list[dict[str, Any]]
    fields: Mapping[str, Any]


def _results(server: Server, project: int, renames: Mapping[str, str]) -> Iterator[_Held]:
    tasks = server.pages(
        "api/tasks/",
        {
            "project": project,
            "fields": "all",
            "include": "id,data,annotations,drafts,predictions,result,model_version,score",
        },
        items="tasks",
        keep=lambda task: task,
    )
    for task in tasks:
        shown = str((task.get("data") or {}).get("text") or "")
        for kind, path in _KINDS.items():
            for item in task.get(kind) or ():
                result = item.get("result") or []
                if any(label in renames for entry in result for label in _labels(entry)):
                    # The server checks a prediction against the config of its task's project, and wants it whole.
                    fields = {name: item.get(name) for name in ("model_version", "score")} | {"task": task["id"]}
                    where = f"{path}{item['id']}/"
                    yield _Held(path=where, shown=shown, result=result, fields=fields if kind == "predictions" else {})


def _keep(backup: Path, config: str, found: Sequence[_Held]) -> None:
    if backup.exists():
        return
    content = {"label_config": config, "results": {held.path: held.result for held in found}}
    try:
        backup.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"{backup}: the backup cannot be written ({error.strerror}): name another file") from error


def _set_config(server: Server, project: int, config: str) -> None:
    def look() -> bool | None:
        found = server.get(f"api/projects/{project}/")["label_config"]
        return True if _shape(found) == _shape(config) else None

    def write() -> bool:
        server.write("PATCH", f"api/projects/{project}/", {"label_config": config})
        return True

    writing(write, look)


def _shape(config: str) -> str:
    return ET.canonicalize(config, strip_text=True)


def _without_doubles(config: str) -> str:
    """Leave the first label of each alias in a group."""
    root = ET.fromstring(config)  # noqa: S314 -- the project's own server
    for group in root.iter("Labels"):
        seen: set[str | None] = set()
        for label in list(group):
            name = label.get("alias") or label.get("value")
            if name in seen:
                group.remove(label)
            seen.add(name)
    return ET.tostring(root, encoding="unicode")


def _both(config: str, last: str, renames: Mapping[str, str]) -> str:
    """Return the last config with the old labels still in it."""
    old, root = ET.fromstring(config), ET.fromstring(last)  # noqa: S314 -- the project's own server
    home = next(group for group in root.iter("Labels") if group.get("name") == LABEL)
    there = {label.get("alias") or label.get("value") for label in home}
    for group in old.iter("Labels"):
        if group.get("name") == LABEL:
            for label in group:
                name = label.get("alias") or label.get("value")
                if name in renames and name not in there:
                    spare = copy.deepcopy(label)
                    spare.set("value", f"{label.get('value')} (ancien)")  # two labels of one name would be one
                    spare.attrib.pop("hotkey", None)
                    home.append(spare)
    return ET.tostring(root, encoding="unicode")
