"""Sharing the range of outlying activation channels with the weights, before a layer is quantised."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from annotator.training.model import SegmentTagger


class SmoothedLinear(nn.Module):
    """Linear layer whose input channels are divided by ``scale`` and whose weights are multiplied by it."""

    def __init__(self, linear: nn.Linear, scale: torch.Tensor) -> None:
        """Take over ``linear``; ``scale`` is [in_features], positive."""
        super().__init__()
        self.inverse: torch.Tensor
        self.register_buffer("inverse", 1.0 / scale)
        self.weight = nn.Parameter(linear.weight.detach() * scale)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the linear layer's output [..., out_features] for ``x`` [..., in_features]."""
        return nn.functional.linear(x * self.inverse, self.weight, self.bias)


def smooth(
    model: SegmentTagger, rows: Sequence[torch.Tensor], *, alpha: float = 0.85, outlier: float = 3.0
) -> SegmentTagger:
    """Return a copy in which channels of outlying activations share their range with the weights.

    One scale serves a whole tensor of activations, so a single channel thirty times the others leaves those few
    levels. SmoothQuant (Xiao et al. 2023) divides a channel by ``act ** alpha / weight ** (1 - alpha)``; so do we in
    the linear layers where the largest channel exceeds the median one ``outlier`` times on ``rows`` (each [1, T] ids).
    Layers that read the same activations get the same scale, so that these are quantised once.
    """
    model = copy.deepcopy(model).eval().cpu().float()
    peaks: dict[str, torch.Tensor] = {}
    readers: dict[int, list[str]] = {}  # of one tensor, by its address in the first pass
    seen: list[torch.Tensor] = []  # kept, so that no address is given twice
    linears = {n: m for n, m in model.encoder.named_modules() if isinstance(m, nn.Linear)}

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            peak = inputs[0].detach().abs().flatten(0, -2).amax(0)
            if name not in peaks:
                readers.setdefault(id(inputs[0]), []).append(name)
                seen.append(inputs[0])
            peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak

        return hook

    handles = [linear.register_forward_pre_hook(watch(name)) for name, linear in linears.items()]
    with torch.no_grad():
        for ids in rows:
            model.logits(ids, torch.ones_like(ids))
    for handle in handles:
        handle.remove()
    for names in readers.values():
        peak = peaks[names[0]]
        if peak.max() < outlier * peak.median():
            continue
        weights = torch.stack([linears[name].weight.detach().abs().amax(0) for name in names]).amax(0).clamp(min=1e-5)
        scale = (peak.clamp(min=1e-5) ** alpha / weights ** (1 - alpha)).clamp(min=1e-3)
        for name in names:
            parent, _, child = name.rpartition(".")
            setattr(model.encoder.get_submodule(parent), child, SmoothedLinear(linears[name], scale))
    return model
