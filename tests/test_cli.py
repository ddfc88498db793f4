"""The command line as a person uses it: the installed program, the shipped model, files on disk."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from annotator.records import LABELS, ScoredArticle
from annotator.storage import read_scored

PAGE = """Le port rouvre lundi après trois semaines de fermeture

Par Jeanne Morel

La préfecture a levé mardi l'interdiction de naviguer, selon un arrêté publié dans la soirée.
« Nous reprenons lundi à l'aube », a déclaré le capitaine du port, Hervé Castain.
Force est de constater que personne, dans cette affaire, n'a eu le courage de dire la vérité aux pêcheurs.

Lire aussi : La criée change d'horaires
© Le Courrier de la Baie, tous droits réservés
"""
PROGRAM = Path(sys.executable).with_name("annotator")


def run(*args, stdin=None, cwd=None, **env):
    clean = {k: v for k, v in os.environ.items() if k not in {"ANNOTATOR_MODELS", "NO_COLOR", "FORCE_COLOR"}}
    return subprocess.run(
        [str(PROGRAM), *map(str, args)], input=stdin, capture_output=True, cwd=cwd, timeout=120, check=False,
        env={**clean, "PYTHONUTF8": "1", **env},
    )  # fmt: skip


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "port.txt"
    path.write_text(PAGE, encoding="utf-8")
    return path


def records(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.decode().splitlines()]


def test_score_writes_one_record_to_stdout_and_nothing_else(page):
    done = run("score", page)
    assert (done.returncode, done.stderr) == (0, b"")
    (record,) = records(done.stdout)
    scored = ScoredArticle.from_dict(record)
    assert scored.article.text == PAGE
    labels = {seg.span.of(PAGE): str(seg.label) for seg in scored.segments}
    assert (
        labels["« Nous reprenons lundi à l'aube », a déclaré le capitaine du port, Hervé Castain."]
        == "attributed_quote"
    )
    assert labels["Par Jeanne Morel"] == "boilerplate"
    assert labels["© Le Courrier de la Baie, tous droits réservés"] == "boilerplate"
    assert next(v for k, v in labels.items() if k.startswith("La préfecture")) == "reported_claim"
    assert next(v for k, v in labels.items() if k.startswith("Force est")) == "editorial_framing"
    for segment in record["segments"]:
        assert set(segment["probabilities"]) == {str(label) for label in LABELS}
        assert sum(segment["probabilities"].values()) == pytest.approx(1, abs=3e-4)
        assert segment["confidence"] == max(segment["probabilities"].values())


def test_score_says_who_speaks(page):
    (record,) = records(run("score", page).stdout)
    quote = next(s for s in record["segments"] if s["text"].startswith("« Nous"))
    assert quote["attribution"]["source"]["text"].endswith("Castain")
    assert quote["attribution"]["cue"]["text"] == "a déclaré"
    assert quote["attribution"]["source_type"] == "person"
    for name in ("source", "cue"):
        span = quote["attribution"][name]
        assert PAGE[span["start"] : span["end"]] == span["text"]


def test_every_output_format_holds_the_same_segments(page, tmp_path):
    for name in ("out.jsonl", "out.parquet", "out.csv", "out.jsonl.gz"):
        done = run("score", page, "-o", tmp_path / name)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), name
    (plain,) = read_scored([tmp_path / "out.jsonl"])
    (parquet,) = read_scored([tmp_path / "out.parquet"])
    (zipped,) = read_scored([tmp_path / "out.jsonl.gz"])
    assert plain == parquet == zipped
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert [row["label"] for row in rows] == [str(seg.label) for seg in plain.segments]
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 1


def test_html_jsonl_and_stdin_are_scored_in_input_order(tmp_path, page):
    html = "<html><head><title>La digue</title></head><body><nav>Accueil</nav><p>La digue a cédé, selon la mairie.</p>"
    (tmp_path / "b.html").write_text(html, encoding="utf-8")
    line = json.dumps({"id": 7, "text": "Le maire a démissionné jeudi.", "outlet": "La Baie"})
    (tmp_path / "c.jsonl").write_text(line, encoding="utf-8")
    done = run("score", tmp_path / "b.html", tmp_path / "c.jsonl", page, "-", stdin="Il pleut à Brest.".encode())
    assert done.returncode == 0, done.stderr
    found = records(done.stdout)
    assert [r["title"] for r in found][:1] == ["La digue"]
    assert found[1]["article_id"] == "7"
    assert found[1]["outlet"] == "La Baie"
    assert found[2]["text"] == PAGE
    assert found[3]["text"] == "Il pleut à Brest."


def test_a_broken_input_is_listed_and_the_rest_is_scored(page, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "Une phrase."}\n{broken\n', encoding="utf-8")
    out = tmp_path / "out.jsonl"
    done = run("score", tmp_path / "none.txt", tmp_path / "bad.jsonl", page, "-o", out)
    assert done.returncode == 1
    assert len(out.read_text(encoding="utf-8").splitlines()) == 2
    listed = records((tmp_path / "out.jsonl.errors.jsonl").read_bytes())
    assert [Path(item["where"].partition(":")[0]).name for item in listed] == ["none.txt", "bad.jsonl"]
    assert all(item["error"] and "\n" not in item["error"] for item in listed)
    assert b"2 inputs failed" in done.stderr


def test_an_output_that_exists_is_kept_unless_forced(page, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("précieux", encoding="utf-8")
    done = run("score", page, "-o", out)
    assert done.returncode == 2
    assert out.read_text(encoding="utf-8") == "précieux"
    assert len(done.stderr.splitlines()) == 1
    assert run("score", page, "-o", out, "--force").returncode == 0
    assert records(out.read_bytes())


def test_the_list_of_failures_takes_nothings_place(page, tmp_path):
    kept = tmp_path / "precious.txt"
    kept.write_text("précieux", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    for errors in (kept, page, out, tmp_path / "nowhere" / "e.jsonl"):
        done = run("score", page, "-o", out, "--errors", errors)
        assert done.returncode == 2
        assert done.stderr.startswith(b"error: --errors "), done.stderr
        assert not out.exists()
    assert kept.read_text(encoding="utf-8") == "précieux"
    assert run("score", page, tmp_path / "none.txt", "-o", out).returncode == 1
    assert run("score", page, "-o", out, "--force").returncode == 0
    assert not (tmp_path / "out.jsonl.errors.jsonl").exists(), "it was that of the run before"


def test_a_page_that_the_format_cannot_hold_is_listed_and_the_rest_is_scored(page, tmp_path):
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"id": "odd", "text": "Un texte \\ud800 abîmé."}\n', encoding="utf-8")
    out = tmp_path / "out.parquet"
    done = run("score", odd, page, "-o", out)
    assert done.returncode == 1, done.stderr
    assert b"surrogate" in done.stderr
    assert pq.read_table(out).num_rows == 1
    (listed,) = records((tmp_path / "out.parquet.errors.jsonl").read_bytes())
    assert listed["where"] == "odd"


def test_a_name_without_extension_is_a_folder_of_shards(page, tmp_path):
    assert run("score", page, "-o", f"{tmp_path}/new/").returncode == 0
    assert (tmp_path / "new" / "manifest.json").is_file()


@pytest.mark.parametrize(("options", "said"), [
    (["--address", "1.2.3.4:6379"], b"add --engine ray"),
    (["-o", "OUT.jsonl", "--shard-size", "5"], b"shards need a folder"),
    (["-o", "OUT", "--shard-size", "5", "--stdin-format", "html"], b"--stdin-format"),
    (["-o", "OUT", "--engine", "ray", "--workers", "2"], b"--workers is for this machine"),
])  # fmt: skip
def test_options_that_would_do_nothing_are_refused(page, tmp_path, options, said):
    done = run("score", page, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert sorted(tmp_path.iterdir()) == [page]


def test_an_interrupted_run_says_how_to_go_on(tmp_path):
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"id": str(n), "text": PAGE}) + "\n" for n in range(4000)), encoding="utf-8")
    out = tmp_path / "out"
    command = [str(PROGRAM), "score", str(many), "-o", str(out), "--shard-size", "20"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        for _ in range(600):
            if list(out.glob("*.jsonl")):
                break
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"go on with --resume" in said


@pytest.mark.parametrize("closed", [">&-", "<&-"])
def test_a_closed_stream_is_one_line(page, closed):
    what = page if closed == ">&-" else "-"
    done = subprocess.run(
        ["bash", "-c", f"'{PROGRAM}' score {what} {closed}"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode in {1, 2}
    assert b"Traceback" not in done.stderr
    assert b"standard" in done.stderr


def test_lean_records_have_no_text(page):
    (record,) = records(run("score", page, "--lean").stdout)
    assert "text" not in record
    assert all("text" not in segment for segment in record["segments"])
    assert record["text_sha256"]


def test_a_page_that_is_not_french_is_scored_with_a_warning(tmp_path):
    path = tmp_path / "english.txt"
    path.write_text("The mayor said on Monday that the harbour would open again next week. " * 3, encoding="utf-8")
    (record,) = records(run("score", path).stdout)
    assert record["segments"]
    assert any("'en'" in warning for warning in record["warnings"])


def test_an_empty_page_gives_a_record_without_segments(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    done = run("score", tmp_path / "empty.txt")
    assert done.returncode == 0
    assert records(done.stdout)[0]["segments"] == []


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_show_reads_without_colour(page, env):
    done = run("show", page, **env)
    assert done.returncode == 0
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-9]", done.stdout)
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode())  # bold is no colour
    assert "fait rapporté" in text
    assert re.search(r"^Q +\d+%", text, re.MULTILINE)
    assert re.search(r"^B +\d+% .*Par Jeanne Morel", text, re.MULTILINE)


def test_show_says_whom_a_pronoun_stands_for_whose_words_go_on_and_what_is_unverified(tmp_path):
    path = tmp_path / "page.txt"
    path.write_text(
        "« Le quai est prêt », a déclaré la maire, Ada Brume. "
        "Elle a ajouté que le phare aurait été vendu en secret.\n\n"
        "« Nous ne savions rien, a-t-elle dit. Nous l'avons appris par la presse. »\n",
        encoding="utf-8",
    )
    shown = " ".join(run("show", path, NO_COLOR="1").stdout.decode().split())
    assert "Elle = Ada Brume" in shown
    assert "[non vérifié]" in shown
    assert "(elle = Ada Brume)" in shown


def test_show_colours_a_terminal(page):
    done = run("show", page, FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[" in done.stdout


def test_show_never_passes_a_pages_escape_sequences_on(tmp_path):
    path = tmp_path / "evil.txt"
    path.write_text("Le maire \x1b[31ma démissionné\x1b]0;titre\x07 jeudi.", encoding="utf-8")
    assert b"\x1b" not in run("show", path).stdout


def test_a_missing_model_is_one_line(page, tmp_path):
    for args, env in (
        (("--models", tmp_path / "none"), {}),
        (("--model", "fr-000000000000"), {}),
        ((), {"ANNOTATOR_MODELS": str(tmp_path / "none")}),
    ):
        done = run("score", page, *args, **env)
        assert done.returncode == 2
        assert len(done.stderr.decode().splitlines()) == 1
        assert done.stdout == b""


def test_wrong_usage_is_two():
    assert run("score").returncode == 2
    assert run("score", "x", "--format", "xml").returncode == 2


def test_a_closed_pipe_ends_quietly(page):
    command = f"'{PROGRAM}' score {page} - < /dev/null | head -c 0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr


def test_models_and_labels_commands(repository):
    shown = json.loads(run("models", "show").stdout)
    listed = run("models", "list").stdout.decode()
    assert f"*\t{shown['version']}" in listed
    assert shown["labels"] == [str(label) for label in LABELS]
    assert run("labels", "check", repository / "labels").returncode == 0
    stats = run("labels", "stats", repository / "labels").stdout.decode()
    assert "digest" in stats
    assert json.loads(run("labels", "stats", "--json", repository / "labels").stdout)["rows"][0]["pages"] == 280


def test_labels_check_lists_problems_and_fails(repository, tmp_path):
    record = json.loads((repository / "labels" / "gate.jsonl").read_text(encoding="utf-8").splitlines()[0])
    record["segments"][0]["end"] += 5
    (tmp_path / "bad.jsonl").write_text(json.dumps(record), encoding="utf-8")
    done = run("labels", "check", tmp_path / "bad.jsonl")
    assert done.returncode == 1
    assert record["article_id"].encode() in done.stdout


def test_evaluate_prints_figures_and_writes_json(repository, tmp_path):
    lines = (repository / "labels" / "gate.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "some.jsonl").write_text("".join(lines[:6]), encoding="utf-8")
    done = run("evaluate", tmp_path / "some.jsonl", "--json", tmp_path / "out.json", "--resamples", "200")
    assert done.returncode == 0, done.stderr
    assert b"macro" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert data["own"]["signature"].startswith("model:fr-")


def test_every_command_explains_itself():
    names = ("score", "show", "evaluate", "profile", "models", "labels")
    for args in ((), *((name,) for name in names), ("models", "promote")):
        done = run(*args, "--help")
        assert done.returncode == 0
        assert b"Usage" in done.stdout


def test_import_is_light_and_a_cold_start_is_quick(page):
    code = "import sys, annotator, annotator.cli; print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "set()"
    run("score", page)
    best = min(_timed(page) for _ in range(3))
    assert best < 5  # the bar is 2.5 s on a quiet machine; twice that still shows a regression


def _timed(page) -> float:
    started = time.perf_counter()
    assert run("score", page).returncode == 0
    return time.perf_counter() - started
