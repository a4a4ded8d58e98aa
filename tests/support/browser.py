"""Debian's Chromium without a screen, driven by its DevTools protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/; messages end with a NUL byte (--remote-debugging-pipe).
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """A page in a browser.

    Args:
        to: the pipe that it reads commands from.
        of: the pipe that it writes answers and events to.
    """

    def __init__(self, to: int, of: int) -> None:
        self._to, self._of = to, of
        self._rest = b""
        self._last = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._last, "method": method, "params": parameters, **session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT
        while b"\0" not in self._rest:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._of, selectors.EVENT_READ)
                assert waiting.select(deadline - time.monotonic()), "the browser does not answer"
            piece = os.read(self._of, 1 << 16)
            assert piece, "the browser has ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, file: Path) -> None:
        """Open a file, and wait until it has been loaded."""
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key, key if key not in _KEYS else "")
        details = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": _KEYS.get(key, 0)}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **details)
            self.call("Input.dispatchKeyEvent", type="keyUp", **details)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Set the size of the window, in CSS pixels."""
        scale = 2 if mobile else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def prefer(self, scheme: str) -> None:
        """Set whether the person prefers a light or a dark page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Return a picture of the window, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    @property
    def problems(self) -> list[str]:
        """What the page was refused, or failed at: the errors in its console, and what it threw."""
        logged = [event["params"]["entry"]["text"] for event in self.events if event["method"] == "Log.entryAdded"]
        thrown = [str(event["params"]) for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        return [*logged, *thrown]

    @property
    def requested(self) -> list[str]:
        """The addresses that the page has asked for; not those that its own policy has refused."""
        found = {}
        for event in self.events:
            details = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                found[details["requestId"]] = details["request"]["url"]
            elif event["method"] == "Network.loadingFailed" and details.get("blockedReason") == "csp":
                del found[details["requestId"]]
        return [url for url in found.values() if not url.startswith("data:")]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Run Chromium as long as the block lasts. Args: folder: for what it keeps."""
    (commands, to), (of, answers) = os.pipe(), os.pipe()
    line = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-extensions", "--disable-component-update", "--mute-audio",
        "--hide-scrollbars", f"--user-data-dir={folder}", "--remote-debugging-pipe",
    ]  # fmt: skip
    shell = f'exec "$@" 3<&{commands} 4>&{answers}'
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *line],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(commands, answers), start_new_session=True,
        )  # fmt: skip
    os.close(commands)
    os.close(answers)
    try:
        yield Browser(to, of)
    finally:
        os.close(to)
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        os.close(of)
