"""One push, pull or init a project at a time on a machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from annotator.errors import AnnotatorError, InputError


class LockedError(AnnotatorError):
    """Another run holds the lock."""


def lock_path(url: str, project: str) -> Path:
    """Return the lock file of a project of a server, in the user's state folder."""
    name = hashlib.sha256(f"{url}\n{project}".encode()).hexdigest()[:20]
    return Path(platformdirs.user_state_dir("annotator", appauthor=False)) / "labelstudio" / f"{name}.lock"


@contextmanager
def locked(url: str, project: str) -> Iterator[None]:
    """Hold the project's lock; the system releases it when the process ends, however it ends.

    Raises:
        LockedError: another process holds it.
        InputError: the lock file cannot be made.
    """
    with hold(lock_path(url, project), f"project {project!r}"):
        yield


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path``; ``what`` it guards opens the message.

    Raises:
        LockedError: another process holds it.
        InputError: the lock file cannot be made.
    """
    try:
        import fcntl  # noqa: PLC0415 -- not on Windows
    except ImportError as error:
        raise InputError(f"{what}: locked with fcntl, which this system lacks: use Linux or macOS") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(f"{path}: the lock file cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise LockedError(
                f"{what}: another run on this machine is at it (process {holder}): wait until it is done"
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)
