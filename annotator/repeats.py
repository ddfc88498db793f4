"""Pages that stand twice in an archive: digests for equal texts, MinHash for nearly equal ones."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_WORDS = re.compile(r"\w+")
_PERMUTATIONS, _BANDS, _SEED = 128, 16, 20240607
_SHINGLE = 5
_ALIKE = 0.9


def digest(text: str) -> bytes:
    """Return the 16 bytes that stand for a text or an id (BLAKE2b): two of 10^9 collide once in 10^20 tries."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class NearDuplicates:
    """Remembers pages and tells the ones that nearly repeat an earlier one.

    Pages are compared by the Jaccard similarity of their runs of five words, estimated by MinHash with 128
    permutations (Broder 1997; rensa's variant), candidates found in 16 bands; 0.9 and more is alike. The standard
    error of the estimate is 0.03 there. Pages of fewer than 20 words are never alike.
    """

    def __init__(self) -> None:
        from rensa import RMinHash, RMinHashLSH  # noqa: PLC0415 -- only here

        self._minhash: Any = RMinHash
        self._index: Any = RMinHashLSH(threshold=_ALIKE, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        self._kept: list[Any] = []

    def repeats(self, text: str) -> bool:
        """Say whether a page nearly repeats one that was kept before; if not, it is kept."""
        words = _WORDS.findall(text.casefold())
        if len(words) < 4 * _SHINGLE:
            return False
        sketch = self._minhash(num_perm=_PERMUTATIONS, seed=_SEED)
        sketch.update([" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1)])
        if any(sketch.jaccard(self._kept[key]) >= _ALIKE for key in self._index.query(sketch)):
            return True
        self._index.insert(len(self._kept), sketch)
        self._kept.append(sketch)
        return False
