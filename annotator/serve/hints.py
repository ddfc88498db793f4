"""Webhooks as hints: many of them make one pull, a little later; a pull is due now and then without any."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from annotator.errors import AnnotatorError

_log = logging.getLogger(__name__)

_RETRY = 60.0  # seconds after a run that failed


class Hints:
    """Runs ``action`` in a thread of its own: at the start, after hints, and every ``every`` seconds.

    Args:
        action: what to do; its errors are logged in one line and it is tried again a minute later.
        pause: seconds of quiet after a hint before it runs; ten times that at most after the first.
        every: seconds between runs when no hint comes.
        done: called after each run with whether it succeeded.
    """

    def __init__(
        self, action: Callable[[], None], *, pause: float, every: float, done: Callable[[bool], None] | None = None
    ) -> None:
        self._action, self._pause, self._every, self._done = action, pause, every, done
        self._changed = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="annotator-hints", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hint(self) -> None:
        """Say that there may be something to do; returns at once."""
        with self._changed:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
            self._changed.notify()

    def close(self, timeout: float = 30.0) -> None:
        """End; an action that is running is waited for, ``timeout`` seconds at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        due = time.monotonic()
        while self._wait(due):
            done = False
            try:
                self._action()
                done = True
            except AnnotatorError as error:
                _log.warning("pull failed: %s", error)
            except Exception as error:  # noqa: BLE001 -- the next hint must find the thread alive; its text may quote data
                _log.warning("pull failed: %s", type(error).__name__)
            self._tell(done=done)
            due = time.monotonic() + (self._every if done else min(_RETRY, self._every))

    def _tell(self, *, done: bool) -> None:
        if self._done is not None:
            self._done(done)

    def _wait(self, due: float) -> bool:
        """Wait for the next run; False at the end."""
        with self._changed:
            while not self._closed:
                at = due
                if self._first is not None:
                    at = min(due, self._last + self._pause, self._first + 10 * self._pause)
                left = at - time.monotonic()
                if left <= 0:
                    self._first = None
                    return True
                self._changed.wait(left)
            return False
