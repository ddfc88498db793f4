"""Folders of shards: what they hold, what a killed run leaves, what is refused."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import annotator
from annotator.archive import run_shards
from annotator.bulk import EngineConfig
from annotator.errors import InputError
from annotator.ledger import Ledger
from annotator.shards import ShardConfig
from annotator.storage import read_scored

PROGRAM = Path(sys.executable).with_name("annotator")
PLACES = ("Brest", "Lorient", "Vannes", "Quimper", "Rennes", "Nantes", "Rouen", "Caen", "Le Havre", "Dunkerque")


def sentence(number: int) -> str:
    place, other = PLACES[number % 10], PLACES[(number * 7 + 3) % 10]
    return f"La mairie de {place} a annoncé jeudi la fermeture du pont {number}, selon le préfet de {other}."


def command(*args):
    return [str(PROGRAM), "score", *map(str, args), "--threads", "1"]


def run(*args, **options):
    return subprocess.run(command(*args), capture_output=True, timeout=240, check=False, text=True, **options)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("0*.jsonl"))}


@pytest.fixture(scope="module")
def model():
    return annotator.load(threads=1).classifier


@pytest.fixture
def inputs(tmp_path):
    """Two files of records, one broken in the middle, and three files that are a page each."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, numbers in (("a.jsonl", range(7)), ("b.jsonl", range(7, 12))):
        lines = [json.dumps({"id": f"p{n}", "text": sentence(n)}) for n in numbers]
        if name == "b.jsonl":
            lines.insert(2, "{broken")
            lines.append(json.dumps({"id": "p1", "text": "Un autre texte."}))  # the id of a page of the first file
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    for n in range(3):
        (folder / f"c{n}.txt").write_text(sentence(20 + n), encoding="utf-8")
    return [str(folder)]


def test_shards_hold_every_article_once_in_input_order(model, inputs, tmp_path):
    out = tmp_path / "out"
    failures = []
    summary = run_shards(inputs, out, model, ShardConfig(size=3), on_failure=failures.append)
    names = list(shards(out))
    assert names == [
        f"{part:06d}-{shard:05d}.jsonl" for part, shard in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0))
    ]
    found = [scored.article.article_id for scored in read_scored(out / name for name in names)]
    assert found == [*(f"p{n}" for n in range(12)), *(f"{inputs[0]}/c{n}.txt" for n in range(3))]
    assert (summary.articles, summary.failed, len(failures)) == (15, 2, 2)
    listed = [json.loads(line) for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines()]
    assert "not a line of JSON" in listed[0]["error"]
    assert "a.jsonl, item 2" in listed[1]["error"]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["complete"]
    assert [shard["items"] for shard in manifest["shards"]] == [3, 3, 1, 3, 3, 1, 3]
    assert sum(shard["articles"] for shard in manifest["shards"]) == 15


def test_the_records_are_those_of_one_file(model, inputs, tmp_path):
    run_shards(inputs, tmp_path / "out", model, ShardConfig(size=4), engine=EngineConfig(workers=3))
    done = run(*inputs, "-o", tmp_path / "one.jsonl")
    assert done.returncode == 1
    assert b"".join(shards(tmp_path / "out").values()) == (tmp_path / "one.jsonl").read_bytes()


def test_a_finished_run_is_not_scored_again_and_a_lost_shard_is(model, inputs, tmp_path):
    out = tmp_path / "out"
    config = ShardConfig(size=3)
    run_shards(inputs, out, model, config)
    first = shards(out)
    (out / "000001-00000.jsonl").unlink()
    scored = []
    summary = run_shards(inputs, out, model, config, resume=True, on_scored=scored.append)
    assert [page.article.article_id for page in scored] == ["p7", "p8"]
    assert shards(out) == first
    assert summary.articles == 15
    assert run_shards(inputs, out, model, config, resume=True, on_scored=scored.append) == summary
    assert len(scored) == 2


def test_what_was_begun_otherwise_is_not_resumed(model, inputs, tmp_path):
    out = tmp_path / "out"
    run_shards(inputs, out, model, ShardConfig(size=3))
    with pytest.raises(InputError, match="shard size 3, not 4"):
        run_shards(inputs, out, model, ShardConfig(size=4), resume=True)
    with pytest.raises(InputError, match="holds a run already"):
        run_shards(inputs, out, model, ShardConfig(size=3))
    os.utime(Path(inputs[0]) / "b.jsonl", (1, 1))
    with pytest.raises(InputError, match=r"b.jsonl: the inputs have changed"):
        run_shards(inputs, out, model, ShardConfig(size=3), resume=True)
    run_shards(inputs, out, model, ShardConfig(size=4), force=True)
    assert len(shards(out)) == 5
    with pytest.raises(InputError, match="standard input"):
        run_shards(["-"], tmp_path / "other", model, ShardConfig())


