"""One retraining, from reviewed pages to a model in use: steps in order, done once, resumed where they were cut."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.errors import InputError
from annotator.labelstudio.lock import hold
from annotator.registry import current_version, replace_text
from annotator.retraining import steps
from annotator.retraining.journal import Record, inputs_digest, read_record, write_record
from annotator.retraining.steps import Run, Settings

logger = logging.getLogger(__name__)

STEPS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "pull": steps.pull_reviewed,
    "check": steps.check_data,
    "dataset": steps.make_dataset,
    "train": steps.train_model,
    "export": steps.export_model,
    "evaluate": steps.evaluate_models,
    "gate": steps.judge_model,
    "promote": steps.promote_model,
    "predict": steps.predict_tasks,
}
_OF_WORKSPACE = ("pull", "check", "dataset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: what each step did (``done``, ``unchanged``, ``would run``), the version, the verdict.

    ``passed`` is None where the gate was not reached.
    """

    steps: dict[str, str]
    version: str | None
    passed: bool | None
    lines: tuple[str, ...]
    folder: Path | None


def retrain(settings: Settings, *, until: str | None = None, dry_run: bool = False) -> Outcome:
    """Run every step whose inputs changed, in order, up to ``until``; a refusal of the gate ends the run.

    ``dry_run`` says what would run: the first step whose inputs changed, and all after it, as far as the gate lets
    them. It neither asks Label Studio nor writes anything.

    Raises:
        InputError: an unknown step, or data or gate that cannot be used.
        LockedError: another run is at this workspace or registry.
        ServerError: Label Studio failed; the next run goes on there.
        ModelError: a model cannot be made or read.
    """
    if until is not None and until not in STEPS:
        raise InputError(f"--until {until}: no such step: use one of {', '.join(STEPS)}")
    if dry_run:
        return _steps(settings, until, dry_run=True)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    settings.models.mkdir(parents=True, exist_ok=True)
    with (
        hold(settings.workspace / ".lock", f"workspace {settings.workspace}"),
        hold(settings.models / ".lock", f"models {settings.models}"),
        _log_to(settings.workspace / "log.txt"),
    ):
        return _steps(settings, until, dry_run=False)


def _steps(settings: Settings, until: str | None, *, dry_run: bool) -> Outcome:
    run = Run(settings=settings)
    said: dict[str, str] = {}
    for name, do in STEPS.items():
        if name == "predict" and settings.project is None:
            break
        if name == "check":
            steps.load_gate(run)
        if "would run" in [what for step, what in said.items() if step != "pull"]:
            said[name] = "would run"  # what it rests on is not there yet
        else:
            said[name] = _step(run, name, do, dry_run=dry_run)
        if name == until or not run.results.get("gate", {"passed": True})["passed"]:
            break
        if said[name] == "unchanged" and name == "promote" and current_version(settings.models) != run.version:
            said[name] += f": {run.version} was taken out of use since (annotator models promote {run.version})"
    gate = run.results.get("gate")
    return Outcome(
        steps=said,
        version=run.version if "export" in run.results else None,
        passed=None if gate is None else gate["passed"],
        lines=() if gate is None else tuple(gate["lines"]),
        folder=run.folder if "dataset" in run.results else None,
    )


def _step(run: Run, name: str, do: Callable[[Run], dict[str, Any]], *, dry_run: bool) -> str:
    if name == "pull":
        if dry_run:
            return "would run" if run.settings.project is not None else "unchanged"
        run.results[name] = do(run)
        logger.info("pull: %s", run.results[name])
        return "done" if run.results[name]["pulled"] else "unchanged"
    folder = run.settings.workspace if name in _OF_WORKSPACE else run.folder
    record = read_record(folder, name)
    if dry_run and name == "predict":
        return "would run" if record is None else "unchanged, unless there are new tasks"
    inputs = inputs_digest(steps.inputs_of(run, name))
    if record is not None and record.inputs == inputs and steps.still_there(run, name, record.result):
        run.results[name] = record.result
        logger.info("%s: unchanged", name)
        return "unchanged"
    if dry_run:
        return "would run"
    logger.info("%s: begins", name)
    if name == "train":
        _describe(run)
    run.results[name] = do(run)
    write_record(folder, name, Record(inputs=inputs, result=run.results[name]))
    logger.info("%s: done", name)
    return "done"


def _describe(run: Run) -> None:
    """Write down what the run is made of, for people: its config and the annotations that went in."""
    run.folder.mkdir(parents=True, exist_ok=True)
    data = {"recipe": asdict(run.settings.recipe), "dataset": run.results["dataset"]}
    replace_text(run.folder / "config.json", json.dumps(data, indent=2, default=str) + "\n")
    made_of = steps.dataset_file(run).with_suffix(".annotations.json")
    replace_text(run.folder / "annotations.json", made_of.read_text(encoding="utf-8"))


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    root = logging.getLogger("annotator")
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO) if level else logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
