"""Starts a real Label Studio on 127.0.0.1: isolated, silent, from a migrated database kept as seed.

The first start of a version migrates for a minute; the database is then kept in the user's cache folder, and later
starts take seconds. As a program: ``python tests/labelstudio/server.py FOLDER [PORT]`` starts one, prints its
address and token, and stops it when it is interrupted.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

USER, PASSWORD = "admin@example.org", "motdepasse123"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
_SEED_FILES = ("label_studio.sqlite3", ".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers: ``url`` without a slash at its end, the legacy ``token`` of its first user."""

    url: str
    token: str
    pid: int
    folder: Path


def find_binary() -> Path | None:
    """Return $LABEL_STUDIO_BIN, or label-studio on PATH; None where there is none."""
    named = os.environ.get("LABEL_STUDIO_BIN") or shutil.which("label-studio")
    return Path(named) if named and Path(named).is_file() else None


def seed_folder(binary: Path) -> Path:
    """Return where the migrated database of this version is kept."""
    found = sorted(binary.parent.parent.glob("lib/python*/site-packages/label_studio-*.dist-info"))
    version = found[-1].name.removesuffix(".dist-info") if found else "label_studio"
    return Path(platformdirs.user_cache_dir("annotator", appauthor=False)) / f"seed-{version}"


@contextmanager
def running(folder: Path, *, binary: Path | None = None, port: int | None = None, seeded: bool = True):
    """Run a server whose data stand in ``folder``; it is stopped by its process number at the end."""
    binary = binary or find_binary()
    if binary is None:
        raise FileNotFoundError("label-studio: install it into an environment of its own, name it in LABEL_STUDIO_BIN")
    seed = seed_folder(binary)
    folder.mkdir(parents=True, exist_ok=True)
    if seeded and not (folder / _SEED_FILES[0]).exists():
        if not all((seed / name).is_file() for name in _SEED_FILES):
            _make_seed(binary, seed)
        for name in _SEED_FILES:
            shutil.copy(seed / name, folder / name)
    port = port or _free_port()
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [str(binary), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port),
             "--enable-legacy-api-token", "--log-level", "WARNING"],
            env=_environment(folder, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, port, folder)
        yield RunningServer(url=f"http://127.0.0.1:{port}", token=TOKEN, pid=process.pid, folder=folder)
    finally:
        _stop(process)


def _make_seed(binary: Path, seed: Path) -> None:
    work = seed.with_name(f"{seed.name}.{os.getpid()}")
    try:
        with running(work, binary=binary, seeded=False):
            pass
        seed.mkdir(parents=True, exist_ok=True)
        for name in _SEED_FILES:
            shutil.copy(work / name, seed / f"{name}.part")
            (seed / f"{name}.part").replace(seed / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _environment(folder: Path, port: int) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        # it writes to ~/.config and ~/.local/share otherwise
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        # no calls to the outside: the Sentry addresses must be set and empty
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        # the first user; read when the database is made
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_HOST": f"http://127.0.0.1:{port}",
        "SSRF_PROTECTION_ENABLED": "false",
        "ML_BLOCK_LOCAL_IP": "false",
        # a bad prediction is a 400 with reasons, not dropped without a word
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
        "LOG_LEVEL": "WARNING",
        "DEBUG": "false",
        "PYTHONWARNINGS": "ignore",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    tail = (folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
    raise RuntimeError(f"Label Studio did not start: {' | '.join(tail)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


if __name__ == "__main__":
    with running(Path(sys.argv[1]), port=int(sys.argv[2]) if len(sys.argv) > 2 else None) as found:
        print(found.url, found.token, flush=True)  # noqa: T201 -- a program here
        with suppress(KeyboardInterrupt):
            signal.pause()
