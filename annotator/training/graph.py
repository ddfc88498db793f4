"""The graph of a BERT encoder with the tagger's heads, laid out by hand for ONNX Runtime on a processor.

Quicker than what an exporter and a fusing optimiser make of the same network (docs/evaluation.md, quantisation): fused
attention that never writes the scores out, one quantisation of a layer's input for its three projections, biases
inside the products, and no fused residual-and-normalisation operator, whose kernel is slower than its parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from transformers import BertModel

from annotator.training.local import BLOCKED, SHORTEST, LocalLayer
from annotator.training.model import SegmentTagger
from annotator.training.smoothing import SmoothedLinear

OUTPUTS = ("label_logits", "tag_logits", "source_type_logits")
SHARED = ("words", "words.scale", "places")  # the embedding tables, which a student has from its teacher
_OPSET = 21
_IR = 10
_CONTRIB = "com.microsoft"


def is_plain_bert(model: SegmentTagger) -> bool:
    """Say whether :func:`bert_graph` can lay the network out: BERT with absolute positions and the exact GELU."""
    encoder = model.encoder
    return isinstance(encoder, BertModel) and encoder.pooler is None and encoder.config.hidden_act == "gelu"


@dataclass(slots=True)
class _Builder:
    bits: int | None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def normalise(self, x: str, norm: nn.LayerNorm, name: str) -> str:
        scale = self.constant(f"{name}.scale", _array(norm.weight))
        shift = self.constant(f"{name}.shift", _array(norm.bias))
        return self.add("LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=norm.eps)

    def linear(self, x: str, layer: nn.Module, name: str, shared: tuple[str, str, str] | None = None) -> str:
        """Multiply by a layer's matrix: int8 by column, its input quantised on the fly or given as ``shared``."""
        assert isinstance(layer, nn.Linear | SmoothedLinear)  # what a BERT is made of
        if shared is None and isinstance(layer, SmoothedLinear):
            x = self.smoothed(x, layer, name)
        weight, bias = _array(layer.weight).T, self.constant(f"{name}.bias", _array(layer.bias))
        if self.bits is None:
            product = self.add("MatMul", [x, self.constant(f"{name}.weight", weight)], f"{name}.product")
            return self.add("Sum", [product, bias], name)
        top = 2 ** (self.bits - 1) - 1
        scale = np.maximum(np.abs(weight).max(axis=0) / top, 1e-12).astype(np.float32)
        whole = np.clip(np.rint(weight / scale), -top, top).astype(np.int8)
        matrix = self.constant(f"{name}.weight", whole)
        scales = self.constant(f"{name}.scale", scale)
        zeros = self.constant(f"{name}.zero", np.zeros(len(scale), dtype=np.int8))
        if shared is None:
            return self.add("DynamicQuantizeMatMul", [x, matrix, scales, zeros, bias], name, domain=_CONTRIB)
        codes, step, zero = shared
        return self.add("MatMulIntegerToFloat", [codes, matrix, step, scales, zero, zeros, bias], name, domain=_CONTRIB)

    def smoothed(self, x: str, layer: SmoothedLinear, name: str) -> str:
        return self.add("Mul", [x, self.constant(f"{name}.inverse", _array(layer.inverse))], f"{name}.smoothed")

    def quantise(self, x: str, name: str) -> tuple[str, str, str]:
        codes, step, zero = (f"{name}.{part}" for part in ("codes", "step", "zero_point"))
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [codes, step, zero], name=codes))
        return codes, step, zero

    def attention(self, projected: Sequence[str], heads: int, name: str, pattern: str | None = None) -> str:
        """Attend; only rows that are padded pay for a mask, which the kernel that keeps no scores cannot take.

        ``pattern`` is that of a local layer: long rows are cut into its parts, and those joined again.
        """
        whole = [_attend(projected, heads, f"{name}.then_branch")]
        padded = [_attend([*projected, "", "mask"], heads, f"{name}.else_branch")]
        if pattern is not None:
            parts = [f"{name}.{key}{part}" for key in "qkv" for part in range(3)]
            cut = [
                helper.make_node("Split", [given, f"{pattern}.sizes"], parts[3 * at : 3 * at + 3], axis=1,
                                 name=f"{name}.cut{at}")
                for at, given in enumerate(projected)
            ]  # fmt: skip
            within = [_attend(parts[part::3], heads, f"{name}.part{part}") for part in range(3)]
            joined = helper.make_node("Concat", [node.output[0] for node in within], [f"{name}.parts"], axis=1,
                                      name=f"{name}.parts")  # fmt: skip
            branches = {"then_branch": _branch([*cut, *within, joined]), "else_branch": _branch(whole)}
            whole = [helper.make_node("If", ["long"], [f"{name}.unpadded"], name=f"{name}.unpadded", **branches)]
            scores = _part_scores(pattern, name)
            mask = helper.make_node("Cast", ["attention_mask"], [f"{name}.mask"], name=f"{name}.mask",
                                    to=TensorProto.INT32)  # fmt: skip
            last = _attend([*projected, "", f"{name}.mask", scores[-1].output[0]], heads, f"{name}.else_branch")
            padded = [*scores, mask, last]
        return self.add("If", ["unpadded"], name, then_branch=_branch(whole), else_branch=_branch(padded))

    def parts(self, patterns: Sequence[str]) -> None:
        """Lay out what local layers share: whether the rows are long enough to be cut, and the sizes of the parts."""
        if not patterns:
            return
        for value in (1, 2, 3, 4, SHORTEST):
            self.constant(f"n{value}", np.array([value]))
        self.constant("blocked", np.array(BLOCKED, dtype=np.float32))
        self.constant("free", np.array(0, dtype=np.float32))
        self.constant("zero", np.array(0))
        self.constant("one", np.array(1))
        self.constant("axes", np.array([1, 2]))
        self.add("Squeeze", [self.add("GreaterOrEqual", ["length", f"n{SHORTEST}"], "enough")], "long")
        self.add("Squeeze", ["length"], "tokens")
        for pattern in patterns:
            self.nodes.extend(_cut_nodes(pattern, "length", pattern))
            first, second = f"{pattern}.first", f"{pattern}.second"
            rest = self.add("Sub", ["length", second], f"{pattern}.last")
            middle = self.add("Sub", [second, first], f"{pattern}.middle")
            self.add("Concat", [first, middle, rest], f"{pattern}.sizes", axis=0)


