"""The steps of a retraining run. Each takes the run and returns what its record keeps; done twice, it ends the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annotator import __version__
from annotator.classifier import SegmentClassifier
from annotator.curation import DatasetRules, training_set
from annotator.dataset import LabelledPage, check_paths, digest, read_pages, write_pages
from annotator.errors import InputError, RecordError
from annotator.gate import TIME, judge, measure, megabytes, slowness
from annotator.gatefile import GateFile, GateSet, gate_sets, read_gate, set_result
from annotator.labelstudio.client import Server
from annotator.labelstudio.convert import article_of
from annotator.labelstudio.index import read_index
from annotator.labelstudio.lock import locked
from annotator.labelstudio.project import open_project
from annotator.labelstudio.pull import pull
from annotator.labelstudio.push import PushOptions, push
from annotator.labelstudio.switch import switch
from annotator.pipeline import score
from annotator.records import Article
from annotator.registry import Calibration, current_version, model_path, promote, read_manifest, replace_text
from annotator.retraining.journal import files_digest, inputs_digest, read_record
from annotator.training.base import load_base
from annotator.training.calibrate import facts, fit_calibration
from annotator.training.card import write_card
from annotator.training.fit import Hardware
from annotator.training.publish import publish
from annotator.training.recipe import Recipe, hold_out, start_files, train

logger = logging.getLogger(__name__)

CHUNK = 500  # articles scored and sent at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A Label Studio project, opened for a step at a time: a training must not keep others from it."""

    url: str
    token: str = field(repr=False)
    title: str

    @contextmanager
    def opened(self) -> Iterator[tuple[Server, Mapping[str, Any]]]:
        """Yield the server and the project, and hold the project's lock."""
        with Server(self.url, self.token) as server, locked(server.url, self.title):
            server.check_version()
            yield server, open_project(server, self.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a retraining rests on.

    ``workspace`` keeps what was pulled, and a folder for each run; ``data`` are labelled pages to train on besides
    the reviewed ones, those most like the use last; ``gate_data`` more gate pages, pinned in ``gate`` by digest.
    """

    workspace: Path
    data: tuple[Path, ...]
    models: Path
    gate: Path
    gate_data: tuple[Path, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    hardware: Hardware = field(default_factory=Hardware)
    project: Project | None = None
    resamples: int = 2000
    rules: DatasetRules = field(default_factory=DatasetRules)

    def __post_init__(self) -> None:
        """Refuse what a step would stumble over after hours.

        Raises:
            InputError: a file of ``data`` or ``gate_data`` is not there, or there is no resample.
        """
        for path in (*self.data, *self.gate_data):
            if not path.exists():
                raise InputError(f"{path}: no such file: name labelled pages")
        if self.resamples < 1:
            raise InputError(f"--resamples {self.resamples}: at least 1 is needed")

    @property
    def reviewed(self) -> Path:
        """Where a pull puts the pages that people worked on."""
        return self.workspace / "reviewed.jsonl"


@dataclass(slots=True, kw_only=True)
class Run:
    """A run on its way: the results of the steps so far, by name, and what was read once for several of them."""

    settings: Settings
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate: GateFile = field(default_factory=GateFile)
    sets: list[GateSet] = field(default_factory=list)

    @property
    def sources(self) -> list[Path]:
        """Every file that may hold training pages."""
        reviewed = self.settings.reviewed
        return [*self.settings.data, *([reviewed] if reviewed.is_file() and reviewed.stat().st_size else [])]

    @property
    def folder(self) -> Path:
        """The folder of this data, recipe and base; the same inputs find the same folder again."""
        recipe = self.settings.recipe
        base = Path(recipe.base)
        warm = None if recipe.warm_start is None else files_digest(start_files(recipe))
        inputs = [
            self.results["dataset"]["digest"], self.results["dataset"]["annotations"],
            asdict(recipe) | {"warm_start": warm, "base": base.name},
            files_digest([base]) if base.is_dir() else recipe.base,
        ]  # fmt: skip
        return self.settings.workspace / "runs" / inputs_digest(inputs)[:12]

    @property
    def version(self) -> str:
        """The version that this run made."""
        return str(self.results["export"]["version"])

    @property
    def champion(self) -> str | None:
        """The version that the challenger is held against: the one in use, or that was when this run took its place."""
        done = read_record(self.folder, "promote")
        if done is not None and done.result["version"] == self.version:
            return done.result["champion"]  # type: ignore[no-any-return]
        if not (self.settings.models / "CURRENT").is_file():
            return None
        current = current_version(self.settings.models)
        if current == self.version and (record := read_record(self.folder, "evaluate")) is not None:
            return record.result["champion"]  # type: ignore[no-any-return]
        return current


# --- data --------------------------------------------------------------------------------------------------------


def pull_reviewed(run: Run) -> dict[str, Any]:
    """Bring the reviewed pages from Label Studio; without a project, what an earlier pull left is used."""
    project = run.settings.project
    if project is None:
        return {"pulled": False}
    run.settings.workspace.mkdir(parents=True, exist_ok=True)
    with project.opened() as (server, found):
        report = pull(server, found, run.settings.reviewed)
    return {"pulled": True, **report.to_dict()}


def check_data(run: Run) -> dict[str, Any]:
    """Check every labelled page, and that the gate pages are the frozen ones.

    Raises:
        InputError: something is wrong; the message has the first problem and how many there are.
    """
    problems = [line for path in run.sources for line in check_paths(path)]
    if problems:
        more = f" (and {len(problems) - 1} more: annotator labels check)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")
    return {"problems": 0}


def make_dataset(run: Run) -> dict[str, Any]:
    """Put the training pages together by the rules of annotator.curation; the reviewed form of a page counts.

    Raises:
        InputError: nothing is left to train on, or the labels follow several codebooks and the rules do not allow it.
    """
    gate = [page for one in run.sets for page in one.pages]
    pages: dict[str, LabelledPage] = {}
    use: set[str] = set()
    for path in run.sources:
        found = read_pages(path)
        if path in {run.settings.data[-1] if run.settings.data else None, run.settings.reviewed}:
            use |= {page.article.article_id for page in found}
        pages |= {page.article.article_id: page for page in found}
    made = training_set(pages.values(), gate=gate, rules=run.settings.rules)
    folder = run.settings.workspace / "data"
    folder.mkdir(parents=True, exist_ok=True)
    write_pages(made.pages, folder / f"{made.digest[:12]}.jsonl")
    lineage = [dict(item) for item in made.lineage]
    replace_text(folder / f"{made.digest[:12]}.annotations.json", json.dumps(lineage, indent=1) + "\n")
    return {
        "digest": made.digest, "pages": len(made.pages), "segments": sum(len(page.segments) for page in made.pages),
        "annotations": [item["annotation_id"] for item in lineage if item["annotation_id"] is not None],
        "origins": dict(made.origins), "codebooks": list(made.codebooks),
        "left_out": {reason: len(ids) for reason, ids in made.left_out.items()},
        "like_the_use": sorted(use & {page.article.article_id for page in made.pages}),
    }  # fmt: skip


def dataset_file(run: Run) -> Path:
    """Return the file of the dataset version."""
    return run.settings.workspace / "data" / f"{run.results['dataset']['digest'][:12]}.jsonl"


# --- model -------------------------------------------------------------------------------------------------------


def train_model(run: Run) -> dict[str, Any]:
    """Train for the calibration and for use; cut trainings go on from their last checkpoint."""
    _trained(run)
    return {"weights": "full"}


def _trained(run: Run) -> tuple[Any, Any, list[LabelledPage]]:
    recipe, hardware = run.settings.recipe, run.settings.hardware
    pages = read_pages(dataset_file(run))
    ids = set(run.results["dataset"]["like_the_use"])
    use = [page for page in pages if page.article.article_id in ids]
    sample = hold_out(pages, use, recipe, run.folder, hardware=hardware)
    return sample, train(pages, recipe, run.folder / "full", hardware=hardware), pages


def export_model(run: Run) -> dict[str, Any]:
    """Calibrate and write ``models/<version>/``; nothing is in use by that."""
    recipe = run.settings.recipe
    sample, model, pages = _trained(run)
    fitted = None if sample is None else fit_calibration(sample, risk=recipe.risk)
    details = {
        "seeds": list(recipe.seeds),
        "data": [path.name for path in run.sources],
        "lineage": {
            "dataset": run.results["dataset"]["digest"],
            "annotations": run.results["dataset"]["annotations"],
            "warm_start": None if recipe.warm_start is None else files_digest(start_files(recipe)),
        },
        **facts(sample, fitted),
    }
    version = publish(
        model, load_base(recipe.base), recipe.config, Calibration() if fitted is None else fitted.calibration,
        run.settings.models, parity_pages=run.sets[0].pages, train_pages=pages, details=details,
        quantisation=recipe.quantisation,
    )  # fmt: skip
    return {"version": version}


def evaluate_models(run: Run) -> dict[str, Any]:
    """Evaluate challenger and champion on the gate pages; the challenger's figures go beside its manifest."""
    versions = {"challenger": run.version, "champion": run.champion}
    for role, version in versions.items():
        if version is None:
            continue
        folder = model_path(run.settings.models, version)
        found = measure(SegmentClassifier(folder), run.sets, resamples=run.settings.resamples)
        full = {name: one.to_dict(pages=True) for name, one in found.items()}
        replace_text(run.folder / f"{role}.json", json.dumps(full) + "\n")
        if role == "challenger":
            plain = {name: one.to_dict() for name, one in found.items()}
            errors = [one.pop("error") for one in plain.values()]
            plain["error"] = errors[0] if len(errors) == 1 else _error(folder, run)
            replace_text(folder / "metrics.json", json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
            shown = {one.name if one.open_text else f"{one.name} †": plain[one.name] for one in run.sets}
            write_card(folder, shown, _origin(read_manifest(folder).details))
    return {"champion": versions["champion"]}


def _origin(details: Mapping[str, Any]) -> str:
    """Say for the model card where the pages of a version that this loop made are from."""
    reviewed = len(details["lineage"]["annotations"])
    return f"They are labelled pages of {', '.join(details['data'])}, with {reviewed} annotations of reviewers."


def _error(folder: Path, run: Run) -> dict[str, Any]:
    """Measure what profiles are corrected with on the gate pages of all sets together."""
    pages = tuple(page for one in run.sets for page in one.pages)
    together = GateSet(name="all", digest=digest(pages), pages=pages, open_text=False)
    return measure(SegmentClassifier(folder), [together], resamples=1)["all"].error.to_dict()


def judge_model(run: Run) -> dict[str, Any]:
    """Hold the challenger against the champion and the floors."""
    results: dict[str, Any] = {}
    roles = ("challenger",) if run.champion is None else ("challenger", "champion")
    for role in roles:
        stored = json.loads((run.folder / f"{role}.json").read_text(encoding="utf-8"))
        results[role] = {name: set_result(one) for name, one in stored.items()}
    folder = model_path(run.settings.models, run.version)
    slower = None
    if run.champion is not None:
        before = SegmentClassifier(model_path(run.settings.models, run.champion))
        slower = slowness(SegmentClassifier(folder), before, run.sets[0].pages)
    verdict = judge(
        run.gate, run.sets, results["challenger"], results.get("champion"), size=megabytes(folder), slower=slower,
        resamples=run.settings.resamples,
    )  # fmt: skip
    replace_text(run.folder / "verdict.json", json.dumps(verdict.to_dict(), indent=2, ensure_ascii=False) + "\n")
    failed = [check.name for check in verdict.checks if not check.passed]
    return {"passed": verdict.passed, "failed": failed, "lines": verdict.lines()}


def promote_model(run: Run) -> dict[str, Any]:
    """Put the challenger in use."""
    champion = run.champion
    promote(run.settings.models, run.version)
    return {"version": run.version, "champion": champion}


def predict_tasks(run: Run) -> dict[str, Any]:
    """Send the new version's predictions to every task that lacks them, and let the project show them."""
    project = run.settings.project
    assert project is not None
    if current_version(run.settings.models) != run.version:
        return {"sent": 0, "why": f"{run.version} is no longer in use"}
    classifier = SegmentClassifier(model_path(run.settings.models, run.version))
    sent = 0
    with project.opened() as (server, found):
        lacking = [s.task_id for s in read_index(server, int(found["id"])) if s.key and run.version not in s.versions]
        articles = _articles(server, int(found["id"]), set(lacking))
        for start in range(0, len(articles), CHUNK):
            scored = [score(article, classifier) for article in articles[start : start + CHUNK]]
            sent += push(server, found, lambda scored=scored: iter(scored), PushOptions()).predicted  # type: ignore[misc]
        switch(server, found, run.version)
    return {"sent": sent}


def _articles(server: Server, project: int, tasks: set[int]) -> list[Article]:
    def keep(task: dict[str, Any]) -> tuple[int, Article | None]:
        try:
            return int(task["id"]), article_of(task.get("data") or {})
        except RecordError:
            return int(task["id"]), None

    found = server.pages(
        "api/tasks/", {"project": project, "fields": "all", "include": "id,data"}, items="tasks", keep=keep
    )
    unique = {article.article_id: article for key, article in found if article is not None and key in tasks}
    return list(unique.values())


# --- what the steps are made of ----------------------------------------------------------------------------------


def inputs_of(run: Run, step: str) -> Any:
    """Return what a step's result depends on, as JSON; a step whose inputs are as before is not done again."""
    settings = run.settings
    if step in {"check", "dataset"}:
        return [files_digest(run.sources), [one.digest for one in run.sets], asdict(settings.rules), __version__]
    if step == "train":
        return run.folder.name
    if step == "export":
        return [run.folder.name, __version__]
    frozen = [[one.name, one.digest] for one in run.sets]
    if step == "evaluate":
        return [run.version, run.champion, frozen, settings.resamples, __version__]
    if step == "gate":
        return [run.version, run.champion, frozen, files_digest([settings.gate]), settings.resamples, __version__]
    if step == "promote":
        # Not the verdict's figures: judged anew, a version that was rolled back since stays out of use.
        return [run.version, run.champion, run.results["gate"]["passed"]]
    assert step == "predict"
    assert settings.project is not None
    with settings.project.opened() as (server, found):
        tasks = sorted(state.task_id for state in read_index(server, int(found["id"])) if state.key)
        return [run.version, current_version(settings.models), tasks]


def still_there(run: Run, step: str, result: Mapping[str, Any]) -> bool:
    """Say whether what a finished step left behind is whole."""
    if step == "dataset":
        return (run.settings.workspace / "data" / f"{result['digest'][:12]}.jsonl").is_file()
    if step == "gate":  # a busy machine is no reason to refuse a model for good
        return result.get("failed") != [TIME]
    if step == "export":
        folder = run.settings.models / str(result["version"])
        if not (folder / "manifest.json").is_file():
            return False
        read_manifest(folder)
    return True


def load_gate(run: Run) -> None:
    """Read the gate and its pages; where none is pinned yet, the pages beside it are taken, without floors."""
    run.gate = read_gate(run.settings.gate)
    run.sets = gate_sets(run.settings.gate, run.gate, run.settings.gate_data, known=bool(run.gate.sets))
    if not run.gate.sets:
        logger.warning(
            "%s: no pages are pinned, so there are no floors: annotator models gate --update", run.settings.gate
        )
    if not run.sets:
        raise InputError(f"{run.settings.gate}: no gate pages: put gate.jsonl beside it, or give --gate-data")
