"""Frozen features: the mean hidden state of each segment, from an encoder that nothing trained on these labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotator.dataset import LabelledPage
from annotator.errors import InputError
from annotator.segmentation import breaks
from annotator.training.base import Base
from annotator.windows import WindowConfig, encode, plan, pool


def segment_features(
    pages: Sequence[LabelledPage],
    base: Base,
    config: WindowConfig | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[NDArray[np.float32]]:
    """Return for each page the mean hidden state of each segment's tokens, in their windows: [segments, hidden]."""
    how = config or WindowConfig()
    torch.nn.Module.eval(base.encoder)  # transformers leaves its own untyped
    out = []
    for number, page in enumerate(pages):
        spans = [segment.span for segment in page.segments]
        text = page.article.text
        encoded = encode(text, spans, breaks(text, spans), base.tokenizer, how, title=page.article.title)
        windows = plan(encoded, how)
        hidden, empty = [], []
        for window in windows:
            ids = torch.from_numpy(window.input_ids)[None]
            with torch.no_grad():
                states = base.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            hidden.append(states[0].float().numpy())
            empty.append(np.zeros((len(window.input_ids), 5), dtype=np.float32))
        out.append(pool(encoded, windows, hidden, empty, empty).labels)
        if progress is not None:
            progress(number + 1, len(pages))
    return out


def cached_features(
    pages: Sequence[LabelledPage],
    load: Callable[[], Base],
    name: str,
    cache: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[NDArray[np.float32]]:
    """Return :func:`segment_features` from ``cache`` (.npz), or compute and keep them there.

    What is kept belongs to the texts, segment borders and the encoder's ``name``; labels do not matter.

    Raises:
        InputError: the cache cannot be read or written.
    """
    key: list[Any] = [name, asdict(WindowConfig())]
    for page in pages:
        spans = [[seg.span.start, seg.span.end] for seg in page.segments]
        key.append([page.article.text_sha256, page.article.title, spans])
    digest = hashlib.sha256(json.dumps(key).encode("utf-8", "surrogatepass")).hexdigest()
    sizes = [len(page.segments) for page in pages]
    try:
        if cache.is_file():
            with np.load(cache) as kept:
                if str(kept["digest"]) == digest:
                    return np.split(kept["features"], np.cumsum(sizes)[:-1])
        found = segment_features(pages, load(), progress=progress)
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, features=np.concatenate(found), digest=np.array(digest))
    except (OSError, ValueError) as error:
        raise InputError(f"{cache}: features cannot be kept there: {error}: name another file") from error
    return found
