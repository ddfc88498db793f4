"""The queue's order and the ranking of suspect labels."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_pages import lines, page, with_segment
from test_merging import SAME, work
from typer.testing import CliRunner

from annotator.cli import app
from annotator.dataset import write_pages
from annotator.errors import InputError
from annotator.merging import merge
from annotator.records import LABELS, Article, Label, ScoredArticle, ScoredSegment
from annotator.review.queue import Candidate, QueueRules, queue, read_genres, uncertainty
from annotator.review.suspects import out_of_fold, page_probabilities, suspects
from annotator.storage import write_scored


def candidate(name, gain, outlet="A", genre=None):
    return Candidate(article_id=name, outlet=outlet, genre=genre, uncertainty=gain)


def order(pages, **fields):
    return [place.article_id for place in queue(pages, **fields)]


PLAIN = QueueRules(random_share=0)


def test_the_uncertain_come_first_and_one_outlet_does_not_fill_the_queue():
    pages = [candidate("a1", 10), candidate("a2", 9), candidate("b", 6, "B"), candidate("c", 1, "C")]
    assert order(pages, rules=PLAIN) == ["a1", "b", "a2", "c"]
    assert order(pages, rules=PLAIN, done=[candidate("x", 0, "a"), candidate("y", 0, "A")])[0] == "b"


def test_genres_spread_too():
    pages = [candidate(n, g, n, kind) for n, g, kind in (("a", 10, "daily"), ("b", 9, "daily"), ("c", 7, "live"))]
    assert order(pages, rules=PLAIN) == ["a", "c", "b"]


@given(
    st.lists(st.tuples(st.floats(0, 50), st.integers(0, 3), st.integers(0, 2)), max_size=25),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_every_page_has_one_place_whatever_the_order_it_came_in(drawn, share, shuffler):
    pages = [candidate(f"p{n:02}", gain, f"J{o}", f"g{g}") for n, (gain, o, g) in enumerate(drawn)]
    rules = QueueRules(random_share=share, seed=3)
    places = queue(pages, rules=rules)
    assert sorted(place.article_id for place in places) == [item.article_id for item in pages]
    assert [place.position for place in places] == list(range(len(pages)))
    shuffled = list(pages)
    shuffler.shuffle(shuffled)
    assert queue(shuffled, rules=rules) == places


def test_the_share_of_random_pages_is_kept_and_named():
    pages = [candidate(f"p{n:03}", 500 - n, f"J{n}") for n in range(400)]
    places = queue(pages, rules=QueueRules(random_share=0.25, seed=1))
    assert 70 <= sum(place.why == "random" for place in places) <= 130
    assert {place.why for place in queue(pages, rules=PLAIN)} == {"uncertain"}
    with pytest.raises(InputError, match="random share"):
        queue(pages, rules=QueueRules(random_share=2))


def scored(item, rows):
    segments = tuple(
        ScoredSegment(
            span=seg.span, label=LABELS[int(np.argmax(row))], confidence=float(max(row)),
            probabilities=dict(zip(LABELS, row, strict=True)), needs_review=False,
        )
        for seg, row in zip(item.segments, rows, strict=True)
    )  # fmt: skip
    article = Article(article_id=item.article.article_id, text=item.article.text, outlet=item.article.outlet)
    return ScoredArticle(article=article, model_version="v1", segments=segments)


def test_uncertainty_is_summed_entropy():
    sure, torn = [1.0, 0.0, 0.0, 0.0], [0.25] * 4
    assert uncertainty(scored(page(), [sure] * 3)) == 0
    assert uncertainty(scored(page(), [torn, sure, torn])) == pytest.approx(2 * np.log(4))


def corpus(seed=0, count=30):
    """Return pages whose features tell the label but for noise, with the features."""
    rng = np.random.default_rng(seed)
    pages, features = [], []
    for n in range(count):
        item = page(f"p{n:02}", outlet=f"Journal {n}")
        for index in range(3):
            item = with_segment(item, index, label=LABELS[int(rng.integers(4))], attribution=None)
        gold = np.array([LABELS.index(seg.label) for seg in item.segments])
        pages.append(item)
        features.append(np.eye(4)[gold] * 4 + rng.normal(size=(3, 4)))
    return pages, features


@pytest.fixture(scope="module")
def planted():
    pytest.importorskip("cleanlab", reason="the extra review is not installed (pip install 'annotator[review]')")
    pages, features = corpus()
    spoilt = list(pages)
    for n in (3, 11, 20, 27):
        wrong = LABELS[(LABELS.index(pages[n].segments[1].label) + 1) % 4]
        spoilt[n] = with_segment(pages[n], 1, label=wrong)
    return pages, spoilt, features


def apart(pages):
    """Give every page words of its own, of the same length: equal texts would be one group of near-duplicates."""
    out = []
    for n, item in enumerate(pages):
        text = re.sub(r"\w", chr(ord("a") + n % 26), item.article.text[:-1]) + chr(ord("A") + n)
        out.append(replace(item, article=replace(item.article, text=text)))
    return out


def test_planted_labels_head_the_ranking_with_the_right_suggestion(planted):
    pages, spoilt, features = planted
    stated = out_of_fold(apart(spoilt), features, folds=3, seed=1)
    ranked = suspects(spoilt, stated)
    first = {(item.article_id, item.span) for item in ranked[:8]}
    wrong = {(f"p{n:02}", pages[n].segments[1].span) for n in (3, 11, 20, 27)}
    assert wrong <= first
    truth = {(item.article.article_id, seg.span): seg.label for item in pages for seg in item.segments}
    for item in ranked[:8]:
        if (item.article_id, item.span) in wrong:
            assert item.suggested is truth[item.article_id, item.span]
            assert item.flagged
    assert [item.rank for item in ranked] == list(range(1, 91))
    assert [item.quality for item in ranked] == sorted(item.quality for item in ranked)


def test_predictions_that_do_not_fit_are_refused(planted):
    pages = planted[0][:2]
    with pytest.raises(InputError, match="do not fit"):
        suspects(pages, [np.zeros((1, 4))] * 2)
    with pytest.raises(InputError, match="'p01' is not among"):
        page_probabilities(pages, [scored(pages[0], [[0.25] * 4] * 3)])


# --- commands


def run(*arguments):
    return CliRunner().invoke(app, ["labels", *map(str, arguments)])


@pytest.fixture
def reviewed(tmp_path):
    pages = []
    for n in range(3):
        other = SAME if n else (Label.BOILERPLATE, *SAME[1:])
        made = (work("a", SAME), work("b", other, day=2))
        item = page(f"p{n}", outlet=f"Journal {n}", annotations=made)
        pages.append(replace(item, segments=merge(made, item.article.text)))
    write_pages(pages, tmp_path / "pulled.jsonl")
    write_scored([scored(item, [[0.7, 0.1, 0.1, 0.1]] * 3) for item in pages], tmp_path / "scored.jsonl")
    return tmp_path


def test_agreement_prints_a_table_and_lists_disagreements(reviewed):
    pytest.importorskip("statsmodels", reason="the extra review is not installed")
    listed = reviewed / "differ.jsonl"
    found = run("agreement", reviewed / "pulled.jsonl", "--scored", reviewed / "scored.jsonl", "-o", listed)
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[0].split("\t")[0] == "measure"
    assert "krippendorff_alpha\teveryone" in found.stdout
    (line,) = listed.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["labels"] == {"a": "reported_claim", "b": "boilerplate"}
    assert json.loads(run("agreement", reviewed / "pulled.jsonl", "--json").stdout)["disagreements"] == 1


def test_adjudicate_lists_what_waits_with_exit_status_one(reviewed):
    found = run("adjudicate", reviewed / "pulled.jsonl")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[1].split("\t") == [
        "p0",
        "tie",
        "0",
        "20",
        "a: reported_claim, b: boilerplate",
        "7",
    ]
    assert "1 segments of 1 pages wait" in found.stderr


def test_queue_orders_scored_pages_without_those_labelled(reviewed):
    found = run("queue", reviewed / "scored.jsonl", "--random", "0")
    assert [line.split("\t")[1] for line in found.stdout.splitlines()[1:]] == ["p0", "p1", "p2"]
    assert run("queue", reviewed / "scored.jsonl", "--labelled", reviewed / "pulled.jsonl").stdout.count("\n") == 1


def test_genres_that_are_stated_spread_the_queue(reviewed):
    genres = reviewed / "genres.jsonl"
    rows = [("article_id", "p0", "daily"), ("id", "p1", "daily"), ("doc_id", "p2", "live"), ("id", "p3", None)]
    genres.write_text("".join(json.dumps({key: name, "genre": kind}) + "\n" for key, name, kind in rows), "utf-8")
    found = run("queue", reviewed / "scored.jsonl", "--random", "0", "--genres", genres)
    assert [line.split("\t")[1] for line in found.stdout.splitlines()[1:]] == ["p0", "p2", "p1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"article_id": "p0", "genre": 3}', "line 1: genre 3: write it as text"),
        ('{"genre": "daily"}', "line 1: needs a JSON object with article_id"),
        ("[1]", "line 1: needs a JSON object with article_id"),
        ('{"article_id": "p0"}', "no genre in any line"),
    ],
)
def test_genres_that_cannot_be_read_are_one_line(tmp_path, line, message):
    path = tmp_path / "genres.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_genres([path])


def test_suspects_ranks_labels_by_given_predictions(reviewed):
    pytest.importorskip("cleanlab", reason="the extra review is not installed")
    out = reviewed / "suspects.jsonl"
    found = run("suspects", reviewed / "pulled.jsonl", "--scored", reviewed / "scored.jsonl", "--top", "2", "-o", out)
    assert found.exit_code == 0, found.output
    ranked = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [item["rank"] for item in ranked] == [1, 2]
    assert {item["suggested"] for item in ranked} == {"reported_claim"}


def test_a_list_replaces_a_file_only_when_told_and_never_what_is_read(reviewed):
    scored_file, pulled, out = (reviewed / name for name in ("scored.jsonl", "pulled.jsonl", "queue.jsonl"))
    before = {path: path.read_bytes() for path in (scored_file, pulled)}
    assert run("queue", scored_file, "-o", out).exit_code == 0
    first = out.read_bytes()
    assert "the file exists" in str(run("queue", scored_file, "--random", "1", "-o", out).exception)
    assert out.read_bytes() == first
    assert run("queue", scored_file, "--random", "1", "-o", out, "--force").exit_code == 0
    assert out.read_bytes() != first
    for arguments in (
        ("queue", scored_file, "-o", scored_file),
        ("queue", scored_file, "--labelled", pulled, "-o", pulled),
        ("adjudicate", reviewed, "-o", pulled),
        ("agreement", pulled, "--scored", scored_file, "-o", scored_file),
        ("suspects", pulled, "--scored", scored_file, "-o", pulled),
    ):
        assert "the command reads this file" in str(run(*arguments, "--force").exception)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in reviewed.iterdir()) == ["pulled.jsonl", "queue.jsonl", "scored.jsonl"]


def test_suspects_says_what_is_missing_before_anything_is_loaded(reviewed, monkeypatch):
    pytest.importorskip("cleanlab", reason="the extra review is not installed")
    monkeypatch.chdir(reviewed)
    empty = reviewed / "empty.jsonl"
    empty.touch()
    for more in ((), ("--scored", empty)):
        assert "no labelled segment to judge" in str(run("suspects", empty, *more).exception)
    assert "models/base: no such folder here" in str(run("suspects", "pulled.jsonl").exception)


@pytest.mark.parametrize("change", [{"annotation_id": "abc"}, {"task_id": "abc"}, {"discuss": [[1]]}])
def test_an_annotation_with_a_broken_key_is_named_with_its_line(tmp_path, change):
    record = page().to_dict() | {"annotations": [work("a", SAME) | change]}
    lines(tmp_path / "a.jsonl", record)
    error = str(run("adjudicate", tmp_path / "a.jsonl").exception)
    assert error.startswith(f"{tmp_path / 'a.jsonl'}:1: annotation: {next(iter(change))}")


@pytest.mark.parametrize("name", ["agreement", "queue", "suspects", "adjudicate"])
def test_every_command_explains_itself(name):
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert shown.stdout.strip()
