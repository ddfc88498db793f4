"""Model folders: the manifest, the version that names them, which one is current.

A folder ``models/<version>/`` holds ``model.onnx``, ``tokenizer.json``, ``manifest.json``, ``metrics.json`` and the
model card ``README.md``; where the model has a smaller sibling for ``--fast``, ``fast.onnx`` and its own manifest,
``fast.json``; ``models/CURRENT`` holds one line, the version in use, and ``models/HISTORY`` one JSON object
for each time that it changed. The version is a hash of what decides a record (weights, tokenizer, labels, windows,
calibration); dates and metrics stand outside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from annotator.errors import ModelError, reason
from annotator.records import LABELS, SOURCE_TYPES
from annotator.windows import WindowConfig

MANIFEST_FORMAT = 1
MODEL_FILES = ("model.onnx", "tokenizer.json")
FAST_FILES = ("fast.onnx", *MODEL_FILES)  # fast.onnx reads its table of embeddings in model.onnx
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How logits become what a record states (annotator.calibration); below ``review_below``, review.

    ``top`` is empty, or the three parameters of a beta map of the largest probability.
    """

    temperature: float = 1.0
    review_below: float = 0.6
    top: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``manifest.json`` states; ``details`` is the part that no record depends on (base, training, data)."""

    version: str
    windows: WindowConfig
    calibration: Calibration
    files: Mapping[str, str]
    details: Mapping[str, Any]


def models_folder(option: Path | None = None) -> Path:
    """Return the registry to use: ``option``, $ANNOTATOR_MODELS, the user's data folder, or what is installed.

    The user's folder counts only when it has a ``CURRENT``. What is installed is ``annotator/models`` of a wheel, or
    ``models`` beside the package in a checkout.
    """
    if option is not None:
        return option
    if named := os.environ.get("ANNOTATOR_MODELS"):
        return Path(named)
    user = user_folder()
    if (user / "CURRENT").is_file():
        return user
    package = Path(__file__).parent
    return next((p for p in (package / "models", package.parent / "models") if p.is_dir()), package / "models")


def user_folder() -> Path:
    """Return the registry of this user, where a promoted model goes when none is named."""
    return Path(platformdirs.user_data_dir("annotator", appauthor=False)) / "models"


def list_versions(models: Path) -> list[str]:
    """Return the versions that a registry holds, sorted."""
    if not models.is_dir():
        return []
    return sorted(p.name for p in models.iterdir() if _VERSION.match(p.name) and (p / "manifest.json").is_file())


def current_version(models: Path) -> str:
    """Return the version that CURRENT names.

    Raises:
        ModelError: there is no CURRENT, or it is not one line with a version's name.
    """
    path = models / "CURRENT"
    try:
        version = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ModelError(
            f"{path}: no model is in use here ({error.strerror}): name a folder with --models or ANNOTATOR_MODELS"
        ) from error
    if not _VERSION.match(version):
        raise ModelError(f"{path}: holds {version!r}, not the name of a version")
    return version


def promote(models: Path, version: str, *, back: bool = False) -> None:
    """Put ``version`` in use, atomically, after checking that its folder is whole; ``back`` says that it is a rollback.

    Raises:
        ModelError: the folder is missing or does not match its manifest, or the registry is a package's own folder.
    """
    refuse_package(models)
    if not _VERSION.match(version):
        raise ModelError(f"{models}: {version!r} is not the name of a version")
    read_manifest(models / version)
    previous = current_version(models) if (models / "CURRENT").is_file() else None
    if previous == version:
        return
    # First the line, then CURRENT: a run cut between them leaves a line that no version in use answers to.
    line = {"at": _now(), "version": version, "previous": previous} | ({"back": True} if back else {})
    earlier = [json.dumps(item) for item in history(models)]
    replace_text(models / "HISTORY", "".join(item + "\n" for item in [*earlier, json.dumps(line)]))
    replace_text(models / "CURRENT", version + "\n")


def history(models: Path) -> list[dict[str, Any]]:
    """Return what was put in use, oldest first: ``at``, ``version``, ``previous`` and, of a rollback, ``back``.

    Raises:
        ModelError: HISTORY cannot be read, or a line of it is no such object; names the line.
    """
    path = models / "HISTORY"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}): restore it, or delete it") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
        except ValueError:
            item = None
        if not isinstance(item, dict) or not {"version", "previous"} <= item.keys():
            what = "is not a JSON object with version and previous"
            raise ModelError(f"{path}: line {number} cannot be read: it {what}: restore the file, or delete it")
        found.append(item)
    return found


def previous_version(models: Path) -> str:
    """Return what was in use before the current version was put in use for the last time (rollbacks aside).

    Raises:
        ModelError: nothing is known of it, or its folder is gone.
    """
    current = current_version(models)
    previous = _before(models, current)
    if previous is None:
        raise ModelError(f"{models}: what was in use before {current} is not known: name the version to go back to")
    if previous not in list_versions(models):
        raise ModelError(f"{models}: {previous}, in use before {current}, is gone: name another version")
    return previous


def _before(models: Path, current: str) -> str | None:
    found = [item for item in history(models) if item["version"] == current and not item.get("back")]
    previous = found[-1]["previous"] if found else None
    return None if previous is None else str(previous)


def broken_versions(models: Path) -> dict[str, str]:
    """Return the versions whose manifest cannot be read, with what is wrong in one line."""
    found = {}
    for version in list_versions(models):
        try:
            read_manifest(models / version, verify=False)
        except ModelError as error:
            found[version] = str(error)
    return found


def prune(models: Path, *, keep: int, dry_run: bool = False) -> list[str]:
    """Remove all but the ``keep`` newest versions; return what was (or would be) removed.

    The version in use and the one to roll back to stay and count; those of :func:`broken_versions` stay too, and do
    not: their age is not known. What an export that was cut left behind goes too,
    when it is older than an hour.

    Raises:
        ModelError: the registry is a package's own folder, ``keep`` is less than 1, or CURRENT or HISTORY cannot be
            read, so that it is not known what must stay.
    """
    refuse_package(models)
    if keep < 1:
        raise ModelError(f"prune: keep {keep}: use 1 or more")
    broken = broken_versions(models)
    versions = [version for version in list_versions(models) if version not in broken]
    made = {
        version: str(read_manifest(models / version, verify=False).details.get("created_at")) for version in versions
    }
    stay = [current_version(models)]
    before = _before(models, stay[0])
    if before is not None and before in versions:
        stay.append(before)
    newest = sorted((v for v in versions if v not in stay), key=lambda v: (made[v], v), reverse=True)
    gone = sorted(newest[max(0, keep - len(stay)) :])
    if dry_run:
        return gone
    for version in gone:
        # Renamed first: a run cut on the way leaves no version that is half there.
        grave = Path(tempfile.mkdtemp(dir=models, prefix=".gone-"))
        (models / version).rename(grave / version)
    for left in (*models.glob(".gone-*"), *(p for p in models.glob(".making-*") if _age(p) > 3600)):
        shutil.rmtree(left, ignore_errors=True)
    return gone


def adopt(models: Path, source: Path) -> str:
    """Copy the version in use in the registry ``source`` to ``models``, put it in use there, and return it.

    Raises:
        ModelError: there is none, it is damaged, or ``models`` is a package's own folder.
    """
    refuse_package(models)
    folder = model_path(source)
    version = read_manifest(folder).version
    models.mkdir(parents=True, exist_ok=True)
    if version not in list_versions(models):
        with tempfile.TemporaryDirectory(dir=models, prefix=".making-") as temporary:
            shutil.copytree(folder, Path(temporary) / version)
            (Path(temporary) / version).rename(models / version)
    promote(models, version)
    return version


def refuse_package(models: Path) -> None:
    """Raise ModelError where ``models`` is an installed package's own folder, which nobody writes to."""
    if "site-packages" in models.resolve().parts:
        raise ModelError(f"{models}: belongs to the installed package: promote in {user_folder()} or name --models")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def model_path(models: Path, version: str | None = None) -> Path:
    """Return the folder of ``version``, or of the current one.

    Raises:
        ModelError: no such version; the message lists those that are there.
    """
    chosen = current_version(models) if version is None else version
    folder = models / chosen
    if not _VERSION.match(chosen) or not (folder / "manifest.json").is_file():
        there = ", ".join(list_versions(models)) or "none"
        raise ModelError(f"{models}: no model version {chosen!r}; versions here: {there}")
    return folder


