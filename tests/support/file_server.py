"""HTTP server of a folder that can misbehave."""

import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="URLs are fetched by curl, which is not installed")


class Handler(SimpleHTTPRequestHandler):
    """Serves half of each file in `cut`, nothing of those in `stalled`, and half of those in `shaky` twice.

    Of files in `ranged` it serves what a Range header asks for, but of the first two times only half of it; `starts`
    lists where each answer began.
    """

    cut, stalled, shaky, ranged = (), (), (), ()
    release = threading.Event()

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        if name in self.stalled:
            self.release.wait(60)
            self.close_connection = True
        elif name in self.cut or (name in self.shaky and self.asked.setdefault(name, 0) < 2):
            self.asked[name] = self.asked.get(name, 0) + 1
            raw = (Path(self.directory) / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw[: len(raw) // 2])
        elif name in self.ranged:
            raw = (Path(self.directory) / name).read_bytes()
            first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.starts.append(first)
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(raw) - first))
            self.send_header("Content-Range", f"bytes {first}-{len(raw) - 1}/{len(raw)}")
            self.end_headers()
            self.wfile.write(raw[first : (first + len(raw)) // 2 if len(self.starts) < 3 else None])
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@contextmanager
def serving(folder, **behaviour):
    """Serve a folder; yield its URL."""
    handler = type("Behaving", (Handler,), behaviour | {"release": threading.Event(), "asked": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    server.daemon_threads = False  # server_close waits for them, so that no connection outlives the server
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        handler.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
