"""An execution environment: one worker at a time, its folder and its log.

Does not use LocalStack, so tests need only a script.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .invocation import Invocation, Response
from .worker import InitError, Worker

_LOG_KEPT_BYTES = 1 << 20


class Sandbox:
    """Runs the `bootstrap` in `code`, and starts it again after its process has ended.

    Creates `folder` with the files `pid` and `log` and the folder `tmp`; `close` removes it. Tests
    read `pid` to kill the process.
    """

    def __init__(self, code: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._bootstrap = code / "bootstrap"
        self._folder = folder
        self._log = folder / "log"
        self._log_read = 0
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            **environment,
            "LAMBDA_TASK_ROOT": str(code),
            "TMPDIR": str(temporary),
            "HOME": str(temporary),
        }
        self._worker: Worker | None = None
        self._closed = False

    def start(self, timeout: float | None = None) -> None:
        """Starts the process and waits until it is ready. Raises InitError or TimeoutError."""
        self._start(timeout)

    def _start(self, timeout: float | None) -> Worker:
        worker = Worker(self._bootstrap, self._environment, self._log)
        self._worker = worker
        (self._folder / "pid").write_text(f"{worker.pid}\n")
        if self._closed:  # `close` ran before the process existed
            worker.kill()
        try:
            worker.wait_ready(timeout)
        except BaseException:
            worker.kill()
            raise
        return worker

    def invoke(self, invocation: Invocation, init_timeout: float | None = None) -> Response:
        """Invokes the function, starting it if necessary. A crash, a timeout and a failed start are
        error responses, not exceptions.
        """
        worker = self._worker
        if worker is None or not worker.alive:
            try:
                worker = self._start(init_timeout)
            except InitError as error:
                return error.response
            except TimeoutError:
                return Response.timed_out(invocation.request_id, init_timeout or 0)
        return worker.invoke(invocation)

    def new_log(self) -> str:
        """Returns the output to stdout and stderr since the last call."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._log_read)
            data = file.read()
        self._log_read += len(data)
        if self._log_read > _LOG_KEPT_BYTES:  # the process appends to the emptied file
            self._log.open("wb").close()
            self._log_read = 0
        text = data.decode("utf-8", "replace")
        return text if not text or text.endswith("\n") else f"{text}\n"

    def close(self) -> None:
        """Ends the process, even during an invocation, and removes the folder."""
        self._closed = True
        if self._worker:
            self._worker.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
