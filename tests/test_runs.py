"""Runs in a folder of shards: what is refused, what is replaced, what the manifest says; nothing is scored here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import annotator.shards
from annotator import registry
from annotator.archive import open_run, run_shards
from annotator.cli import app
from annotator.errors import InputError
from annotator.ledger import NAME, Ledger
from annotator.reader import read_articles
from annotator.records import ScoredArticle
from annotator.shards import ShardConfig

MODEL = SimpleNamespace(version="fr-none")
CONFIG = ShardConfig(size=3)


@pytest.fixture(autouse=True)
def unscored(monkeypatch):
    def score_articles(articles, classifier, _config=None):
        for article in articles:
            yield ScoredArticle(article=article, model_version=classifier.version, segments=())

    monkeypatch.setattr(annotator.shards, "score_articles", score_articles)


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A folder ``in`` of three files of records, seven pages each; the working folder is its parent."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in "abc":
        write(tmp_path / "in" / f"{name}.jsonl", name)
    return "in"


def write(path: Path, prefix: str) -> None:
    lines = [json.dumps({"id": f"{prefix}{n}", "text": f"Page {prefix}{n}."}) for n in range(7)]
    path.write_text("\n".join(lines), encoding="utf-8")


def score(*inputs, out="out", config=CONFIG, **options):
    return run_shards(inputs, Path(out), MODEL, config, **options)


def manifest(out="out"):
    return json.loads((Path(out) / "manifest.json").read_text(encoding="utf-8"))


def contents(out="out"):
    return {path.name: path.read_bytes() for path in Path(out).iterdir() if path.name != NAME}


class Stopped(BaseException):
    pass


def stop_after(count, **options):
    """Score until so many pages are done, and leave all as a killed process does."""

    def scored(_):
        nonlocal count
        count -= 1
        if count < 0:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotator.archive.finish", lambda *_, **__: None)
        with pytest.raises(Stopped):
            score("in", on_scored=scored, **options)


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}])
def test_a_second_start_touches_nothing_of_the_running_one(pages, options):
    stop_after(4)
    part = Path("out/.000000-00001.jsonl.0a1b2c3d.part")
    part.touch()
    before = contents()
    with Ledger(Path("out")), pytest.raises(InputError, match="another run is writing here"):
        score(pages, **options)
    assert contents() == before
    score(pages, **(options or {"resume": True}))
    assert not part.exists()


def test_known_articles_are_read_before_anything_is_removed(pages):
    score(pages)
    before = contents()
    for known, said in (("out", "known and the output too"), ("out/000000-00000.jsonl", "known and"), ("gone", "gone")):
        with pytest.raises(InputError, match=said):
            score(pages, force=True, known=[Path(known)])
        assert contents() == before
    assert score(pages, resume=True).articles == 21


def test_the_output_is_not_read_as_input(pages):
    score(pages, out="in/scored")
    first = contents("in/scored")
    assert score(pages, out="in/scored", resume=True).articles == 21
    assert contents("in/scored") == first
    assert score("in/**/*.jsonl", out="in/scored", force=True).articles == 21
    for options in ({}, {"force": True}, {"resume": True}):
        with pytest.raises(InputError, match="is the output too"):
            score("in/scored", out="in/scored", **options)
    write(Path("in/z.jsonl"), "z")
    found = [article.article_id for article in read_articles([pages], outputs=[Path("in/z.jsonl"), Path("in/scored")])]
    assert len(found) == 21


@pytest.mark.usefixtures("pages")
def test_an_output_file_is_not_read_as_input(monkeypatch):
    monkeypatch.setattr("annotator.scoring._Load.classifier", lambda *_: MODEL)
    monkeypatch.setattr("annotator.bulk.score_articles", annotator.shards.score_articles)
    for _ in range(2):
        Path("in/out.jsonl.errors.jsonl").write_text("{}\n", encoding="utf-8")
        assert CliRunner().invoke(app, ["score", "in", "-o", "in/out.jsonl", "--force"]).exit_code == 0
        assert len(Path("in/out.jsonl").read_text(encoding="utf-8").splitlines()) == 21
    refused = CliRunner().invoke(app, ["score", "in/a.jsonl", "-o", "in/a.jsonl", "--force"])
    assert "is the output too" in str(refused.exception)
    args = ["score", "in/a.jsonl", "-o", "in/out.jsonl", "--force", "--skip-known", "in/out.jsonl"]
    assert "is the output too" in str(CliRunner().invoke(app, args).exception)
    assert len(Path("in/out.jsonl").read_text(encoding="utf-8").splitlines()) == 21
    existing = CliRunner().invoke(app, ["score", "in", "-o", "in/out.jsonl"])
    assert "--force" in str(existing.exception)


@pytest.mark.parametrize("damage", ["absent", "garbage", "cut", "empty"])
def test_a_lost_ledger_is_named_and_forced_away_with_its_shards(pages, damage):
    score(pages)
    ledger = Path("out") / NAME
    data = ledger.read_bytes()
    ledger.unlink()
    if damage != "absent":
        ledger.write_bytes({"garbage": b"no ledger " * 999, "cut": data[:9000], "empty": b""}[damage])
    before = contents()
    for options in ({}, {"resume": True}):
        with pytest.raises(InputError, match=r"^out: .*--force") as raised:
            score(pages, **options)
        assert damage == "absent" or NAME in str(raised.value)
    assert contents() == before
    assert score("in/a.jsonl", force=True).shards == 3
    assert sorted(contents()) == [*(f"000000-0000{n}.jsonl" for n in range(3)), "manifest.json"]
    score("in/a.jsonl", resume=True)


def test_shards_of_no_known_run_are_not_mixed_with_others(pages):
    score(pages)
    for name in (NAME, "manifest.json"):
        (Path("out") / name).unlink()
    with pytest.raises(InputError, match="without the ledger and manifest"):
        score("in/a.jsonl", force=True)


def test_the_manifest_says_what_is_so(pages):
    stop_after(0)
    assert not manifest()["complete"]
    score(pages, resume=True)
    assert manifest()["complete"]
    whole = contents()
    # an input that has changed, or is gone, is refused, and nothing is written
    os.utime("in/c.jsonl", (1, 1))
    for _ in range(2):
        with pytest.raises(InputError, match=r"in/c.jsonl: the inputs have changed"):
            score(pages, resume=True)
        assert contents() == whole
        Path("in/c.jsonl").unlink(missing_ok=True)
    # an input that has come is work to do
    score(pages, force=True)
    write(Path("in/d.jsonl"), "d")
    stop_after(4, resume=True)
    assert not manifest()["complete"]
    assert score(pages, resume=True).articles == 21
    killed = contents()
    score(pages, force=True)
    assert contents() == killed


def test_inputs_are_compared_and_not_their_spelling(pages):
    score(pages)
    for spelled in ("in/", "./in"):
        score(spelled, resume=True)
    with pytest.raises(InputError, match="begun with inputs"):
        score("in/a.jsonl", resume=True)


def test_what_cannot_begin_leaves_nothing_behind(pages):
    with pytest.raises(InputError, match="standard input"):
        score("-")
    with pytest.raises(InputError, match="give one of the two"):
        score(pages, resume=True, force=True)
    assert not Path("out").exists()
    # a run that ended before its first shard (no cluster answers) is simply begun again
    open_run(Path("out"), ["in/a.jsonl"], "fr-other", CONFIG, resume=False, force=False, known=[]).__exit__()
    score(pages)
    assert manifest()["model"] == "fr-none"


@pytest.mark.usefixtures("pages")
def test_file_names_that_are_not_utf8():
    for name in (b"in/caf\xe9.txt", b"in/th\xe9.jsonl"):
        Path(os.fsdecode(name)).write_text('{"text": "Il pleut."}', encoding="utf-8")
    inputs = ("in", os.fsdecode(b"in/caf\xe9s"))
    summary = score(*inputs)
    assert (summary.articles, summary.failed) == (23, 1)
    assert manifest()["inputs"][1] == inputs[1]
    whole = contents()
    score(*inputs, resume=True)
    assert contents() == whole


def test_what_cannot_be_written_is_named(pages, monkeypatch):
    Path("out").mkdir()
    (Path("out") / NAME).mkdir()
    with pytest.raises(InputError, match=rf"^out: {NAME} cannot be written: give yourself"):
        score(pages)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(registry.os, "fsync", full)
        with pytest.raises(InputError, match=r"^new: the manifest cannot be written: No space left on device: "):
            score(pages, out="new")
    assert sorted(path.name for path in Path("new").iterdir()) == [NAME]
    score(pages, out="new")


@pytest.mark.usefixtures("pages")
def test_a_crawl_given_twice_is_scored_twice_unless_repeats_are_left_out():
    page = "Le maire a annoncé jeudi la fermeture du pont, selon le préfet. " * 5
    record = (
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(page.encode())}\r\n\r\n{page}\r\n\r\n"
    )
    for name in ("w1.wet", "w2.wet"):
        Path(name).write_bytes(record.encode())
    for out, dedupe, articles in (("twice", False, 2), ("once", True, 1)):
        config = ShardConfig(size=3, any_language=True, dedupe=dedupe)
        summary = score("w1.wet", "w2.wet", out=out, config=config)
        assert (summary.articles, summary.failed) == (articles, 0)
