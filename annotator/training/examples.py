"""From labelled pages to training batches: augmentation, windows, targets, packs of one shape.

A *pack* is one training batch: a few windows of similar length padded to one of a few fixed lengths, so that a
compiled encoder sees few shapes. All packs of all epochs are laid out beforehand from the seed (each epoch cuts
pages at other places and varies their typography), which makes a resumed run identical to an unbroken one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tokenizers import Tokenizer

from annotator.dataset import LabelledPage, LabelledSegment
from annotator.records import LABELS, SOURCE_TYPES, Attribution, Label, Span
from annotator.segmentation import Break, breaks
from annotator.windows import EncodedPage, Window, WindowConfig, encode, plan, special_ids

IGNORE = -100
# BIO tags, in the order of the model's tag logits.
TAGS: tuple[str, ...] = ("O", "B-source", "I-source", "B-cue", "I-cue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Chances, per page and epoch, of variation: of typography, at the same offsets, and of captions put in between."""

    captions: float = 0.0
    quote_style: float = 0.25
    plain_spaces: float = 0.3
    lost_mark: float = 0.04  # per mark
    capitals: float = 0.02  # per segment
    flat_layout: float = 0.1
    drop_title: float = 0.3
    unknown_token: float = 0.05  # per token


_NAME = re.compile(r"(?<=[a-zà-ÿ,] )[A-ZÀ-Ý][a-zà-ÿ]{2,}(?:-[A-ZÀ-Ýa-zà-ÿ]+)*")
_NOUN = re.compile(r"\b(?:les?|la|une?|des|du) ([a-zà-ÿ]{4,})\b")
_MOST_CAPTIONS = 3


def caption(page: LabelledPage, rng: random.Random) -> LabelledPage:
    """Return the page with one to three lines of one word of its own between paragraphs, labelled as furniture.

    Aggregators that lose the picture leave its caption behind, as bare as that; a page without a place or a word for
    one comes back as it is.
    """
    for _ in range(rng.randint(1, _MOST_CAPTIONS)):
        text, segments = page.article.text, page.segments
        gaps = [(a.span.end, b.span.start) for a, b in pairwise(segments)]
        places = [at for at, (end, start) in enumerate(gaps, start=1) if "\n" in text[end:start]]
        words = (_NAME if rng.random() < 0.5 else _NOUN).findall(text)
        if not places or not words:
            continue
        at = rng.choice(places)
        word = rng.choice(words)
        word = word.capitalize() if rng.random() < 0.5 else word
        end, start = gaps[at - 1]
        line = word + text[end:start]
        later = [_moved(segment, len(line)) for segment in segments[at:]]
        added = LabelledSegment(span=Span(start, start + len(word)), label=Label.BOILERPLATE)
        article = replace(page.article, text=text[:start] + line + text[start:])
        page = replace(page, article=article, segments=(*segments[:at], added, *later), annotations=())
    return page


def _moved(segment: LabelledSegment, by: int) -> LabelledSegment:
    """Return the segment further on; of its attribution, source and cue, which lie inside it and are all that train."""

    def move(span: Span | None) -> Span | None:
        return None if span is None else Span(span.start + by, span.end + by)

    said = segment.attribution
    if said is not None:
        said = Attribution(source=move(said.source), cue=move(said.cue), source_type=said.source_type)
    return replace(segment, span=Span(segment.span.start + by, segment.span.end + by), attribution=said)


_QUOTE_STYLES = (("«“„", "»”", '"', '"'), ("«„", "»", "“", "”"), ("«“„", "»”", "«", "»"))


