"""The view at ``/``: the page, what it may do, and what a person does with it in headless Chromium."""

from __future__ import annotations

import gzip
import html
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chromium import complaints, requests, resize
from process import serving
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from test_app import Client

from annotator.report.view import preferred
from annotator.serve.app import create_app
from annotator.serve.limits import Limits, Login

PAGE = """Le port rouvre lundi

Par Jeanne Morel

La préfecture a levé l'interdiction, selon un arrêté publié 🐟 dans la soirée.
« Nous reprenons à l'aube », a déclaré le capitaine du port, Hervé Castain.
"""
RUN = "window.pwned=1"
HOSTILE = (
    f"<!doctype html><html><head><title>&lt;img src=x onerror={RUN}&gt;</title>"
    f'<meta property="og:site_name" content="&lt;/script&gt;&lt;script&gt;{RUN}&lt;/script&gt;">'
    f'<link rel="canonical" href="javascript:{RUN}"></head><body><p onclick="{RUN}">Le préfet a démenti '
    f"&lt;script&gt;{RUN}&lt;/script&gt;, selon la radio.</p><script>{RUN}</script></body></html>"
)


def ask(model, **options):
    return Client(create_app(model, **options))


def test_the_page_is_there_in_both_languages(model):
    client = ask(model)
    page = client.get("/", headers={"Accept-Language": "en-GB,en;q=0.9,fr;q=0.5"})
    assert '<html lang="en">' in page.text
    assert '<html lang="fr">' in client.get("/").text
    assert '<html lang="en">' in client.get("/?lang=en").text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    assert client.get("/openapi.json").json()["paths"].keys().isdisjoint({"/"})


