"""One process of a function, from its start to its end.

A worker is never repaired: when its process dies or has to be killed the worker is thrown away and
the next invocation gets a new one. So no state of a broken process can leak into a later
invocation.
"""

from __future__ import annotations

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
    """The process ended, or said that it failed, before it asked for its first event."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.body.decode("utf-8", "replace"))
        self.response = response


class Worker:
    """A started process and the Runtime API that serves it; takes one invocation at a time."""

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
        """The process's id, which is also its group's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can still take an invocation."""
        return self._process.poll() is None

    def wait_ready(self, timeout: float | None = None) -> None:
        """Until the process asks for its first event. Raises InitError or TimeoutError."""
        self._ready.result(timeout)

    def invoke(self, invocation: Invocation) -> Response:
        """The answer, or the error that Lambda would report; after a timeout the process is dead."""
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
        """Ends the process and all it started, at once, and waits until it is gone."""
        if self.alive:  # of a process that has gone the id may be another's by now
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()

    # -- what the Runtime API asks

    def next_invocation(self) -> Invocation | None:
        """The first call of a process says that its initialisation is over."""
        if not self._ready.done():
            self._ready.set_result(None)
        return self._events.get()

    def respond(self, request_id: str, response: Response) -> bool:
        """An answer to a request that timed out finds nobody waiting."""
        with self._lock:
            if self._current is None or self._current[0] != request_id or self._current[1].done():
                return False
            self._current[1].set_result(response)
            return True

    def init_failed(self, body: bytes) -> None:
        """Keeps the runtime's own words, which say more than the exit status that follows."""
        if not self._ready.done():
            self._ready.set_exception(InitError(Response(body, is_error=True)))

    def _watch(self) -> None:
        code = self._process.wait()
        with self._lock:
            if self._current and not self._current[1].done():
                self._current[1].set_result(Response.exited(self._current[0], code))
        if not self._ready.done():
            self._ready.set_exception(InitError(Response.exited("init", code)))
        self._events.put(None)  # lets go of the handler that waits for a process that is gone
        self._api.close()


def _start(bootstrap: Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen:
    """In a group of its own, so that what the process starts is killed with it.

    A file that was just unpacked may be "busy" for a moment: another thread that starts a process
    at the same time has it open for writing until its own program runs.
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
