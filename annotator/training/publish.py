"""From a trained network to a model folder: calibration, export, parity, manifest, model card."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotator import __version__
from annotator.classifier import SegmentClassifier
from annotator.dataset import LabelledPage, digest
from annotator.errors import InputError, ModelError
from annotator.records import LABELS
from annotator.registry import Calibration, read_manifest, replace_text, write_manifest
from annotator.segmentation import breaks
from annotator.training.base import Base
from annotator.training.calibrate import HeldOut, facts, fit_calibration
from annotator.training.export import Quantisation, agreement, export_onnx
from annotator.training.fit import TrainConfig, predict
from annotator.training.model import SegmentTagger
from annotator.training.smoothing import smooth
from annotator.windows import WindowConfig, encode, plan

logger = logging.getLogger(__name__)

PARITY = 0.99
EQUAL = 1e-3  # logits of the same network in two float32 engines


def held_out(
    model: SegmentTagger, pages: Sequence[LabelledPage], base: Base, windows: WindowConfig, *, bf16: bool
) -> HeldOut:
    """Run the network over pages it never saw; segments of weight 0 (no label agreed on yet) do not count."""
    return _sample(pages, [pooled.labels for _, pooled in predict(model, pages, base, windows, bf16=bf16)])


def unseen(classifier: SegmentClassifier, pages: Sequence[LabelledPage]) -> HeldOut:
    """Return what a version's graph says of pages that no weight of it was trained on; as :func:`held_out`.

    Raises:
        InputError: there are no pages.
    """
    return _sample(pages, labels_of(classifier, pages))


def _sample(pages: Sequence[LabelledPage], logits: Sequence[NDArray[np.float32]]) -> HeldOut:
    if not logits:
        raise InputError("calibration: no pages are held out: name labelled pages")
    counts = np.array([s.weight > 0 for page in pages for s in page.segments])
    return HeldOut(
        logits=np.concatenate(logits)[counts],
        truth=np.array([LABELS.index(s.label) for page in pages for s in page.segments])[counts],
        articles=np.repeat(np.arange(len(pages)), [len(page.segments) for page in pages])[counts],
    )


def publish(
    model: SegmentTagger,
    base: Base,
    config: TrainConfig,
    calibration: Calibration,
    models: Path,
    *,
    parity_pages: Sequence[LabelledPage],
    train_pages: Sequence[LabelledPage],
    details: Mapping[str, Any],
    quantisation: Quantisation = "int8",
) -> str:
    """Export into ``models/<version>/`` and return the version.

    Raises:
        ModelError: labels of the exported graph and of the torch network agree on less than PARITY of the segments
            of ``parity_pages``; nothing is written then.
    """
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".making-") as temporary:
        folder = Path(temporary)
        ready = model
        if quantisation == "int8":
            ready = smooth(model, sample_rows(train_pages, base, config.windows))
        export_onnx(ready, folder / "model.onnx", quantisation=quantisation)
        base.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        told: dict[str, Any] = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "base": base.name,
            "quantisation": quantisation,
            "training": asdict(config),
            "train_pages": len(train_pages),
            "train_segments": sum(len(page.segments) for page in train_pages),
            "train_digest": digest(train_pages),
            "annotator": __version__,
            "libraries": {
                name: installed(name) for name in ("torch", "transformers", "onnx", "onnxruntime", "tokenizers")
            },
            **details,
        }
        manifest = write_manifest(folder, config.windows, calibration, told)
        share = parity(model, base, folder, parity_pages, config.windows)
        logger.info("exported graph agrees with torch on %.4f of segments", share)
        if share < PARITY:
            raise ModelError(
                f"export: the quantised graph and torch agree on {share:.2%} of {len(parity_pages)} pages' segments, "
                f"less than {PARITY:.0%}: nothing is written; try --quantisation none"
            )
        told["parity"] = round(share, 4)
        manifest = write_manifest(folder, config.windows, calibration, told)
        target = models / manifest.version
        try:
            read_manifest(target)  # the same weights were exported before: only what is told of them changes
            replace_text(target / "manifest.json", (folder / "manifest.json").read_text(encoding="utf-8"))
        except ModelError:
            shutil.rmtree(target, ignore_errors=True)
            folder.chmod(0o755)
            folder.rename(target)  # whole or not at all
    return manifest.version


def recalibrate(models: Path, folder: Path, sample: HeldOut, *, risk: float, seen: Sequence[str]) -> str:
    """Put the files of the version in ``folder`` under a new version with a calibration fitted on ``sample``.

    ``seen`` names where the sample is from, for the manifest. A fast model comes along, with its own calibration.
    """
    old, fitted = read_manifest(folder), fit_calibration(sample, risk=risk)
    told = {**old.details, **facts(sample, fitted), "calibrated_on": list(seen), "recalibrated": old.version}
    with tempfile.TemporaryDirectory(dir=models, prefix=".making-") as temporary:
        made = Path(temporary) / "version"
        shutil.copytree(folder, made)
        for name in ("README.md", "metrics.json", "reliability.svg"):  # of the version before
            (made / name).unlink(missing_ok=True)
        manifest = write_manifest(made, old.windows, fitted.calibration, told)
        if not (models / manifest.version).exists():
            made.rename(models / manifest.version)  # whole or not at all
    return manifest.version


def sample_rows(
    pages: Sequence[LabelledPage], base: Base, windows: WindowConfig, *, most: int = 48
) -> list[torch.Tensor]:
    """Return the first window, as ids [1, T], of at most ``most`` pages spread over ``pages``."""
    rows = []
    for page in pages[:: max(1, len(pages) // most)][:most]:
        text, spans = page.article.text, [segment.span for segment in page.segments]
        encoded = encode(text, spans, breaks(text, spans), base.tokenizer, windows, title=page.article.title)
        rows += [torch.from_numpy(window.input_ids)[None] for window in plan(encoded, windows)[:1]]
    return rows


def parity(
    model: SegmentTagger, base: Base, folder: Path, pages: Sequence[LabelledPage], windows: WindowConfig
) -> float:
    """Return the share of segments on which the graph in ``folder`` and the network in float32 choose the same label.

    Torch in float32 takes minutes where ONNX Runtime takes seconds, so the network speaks through its own float32
    graph, once that graph's logits on the first windows equal torch's.

    Raises:
        ModelError: the float32 graph and torch differ.
    """
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary)
        export_onnx(model, plain / "model.onnx", quantisation="none")
        base.tokenizer.save(str(plain / "tokenizer.json"))
        write_manifest(plain, windows, Calibration(), {})
        reference = labels_of(SegmentClassifier(plain), pages)
    few = list(pages[:2])
    worst = max(
        (float(np.abs(pooled.labels - graph).max()) for (_, pooled), graph in
         zip(predict(model, few, base, windows), reference, strict=False)),
        default=0.0,
    )  # fmt: skip
    if worst > EQUAL:
        raise ModelError(f"export: logits of the float32 graph are {worst:.4f} from torch's: the export is wrong")
    return agreement(reference, labels_of(SegmentClassifier(folder), pages))


def labels_of(classifier: SegmentClassifier, pages: Sequence[LabelledPage]) -> list[NDArray[np.float32]]:
    """Return the pooled label logits [segments, 4] of each page."""
    found = []
    for page in pages:
        text, spans = page.article.text, [segment.span for segment in page.segments]
        encoded = encode(
            text,
            spans,
            breaks(text, spans),
            classifier.tokenizer,
            classifier.manifest.windows,
            title=page.article.title,
        )
        found.append(classifier.logits(encoded).labels)
    return found
