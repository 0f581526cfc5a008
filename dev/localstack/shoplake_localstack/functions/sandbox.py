"""An execution environment: one worker at a time, its folder, its log.

Knows nothing of LocalStack, so that it can be tested with a script and no cloud.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .invocation import Invocation, Response
from .worker import InitError, Worker

_LOG_KEPT_BYTES = 1 << 20


class Sandbox:
    """Runs the `bootstrap` in `code`, and starts it again when its process has gone.

    `folder` is created, holds `pid` (for whoever wants to kill the process), `log` and `tmp`, and
    is removed by `close`.
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
        """Starts the process and waits until it takes events. Raises InitError or TimeoutError."""
        worker = Worker(self._bootstrap, self._environment, self._log)
        self._worker = worker
        (self._folder / "pid").write_text(f"{worker.pid}\n")
        if self._closed:  # closed while the process was being started: nobody else would end it
            worker.kill()
        try:
            worker.wait_ready(timeout)
        except BaseException:
            worker.kill()
            raise

    def invoke(self, invocation: Invocation, init_timeout: float | None = None) -> Response:
        """Never raises for what the function does: a crash, a timeout, a failed start are all
        answers.
        """
        if self._worker is None or not self._worker.alive:
            try:
                self.start(init_timeout)
            except InitError as error:
                return error.response
            except TimeoutError:
                return Response.timed_out(invocation.request_id, init_timeout or 0)
        return self._worker.invoke(invocation)

    def new_log(self) -> str:
        """What was written to stdout and stderr since the last call."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._log_read)
            data = file.read()
        self._log_read += len(data)
        if self._log_read > _LOG_KEPT_BYTES:  # the process appends, so it goes on at the new end
            self._log.open("wb").close()
            self._log_read = 0
        text = data.decode("utf-8", "replace")
        return text if not text or text.endswith("\n") else f"{text}\n"

    def close(self) -> None:
        """Ends the process, also in the middle of an invocation, and leaves nothing behind."""
        self._closed = True
        if self._worker:
            self._worker.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