def test_only_what_a_run_wrote_is_replaced(model, inputs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("à garder", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        run_shards(inputs, out, model, ShardConfig())
    for _ in range(2):
        run_shards(inputs, out, model, ShardConfig(), force=True)
    assert (out / "notes.txt").read_text(encoding="utf-8") == "à garder"
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match="file"):
            run_shards(inputs, folder, model, ShardConfig())


def test_known_articles_and_repeated_pages_are_left_out(model, tmp_path):
    page = " ".join(sentence(n) for n in range(30))
    texts = [page, sentence(1), page, page.replace("pont 7,", "pont sept,"), sentence(2)]
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "again", "text": texts[1]}), encoding="utf-8")
    inputs = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    first = run_shards(inputs, tmp_path / "first", model, ShardConfig(dedupe=True, lean=True))
    assert first.skipped == {"duplicate": 2, "near duplicate": 1}
    assert first.articles == 3
    for known in (tmp_path / "first", tmp_path / "first" / "000000-00000.jsonl"):
        later = run_shards(inputs, tmp_path / "later", model, ShardConfig(), known=[known], force=True)
        assert later.skipped == {"known": 3}
        (tmp_path / "one.jsonl").unlink(missing_ok=True)
    done = run(*inputs, "-o", tmp_path / "one.jsonl", "--dedupe", "--skip-known", tmp_path / "first")
    assert done.stderr == "left out: 3 known, 1 near duplicate\n", done.stderr
    with pytest.raises(InputError, match="no article_id"):
        run_shards(inputs, tmp_path / "new", model, ShardConfig(), known=[tmp_path / "a.jsonl"])


def test_a_page_that_the_format_cannot_hold_is_listed(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Un demi \\ud800 signe."}\n{"text": "Il pleut."}\n', encoding="utf-8")
    summary = run_shards([str(tmp_path / "a.jsonl")], tmp_path / "out", model, ShardConfig(fmt="parquet"))
    assert (summary.articles, summary.failed) == (1, 1)
    assert "surrogate" in (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8")


def test_a_full_disk_is_one_line_and_finished_shards_stay(tmp_path):
    texts = [
        "Il pleut.",
        "Il neige.",
        "Il vente.",
        "Il gèle.",
        "=" * 60_000,
        "Il grêle.",
    ]  # too short to tell a language
    big = [json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(big), encoding="utf-8")
    out = tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))

    args = (tmp_path / "a.jsonl", "-o", out, "--shard-size", "2")
    done = run(*args, preexec_fn=limit)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert sorted(shards(out)) == ["000000-00000.jsonl", "000000-00001.jsonl"]
    assert not list(out.glob(".*.part"))
    kept = shards(out)
    assert run(*args, "--resume").returncode == 0
    assert {name: shards(out)[name] for name in kept} == kept
    assert len(shards(out)) == 3


def test_two_runs_do_not_write_into_one_folder(model, inputs, tmp_path):
    out = tmp_path / "out"
    run_shards(inputs, out, model, ShardConfig())
    with Ledger(out), pytest.raises(InputError, match="another run is writing here"):
        run_shards(inputs, out, model, ShardConfig(), resume=True)
    run_shards(inputs, out, model, ShardConfig(), resume=True)


def test_killed_at_a_random_moment_a_run_resumes_byte_by_byte(inputs, tmp_path):
    """Three moments of a seeded draw; scripts/trial_resume.py tries twenty."""
    whole = tmp_path / "whole"
    run(*inputs, "-o", whole, "--shard-size", "2", "--dedupe")
    draw = random.Random(6)
    for trial in range(3):
        out = tmp_path / f"out{trial}"
        args = command(*inputs, "-o", out, "--shard-size", "2", "--dedupe", "--resume")
        with subprocess.Popen(args, stderr=subprocess.DEVNULL) as process:
            seen = draw.randrange(len(shards(whole)))
            while process.poll() is None and len(list(out.glob("0*.jsonl"))) < seen:
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        assert subprocess.run(args, capture_output=True, timeout=240, check=False).returncode == 1
        assert shards(out) == shards(whole)
        for name in ("manifest.json", "errors.jsonl"):
            assert (out / name).read_bytes() == (whole / name).read_bytes()
        assert not list(out.glob(".*.part"))
