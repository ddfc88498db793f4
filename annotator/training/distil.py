"""A smaller network taught by a larger one: fewer layers, narrower ones, the same embedding table.

The student starts as a part of its teacher and learns the labels together with what the teacher says of every token
(Hinton et al. 2015) and, layer by layer, the teacher's hidden states (Jiao et al. 2020, TinyBERT). Its embedding tables
are the teacher's and stay so, which lets two exported graphs share them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from transformers import BertConfig, BertModel

from annotator.dataset import LabelledPage, digest
from annotator.errors import InputError, ModelError
from annotator.registry import replace_text
from annotator.training.base import Base
from annotator.training.fit import Hardware, TrainConfig, has_bf16, pick_device, run_packs
from annotator.training.model import SegmentTagger, read_weights

logger = logging.getLogger(__name__)

_TABLES = [f"encoder.embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilConfig:
    """What a student is and how it is taught; ``layers`` are the teacher's that it starts from."""

    layers: tuple[int, ...] = (0, 3, 7, 11)
    intermediate: int = 1024
    temperature: float = 2.0
    soft: float = 1.0
    hidden: float = 1.0
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=8, learning_rate=5e-4, head_learning_rate=5e-4, layer_decay=1.0, train_embeddings=False
        )
    )


def make_student(teacher: SegmentTagger, config: DistilConfig) -> SegmentTagger:
    """Return a student: the embeddings, heads and named layers of ``teacher``, each with its strongest inner neurons.

    A neuron's strength is the product of the norms of its weights in and out.

    Raises:
        ModelError: the teacher is not a BERT, or has not those layers or so many neurons.
    """
    encoder = teacher.encoder
    if not isinstance(encoder, BertModel):
        raise ModelError(f"distillation: a BERT encoder is needed, not {type(encoder).__name__}")
    wide = encoder.config
    if max(config.layers) >= wide.num_hidden_layers or config.intermediate > wide.intermediate_size:
        raise ModelError(
            f"distillation: the teacher has {wide.num_hidden_layers} layers of {wide.intermediate_size} neurons: "
            f"no layers {config.layers} of {config.intermediate}"
        )
    shape = {
        **wide.to_dict(),
        "num_hidden_layers": len(config.layers),
        "intermediate_size": config.intermediate,
    }
    narrow = BertConfig.from_dict(shape)
    narrow._attn_implementation = "eager"  # noqa: SLF001 - as in load_base
    small = BertModel(narrow, add_pooling_layer=False)
    small.embeddings.load_state_dict(encoder.embeddings.state_dict())
    for layer, number in zip(small.encoder.layer, config.layers, strict=True):
        state = dict(encoder.encoder.layer[number].state_dict())
        into, out = state["intermediate.dense.weight"], state["output.dense.weight"]
        kept = (into.norm(dim=1) * out.norm(dim=0)).topk(config.intermediate).indices.sort().values
        for name in ("intermediate.dense.weight", "intermediate.dense.bias"):
            state[name] = state[name][kept]
        state["output.dense.weight"] = out[:, kept]
        layer.load_state_dict(state)
    student = SegmentTagger(small, teacher.weights, local=config.training.local)
    for head in ("label_head", "tag_head", "source_type_head"):
        getattr(student, head).load_state_dict(getattr(teacher, head).state_dict())
    for table in _TABLES:
        student.get_parameter(table).requires_grad_(False)
    return student


class Lesson(nn.Module):
    """Teacher and student over the same pack; only the student learns."""

    def __init__(self, teacher: SegmentTagger, student: SegmentTagger, config: DistilConfig) -> None:
        """Freeze the teacher."""
        super().__init__()
        self.teacher = teacher.requires_grad_(requires_grad=False).eval()
        self.student = student
        self.plan = config

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
        """Return the ``loss`` of one pack (see examples.collate) and the student's pooled ``logits``."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "output_hidden_states": True}
        with torch.no_grad():
            taught = self.teacher.encoder(**given).hidden_states
            wanted = [head(taught[-1]).float() for head in _heads(self.teacher)]
        states = self.student.encoder(**given).hidden_states
        found = [head(states[-1]).float() for head in _heads(self.student)]
        label, tag, kind = found
        out = self.student.losses(label, tag, kind, segment, tags, source_types, labels, weights)
        inside = segment >= 0
        loss = out["loss"]
        for student, teacher in zip(found, wanted, strict=True):
            loss = loss + self.plan.soft * _divergence(student[inside], teacher[inside], self.plan.temperature)
        for index, number in enumerate(self.plan.layers, start=1):  # 0 is what the first layer reads
            goal = taught[number + 1][inside].float()
            error = (states[index][inside].float() - goal).square().mean() / goal.var().clamp(min=1e-6)
            loss = loss + self.plan.hidden * error / len(self.plan.layers)
        return {"loss": loss, "logits": out["logits"]}


def _heads(model: SegmentTagger) -> tuple[nn.Linear, ...]:
    return model.label_head, model.tag_head, model.source_type_head


def _divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the Kullback-Leibler divergence from the teacher at a temperature, at the scale of temperature 1."""
    return nn.functional.kl_div(
        (student / temperature).log_softmax(-1), (teacher / temperature).log_softmax(-1),
        reduction="batchmean", log_target=True,
    ) * temperature**2  # fmt: skip


def claim(folder: Path, pages: Sequence[LabelledPage]) -> None:
    """Note in ``folder`` which pages a student is taught on there, so that none is calibrated on pages that it knows.

    Raises:
        InputError: the student there was taught on other pages.
    """
    note = folder / "taught-on.txt"
    folder.mkdir(parents=True, exist_ok=True)
    if note.is_file() and note.read_text(encoding="utf-8") != digest(pages):
        raise InputError(
            f"{folder}: taught on other pages: give --data, --gate and --fold as then, or another folder for --run"
        )
    replace_text(note, digest(pages))


def distil(
    pages: Sequence[LabelledPage],
    teacher: SegmentTagger,
    base: Base,
    config: DistilConfig,
    folder: Path,
    *,
    hardware: Hardware,
    warm_start: Path | None = None,
) -> SegmentTagger:
    """Teach a student on ``pages``; leave ``model.safetensors`` in ``folder`` and return the student in eval mode.

    ``base`` gives the tokenizer. ``warm_start`` is the ``model.safetensors`` of the student of an earlier teacher, of
    the same shape; its embedding table is not read. A run that was cut goes on from its last checkpoint in ``folder``.

    Raises:
        ModelError: the student to start from cannot be read, or has another shape.
    """
    torch.manual_seed(config.training.init_seed)
    student = make_student(teacher, config)
    if warm_start is not None:
        read_weights(student, [warm_start], but=_TABLES)
    if hardware.compile:
        student.encoder.compile(dynamic=False)
        teacher.encoder.compile(dynamic=False)
    lesson = Lesson(teacher, student, config)
    run_packs(lesson, student, pages, base, config.training, folder, hardware=hardware)
    logger.info("taught on %d pages, bf16 %s", len(pages), has_bf16(pick_device(hardware.device)))
    return student.eval()
