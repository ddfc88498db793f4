"""The report as a file: what it holds, in which order, what it says where little or nothing is known."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html
from scored_articles import article, hostile, many, report, scripts_of

from annotator.errors import RecordError
from annotator.report.words import LANGS, words
from annotator.storage import write_scored

PROGRAM = Path(sys.executable).with_name("annotator")


def run(*args, cwd=None, code=None):
    start = [str(PROGRAM)] if code is None else [sys.executable, "-c", code]
    env = {k: v for k, v in os.environ.items() if k != "ANNOTATOR_MODELS"} | {"PYTHONUTF8": "1"}
    done = subprocess.run(
        [*start, *map(str, args)], capture_output=True, text=True, cwd=cwd, timeout=120, check=False, env=env
    )
    return done.returncode, done.stderr.strip().splitlines()


def text_of(element):
    return " ".join(element.text_content().split())


def test_outlets_stand_in_alphabetical_order_in_every_table():
    page = lxml_html.fromstring(report(many(8)))
    tables = page.cssselect("table.plot")
    assert len(tables) > 15
    for table in tables:
        assert [text_of(name) for name in table.cssselect("tbody th")] == [
            "Étoile du Sud",
            "L’Écho",
            "Le Phare",
            "zénith",
        ]


def test_every_figure_stands_with_its_interval_and_n_and_little_is_greyed():
    page = lxml_html.fromstring(report([*many(24, outlets=("Le Phare",)), article("alone", outlet="Ambres")]))
    (table,) = page.cssselect('#side-by-side table[aria-label="Affirmations sourcées"]')
    one, other = table.cssselect("tbody tr")
    cells = [[text_of(cell) for cell in row.cssselect("td")[1:]] for row in (one, other)]
    assert cells[0][2] == "6*"  # six claims in an article
    assert cells[1][2] == "144"
    for value, interval, _ in cells:
        low, high = map(int, re.fullmatch(r"\[(\d+)–(\d+)\]", interval).groups())
        assert low <= int(value.rstrip("\u202f%")) <= high
        assert high - low > 5
    assert [len(row.cssselect(".few")) for row in (one, other)] == [3, 0]
    everything = [text_of(row) for row in page.cssselect("details.all tbody tr")]
    assert len(everything) == 2 * 23
    assert not re.search(r"score|rang|classement n|note :", " ".join(everything).lower())


def test_two_models_of_an_outlet_are_not_added_up():
    page = report([article("a"), replace(article("b"), model_version="v2")], lang="en")
    names = {text_of(name) for name in lxml_html.fromstring(page).cssselect("table.plot tbody th")}
    assert names == {"Le Phare (v1)", "Le Phare (v2)"}
    assert words("en")["several_models"] in html.unescape(page)


def test_articles_without_outlet_and_blank_pages_are_there():
    blank = replace(article("blank").article, text="  ", outlet=None, title=None)
    page = lxml_html.fromstring(report([replace(article(), article=blank, segments=()), article()]))
    assert [text_of(n) for n in page.cssselect("table.plot")[0].cssselect("tbody th")] == ["Le Phare", "Sans média"]
    assert "–" in text_of(page.cssselect("table.plot")[0].cssselect("tbody tr")[1])


def test_nothing_at_all_is_a_page_too():
    assert words("fr")["no_articles"] in report([])


@pytest.mark.parametrize("lang", LANGS)
def test_a_report_is_a_document_in_its_language_that_names_no_other(lang):
    text = report(many(3), lang=lang, title="Presse & « cie »")
    page = lxml_html.document_fromstring(text)
    assert page.get("lang") == lang
    assert text_of(page.cssselect("h1")[0]) == text_of(page.cssselect("title")[0]) == "Presse & « cie »"
    assert [e.tag for e in page.cssselect("h1, h2, main > section > h2")][:2] == ["h1", "h2"]
    assert not page.cssselect("[src], [style], iframe, object, embed, link[rel=stylesheet], base")
    links = {e.get("href") for e in page.cssselect("[href]")} - {"data:,"}
    assert all(link.startswith("#") for link in links)
    assert not re.search("https?://", re.sub(r'xmlns="[^"]+"|https://phare\.example/1', "", text))
    ids = [e.get("id") for e in page.cssselect("[id]")]
    assert len(ids) == len(set(ids))


def test_the_same_articles_give_the_same_bytes():
    assert report(many(5)) == report(many(5))


def test_the_policy_lets_the_page_s_own_script_and_style_run_and_nothing_else():
    page = report([article()])
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == parts["connect-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", parts["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", parts["style-src"])
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script")


@settings(max_examples=8, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=3).filter(lambda s: s.strip() == s and s))
def test_no_text_changes_what_the_page_is_made_of(text):
    plain, odd = (scripts_of(report([hostile("a1", words)])) for words in ("mot mot", text))
    assert [kind for kind, _ in odd] == [kind for kind, _ in plain]
    assert odd[-1] == plain[-1]  # the script that runs is the same
    data = json.loads(odd[2][1])
    assert data["text"] == f"{text} dit {text}"
    assert data["title"] == data["outlet"] == data["url"] == data["model_version"] == text


def test_an_article_that_is_there_twice_is_refused_by_name():
    with pytest.raises(RecordError, match="'a1' is there twice"):
        report([article(), article()])


def test_values_that_cannot_be_shown_are_refused_by_name():
    scored = article()
    odd = replace(scored.segments[1], confidence=float("nan"))
    with pytest.raises(RecordError, match="article 'a1', segment 1: nan is no probability"):
        report([replace(scored, segments=(scored.segments[0], odd))])
    with pytest.raises(RecordError, match="article 'a1': outlet is int, not a string"):
        report([article(outlet=7)])


def test_the_command_writes_a_page_and_replaces_one_only_when_asked(tmp_path):
    write_scored(many(3), tmp_path / "s.jsonl")
    assert run("report", "s.jsonl", "-o", "out.html", "--lang", "en", cwd=tmp_path)[0] == 0
    first = (tmp_path / "out.html").read_bytes()
    assert first.startswith(b'<!doctype html>\n<html lang="en">')
    code, lines = run("report", "s.jsonl", "-o", "out.html", cwd=tmp_path)
    assert (code, len(lines)) == (2, 1)
    assert "out.html: the file exists" in lines[0]
    assert run("report", "s.jsonl", "-o", "out.html", "--force", cwd=tmp_path)[0] == 0
    assert b'<html lang="fr">' in (tmp_path / "out.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "s.jsonl"]


@pytest.mark.parametrize(
    ("output", "said"),
    [("no/out.html", "there is no folder no"), (".", "is a folder"), ("/proc/out.html", "cannot be")],
)
def test_an_output_that_cannot_be_is_told_in_one_line(tmp_path, output, said):
    write_scored(many(1), tmp_path / "s.jsonl")
    code, lines = run("report", "s.jsonl", "-o", output, cwd=tmp_path)
    assert code == 2
    assert lines[-1].startswith("error: ")
    assert said in lines[-1]


def test_lean_records_and_other_files_are_refused_by_name(tmp_path):
    write_scored(many(2), tmp_path / "lean.jsonl", lean=True)
    (tmp_path / "page.txt").write_text("Bonjour.", encoding="utf-8")
    for name, said in (("lean.jsonl", "lean.jsonl:1: the record has no 'text'"), ("page.txt", "page.txt: scored art")):
        code, lines = run("report", name, cwd=tmp_path)
        assert (code, len(lines)) == (2, 1)
        assert said in lines[0]
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_extra_names_the_command(tmp_path, module):
    code = (
        f"import sys; sys.modules['{module}'] = None; sys.argv[0] = 'annotator'; from annotator.cli import main; main()"
    )
    status, lines = run("report", "s.jsonl", cwd=tmp_path, code=code)
    assert status == 2
    remedy = "run  pip install 'annotator[report]'"
    assert lines == [f"error: annotator report needs the package '{module}', which is not installed: {remedy}"]