def vary(text: str, spans: Sequence[Span], chances: Augmentation, rng: random.Random) -> str:
    """Return the text in another typography, of the same length (so that every offset still holds)."""
    out = text
    if rng.random() < chances.quote_style:
        opening, closing, new_open, new_close = rng.choice(_QUOTE_STYLES)
        out = out.translate(
            {**dict.fromkeys(map(ord, opening), new_open), **dict.fromkeys(map(ord, closing), new_close)}
        )
    if rng.random() < chances.plain_spaces:
        out = out.translate({0xA0: " ", 0x202F: " ", 0x2009: " ", 0x2019: "'"})
    characters = list(out)
    for index, character in enumerate(characters):
        if character in '«»“”"' and rng.random() < chances.lost_mark:
            characters[index] = " "
    for span in spans:
        if rng.random() < chances.capitals:
            upper = [c.upper() for c in characters[span.start : span.end]]
            if all(len(c) == 1 for c in upper):
                characters[span.start : span.end] = upper
    varied = "".join(characters)
    # A segment that was nothing but a mark keeps it.
    return "".join(
        varied[a:b] if varied[a:b].strip() or not text[a:b].strip() else text[a:b] for a, b in _tiles(spans, len(text))
    )


def _tiles(spans: Sequence[Span], size: int) -> Iterator[tuple[int, int]]:
    last = 0
    for span in spans:
        yield last, span.start
        yield span.start, span.end
        last = span.end
    yield last, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a page's tokens should be: label index and weight a segment; for each, tag and source type per token."""

    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    tags: tuple[NDArray[np.int64], ...]
    source_types: tuple[NDArray[np.int64], ...]


def targets(page: EncodedPage, segments: Sequence[LabelledSegment]) -> Targets:
    """Lay the gold labels and attributions on the tokens of an encoded page."""
    tags: list[NDArray[np.int64]] = []
    types: list[NDArray[np.int64]] = []
    for segment, offsets in zip(segments, page.offsets, strict=True):
        tag = np.zeros(len(offsets), dtype=np.int64)
        kind = np.full(len(offsets), IGNORE, dtype=np.int64)
        attribution = segment.attribution
        if attribution is not None:
            for span, begin in ((attribution.cue, 3), (attribution.source, 1)):
                if span is None:
                    continue
                inside = np.flatnonzero((offsets[:, 0] < span.end) & (offsets[:, 1] > span.start))
                if len(inside):
                    tag[inside] = begin + 1
                    tag[inside[0]] = begin
                    if begin == 1 and attribution.source_type is not None:
                        kind[inside] = SOURCE_TYPES.index(attribution.source_type)
        tags.append(tag)
        types.append(kind)
    labels = np.array([LABELS.index(segment.label) for segment in segments], dtype=np.int64)
    weights = np.array([segment.weight for segment in segments], dtype=np.float64)
    return Targets(labels=labels, weights=weights, tags=tuple(tags), source_types=tuple(types))


