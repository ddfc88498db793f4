"""Cut connections, killed programs, two at once: a sample of scripts/labelstudio_faults.py, which runs all of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from proxy import FAULTS, proxied
from scenario import ARTICLES, GUIDE, Cycle, annotate, new_title, pages, tasks_of

from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.storage import write_scored

RUN = Path(__file__).with_name("run_command.py")
WRITES = 10  # of an undisturbed cycle; the script checks it
SAMPLE = random.Random(20261122).sample([(fault, at) for fault in FAULTS for at in range(WRITES)], 5)


@pytest.fixture(scope="module")
def proxy(label_studio):
    with proxied(label_studio.url, patience=1.5) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(label_studio, tmp_path_factory):
    from annotator.labelstudio.client import Server  # noqa: PLC0415 -- a fixture of the module

    with Server(label_studio.url, label_studio.token) as server:
        cycle = Cycle(server, new_title("entier"), tmp_path_factory.mktemp("entier")).run()
        assert cycle.problems() == []
        return cycle.content()


@pytest.mark.parametrize(("fault", "at"), SAMPLE)
def test_a_fault_leaves_nothing_doubled_dropped_or_shifted(server, proxy, undisturbed, tmp_path, fault, at):
    proxy.reset(fault, at=at)
    cycle = Cycle(
        server, new_title("panne"), tmp_path, url=proxy.url, patience=1.5, settled=lambda: proxy.quiet.wait(30)
    )
    cycle.run()
    assert proxy.struck.is_set()
    assert cycle.problems() == []
    assert cycle.content() == undisturbed


def start(*arguments, url, token, state):
    env = {**os.environ, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": token, "XDG_STATE_HOME": str(state)}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, RUN, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def scored_file(tmp_path):
    write_scored(pages(), tmp_path / "scored.jsonl")
    return tmp_path / "scored.jsonl"


@pytest.mark.parametrize("when", ["hold before", "hold after"])
def test_a_push_that_is_killed_is_finished_by_the_next(server, label_studio, proxy, scored_file, tmp_path, when):
    title = new_title("tué")
    init(server, title, GUIDE)
    push = ("push", str(scored_file), "--project", title, "--batch-bytes", "6000")
    proxy.reset(when, at=1)
    victim = start(*push, url=proxy.url, token=label_studio.token, state=tmp_path)
    assert proxy.struck.wait(60)
    os.kill(victim.pid, signal.SIGKILL)
    proxy.held.set()
    assert finish(victim)[0] == -signal.SIGKILL
    code, out, err = finish(start(*push, url=label_studio.url, token=label_studio.token, state=tmp_path))
    assert (code, err) == (0, "")
    assert "tasks made" in out
    tasks = tasks_of(server, open_project(server, title)["id"])
    assert sorted(task["data"]["article_id"] for task in tasks) == [f"a{n}" for n in range(ARTICLES)]
    assert [len(task["predictions"]) for task in tasks] == [1] * ARTICLES


@pytest.mark.parametrize("at", [2, 4])
def test_a_pull_that_is_killed_leaves_the_file_as_it_was(server, label_studio, proxy, scored_file, tmp_path, at):
    title = new_title("tué")
    init(server, title, GUIDE)
    finish(
        start(
            "push", str(scored_file), "--project", title, url=label_studio.url, token=label_studio.token, state=tmp_path
        )
    )
    project = open_project(server, title)
    tasks = tasks_of(server, project["id"])
    for task in tasks[:2]:
        annotate(server, task)
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    pull(server, project, out)
    before = out.read_bytes()
    for task in tasks[2:]:
        annotate(server, task)
    proxy.reset("hold after", at=at, reads=True)
    victim = start(
        *("pull", "--full", "-o", str(out), "--project", title),
        url=proxy.url, token=label_studio.token, state=tmp_path,
    )  # fmt: skip
    assert proxy.struck.wait(60)
    os.kill(victim.pid, signal.SIGKILL)
    proxy.held.set()
    finish(victim)
    assert out.read_bytes() == before
    pull(server, project, out)
    pull(server, project, whole, full=True)
    assert out.read_bytes() == whole.read_bytes()


def test_two_pushes_at_once_on_one_machine_and_on_two(server, label_studio, scored_file, tmp_path):
    title = new_title("ensemble")
    init(server, title, GUIDE)
    push = ("push", str(scored_file), "--project", title, "--batch-bytes", "3000")
    known = {"url": label_studio.url, "token": label_studio.token}
    with proxied(label_studio.url) as proxy:
        proxy.reset("hold after", at=0)
        first = start(*push, url=proxy.url, token=label_studio.token, state=tmp_path)
        assert proxy.struck.wait(60)
        # another machine has a lock of its own, and sees only what the first has sent so far
        other = start(*push, **known, state=tmp_path / "other")
        same = start(*push, url=proxy.url, token=label_studio.token, state=tmp_path)
        code, _, err = finish(same)
        assert code == 2
        assert "another run on this machine is at it" in err
        proxy.held.set()
        ends = [finish(first), finish(other)]
    assert [end[0] for end in ends] in ([0, 0], [0, 2], [2, 0]), ends
    assert finish(start(*push, **known, state=tmp_path))[0] == 0
    tasks = tasks_of(server, open_project(server, title)["id"])
    assert sorted(task["data"]["article_id"] for task in tasks) == [f"a{n}" for n in range(ARTICLES)]
    assert [len(task["predictions"]) for task in tasks] == [1] * ARTICLES
