"""The model in use: loaded once, loaded again when CURRENT names another version."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from annotator.classifier import SegmentClassifier
from annotator.errors import AnnotatorError, ModelError
from annotator.pipeline import score
from annotator.records import Article, ScoredArticle
from annotator.registry import current_version, models_folder

_log = logging.getLogger(__name__)

_RETRY = 5.0  # seconds until a damaged model is tried again: its files may still be on their way


class OutOfTimeError(AnnotatorError):
    """The time of a request is over."""


class CurrentModel:
    """Scores with the version that CURRENT names; one article at a time, on all the threads it was given.

    A version that cannot be loaded is logged once, and the one before goes on.

    Args:
        models: folder of model versions (default: see registry.models_folder).
        version: a version to keep to, whatever CURRENT names.
        threads: threads of one run (default: one a core).
        load: makes a classifier of a folder of versions, a version and a number of threads.

    Raises:
        ModelError: there is no model to begin with, or it is damaged.
    """

    def __init__(
        self,
        models: Path | None = None,
        version: str | None = None,
        *,
        threads: int | None = None,
        load: Callable[..., SegmentClassifier] = SegmentClassifier.load,
    ) -> None:
        self._folder = models_folder(models)
        self._pinned, self._threads, self._load = version is not None, threads, load
        self._scoring, self._loading = threading.Lock(), threading.Lock()
        self._stamp = self._read_stamp()
        self._retry_at: float | None = None
        self._said = ""
        self._loaded = load(self._folder, version, threads=threads)

    @property
    def loaded(self) -> SegmentClassifier:
        """The classifier that is loaded, without a look at CURRENT."""
        return self._loaded

    def current(self) -> SegmentClassifier:
        """Return the classifier to use now: one look at CURRENT, and loading where it names another version."""
        if self._pinned:
            return self._loaded
        with self._loading:
            stamp = self._read_stamp()
            due = self._retry_at is not None and time.monotonic() >= self._retry_at
            if stamp != self._stamp or due:
                self._stamp, self._retry_at = stamp, None
                self._reload()
            return self._loaded

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = (self._folder / "CURRENT").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _reload(self) -> None:
        try:
            version = current_version(self._folder)
            if version == self._loaded.version:
                return
            self._loaded = self._load(self._folder, version, threads=self._threads)
        except (ModelError, ValueError) as error:  # ValueError: CURRENT holds no UTF-8
            self._retry_at = time.monotonic() + _RETRY
            said = f"model not changed, {self._loaded.version} stays: {error}"
            if said != self._said:
                _log.warning("%s", said)
            self._said = said
        else:
            self._said = ""
            _log.warning("model changed to %s", version)

    def score(self, article: Article, classifier: SegmentClassifier, deadline: float) -> ScoredArticle:
        """Score one article when its turn comes; ``deadline`` is of time.monotonic().

        Raises:
            OutOfTimeError: the deadline passed before its turn came, or between two of its windows.
        """

        def check() -> None:
            if time.monotonic() >= deadline:
                raise OutOfTimeError("no time left to score: send fewer articles, or raise --seconds")

        if not self._scoring.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise OutOfTimeError("no time left to score: send fewer articles, or raise --seconds")
        try:
            check()
            return score(article, classifier.checked(check))
        finally:
            self._scoring.release()
