"""Where the time of scoring goes: each step's share of the processor's time, settings of threads, and the floor.

python scripts/profile_engine.py [--pages 300] [--runs 3] [--settings]

The first table is of one thread, in time of the processor (a busy machine lengthens it little); HTML pages are read in
addition, from the same texts. `--settings` scores the pages with each number of workers and threads of ONNX Runtime.
The floor is what the products of matrices of one pass take at the rate that one such product reaches here (needs the
extra `train`, for onnx).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import onnxruntime
from written_pages import pages

import annotator
from annotator.attribution import attribute
from annotator.bulk import EngineConfig, score_articles, usable_cores
from annotator.classifier import SegmentClassifier
from annotator.html import html_to_article
from annotator.language import with_language_warning
from annotator.pipeline import find_roles
from annotator.pipeline import score as score_article
from annotator.profile import profile_article
from annotator.records import LABELS, Article
from annotator.references import complete
from annotator.registry import model_path, models_folder
from annotator.segmentation import breaks, segment
from annotator.storage import write_scored
from annotator.unverified import is_unverified
from annotator.windows import encode, plan

Times = dict[str, float]


@contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Add the processor's time of this thread to a step."""
    began = time.thread_time()
    yield
    times[name] += time.thread_time() - began


def steps(sample: list[Article], classifier: SegmentClassifier) -> tuple[Times, int, int, int]:
    """Take pages through the steps of annotator.pipeline.score one by one.

    Returns times, and how many segments, tokens, and squares of the tokens of each window there were.
    """
    times: Times = defaultdict(float)
    segments = tokens = squares = 0
    manifest = classifier.manifest
    for article in sample:
        line = json.dumps({"id": article.article_id, "text": article.text})
        page = f"<html><body>{''.join(f'<p>{part}</p>' for part in article.text.split(chr(10)))}</body></html>".encode()
        with timed(times, "read HTML (in addition)"):
            html_to_article(page, article_id="x")
        with timed(times, "read JSON"):
            json.loads(line)
        with timed(times, "language"):
            with_language_warning(article)
        with timed(times, "segmentation"):
            spans = segment(article.text)
            kinds = breaks(article.text, spans)
        with timed(times, "tokens"):
            encoded = encode(article.text, spans, kinds, classifier.tokenizer, manifest.windows, title=article.title)
        with timed(times, "windows (once more in inference)"):
            sizes = [window.input_ids.size for window in plan(encoded, manifest.windows)]
        tokens += sum(sizes)
        squares += sum(size * size for size in sizes)
        with timed(times, "inference and pooling"):
            logits = classifier.logits(encoded)
        with timed(times, "labels and roles"):
            probabilities = classifier.probabilities(logits.labels)
            labels = [LABELS[int(row.argmax())] for row in probabilities]
            find_roles(article, spans, labels)
        with timed(times, "attribution"):
            spoken = [
                attribute(article.text, label, logits.tags[i], logits.source_types[i], encoded.offsets[i])
                for i, label in enumerate(labels)
            ]
            complete(article.text, spans, kinds, labels, spoken)
        with timed(times, "hearsay"):
            for span, label in zip(spans, labels, strict=True):
                is_unverified(span.of(article.text), label)
        segments += len(spans)
    scored = [score_article(article, classifier) for article in sample[:50]]
    with timed(times, "profile"):
        for article in scored:
            profile_article(article, classifier.error)
    times["profile"] *= len(sample) / len(scored)
    began = time.thread_time()
    write_scored(scored, io.BytesIO(), fmt="jsonl")
    times["records"] = (time.thread_time() - began) * len(sample) / len(scored)
    return times, segments, tokens, squares