def page_windows(
    page: LabelledPage, tokenizer: Tokenizer, config: WindowConfig, chances: Augmentation | None, rng: random.Random
) -> tuple[list[Window], Targets]:
    """Cut one labelled page for training: no overlap, cuts shifted at random, varied."""
    if chances is not None and chances.captions and rng.random() < chances.captions:
        page = caption(page, rng)
    spans = [segment.span for segment in page.segments]
    text, title, kinds = page.article.text, page.article.title, breaks(page.article.text, spans)
    first: int | None = None
    if chances is not None:
        text = vary(text, spans, chances, rng)
        if rng.random() < chances.flat_layout:
            kinds = [Break.LINE if kind is Break.PARAGRAPH else kind for kind in kinds]
        if rng.random() < chances.drop_title:
            title = None
        first = rng.randint(config.max_tokens // 4, config.max_tokens)
    encoded = encode(text, spans, kinds, tokenizer, config, title=title)
    windows = plan(encoded, replace(config, context_tokens=0), first_tokens=first)
    return windows, targets(encoded, page.segments)


def _row(window: Window, gold: Targets, chances: Augmentation | None, rng: random.Random,
         unk: int) -> dict[str, list[Any]]:  # fmt: skip
    size = len(window.input_ids)
    ids = window.input_ids.copy()
    segment = np.full(size, -1, dtype=np.int64)
    tags = np.full(size, IGNORE, dtype=np.int64)
    types = np.full(size, IGNORE, dtype=np.int64)
    labels: list[int] = []
    weights: list[float] = []
    for index, piece in enumerate(window.pieces):
        at, part = slice(piece.at, piece.at + piece.length), slice(piece.first, piece.first + piece.length)
        segment[at] = index
        labels.append(int(gold.labels[piece.segment]))
        weights.append(float(gold.weights[piece.segment]))
        tags[at] = gold.tags[piece.segment][part]
        types[at] = gold.source_types[piece.segment][part]
    if chances is not None:
        hit = np.array([rng.random() < chances.unknown_token for _ in range(size)]) & (segment >= 0)
        ids[hit] = unk
    return {
        "input_ids": ids.tolist(), "segment": segment.tolist(), "tags": tags.tolist(),
        "source_types": types.tolist(), "labels": labels, "weights": weights,
    }  # fmt: skip


def build_packs(
    pages: Sequence[LabelledPage],
    tokenizer: Tokenizer,
    config: WindowConfig,
    *,
    epochs: int,
    pack_tokens: int,
    chances: Augmentation | None,
    seed: int,
) -> Dataset:
    """Lay out every batch of a run, in order; one row of the dataset is one pack of about ``pack_tokens`` tokens."""
    unk = special_ids(tokenizer)["<unk>"]
    lengths = sorted({max(32, config.max_tokens * k // 4) for k in (1, 2, 3, 4)})

    def packs() -> Iterator[dict[str, Any]]:
        for epoch in range(epochs):
            rng = random.Random(f"{seed}-{epoch}")
            buckets: dict[int, list[dict[str, list[Any]]]] = {length: [] for length in lengths}
            for page in pages:
                windows, gold = page_windows(page, tokenizer, config, chances, rng)
                for window in windows:
                    row = _row(window, gold, chances, rng, unk)
                    buckets[next(n for n in lengths if len(row["input_ids"]) <= n)].append(row)
            batches: list[dict[str, Any]] = []
            for length, rows in buckets.items():
                rng.shuffle(rows)
                per_pack = max(1, pack_tokens // length)
                batches += [
                    {"length": length, "rows": rows[at : at + per_pack]} for at in range(0, len(rows), per_pack)
                ]
            rng.shuffle(batches)
            yield from batches

    return Dataset.from_list(list(packs()))


def collate(packs: Iterable[dict[str, Any]], *, pad: int) -> dict[str, torch.Tensor]:
    """Pad the rows of one pack to its length.

    Returns ``input_ids``, ``attention_mask``, ``tags``, ``source_types`` and ``segment`` of shape [rows, length]
    (``segment`` numbers the segments of the whole pack, -1 elsewhere), ``labels`` [segments], and ``weights``
    [segments] where one of them is not 1.
    """
    (pack,) = packs
    shape = (len(pack["rows"]), pack["length"])
    out = {
        "input_ids": torch.full(shape, pad),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "segment": torch.full(shape, -1),
        "tags": torch.full(shape, IGNORE),
        "source_types": torch.full(shape, IGNORE),
    }
    labels: list[int] = []
    weights: list[float] = []
    for index, row in enumerate(pack["rows"]):
        size = len(row["input_ids"])
        for key in ("input_ids", "tags", "source_types"):
            out[key][index, :size] = torch.tensor(row[key])
        segment = torch.tensor(row["segment"])
        out["segment"][index, :size] = torch.where(segment >= 0, segment + len(labels), segment)
        out["attention_mask"][index, :size] = 1
        labels.extend(row["labels"])
        weights.extend(row["weights"])
    out["labels"] = torch.tensor(labels)
    if any(weight != 1 for weight in weights):  # else the plain losses, the same to the last bit
        out["weights"] = torch.tensor(weights)
    return out


def count_labels(pages: Iterable[LabelledPage]) -> dict[Label, int]:
    """Count the segments of each label."""
    counts = dict.fromkeys(LABELS, 0)
    for page in pages:
        for segment in page.segments:
            counts[segment.label] += 1
    return counts
