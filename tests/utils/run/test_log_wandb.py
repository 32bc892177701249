"""W&B by the installed wandb itself: where it cannot be reached the run continues; offline it needs no account."""

import os
import subprocess
import sys

import pytest

from tests.conftest import REPO
from tests.support.light_runs import metrics

# A server that says yes to a new run and goes away before or after it. The limits of utils/run/log.py are shortened.
PROGRAM = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from utils.run import log

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        name = json.loads(body).get("operationName") if body else None
        if name in (None, "CreateRunFiles"):  # on a slow machine files are sent before the server goes away
            return self.send_error(400)
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
        bucket = {"id": "i", "name": "n", "displayName": "n", "historyLineCount": 0, "project": project}
        answers = {"UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        content = json.dumps({"data": answers.get(name, {})}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
if sys.argv[2] == "later":
    threading.Thread(target=server.serve_forever, daemon=True).start()
else:
    server.server_close()
import os
os.environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{server.server_port}"
log.WANDB_START_S, log.WANDB_FINISH_S = (1 if sys.argv[2] == "at once" else 60), 2
report = log.RunLog(Path(sys.argv[1]), wandb_mode="offline" if sys.argv[2] == "never there" else "online", name="n")
report.metrics({"epoch": 0})
if sys.argv[2] == "later":
    assert report._wandb is not None
    server.shutdown()
    server.server_close()
report.metrics({"epoch": 1})
report.line("the run goes on")
report.close()
"""


def run(folder, gone, **variables):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), gone],
        cwd=REPO, capture_output=True, text=True, timeout=300,
        env=clean | {"HOME": str(folder), "WANDB_SILENT": "true"} | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "gone, warning", [("at once", "W&B is off for this run"), ("later", "W&B did not take the last")]
)
def test_a_server_that_cannot_be_reached_neither_stops_nor_holds_up_a_run(tmp_path, gone, warning):
    assert warning in run(tmp_path, gone, WANDB_API_KEY="a" * 40)
    assert "the run goes on" in (tmp_path / "run.log").read_text()
    assert metrics(tmp_path, "epoch") == [0, 1]


def test_offline_needs_no_account(tmp_path):
    assert "warning" not in run(tmp_path, "never there")
    assert list((tmp_path / "wandb").glob("offline-run-*"))
