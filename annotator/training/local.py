"""Attention within parts of a window, in some layers: what a long window costs most, and lower layers need least.

Attention takes time by the square of a row's tokens. A local layer attends within three parts of a row that follow one
another: a third each (``thirds``), or a quarter, a half and a quarter (``shifted``), so that no place is the edge of a
part in every layer; the layers between look at the whole row (the alternation of Longformer, Beltagy et al. 2020, and
ModernBERT, Warner et al. 2024, with parts in the place of a sliding window, which no kernel of ONNX Runtime has).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BertModel
from transformers.models.bert.modeling_bert import BertLayer

from annotator.errors import ModelError

SHORTEST = 192  # tokens; a shorter row is one part
PATTERNS = ("thirds", "shifted")
BLOCKED = -1e4  # added to scores across parts: nothing is left of them after the softmax


class LocalLayer(BertLayer):  # type: ignore[no-untyped-call]
    """A BERT layer that attends within the parts of its ``pattern``; its weights are named as those of a BertLayer."""

    pattern: str

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return hidden states [B, T, H]; ``attention_mask`` is what transformers adds to the scores, or None."""
        parts = part_scores(hidden_states.shape[1], attention_mask, self.pattern, hidden_states.device)
        mask = parts if attention_mask is None else attention_mask + parts
        out: torch.Tensor = super().forward(hidden_states, mask.to(hidden_states.dtype), *args, **kwargs)
        return out


def localise(encoder: object, layers: Sequence[int]) -> None:
    """Make the named layers of a BERT local, in place: the patterns take turns.

    Raises:
        ModelError: the encoder is no BERT, or has no such layer, or ``layers`` is one number.
    """
    if isinstance(layers, int):  # --set local=3
        raise ModelError(f"local layers: a list is expected, as in local=[{layers}], found {layers}")
    if not layers:
        return
    if not isinstance(encoder, BertModel):
        raise ModelError(f"local layers: a BERT encoder is needed, not {type(encoder).__name__}")
    number = len(encoder.encoder.layer)
    if any(not 0 <= layer < number for layer in layers):
        raise ModelError(f"local layers: the encoder has layers 0 to {number - 1}, not all of {list(layers)}")
    for turn, layer in enumerate(sorted(set(layers))):
        one: Any = encoder.encoder.layer[layer]
        one.__class__ = LocalLayer
        one.pattern = PATTERNS[turn % 2]


def cuts(lengths: torch.Tensor, pattern: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the second and the third part of rows of ``lengths`` [B] tokens begin, [B] each."""
    first = (lengths + 2) // 3 if pattern == "thirds" else lengths // 4
    second = 2 * first if pattern == "thirds" else lengths - first
    short = lengths < SHORTEST
    return torch.where(short, lengths, first), torch.where(short, lengths, second)


def part_scores(tokens: int, mask: torch.Tensor | None, pattern: str, device: torch.device) -> torch.Tensor:
    """Return what is added to scores, [B or 1, 1, T, T]: 0 within a part, BLOCKED across parts.

    ``mask`` is [B, 1, T or 1, T], 0 where a token is there and much less where the row is padded (at its end).
    """
    whole = torch.full((1,), tokens, device=device)
    lengths = whole if mask is None else (mask[:, 0, 0, :] > BLOCKED).sum(dim=-1)
    place = torch.arange(tokens, device=device)[None]
    first, second = cuts(lengths, pattern)
    part = (place >= first[:, None]).int() + (place >= second[:, None]).int()
    across = part[:, None, :, None] != part[:, None, None, :]
    return across.float() * BLOCKED
