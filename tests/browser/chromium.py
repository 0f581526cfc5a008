"""Drives a headless Chromium with the DevTools Protocol over a pair of pipes, without a port or a
driver.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .install import chromium

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
ANSWER_SECONDS = 30
# The browser's file descriptors for the protocol.
READS, WRITES = 3, 4


class BrowserError(Exception):
    """The browser ended, did not answer, or rejected a command."""


class Browser:
    """A browser process with an empty profile, as a context manager."""

    def __enter__(self) -> Browser:
        found = chromium()
        self._folder = tempfile.TemporaryDirectory(
            prefix="shoplake-browser-", ignore_cleanup_errors=True
        )
        profile = Path(self._folder.name)
        self._log = profile / "browser.log"
        commands, self._to = _pipe()
        self._from, answers = _pipe()
        # Bash renumbers the pipes as the browser expects, because subprocess keeps their numbers.
        script = f'exec "$@" {READS}<&{commands} {WRITES}>&{answers} {commands}<&- {answers}>&-'
        command = [
            "bash",
            "-c",
            script,
            "browser",
            str(found.program),
            *FLAGS,
            f"--user-data-dir={profile / 'profile'}",
            "about:blank",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "HOME": str(profile), **found.environment},
                pass_fds=(commands, answers),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(commands)
        os.close(answers)
        self._buffer, self._number, self.events = b"", 0, []
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its answer; keeps events that arrive before it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(ANSWER_SECONDS)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]

    def wait_for(self, event: str, session: str) -> None:
        """Waits for an event."""
        until = time.monotonic() + ANSWER_SECONDS
        while not any(e["method"] == event and e.get("sessionId") == session for e in self.events):
            self._receive(until - time.monotonic())

    def _receive(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(0.0, until - time.monotonic()))[0]:
                end = self._log.read_text()[-3000:]
                raise BrowserError(f"the browser is silent for {seconds:.0f} s; its log:\n{end}")
            if not (part := os.read(self._from, 1 << 20)):
                raise BrowserError(f"the browser ended; its log:\n{self._log.read_text()[-3000:]}")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    @contextmanager
    def page(
        self, url: str, width: int, height: int, *, dark: bool = False, scripts: bool = True
    ) -> Iterator[Page]:
        """Loads a page in a window of this size; a width below 600 emulates a phone."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        try:
            session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = Page(self, session)
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.call(f"{domain}.enable")
            page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            page.call(
                "Emulation.setEmulatedMedia",
                features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
            )
            page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
            self.events.clear()
            page.call("Page.navigate", url=url)
            self.wait_for("Page.loadEventFired", session)
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)


def _pipe() -> tuple[int, int]:
    """Returns a pipe with descriptors above those that the browser expects."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command to this tab."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, script: str) -> Any:
        """Returns the value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def problems(self) -> list[Any]:
        """Returns messages of the console, uncaught errors and dialogs."""
        names = (
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        )
        return [event["params"] for event in self._events() if event["method"] in names]

    def requests(self) -> list[str]:
        """Returns the requested addresses."""
        return [
            event["params"]["request"]["url"]
            for event in self._events()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def pdf(self) -> bytes:
        """Returns the printed page as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def _events(self) -> list[dict[str, Any]]:
        return [event for event in self._browser.events if event.get("sessionId") == self._session]
