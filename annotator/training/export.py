"""ONNX export: per-token heads in one graph, fused, quantised, checked against torch before anything is written."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from torch import nn

from annotator.errors import ModelError
from annotator.training.graph import OUTPUTS, SHARED, bert_graph, is_plain_bert
from annotator.training.model import SegmentTagger

logger = logging.getLogger(__name__)

Quantisation = Literal["none", "int8"]


class _Graph(nn.Module):
    def __init__(self, model: SegmentTagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.model.logits(input_ids, attention_mask)


def export_onnx(model: SegmentTagger, path: Path, *, quantisation: Quantisation = "int8") -> None:
    """Write the graph of ``model`` to ``path``.

    Inputs ``input_ids`` and ``attention_mask`` are int64 [B, T]; outputs are float32 ``label_logits`` [B, T, 4],
    ``tag_logits`` [B, T, 5], ``source_type_logits`` [B, T, 5]. With ``int8``, matrix weights are int8 by column with
    activations quantised on the fly, and the embedding table int8 by row.

    A BERT is laid out by :func:`annotator.training.graph.bert_graph`, anything else by :func:`through_exporter`.

    Raises:
        ModelError: the graph lost an output.
    """
    model = model.eval().cpu().float()
    if is_plain_bert(model):
        onnx.save(bert_graph(model, bits=8 if quantisation == "int8" else None), path)
    else:
        through_exporter(model, path, quantisation=quantisation)


def through_exporter(model: SegmentTagger, path: Path, *, quantisation: Quantisation) -> None:
    """Write the graph of a network of any architecture: torch's exporter, ONNX Runtime's fusions and quantisation.

    Raises:
        ModelError: the fused graph lost an output.
    """
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        ids = torch.ones(2, 16, dtype=torch.long)
        mask = torch.ones(2, 16, dtype=torch.long)
        mask[1, 12:] = 0
        dims = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("tokens", min=2, max=512)}
        torch.onnx.export(
            _Graph(model),
            (ids, mask),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"input_ids": dims, "attention_mask": dims},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        config: Any = model.encoder.config
        fused = optimize_model(
            str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size,
            opt_level=0,
        )  # fmt: skip
        logger.info("fused operators: %s", fused.get_fused_operator_statistics())
        graph = fused.model
        if not any(opset.domain == "com.microsoft" for opset in graph.opset_import):
            graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        if [output.name for output in graph.graph.output] != list(OUTPUTS):
            raise ModelError(f"export: the graph's outputs are {[o.name for o in graph.graph.output]}, not {OUTPUTS}")
        if quantisation == "int8":
            fused_path = Path(temporary) / "fused.onnx"
            onnx.save(graph, fused_path)
            target = Path(temporary) / "int8.onnx"
            # The heads are a few columns wide: quantising them saves nothing and costs accuracy.
            widths = {tensor.name: tensor.dims[-1] for tensor in graph.graph.initializer if len(tensor.dims) == 2}
            heads = [n.name for n in graph.graph.node if n.op_type == "MatMul" and widths.get(n.input[1], 99) < 32]
            quantize_dynamic(
                fused_path,
                target,
                op_types_to_quantize=["MatMul", "Attention"],
                nodes_to_exclude=heads,
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
            graph = onnx.load(target)
            quantise_embedding(graph)
        strip_traces(graph)
        onnx.save(graph, path)


def strip_traces(model: onnx.ModelProto) -> None:
    """Remove, in place, what the exporter notes of its own run: stack traces with paths of this machine."""
    del model.metadata_props[:]
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]


def quantise_embedding(model: onnx.ModelProto) -> None:
    """Replace the largest Gather table by int8 rows with one float32 scale a row, in place."""
    tables = {tensor.name: tensor for tensor in model.graph.initializer}
    gathers = [node for node in model.graph.node if node.op_type == "Gather" and node.input[0] in tables]
    node = max(gathers, key=lambda n: int(np.prod(tables[n.input[0]].dims)))
    table = numpy_helper.to_array(tables[node.input[0]])
    scale = (np.abs(table).max(axis=1, keepdims=True) / 127).astype(np.float32)
    scale[scale == 0] = 1
    rows = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
    name = node.input[0]
    model.graph.initializer.remove(tables[name])
    model.graph.initializer.extend(
        [numpy_helper.from_array(rows, name + ".int8"), numpy_helper.from_array(scale, name + ".scale")]
    )
    at = list(model.graph.node).index(node)
    ids, out = node.input[1], node.output[0]
    model.graph.node.remove(node)
    for offset, new in enumerate(
        (
            helper.make_node("Gather", [name + ".int8", ids], [out + ".rows"], axis=0),
            helper.make_node("Cast", [out + ".rows"], [out + ".float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [name + ".scale", ids], [out + ".scales"], axis=0),
            helper.make_node("Mul", [out + ".float", out + ".scales"], [out]),
        )
    ):
        model.graph.node.insert(at + offset, new)


def agreement(reference: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]]) -> float:
    """Return the share of segments whose best label is the same in two lists of pooled logits [segments, 4]."""
    same = sum(int((a.argmax(1) == b.argmax(1)).sum()) for a, b in zip(reference, other, strict=True))
    return same / max(1, sum(len(a) for a in reference))


def export_fast(student: SegmentTagger, folder: Path) -> None:
    """Write ``folder/fast.onnx``: a student's graph, which reads its teacher's table of embeddings in ``model.onnx``.

    Raises:
        ModelError: the tables differ, or the student is not a BERT.
    """
    if not is_plain_bert(student):
        raise ModelError("export: a fast model is a BERT encoder")
    made = bert_graph(student.eval().cpu().float())
    raw = (folder / "model.onnx").read_bytes()
    for tensor in made.graph.initializer:
        if tensor.name not in SHARED:
            continue
        at, size = raw.find(tensor.raw_data), len(tensor.raw_data)
        if at < 0:
            raise ModelError(f"{folder / 'model.onnx'}: not the student's embedding table: teach one from this model")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "model.onnx"), ("offset", str(at)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
    (folder / "fast.onnx").write_bytes(made.SerializeToString())