@pytest.mark.parametrize(
    ("asked", "accepted", "lang"),
    [
        ("en", "fr", "en"), (None, "en-US,en;q=0.5", "en"), (None, "de,fr;q=0.8,en;q=0.5", "fr"), (None, "", "fr"),
        ("xx", "en", "en"), ("<script>", "*", "fr"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_or_accepted(asked, accepted, lang):
    assert preferred(asked, accepted) == lang


def test_the_policy_stands_in_header_and_page(model):
    page = ask(model).get("/")
    header = page.headers["content-security-policy"]
    inside = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page.text)[1])
    assert header == inside + "; frame-ancestors 'none'"
    assert "connect-src 'self'" in header
    assert "default-src 'none'" in header
    assert "unsafe" not in header
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_page_asks_for_the_password_that_everything_asks_for(model):
    client = ask(model, login=Login(user="merle", password="motdepasse"))
    assert client.get("/").status_code == 401
    assert client.get("/", auth=("merle", "motdepasse")).status_code == 200


def parquet(rows, path):
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    return path.read_bytes()


def test_what_the_reader_reads_is_scored_as_a_list(model, tmp_path):
    client = ask(model, limits=Limits(articles=2))
    rows = [{"id": f"r{n}", "text": f"{PAGE} {n}", "outlet": "Le Phare"} for n in range(2)]
    lines = "\n".join(map(json.dumps, rows))
    table = "id;text\r\nr0;Un mot.\r\nr1;Un autre.\r\n"
    packed = parquet(rows, tmp_path / "p.parquet")
    kinds = {"application/x-ndjson": lines, "text/csv": table, "application/vnd.apache.parquet": packed}
    for kind, body in kinds.items():
        answer = client.post("/score", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 200
        assert [record["article_id"] for record in answer.json()] == ["r0", "r1"]
        empty = client.post("/score", content=b"", headers={"Content-Type": kind})
        assert empty.status_code == (422 if "parquet" in kind else 200)
    unnamed = parquet([{"text": "Un mot."}], tmp_path / "u.parquet")
    answer = client.post("/score", content=unnamed, headers={"Content-Type": "application/vnd.apache.parquet"})
    assert answer.json()[0]["article_id"] == "parquet#1"


def test_files_are_bounded_as_everything_is(model, tmp_path):
    client = ask(model, limits=Limits(articles=2, body_bytes=20_000))
    many = [{"text": f"Un mot, {n}."} for n in range(3)]
    for kind, body in {
        "application/x-ndjson": "\n".join(map(json.dumps, many)),
        "text/csv": "text\n" + "\n".join(f"Mot {n}" for n in range(3)),
        "application/vnd.apache.parquet": parquet(many, tmp_path / "m.parquet"),
    }.items():
        answer = client.post("/score", content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]) == (413, "3 articles: 2 at most at once")
    swollen = parquet([{"text": "a" * 5_000_000}], tmp_path / "s.parquet")
    assert len(swollen) < 20_000
    for body, status, words in ((swollen, 413, "when unpacked"), (b"PAR1 no", 422, "no Parquet file")):
        answer = client.post("/score", content=body, headers={"Content-Type": "application/vnd.apache.parquet"})
        assert answer.status_code == status
        assert words in answer.json()["error"]
    answer = client.post("/score", content="{", headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 422
    assert "tmp" not in answer.json()["error"]


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(repository, tmp_path_factory):
    """A server with Basic authentication; its address holds user and password."""
    folder = tmp_path_factory.mktemp("view")
    variables = {"ANNOTATOR_SERVE_PASSWORD": "motdepasse"}
    with serving(folder, repository / "models", "--user", "merle", "--articles", "3", **variables) as (url, _, _):
        yield url.replace("http://", "http://merle:motdepasse@") + "/"


@pytest.fixture
def view(chromium, address):
    resize(chromium, 1280, 1000)
    chromium.get("about:blank")
    complaints(chromium)
    requests(chromium)
    chromium.get(address + "?lang=fr")
    return chromium


def state(browser, words):
    """Wait for what the page says; WebDriver gives no-break spaces as spaces."""
    WebDriverWait(browser, 30).until(lambda b: words in b.find_element(By.ID, "state").text)


def texts(browser):
    script = "return [...document.querySelectorAll('#article mark')].map(m => { const c = m.cloneNode(true);"
    return browser.execute_script(script + "c.querySelector('.badge').remove(); return c.textContent; })")


def choose(browser, path):
    browser.find_element(By.ID, "file").send_keys(str(path))


def test_a_pasted_text_comes_back_marked(view, model):
    view.find_element(By.CSS_SELECTOR, "button.main").click()
    state(view, "Il n’y a pas de texte")
    view.execute_script("document.getElementById('text').value = arguments[0]", PAGE)
    view.find_element(By.ID, "text").send_keys(Keys.CONTROL + Keys.ENTER)
    state(view, "segments")
    lines = [line for line in PAGE.splitlines() if line]
    assert texts(view) == lines
    record = ask(model).post("/score", content=PAGE.encode(), headers={"Content-Type": "text/plain"}).json()
    labels = [mark.get_attribute("class").split()[1][-1] for mark in view.find_elements(By.CSS_SELECTOR, "mark")]
    letters = {"reported_claim": "R", "attributed_quote": "Q", "editorial_framing": "E", "boilerplate": "B"}
    assert labels == [letters[segment["label"]] for segment in record["segments"]]
    sources = [s["attribution"]["source"]["text"] for s in record["segments"] if (s["attribution"] or {}).get("source")]
    assert [e.text for e in view.find_elements(By.CSS_SELECTOR, "#article .source")] == sources
    assert view.switch_to.active_element.tag_name == "h3"
    assert complaints(view) == []
    asked = {re.sub(r"http://[^/]*", "", url) for url in requests(view)}
    assert asked == {"/?lang=fr", "/score"}


def test_files_are_read_as_the_reader_reads_them(view, tmp_path):
    files = {
        "a.txt": PAGE.encode("cp1252", "ignore"),
        "b.html": b"<title>Port</title><h1>Le port rouvre</h1><p>Selon la radio, c'est lundi.</p>",
        "c.html.gz": gzip.compress(b"<p>Selon la radio, c'est lundi.</p>"),
        "d.jsonl": b"\n".join(json.dumps({"id": n, "text": f"Le maire a dit non, {n}."}).encode() for n in range(2)),
        "e.CSV": b"text,outlet\nSelon la radio,Le Phare\n",
        "f.parquet": parquet([{"text": "Selon la radio, c'est lundi."}], tmp_path / "f.parquet"),
    }
    segments = {"a.txt": 4, "b.html": 2, "c.html.gz": 1, "d.jsonl": 2, "e.CSV": 1, "f.parquet": 1}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        view.execute_script("document.getElementById('state').textContent = ''")
        choose(view, tmp_path / name)
        state(view, f"segments : {segments[name]}.")
    assert complaints(view) == []


def test_a_file_is_dropped_and_what_cannot_be_read_is_told(view):
    drop = (
        "const files = new DataTransfer(); files.items.add(new File([arguments[0]], arguments[1]));"
        "document.getElementById('text').dispatchEvent(new DragEvent('drop',"
        "{dataTransfer: files, bubbles: true, cancelable: true}));"
    )
    view.execute_script(drop, "Le maire a dit non.", "page.txt")
    state(view, "segments : 1.")
    assert view.find_element(By.CSS_SELECTOR, "#article h3").text == "page.txt"
    view.execute_script(drop, "%PDF", "page.pdf")
    state(view, "page.pdf : ce genre de fichier")
    view.execute_script(drop, "no", "page.txt.gz")
    state(view, "page.txt.gz : le fichier est abîmé")
    view.execute_script(drop, "\n".join('{"text": "Un mot."}' for _ in range(4)), "many.jsonl")
    state(view, "Refusé : 4 articles: 3 at most at once")
    assert view.find_element(By.ID, "state").get_attribute("class") == "failed"


def test_nothing_in_a_dropped_page_runs(view, tmp_path):
    (tmp_path / "page.html").write_text(HOSTILE, encoding="utf-8")
    choose(view, tmp_path / "page.html")
    state(view, "segments")
    assert texts(view) == [f"Le préfet a démenti <script>{RUN}</script>, selon la radio."]
    for mark in view.find_elements(By.TAG_NAME, "mark"):
        mark.click()
    assert view.execute_script("return window.pwned") is None
    assert view.find_element(By.CSS_SELECTOR, "#article h3").text == f"<img src=x onerror={RUN}>"
    assert view.execute_script("return document.querySelectorAll('#reader a[href^=\"javascript\"], img').length") == 0
    assert complaints(view) == []


def test_the_example_fits_a_small_window(view):
    resize(view, 360, 800)
    view.find_element(By.ID, "example").click()
    state(view, "segments")
    view.execute_script("document.querySelector('#article mark').focus()")
    assert view.find_element(By.ID, "detail").is_displayed()
    assert view.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    view.find_element(By.CSS_SELECTOR, "#detail .close").click()
    assert not view.find_element(By.ID, "detail").is_displayed()
