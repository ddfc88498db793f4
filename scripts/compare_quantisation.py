"""Compare ways to quantise a trained network with its own float32 graph: agreement of labels, speed, size.

python scripts/compare_quantisation.py runs/shipped/full/seed-1/model.safetensors --pages labels/gate.jsonl
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from annotator.errors import AnnotatorError

try:
    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from annotator.classifier import SegmentClassifier
from annotator.dataset import LabelledPage, read_pages
from annotator.registry import Calibration, write_manifest
from annotator.segmentation import breaks
from annotator.training.base import load_base
from annotator.training.export import agreement, export_onnx, through_exporter
from annotator.training.graph import bert_graph
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.training.publish import sample_rows
from annotator.training.smoothing import smooth
from annotator.windows import WindowConfig, encode


def logits(folder: Path, pages: list[LabelledPage], config: WindowConfig) -> tuple[list[NDArray[np.float32]], float]:
    """Return the pooled label logits of each page and the segments a second."""
    write_manifest(folder, config, Calibration(), {})
    classifier = SegmentClassifier(folder)
    out, started = [], time.perf_counter()
    for page in pages:
        text, spans = page.article.text, [segment.span for segment in page.segments]
        encoded = encode(text, spans, breaks(text, spans), classifier.tokenizer, config, title=page.article.title)
        out.append(classifier.logits(encoded).labels)
    return out, sum(map(len, out)) / (time.perf_counter() - started)


class Rows(CalibrationDataReader):  # type: ignore[misc]
    """Gives rows of ids, each [1, T], to what measures the range of activations."""

    def __init__(self, rows: list) -> None:  # type: ignore[type-arg]
        """Keep them."""
        self.left = [{"input_ids": ids.numpy(), "attention_mask": np.ones_like(ids.numpy())} for ids in rows]

    def get_next(self) -> dict[str, NDArray[np.int64]] | None:
        """Return the next row, None after the last."""
        return self.left.pop() if self.left else None


def variants(model: SegmentTagger, rows: list, folder: Path) -> Iterator[str]:  # type: ignore[type-arg]
    """Write each variant to folder/model.onnx in turn and yield its name; float32 comes first."""
    path = folder / "model.onnx"
    export_onnx(model, path, quantisation="none")
    plain = onnx.load(path)
    yield "float32"
    export_onnx(model, path, quantisation="int8")
    yield "int8, activations by tensor"
    for alpha, outlier in ((0.75, 8), (0.7, 3), (0.75, 3), (0.8, 3), (0.85, 3), (0.75, 2)):
        export_onnx(smooth(model, rows, alpha=alpha, outlier=outlier), path, quantisation="int8")
        yield f"int8, smoothed: alpha {alpha}, {outlier} times the median"
    onnx.save(bert_graph(smooth(model, rows), bits=7), path)
    yield "the default with weights of 7 bits"
    through_exporter(smooth(model, rows), path, quantisation="int8")
    yield "the default through torch's exporter and ONNX Runtime's fusions"
    quantize_static(
        plain, path, Rows(rows), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"], per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    yield "int8, scales of activations fixed beforehand"
    export_onnx(model, path, quantisation="none")
    weights = MatMulNBitsQuantizer(onnx.load(path), bits=8, block_size=32, is_symmetric=True, accuracy_level=4)
    weights.process()
    weights.model.save_model_to_file(str(path), False)
    yield "weights only, 8 bits in blocks of 32"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="model.safetensors of a run; of several, the mean")
    parser.add_argument("--base", default="models/base")
    parser.add_argument("--pages", type=Path, nargs="+", default=[Path("labels/gate.jsonl")])
    parser.add_argument("--sample", type=Path, nargs="+", default=[Path("labels/train.jsonl")], help="for smoothing")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    base, config = load_base(args.base), WindowConfig()
    model = SegmentTagger(base.encoder, LossWeights())
    read_weights(model, args.weights)
    pages = read_pages(*args.pages)
    rows = sample_rows(read_pages(*args.sample), base, config)
    reference: list[NDArray[np.float32]] | None = None
    print("| graph | agreement | segments/s | MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base.tokenizer.save(str(folder / "tokenizer.json"))
        for name in variants(model, rows, folder):
            found, speed = logits(folder, pages, config)
            reference = reference or found
            size = (folder / "model.onnx").stat().st_size / 1e6
            print(f"| {name} | {agreement(reference, found):.4f} | {speed:.0f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
