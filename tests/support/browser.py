"""A headless Chromium driven through its own pipes (DevTools protocol), so that no driver has to be installed."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 900  # a machine under load may stand still for minutes


class Browser:
    """One page in one headless Chromium; use it as a context manager.

    Attributes:
        faults: what the console reported so far: uncaught errors, console.error, refusals of the content policy.
    """

    def __init__(self, profile: Path):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # bash moves the two ends to the descriptors 3 and 4, where --remote-debugging-pipe expects them; from above
        # these, so that neither move hits the other end.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]
        command = 'exec "$0" "$@" 3<&{} 4>&{}'.format(*ends)
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, *flags, "--hide-scrollbars", f"--user-data-dir={profile}", "about:blank"],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (commands, answers, *ends):
            os.close(end)
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self.faults: list[str] = []

    def __enter__(self) -> "Browser":
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result, keeping events that arrive meanwhile."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        with os.fdopen(self._commands, "wb", closefd=False) as stream:
            stream.write(json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            content = os.read(self._answers, 1 << 16)
            assert content, f"Chromium ended with status {self._process.wait()}"
            self._unread += content
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details["text"])
        elif event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
            self.faults.append(str([value.get("value") for value in given["args"]]))
        elif event["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.faults.append(given["entry"]["text"])
        elif event["method"] == "Network.requestWillBeSent" and not given["request"]["url"].startswith(
            ("file:", "data:")
        ):
            self.faults.append(f"asked the network for {given['request']['url']}")

    def open(
        self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False, phone: bool = False
    ) -> None:
        """Load a file and wait until it has drawn."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.readyState === 'complete'")
        self.settle()

    def settle(self) -> None:
        """Wait two frames: the second is for the observer of sizes, which asks for another."""
        self.run(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
        )

    def run(self, script: str) -> Any:
        """Evaluate a JavaScript expression and await its value."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        start = time.monotonic()
        while not self.run(condition):
            assert time.monotonic() - start < PATIENCE_S, f"never true: {condition}"
            time.sleep(0.02)

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view and return its centre in pixels of the window."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        return tuple(
            self.run(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({found}.getBoundingClientRect())")
        )

    def mouse(self, kind: str, x: float, y: float, buttons: int = 0) -> None:
        """Send a real mouse event: mouseMoved, mousePressed or mouseReleased."""
        pressed = {"button": "left", "clickCount": 1} if kind != "mouseMoved" or buttons else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **pressed)

    def click(self, selector: str) -> None:
        """Press and release the mouse on an element."""
        x, y = self.middle(selector)
        self.mouse("mousePressed", x, y, buttons=1)
        self.mouse("mouseReleased", x, y)
        self.settle()

    def press(self, key: str) -> None:
        """Press and release a key of that name, such as ArrowRight."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        self.settle()

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, as PNG."""
        picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))
