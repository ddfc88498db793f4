"""``annotator serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager

CODE = "import sys; sys.argv[0] = 'annotator'; from annotator.cli import main; main()"


@contextmanager
def serving(folder, models, *options, verbose=False, **variables):
    """Start a server on a free port; yield its address, its process and a function that reads its log."""
    log = folder / "log.txt"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ANNOTATOR", "LABEL_STUDIO"))}
    env |= {"PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": str(folder), **variables}
    args = [*(["-v"] if verbose else []), "serve", "--port", "0", "--models", str(models), "--threads", "1", *options]
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", CODE, *args], env=env, stdout=out, stderr=out)
    try:
        end, found = time.monotonic() + 30, None
        while found is None and process.poll() is None and time.monotonic() < end:
            found = re.search(r"listening on (\S+)", log.read_text(encoding="utf-8"))
            time.sleep(0.02)
        assert found, log.read_text(encoding="utf-8")
        yield found[1], process, lambda: log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
