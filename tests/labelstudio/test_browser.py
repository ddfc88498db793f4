"""What a person does in a browser comes back: colours, one label by hotkey, one segment to discuss, submit."""

from __future__ import annotations

import os
import time

import pytest
from scenario import GUIDE, annotate, new_title, second_person, tasks_of
from scored_pages import NASTY, PAGE, linked, long_page, scored
from test_backend import create_app, running

from annotator.dataset import read_pages
from annotator.labelstudio.convert import prediction
from annotator.labelstudio.project import init, open_project
from annotator.labelstudio.pull import pull
from annotator.labelstudio.push import push
from annotator.serve.model import CurrentModel

try:
    import browser as chromium

    MISSING = None if chromium.find_browser() else "Chromium and chromedriver are not on PATH (apt-get install both)"
except ImportError:
    MISSING = "selenium is not installed (pip install selenium)"

PASSWORD = "motdepasse456"


@pytest.fixture(scope="module")
def person():
    if MISSING and os.environ.get("ANNOTATOR_REQUIRE") == "all":
        pytest.fail(f"ANNOTATOR_REQUIRE=all, but {MISSING}", pytrace=False)
    if MISSING:
        pytest.skip(MISSING)
    with chromium.browser() as found:
        yield found


def wait_for_annotation(server, task):
    end = time.monotonic() + 30
    while time.monotonic() < end and not server.get(f"api/tasks/{task['id']}/")["annotations"]:
        time.sleep(0.3)


def test_a_person_reviews_a_page_in_the_browser(label_studio, server, person, tmp_path):
    title = new_title("navigateur")
    init(server, title, GUIDE)
    project = open_project(server, title)
    sent = {
        page.article.article_id: page
        for page in (scored(PAGE, "p1"), scored(NASTY, "nasty"), scored(long_page(), "long"), linked())
    }
    push(server, project, lambda: iter(sent.values()))
    tasks = {task["data"]["article_id"]: task for task in tasks_of(server, project["id"])}
    second_person(server, "grive@example.org", PASSWORD)
    chromium.log_in(person, label_studio.url, "grive@example.org", PASSWORD)

    for name, page in sent.items():  # what the browser highlights is what Python's offsets say, in four colours
        chromium.open_task(person, label_studio.url, project["id"], tasks[name]["id"])
        end = time.monotonic() + 60
        wanted = {i["id"]: i["value"]["text"] for i in prediction(page)["result"] if i["type"] == "labels"}
        while time.monotonic() < end and len(chromium.regions(person)) < len(wanted):
            time.sleep(0.3)
        shown = chromium.regions(person)
        assert {key: found["text"] for key, found in shown.items()} == wanted
        colours = {found["colour"] for key, found in shown.items() if key[0] in "rqfb"}
        assert len(colours) == len({seg.label for seg in page.segments})
    chromium.submit(person)  # the last one, as it is: its arrows go with it
    wait_for_annotation(server, tasks["linked"])

    chromium.open_task(person, label_studio.url, project["id"], tasks["p1"]["id"])
    keys = {item["id"][0]: item["id"] for item in prediction(sent["p1"])["result"]}
    first, link, source = (keys[code] for code in "rfs")
    chromium.select_region(person, link)
    chromium.press(person, "4")
    chromium.press(person, "\ue00c")  # Escape: nothing selected
    chromium.select_region(person, first)
    chromium.choose(person, "À discuter")
    chromium.choose(person, "Non vérifié")
    chromium.press(person, "\ue00c")
    chromium.select_region(person, source)
    chromium.choose(person, "Organisation")
    if folder := os.environ.get("ANNOTATOR_SCREENSHOTS"):
        person.save_screenshot(f"{folder}/test-browser-source.png")
    chromium.press(person, "\ue00c")
    chromium.select_region(person, first)
    if folder := os.environ.get("ANNOTATOR_SCREENSHOTS"):
        person.save_screenshot(f"{folder}/test-browser.png")
    chromium.submit(person)
    wait_for_annotation(server, tasks["p1"])
    annotate(server, tasks["p1"])  # the other person, by the API

    out = tmp_path / "out.jsonl"
    report = pull(server, project, out)
    assert (report.pages, report.annotations, report.quarantined) == (2, 3, 0)
    with_arrows, page = read_pages(out)
    assert with_arrows.annotations[0]["accepted"] is True
    assert [s.attribution for s in with_arrows.segments] == [s.attribution for s in sent["linked"].segments]
    assert page.article == sent["p1"].article
    by_hand, by_api = page.annotations
    assert [s["origin"] for s in by_hand["segments"]] == ["changed", "changed", "changed"]
    assert by_hand["segments"][0]["unverified"] is True
    assert by_hand["segments"][1]["attribution"]["source_type"] == "organisation"
    assert by_api["segments"][1]["attribution"]["source_type"] == "person"
    assert by_hand["segments"][2]["label"] == "boilerplate"
    assert by_hand["discuss"] == [[0, 20]]
    assert (by_hand["accepted"], by_hand["model_version"]) == (False, "v1")
    assert by_hand["lead_time"] > 0
    assert [(s["start"], s["end"]) for s in by_hand["segments"]] == [(s["start"], s["end"]) for s in by_api["segments"]]
    assert by_api["accepted"] is True
    assert by_hand["annotator"] != by_api["annotator"]


def test_requests_can_be_tried_on_the_page_of_the_backend(person, repository):
    with running(create_app(CurrentModel(repository / "models", threads=1))) as url:
        person.get("about:blank")
        person.get_log("browser")  # what earlier pages wrote
        person.get(f"{url}/docs")
        answers = {}
        for form in person.find_elements("tag name", "form"):
            form.find_element("tag name", "button").click()
            shown = form.find_element("tag name", "pre")
            end = time.monotonic() + 60
            while time.monotonic() < end and shown.text in ("", "…"):
                time.sleep(0.1)
            answers[form.get_attribute("data-path")] = shown.text
        assert {path: text.split()[0] for path, text in answers.items()} == dict.fromkeys(answers, "200")
        assert len(answers) == 7
        assert '"label": "reported_claim"' in answers["score"]
        assert person.get_log("browser") == []  # nothing that its policy forbids
