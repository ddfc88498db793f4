"""Near-duplicate pages: the same wire copy in two outlets, a page collected twice.

Two pages are near-duplicates when they share at least 30 % of the word 8-grams (shingles; Broder, "On the resemblance
and containment of documents", 1997) of the page that has fewer of them. MinHash only proposes pairs; each is then
compared shingle by shingle, so that no pair is reported that is none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from annotator.errors import MissingExtraError
from annotator.labelled import LabelledPage

SHINGLE_WORDS = 8
NEAR_DUPLICATE_SHARE = 0.3

# One row a band: any equal minimum makes a pair. 256 of them miss a pair of Jaccard similarity j with (1 - j)^256:
# at 30 % containment 3e-21 for pages of equal size, 2e-4 where one is ten times as long as the other.
_PERMUTATIONS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Two pages, by ``article_id`` in alphabetical order, and the share of 8-grams that the shorter one shares."""

    first: str
    second: str
    share: float


def shingles(text: str) -> set[str]:
    """Return the word 8-grams of a text, without case and punctuation; none where it has fewer words."""
    words = re.findall(r"\w+", text.casefold())
    return {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)}


def near_duplicates(pages: Iterable[LabelledPage]) -> list[NearDuplicate]:
    """Return every pair of near-duplicates, sorted.

    Raises:
        MissingExtraError: datasketch is not installed.
    """
    sets = {page.article.article_id: found for page in pages if (found := shingles(page.article.text))}
    if len(sets) < 2:
        return []
    try:
        from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MissingExtraError("finding near-duplicate pages", "train", "datasketch") from error
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=(_PERMUTATIONS, 1))
    seen: dict[str, list[str]] = defaultdict(list)
    hashes = MinHash.bulk(
        [[item.encode() for item in sorted(found)] for found in sets.values()], num_perm=_PERMUTATIONS
    )
    for name, value in zip(sets, hashes, strict=True):
        seen[name] = sorted(map(str, index.query(value)))
        index.insert(name, value)
    pairs = []
    for name, others in seen.items():
        for other in others:
            share = len(sets[name] & sets[other]) / min(len(sets[name]), len(sets[other]))
            if share >= NEAR_DUPLICATE_SHARE:
                first, second = sorted((name, other))
                pairs.append(NearDuplicate(first=first, second=second, share=share))
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))
