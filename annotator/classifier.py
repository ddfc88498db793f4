"""The shipped model at work: ONNX Runtime over token windows.

Every window is run by itself, without padding: its quantised activations are scaled over one window only, so a
record cannot depend on what else is scored, in which order, or on how many threads.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from annotator.calibration import probabilities
from annotator.errors import ModelError
from annotator.profile.error import ErrorModel, read_error
from annotator.registry import Manifest, find_version, model_path, models_folder, read_manifest
from annotator.windows import EncodedPage, PageLogits, plan, pool

logger = logging.getLogger(__name__)

_OUTPUTS = ("label_logits", "tag_logits", "source_type_logits")


class SegmentClassifier:
    """A loaded model version: tokenizer, graph, windows, calibration."""

    def __init__(self, folder: Path, *, threads: int | None = None, fast: bool = False, device: str = "cpu") -> None:
        """Load a model folder.

        Args:
            folder: the version's folder.
            threads: bound of ONNX Runtime's threads (default: one a core).
            fast: load the version's smaller model; its records state a version of their own.
            device: ``cpu``, or ``cuda`` where the installed ONNX Runtime has it.

        Raises:
            ModelError: the folder is incomplete, does not match its manifest or has no fast model, its graph cannot
                be loaded, or ONNX Runtime cannot use the device.
        """
        self.manifest: Manifest = read_manifest(folder, fast=fast)
        self.error: ErrorModel | None = read_error(folder, fast=fast)
        self._check: Callable[[], None] | None = None
        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        providers = _providers(device)
        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(
                str(folder / ("fast.onnx" if fast else "model.onnx")), options, providers=providers
            )
        except Exception as error:  # both libraries raise bare Exception subclasses of their own
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"{folder}: the model cannot be loaded: {first}") from error
        missing = set(_OUTPUTS) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise ModelError(f"{folder}: the graph has no output {sorted(missing)}: export it again")
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise ModelError("--device cuda: no usable CUDA device or driver was found: use --device cpu")
        logger.info("loaded model %s from %s", self.manifest.version, folder)

    @classmethod
    def load(
        cls,
        models: Path | None = None,
        version: str | None = None,
        *,
        threads: int | None = None,
        fast: bool = False,
        device: str = "cpu",
    ) -> SegmentClassifier:
        """Load ``version`` (default: the current one) of the registry that registry.models_folder names.

        A version may also be named as the records of its fast model name it.
        """
        root = models_folder(models)
        folder, named = (model_path(root), False) if version is None else find_version(root, version)
        return cls(folder, threads=threads, fast=fast or named, device=device)

    @property
    def version(self) -> str:
        """The model version, as records state it."""
        return self.manifest.version

    def checked(self, check: Callable[[], None]) -> Self:
        """Return the same model, which calls ``check`` before each window: what that raises ends the scoring."""
        other = copy.copy(self)
        other._check = check  # noqa: SLF001 -- a copy of this object
        return other

    def logits(self, page: EncodedPage) -> PageLogits:
        """Return the pooled logits of a page's segments."""
        windows = plan(page, self.manifest.windows)
        outputs: tuple[list[NDArray[np.float32]], ...] = ([], [], [])
        for window in windows:
            if self._check is not None:
                self._check()
            ids = window.input_ids[None]
            arrays = self._session.run(_OUTPUTS, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
            for kept, array in zip(outputs, arrays, strict=True):
                kept.append(array[0])
        return pool(page, windows, *outputs, context_weight=self.manifest.windows.context_weight)

    def probabilities(self, labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities [segments, 4] from pooled label logits [segments, 4]."""
        return probabilities(labels, self.manifest.calibration)


def _providers(device: str) -> list[str]:
    """Return ONNX Runtime's providers for a device."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ModelError(
            "--device cuda: the installed onnxruntime has no CUDA:"
            " run  pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]
