"""Fine-tuning with transformers' Trainer: configuration, optimiser groups, checkpoints, resume."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from annotator.dataset import LabelledPage
from annotator.segmentation import breaks
from annotator.training.base import Base
from annotator.training.examples import Augmentation, build_packs, collate, count_labels
from annotator.training.model import LossWeights, SegmentTagger, read_weights
from annotator.windows import EncodedPage, PageLogits, WindowConfig, encode, plan, pool, special_ids

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that shapes a run; saved beside its checkpoint and in the manifest of what is exported."""

    epochs: int = 5
    learning_rate: float = 2e-4
    head_learning_rate: float = 2e-3
    layer_decay: float = 0.9
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    pack_tokens: int = 1536
    train_embeddings: bool = True
    class_weight_power: float = 0.0
    dropout: float = 0.0  # of hidden states; in attention it would double the time of a step
    average_last: float = 0.2
    seed: int = 1
    init_seed: int = 1  # of the new heads: weights of runs that share it can be averaged
    local: Sequence[int] = ()  # layers that attend within parts of a window
    windows: WindowConfig = field(default_factory=WindowConfig)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """How to run, not what: none of it is part of the model's description."""

    device: str = "auto"
    bf16: bool | None = None
    compile: bool = False
    save_steps: int = 200


def has_bf16(device: str) -> bool:
    """Say whether bf16 pays here: a CUDA device that supports it, or a processor with AVX-512 BF16 or AMX."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device == "mps":
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public form


def pick_device(device: str) -> str:
    """Return ``device``, or what ``auto`` means on this machine: cuda, mps or cpu."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def parameter_groups(model: SegmentTagger, config: TrainConfig) -> list[dict[str, Any]]:
    """Return AdamW groups: heads at their own rate, encoder layers decayed downwards, no decay on biases and norms."""
    layers = int(model.encoder.config.num_hidden_layers)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if not name.startswith("encoder."):
            rate = config.head_learning_rate
        else:
            found = re.search(r"\.layers?\.(\d+)\.", name)
            depth = layers - 1 - int(found.group(1)) if found else (layers if "embeddings" in name else 0)
            rate = config.learning_rate * config.layer_decay**depth
        decay = 0.0 if parameter.ndim < 2 or "LayerNorm" in name else config.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def class_weights(pages: Iterable[LabelledPage], power: float) -> torch.Tensor | None:
    """Return label weights proportional to count ** -power, mean 1 over segments; None for power 0."""
    if not power:
        return None
    counts = np.array([max(1, n) for n in count_labels(pages).values()], dtype=np.float64)
    weights = counts**-power
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


class _Averager(TrainerCallback):
    """Averages the weights over the last share of the steps (stochastic weight averaging, Izmailov et al. 2018)."""

    def __init__(self, model: nn.Module, share: float, folder: Path) -> None:
        self.model = model
        self.share = share
        self.folder = folder
        self.count = 0
        self.sums: dict[str, torch.Tensor] = {}

    def _path(self, step: int) -> Path:
        return self.folder / f"average-{step}.safetensors"

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if state.global_step and self._path(state.global_step).is_file():
            self.sums = load_file(self._path(state.global_step))
            self.count = int(self.sums.pop("count"))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if self.count:
            save_file({**self.sums, "count": torch.tensor(self.count)}, self._path(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if self.share and state.global_step > state.max_steps * (1 - self.share) and state.global_step % 5 == 0:
            self.count += 1
            for name, value in self.model.state_dict().items():
                if name in self.sums:
                    self.sums[name] += (value - self.sums[name]) / self.count
                else:
                    self.sums[name] = value.detach().clone().float()


def fit(
    pages: Sequence[LabelledPage],
    base: Base,
    config: TrainConfig,
    folder: Path,
    *,
    hardware: Hardware = Hardware(),
    resume: bool = True,
    warm_start: Path | None = None,
) -> SegmentTagger:
    """Fine-tune ``base`` on ``pages``; leave ``model.safetensors`` in ``folder`` and return the model in eval mode.

    A run that was cut goes on from its last checkpoint in ``folder`` when ``resume`` is set. ``warm_start`` is the
    ``model.safetensors`` of an earlier run.
    """
    torch.manual_seed(config.init_seed)
    model = SegmentTagger(
        base.encoder, config.loss, class_weights(pages, config.class_weight_power), local=config.local
    )
    if warm_start is not None:
        read_weights(model, [warm_start])
    base.encoder.get_input_embeddings().weight.requires_grad_(config.train_embeddings)
    if hardware.compile:
        base.encoder.compile(dynamic=False)
    run_packs(model, model, pages, base, config, folder, hardware=hardware, resume=resume)
    return model.eval()


def run_packs(
    trained: nn.Module,
    model: SegmentTagger,
    pages: Sequence[LabelledPage],
    base: Base,
    config: TrainConfig,
    folder: Path,
    *,
    hardware: Hardware,
    resume: bool = True,
) -> None:
    """Train ``trained`` (``model``, or a module around it whose ``loss`` teaches it) on the packs of ``pages``.

    The weights of ``model``, averaged over the last steps, are left in it and in ``folder/model.safetensors``;
    ``base`` gives the tokenizer alone. A run that was cut goes on from its last checkpoint when ``resume`` is set.
    """
    for name, module in model.encoder.named_modules():
        if isinstance(module, nn.Dropout) and not re.search(r"attention\.self|attn", name):
            module.p = config.dropout
    packs = build_packs(
        pages, base.tokenizer, config.windows, epochs=config.epochs, pack_tokens=config.pack_tokens,
        chances=config.augmentation, seed=config.seed,
    )  # fmt: skip
    optimiser = torch.optim.AdamW(parameter_groups(model, config), betas=(0.9, 0.98), eps=1e-6, fused=True)
    averager = _Averager(model, config.average_last, folder / "checkpoints")
    train_once(
        trained, packs, special_ids(base.tokenizer)["<pad>"], folder, hardware,
        optimiser=optimiser, warmup_share=config.warmup_share, seed=config.seed, callbacks=(averager,), resume=resume,
    )  # fmt: skip
    if averager.count:
        model.load_state_dict(averager.sums)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: v.detach().cpu().contiguous().float() for k, v in model.state_dict().items()}, folder / "model.safetensors"
    )
    logger.info("trained on %d pages, %d packs", len(pages), len(packs))


