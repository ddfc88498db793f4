"""The gate: what it lets pass, what it refuses, and that its floors only rise."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_evaluation import answering, sentences

from annotator.dataset import digest, read_pages, write_pages
from annotator.errors import InputError
from annotator.evaluation import evaluate
from annotator.gate import judge, slowness
from annotator.gatefile import (
    GateFile,
    GateSet,
    Limits,
    gate_path,
    gate_sets,
    read_gate,
    set_result,
    updated,
    write_gate,
)
from annotator.records import LABELS

R, Q, E, B = LABELS
LABELS_OF_PAGE = [R, R, Q, E, E, B, Q, R]
IDS = [f"p{n}" for n in range(20)]


def gate_pages():
    return [sentences(LABELS_OF_PAGE, name, genre="daily") for name in IDS]


def answers(wrong=()):
    """Give every page its true labels, but for (page, segment, label)."""
    found = {name: list(LABELS_OF_PAGE) for name in IDS}
    for page, segment, label in wrong:
        found[IDS[page]][segment] = label
    return found


def result(pages, wrong=(), version="fr-new"):
    found = evaluate(pages, answering(answers(wrong), version), resamples=200)
    return set_result(json.loads(json.dumps(found.to_dict(pages=True))))


def gate_set(pages, *, name="labels/gate", open_text=True):
    return GateSet(name=name, digest=digest(pages), pages=tuple(pages), open_text=open_text)


SLIPS = [(n, 0, Q) for n in range(4)]
POISON = [(n, s, R) for n in range(12) for s in (3, 4)]
LIMITS = Limits(label_n=20, ece=1.0)


@pytest.fixture(scope="module")
def pages():
    return gate_pages()


def verdict(pages, new, old, *, gate=None, size=30.0, slower=1.0, open_text=True):
    one = gate_set(pages, open_text=open_text)
    return judge(
        gate or GateFile(limits=LIMITS), [one], {one.name: result(pages, new)},
        None if old is None else {one.name: result(pages, old, "fr-old")}, size=size, slower=slower, resamples=300,
    )  # fmt: skip


def test_an_equal_model_passes(pages):
    found = verdict(pages, SLIPS, SLIPS)
    assert found.passed
    assert (found.difference.value, found.difference.low, found.flipped) == (0.0, 0.0, 0)
    assert found.lines()[-1] == "fr-new passes"


def test_a_model_that_takes_framing_for_report_is_refused_and_says_where(pages):
    found = verdict(pages, POISON, ())
    refused = {check.name for check in found.checks if not check.passed}
    assert {
        "macro-F1 difference",
        "macro-F1 difference, lower end",
        "F1 editorial_framing difference (n=40)",
    } <= refused
    assert len(found.worst) == 10
    assert all((item.gold, item.predicted, item.text) == (E, R, "x") for item in found.worst)
    assert all(item.start in {6, 8} for item in found.worst)
    lines = "\n".join(found.lines())
    assert "REFUSED  macro-F1 difference on labels/gate: -0." in lines
    assert lines.endswith("fr-new is refused")
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_text_of_pages_that_are_not_redistributed_is_never_told(pages):
    found = verdict(pages, POISON, (), open_text=False)
    assert found.worst
    assert all(item.text is None for item in found.worst)
    assert "'x'" not in "\n".join(found.lines())


def test_a_small_loss_within_the_limits_passes_and_a_larger_one_does_not(pages):
    assert verdict(pages, [(0, 0, Q)], ()).passed is False  # one of 160 segments costs 0.6 points of macro-F1
    loose = GateFile(limits=replace(LIMITS, point=-0.01, label=-0.05))
    assert verdict(pages, [(0, 0, Q)], (), gate=loose).passed


@pytest.mark.parametrize(("change", "name"), [
    ({"size": 41.0}, "megabytes"),
    ({"slower": 1.3}, "time against the champion's"),
    ({"slower": math.nan}, "time against the champion's"),
])  # fmt: skip
def test_budgets_are_held(pages, change, name):
    found = verdict(pages, (), (), **change)
    assert [check.name for check in found.checks if not check.passed] == [name]


def test_without_a_champion_the_floors_alone_judge(pages):
    one = gate_set(pages)
    gate = updated(GateFile(limits=LIMITS), [one], {one.name: result(pages, SLIPS)})
    assert verdict(pages, SLIPS, None, gate=gate).passed
    found = verdict(pages, POISON, None, gate=gate)
    refused = [check.name for check in found.checks if not check.passed]
    assert refused == ["macro-F1 floor", "F1 reported_claim floor", "F1 editorial_framing floor"]
    assert math.isnan(found.difference.value)
    json.dumps(found.to_dict(), allow_nan=False)


def test_many_small_losses_meet_the_floor(pages):
    one = gate_set(pages)
    gate = updated(GateFile(limits=replace(LIMITS, point=-0.02, label=-0.2, low=-1)), [one], {one.name: result(pages)})
    step = [(n, 0, Q) for n in range(6)]
    assert verdict(pages, step[:2], (), gate=gate).passed is False
    assert [c.name for c in verdict(pages, step, step[:4], gate=gate).checks if not c.passed][:1] == ["macro-F1 floor"]


def test_pooled_sets_are_told_apart(pages):
    others = [replace(page, article=replace(page.article, text=page.article.text + " ")) for page in pages]
    sets = [gate_set(pages), gate_set(others, name="far/gate", open_text=False)]
    new = {sets[0].name: result(pages), sets[1].name: result(others, POISON)}
    old = {one.name: result(one.pages, (), "fr-old") for one in sets}
    found = judge(GateFile(limits=LIMITS), sets, new, old, size=1, slower=None, resamples=200)
    assert not found.passed
    assert {item.pages for item in found.worst} == {"far/gate"}
    with pytest.raises(InputError, match="was not evaluated on the pages given"):
        judge(GateFile(), sets, {sets[0].name: new[sets[0].name]}, None, size=1, slower=None)
    with pytest.raises(InputError, match="no pages to judge on"):
        judge(GateFile(), [], new, None, size=1, slower=None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 7), st.sampled_from(LABELS)), max_size=30), st.booleans())
def test_a_floor_never_falls_unless_it_is_allowed(wrong, lower):
    pages = gate_pages()
    one = gate_set(pages)
    first = updated(GateFile(limits=LIMITS), [one], {one.name: result(pages, SLIPS)})
    old, reached = first.sets[one.name], result(pages, wrong)
    worse = reached.macro_f1.value < old.macro_f1 or reached.ece > old.ece or any(
        reached.labels[name][0] < floor for name, floor in old.labels.items()
    )  # fmt: skip
    if worse and not lower:
        with pytest.raises(InputError, match="--allow-regression"):
            updated(first, [one], {one.name: reached})
        return
    new = updated(first, [one], {one.name: reached}, lower=lower).sets[one.name]
    assert new.macro_f1 < reached.macro_f1.value or not lower
    if not lower:
        assert new.macro_f1 >= old.macro_f1
        assert all(new.labels[name] >= floor for name, floor in old.labels.items())
        assert new.ece <= old.ece


def test_only_the_frozen_pages_are_judged_on(pages, tmp_path):
    write_pages(pages, tmp_path / "gate.jsonl")
    far = [replace(page, article=replace(page.article, text=page.article.text + " ")) for page in pages]
    (tmp_path / "far").mkdir()
    write_pages(far, tmp_path / "far" / "gate.jsonl")
    path = tmp_path / "gate.json"
    sets = gate_sets(path, GateFile(), [tmp_path / "far" / "gate.jsonl"], known=False)
    assert [(one.name, one.open_text) for one in sets] == [(f"{tmp_path.name}/gate", True), ("far/gate", False)]
    gate = updated(GateFile(limits=LIMITS), sets, {one.name: result(one.pages) for one in sets})
    write_gate(path, gate)
    assert read_gate(path) == gate
    assert [one.name for one in gate_sets(path, gate)] == [f"{tmp_path.name}/gate"]
    assert len(gate_sets(path, gate, [tmp_path / "far" / "gate.jsonl"])) == 2
    with pytest.raises(InputError, match="given already"):
        gate_sets(path, gate, [tmp_path / "far" / "gate.jsonl"] * 2)
    write_pages(far[:5], tmp_path / "other.jsonl")
    with pytest.raises(InputError, match="is in no set of"):
        gate_sets(path, gate, [tmp_path / "other.jsonl"])
    write_pages(pages[:5], tmp_path / "gate.jsonl")
    with pytest.raises(InputError, match="frozen as"):
        gate_sets(path, gate)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "sets": {"a": {}}, "limits": {}}'])
def test_a_gate_file_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "gate.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"gate\.json") as caught:
        read_gate(tmp_path / "gate.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        gate_path(tmp_path / "none.json")


def test_slowness_sees_a_slower_model(repository):
    class Slow:
        def __init__(self, model, times):
            self.model, self.times = model, times
            self.manifest, self.tokenizer, self.version = model.manifest, model.tokenizer, model.version
            self.probabilities, self.error = model.probabilities, model.error

        def logits(self, page):
            for _ in range(self.times):
                found = self.model.logits(page)
            return found

    from annotator.classifier import SegmentClassifier  # noqa: PLC0415 -- loads ONNX Runtime

    model = SegmentClassifier.load(repository / "models", threads=1)
    pages = read_pages(repository / "labels" / "gate.jsonl")[:2]
    assert slowness(Slow(model, 3), Slow(model, 1), pages) > 1.5


def test_the_shipped_gate_pins_the_shipped_pages(repository):
    path = gate_path(repository / "labels" / "gate.json")
    gate = read_gate(path)
    (shipped,) = gate_sets(path, gate)
    assert shipped.name == "labels/gate"
    assert (gate.sets[shipped.name].pages, gate.sets[shipped.name].digest) == (len(shipped.pages), shipped.digest)
    assert gate.limits == Limits()
