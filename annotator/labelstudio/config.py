"""The labelling config and the settings of a project, their diff, and what may not be changed.

People see the French ``value`` of a label; Label Studio stores its ``alias``, which is the id of the codebook.
"""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from annotator.errors import InputError
from annotator.marks import ANONYMITY_COLOUR, CUE_COLOUR, KIND_NAMES, LABEL_MARKS, REVIEW_COLOUR, SOURCE_COLOUR
from annotator.records import LABELS, Label, SourceType

# Names of the controls: stored in every result as from_name, so they are part of the data.
TEXT = "text"
LABEL = "label"
MARK = "mark"
REVIEW = "review"
KIND = "source_type"
UNVERIFIED = "unverified"
DISCUSS = "discuss"
NOTE = "note"
COMMENT = "comment"

SOURCE, CUE, ANONYMITY = "source", "cue", "anonymity_reason"
NEEDS_REVIEW = "needs_review"

_MARKS = {
    SOURCE: ("Source", SOURCE_COLOUR, "5", "Extrait exact du segment : voir la deuxième partie du guide"),
    CUE: ("Indice", CUE_COLOUR, "6", "Extrait exact du segment : voir la deuxième partie du guide"),
    ANONYMITY: ("Anonymat", ANONYMITY_COLOUR, "8", "Les mots qui disent que la source n’est pas nommée, et pourquoi"),
}
_KIND_HINTS: Mapping[SourceType, str] = {
    SourceType.PERSON: "Une personne que la page nomme",
    SourceType.ORGANISATION: "Institution, entreprise, État ou sa métonymie",
    SourceType.DOCUMENT: "Rapport, étude, loi, câble, sondage, message",
    SourceType.MEDIA: "Un autre média ou une agence cités comme source",
    SourceType.ANONYMOUS: "Une personne ou un groupe non nommés",
}
_BAR = (
    "position: sticky; top: 0; z-index: 5; display: flex; flex-wrap: wrap; gap: 0 1.5em; padding: 6px 0; "
    "background: var(--color-neutral-background, #fff)"
)
_GUIDE_ROW = re.compile(r"^\|\s*\d+\s*\|(?P<hint>[^|]*)\|[^|]*\|\s*`(?P<label>\w+)`\s*\|\s*$", re.MULTILINE)


def guide_path(given: Path | None = None) -> Path:
    """Return the guide for annotators: ``given``, the copy that a wheel carries, or labels/GUIDE.md of a checkout.

    Raises:
        InputError: there is none.
    """
    here = Path(__file__).parent
    places = [given] if given is not None else [here / "GUIDE.md", here.parent.parent / "labels" / "GUIDE.md"]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{places[-1]}: the guide for annotators is not there: name it with --guide FILE")


def read_guide(path: Path) -> str:
    """Return the guide's text.

    Raises:
        InputError: it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def guide_hints(guide: str) -> dict[Label, str]:
    """Return a hint for each label: the question that the guide's first table asks for it.

    Raises:
        InputError: the table lacks a label.
    """
    rows = {row["label"]: " ".join(row["hint"].split()) for row in _GUIDE_ROW.finditer(guide)}
    if missing := [str(label) for label in LABELS if label not in rows]:
        raise InputError(f"the guide's table of questions has no row for {', '.join(missing)}: add it")
    return {label: rows[label] for label in LABELS}


def instructions(guide: str) -> str:
    """Return the guide as HTML, for the project's instructions (raw HTML in it is shown, not run)."""
    html: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(guide)
    return html


def labelling_config(guide: str) -> str:
    """Return the labelling config, XML, with hints from the guide.

    Raises:
        InputError: the guide lacks a label.
    """
    hints = guide_hints(guide)
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="$title", size="4")
    ET.SubElement(view, "Header", value="$outlet", size="6")
    bar = ET.SubElement(view, "View", style=_BAR)
    labels = ET.SubElement(bar, "Labels", name=LABEL, toName=TEXT, choice="single", showInline="true")
    for number, label in enumerate(LABELS, start=1):
        mark = LABEL_MARKS[label]
        _label(labels, mark.fr, label, mark.colour, str(number), hints[label])
    marks = ET.SubElement(bar, "Labels", name=MARK, toName=TEXT, choice="single", showInline="true")
    for alias, (name, colour, key, hint) in _MARKS.items():
        _label(marks, name, alias, colour, key, hint)
    review = ET.SubElement(bar, "Labels", name=REVIEW, toName=TEXT, choice="single", showInline="true")
    _label(review, "⚑ À vérifier", NEEDS_REVIEW, REVIEW_COLOUR, "7", "Le modèle hésite : à relire en premier")
    ET.SubElement(
        ET.SubElement(view, "View", style="white-space: pre-wrap; line-height: 1.7; max-width: 60em"),
        "Text",
        name=TEXT,
        value="$text",
        valueType="text",
        saveTextResult="yes",
        granularity="word",
        showLabels="true",
    )
    kinds = _choices(view, KIND, whenLabelValue=f"{SOURCE},{CUE}", choice="single-radio", showInline="true")
    for key, (kind, hint) in zip("qwert", _KIND_HINTS.items(), strict=True):
        ET.SubElement(kinds, "Choice", value=KIND_NAMES[kind][0], alias=kind, hint=hint, hotkey=key)
    # Conditions compare what is stored; with whenTagName as well, choices of a region would not be submitted.
    speaking = f"{Label.REPORTED_CLAIM},{Label.ATTRIBUTED_QUOTE}"
    unverified = _choices(view, UNVERIFIED, whenLabelValue=speaking, choice="single-radio", showInline="true")
    hint = "La formulation tient l’affirmation à distance : « aurait », « présumé », « selon des rumeurs »"
    ET.SubElement(unverified, "Choice", value="Non vérifié", alias="yes", hint=hint, hotkey="v")
    ET.SubElement(unverified, "Choice", value="Sans réserve", alias="no", hint="Rien ne met à distance")
    discuss = _choices(view, DISCUSS, choice="multiple", showInline="true")
    ET.SubElement(discuss, "Choice", value="À discuter", alias="yes", hint="À revoir à plusieurs", hotkey="d")
    _text_area(view, NOTE, "Remarque sur ce segment", perRegion="true")
    _text_area(view, COMMENT, "Remarque sur toute la page")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def _label(parent: ET.Element, name: str, alias: str, colour: str, key: str, hint: str) -> None:
    ET.SubElement(parent, "Label", value=name, alias=alias, background=colour, hotkey=key, hint=hint)


