"""Scored articles to the server: new tasks, new predictions, the switch to a new model version, pruning.

Every step first looks at what is there, so that a run that was cut anywhere is finished by the next one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from annotator.errors import InputError, RecordError
from annotator.labelstudio.client import Server, ServerError, writing
from annotator.labelstudio.config import ANONYMITY, CUE, LABEL, MARK, SOURCE, stored_values
from annotator.labelstudio.convert import BLIND, prediction, task_data
from annotator.labelstudio.index import (
    Key,
    TaskState,
    by_key,
    read_index,
    remove_double_predictions,
    remove_doubles,
    version_counts,
)
from annotator.labelstudio.switch import use_version
from annotator.records import LABELS, ScoredArticle

_log = logging.getLogger(__name__)

BATCH_BYTES = 4_000_000  # a request the server answers within seconds; its own limit is 250 MiB
Source = Callable[[], Iterator[ScoredArticle]]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """How to push.

    Attributes:
        changed: make a new task for an article whose text changed.
        keep: how many model versions keep their predictions, the one in use included; None prunes nothing.
        switch: put the version in use although tasks without it and without work would show nothing.
        dry_run: look only.
        batch_bytes: size of a request.
        blind: share of the new tasks on which annotators see no prediction; chosen by a digest of the article_id, so
            that the choice holds. What they agree to unseen tells how much a shown prediction pulls them.
    """

    changed: bool = False
    keep: int | None = None
    switch: bool = False
    dry_run: bool = False
    batch_bytes: int = BATCH_BYTES
    blind: float = 0.0


@dataclass(slots=True, kw_only=True)
class PushReport:
    """What a push did (or would do): counts, and what people should know."""

    model_version: str | None = None
    articles: int = 0
    created: int = 0
    blind: int = 0
    predicted: int = 0
    left_alone: int = 0
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    doubles_removed: int = 0
    switched: bool = False
    pruned: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    create: frozenset[Key]
    predict: Mapping[Key, int]
    wanted: frozenset[Key]
    blind: frozenset[Key]


def push(
    server: Server,
    project: Mapping[str, Any],
    source: Source,
    options: PushOptions | None = None,
    *,
    progress: Progress | None = None,
) -> PushReport:
    """Bring the project to where every scored article is one task with one prediction of its model version.

    Args:
        server: to talk to.
        project: as the server gives it.
        source: yields the scored articles, the same each time it is called (it is called twice).
        options: see :class:`PushOptions`.
        progress: called with a step's name, how much of it is done, and how much there is.

    Raises:
        InputError: the articles are of several model versions, or the project's config lacks a label.
        ServerError: the server failed for good; run it again to go on.
    """
    how = options or PushOptions()
    tell = progress or (lambda *_: None)
    key = int(project["id"])
    report = PushReport()
    _check_config(project)
    states = read_index(server, key, progress=lambda done, total: tell("reading the project", done, total))
    removed, remarks = remove_doubles(server, states, dry_run=how.dry_run)
    report.doubles_removed += len(removed)
    report.remarks += remarks
    states = [state for state in states if state.task_id not in removed]
    plan = _plan(source(), states, how, report)
    if how.dry_run:
        report.created, report.predicted = len(plan.create), len(plan.predict)
        report.doubles_removed += sum(max(0, state.predictions - len(state.versions)) for state in states)
        states = [state for state in states if state.key not in plan.predict]  # the others will have the version
    elif plan.create or plan.predict:
        _create(server, key, source, plan, how, report, tell)
        _predict(server, key, source, plan, how, report, tell)
        states = _verified(server, key, plan, report, tell)
    elif any(state.predictions > len(state.versions) for state in states):
        report.doubles_removed += len(remove_double_predictions(server, states))
    if report.model_version is not None:
        _switch(server, project, states, how, report)
        if how.keep is not None:
            _prune(server, key, how.keep, report, dry_run=how.dry_run)
    return report


def _check_config(project: Mapping[str, Any]) -> None:
    needed = {(LABEL, str(label)) for label in LABELS} | {(MARK, name) for name in (SOURCE, CUE, ANONYMITY)}
    if missing := sorted(needed - stored_values(str(project.get("label_config") or ""))):
        names = ", ".join(f"{control}={value}" for control, value in missing)
        title = project.get("title")
        raise InputError(f"project {title!r}: its config lacks {names}: run  annotator labelstudio init --update")


def _plan(articles: Iterable[ScoredArticle], states: list[TaskState], how: PushOptions, report: PushReport) -> _Plan:
    there = by_key(states)
    known = {key[0] for key in there}
    create: set[Key] = set()
    predict: dict[Key, int] = {}
    seen: dict[str, str] = {}
    for scored in articles:
        art = scored.article
        report.articles += 1
        report.model_version = report.model_version or scored.model_version
        if scored.model_version != report.model_version:
            raise InputError(
                f"the files hold articles of two model versions, {report.model_version!r} and "
                f"{scored.model_version!r}: push one version at a time"
            )
        digest = art.text_sha256
        if art.article_id in seen:
            same = "" if seen[art.article_id] == digest else " with another text"
            report.failed.append(f"article {art.article_id!r}: it comes twice{same}: the first one counts")
            continue
        try:
            task_data(art)
            prediction(scored)
        except RecordError as error:
            report.failed.append(str(error))
            continue
        seen[art.article_id] = digest
        key = (art.article_id, digest)
        if key in there:
            if all(report.model_version in state.versions for state in there[key]):
                report.left_alone += 1
            else:
                lacking = next(s for s in there[key] if report.model_version not in s.versions)
                predict[key] = lacking.task_id
        elif art.article_id in known:
            report.changed.append(art.article_id)
            if how.changed:
                create.add(key)
        else:
            create.add(key)
    wanted = set(seen.items())
    skipped = {key for key in wanted if key[0] in report.changed and key not in create}
    blind = {key for key in create if is_blind(key[0], how.blind)}
    report.blind = len(blind)
    blind |= {key for key in predict if any(state.blind for state in there[key])}
    return _Plan(create=frozenset(create), predict=predict, wanted=frozenset(wanted - skipped), blind=frozenset(blind))


def is_blind(article_id: str, share: float) -> bool:
    """Say whether an article is among the ``share`` (0 to 1) that annotators see without a prediction."""
    digest = hashlib.sha256(article_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def _batches(
    source: Source, keys: Iterable[Key], limit: int, build: Callable[[ScoredArticle], Any]
) -> Iterator[dict[Key, Any]]:
    left = set(keys)
    batch: dict[Key, Any] = {}
    size = 0
    for scored in source():
        key = (scored.article.article_id, scored.article.text_sha256)
        if key not in left:
            continue
        left.discard(key)
        payload = build(scored)
        weight = len(json.dumps(payload, ensure_ascii=False).encode())
        if batch and size + weight > limit:
            yield batch
            batch, size = {}, 0
        batch[key] = payload
        size += weight
    if batch:
        yield batch


def _create(
    server: Server, project: int, source: Source, plan: _Plan, how: PushOptions, report: PushReport, tell: Progress
) -> None:
    def build(scored: ScoredArticle) -> dict[str, Any]:
        blind = (scored.article.article_id, scored.article.text_sha256) in plan.blind
        data = task_data(scored.article) | ({BLIND: True} if blind else {})
        return {"data": data, "predictions": [_shown(scored, blind=blind)]}

    if plan.create:
        tell("new tasks", 0, len(plan.create))
    for batch in _batches(source, plan.create, how.batch_bytes, build):
        _send(server, project, f"api/projects/{project}/import", batch, _importing)
        report.created += len(batch)
        tell("new tasks", report.created, len(plan.create))


def _predict(
    server: Server, project: int, source: Source, plan: _Plan, how: PushOptions, report: PushReport, tell: Progress
) -> None:
    def build(scored: ScoredArticle) -> dict[str, Any]:
        key = (scored.article.article_id, scored.article.text_sha256)
        return {"task": plan.predict[key], **_shown(scored, blind=key in plan.blind)}

    if plan.predict:
        tell("new predictions", 0, len(plan.predict))
    for batch in _batches(source, plan.predict, how.batch_bytes, build):
        _send(server, project, f"api/projects/{project}/import/predictions", batch, _predicting(report.model_version))
        report.predicted += len(batch)
        tell("new predictions", report.predicted, len(plan.predict))


def _shown(scored: ScoredArticle, *, blind: bool) -> dict[str, Any]:
    """Return the prediction; an empty one of the same score on a blind task, so that it is served in its turn."""
    found = prediction(scored)
    return found | {"result": []} if blind else found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """How a kind of request is counted and recognised on the server."""

    name: str
    params: Mapping[str, Any]
    count: str
    done: Callable[[TaskState], bool]


_importing = _Step(name="tasks", params={"return_task_ids": "true"}, count="task_count", done=lambda _: True)


def _predicting(version: str | None) -> _Step:
    return _Step(name="predictions", params={}, count="created", done=lambda state: version in state.versions)


def _send(server: Server, project: int, path: str, batch: dict[Key, Any], step: _Step) -> None:
    """Send a batch; after a failure send what of it is not on the server, until nothing is left."""
    left = dict(batch)

    def write() -> int:
        answer = server.write("POST", path, list(left.values()), step.params)
        taken = answer.get(step.count) if isinstance(answer, Mapping) else None
        if taken != len(left):
            raise ServerError(
                f"{server.url}: of {len(left)} {step.name} the server took {taken}: "
                "it drops what does not fit the labelling config: compare it with  annotator labelstudio init",
                status=422,
            )
        return len(left)

    def look() -> int | None:
        there = by_key(state for state in read_index(server, project) if step.done(state))
        for key in there:
            left.pop(key, None)
        return None if left else 0

    writing(write, look)


def _verified(server: Server, project: int, plan: _Plan, report: PushReport, tell: Progress) -> list[TaskState]:
    """Read the project again: remove doubles that a failure or another machine left, compare with what was sent."""
    states = read_index(server, project, progress=lambda done, total: tell("checking", done, total))
    removed, remarks = remove_doubles(server, states)
    states = [state for state in states if state.task_id not in removed]
    extra = remove_double_predictions(server, states)
    report.doubles_removed += len(removed) + len(extra)
    report.remarks += [remark for remark in remarks if remark not in report.remarks]
    there = by_key(states)
    for key in sorted(plan.wanted):
        if key not in there:
            raise ServerError(f"{server.url}: article {key[0]!r} was sent and is not there: run the push again")
        if not any(report.model_version in state.versions for state in there[key]):
            raise ServerError(f"{server.url}: article {key[0]!r} has no prediction of this version: run the push again")
    return states


def _switch(
    server: Server, project: Mapping[str, Any], states: list[TaskState], how: PushOptions, report: PushReport
) -> None:
    version, key = report.model_version, int(project["id"])
    current = server.get(f"api/projects/{key}/").get("model_version") or ""
    if current == version:
        return
    bare = [s for s in states if s.key is not None and version not in s.versions and not s.worked_on]
    if bare and current and not how.switch:
        report.remarks.append(
            f"model version {version} is not put in use: {len(bare)} open tasks have no prediction of it "
            f"(in use: {current}): push the other articles scored with it, or add --switch"
        )
        return
    report.switched = True
    if how.dry_run:
        return
    counts = version_counts(server, key)
    expected = sum(version in state.versions for state in states)
    if counts.get(str(version), 0) != expected:
        raise ServerError(
            f"{server.url}: {counts.get(str(version), 0)} predictions of {version} for {expected} tasks: run it again"
        )
    use_version(server, key, str(version))


def _prune(server: Server, project: int, keep: int, report: PushReport, *, dry_run: bool) -> None:
    """Delete the predictions of all but the ``keep`` latest versions; the one in use and the one pushed stay."""
    current = None if report.switched else server.get(f"api/projects/{project}/").get("model_version")
    answer = server.get(f"api/projects/{project}/model-versions/", {"extended": "true"})
    static = answer.get("static", []) if isinstance(answer, Mapping) else []
    ordered = sorted(static, key=lambda item: str(item.get("latest")), reverse=True)
    names = [str(item["model_version"]) for item in ordered]
    stay = {name for name in (current, report.model_version) if name}
    stay |= set([name for name in names if name not in stay][: max(0, keep - len(stay))])
    for name in reversed([name for name in names if name not in stay]):
        report.pruned.append(name)
        if dry_run:
            continue

        def look(name: str = name) -> bool | None:
            return None if name in version_counts(server, project) else True

        def write(name: str = name) -> bool:
            server.write("DELETE", f"api/projects/{project}/model-versions/", {"model_version": name})
            return True

        writing(write, look)
