"""The Ray engine on a real cluster of two nodes, and what it says where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import annotator
from annotator.archive import run_shards
from annotator.shards import ShardConfig

PROGRAM = Path(sys.executable).with_name("annotator")
PLACES = ("Brest", "Lorient", "Vannes", "Quimper", "Rennes", "Nantes", "Rouen")
SECONDS = 900  # enough for a machine that does other things too


def page(number: int) -> str:
    place = PLACES[number % 7]
    return "\n".join(
        f"La mairie de {place} a fermé jeudi le pont {number + line}, selon le préfet." for line in range(12)
    )


def write_inputs(folder: Path) -> None:
    folder.mkdir()
    for name, numbers in (("a.jsonl", range(24)), ("b.jsonl", range(20, 40))):  # ids 20 to 23 stand twice
        lines = [json.dumps({"id": f"p{n}", "text": page(n)}) for n in numbers]
        lines.insert(5, "{broken")
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    for number in range(3):
        (folder / f"c{number}.txt").write_text(page(number), encoding="utf-8")  # texts of a.jsonl again


def result(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@pytest.fixture
def cluster():
    nodes = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cluster_nodes.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert nodes.stdin is not None
    assert nodes.stdout is not None
    with nodes:
        yield nodes
        nodes.stdin.close()
        try:
            nodes.wait(60)
        except subprocess.TimeoutExpired:
            nodes.kill()


def test_two_nodes_one_killed_half_way_give_the_local_records(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # relative inputs: ids are made of them
    write_inputs(Path("in"))
    model = annotator.load(threads=1).classifier
    run_shards(["in"], tmp_path / "local", model, ShardConfig(size=2, dedupe=True))
    address = cluster.stdout.readline().strip()
    for wanted, said in (
        (["--threads", "64"], "no node of the Ray cluster has more than"),
        (["--device", "cuda"], "card"),
    ):
        command = ["score", "in", "-o", tmp_path / "no", "--force", "--engine", "ray", "--address", address, *wanted]
        refused = subprocess.run([str(PROGRAM), *command], capture_output=True, text=True, timeout=SECONDS, check=False)
        assert refused.returncode == 2
        assert said in refused.stderr
    out = tmp_path / "ray"
    options = ["--shard-size", "2", "--dedupe", "--engine", "ray", "--address", address, "--threads", "1"]
    with subprocess.Popen(
        [str(PROGRAM), "score", "in", "-o", str(out), *options], stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + SECONDS
        while len(list(out.glob("0*.jsonl"))) < 8 and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert run.poll() is None, run.stderr.read()
        cluster.stdin.write("kill\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline() == "killed\n"
        _, said = run.communicate(timeout=SECONDS)
    assert run.returncode == 1, said  # the broken lines
    assert result(out) == result(tmp_path / "local")


def test_where_no_cluster_answers_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_text("Il pleut.", encoding="utf-8")
    done = subprocess.run(
        [str(PROGRAM), "score", tmp_path / "a.txt", "-o", tmp_path / "out", "--engine", "ray", "--address", "nowhere"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "no Ray cluster answers" in done.stderr


def test_the_extra_is_named_where_ray_is_not_installed(tmp_path):
    (tmp_path / "a.txt").write_text("Il pleut.", encoding="utf-8")
    code = "import sys; sys.modules['ray'] = None; from annotator.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "score", tmp_path / "a.txt", "-o", tmp_path / "out", "--engine", "ray"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'annotator[scale]'" in done.stderr
