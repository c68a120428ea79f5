"""A page in headless Chromium: what it asked for, what it complained of, how it is laid out.

The browser is spoken to through a pipe (``--remote-debugging-pipe``), so that nothing but the standard library is
needed. Whoever uses this is skipped where there is no browser.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
SECONDS = 120.0
LAYOUT = """(async () => {
  const pictures = [...document.images];
  await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
  return {
    width: innerWidth, content: document.scrollingElement.scrollWidth, pictures: pictures.length,
    lost: pictures.filter(picture => !picture.naturalWidth).map(picture => picture.alt),
    unnamed: pictures.filter(picture => !picture.alt).length,
  };
})()"""


class Browser:
    """A browser with one page; use it in a ``with``."""

    def __init__(self):
        if CHROMIUM is None:
            pytest.skip(f"none of {', '.join(NAMES)} is installed")
        self.number, self.session, self.events, self.unread = 0, None, [], b""

    def __enter__(self):
        self.profile = tempfile.mkdtemp()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (*os.pipe(), *os.pipe())]
        heard, self.say, self.hear, said = ends

        def wire():
            os.dup2(heard, 3)
            os.dup2(said, 4)

        command = [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, preexec_fn=wire, close_fds=False, **quiet)  # noqa: PLW1509
        os.close(heard)
        os.close(said)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        for end in (self.say, self.hear):
            os.close(end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **params):
        """Return the result of a command of the DevTools protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.say, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda said: said.get("id") == self.number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _until(self, wanted):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            while b"\0" in self.unread:
                message, _, self.unread = self.unread.partition(b"\0")
                said = json.loads(message)
                if "method" in said:
                    self.events.append(said)
                if wanted(said):
                    return said
            if select.select([self.hear], [], [], 1)[0]:
                self.unread += os.read(self.hear, 1 << 20)
        raise TimeoutError("the browser did not answer")

    def open(self, page: Path):
        """Show a page and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        if not any(said["method"] == "Page.loadEventFired" for said in self.events):
            self._until(lambda said: said.get("method") == "Page.loadEventFired")

    def resize(self, width, height=900):
        """Lay the page out as on a screen of so many CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def prefer(self, scheme):
        """Ask for ``light`` or ``dark`` colours, as a person's settings do."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def evaluate(self, script):
        """Return the value of a script."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def layout(self, width):
        """Return how the page is laid out at a width."""
        self.resize(width)
        return self.evaluate(LAYOUT)

    def press(self, key, code):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, file: Path):
        """Write a PNG of the whole page."""
        height = self.evaluate("document.scrollingElement.scrollHeight")
        size = {"x": 0, "y": 0, "width": self.evaluate("innerWidth"), "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=size, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    @property
    def requests(self):
        """Addresses that were asked for, the page's own and data within it left out."""
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked[1:] if not url.startswith("data:")]

    @property
    def complaints(self):
        """Errors and warnings of the console."""
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [event["params"] for event in self.events if event["method"] in kinds]
