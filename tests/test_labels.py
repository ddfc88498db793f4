"""The labels as they ship: whole, apart, loadable, and described truly."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from annotator.dataset import (
    Stats,
    check,
    check_paths,
    digest,
    leakage,
    outlet_families,
    read_pages,
    stats,
    write_pages,
)
from annotator.records import LABELS, SOURCE_TYPES

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "labels"
FILES = {side: FOLDER / f"{side}.jsonl" for side in ("train", "gate")}

# What the files hold. After a wanted change:
#   annotator labels stats labels/gate.jsonl   (shows annotator.dataset.digest of its pages; the same for train)
# A new digest of the gate means new figures for every model: say so in docs/decisions/.
DIGESTS = {
    "train": "40917838a8a628df4d443bce3590e754a479efeb8b408d9ce5a6d25de4625ecb",
    "gate": "3e33f04c28490106bf9c2128bf8a5869e87fbb25502aa7b43578e46c9cf6a715",
}


def card_tables(counts: Stats) -> str:
    """The tables of the dataset card, in Markdown."""
    head, *body = counts.table()
    lines = []
    for columns in (["pages", "outlets", "segments", *LABELS], ["sources", "cues", *SOURCE_TYPES], head[-6:]):
        shown = ["group", *columns]
        rows = [shown, ["---"] * len(shown), *([row[head.index(name)] for name in shown] for row in body)]
        lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
    return "\n" + "\n".join(lines)


@pytest.fixture(scope="module")
def sides():
    return {side: read_pages(file) for side, file in FILES.items()}


def test_the_shipped_labels_have_no_problem():
    assert check_paths(FOLDER) == []


def test_each_file_holds_its_side_and_no_outlet_is_on_both(sides):
    for side, pages in sides.items():
        assert {page.split for page in pages} == {side}
    assert leakage(sides["train"], sides["gate"]) == []
    families = outlet_families(page.article.outlet for pages in sides.values() for page in pages)
    train, gate = ({families[page.article.outlet] for page in sides[side]} for side in ("train", "gate"))
    assert not train & gate


def first_series(pages):
    """The pages that stood when the gate was chosen; later series went to train whole."""
    return [page for page in pages if page.article.article_id.split("-")[1] in "abcd"]


def test_the_gate_is_a_sixth_of_the_first_series_and_holds_most_genres(sides):
    pages = sides["train"] + sides["gate"]
    assert len(pages) == 280
    assert len(first_series(pages)) == 180
    assert len(sides["gate"]) == 30
    series = [page.article.article_id.split("-")[1] for page in sides["gate"]]
    assert {letter: series.count(letter) for letter in "abcd"} == {"a": 7, "b": 8, "c": 8, "d": 7}
    genres = {page.genre for page in pages}
    assert len({page.genre for page in sides["gate"]}) >= len(genres) - 2
    labels = {seg.label for page in sides["gate"] for seg in page.segments}
    assert labels == set(LABELS)


def test_the_digests_are_pinned(sides):
    found = {side: digest(pages) for side, pages in sides.items()}
    assert found == DIGESTS, "labels changed: if wanted, pin the new digests (command above DIGESTS)"


def test_the_rule_of_the_import_script_still_chooses_this_gate(sides):
    spec = importlib.util.spec_from_file_location("import_written", ROOT / "scripts" / "import_written.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    pages = sorted(first_series(sides["train"] + sides["gate"]), key=lambda page: page.article.article_id)
    families = outlet_families(page.article.outlet for page in pages)
    chosen = script.choose_gate(pages)
    assert chosen == {families[page.article.outlet] for page in sides["gate"]}


def test_writing_what_was_read_gives_the_same_bytes(sides, tmp_path):
    for side, pages in sides.items():
        write_pages(pages, tmp_path / "again.jsonl")
        assert (tmp_path / "again.jsonl").read_bytes() == FILES[side].read_bytes()


def test_every_mark_is_whole_words_and_no_title_is_missing_from_its_page(sides):
    for page in sides["train"] + sides["gate"]:
        text = page.article.text
        assert page.article.title is None or page.article.title in text
        for seg in page.segments:
            for span in (seg.attribution.source, seg.attribution.cue) if seg.attribution else ():
                if span is not None:
                    around = text[max(0, span.start - 1) : span.end + 1]
                    assert re.search(rf"(?<!\w){re.escape(span.of(text))}(?!\w)", around), page.article.article_id


@pytest.mark.parametrize("form", ["json", "folder"])
def test_datasets_loads_both_files_with_one_schema(form, sides, tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    cache = str(tmp_path / "cache")
    if form == "json":
        files = {side: str(file) for side, file in FILES.items()}
        loaded = datasets.load_dataset("json", data_files=files, cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(FOLDER), cache_dir=cache)
        segment = loaded["gate"].features["segments"].feature
        assert segment["unverified"].dtype == "bool"
        assert segment["attribution"]["antecedent"]["start"].dtype == "int64"
    assert loaded["train"].features == loaded["gate"].features
    for side, pages in sides.items():
        assert list(loaded[side]) == [page.to_dict() for page in pages]


def test_the_card_shows_the_counts_of_the_files(sides):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = card.partition("<!-- stats -->\n")[2].partition("<!-- /stats -->")[0]
    wanted = card_tables(stats(read_pages(FOLDER)))
    assert shown.strip() == wanted.strip(), f"paste between the markers of labels/README.md:\n{wanted}"
    counts = re.search(r"^(\d+) French news pages", card, flags=re.MULTILINE)
    assert int(counts[1]) == sum(map(len, sides.values()))


def test_the_card_names_every_field(sides):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    page = sides["gate"][0].to_dict()
    for key in (*page, *page["segments"][0]):
        assert f"`{key}`" in card
        assert re.search(rf"name: {key}\b", card), f"{key} has no type in the YAML head"


def test_the_guide_has_every_label_and_sixty_examples():
    guide = (FOLDER / "GUIDE.md").read_text(encoding="utf-8")
    for name in (*LABELS, *SOURCE_TYPES, "unverified", "source", "cue", "source_type"):
        assert f"`{name}`" in guide
    examples = re.findall(
        r"\*([^*\n]+)\*[^*\n]*→ \*\*(Fait rapporté|Citation attribuée|Cadrage éditorial|Paratexte)", guide
    )
    assert len({text for text, _ in examples}) >= 60
    assert len({label for _, label in examples}) == len(LABELS)


def test_the_guide_keeps_french_typography():
    guide = (FOLDER / "GUIDE.md").read_text(encoding="utf-8")
    prose = re.sub(r"`[^`\n]*`", "", guide)
    bad = re.findall(r".{0,20}(?: [;:!?»](?=\s)|« |\w'\w).{0,10}", prose)
    assert not bad, "use U+00A0 before : and inside « », U+202F before ; ! ?, and ’"


def test_no_sentence_of_the_guide_is_a_labelled_segment(sides):
    guide = (FOLDER / "GUIDE.md").read_text(encoding="utf-8").replace("\u00a0", " ").replace("\u202f", " ")
    examples = {text.replace("’", "'") for text in re.findall(r"\*([^*\n]{25,})\*", guide)}
    for page in sides["gate"]:
        for seg in page.segments:
            plain = seg.span.of(page.article.text).replace("\u00a0", " ").replace("\u202f", " ").replace("’", "'")
            assert plain not in examples, f"{page.article.article_id}: the guide shows a sentence of the gate"


def test_a_gate_page_that_is_gone_is_noticed(sides):
    pages = sides["train"] + sides["gate"]
    moved = sides["train"][1:] + sides["gate"]
    assert check(pages, where="labels", before=pages) == []
    assert check(moved, where="labels", before=pages) == []  # a page may leave train
    assert check(sides["train"] + sides["gate"][1:], where="labels", before=pages) == [
        f"labels: page {sides['gate'][0].article.article_id!r}: a gate page is gone: the gate is frozen, restore it"
    ]
