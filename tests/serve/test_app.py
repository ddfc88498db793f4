"""The application over ASGI: answers, limits, password, errors, and what is never logged."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import threading
import time

import httpx
import pytest

from annotator.errors import AnnotatorError, ModelError
from annotator.labelstudio.config import guide_path, labelling_config, read_guide
from annotator.labelstudio.convert import prediction, shown_text, task_data
from annotator.pipeline import score
from annotator.records import Article, ScoredArticle
from annotator.serve.app import create_app
from annotator.serve.hints import Hints
from annotator.serve.limits import Limits, Login
from annotator.serve.model import CurrentModel, OutOfTimeError

PAGE = "Le port rouvre lundi\r\n\r\nSelon la capitainerie, trois quais sont prêts 🐟. Une décision enfin courageuse !"
SECRET = "f00dfeedf00dfeedf00dfeed"


class Client:
    """Requests to an application, each over a loop of its own."""

    def __init__(self, app):
        self.app = app

    def __call__(self, method, path, **fields):
        async def run():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://annotator") as client:
                return await client.request(method, path, **fields)

        return asyncio.run(run())

    def get(self, path, **fields):
        return self("GET", path, **fields)

    def post(self, path, **fields):
        return self("POST", path, **fields)


@pytest.fixture
def client(model):
    return Client(create_app(model))


def article(text=PAGE, name="a1"):
    return Article(article_id=name, text=text, title="Le port rouvre lundi", outlet="Le Phare")


def one_line(answer, status):
    assert answer.status_code == status
    message = answer.json()["error"]
    assert message
    assert "\n" not in message
    return message


def test_label_studio_learns_health_version_and_versions(client, model):
    assert client.get("/health").json()["status"] == "UP"
    body = {"project": "3.1", "schema": "<View/>", "hostname": "http://h", "access_token": SECRET, "extra_params": None}
    assert client.post("/setup", json=body).json() == {"model_version": model.loaded.version}
    assert client.get("/versions", params={"project": "3.1"}).json() == {"versions": [model.loaded.version]}


def test_predictions_are_those_of_a_push(client, model):
    task = {"id": 5, "data": task_data(article())}
    config = labelling_config(read_guide(guide_path()))
    (found,) = client.post("/predict", json={"tasks": [task], "label_config": config}).json()["results"]
    assert found == prediction(score(article(), model.loaded))
    shown = shown_text(PAGE)
    for item in found["result"]:
        value = item["value"]
        assert value["text"] == shown[value["start"] : value["end"]]


def test_one_result_a_task_in_order_whatever_it_holds(client, model):
    good = {"id": 1, "data": {"text": PAGE}}
    odd = [
        None, 7, [], {}, {"data": None}, {"data": []}, {"data": {"text": None}}, {"data": {"text": " \n "}},
        {"id": {"x": 1}, "data": {"text": ["a"]}}, {"data": {"text": "x" * 300_001}},
    ]  # fmt: skip
    tasks = [good, *odd, {"data": {"text": "Un mot\ud800 et demi."}}, good]
    body = json.dumps({"tasks": tasks, "project": "3.1", "params": {}}).encode()
    results = client.post("/predict", content=body).json()["results"]
    assert len(results) == len(tasks)
    assert {item["model_version"] for item in results} == {model.loaded.version}
    assert results[0] == results[-1]
    assert results[0]["result"]
    assert results[-2]["result"]
    assert all(item["result"] == [] and item["score"] == 0 for item in results[1:-2])


def test_an_edited_task_is_scored_as_it_is_shown(client):
    data = task_data(article()) | {"text": "Tout autre chose, a dit la mairesse."}
    (found,) = client.post("/predict", json={"tasks": [{"id": 1, "data": data}]}).json()["results"]
    assert all(item["value"]["text"] in data["text"] for item in found["result"])
    assert found["result"]


def test_regions_of_controls_that_a_project_lacks_are_left_out(client):
    config = '<View><Labels name="label" toName="text"/><Text name="text" value="$text"/></View>'
    body = {"tasks": [{"data": {"text": PAGE}}], "label_config": config}
    (found,) = client.post("/predict", json=body).json()["results"]
    assert {item["from_name"] for item in found["result"]} == {"label"}


def test_score_gives_the_records_of_the_library(client, model):
    page = {"article_id": "a1", "text": PAGE, "title": "Le port rouvre lundi", "outlet": "Le Phare"}
    record = client.post("/score", json=page).json()
    assert record == json.loads(json.dumps(score(article(), model.loaded).to_dict()))
    assert ScoredArticle.from_dict(record).article.text == PAGE


def test_lone_surrogates_are_scored_and_come_back(client):
    record = client.post("/score", content=b'{"text": "Il a \\ud800 plu.", "title": "\\udc00"}').json()
    assert record["text"] == "Il a \ud800 plu."
    assert record["segments"][0]["end"] == 11


def test_score_takes_lists_html_and_text(client):
    same = {"text": "Il pleut."}
    records = client.post("/score", json=[same, same, {"id": "b", "body": "Il neige."}]).json()
    names = [record["article_id"] for record in records]
    assert len(set(names)) == 3
    assert names[2] == "b"
    assert client.post("/score", json=same).json()["article_id"] == names[0]
    assert client.post("/score", json=[]).json() == []
    page = "<html lang=fr><title>Le port</title><p>Trois quais sont <b>prêts</b>.".encode()
    record = client.post("/score", content=page, headers={"content-type": "text/html; charset=utf-8"}).json()
    assert "Trois quais sont prêts." in record["text"]
    record = client.post("/score", content="<b> n'est pas du HTML", headers={"content-type": "text/plain"}).json()
    assert record["text"] == "<b> n'est pas du HTML"


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/score", b"{", "application/json"),
        ("/score", b"", "application/json"),
        ("/score", b"", "text/plain"),
        ("/score", b"[" * 100_000, "application/json"),
        ("/score", b"7", "application/json"),
        ("/score", b'{"title": "x"}', "application/json"),
        ("/score", b'[{"text": "a"}, {"text": 3}]', "application/json"),
        ("/score", b'[{"id": 1, "text": "a"}, {"id": 1, "text": "b"}]', "application/json"),
        ("/score", b"\xff\xfe\x00\x01", "application/json"),
        ("/score", b"a", "application/pdf"),
        ("/predict", b"[]", "application/json"),
        ("/predict", b'{"tasks": {}}', "application/json"),
        ("/predict", b"", "application/json"),
        ("/webhook", b"{]", "application/json"),
    ],
)
def test_a_body_that_cannot_be_read_is_422(client, path, content, kind):
    one_line(client.post(path, content=content, headers={"content-type": kind}), 422)


def test_unknown_paths_and_methods_are_one_line_too(client):
    one_line(client.get("/nothing"), 404)
    one_line(client.get("/score"), 405)


def test_limits_on_bytes_articles_and_characters(model):
    client = Client(create_app(model, limits=Limits(body_bytes=500, articles=2, characters=50)))
    one_line(client.post("/score", content=b" " * 501), 413)

    async def pieces():
        for _ in range(20):
            yield b" " * 100

    one_line(client.post("/score", content=pieces()), 413)  # no Content-Length
    one_line(client.post("/score", json=[{"text": "a"}] * 3), 413)
    one_line(client.post("/score", json={"text": "a" * 51}), 413)
    assert client.post("/score", json=[{"text": "a"}] * 2).status_code == 200


def test_a_request_that_takes_too_long_is_503_and_the_next_one_is_served(repository, monkeypatch):
    model = CurrentModel(repository / "models", threads=1)
    client = Client(create_app(model, limits=Limits(seconds=0.5)))
    assert client.post("/score", json={"text": "Il pleut."}).status_code == 200
    held, calls = threading.Event(), []

    def slow(_article, _classifier):
        held.wait(10)
        calls.append(1)
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr("annotator.serve.model.score", slow)
        one_line(client.post("/score", json=[{"text": "a"}] * 3), 503)
        one_line(client.post("/predict", json={"tasks": [{"data": {"text": "a"}}]}), 503)  # waits in vain
        held.set()
        assert wait_for(lambda: calls)
    assert client.post("/score", json={"text": "Il pleut."}).status_code == 200
    assert calls == [1]  # what nobody waits for any more is not begun


def test_label_studio_gets_what_was_predicted_within_the_limits(model, monkeypatch):
    client = Client(create_app(model, limits=Limits(articles=3)))
    tasks = [{"data": {"text": "Il pleut."}}] * 5
    results = client.post("/predict", json={"tasks": tasks}).json()["results"]
    assert [bool(item) for item in results] == [True] * 3 + [False] * 2
    assert results[3:] == [[], []]  # no prediction: these are sent again

    def late(page, classifier):
        if page.text == "Il neige.":
            raise OutOfTimeError("late")
        return score(page, classifier)

    monkeypatch.setattr("annotator.serve.model.score", late)
    snow = {"data": {"text": "Il neige."}}
    one_line(client.post("/predict", json={"tasks": [snow]}), 503)
    body = {"tasks": [*tasks[:2], snow]}
    results = client.post("/predict", json=body).json()["results"]
    assert [bool(item) for item in results] == [True, True, False]


def test_the_time_of_a_request_ends_the_scoring_of_a_long_article(repository):
    model = CurrentModel(repository / "models", threads=1)
    session, windows = model.loaded._session, []

    class Slow:
        def run(self, *arguments):
            windows.append(arguments)
            time.sleep(0.05)
            return session.run(*arguments)

    model.loaded._session = Slow()
    client = Client(create_app(model, limits=Limits(seconds=2.0)))
    one_line(client.post("/score", json={"text": "Selon la radio, le quai est prêt.\n" * 3000}), 503)
    assert wait_for(lambda: client.post("/score", json={"text": "Il pleut."}).status_code == 200, seconds=60)
    assert len(windows) < 2.0 / 0.05 + 5  # all of the page would be more than a hundred


def test_scoring_runs_one_article_at_a_time(model, monkeypatch):
    running, most = 0, 0
    guard = threading.Lock()

    def counted(page, classifier):
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with guard:
            running -= 1
        return score(page, classifier)

    monkeypatch.setattr("annotator.serve.model.score", counted)
    client = Client(create_app(model))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(client.post("/score", json={"text": "a"})))] * 1
    threads += [threading.Thread(target=lambda: answers.append(client.post("/score", json=[{"text": "b"}] * 2)))]
    threads += [threading.Thread(target=lambda: answers.append(client.post("/predict", json={"tasks": [{}, {}]})))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 3
    assert most == 1


def test_the_password_guards_everything_but_health(model, caplog):
    client = Client(create_app(model, login=Login(user="port", password="quai d'été")))
    assert client.get("/health").status_code == 200
    for _ in range(2):
        one_line(client.post("/webhook", json={"action": "ANNOTATION_CREATED"}), 401)
    assert caplog.text.count("give it the header Authorization") == 1
    for path in ("/versions", "/metrics", "/docs", "/openapi.json", "/nothing"):
        answer = client.get(path)
        one_line(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Basic")
    right = httpx.BasicAuth(b"port", "quai d'été".encode())
    assert client.get("/versions", auth=right).status_code == 200
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED"}, auth=right).status_code == 200
    assert 'route="/versions",status="401"' in client.get("/metrics", auth=right).text
    for wrong in ("Basic", "Basic !!!", "Basic cG9ydDo=", "Bearer x", "Basic \xe9"):
        one_line(client.get("/versions", headers={"authorization": wrong.encode("latin-1")}), 401)
    assert "quai" not in repr(Login(user="port", password="quai d'été"))


def test_an_error_of_the_server_is_500_and_its_text_stays_out_of_answer_and_log(client, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError(SECRET)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("annotator.serve.model.score", fails)
    answer = client.post("/score", json={"text": "a"})
    one_line(answer, 500)
    assert SECRET not in answer.text
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


def test_nothing_of_a_request_is_logged(client, caplog):
    caplog.set_level(logging.DEBUG)
    token = {"access_token": SECRET, "schema": SECRET, "extra_params": SECRET}
    client.post("/setup", json=token, params={"token": SECRET})
    client.post("/setup", content=SECRET.encode())
    client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"token": SECRET}})
    client.post("/webhook", content=SECRET.encode())
    client.post("/predict", json={"tasks": [{"id": SECRET, "data": SECRET}, {"data": {"text": SECRET, "x": 1}}]})
    client.post("/score", json={"text": 3, "title": SECRET})
    client.get(f"/{SECRET}", headers={"authorization": f"Token {SECRET}"})
    ours = [record for record in caplog.records if record.name.startswith("annotator")]
    assert ours
    assert not any(SECRET in record.getMessage() for record in ours)


def test_metrics_count_requests_articles_and_name_the_model(client, model):
    client.post("/score", json=[{"text": "Il pleut."}, {"text": "Il neige."}])
    client.get("/nothing")
    text = client.get("/metrics").text
    assert 'annotator_requests_total{route="/score",status="200"} 1.0' in text
    assert 'annotator_requests_total{route="other",status="404"} 1.0' in text
    assert 'annotator_articles_total{result="scored"} 2.0' in text
    assert f'annotator_model{{version="{model.loaded.version}"}} 1.0' in text


def test_the_documentation_needs_no_network_and_has_a_form_for_each_request(client):
    page = client.get("/docs")
    assert "POST /score" in page.text
    assert "http" not in page.text.replace("<html", "")
    assert page.text.count("<form ") == 7
    script = page.text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/health", "/setup", "/predict", "/webhook", "/versions", "/score", "/metrics"} == set(paths)


# --- the model in use --------------------------------------------------------------------------------------------


class Registry:
    """A folder with CURRENT and a loader that gives the shipped classifier other names."""

    def __init__(self, folder, classifier):
        self.folder, self.classifier, self.broken = folder, classifier, set()
        self.loads = []

    def use(self, version):
        part = self.folder / "part"
        part.write_text(version + "\n", encoding="utf-8")
        part.replace(self.folder / "CURRENT")

    def load(self, folder, version, *, threads):
        del folder, threads
        name = version or (self.folder / "CURRENT").read_text(encoding="utf-8").strip()
        self.loads.append(name)
        if name in self.broken:
            raise ModelError(f"{name}: does not match its digest")
        return type("Named", (), {"version": name})()


def test_a_new_current_is_loaded_once_and_a_damaged_one_leaves_the_old_in_use(tmp_path, model, caplog):
    registry = Registry(tmp_path, model.loaded)
    registry.use("fr-a")
    current = CurrentModel(tmp_path, load=registry.load)
    assert [current.current().version for _ in range(3)] == ["fr-a"] * 3
    registry.use("fr-b")
    assert [current.current().version for _ in range(3)] == ["fr-b"] * 3
    assert registry.loads == ["fr-a", "fr-b"]
    caplog.clear()
    registry.broken = {"fr-c"}
    registry.use("fr-c")
    assert [current.current().version for _ in range(3)] == ["fr-b"] * 3
    (tmp_path / "CURRENT").write_text("../elsewhere", encoding="utf-8")
    assert current.current().version == "fr-b"
    (tmp_path / "CURRENT").unlink()
    assert current.current().version == "fr-b"
    assert len(caplog.records) == 3
    assert not any("\n" in record.getMessage() for record in caplog.records)
    registry.use("fr-d")
    assert current.current().version == "fr-d"


def test_a_damaged_model_that_is_mended_comes_into_use(tmp_path, model, monkeypatch):
    monkeypatch.setattr("annotator.serve.model._RETRY", 0.0)
    registry = Registry(tmp_path, model.loaded)
    registry.use("fr-a")
    current = CurrentModel(tmp_path, load=registry.load)
    registry.broken = {"fr-b"}
    registry.use("fr-b")
    assert current.current().version == "fr-a"
    registry.broken = set()
    assert current.current().version == "fr-b"


def test_a_version_that_was_asked_for_stays(tmp_path, model):
    registry = Registry(tmp_path, model.loaded)
    registry.use("fr-a")
    current = CurrentModel(tmp_path, "fr-a", load=registry.load)
    registry.use("fr-b")
    assert current.current().version == "fr-a"


# --- hints -------------------------------------------------------------------------------------------------------


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_many_hints_make_one_run_and_errors_do_not_end_it(caplog):
    runs, results = [], []

    def action():
        runs.append(time.monotonic())
        if len(runs) == 2:
            raise AnnotatorError("no answer")

    hints = Hints(action, pause=0.2, every=600, done=results.append)
    hints.start()
    assert wait_for(lambda: len(runs) == 1)  # at the start
    for _ in range(20):
        hints.hint()
    assert wait_for(lambda: len(runs) == 2)
    time.sleep(0.3)
    assert len(runs) == 2
    hints.hint()
    assert wait_for(lambda: len(results) == 3)
    hints.close()
    assert results == [True, False, True]
    assert "pull failed: no answer" in caplog.text


def test_a_run_that_failed_is_soon_tried_again(monkeypatch):
    monkeypatch.setattr("annotator.serve.hints._RETRY", 0.05)
    results = []

    def action():
        if len(results) < 2:
            raise AnnotatorError("no answer")

    hints = Hints(action, pause=60, every=600, done=results.append)
    hints.start()
    assert wait_for(lambda: len(results) == 3)
    time.sleep(0.2)
    hints.close()
    assert results == [False, False, True]


def test_without_hints_it_runs_by_the_clock():
    runs = []
    hints = Hints(lambda: runs.append(1), pause=60, every=0.05)
    hints.start()
    assert wait_for(lambda: len(runs) >= 3)
    hints.close()


def test_only_events_that_a_pull_may_see_plan_one(model):
    client = Client(create_app(model, pull=lambda: None))
    planned = [
        client.post("/webhook", json=body).json()["status"] == "pull planned"
        for body in (
            {"action": "ANNOTATION_UPDATED"},
            {"action": "TASKS_DELETED"},
            {"action": "START_TRAINING"},
            [],
            {},
        )
    ]
    assert planned == [True, True, False, False, False]
    assert Client(create_app(model)).post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200
