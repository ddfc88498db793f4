"""Profiles on the command line and on disk, with the shipped model."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from profile_pages import scored

import annotator
from annotator.alignment import as_scored
from annotator.dataset import read_pages, write_pages
from annotator.errors import InputError
from annotator.evaluation import evaluate
from annotator.profile import SIGNALS, ErrorModel, Profile, errors_in, profile_article, profile_files, write_profiles
from annotator.profile.error import read_error
from annotator.profile.output import CSV_COLUMNS
from annotator.registry import current_version, read_metrics
from annotator.storage import write_scored

PROGRAM = Path(sys.executable).with_name("annotator")


def run(*args, **env):
    clean = {k: v for k, v in os.environ.items() if k != "ANNOTATOR_MODELS"}
    return subprocess.run(
        [str(PROGRAM), *map(str, args)], capture_output=True, timeout=120, check=False,
        env={**clean, "PYTHONUTF8": "1", **env},
    )  # fmt: skip


@pytest.fixture(scope="module")
def records(repository, tmp_path_factory):
    """Three pages of two outlets as JSON Lines, lean JSON Lines and Parquet."""
    folder = tmp_path_factory.mktemp("records")
    model = annotator.load(threads=1)
    pages = [page.article for page in read_pages(repository / "labels" / "gate.jsonl")][:3]
    found = list(model.score_many(pages))
    for name, lean in (("whole.jsonl", False), ("lean.jsonl", True), ("whole.parquet", False)):
        write_scored(found, folder / name, lean=lean)
    return folder


@pytest.fixture(scope="module")
def models(repository):
    return repository / "models"


def test_a_record_holds_its_profile(records, models):
    for line in (records / "whole.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        article = annotator.records.ScoredArticle.from_dict(record)
        error = read_error(models / record["model_version"])
        assert error is not None
        assert record["profile"] == profile_article(article, error).to_dict()
        assert Profile.from_dict(record["profile"]).to_dict() == record["profile"]
        assert record["profile"]["corrected"]


def test_the_command_gives_the_same_from_every_form_of_record(records):
    outputs = set()
    for name in ("whole.jsonl", "lean.jsonl", "whole.parquet"):
        done = run("profile", records / name)
        assert (done.returncode, done.stderr) == (0, b"")
        outputs.add(done.stdout)
    (output,) = outputs
    profiles = [json.loads(line) for line in output.decode().splitlines()]
    assert sum(one["articles"] for one in profiles) == 3
    assert [one["outlet"] for one in profiles] == sorted(one["outlet"] for one in profiles)
    assert {one["scope"] for one in profiles} == {"outlet"}


def test_by_article_gives_what_the_records_hold(records):
    lines = run("profile", records / "lean.jsonl", "--by", "article").stdout.decode().splitlines()
    held = [json.loads(line) for line in (records / "whole.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [json.loads(line) for line in lines] == [record["profile"] for record in held]


def test_csv_has_a_row_for_every_figure(records, tmp_path):
    done = run("profile", records / "whole.jsonl", "-o", tmp_path / "out.csv", "--by", "article")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_bytes().decode(), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["signal"] for row in rows] == list(SIGNALS) * 3
    share = next(row for row in rows if row["signal"] == "sourced")
    assert 0 <= float(share["low"]) <= float(share["value"]) <= float(share["high"]) <= 1
    again = run("profile", records / "whole.jsonl", "-o", tmp_path / "out.csv")
    assert again.returncode == 2
    assert b"exists" in again.stderr
    assert run("profile", records / "whole.jsonl", "-o", tmp_path / "out.csv", "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]


def test_a_model_that_is_not_there_leaves_figures_uncorrected(records, tmp_path):
    (tmp_path / "CURRENT").write_text("none\n", encoding="utf-8")
    done = run("profile", records / "lean.jsonl", "--models", tmp_path)
    assert done.returncode == 0
    assert done.stderr.count(b"not corrected") == 1
    for line in done.stdout.decode().splitlines():
        profile = json.loads(line)
        assert (profile["corrected"], profile["error"]) == (False, None)
        assert not any(figure["corrected"] for figure in profile["figures"].values())


def test_what_cannot_be_read_or_written_is_one_line(records, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"schema": 1}\n', encoding="utf-8")
    for args in (
        (tmp_path / "bad.jsonl",),
        (tmp_path / "none.jsonl",),
        (records / "lean.jsonl", "-o", tmp_path / "out.txt"),
        (records / "lean.jsonl", "-o", tmp_path / "out.jsonl.gz"),
        (records / "lean.jsonl", "-o", tmp_path / "no" / "out.jsonl"),
    ):
        done = run("profile", *args)
        assert done.returncode == 2, args
        assert len(done.stderr.decode().splitlines()) == 1, args
    assert b"bad.jsonl:1" in run("profile", tmp_path / "bad.jsonl").stderr
    assert not (tmp_path / "out.txt").exists()


def test_a_broken_record_leaves_no_file(records, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text((records / "lean.jsonl").read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    with pytest.raises(annotator.errors.RecordError, match=r"broken\.jsonl:4"):
        write_profiles(profile_files([broken], lambda _: None, by="article"), tmp_path / "out.jsonl")
    assert not list(tmp_path.glob("*out*"))


def test_lone_surrogates_are_written(tmp_path):
    path = tmp_path / "odd.jsonl"
    write_scored([scored(("R", "selon Anne \ud800", {"source": "Anne \ud800", "kind": "person"}))], path)
    for name in ("out.jsonl", "out.csv"):
        assert write_profiles(profile_files([path], lambda _: None, by="outlet"), tmp_path / name) >= 1
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["sources"][0]["name"] == "Anne \ud800"


def test_the_table_shows_every_figure_side_by_side(records):
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "profile", str(records / "whole.jsonl")], stdout=terminal,
        env={**os.environ, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "130"},
    )  # fmt: skip
    os.close(terminal)
    parts = []
    with suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(reader, 4096):
            parts.append(part)
    os.close(reader)
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", b"".join(parts).decode())
    for name in SIGNALS:
        assert re.search(rf"^{re.escape(name)} ", text, re.MULTILINE), name
    assert re.search(r"^sourced +(\d+ % \[\d+, \d+\] n=\d+ *){2}", text, re.MULTILINE)


def test_a_damaged_error_is_named(models, tmp_path):
    folder = tmp_path / current_version(models)
    folder.mkdir()
    for name in ("manifest.json", "metrics.json"):
        (folder / name).write_bytes((models / folder.name / name).read_bytes())
    assert errors_in(tmp_path)(folder.name) == read_error(models / folder.name)
    (folder / "metrics.json").write_text('{"error": {"format": 1}}', encoding="utf-8")
    with pytest.raises(annotator.errors.ModelError, match=r"metrics\.json: error: "):
        read_error(folder)
    (folder / "metrics.json").unlink()
    assert read_error(folder) is None


@pytest.fixture(scope="module")
def labelled(repository):
    return read_pages(repository / "labels" / "gate.jsonl")


def test_evaluation_measures_the_error(labelled):
    truth = {page.article.article_id: as_scored(page) for page in labelled}
    result = evaluate(labelled, lambda article, _: truth[article.article_id], resamples=10)
    error = ErrorModel.from_dict(json.loads(json.dumps(result.to_dict()))["error"])
    assert error == result.error
    assert (error.pages, error.data) == (30, result.data)
    assert {"labels", "characters", "sourced", "source_types", "direct"} <= set(error.shares)
    for share in error.shares.values():
        for index, row in enumerate(share.counts):
            assert sum(row) == row[index]  # a scorer that is always right
    assert error.distinct.factor == 1.0


def test_the_error_alone_is_put_into_a_models_metrics(repository, models, tmp_path):
    folder = tmp_path / "models" / current_version(models)
    folder.mkdir(parents=True)
    for name in ("manifest.json", "metrics.json"):
        (folder / name).write_bytes((models / folder.name / name).read_bytes())
    (folder.parent / "CURRENT").write_text(folder.name + "\n", encoding="utf-8")
    before = read_metrics(folder)
    error = {**before["error"], "pages": 3}
    (tmp_path / "gates.json").write_text(json.dumps({"error": error}), encoding="utf-8")
    subprocess.run(
        [sys.executable, str(repository / "scripts" / "write_card.py"), "--error", str(tmp_path / "gates.json"),
         "--models", str(folder.parent)],
        check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    assert read_metrics(folder) == {**before, "error": error}
    assert not (folder / "README.md").exists()


def test_the_script_finds_no_error_in_what_people_did(repository, labelled, tmp_path):
    pages = labelled[:14]
    write_pages(pages, tmp_path / "pages.jsonl")
    write_scored(map(as_scored, pages), tmp_path / "scored.jsonl")
    done = subprocess.run(
        [sys.executable, str(repository / "scripts" / "measure_profile.py"), str(tmp_path / "pages.jsonl"),
         "--scored", str(tmp_path / "scored.jsonl")],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| article")]
    assert {row[1] for row in rows} >= {"labels.editorial_framing", "sourced", "direct"}
    for row in rows:
        assert float(row[8]) == 0.0, row  # mean error, tuned
        assert row[11] == "100%", row


def test_the_docs_name_every_key_and_signal(repository):
    text = (repository / "docs" / "profile.md").read_text(encoding="utf-8")
    profile = profile_article(scored(("R", "Il pleut.")), None).to_dict()
    for key in (*profile, *profile["figures"]["sourced"]):
        assert f"`{key}`" in text, key
    for name in SIGNALS:
        group, _, part = name.partition(".")
        assert group in text, name
        assert part in text, name


def test_the_wrong_name_of_an_output_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"\.jsonl or \.csv"):
        write_profiles(iter(()), tmp_path / "out.parquet")