def _choices(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, "Choices", {"name": name, "toName": TEXT, "perRegion": "true", **attributes})


def _text_area(parent: ET.Element, name: str, words: str, **attributes: str) -> None:
    fixed = {"name": name, "toName": TEXT, "placeholder": words, "rows": "2", "editable": "true", "maxSubmissions": "1"}
    ET.SubElement(parent, "TextArea", {**fixed, **attributes})


def project_settings(guide: str) -> dict[str, Any]:
    """Return the settings that ``init`` gives a project, beside its title.

    The page opens as an editable copy of the prediction (``show_collab_predictions``), low scores come first
    (``sampling``), and nobody submits an empty page.
    """
    return {
        "description": "Pages d’actualité : qui parle dans chaque segment, et de quelle voix (annotator).",
        "label_config": labelling_config(guide),
        "expert_instruction": instructions(guide),
        "show_instruction": True,
        "show_skip_button": True,
        "show_collab_predictions": True,
        "enable_empty_annotation": False,
        "sampling": "Uncertainty sampling",
    }


def settings_diff(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the lines of a unified diff from a project's settings to those wanted; empty where nothing differs."""
    lines: list[str] = []
    for name, value in wanted.items():
        old = found.get(name)
        if name == "label_config":
            before, after = _lines(str(old or "<View/>")), _lines(value)
        elif isinstance(value, str):
            before, after = str(old or "").splitlines(), value.splitlines()
        else:
            before, after = [str(old)], [str(value)]
        lines += difflib.unified_diff(before, after, f"{name} (project)", f"{name} (wanted)", lineterm="", n=1)
    return lines


def _lines(config: str) -> list[str]:
    """Return the config as lines that do not depend on its layout or the order of attributes."""
    try:
        root = ET.fromstring(ET.canonicalize(config, strip_text=True))  # noqa: S314 -- the project's own server
    except ET.ParseError:
        return config.splitlines()
    ET.indent(root)
    return ET.tostring(root, encoding="unicode").splitlines()


def stored_values(config: str) -> set[tuple[str, str]]:
    """Return what results made with this config may hold: (control, stored value), '' for free text.

    Raises:
        InputError: it is not XML.
    """
    try:
        root = ET.fromstring(config)  # noqa: S314 -- the project's own server
    except ET.ParseError as error:
        raise InputError(
            f"the labelling config of the project is not XML ({error}): mend it in its settings"
        ) from error
    values: set[tuple[str, str]] = set()
    for control in root.iter():
        name = control.get("name")
        if name is None or control.get("toName") is None:
            continue
        if control.tag == "TextArea":
            values.add((name, ""))
        for option in (*control.iter("Label"), *control.iter("Choice")):
            values.add((name, option.get("alias") or option.get("value") or ""))
    return values


def used_values(results: Iterable[Iterable[Mapping[str, Any]]]) -> Counter[tuple[str, str]]:
    """Count how often each (control, stored value) stands in the results of annotations, drafts or predictions."""
    used: Counter[tuple[str, str]] = Counter()
    for result in results:
        for item in result:
            value = item.get("value")
            if not isinstance(value, Mapping) or not isinstance(item.get("from_name"), str):
                continue
            kind = item.get("type")
            if kind == "textarea":
                used[item["from_name"], ""] += 1
            else:
                used.update((item["from_name"], str(entry)) for entry in value.get(kind) or ())
    return used


def refused_changes(config: str, used: Mapping[tuple[str, str], int]) -> list[str]:
    """Return one line for each label in use that ``config`` drops or renames; empty where it may be applied."""
    kept = stored_values(config)
    return [
        f"{control}: {value!r} is in use {count} times and the new config drops or renames it"
        for (control, value), count in sorted(used.items())
        if (control, value) not in kept
    ]
