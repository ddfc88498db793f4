"""The commands: what goes to stdout, what to stderr, and the exit status."""

from __future__ import annotations

import json

import pytest
from scenario import annotate, new_title, pages, tasks_of
from scored_pages import PAGE, scored
from typer.testing import CliRunner

from annotator.labelstudio.commands import app
from annotator.storage import write_scored


@pytest.fixture
def run(label_studio, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    monkeypatch.setenv("LABEL_STUDIO_PROJECT", new_title("commandes"))

    def command(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return command


def test_from_init_to_pull_and_status(run, server, tmp_path):
    scored_file, out = tmp_path / "scored.jsonl", tmp_path / "out.jsonl"
    write_scored(pages(), scored_file)
    made = run("init")
    number = made.stdout.strip()
    assert (made.exit_code, number.isdigit()) == (0, True)
    assert "is made" in made.stderr
    again = run("init", "--update")
    assert (again.exit_code, again.stdout.strip()) == (0, number)
    assert "as it should be" in again.stderr
    assert run("push", scored_file, "--dry-run").stdout.startswith("5 tasks would be made")
    pushed = run("push", scored_file, "--json")
    assert (pushed.exit_code, json.loads(pushed.stdout)["created"]) == (0, 5)
    annotate(server, tasks_of(server, number)[0])
    pulled = run("pull", "-o", out)
    assert (pulled.exit_code, pulled.stdout) == (0, "1 pages, 1 annotations (0 skipped, 0 to discuss), 1 tasks read\n")
    found = json.loads(run("status", scored_file, "-o", out, "--json").stdout)
    assert (found["done"], found["push"]["left_alone"], found["pull"]) == (1, 5, {"mode": "incremental", "tasks": 0})
    table = dict(line.split("\t") for line in run("status").stdout.splitlines())
    assert table["tasks"] == "5"


def test_exit_status_one_says_what_was_left(run, server, tmp_path):
    file = tmp_path / "scored.jsonl"
    number = run("init").stdout.strip()
    write_scored([scored(PAGE, "p1"), scored("  \n", "blank")], file)
    done = run("push", file)
    assert done.exit_code == 1
    assert "failed: article 'blank': no text to annotate" in done.stderr
    write_scored([scored(PAGE + " Suite.", "p1")], file, overwrite=True)
    done = run("push", file)
    assert done.exit_code == 1
    assert "'p1' has another text on the server" in done.stderr
    assert run("push", file, "--changed").exit_code == 0
    server.write("PATCH", f"api/projects/{number}/", {"description": "autre"})
    differs = run("init")
    assert differs.exit_code == 1
    assert "-autre" in differs.stderr
    assert run("init", "--update").exit_code == 0


def test_every_command_explains_itself():
    for name in ("init", "push", "pull", "status"):
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0
        assert "--token-file" in shown.stdout
