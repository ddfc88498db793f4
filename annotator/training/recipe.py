"""What a new version is made of: which pages train, several seeds averaged, folds held out for the calibration.

Every part leaves its result in a folder and finds it there again, so that a run that was cut goes on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotator.dataset import LabelledPage, outlet_families, split_by_outlet
from annotator.errors import InputError
from annotator.records import LABELS
from annotator.training.base import load_base
from annotator.training.calibrate import HeldOut, joined, stored
from annotator.training.examples import Augmentation
from annotator.training.export import Quantisation
from annotator.training.fit import Hardware, TrainConfig, fit, has_bf16, pick_device
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.training.publish import held_out
from annotator.windows import WindowConfig

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
FOLD_SEED = 7
_GROUPS = {"windows": WindowConfig, "augmentation": Augmentation, "loss": LossWeights}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make a version from labelled pages.

    ``seeds``: more than one averages weights. ``folds`` of whole outlets are made, ``held_out`` of them are left out
    in turn by a training of their own, whose logits fit the calibration (0: none is fitted). ``warm_start`` is the
    ``model.safetensors`` of an earlier run; trainings for the calibration start from the base all the same, since
    the earlier run has seen the pages that they leave out. Or it is the folder of an earlier run on the same pages:
    every training then goes on from its counterpart there, a fold's from that of the same fold.
    """

    base: str = "models/base"
    config: TrainConfig = field(default_factory=TrainConfig)
    seeds: tuple[int, ...] = (1,)
    folds: int = 5
    held_out: int = 1
    risk: float = 0.02
    quantisation: Quantisation = "int8"
    warm_start: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what would fail after the training, or train nothing.

        Raises:
            InputError: an impossible number of epochs, seeds or folds, a risk outside (0, 1), no such start.
        """
        if self.config.epochs < 1 or not self.seeds:
            raise InputError(f"{self.config.epochs} epochs, {len(self.seeds)} seeds: one at least of both")
        if self.folds == 1 or self.folds < 0 or not 0 <= self.held_out <= max(self.folds, 1):
            raise InputError(f"{self.held_out} folds of {self.folds}: make 2 or more (0: none), hold out no more")
        if not 0 < self.risk < 1:
            raise InputError(f"--risk {self.risk}: a share of errors between 0 and 1 is needed, for instance 0.02")
        if self.warm_start is not None and not self.warm_start.exists():
            raise InputError(f"--warm-start {self.warm_start}: no such file or folder")


def train_config(given: Sequence[str], *, augment: bool = True) -> TrainConfig:
    """Build the configuration from ``NAME=VALUE`` pairs (``windows.NAME`` and so on for its parts).

    Raises:
        InputError: an unknown name or a value of the wrong kind.
    """
    config = TrainConfig() if augment else TrainConfig(augmentation=None)
    for item in given:
        name, _, raw = item.partition("=")
        group, _, inner = name.rpartition(".")
        target = config if not group else getattr(config, group, None)
        if (
            target is None
            or (group and group not in _GROUPS)
            or (inner or name) not in {f.name for f in fields(target)}
        ):
            raise InputError(f"--set {item}: no such setting")
        try:
            value = json.loads(raw.lower())
        except ValueError as error:
            raise InputError(f"--set {item}: {raw!r} is not a number, true or false") from error
        changed: Any = replace(target, **{inner or name: value})
        config = replace(config, **{group: changed}) if group else changed
    return config


def without_gate_outlets(pages: Sequence[LabelledPage], gate: Sequence[LabelledPage]) -> list[LabelledPage]:
    """Return the pages whose outlet is on no gate page and that are not marked ``gate`` themselves."""
    families = outlet_families(page.article.outlet for page in (*pages, *gate))
    closed = {families[page.article.outlet] for page in gate}
    return [p for p in pages if p.split != "gate" and families[p.article.outlet] not in closed]


def train(
    pages: Sequence[LabelledPage],
    recipe: Recipe,
    folder: Path,
    *,
    hardware: Hardware,
    resume: bool = True,
) -> SegmentTagger:
    """Train every seed in ``folder`` (or read its finished weights) and return the network with their mean.

    The folder's name says what is trained: ``full``, or ``fold-0`` and so on, of which each leaves out a fold.
    """
    start = start_of(recipe, folder.name)
    runs = [folder / f"seed-{seed}" for seed in recipe.seeds]
    for seed, run in zip(recipe.seeds, runs, strict=True):
        if not resume or not (run / WEIGHTS).is_file():
            started = time.monotonic()
            config = replace(recipe.config, seed=seed)
            fit(pages, load_base(recipe.base), config, run, hardware=hardware, resume=resume, warm_start=start)
            logger.info("%s: %d pages, %.0f s", run, len(pages), time.monotonic() - started)
    model = SegmentTagger(load_base(recipe.base).encoder, recipe.config.loss, local=recipe.config.local)
    read_weights(model, [run / WEIGHTS for run in runs])
    return model.eval()


def start_of(recipe: Recipe, part: str) -> Path | None:
    """Return the weights from which the training ``part`` of a run (``full``, ``fold-0``, …) starts; None: the base.

    Raises:
        InputError: ``warm_start`` is a folder without that training, or with several seeds of it.
    """
    given = recipe.warm_start
    if given is None or (part != "full" and not given.is_dir()):
        return None
    if not given.is_dir():
        return given
    found = sorted((given / part).glob(f"seed-*/{WEIGHTS}"))
    if len(found) != 1:
        raise InputError(f"{given}: {len(found)} trainings in '{part}': to go on from a run, it must have one there")
    return found[0]


def start_files(recipe: Recipe) -> list[Path]:
    """Return all the weights that a run with this recipe may go on from."""
    if recipe.warm_start is None:
        return []
    return sorted(recipe.warm_start.glob(f"*/seed-*/{WEIGHTS}")) if recipe.warm_start.is_dir() else [recipe.warm_start]


def hold_out(
    pages: Sequence[LabelledPage],
    like_the_use: Sequence[LabelledPage],
    recipe: Recipe,
    folder: Path,
    *,
    hardware: Hardware,
    resume: bool = True,
) -> HeldOut | None:
    """Return the logits of folds of ``like_the_use``, each from a training on the other ``pages``; None for no folds.

    Raises:
        InputError: fewer outlets than folds, or the run to go on from held out other pages.
    """
    if not recipe.held_out or not recipe.folds:
        return None
    ids = {page.article.article_id for page in like_the_use}
    parts = split_by_outlet([p for p in pages if p.article.article_id in ids], folds=recipe.folds, seed=FOLD_SEED)
    found = []
    for number, part in enumerate(parts[: recipe.held_out]):
        path = folder / f"fold-{number}" / "held-out.npz"
        if not resume or not path.is_file():
            aside = {page.article.article_id for page in part}
            rest = [p for p in pages if p.article.article_id not in aside]
            if (start := start_of(recipe, path.parent.name)) is not None:
                _same_pages(start.parents[1] / path.name, part)
            model = train(rest, recipe, path.parent, hardware=hardware, resume=resume)
            bf16 = has_bf16(pick_device(hardware.device)) if hardware.bf16 is None else hardware.bf16
            sample = held_out(model, part, load_base(recipe.base), recipe.config.windows, bf16=bf16)
            whole = path.with_name("part.npz")
            np.savez(whole, logits=sample.logits, truth=sample.truth, articles=sample.groups())
            whole.replace(path)
        found.append(stored(path))
    return joined(found)


def _same_pages(path: Path, part: Sequence[LabelledPage]) -> None:
    """Raise InputError unless the held-out logits at ``path`` are of segments labelled as those of ``part``."""
    truth = [LABELS.index(seg.label) for page in part for seg in page.segments if seg.weight > 0]
    if not path.is_file():
        raise InputError(f"{path}: missing: to go on from a run, its held-out logits must stand there")
    if not np.array_equal(stored(path).truth, truth):
        raise InputError(f"{path}: of other pages than are held out now: go on from a run on the same pages")
