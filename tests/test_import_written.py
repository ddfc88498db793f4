"""scripts/import_written.py on a small folder, and on the shared one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from labelled_pages import ANNOTATION

from annotator.dataset import check, read_pages, write_pages

ROOT = Path(__file__).resolve().parents[1]


HEADER = "# outlet: {outlet} | genre: {genre} | topic: port | features: titre, incise"
BODY = """\
B\tAccueil

B\tPar Ondine Karvel

R\tLe port rouvre

R\tIl pleuvait sur le quai, il dit que tout est prêt, selon le maire, selon une note.\til\tdit\tperson
Q\t« On y va », a-t-il lancé.\til\ta-t-il lancé\tperson
B\t09:02
E\tEnfin.
"""


def run_import(folder, output):
    script = ROOT / "scripts" / "import_written.py"
    return subprocess.run(
        [sys.executable, str(script), str(folder), "-o", str(output)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PATH": ""},
    )


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "written"
    folder.mkdir()
    for i in range(12):
        head = HEADER.format(outlet=f"Journal {i // 2}", genre="live-blog" if i % 3 else "billet d'humeur")
        number = ["nul", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze"][i]
        own = "\n".join(f"R\tLa grue {number} a bougé au quai {number}, bassin {number}, jour {d}." for d in range(9))
        (folder / f"{'xy'[i % 2]}-{i:02}.txt").write_text(f"{head}\n{BODY if i == 0 else own}", encoding="utf-8")
    return folder


def test_the_import_lays_out_the_page_and_finds_the_marks(written, tmp_path):
    done = run_import(written, tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    pages = {item.article.article_id: item for item in read_pages(tmp_path / "labels")}
    first = pages["written-x-00"]
    assert first.article.text == (
        "Accueil\nPar Ondine Karvel\n\nLe port rouvre\n\n"
        "Il pleuvait sur le quai, il dit que tout est prêt, selon le maire, selon une note. « On y va », a-t-il lancé. "
        "09:02\nEnfin."
    )
    assert (first.article.outlet, first.article.title) == ("Journal 0", "Le port rouvre")
    assert (first.genre, first.topic, first.features) == ("opinion", "port", "billet d'humeur | titre, incise")
    marks = [seg.attribution for seg in first.segments if seg.attribution]
    text = first.article.text
    assert [text[mark.source.start : mark.cue.end] for mark in marks] == ["il dit", "il lancé"]
    assert [mark.cue.of(text) for mark in marks] == ["dit", "a-t-il lancé"]
    assert {seg.unverified for seg in first.segments} == {None}
    assert check(list(pages.values()), where="import") == []
    assert pages["written-x-02"].article.title is None


def test_the_import_takes_whole_outlets_and_runs_twice_alike(written, tmp_path):
    labels = tmp_path / "labels"
    assert run_import(written, labels).returncode == 0
    gate = read_pages(labels / "gate.jsonl")
    assert len(gate) == 2  # one in six, both pages of one outlet
    assert len({item.article.outlet for item in gate}) == 1
    before = {file.name: file.read_bytes() for file in labels.iterdir()}
    assert run_import(written, labels).returncode == 0
    assert {file.name: file.read_bytes() for file in labels.iterdir()} == before
    assert run_import(written, tmp_path / "other").returncode == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "other").iterdir()} == before


def test_the_import_keeps_a_frozen_split_when_pages_come(written, tmp_path):
    labels = tmp_path / "labels"
    run_import(written, labels)
    gate = {item.article.article_id for item in read_pages(labels / "gate.jsonl")}
    for i in range(20, 40):
        head = HEADER.format(outlet=f"Nouveau {i}", genre="agency")
        (written / f"z-{i}.txt").write_text(f"{head}\nR\tLe chalutier {i} est rentré.", encoding="utf-8")
    assert run_import(written, labels).returncode == 0
    assert {item.article.article_id for item in read_pages(labels / "gate.jsonl")} == gate
    assert len(read_pages(labels)) == 32


def test_the_import_does_not_overwrite_the_work_of_annotators(written, tmp_path):
    labels = tmp_path / "labels"
    run_import(written, labels)
    pages = read_pages(labels / "train.jsonl")
    write_pages([replace(pages[0], annotations=(ANNOTATION | {"segments": []},)), *pages[1:]], labels / "train.jsonl")
    before = (labels / "train.jsonl").read_bytes()
    done = run_import(written, labels)
    assert done.returncode == 1
    assert "annotated" in done.stderr
    assert (labels / "train.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("R\tSans en-tête.", ":1: the header is not"),
        ("{header}\nX\tLettre inconnue.", ":2: not 'R, Q, E or B"),
        ("{header}\nR\tTrois colonnes.\tTrois", ":2: not 'R, Q, E or B"),
        ("{header}\n\nR\tLe maire parle.\tmaire\tdit\tperson", ":3: the cue 'dit' is not in the segment"),
        ("{header}\nR\tLes maires disent.\tmaire\tdisent\tperson", ":2: the source 'maire' is not in the segment"),
        ("{header}\nR\tLe maire dit.\tmaire\tdit\trobot", ":2: source_type 'robot'"),
        ("{header}\nR\tLe maire dit.\t\t\tperson", ":2: source_type 'person'"),
        ("{header}\nE\tLe maire dit.\tmaire\tdit\tperson", "takes no attribution"),
    ],
)
def test_the_import_fails_loudly_and_writes_nothing(tmp_path, content, message):
    folder = tmp_path / "written"
    folder.mkdir()
    text = content.replace("{header}", HEADER.format(outlet="La Vigie", genre="agency"))
    (folder / "a-01.txt").write_text(text, encoding="utf-8")
    done = run_import(folder, tmp_path / "labels")
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "labels").exists()


def test_the_import_of_an_empty_folder_fails(tmp_path):
    done = run_import(tmp_path, tmp_path / "labels")
    assert done.returncode == 1
    assert "no *.txt" in done.stderr


@pytest.mark.shared
def test_importing_the_shared_written_pages_gives_the_shipped_labels(shared_data, tmp_path):
    done = run_import(shared_data / "written", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    for name in ("train.jsonl", "gate.jsonl"):
        shipped = (ROOT / "labels" / name).read_text(encoding="utf-8").splitlines()
        first = [line for line in shipped if line.startswith(tuple(f'{{"article_id":"written-{x}-' for x in "abcd"))]
        assert (tmp_path / "labels" / name).read_text(encoding="utf-8").splitlines() == first
