"""The model card of a version: README.md and the reliability diagram, from its manifest and its evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.records import LABELS
from annotator.registry import Manifest, read_manifest, replace_text

_CARD = """---
language: fr
license: apache-2.0
base_model: {base}
tags: [token-classification, text-classification, news, attribution]
---

# {version}

Marks the segments of French news pages as `reported_claim`, `attributed_quote`, `editorial_framing` or `boilerplate`
(labels/GUIDE.md), and in them the source, the cue and the kind of source. One encoder, three linear heads per token;
pages are read in joint windows of at most {max_tokens} tokens, {context_tokens} of them neighbours on each side.

## Use

For people who review news pages and for counts over many pages. It says whose voice a segment is, not whether what it
says is true, accurate or sincere; no figure here supports a verdict on an outlet or a person. Not for other languages:
the vocabulary is trimmed to French.

## Training data

{pages} pages, {segments} segments (digest `{digest}`). {origin} No page of an outlet of a gate file was trained on.

## Figures

Own segmentation, scored against gold segments; intervals by resampling articles. † pages that are not redistributed.

{table}

{confidence}

![Reliability](reliability.svg)

The quantised graph
agrees with torch on {parity} of the gate segments. Proven on x86-64 with AVX-512 VNNI; on processors without VNNI the
8-bit products may saturate, which was not measured.
"""


def _table(metrics: Mapping[str, Any]) -> str:
    """Return a Markdown table with a row for each evaluation."""
    head = ["pages", "macro-F1 [95 %]", *(f"F1 {label}" for label in LABELS), "ECE", "signature"]
    rows = [head, ["---"] * len(head)]
    for name, data in metrics.items():
        own = data["own"]
        macro = own["macro_f1"]
        labels = [own["labels"][str(label)]["f1"]["value"] for label in LABELS]
        rows.append(
            [name, f"{_number(macro['value'])} [{_number(macro['low'])}, {_number(macro['high'])}]",
             *(_number(n) for n in labels), _number(own["calibration"]["ece"]), f"`{own['signature']}`"]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _number(value: float | None) -> str:
    """Write a figure; None is one of no segments."""
    return "–" if value is None else f"{value:.3f}"


def _confidence(manifest: Manifest) -> str:
    """Return what a stated confidence rests on, and what the review mark promises."""
    found, details = manifest.calibration, manifest.details
    if not details.get("calibration_segments"):
        return "Confidence was not calibrated: no outlets were held out."
    shape = f"softmax at temperature {found.temperature}"
    if found.top:
        shape += f", its largest value put through a beta map {list(found.top)}"
    text = (
        f"Confidence is {shape}, fitted on {details['calibration_segments']} held-out segments of whole outlets"
        f"{''.join(f'; {source}' for source in details.get('calibrated_on', ()))}.\n"
        f"A segment is marked for review below {found.review_below}"
    )
    review = details.get("review")
    if review is None:
        return f"{text}, which was 15 % of the held-out segments."
    promise = (
        f"Conformal risk control bounds the expected share of an article's segments that are wrong and not reviewed\n"
        f"by {review['risk']:.0%}, for articles exchangeable with the {details['calibration']['articles']} held out."
        if review["conformal"]
        else f"That is measured, not guaranteed (conformal risk control: {review['assumption']})."
    )
    return (
        f"{text}: of the held-out segments {review['share']:.0%} are, and {review['error']:.1%} of the others\n"
        f"are wrong (aim: {review['risk']:.0%}).\n{promise}"
    )


def _diagram(metrics: Mapping[str, Any]) -> str:
    """Return an SVG: accuracy against stated confidence, a line for each evaluation, and the diagonal."""
    colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")

    def at(stated: float, right: float) -> str:
        return f"{40 + 320 * stated:.1f},{340 - 320 * right:.1f}"

    parts = ['<path d="M40,20 V340 H360" fill="none" stroke="#333"/>',
             f'<path d="M{at(0, 0)} L{at(1, 1)}" stroke="#999" stroke-dasharray="4"/>']  # fmt: skip
    parts += [f'<text x="{40 + 320 * n / 4:.0f}" y="356" text-anchor="middle">{n / 4:g}</text>' for n in range(5)]
    parts += [f'<text x="34" y="{344 - 320 * n / 4:.0f}" text-anchor="end">{n / 4:g}</text>' for n in range(5)]
    parts.append('<text x="200" y="374" text-anchor="middle">stated confidence (line: share that is right)</text>')
    for number, (name, data) in enumerate(metrics.items()):
        bins = data["own"]["calibration"]["bins"]
        colour = colours[number % len(colours)]
        line = " L".join(at(one["confidence"], one["accuracy"]) for one in bins)
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        ece = data["own"]["calibration"]["ece"]
        shown = name.replace("&", "&amp;").replace("<", "&lt;")
        parts.append(f'<text x="50" y="{34 + 16 * number}" fill="{colour}">{shown}: ECE {_number(ece)}</text>')
    body = "".join(parts)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 380 384" font-family="sans-serif" font-size="12">'
        f'<rect width="380" height="384" fill="#fff"/>{body}</svg>\n'
    )


def card(manifest: Manifest, metrics: Mapping[str, Any], origin: str) -> str:
    """Return the text of the model card; ``origin`` says in whole sentences where the training pages are from."""
    details = manifest.details
    return _CARD.format(
        version=manifest.version, base=details["base"], max_tokens=manifest.windows.max_tokens,
        context_tokens=manifest.windows.context_tokens, pages=details["train_pages"],
        segments=details["train_segments"], digest=details["train_digest"][:12], origin=origin, table=_table(metrics),
        confidence=_confidence(manifest), parity=f"{details['parity']:.1%}",
    )  # fmt: skip


def write_card(folder: Path, metrics: Mapping[str, Any], origin: str) -> None:
    """Write README.md and reliability.svg into a version's folder.

    ``metrics`` maps the name of a set of pages to what `annotator evaluate --json` says of it; ``origin`` is as for
    :func:`card`.

    Raises:
        ModelError: there is no version in ``folder``.
    """
    replace_text(folder / "README.md", card(read_manifest(folder), metrics, origin))
    replace_text(folder / "reliability.svg", _diagram(metrics))