def floor(tokens: int, squares: int, spent: float) -> None:
    """Print the operations of the products of matrices, the rate of one such product, and the time that makes."""
    if importlib.util.find_spec("onnx") is None:
        print("floor: needs onnx (extra train)")
        return
    import onnx  # noqa: PLC0415 -- an extra

    graph = onnx.load(model_path(models_folder()) / "model.onnx").graph
    layers = [node for node in graph.node if node.op_type == "If"]  # of attention, one a layer
    width = next(tensor.dims[1] for tensor in graph.initializer if tensor.name == "words")
    products = {
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "MatMul",
        "Gemm",
        "MatMulNBits",
        "QLinearMatMul",
    }
    used = {name for node in graph.node if node.op_type in products for name in node.input}
    weights = [list(tensor.dims) for tensor in graph.initializer if tensor.name in used and len(tensor.dims) == 2]
    operations = 2 * sum(int(np.prod(dims)) for dims in weights) * tokens
    attention = 4 * len(layers) * width * squares  # queries by keys, weights by values
    rows, inner, outer = 256, 384, 1536
    helper = onnx.helper
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
            "product",
            [helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, [rows, inner])],
            [helper.make_tensor_value_info("c", onnx.TensorProto.INT32, [rows, outer])],
            [onnx.numpy_helper.from_array(np.ones((inner, outer), dtype=np.int8), "b")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"a": np.ones((rows, inner), dtype=np.uint8)}
    session.run(None, feed)
    times = []
    for _ in range(200):
        began = time.thread_time()
        session.run(None, feed)
        times.append(time.thread_time() - began)
    rate = 2 * rows * inner * outer / statistics.median(times)
    print(
        f"floor: {operations / 1e9:.0f} G operations of {len(weights)} products with weights and "
        f"{attention / 1e9:.0f} G of attention's, for {tokens} tokens, at {rate / 1e9:.0f} G operations a second "
        f"and thread (median of 200 int8 products of {rows} x {inner} x {outer}): "
        f"{(operations + attention) / rate / spent:.0%} of the pass; of products with weights alone "
        f"{operations / rate / spent:.0%}"
    )


def operators(sample: list[Article], classifier: SegmentClassifier) -> None:
    """Print the share of each kind of operator in inference, as ONNX Runtime's profiler has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        path = model_path(models_folder()) / "model.onnx"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for article in sample:
            spans = segment(article.text)
            kinds = breaks(article.text, spans)
            windows = classifier.manifest.windows
            page = encode(article.text, spans, kinds, classifier.tokenizer, windows, title=article.title)
            for window in plan(page, windows):
                ids = window.input_ids[None]
                session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spent: Times = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
            calls[event["args"]["op_name"]] += 1
    whole = sum(spent.values())
    print("\n| operator | share of inference | calls |\n|---|---|---|")
    for name, duration in sorted(spent.items(), key=lambda item: -item[1])[:15]:
        print(f"| {name} | {duration / whole:.1%} | {calls[name]} |")


def settings(sample: list[Article], runs: int) -> None:
    """Print the speed of each number of workers and threads that the cores allow."""
    cores = usable_cores()
    print("\n| workers | threads of each | segments a second: median (range) |\n|---|---|---|")
    for workers in sorted({1, 2, cores, 2 * cores}):
        for threads in sorted({1, cores}):
            classifier = annotator.load(threads=threads).classifier
            speeds = []
            for _ in range(runs):
                began = time.perf_counter()
                found = list(score_articles(sample, classifier, EngineConfig(workers=workers, session_threads=threads)))
                segments = sum(len(getattr(scored, "segments", ())) for scored in found)
                speeds.append(segments / (time.perf_counter() - began))
            middle = statistics.median(speeds)
            print(f"| {workers} | {threads} | {middle:.0f} ({min(speeds):.0f} to {max(speeds):.0f}) |", flush=True)


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settings", action="store_true", help="also compare numbers of workers and threads")
    args = parser.parse_args()
    sample = list(pages(args.pages))
    classifier = annotator.load(threads=1).classifier
    steps(sample[:5], classifier)  # what is loaded once
    found = [steps(sample, classifier) for _ in range(args.runs)]
    times = {name: statistics.median(run[0][name] for run in found) for name in found[0][0]}
    _, segments, tokens, squares = found[0]
    counted = {name: spent for name, spent in times.items() if "(" not in name}
    whole = sum(counted.values())
    print(f"{args.pages} pages, {segments} segments, {tokens} tokens; {platform.processor() or platform.machine()}, "
          f"{usable_cores()} cores, onnxruntime {onnxruntime.__version__}; median of {args.runs}\n")  # fmt: skip
    print("| step | seconds | share | ms a page |\n|---|---|---|---|")
    for name, spent in sorted(times.items(), key=lambda item: -item[1]):
        share = f"{spent / whole:.1%}" if name in counted else ""
        print(f"| {name} | {spent:.2f} | {share} | {1000 * spent / args.pages:.2f} |")
    print()
    floor(tokens, squares, whole)
    operators(sample[:30], classifier)
    if args.settings:
        settings(sample, args.runs)


if __name__ == "__main__":
    main()
