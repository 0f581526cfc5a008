"""LocalStack's executor: an execution environment of a function's version."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from ..local.marker import MARKER
from . import FUNCTIONS_DIRECTORY
from .invocation import Invocation, Response
from .sandbox import Sandbox
from .worker import InitError


class ProcessRuntimeExecutor(RuntimeExecutor):
    """Runs a `provided.*` function as a process, whose endpoints are on the loopback interface."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._sandbox: Sandbox | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        """Starts the function and waits until it has initialised. LocalStack calls `stop` if that
        takes too long.
        """
        code = self.function_version.config.code.get_unzipped_code_location()
        directory = Path(
            os.environ.get(FUNCTIONS_DIRECTORY) or tempfile.gettempdir(),
            self.function_version.id.function_name,
        )
        self._sandbox = Sandbox(Path(code), directory / self.id, _environment(env_vars))
        try:
            self._sandbox.start()
        except InitError as error:
            raise StatusErrorException(
                "the function's initialisation failed", payload=error.response.body
            ) from error

    def stop(self) -> None:
        """Ends the process. Another thread may call this during an invocation, which then reports
        that its process was killed.
        """
        if self._sandbox:
            self._sandbox.close()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Invokes the process and returns its answer."""
        configuration = self.function_version.config
        invocation = Invocation(
            request_id=payload["invoke-id"],
            payload=payload["payload"].encode(),
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
            timeout=float(configuration.timeout),
        )
        if self._sandbox is None:
            raise RuntimeError("expected a started environment")
        began = time.monotonic()
        response = self._sandbox.invoke(
            invocation, init_timeout=config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT
        )
        logs = self._log(invocation, response, milliseconds=(time.monotonic() - began) * 1000)
        return InvocationResult(
            invocation.request_id, response.body, is_error=response.is_error, logs=logs
        )

    def _log(self, invocation: Invocation, response: Response, milliseconds: float) -> str:
        """Returns the function's output between the lines that Lambda adds in CloudWatch."""
        request = f"RequestId: {invocation.request_id}"
        memory = self.function_version.config.memory_size
        note = ""
        if response.is_error and b'"Sandbox.Timedout"' in response.body:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            limit = f"{invocation.timeout:.2f} seconds"
            note = f"{now} {invocation.request_id} Task timed out after {limit}\n"
        elif response.is_error and b'"Runtime.ExitError"' in response.body:
            note = response.body.decode() + "\n"
        return (
            f"START {request} Version: {self.function_version.id.qualifier}\n"
            f"{self.get_logs()}{note}END {request}\n"
            f"REPORT {request}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\t"
            f"Memory Size: {memory} MB\tMax Memory Used: {memory} MB\n"
        )

    def get_logs(self) -> str:
        """Returns the new output; LocalStack asks for it if an environment fails to start."""
        return self._sandbox.new_log() if self._sandbox else ""

    def get_address(self) -> str:
        """Returns the address of functions and LocalStack: this machine."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Returns the host of the function's AWS_ENDPOINT_URL."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Returns an address for LocalStack's environment variable, which no process uses."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpacks the code. An error becomes the reason of the function's state `Failed`."""
        runtime = function_version.config.runtime
        if not (runtime or "").startswith("provided"):
            raise NotImplementedError(
                f"invalid runtime {runtime}: expected provided.*, which runs as a process"
            )
        function_version.config.code.prepare_for_execution()
        bootstrap = Path(function_version.config.code.get_unzipped_code_location(), "bootstrap")
        if not bootstrap.is_file():
            raise FileNotFoundError("the function's package has no file `bootstrap` at its top")
        bootstrap.chmod(0o755)

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Keeps the unpacked code, which another version may share until the cloud ends."""


def _environment(env_vars: dict[str, str]) -> dict[str, str]:
    """Returns LocalStack's variables for the function, with the names that identify its calls and
    its process.
    """
    environment = {name: str(value) for name, value in env_vars.items() if value is not None}
    environment.pop("AWS_LAMBDA_FUNCTION_TIMEOUT", None)  # AWS does not set it
    environment.setdefault("AWS_SDK_UA_APP_ID", environment["AWS_LAMBDA_FUNCTION_NAME"])
    if MARKER in os.environ:
        environment[MARKER] = os.environ[MARKER]
    return environment