def train_once(
    trained: nn.Module,
    packs: Dataset,
    pad: int,
    folder: Path,
    hardware: Hardware,
    *,
    optimiser: torch.optim.Optimizer,
    warmup_share: float,
    seed: int,
    callbacks: Sequence[TrainerCallback] = (),
    resume: bool = True,
) -> list[float]:
    """Take ``trained`` through ``packs`` in their order, a step a pack, the rate rising, then falling to 0.

    Checkpoints go to ``folder/checkpoints``; with ``resume`` a run that was cut goes on from the last. Returns the
    losses logged, a mean of 20 steps each, or the mean of all of a shorter run.
    """
    device = pick_device(hardware.device)
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=1,  # the packs of every epoch are laid out in one dataset
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(warmup_share * len(packs))),
        max_grad_norm=1.0,
        bf16=has_bf16(device) if hardware.bf16 is None else hardware.bf16,
        use_cpu=device == "cpu",
        seed=seed,
        data_seed=seed,
        logging_steps=20,
        save_strategy="steps",
        save_steps=hardware.save_steps,
        save_total_limit=1,
        report_to=[],
        remove_unused_columns=False,
        dataloader_num_workers=0,
        label_names=["labels"],
    )
    trainer = Trainer(
        model=trained,
        args=arguments,
        train_dataset=packs,
        data_collator=partial(collate, pad=pad),
        optimizers=(optimiser, None),
        callbacks=list(callbacks),
    )
    found = resume and (folder / "checkpoints").is_dir()
    last = get_last_checkpoint(arguments.output_dir) if found else None  # type: ignore[no-untyped-call]
    with redirect_stdout(sys.stderr):  # the Trainer's callbacks print; stdout is for data
        overall = float(trainer.train(resume_from_checkpoint=last).training_loss)
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry] or [overall]


def predict(
    model: SegmentTagger, pages: Sequence[LabelledPage], base: Base, config: WindowConfig, *, bf16: bool = False
) -> list[tuple[EncodedPage, PageLogits]]:
    """Run the torch model over the gold segments of pages: the reference that an exported graph is compared with."""
    out: list[tuple[EncodedPage, PageLogits]] = []
    device = next(model.parameters()).device
    for page in pages:
        spans = [segment.span for segment in page.segments]
        text = page.article.text
        encoded = encode(text, spans, breaks(text, spans), base.tokenizer, config, title=page.article.title)
        windows = plan(encoded, config)
        label, tag, kind = [], [], []
        for window in windows:
            ids = torch.from_numpy(window.input_ids)[None].to(device)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                a, b, c = model.logits(ids, torch.ones_like(ids))
            label.append(a[0].cpu().numpy())
            tag.append(b[0].cpu().numpy())
            kind.append(c[0].cpu().numpy())
        out.append((encoded, pool(encoded, windows, label, tag, kind, context_weight=config.context_weight)))
    return out