def _attend(inputs: Sequence[str], heads: int, name: str) -> onnx.NodeProto:
    return helper.make_node("MultiHeadAttention", inputs, [name], name=name, domain=_CONTRIB, num_heads=heads)


def _branch(nodes: Sequence[onnx.NodeProto]) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, nodes[-1].name, [], [out])


def _cut_nodes(pattern: str, lengths: str, name: str) -> list[onnx.NodeProto]:
    """Return the nodes of annotator.training.local.cuts, for rows that are long: ``name``.first and ``name``.second."""
    first, second = f"{name}.first", f"{name}.second"
    if pattern == "thirds":
        up = helper.make_node("Add", [lengths, "n2"], [f"{name}.up"], name=f"{name}.up")
        one = helper.make_node("Div", [up.output[0], "n3"], [first], name=first)
        return [up, one, helper.make_node("Mul", [first, "n2"], [second], name=second)]
    one = helper.make_node("Div", [lengths, "n4"], [first], name=first)
    return [one, helper.make_node("Sub", [lengths, first], [second], name=second)]


def _part_scores(pattern: str, name: str) -> list[onnx.NodeProto]:
    """Return the nodes of annotator.training.local.part_scores for rows that may be padded; the last one gives them."""

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(operator, inputs, [f"{name}.{output}"], name=f"{name}.{output}", **attributes)

    of = f"{name}.{{}}".format
    nodes = [
        node("ReduceSum", ["attention_mask", "n1"], "lengths", keepdims=1),  # [B, 1]
        *_cut_nodes(pattern, of("lengths"), of("cut")),
        node("Less", [of("lengths"), f"n{SHORTEST}"], "short"),
        node("Range", ["zero", "tokens", "one"], "places"),
    ]
    for which in ("first", "second"):
        nodes += [
            node("Where", [of("short"), of("lengths"), of(f"cut.{which}")], which),
            node("GreaterOrEqual", [of("places"), of(which)], f"after.{which}"),
            node("Cast", [of(f"after.{which}")], f"beyond.{which}", to=TensorProto.INT64),
        ]
    return [
        *nodes,
        node("Add", [of("beyond.first"), of("beyond.second")], "part"),  # [B, T]
        node("Unsqueeze", [of("part"), "n1"], "part.row"),
        node("Unsqueeze", [of("part.row"), "n3"], "part.from"),  # [B, 1, T, 1]
        node("Unsqueeze", [of("part"), "axes"], "part.to"),  # [B, 1, 1, T]
        node("Equal", [of("part.from"), of("part.to")], "within"),
        node("Where", [of("within"), "free", "blocked"], "scores"),
    ]


