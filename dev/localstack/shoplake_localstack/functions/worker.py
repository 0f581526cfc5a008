"""A process of a function, from its start to its end.

A worker is not restarted: after its process has ended, the next invocation gets a new worker. So no
state of a failed process reaches a later invocation.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

from .invocation import Invocation, Response
from .runtime_api import RuntimeApi

_BUSY_SECONDS = 2


class InitError(Exception):
    """The process ended, or reported an error, before it asked for its first event."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.body.decode("utf-8", "replace"))
        self.response = response


class Worker:
    """A started process and its Runtime API; runs one invocation at a time."""

    def __init__(self, bootstrap: Path, environment: Mapping[str, str], log: Path) -> None:
        self._lock = threading.Lock()
        self._events: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._ready: Future[None] = Future()
        self._current: tuple[str, Future[Response]] | None = None
        self._api = RuntimeApi(self)
        try:
            self._process = _start(
                bootstrap, {**environment, "AWS_LAMBDA_RUNTIME_API": self._api.address}, log
            )
        except OSError as error:
            self._api.close()
            raise InitError(
                Response.error("Runtime.InvalidEntrypoint", f"{bootstrap}: {error}")
            ) from error
        threading.Thread(target=self._watch, daemon=True, name=f"function-{self.pid}").start()

    @property
    def pid(self) -> int:
        """Returns the id of the process and of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Returns whether the process runs."""
        return self._process.poll() is None

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until the process asks for its first event. Raises InitError or TimeoutError."""
        self._ready.result(timeout)

    def invoke(self, invocation: Invocation) -> Response:
        """Returns the answer, or the error that Lambda reports. A timeout kills the process."""
        answer: Future[Response] = Future()
        with self._lock:
            if not self.alive:
                return Response.exited(invocation.request_id, self._process.returncode)
            self._current = (invocation.request_id, answer)
        self._events.put(invocation)
        try:
            return answer.result(invocation.timeout).limited()
        except FutureTimeout:
            self.kill()
            return Response.timed_out(invocation.request_id, invocation.timeout)
        finally:
            with self._lock:
                self._current = None

    def kill(self) -> None:
        """Kills the process and its children, and waits for its end."""
        if self.alive:  # another process may have the id of one that has ended
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    # The Runtime API calls these methods.

    def next_invocation(self) -> Invocation | None:
        """Waits for the next invocation. The first call ends the initialisation."""
        if not self._ready.done():
            self._ready.set_result(None)
        return self._events.get()

    def respond(self, request_id: str, response: Response) -> bool:
        """Accepts an answer, unless its request has timed out."""
        with self._lock:
            if self._current is None or self._current[0] != request_id or self._current[1].done():
                return False
            self._current[1].set_result(response)
            return True

    def init_failed(self, body: bytes) -> None:
        """Keeps the runtime's error, which says more than the exit status that follows."""
        if not self._ready.done():
            self._ready.set_exception(InitError(Response(body, is_error=True)))

    def _watch(self) -> None:
        code = self._process.wait()
        with self._lock:
            if self._current and not self._current[1].done():
                self._current[1].set_result(Response.exited(self._current[0], code))
        if not self._ready.done():
            self._ready.set_exception(InitError(Response.exited("init", code)))
        self._events.put(None)  # ends the handler that waits for the ended process
        self._api.close()


def _start(bootstrap: Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts the process in its own group, so that its children are killed with it.

    A file that was just unpacked may be busy: a process that another thread starts has it open for
    writing until its own program runs.
    """
    until = time.monotonic() + _BUSY_SECONDS
    with log.open("ab") as output:
        while True:
            try:
                return subprocess.Popen(
                    [bootstrap],
                    cwd=bootstrap.parent,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                if error.errno != errno.ETXTBSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)
