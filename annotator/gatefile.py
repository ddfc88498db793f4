"""What the gate rests on: frozen sets of pages, floors and limits (``labels/gate.json``), and what a model reached.

A floor is only raised, unless a regression is allowed by name. Pages that are not redistributed are known by their
digest alone, so that whoever holds them can judge on them too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from annotator.dataset import LabelledPage, digest, read_pages
from annotator.errors import InputError
from annotator.evaluation import PageOutcome
from annotator.metrics import Estimate
from annotator.records import LABELS, Label
from annotator.registry import replace_text

FORMAT = 1
PAGES = "gate.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a challenger may lose against the champion, and its budgets; differences of F1 as shares, not points.

    ``low``: the lower end of the 95 % interval of the macro-F1 difference lies above it; ``point``: the difference
    is no lower; ``label``: a label with ``label_n`` gold segments loses no more. ``ece`` is what every set may have
    whatever its own ceiling; ``megabytes`` bounds graph and tokenizer, ``slower`` the time against the champion's.
    ``margin`` and ``label_margin`` are how far below a measured F1 its floor is put, ``ece_margin`` how far above.
    """

    low: float = -0.02
    point: float = -0.005
    label: float = -0.02
    label_n: int = 100
    ece: float = 0.03
    megabytes: float = 40.0
    slower: float = 1.25
    margin: float = 0.01
    label_margin: float = 0.03
    ece_margin: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A frozen set of pages: digest, counts, floors of F1, ceiling of the calibration error.

    ``file`` stands beside gate.json; None marks pages that are not redistributed, known by their digest alone.
    """

    digest: str
    pages: int
    segments: int
    macro_f1: float
    labels: Mapping[str, float]
    ece: float
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFile:
    """What ``gate.json`` states; ``measured`` names the model whose scores set each floor last."""

    limits: Limits = field(default_factory=Limits)
    sets: Mapping[str, Pin] = field(default_factory=dict)
    measured: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSet:
    """The pages of a set at hand; ``open_text``: they belong to labels/, so that their text may be shown."""

    name: str
    digest: str
    pages: tuple[LabelledPage, ...]
    open_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """What a model reached on a set, with its own segmentation; ``labels``: F1 and number of gold segments."""

    version: str
    digest: str
    macro_f1: Estimate
    labels: Mapping[Label, tuple[float, int]]
    ece: float
    failed: tuple[str, ...]
    outcomes: tuple[PageOutcome, ...]


def set_result(record: Mapping[str, Any]) -> SetResult:
    """Read what the gate needs of an evaluation's JSON form, made with ``pages=True``.

    Raises:
        InputError: it is not one.
    """
    try:
        own = record["own"]
        macro = {name: _number(own["macro_f1"][name]) for name in ("value", "low", "high")}
        return SetResult(
            version=record["model_version"],
            digest=record["data"],
            macro_f1=Estimate(**macro),
            labels={
                label: (_number(own["labels"][label]["f1"]["value"]), own["labels"][label]["gold"]) for label in LABELS
            },
            ece=_number(own["calibration"]["ece"]),
            failed=tuple(own["failed"]),
            outcomes=tuple(
                PageOutcome(
                    article_id=page["article_id"],
                    gold=tuple(Label(label) for label in page["gold"]),
                    predicted=tuple(None if label is None else Label(label) for label in page["predicted"]),
                    confidence=tuple(_number(value) for value in page["confidence"]),
                )
                for page in own["pages"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"evaluation: not written by annotator, or without its pages ({error!r}): evaluate again"
        ) from error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def gate_path(option: Path | None = None) -> Path:
    """Return ``option``, or labels/gate.json of the checkout.

    Raises:
        InputError: there is none.
    """
    path = option or Path(__file__).parent.parent / "labels" / "gate.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file: name a gate with --gate, or make one with --update")
    return path


def read_gate(path: Path) -> GateFile:
    """Read ``gate.json``.

    Raises:
        InputError: it cannot be read, or is of another format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(f"{path}: gate format {data['format']!r}, this version reads {FORMAT}")
        sets = {name: Pin(**pin) for name, pin in data["sets"].items()}
        return GateFile(limits=Limits(**data["limits"]), sets=sets, measured=data.get("measured"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a gate file ({error!r}): restore it") from error


def write_gate(path: Path, gate: GateFile) -> None:
    """Write ``gate.json``, whole or not at all."""
    replace_text(path, json.dumps({"format": FORMAT, **asdict(gate)}, indent=2, ensure_ascii=False) + "\n")


def gate_sets(path: Path, gate: GateFile, extra: Sequence[Path] = (), *, known: bool = True) -> list[GateSet]:
    """Return the sets at hand: those whose file stands beside gate.json, and ``extra`` files, known by their digest.

    With ``known`` False (to update), pages of another digest are taken too, named after their file and its folder.

    Raises:
        InputError: pages that are not the frozen ones, or a set given twice.
    """
    files = {name: path.parent / pin.file for name, pin in gate.sets.items() if pin.file is not None}
    if not known and not files and (path.parent / PAGES).is_file():
        files = {f"{path.resolve().parent.name}/{Path(PAGES).stem}": path.parent / PAGES}
    by_digest = {pin.digest: name for name, pin in gate.sets.items()}
    found: dict[str, GateSet] = {}
    for named, file in [*files.items(), *(("", item) for item in extra)]:
        pages = read_pages(file)
        value = digest(pages)
        name = by_digest.get(value, "")
        if named and known and name != named:
            pinned = gate.sets[named].digest[:12]
            raise InputError(
                f"{file}: digest {value[:12]}, frozen as {pinned}: restore it, or new floors with --update"
            )
        if not name and not named and known:
            raise InputError(f"{file}: digest {value[:12]} is in no set of {path}: name the frozen pages, or --update")
        name = named or name or f"{file.resolve().parent.name}/{file.name.partition('.')[0]}"
        if name in found:
            raise InputError(f"{file}: its pages are those of {name}, which is given already: drop it")
        found[name] = GateSet(name=name, digest=value, pages=tuple(pages), open_text=bool(named))
    return list(found.values())


def updated(
    gate: GateFile, sets: Sequence[GateSet], results: Mapping[str, SetResult], *, lower: bool = False
) -> GateFile:
    """Return the gate with floors raised to what was measured less the margins, and the sets' digests.

    A floor that lies higher already stays. ``lower`` (``--allow-regression``) puts floors where they were measured,
    be it lower.

    Raises:
        InputError: something was measured below its floor, and ``lower`` is not given.
    """
    limits = gate.limits
    pins = dict(gate.sets)
    for one in sets:
        result = results[one.name]
        old = pins.get(one.name)
        scores = {"macro_f1": result.macro_f1.value} | {
            str(k): f1 for k, (f1, n) in result.labels.items() if n >= limits.label_n
        }
        before = {} if old is None else {"macro_f1": old.macro_f1, **old.labels}
        if not lower:
            below = [f"{name} {scores.get(name, 0.0):.4f} < {floor:.4f}" for name, floor in before.items()
                     if scores.get(name, 0.0) < floor]  # fmt: skip
            if old is not None and result.ece > old.ece:
                below.append(f"calibration error {result.ece:.4f} > {old.ece:.4f}")
            if below:
                raise InputError(
                    f"gate: {one.name}: {', '.join(below)}: floors are lowered with --allow-regression only"
                )
            before = {name: floor for name, floor in before.items() if name in scores}
        else:
            before = {}
        margins = {name: limits.margin if name == "macro_f1" else limits.label_margin for name in scores}
        floors = {n: max(before.get(n, 0.0), round(s - margins[n], 4)) for n, s in scores.items()}
        ceiling = max(limits.ece, round(result.ece + limits.ece_margin, 4))
        pins[one.name] = Pin(
            digest=one.digest, pages=len(one.pages), segments=sum(len(page.segments) for page in one.pages),
            macro_f1=floors.pop("macro_f1"), labels=floors,
            ece=ceiling if old is None or lower else min(old.ece, ceiling),
            file=old.file if old is not None else PAGES if one.open_text else None,
        )  # fmt: skip
    versions = {results[one.name].version for one in sets}
    return replace(gate, sets=pins, measured=", ".join(sorted(versions)))
