"""The trained network: one encoder, three linear heads per token (label, source/cue tag, source type)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from annotator.errors import ModelError
from annotator.records import LABELS, SOURCE_TYPES
from annotator.training.examples import IGNORE, TAGS
from annotator.training.local import localise
from annotator.training.recover import graph_state


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weights of the joint loss; a head with weight 0 is not trained."""

    tags: float = 1.0
    source_types: float = 0.3
    label_smoothing: float = 0.05


class SegmentTagger(nn.Module):
    """Encoder with per-token heads; a segment's label logits are the mean over its tokens.

    Nothing non-linear stands between the hidden states and the label logits, so the mean of per-token logits is
    the logits of the mean hidden state, and pooling can stay outside an exported graph.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        weights: LossWeights,
        class_weights: torch.Tensor | None = None,
        *,
        local: Sequence[int] = (),
    ) -> None:
        """Put fresh heads on ``encoder``; ``class_weights`` [4] scale the label loss.

        ``local`` are the layers that attend within parts of a window (annotator.training.local).
        """
        super().__init__()
        localise(encoder, local)
        self.encoder = encoder
        hidden = int(encoder.config.hidden_size)
        self.label_head = nn.Linear(hidden, len(LABELS))
        self.tag_head = nn.Linear(hidden, len(TAGS))
        self.source_type_head = nn.Linear(hidden, len(SOURCE_TYPES))
        self.weights = weights
        self.class_weights: torch.Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)

    def logits(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return per-token logits: labels [B, T, 4], tags [B, T, 5], source types [B, T, 5], in float32."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return (
            self.label_head(hidden).float(),
            self.tag_head(hidden).float(),
            self.source_type_head(hidden).float(),
        )

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        segment: torch.Tensor,
        tags: torch.Tensor,
        source_types: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return ``loss`` and the pooled label ``logits`` [segments, 4] of one pack (see examples.collate).

        ``weights`` [segments] scale what each segment adds to every loss; a loss is a mean over weights.
        """
        return self.losses(*self.logits(input_ids, attention_mask), segment, tags, source_types, labels, weights)

    def losses(
        self,
        label: torch.Tensor,
        tag: torch.Tensor,
        kind: torch.Tensor,
        segment: torch.Tensor,
        tags: torch.Tensor,
        source_types: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return what :meth:`forward` does, from the per-token logits of :meth:`logits`."""
        inside = segment >= 0
        index = segment[inside]
        count = labels.shape[0]
        sums = torch.zeros(count, label.shape[-1], dtype=label.dtype, device=label.device)
        sums = sums.index_add(0, index, label[inside])
        sizes = torch.bincount(index, minlength=count).clamp(min=1).unsqueeze(1)
        pooled = sums / sizes
        if weights is None:
            spread = None
        else:
            spread = torch.ones(segment.shape, dtype=weights.dtype, device=weights.device)
            spread[inside] = weights[index]
        loss = _cross_entropy(
            pooled, labels, weights, class_weights=self.class_weights, label_smoothing=self.weights.label_smoothing
        )
        if self.weights.tags:
            loss = loss + self.weights.tags * _cross_entropy(tag.flatten(0, 1), tags.flatten(), spread)
        if self.weights.source_types and bool((source_types != IGNORE).any()):
            loss = loss + self.weights.source_types * _cross_entropy(kind.flatten(0, 1), source_types.flatten(), spread)
        return {"loss": loss, "logits": pooled}


def _cross_entropy(
    logits: torch.Tensor,
    gold: torch.Tensor,
    weights: torch.Tensor | None,
    *,
    class_weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the mean cross-entropy of logits [n, K]; with ``weights`` (n in all), their weighted mean."""
    loss: torch.Tensor = nn.functional.cross_entropy(
        logits, gold, weight=class_weights, label_smoothing=label_smoothing, ignore_index=IGNORE,
        reduction="mean" if weights is None else "none",
    )  # fmt: skip
    if weights is None:
        return loss
    scale = weights.flatten().to(loss.dtype) * (gold != IGNORE)
    total = scale if class_weights is None else scale * class_weights[gold.clamp(min=0)]
    return (loss * scale).sum() / total.sum().clamp(min=1e-8)


def read_weights(model: SegmentTagger, paths: Sequence[Path], *, but: Sequence[str] = ()) -> None:
    """Put weights into ``model``: those of a ``model.safetensors``, the mean of several; it keeps its own of ``but``.

    A version's ``model.onnx`` will do too (annotator.training.recover).

    Raises:
        ModelError: a file is missing or is none of weights, or they are of a network of another shape.
    """
    states = []
    for path in paths:
        try:
            states.append(graph_state(path) if path.suffix == ".onnx" else load_file(path))
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: no weights to read: name the model.safetensors of a run ({error})") from error
    try:
        mean = {name: sum(state[name] for state in states) / len(states) for name in states[0]}
        own = model.state_dict()
        model.load_state_dict(mean | {name: own[name] for name in but})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{', '.join(map(str, paths))}: weights of a network of another shape") from error