def _array(tensor: object) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().float().numpy(), dtype=np.float32)  # type: ignore[attr-defined]


def bert_graph(model: SegmentTagger, *, bits: int | None = 8) -> onnx.ModelProto:
    """Return the graph of ``model``, with the inputs and outputs of :func:`annotator.training.export.export_onnx`.

    ``bits`` of a weight (None: float32 throughout): 8, or 7 for x86 processors without VNNI, where the sum of two
    products of 8 bits saturates. Embedding rows are int8 with a scale each. Activations are quantised on the fly, one
    scale for a tensor; attention, norms and heads are float32.
    """
    encoder, config = model.encoder, model.encoder.config
    assert isinstance(encoder, BertModel)  # is_plain_bert
    build = _Builder(bits=bits)
    table = _array(encoder.embeddings.word_embeddings.weight)
    if bits is None:
        words = build.add("Gather", [build.constant("words", table), "input_ids"], "words.rows")
    else:
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
        codes = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
        rows = build.add("Gather", [build.constant("words", codes), "input_ids"], "words.codes")
        steps = build.add("Gather", [build.constant("words.scale", scale), "input_ids"], "words.steps")
        words = build.add("Mul", [build.add("Cast", [rows], "words.float", to=TensorProto.FLOAT), steps], "words.rows")
    # Token type 0 throughout, and positions from 0: one table for both, cut to the length of the row.
    places = _array(encoder.embeddings.position_embeddings.weight)
    places = places + _array(encoder.embeddings.token_type_embeddings.weight)[0]
    length = build.add("Shape", ["input_ids"], "length", start=1, end=2)
    first, axis = build.constant("first", np.array([0])), build.constant("axis", np.array([0]))
    placed = build.add("Slice", [build.constant("places", places), first, length, axis], "places.rows")
    x = build.normalise(build.add("Sum", [words, placed], "embedded"), encoder.embeddings.LayerNorm, "input")
    least = build.add("ReduceMin", ["attention_mask"], "least", keepdims=0)
    build.add("Cast", [least], "unpadded", to=TensorProto.BOOL)
    build.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    layers: Any = encoder.encoder.layer
    patterns = [layer.pattern if isinstance(layer, LocalLayer) else None for layer in layers]
    build.parts(sorted({pattern for pattern in patterns if pattern is not None}))
    for number, layer in enumerate(layers):
        name = f"layer{number}"
        own = layer.attention.self
        shared = None
        if bits is not None:
            # One scale for the three, see annotator.training.smoothing.
            read = build.smoothed(x, own.query, name) if isinstance(own.query, SmoothedLinear) else x
            shared = build.quantise(read, f"{name}.quantised")
        projected = [
            build.linear(x, part, f"{name}.{key}", shared)
            for key, part in (("query", own.query), ("key", own.key), ("value", own.value))
        ]
        attended = build.attention(projected, config.num_attention_heads, f"{name}.attended", patterns[number])
        attended = build.linear(attended, layer.attention.output.dense, f"{name}.attention")
        # Sum, not Add: ONNX Runtime would fuse Add and normalisation into its slow kernel.
        x = build.add("Sum", [attended, x], f"{name}.residual1")
        x = build.normalise(x, layer.attention.output.LayerNorm, f"{name}.norm1")
        inner = build.linear(x, layer.intermediate.dense, f"{name}.intermediate")
        inner = build.add("Gelu", [inner], f"{name}.gelu", domain=_CONTRIB)
        inner = build.linear(inner, layer.output.dense, f"{name}.output")
        x = build.normalise(build.add("Sum", [inner, x], f"{name}.residual2"), layer.output.LayerNorm, f"{name}.norm2")
    heads = (model.label_head, model.tag_head, model.source_type_head)
    weight = np.concatenate([_array(head.weight).T for head in heads], axis=1)
    bias = np.concatenate([_array(head.bias) for head in heads])
    logits = build.add("MatMul", [x, build.constant("heads.weight", weight)], "heads.product")
    logits = build.add("Sum", [logits, build.constant("heads.bias", bias)], "heads")
    sizes = build.constant("heads.sizes", np.array([head.out_features for head in heads]))
    build.nodes.append(helper.make_node("Split", [logits, sizes], OUTPUTS, name="split", axis=-1))
    graph = helper.make_graph(
        build.nodes,
        "segment_tagger",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "tokens", head.out_features])
            for name, head in zip(OUTPUTS, heads, strict=True)
        ],
        build.tensors,
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)], ir_version=_IR,
        producer_name="annotator",
    )  # fmt: skip
    onnx.checker.check_model(made)
    return made