def find_version(models: Path, version: str) -> tuple[Path, bool]:
    """Return the folder of what a record names as its model, and whether it is the fast model in it.

    Raises:
        ModelError: no such version.
    """
    for name in list_versions(models) if version.endswith("-fast") else ():
        folder = models / name
        if (folder / "fast.json").is_file() and read_manifest(folder, verify=False, fast=True).version == version:
            return folder, True
    return model_path(models, version), False


def read_manifest(folder: Path, *, verify: bool = True, fast: bool = False) -> Manifest:
    """Read ``manifest.json`` (``fast.json`` with ``fast``); with ``verify``, check the digests of the files it names.

    Raises:
        ModelError: the manifest is missing, of another format, or a file does not match it.
    """
    path = folder / ("fast.json" if fast else "manifest.json")
    if fast and not path.is_file():
        raise ModelError(f"{folder}: this version has no fast model: leave out --fast, or make one (scripts/distil.py)")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error})") from error
    try:
        if data["format"] != MANIFEST_FORMAT:
            raise ModelError(f"{path}: manifest format {data['format']!r}, this version reads {MANIFEST_FORMAT}")
        if data["labels"] != [str(label) for label in LABELS] or data["source_types"] != [str(t) for t in SOURCE_TYPES]:
            raise ModelError(f"{path}: labels {data['labels']} in this order are not those of this annotator")
        manifest = Manifest(
            version=data["version"],
            windows=WindowConfig(**{"context_weight": 0.0} | data["windows"]),  # what manifests before it meant
            calibration=Calibration(**data["calibration"] | {"top": tuple(data["calibration"].get("top", ()))}),
            files=data["files"],
            details=data["details"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: a key is missing or of the wrong kind: {reason(error)}") from error
    if verify:
        for name, digest in manifest.files.items():
            if file_digest(folder / name) != digest:
                raise ModelError(f"{folder / name}: does not match its digest in {path.name}: fetch the model again")
    return manifest


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read ``metrics.json``, which stands outside the version; empty where there is none.

    Raises:
        ModelError: it cannot be read, or is not a JSON object.
    """
    path = folder / "metrics.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path}: a JSON object is expected, found {type(data).__name__}")
    return data


def write_manifest(
    folder: Path, windows: WindowConfig, calibration: Calibration, details: Mapping[str, Any], *, fast: bool = False
) -> Manifest:
    """Write ``manifest.json`` (``fast.json``) for the files in ``folder``; return it with the version computed."""
    files = {name: file_digest(folder / name) for name in (FAST_FILES if fast else MODEL_FILES)}
    shaping = {
        "labels": [str(label) for label in LABELS],
        "source_types": [str(kind) for kind in SOURCE_TYPES],
        "windows": asdict(windows),
        "calibration": asdict(calibration),
        "files": files,
    }
    canonical = json.dumps(shaping, sort_keys=True).encode()
    version = "fr-" + hashlib.sha256(canonical).hexdigest()[:12] + ("-fast" if fast else "")
    data = {"format": MANIFEST_FORMAT, "version": version, **shaping, "details": details}
    name = "fast.json" if fast else "manifest.json"
    replace_text(folder / name, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    return Manifest(version=version, windows=windows, calibration=calibration, files=files, details=details)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new one, never a part, after a power cut too."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a full disk: what was written of it goes
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
