"""Packing pages into windows: nothing lost, nothing twice, every row within bounds."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from toy import toy_tokenizer

from annotator.errors import ModelError
from annotator.records import Span
from annotator.segmentation import Break, breaks, segment
from annotator.windows import SPECIAL_TOKENS, WindowConfig, encode, open_quotations, plan, pool, special_ids

TOKENIZER = toy_tokenizer()
PAGE = (
    "Le port rouvre lundi\n\nLe maire a promis une enquête. « Nous irons vite.\nRien ne sera caché », a-t-il dit.\n\n"
    "Par Jeanne Morel\nLire aussi : le marché reprend\n"
)
texts = st.text(alphabet="abé «».\n'A ", max_size=400)
configs = st.builds(
    WindowConfig,
    max_tokens=st.integers(24, 90),
    context_tokens=st.integers(0, 20),
    title_tokens=st.integers(0, 6),
    break_marks=st.booleans(),
    open_marks=st.booleans(),
    position_marks=st.booleans(),
)


def encoded(text: str, config: WindowConfig, title: str | None = "Le port"):
    spans = segment(text)
    return encode(text, spans, breaks(text, spans), TOKENIZER, config, title=title)


@given(texts, configs, st.none() | st.integers(1, 90))
def test_every_token_is_core_exactly_once_and_rows_fit(text, config, first):
    page = encoded(text, config)
    seen = [np.zeros(len(ids), dtype=int) for ids in page.ids]
    for window in plan(page, config, first_tokens=first):
        assert len(window.input_ids) <= config.max_tokens
        for piece in window.pieces:
            row = window.input_ids[piece.at : piece.at + piece.length]
            assert row.tolist() == page.ids[piece.segment][piece.first : piece.first + piece.length].tolist()
            if piece.core:
                seen[piece.segment][piece.first : piece.first + piece.length] += 1
    assert all((counts == 1).all() for counts in seen)


@given(texts, configs)
def test_pooling_is_the_mean_over_all_tokens_of_a_segment(text, config):
    page = encoded(text, config)
    windows = plan(page, config)

    def outputs(width):
        return [np.repeat(w.input_ids[:, None].astype(np.float32), width, axis=1) for w in windows]

    pooled = pool(page, windows, outputs(4), outputs(5), outputs(5))
    assert pooled.labels.shape == (len(page.ids), 4)
    for ids, label, tags in zip(page.ids, pooled.labels, pooled.tags, strict=True):
        assert np.allclose(label, ids.mean(), rtol=1e-5)
        assert tags[:, 0].tolist() == ids.tolist()


@given(texts, configs, st.floats(0, 2))
def test_what_a_window_says_of_its_context_counts_by_its_weight(text, config, weight):
    page = encoded(text, config)
    windows = plan(page, config)

    def outputs(width):
        return [np.full((len(w.input_ids), width), index, dtype=np.float32) for index, w in enumerate(windows)]

    pooled = pool(page, windows, outputs(4), outputs(5), outputs(5), context_weight=weight)
    for segment_index, tags in enumerate(pooled.tags):
        sums, weights = np.zeros(len(tags)), np.zeros(len(tags))
        for index, window in enumerate(windows):
            for piece in window.pieces:
                if piece.segment == segment_index:
                    part = slice(piece.first, piece.first + piece.length)
                    sums[part] += index * (1 if piece.core else weight)
                    weights[part] += 1 if piece.core else weight
        assert np.allclose(tags[:, 0], sums / weights, atol=1e-4)
        assert np.allclose(pooled.labels[segment_index], (sums / weights).mean(), atol=1e-4)


def test_inner_segments_have_context_on_both_sides():
    text = "\n".join(f"La ligne {n} dit la même chose que la ligne {n + 1}." for n in range(60))
    config = WindowConfig(max_tokens=240, context_tokens=60)
    windows = plan(encoded(text, config), config)
    assert len(windows) > 3
    for index, window in enumerate(windows):
        core = [k for k, piece in enumerate(window.pieces) if piece.core]
        assert (core[0] > 0) == (index > 0)
        assert (core[-1] < len(window.pieces) - 1) == (index < len(windows) - 1)


def test_a_segment_longer_than_a_window_is_judged_whole():
    text = "mot " * 500
    config = WindowConfig(max_tokens=64)
    page = encoded(text, config)
    windows = plan(page, config)
    assert len(page.ids) == 1
    assert sum(p.length for w in windows for p in w.pieces if p.core) == len(page.ids[0])


def test_marks_say_what_stands_between_segments():
    ids = special_ids(TOKENIZER)
    spans = segment(PAGE)
    page = encode(PAGE, spans, breaks(PAGE, spans), TOKENIZER, WindowConfig(), title=None)
    texts = [span.of(PAGE) for span in spans]
    marks = dict(zip(texts, page.prefix, strict=True))
    assert marks["Le maire a promis une enquête."] == (ids["<para>"],)
    assert marks["« Nous irons vite."] == (ids["</s>"],)
    assert marks["Rien ne sera caché », a-t-il dit."] == (ids["<line>"], ids["<open>"])
    assert marks["Par Jeanne Morel"] == (ids["<para>"],)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("« Il pleut.\nRien ne sèche.\nTant pis. »\nLa suite.", [False, True, True, False]),
        ('"Il pleut.\nTant pis", dit-elle.\nLa suite.', [False, True, False]),
        ('Un mot "fort".\nUn autre "mot".\nFin.', [False, False, False]),
        ("« Il pleut.\n« Tant pis. »\nLa suite.", [False, False, False]),
        ("« Il pleut.\nLa suite.", [False, False]),
        ("Il pleut. »\nLa suite.", [False, False]),
    ],
)
def test_a_quotation_is_open_between_its_marks_only(text, expected):
    assert open_quotations(text, segment(text)) == expected


def test_a_quotation_too_long_to_be_one_is_not_open():
    text = "« Il parle.\n" + "Une phrase de plus sans marque.\n" * 100 + "Fin. »"
    opened = open_quotations(text, segment(text))
    assert not any(opened)


def test_a_segment_without_tokens_becomes_one_unknown(repository):
    shipped = Tokenizer.from_file(str(repository / "models" / "base" / "tokenizer.json"))
    control = "\x08"
    assert shipped.encode(control, add_special_tokens=False).ids == []
    page = encode(control, [Span(0, 1)], [Break.PARAGRAPH], shipped, WindowConfig())
    assert page.ids[0].tolist() == [special_ids(shipped)["<unk>"]]
    assert page.offsets[0].tolist() == [[0, 1]]


def test_a_tokenizer_without_the_marks_is_refused():
    with pytest.raises(ModelError, match="<line>"):
        special_ids(toy_tokenizer(specials=("<s>", "</s>", "<unk>", "<pad>")))


def test_toy_tokenizer_knows_every_mark():
    assert isinstance(TOKENIZER, Tokenizer)
    assert set(SPECIAL_TOKENS) <= set(TOKENIZER.get_vocab())


def test_other_windows_are_compared_by_their_cost_and_worth(repository, tmp_path):
    lines = (repository / "labels" / "gate.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "pages.jsonl").write_text("".join(sorted(lines, key=len)[-2:]), encoding="utf-8")
    command = [sys.executable, "scripts/compare_windows.py", "--fast", "--pages", str(tmp_path / "pages.jsonl")]
    done = subprocess.run([*command, "--windows", "128/48", "128/0", "384/0"], cwd=repository, capture_output=True,
                          text=True, timeout=200, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if "/" in line and "longest" not in line]
    assert [row[0].strip() for row in rows] == ["128/48", "128/0", "384/0"]
    assert float(rows[0][1]) > float(rows[1][1]) > float(rows[2][1]) > 1
    assert all(0.4 < float(row[2].split()[0]) < 1 for row in rows)
    refused = {"384": "two whole numbers are expected, as in 384/64", "9/8": "windows of 64 to 512 tokens are compared"}
    for words, said in refused.items():
        wrong = subprocess.run(
            [*command, "--windows", words], cwd=repository, capture_output=True, text=True, timeout=60, check=False
        )
        assert wrong.returncode == 2
        assert wrong.stderr.strip() == f"error: --windows {words}: {said}"
