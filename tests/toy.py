"""A tokenizer and a model folder small enough to make in a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from annotator.windows import SPECIAL_TOKENS

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", *SPECIAL_TOKENS)
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzéèàêçùôîâûœABCDEFGHIJKLMNOPQRSTUVWXYZÉ0123456789«»“”\"'’.,;:!?-()…"


def toy_tokenizer(specials: Sequence[str] = SPECIALS) -> Tokenizer:
    """A Unigram tokenizer with a metaspace, one piece a character, and the special tokens."""
    pieces = [(token, 0.0) for token in specials] + [(c, -2.0) for c in "▁" + _CHARACTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, list(specials).index("<unk>"), byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in specials])
    return tokenizer


def save_toy_base(folder: Path, *, layers: int = 2, hidden: int = 32) -> None:
    """Write a random BERT with the toy tokenizer as a transformers checkpoint folder, to train from."""
    import torch  # noqa: PLC0415 - only tests of training need it
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast  # noqa: PLC0415

    torch.manual_seed(0)
    tokenizer = toy_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=2 * hidden, max_position_embeddings=512, pad_token_id=1,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
