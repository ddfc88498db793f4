"""One's own data to labelled pages, and labels renamed, merged and split in files."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from labelled_pages import ANNOTATION, page, with_segment
from typer.testing import CliRunner

from annotator.cli import app
from annotator.dataset import check, read_pages, write_pages
from annotator.errors import InputError
from annotator.label_import import import_file
from annotator.migration import Migration, apply, plan, read_decisions
from annotator.records import Attribution, Label, SourceType


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def pieces(found):
    return [(str(seg.label), seg.span.of(found.article.text)) for seg in found.segments]


def test_csv_rows_of_one_article_are_lines_of_one_page(tmp_path):
    rows = (
        "article_id;sentence;label;outlet\n"
        "p1;La digue tient.;fait;La Vigie\n"
        "p1;« Ouf », dit Merle.;attributed_quote;\n"
        ";Seule.;fait;\n"
    )
    pages, refused = import_file(write(tmp_path / "a.csv", rows), "csv", names={"fait": "reported_claim"}, outlet="X")
    assert refused == []
    assert [item.article.outlet for item in pages] == ["La Vigie", "X"]
    assert pages[0].article.text == "La digue tient.\n« Ouf », dit Merle."
    assert pieces(pages[0])[1] == ("attributed_quote", "« Ouf », dit Merle.")
    assert pages[1].article.article_id == "a-4"
    assert check(pages, where="import") == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_only_double_quotes_quote_in_csv_wherever_they_stand(tmp_path, delimiter):
    texts = ["L'eau monte.", "C'est l'heure, dit-on."] * 150 + ['Le "grand" soir', "l'autre; ou | non, \t\n'rien'"]
    cells = [["text", "label"], *([text, "boilerplate"] for text in texts)]
    content = "".join(delimiter.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) + "\n" for row in cells)
    pages, refused = import_file(write(tmp_path / "q.csv", content), "csv")
    assert refused == []
    assert [item.article.text for item in pages] == texts


def test_csv_rows_without_text_are_counted_and_rows_of_empty_cells_are_not(tmp_path):
    rows = "text,label\nLa digue tient.,reported_claim\n ,boilerplate\n,\n,boilerplate\n"
    pages, (line,) = import_file(write(tmp_path / "a.csv", rows), "csv")
    assert len(pages) == 1
    assert line.endswith("a.csv: 2 rows without text are left out, the first at line 3")


def test_conll_by_tags_and_by_comment(tmp_path):
    text = (
        "# newdoc id = d1\nLa\tB-reported_claim\ndigue\tI-reported_claim\ntient\tI-reported_claim\n"
        "Ouf\tB-attributed_quote\n\n# label = boilerplate\nLire O\naussi O\n\n-DOCSTART- O\n\nFin B-boilerplate\n"
    )
    pages, _ = import_file(write(tmp_path / "b.conll", text), "conll")
    assert [item.article.article_id for item in pages] == ["d1", "b-2"]
    assert pages[0].article.text == "La digue tient Ouf\nLire aussi"
    assert pieces(pages[0]) == [
        ("reported_claim", "La digue tient"),
        ("attributed_quote", "Ouf"),
        ("boilerplate", "Lire aussi"),
    ]
    assert check(pages, where="import") == []


def test_conllu_keeps_words_together_where_no_space_stands(tmp_path):
    rows = [("1", "Ouf", "SpaceAfter=No"), ("2", ".", "_")]
    text = "# label = reported_claim\n" + "".join(f"{n}\t{w}\t_\t_\t_\t_\t_\t_\t_\t{m}\n" for n, w, m in rows)
    ((found,), _) = import_file(write(tmp_path / "c.conllu", text), "conll")
    assert found.article.text == "Ouf."


def test_conll_keeps_tokens_that_begin_with_a_hash_and_words_as_they_are_written(tmp_path):
    tagged = "# text = #MeToo avance\n#MeToo\tB-reported_claim\navance\tI-reported_claim\n#\tI-reported_claim\n"
    ((found,), _) = import_file(write(tmp_path / "a.conll", tagged), "conll")
    assert found.article.text == "#MeToo avance #"
    rows = ["1\tParle", "2-3\tdu", "2\tde", "3\tle", "3.1\tvide", "4\tport"]
    text = "# label = reported_claim\n" + "".join(row + "\t_" * 8 + "\n" for row in rows)
    ((found,), _) = import_file(write(tmp_path / "b.conllu", text), "conll")
    assert found.article.text == "Parle du port"


def test_conll_with_an_id_twice_is_refused(tmp_path):
    text = "# newdoc id = d\nLa B-boilerplate\n\n" * 2
    with pytest.raises(InputError, match=r":4: newdoc id 'd' comes twice"):
        import_file(write(tmp_path / "a.conll", text), "conll")


def exported(path, *works, **task):
    """A Label Studio export of one task of one segment, labelled by ``works``: (completed_by, label)."""
    text = "La digue tient."
    annotations = []
    for number, (who, label) in enumerate(works, start=1):
        value = {"start": 0, "end": len(text), "text": text, "labels": [label]}
        result = [{"id": "r", "from_name": "voix", "to_name": "t", "type": "labels", "value": value}]
        annotations.append({"id": number, "result": result} | ({"completed_by": who} if who else {}))
    return write(path, json.dumps([{"id": 3, "data": {"text": text}, "annotations": annotations} | task]))


@pytest.mark.parametrize("people", [("ondine@ambres.example", "merle@ambres.example"), (None, None)])
def test_annotators_without_a_number_stay_two_people(tmp_path, people):
    works = [(who, label) for who, label in zip(people, ("reported_claim", "boilerplate"), strict=True)]
    ((found,), _) = import_file(exported(tmp_path / "e.json", *works), "labelstudio")
    names = [item["annotator"] for item in found.annotations]
    assert len(set(names)) == 2
    assert all(name.startswith("annotator-") and "@" not in name for name in names)
    assert found.segments[0].also is not None  # both votes count


@pytest.mark.parametrize(
    ("works", "task", "message"),
    [
        ([(4, "Fait")], {}, "task 3: annotation 1: unknown label 'Fait': translate it with --map Fait=LABEL"),
        ([], {"data": {"corps": "La digue tient."}}, "task 3: its data has no text under the key 'text', only corps"),
        ([], {"annotations": [{"result": []}]}, "task 3: annotation number 1: its key 'id' is None"),
        ([], {"id": None}, "its key 'id' is None"),
    ],
)
def test_what_an_export_lacks_is_named_with_its_task(tmp_path, works, task, message):
    with pytest.raises(InputError) as caught:
        import_file(exported(tmp_path / "e.json", *works, **task), "labelstudio")
    assert message in str(caught.value)


def test_a_label_studio_export_of_another_project(tmp_path):
    text = "La digue tient.\nLire aussi"

    def region(start, end, label):
        value = {"start": start, "end": end, "text": text[start:end], "labels": [label]}
        return {"id": f"r{start}", "from_name": "voix", "to_name": "t", "type": "labels", "value": value}

    def task(number, *regions):
        work = {"id": number, "completed_by": 4, "result": list(regions), "updated_at": "2026-03-01T00:00:00Z"}
        return {"id": number, "data": {"text": text}, "annotations": [work]}

    whole, gap = [region(0, 15, "Fait"), region(16, 26, "Pub")], [region(0, 15, "Fait")]
    export = write(tmp_path / "e.json", json.dumps([task(1, *whole), task(2, *gap)]))
    names = {"Fait": "reported_claim", "Pub": "boilerplate"}
    (found,), (refused,) = import_file(export, "labelstudio", names=names, outlet="La Vigie")
    assert pieces(found) == [("reported_claim", "La digue tient."), ("boilerplate", "Lire aussi")]
    assert (found.article.article_id, found.article.outlet) == ("task-1", "La Vigie")
    assert found.annotations[0]["annotator"] == "annotator-4"
    assert refused.startswith("task-2: annotation 2: characters [16, 26) are in no segment") or "[15, 26)" in refused


@pytest.mark.parametrize(
    ("fmt", "content", "message"),
    [
        ("csv", "a,b\n1,2\n", "needs columns text"),
        ("csv", "text,label\nBonjour,weather\n", ":2: unknown label 'weather'"),
        ("csv", "text,label\nBonjour,boilerplate\nNon, merci,boilerplate\n", ":3: the row has 3 cells"),
        ("csv", 'text,label\n"Bonjour" dit-il,boilerplate\n', ":2: not a row of CSV"),
        ("csv", "text,label\nBonjour,\n", ":2: no label"),
        ("csv", "text,label\n", "holds nothing labelled"),
        ("csv", "", "first line is blank"),
        ("csv", "{" + '"a": "b", ' * 900 + "}", "needs columns text"),
        ("conll", "", "holds nothing labelled"),
        ("labelstudio", "[]", "holds nothing labelled"),
        ("conll", "Bonjour\tO\n", ":1: tag 'O'"),
        ("labelstudio", "{}", "JSON list"),
        ("labelstudio", "[", "not a Label Studio export"),
    ],
)
def test_what_is_not_of_the_format_is_one_line(tmp_path, fmt, content, message):
    with pytest.raises(InputError) as caught:
        import_file(write(tmp_path / "x", content), fmt)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def run(*arguments):
    return CliRunner().invoke(app, ["labels", *map(str, arguments)])


def test_the_import_command(tmp_path):
    source, out = write(tmp_path / "a.csv", "text,label\nLa digue tient.,fait\n"), tmp_path / "own.jsonl"
    done = run("import", source, "-o", out, "--map", "fait=reported_claim")
    assert done.exit_code == 0, done.output
    assert "1 pages, 1 segments" in done.stderr
    assert len(read_pages(out)) == 1


def test_an_import_of_nothing_fails_and_writes_nothing(tmp_path):
    source, out = write(tmp_path / "a.csv", "text,label\n,boilerplate\n"), tmp_path / "own.jsonl"
    done = run("import", source, "-o", out)
    assert done.exit_code != 0
    assert "1 rows without text" in done.stderr
    assert "no page is left" in str(done.exception)
    assert not out.exists()


def test_an_import_replaces_a_file_only_when_told_and_its_source_never(tmp_path):
    source, out = write(tmp_path / "a.csv", "text,label\nLa digue tient.,boilerplate\n"), tmp_path / "own.jsonl"
    before = source.read_text(encoding="utf-8")
    write(out, "labelled by hand")
    refused = run("import", source, "-o", out)
    assert refused.exit_code != 0
    assert "the file exists: give another name, or replace it with --force" in str(refused.exception)
    assert out.read_text(encoding="utf-8") == "labelled by hand"
    for more in ([], ["--force"]):
        assert "the command reads this file" in str(run("import", source, "-o", source, *more).exception)
    assert source.read_text(encoding="utf-8") == before
    assert run("import", source, "-o", out, "--force").exit_code == 0
    assert len(read_pages(out)) == 1
    assert "not a file" in str(run("import", source, "-o", tmp_path).exception)


# --- migration


@pytest.fixture
def folder(tmp_path):
    pages = [with_segment(page("p1", annotations=(ANNOTATION,)), 0, also=Label.BOILERPLATE), page("p2")]
    write_pages(pages, tmp_path / "train.jsonl")
    write_pages([page("g", split="gate")], tmp_path / "more.jsonl.gz")
    floors = {"floors": {"reported_claim": 0.8, "attributed_quote": 0.7, "boilerplate": 0.9}, "worst": "boilerplate"}
    write(tmp_path / "gate.json", json.dumps(floors))
    label = '<Label value="Paratexte" alias="boilerplate"/>'
    choices = '<Choices whenLabelValue="reported_claim,attributed_quote"/>'
    write(tmp_path / "config.xml", f"<View>{label}{choices}</View>")
    return tmp_path


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_merge_goes_through_pages_annotations_gate_and_config(folder):
    before = content(folder)
    planned = plan(
        [folder], Migration(renames={"boilerplate": "editorial_framing", "reported_claim": "editorial_framing"})
    )
    assert content(folder) == before  # a plan writes nothing
    assert [change.path.name for change in planned.changes] == [
        "config.xml",
        "gate.json",
        "more.jsonl.gz",
        "train.jsonl",
    ]
    backups = apply(planned.changes)
    assert {path.name.removesuffix(".before"): path.read_bytes() for path in backups} == before
    (first, second) = read_pages(folder / "train.jsonl")
    assert [seg.label for seg in first.segments[:2]] == [Label.EDITORIAL_FRAMING] * 2
    assert first.segments[0].also is None
    assert second.segments[1].attribution is None  # framing takes none
    assert first.annotations[0]["segments"][0]["label"] == "editorial_framing"
    assert check([first, second], where="migrated") == []
    gate = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    assert gate == {"floors": {"editorial_framing": 0.8, "attributed_quote": 0.7}, "worst": "editorial_framing"}
    xml = (folder / "config.xml").read_text(encoding="utf-8")
    assert 'alias="editorial_framing"' in xml
    assert 'whenLabelValue="editorial_framing,attributed_quote"' in xml
    assert json.loads(gzip.decompress((folder / "more.jsonl.gz").read_bytes()))["segments"][1]["attribution"] is None
    with pytest.raises(InputError, match="backup of an earlier migration"):
        apply(planned.changes)


def test_what_points_to_a_source_that_went_with_its_label_is_dropped(tmp_path):
    carried = Attribution(source_segment=1, source_type=SourceType.ORGANISATION)
    meant = replace(page().segments[2].attribution, antecedent=page().segments[1].attribution.source)
    pages = [with_segment(page("p1"), 2, attribution=carried), with_segment(page("p2"), 2, attribution=meant)]
    assert check(pages, where="before") == []
    write_pages(pages, tmp_path / "train.jsonl")
    apply(plan([tmp_path / "train.jsonl"], Migration(renames={"reported_claim": "editorial_framing"})).changes)
    first, second = read_pages(tmp_path / "train.jsonl")
    assert first.segments[2].attribution is None
    assert second.segments[2].attribution == page().segments[2].attribution
    assert check([first, second], where="migrated") == []


def test_a_new_name_is_written_and_back(folder):
    before = content(folder)
    pages = [folder / "train.jsonl"]
    apply(plan(pages, Migration(renames={"boilerplate": "furniture"})).changes)
    assert b'"label":"furniture"' in (folder / "train.jsonl").read_bytes()
    apply(plan(pages, Migration(renames={"furniture": "boilerplate"})).changes, suffix=".again")
    assert (folder / "train.jsonl").read_bytes() == before["train.jsonl"]


def test_a_split_needs_a_decision_for_every_segment(folder):
    decisions = write(folder / "split.csv", "article_id,start,label\np1,0,a\np1,22,b\np2,0,a\n")
    with pytest.raises(InputError, match="page 'p2': segment at 22 reported_claim: no decision"):
        plan([folder / "train.jsonl"], Migration(splits={"reported_claim": read_decisions(decisions)}))
    write(decisions, decisions.read_text(encoding="utf-8") + "p2,22,b\n")
    (change,) = plan([folder / "train.jsonl"], Migration(splits={"reported_claim": read_decisions(decisions)})).changes
    assert change.counts["reported_claim", "a"] == 2


def test_the_migrate_command_says_what_it_would_do_and_does_it_when_asked(folder):
    done = run("migrate", folder / "train.jsonl", "--rename", "boilerplate=furniture")
    assert done.exit_code == 0, done.output
    assert done.stdout.split("\t")[1:] == ["boilerplate", "furniture", "2\n"]
    assert "add --write" in done.stderr
    assert run("migrate", folder / "train.jsonl", "--rename", "boilerplate=furniture", "--write").exit_code == 0
    assert (folder / "train.jsonl.before").exists()


@pytest.mark.parametrize("write_it", [[], ["--write"]])
def test_what_a_migration_costs_is_said_before_and_when_it_is_done(folder, write_it):
    pages = folder / "train.jsonl"
    done = run("migrate", pages, "--rename", "attributed_quote=boilerplate", *write_it)
    assert done.exit_code == 0, done.output
    assert f"{pages}: 2 attributions dropped: the new label takes none\n" in done.stderr
    fresh = run("migrate", folder / "more.jsonl.gz", "--rename", "reported_claim=claim", *write_it)
    assert "dropped" not in fresh.stderr
    assert "no label of this version: claim: the pages cannot be read" in fresh.stderr


def test_decisions_that_no_segment_asked_for_are_counted(folder):
    rows = "".join(f"{name},69,boilerplate\n" for name in ("p1", "p2", "p3"))
    decisions = write(folder / "split.csv", f"article_id,start,label\n{rows}")
    done = run("migrate", folder / "train.jsonl", "--split", f"attributed_quote={decisions}")
    assert "--split attributed_quote: 1 of 3 decisions match no segment of that label\n" in done.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("article_id,start,label\np1,0,a\np1,22,\n", "line 3: no label"),
        ("article_id,start,label\np1,0\n", "line 2: no label"),
        ("article_id,start,label\np1,zero,a\n", "line 2: start 'zero'"),
        ("article_id,start,label\np1,0,a\np1,0,b\n", "line 3: the segment at 0 of 'p1' comes twice"),
        ("article_id,start,etiquette\np1,0,a\n", "no column label"),
    ],
)
def test_a_decision_that_decides_nothing_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_decisions(write(tmp_path / "split.csv", rows))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train.jsonl", ["--rename", "nope=boilerplate"], "--rename nope: no such label"),
        ("train.jsonl", ["--split", "nope=split.csv"], "--split nope: no such label"),
        ("train.jsonl", [], "nothing to change"),
        ("split.csv", ["--rename", "boilerplate=x"], "not to migrate: needs pages"),
        ("empty", ["--rename", "boilerplate=x"], "nothing here to migrate"),
        ("gone.jsonl", ["--rename", "boilerplate=x"], "cannot be read"),
        ("train.jsonl", ["--rename", "boilerplate=x", "--rename", "boilerplate=y"], "given already, as x"),
        ("train.jsonl", ["--rename", "boilerplate=x", "--split", "boilerplate=split.csv"], "renamed and split at once"),
    ],
)
def test_a_migration_that_cannot_be_meant_is_refused(folder, monkeypatch, name, arguments, message):
    monkeypatch.chdir(folder)
    write(folder / "split.csv", "article_id,start,label\np1,0,a\n")
    (folder / "empty").mkdir()
    before = (folder / "train.jsonl").read_bytes()
    done = run("migrate", name, *arguments, "--write")
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert (folder / "train.jsonl").read_bytes() == before
