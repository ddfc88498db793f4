"""Masked-token training of a base encoder on pages at hand, before it learns labels (Gururangan et al. 2020).

It mends what four bits took from the weights and gives the marks of windows a meaning. No label is read: a page's
segments only say where its windows may be cut.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from annotator.dataset import LabelledPage, digest
from annotator.errors import ModelError
from annotator.training.base import load_base
from annotator.training.examples import Augmentation, build_packs
from annotator.training.fit import Hardware, train_once
from annotator.windows import WindowConfig, special_ids

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedConfig:
    """Everything that shapes a run; kept in the ``base.json`` of what it makes."""

    epochs: int = 8
    learning_rate: float = 3e-4
    masked_share: float = 0.15
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    pack_tokens: int = 1536
    seed: int = 1
    windows: WindowConfig = field(default_factory=WindowConfig)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(lost_mark=0.0, unknown_token=0.0))


class MaskedTokens(nn.Module):
    """Encoder with BERT's head for masked tokens (Devlin et al. 2019), its output tied to the embedding table."""

    def __init__(self, encoder: PreTrainedModel, config: MaskedConfig, hidden_token: int) -> None:
        """Put a fresh head on ``encoder``; ``hidden_token`` stands where a token is masked."""
        super().__init__()
        size = int(encoder.config.hidden_size)
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        self.bias = nn.Parameter(torch.zeros(int(encoder.config.vocab_size)))
        self.share = config.masked_share
        self.hidden_token = hidden_token
        self.dice = torch.Generator().manual_seed(config.seed)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, segment: torch.Tensor, **_: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Hide a share of the text's tokens (80 % masked, 10 % another, 10 % as they are) and return ``loss``.

        ``input_ids`` and the others are [B, T], as examples.collate makes them.
        """
        dice = torch.rand(input_ids.shape, generator=self.dice).to(input_ids.device)
        chosen = (segment >= 0) & (dice < self.share)
        other = torch.randint(int(input_ids.max()) + 1, input_ids.shape, generator=self.dice).to(input_ids.device)
        shown = torch.where(chosen & (dice < 0.8 * self.share), self.hidden_token, input_ids)
        shown = torch.where(chosen & (dice >= 0.9 * self.share), other, shown)
        states = self.encoder(input_ids=shown, attention_mask=attention_mask).last_hidden_state[chosen]
        table: Any = self.encoder.get_input_embeddings().weight
        scores = nn.functional.linear(self.head(states), table.to(states.dtype), self.bias.to(states.dtype))
        return {"loss": nn.functional.cross_entropy(scores.float(), input_ids[chosen])}


def warm_up(
    pages: Sequence[LabelledPage], base: str, config: MaskedConfig, folder: Path, *, hardware: Hardware
) -> float:
    """Train the encoder of the folder ``base`` on the text of ``pages``; write a base folder and return the last loss.

    ``folder`` is then what :func:`annotator.training.base.load_base` and ``scripts/train.py --base`` take. A run
    that was cut goes on from its last checkpoint in ``folder``.

    Raises:
        ModelError: ``base`` is not a folder made by scripts/build_base.py.
    """
    if not (Path(base) / "base.json").is_file():
        raise ModelError(f"base '{base}': only a folder made by scripts/build_base.py can be warmed up")
    loaded = load_base(base)
    torch.manual_seed(config.seed)
    model = MaskedTokens(loaded.encoder, config, special_ids(loaded.tokenizer)["<unk>"])
    packs = build_packs(
        pages, loaded.tokenizer, config.windows, epochs=config.epochs, pack_tokens=config.pack_tokens,
        chances=config.augmentation, seed=config.seed,
    )  # fmt: skip
    if hardware.compile:
        loaded.encoder.compile(dynamic=False)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-6, weight_decay=config.weight_decay
    )
    losses = train_once(
        model, packs, special_ids(loaded.tokenizer)["<pad>"], folder, hardware,
        optimiser=optimiser, warmup_share=config.warmup_share, seed=config.seed,
    )  # fmt: skip
    state = {name: value.detach().cpu().contiguous().float() for name, value in loaded.encoder.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    for name in ("tokenizer.json", "config.json"):
        shutil.copyfile(Path(base) / name, folder / name)
    facts = json.loads((Path(base) / "base.json").read_text(encoding="utf-8"))
    facts["warm_up"] = {"config": asdict(config), "data_sha256": digest(pages), "loss": losses[-1]}
    (folder / "base.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")  # last: it makes a base
    logger.info("warmed up on %d pages, %d packs, loss %.3f to %.3f", len(pages), len(packs), losses[0], losses[-1])
    return losses[-1]
