from __future__ import annotations

import base64
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.labelstudio.client import Server, ServerError, find_token, writing
from annotator.labelstudio.lock import LockedError, locked

pytest.importorskip(
    "label_studio_sdk", reason="label-studio-sdk is not installed (pip install 'annotator[labelstudio]')"
)

SECRET = "feedfacefeedfacefeedfacefeedfacefeedface"
RUN = Path(__file__).with_name("run_command.py")


def jwt(expires):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'token_type': 'refresh', 'exp': expires})}.c2lnbmF0dXJl"


@pytest.fixture
def answering():
    """A server that gives what the test says: path to (status, JSON); records what it was asked."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append((self.command, self.path.partition("?")[0]))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answers.get(self.path.partition("?")[0], (404, {"detail": "Not found."}))
            status, body, *headers = found(self.path) if callable(found) else found
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}", answers, asked
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def good_version(answers, release="1.23.2"):
    answers["/api/version/"] = (200, {"release": release})
    answers["/api/current-user/whoami"] = (200, {"id": 1})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("annotator.labelstudio.client.READ_RETRIES", 1)


def test_a_token_comes_from_option_file_or_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "ofenvironment")
    assert find_token(None, file) == SECRET
    assert find_token("given", file) == "given"
    assert find_token() == "ofenvironment"


@pytest.mark.parametrize("content", ["", "  \n", "two\nlines", "é"])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, content):
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        find_token(None, file)
    assert "\n" not in str(caught.value)
    assert "two" not in str(caught.value)


def test_a_missing_token_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing: the token cannot be read: No such file"):
        find_token(None, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"detail": f"Invalid token {SECRET}."}, "the token is wrong or has expired"),
        (403, {"detail": "No."}, "may not do GET"),
        (
            500,
            f"<html><script>if (1) {{}}</script>{SECRET} <b>boom</b></html>",
            r"failed with status 500: \[token\] boom",
        ),
        (429, "", "too many requests"),
        (200, "<html>hello</html>", "is this a Label Studio"),
        (200, {"release": "0.9.1"}, "needs 1.20 or later"),
        (200, {"release": "2.0.0"}, "below 2.0"),
        (200, {}, "states no version"),
        (404, {}, "status 404"),
        (404, "<html>nothing here</html>", "is this the address of a Label Studio"),
        (301, "", "sends one on to another address: name the right address"),
    ],
)
def test_every_failure_is_one_line_without_the_token(answering, status, body, words):
    url, answers, _ = answering
    answers["/api/version/"] = (status, body)
    with Server(url, SECRET) as server, pytest.raises(ServerError, match=words) as caught:
        server.check_version()
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_another_minor_version_is_remarked_and_used(answering, caplog):
    url, answers, _ = answering
    good_version(answers, "1.21.0")
    with Server(url, SECRET) as server:
        assert server.check_version() == "1.21.0"
    assert "proven with 1.23.2 only" in caplog.text


def test_a_server_that_is_not_there_is_named():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with Server(url, SECRET) as server, pytest.raises(ServerError, match="cannot be reached: is it running") as caught:
        server.check_version()
    assert not caught.value.maybe_done


def test_an_expired_personal_token_is_named_before_anything_is_sent(answering):
    url, _, asked = answering
    with pytest.raises(ServerError, match="has expired"):
        Server(url, jwt(time.time() - 10))
    assert asked == []


def test_a_personal_token_that_was_revoked_is_named(answering):
    url, answers, _ = answering
    token = jwt(time.time() + 1000)
    answers["/api/token/refresh/"] = (401, {"detail": f"Token is blacklisted: {token}"})
    with Server(url, token) as server, pytest.raises(ServerError, match="the token is wrong") as caught:
        server.check_version()
    assert token not in str(caught.value)


def test_nothing_logs_the_token_or_the_cookie_of_its_session(answering, caplog):
    url, answers, _ = answering
    good_version(answers)
    answers["/api/current-user/whoami"] = (200, {"id": 1}, {"Set-Cookie": "sessionid=5e5510n"})
    with caplog.at_level(logging.DEBUG), Server(url, SECRET) as server:
        server.check_version()
    assert SECRET not in caplog.text
    assert "5e5510n" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8080", "ftp://x", "http://", "", "http://a b", "http://x:99999", "http://x:y", "http://[::1"),
        *("http://x/?a=1", "http://x/#a"),
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError, match="not the address"):
        Server(url, SECRET)


def test_a_password_in_an_address_is_refused_and_not_shown():
    with pytest.raises(InputError, match="leave them out") as caught:
        Server(f"http://joe:{SECRET}@localhost", "x")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["HTTP://localhost:8080", " http://localhost:8080 ", "http://localhost:8080//"])
def test_an_address_is_read_with_good_will(url):
    with Server(url, SECRET) as server:
        assert server.url == "http://localhost:8080/"


def test_a_redirect_is_named_and_never_followed(answering):
    url, answers, asked = answering
    answers["/api/x"] = (302, "", {"Location": "https://elsewhere/api/x"})
    with Server(url, SECRET) as server:
        for ask in (lambda: server.get("api/x"), lambda: server.write("POST", "api/x", {})):
            with pytest.raises(ServerError, match="sends one on to https://elsewhere/api/x"):
                ask()
    assert len(asked) == 2


@pytest.mark.parametrize("status", [200, 301])
def test_an_access_token_that_does_not_come_is_named(answering, status):
    url, answers, _ = answering
    answers["/api/token/refresh/"] = (status, "<html>hello</html>")
    with Server(url, jwt(time.time() + 1000)) as server, pytest.raises(ServerError, match="gave no access token"):
        server.check_version()


def test_a_sub_path_is_kept(answering):
    url, answers, asked = answering
    answers["/annoter/api/version/"] = (200, {"release": "1.23.2"})
    answers["/annoter/api/current-user/whoami"] = (200, {"id": 1})
    with Server(f"{url}/annoter", SECRET) as server:
        server.check_version()
    assert asked[0] == ("GET", "/annoter/api/version/")


def test_a_write_is_sent_once_whatever_the_answer(answering):
    url, answers, asked = answering
    for status in (500, 502, 429, 409, 408):
        answers["/api/x"] = (status, {})
        with Server(url, SECRET) as server, pytest.raises(ServerError):
            server.write("POST", "api/x", {})
    assert len(asked) == 5


def test_a_read_is_repeated(answering):
    url, answers, asked = answering
    answers["/api/x"] = lambda _: (200, {"fine": 1}) if len(asked) > 1 else (502, {})
    with Server(url, SECRET) as server:
        assert server.get("api/x") == {"fine": 1}


def listing(total, *, missing_page=None, drop=()):
    def answer(path):
        page = int(path.split("page=")[1].partition("&")[0])
        if page == missing_page:
            return 404, {"detail": "Invalid page."}
        ids = [n for n in range(total) if n not in drop][(page - 1) * 250 : page * 250]
        return 200, {"total": total, "tasks": [{"id": n} for n in ids]}

    return answer


@pytest.mark.parametrize("total", [0, 1, 250, 251, 600])
def test_a_listing_is_read_whole(answering, total):
    url, answers, _ = answering
    answers["/api/tasks/"] = listing(total)
    with Server(url, SECRET) as server:
        found = server.pages("api/tasks/", {}, items="tasks", keep=lambda item: item["id"])
    assert found == list(range(total))


@pytest.mark.parametrize("broken", [{"missing_page": 2}, {"drop": (3, 7)}])
def test_a_listing_that_is_not_whole_is_an_error(answering, broken):
    url, answers, _ = answering
    answers["/api/tasks/"] = listing(600, **broken)
    with Server(url, SECRET) as server, pytest.raises(ServerError, match="of 600: the list is not whole"):
        server.pages("api/tasks/", {}, items="tasks", keep=lambda item: item)


def failing(*errors):
    left = list(errors)

    def write():
        if left:
            raise left.pop(0)
        return "written"

    return write


def test_after_a_failure_one_looks_before_one_writes_again(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    lost = ServerError("cut", maybe_done=True)
    assert writing(failing(lost), lambda: "found") == "found"
    assert writing(failing(lost, lost), lambda: None) == "written"
    with pytest.raises(ServerError, match="cut"):
        writing(failing(lost, lost, lost), lambda: None)
    with pytest.raises(ServerError, match="no"):
        writing(failing(ServerError("no", status=400)), lambda: pytest.fail("a refusal is final"))


def test_the_lock_keeps_a_second_run_out():
    with locked("http://a/", "p"):
        with pytest.raises(LockedError, match="another run on this machine is at it"), locked("http://a/", "p"):
            pass
        with locked("http://a/", "q"):
            pass
    with locked("http://a/", "p"):
        pass


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, RUN, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_line_says_one_line_and_exits_with_two(answering, tmp_path):
    url, answers, _ = answering
    answers["/api/version/"] = (401, {})
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = run("pull", "-o", str(tmp_path / "x.jsonl"), "--url", url, LABEL_STUDIO_API_KEY=SECRET, **env)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {url}/: the token is wrong")
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stdout + done.stderr
    assert run("pull", "-o", "x.jsonl", **env).stderr.startswith("error: $LABEL_STUDIO_API_KEY: no token")
    assert run("push", **env).returncode == 2
