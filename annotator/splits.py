"""Splits by whole outlet, so that no page is judged by a model that saw its house style or its wire copy."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from annotator.duplicates import near_duplicates
from annotator.errors import InputError
from annotator.labelled import LabelledPage


def outlet_key(name: str) -> str:
    """Return the outlet's name without case, accents, punctuation and bracketed remarks; words, one space apart."""
    plain = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", name)
    return _words(plain) or _words(name)


def _words(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold().replace("œ", "oe").replace("æ", "ae"))
    return " ".join(re.findall(r"[^\W_]+", "".join(c for c in letters if not unicodedata.combining(c))))


def outlet_families(names: Iterable[str | None]) -> dict[str | None, str]:
    """Group outlets that must stay on one side of a split; map each name to its family.

    Names with the same :func:`outlet_key` (spaces aside) are one family, and so is an outlet with another that
    its bracketed remark names: ``La Lettre du jeudi (La Boussole)`` goes with ``La Boussole``. Pages without an
    outlet form one family, since nothing shows that they differ.
    """
    known = sorted({name for name in names if name is not None})
    keys = {name: outlet_key(name) for name in known}
    parent = {key: key for key in keys.values()}

    def root(key: str) -> str:
        while parent[key] != key:
            key = parent[key]
        return key

    for name in known:
        for remark in re.findall(r"[(\[]([^()\[\]]*)[)\]]", name):
            words = f" {_words(remark)} "
            for key in sorted(parent):
                if key and f" {key} " in words:
                    parent[root(keys[name])] = root(key)
    return {None: ""} | {name: root(keys[name]).replace(" ", "") for name in known}


def split_groups(pages: Sequence[LabelledPage]) -> dict[str, str]:
    """Map each article_id to the group that stays on one side of a split.

    A group is an outlet family, or several that near-duplicate pages tie together (the same wire copy in two outlets).

    Raises:
        MissingExtraError: datasketch, which finds near-duplicates, is not installed.
    """
    families = outlet_families(page.article.outlet for page in pages)
    home = {page.article.article_id: families[page.article.outlet] for page in pages}
    parent = {family: family for family in home.values()}

    def root(family: str) -> str:
        while parent[family] != family:
            family = parent[family]
        return family

    for pair in near_duplicates(pages):
        first, second = sorted((root(home[pair.first]), root(home[pair.second])))
        parent[second] = first
    return {name: root(family) for name, family in home.items()}


def split_by_outlet(
    pages: Sequence[LabelledPage], *, seed: int, folds: int | None = None, share: float | None = None
) -> list[list[LabelledPage]]:
    """Divide pages by whole outlet families, for cross-validation (``folds``) or one held-out part (``share``).

    With ``folds``: that many lists, balanced by number of segments (the largest and the smallest differ by no more
    than the largest outlet). With ``share``: two lists, the rest and at most that share of the segments, one
    outlet at least. Every page stands in one list; pages keep their order. The result depends on the set of pages
    and the seed, not on the order of the pages. Outlets that share a near-duplicate page go together.

    Raises:
        MissingExtraError: datasketch, which finds near-duplicates, is not installed.
        InputError: not exactly one of ``folds`` and ``share``, a value out of range, or too few outlets.
    """
    if (folds is None) == (share is None):
        raise InputError("split_by_outlet: give either folds or share")
    groups = split_groups(pages)
    size: Counter[str] = Counter()
    for page in pages:
        size[groups[page.article.article_id]] += max(1, len(page.segments))
    order = sorted(size)
    random.Random(seed).shuffle(order)
    needed = 2 if folds is None else folds
    if needed < 2 or len(order) < needed:
        raise InputError(f"split_by_outlet: {needed} parts of {len(order)} outlets: use 2 parts or more, and fewer")
    part: dict[str, int] = {}
    if share is not None:
        if not 0 < share < 1:
            raise InputError(f"split_by_outlet: share {share}: use a number between 0 and 1")
        room = share * size.total()
        for family in order:
            part[family] = int(size[family] <= room)
            room -= size[family] * part[family]
        if not any(part.values()):
            part[min(order, key=size.__getitem__)] = 1
    else:
        # Large outlets first, or the last one dealt tips the balance; within a power of two the seed decides.
        load = [0] * needed
        for family in sorted(order, key=lambda name: -size[name].bit_length()):
            part[family] = load.index(min(load))
            load[part[family]] += size[family]
    parts: list[list[LabelledPage]] = [[] for _ in range(needed)]
    for page in pages:
        parts[part[groups[page.article.article_id]]].append(page)
    return parts
