"""``annotator serve`` as a process: started, reloaded, stopped, and what it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from process import CODE, serving

SECRET = "f00dfeedf00dfeedf00dfeed"
LONG = "\n".join(f"Selon la capitainerie, le quai numéro {n} est prêt, une décision courageuse." for n in range(300))


@pytest.fixture(scope="module")
def models(repository, tmp_path_factory):
    """A copy of the version in use, and a second one that differs in its calibration."""
    folder = tmp_path_factory.mktemp("models")
    first = (repository / "models" / "CURRENT").read_text(encoding="utf-8").strip()
    for name in (first, "fr-000000000000"):
        shutil.copytree(repository / "models" / first, folder / name)
    manifest = folder / "fr-000000000000" / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    data["version"] = "fr-000000000000"
    data["calibration"]["temperature"] = 9.0
    manifest.write_text(json.dumps(data), encoding="utf-8")
    damaged = folder / "fr-111111111111"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{", encoding="utf-8")
    (folder / "CURRENT").write_text(first + "\n", encoding="utf-8")
    return folder


def use(models, version):
    part = models / ".part"
    part.write_text(version + "\n", encoding="utf-8")
    part.replace(models / "CURRENT")


def test_it_reloads_when_current_changes_and_keeps_the_old_model_when_the_new_is_damaged(models, tmp_path):
    first = (models / "CURRENT").read_text(encoding="utf-8").strip()
    page = {"text": "Le préfet a démenti, selon la radio locale."}
    with serving(tmp_path, models) as (url, process, log):
        before = httpx.post(f"{url}/score", json=page, timeout=30).json()
        assert before["model_version"] == first
        use(models, "fr-111111111111")
        try:
            assert httpx.post(f"{url}/score", json=page, timeout=30).json() == before
            use(models, "fr-000000000000")
            after = httpx.post(f"{url}/score", json=page, timeout=30).json()
        finally:
            use(models, first)
        assert after["model_version"] == "fr-000000000000"
        assert after["segments"][0]["confidence"] < before["segments"][0]["confidence"]
        assert len(re.findall("model not changed", log())) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "Traceback" not in log()


def test_sigterm_lets_a_request_finish(models, tmp_path):
    with serving(tmp_path, models, "--seconds", "300") as (url, process, log):
        httpx.get(f"{url}/health")
        answers = []
        body = [{"article_id": str(n), "text": LONG} for n in range(2)]
        sender = threading.Thread(target=lambda: answers.append(httpx.post(f"{url}/score", json=body, timeout=300)))
        sender.start()
        time.sleep(0.5)
        assert not answers
        process.send_signal(signal.SIGTERM)
        sender.join()
        assert [len(record["segments"]) >= 300 for record in answers[0].json()] == [True, True]
        assert process.wait(10) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
        assert "Traceback" not in log()


class Recorder(BaseHTTPRequestHandler):
    """Stands where Label Studio would: refuses everything, and notes that it was asked."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(json.dumps({"detail": f"bad {SECRET}"}).encode())

    def log_message(self, *_):
        pass


def test_hooks_make_pulls_and_no_secret_is_ever_written(models, tmp_path):
    pytest.importorskip("label_studio_sdk", reason="the extra labelstudio is not installed")
    studio = HTTPServer(("127.0.0.1", 0), Recorder)
    studio.asked = []
    threading.Thread(target=studio.serve_forever, daemon=True).start()
    (tmp_path / "pulled").mkdir()
    options = (
        *("--pull-to", str(tmp_path / "pulled"), "--pull-pause", "0.1", "--user", "port"),
        *("--url", f"http://127.0.0.1:{studio.server_port}"),
    )
    secrets = {"LABEL_STUDIO_API_KEY": SECRET, "ANNOTATOR_SERVE_PASSWORD": SECRET + "5"}
    try:
        with serving(tmp_path, models, *options, verbose=True, **secrets) as (url, process, log):
            end = time.monotonic() + 15
            while log().count("pull failed") < 1 and time.monotonic() < end:
                time.sleep(0.05)
            asked = len(studio.asked)
            hook = {"action": "ANNOTATION_CREATED", "project": {"token": SECRET}}
            assert httpx.post(f"{url}/webhook", json=hook).status_code == 401
            login = ("port", SECRET + "5")
            assert httpx.post(f"{url}/webhook", json=hook, auth=login).status_code == 200
            while log().count("pull failed") < 2 and time.monotonic() < end:
                time.sleep(0.05)
            assert len(studio.asked) > asked
            assert any(SECRET in header for header in studio.asked)
            assert httpx.post(f"{url}/setup", json={"access_token": SECRET}).status_code == 401
            answer = httpx.post(f"{url}/setup?token={SECRET}", json={"access_token": SECRET}, auth=login)
            assert answer.status_code == 200
            assert httpx.post(f"{url}/predict", content=SECRET.encode(), auth=login).status_code == 422
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert "POST /setup 200" in log()
            assert SECRET not in log()
            assert "Traceback" not in log()
    finally:
        studio.shutdown()
        studio.server_close()


def run(models, *options, code=CODE, **variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ANNOTATOR", "LABEL_STUDIO"))} | variables
    args = ["serve", "--models", str(models), *options]
    return subprocess.run(
        [sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_cannot_start_is_one_line(models, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases = [
            (("--port", str(taken.getsockname()[1])), "cannot listen"),
            (("--user", "port"), "ANNOTATOR_SERVE_PASSWORD"),
            (("--pull-to", str(tmp_path / "nowhere")), "no such folder"),
            (("--model", "fr-111111111111"), "is not JSON"),
        ]
        for options, words in cases:
            done = run(models, *options)
            assert done.returncode == 2, options
            assert words in done.stderr
            assert len(done.stderr.splitlines()) == 1, done.stderr


def test_without_the_extra_it_names_the_command(models):
    done = run(models, code="import sys; sys.modules['fastapi'] = None; " + CODE.removeprefix("import sys; "))
    assert done.returncode == 2
    assert done.stderr.strip().endswith("run  pip install 'annotator[serve]'")
    assert len(done.stderr.splitlines()) == 1
