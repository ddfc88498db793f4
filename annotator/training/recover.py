"""Weights of a shipped version read back from its graph: for a warm start or a teacher where no run folder is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.checker import ValidationError

from annotator.errors import ModelError

Arrays = dict[str, NDArray[Any]]

_LINEARS = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "attention": "attention.output.dense", "intermediate": "intermediate.dense", "output": "output.dense",
}  # fmt: skip
_NORMS = {"norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm"}
_HEADS = ("label_head", "tag_head", "source_type_head")


def graph_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the state of the SegmentTagger whose graph :func:`annotator.training.graph.bert_graph` laid out.

    An int8 matrix [out, in] comes back as its codes times their scales, smoothing undone: within half a step of what
    was trained. Positions and the one token type are a single table in the graph: it comes back as that of positions,
    with token types of 0.

    Raises:
        ModelError: the file is no such graph.
    """
    try:
        found = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
        arrays: Arrays = {name: numpy_helper.to_array(tensor) for name, tensor in found.items()}
    except (OSError, DecodeError, ValidationError, ValueError) as error:
        raise ModelError(f"{path}: no graph to read weights from: name a version's model.onnx ({error})") from error
    try:
        return {name: torch.from_numpy(np.array(value, dtype=np.float32)) for name, value in _state(arrays).items()}
    except KeyError as error:
        raise ModelError(f"{path}: not a graph of annotator's own layout: it has no {error}") from error


def _state(arrays: Arrays) -> Arrays:
    words = arrays["words"] * arrays["words.scale"] if "words.scale" in arrays else arrays["words"]
    state: Arrays = {
        "encoder.embeddings.word_embeddings.weight": words,
        "encoder.embeddings.position_embeddings.weight": arrays["places"],
        "encoder.embeddings.token_type_embeddings.weight": np.zeros((2, arrays["places"].shape[1]), dtype=np.float32),
        "encoder.embeddings.LayerNorm.weight": arrays["input.scale"],
        "encoder.embeddings.LayerNorm.bias": arrays["input.shift"],
    }
    number = 0
    while f"layer{number}.query.weight" in arrays:
        ours, theirs = f"layer{number}", f"encoder.encoder.layer.{number}"
        for key, name in _LINEARS.items():
            state[f"{theirs}.{name}.weight"] = _matrix(arrays, f"{ours}.{key}", ours).T
            state[f"{theirs}.{name}.bias"] = arrays[f"{ours}.{key}.bias"]
        for key, name in _NORMS.items():
            state[f"{theirs}.{name}.weight"] = arrays[f"{ours}.{key}.scale"]
            state[f"{theirs}.{name}.bias"] = arrays[f"{ours}.{key}.shift"]
        number += 1
    ends = np.cumsum(arrays["heads.sizes"])[:-1]
    weights, biases = np.split(arrays["heads.weight"], ends, axis=1), np.split(arrays["heads.bias"], ends)
    for head, weight, bias in zip(_HEADS, weights, biases, strict=True):
        state[f"{head}.weight"], state[f"{head}.bias"] = weight.T, bias
    return state


def _matrix(arrays: Arrays, name: str, layer: str) -> NDArray[Any]:
    """Return a matrix [in, out], what its input was multiplied by (smoothing) taken into it.

    Queries, keys and values share what their layer's input is multiplied by, where they are quantised.
    """
    matrix = arrays[f"{name}.weight"]
    if f"{name}.scale" in arrays:
        matrix = matrix * arrays[f"{name}.scale"]
    factors = [f"{name}.inverse", *([f"{layer}.inverse"] if name.endswith((".query", ".key", ".value")) else [])]
    for factor in factors:
        if factor in arrays:
            return matrix * arrays[factor][:, None]
    return matrix
