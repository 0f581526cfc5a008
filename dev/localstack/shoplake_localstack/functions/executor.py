"""LocalStack's side: one executor is one execution environment of a function's version."""

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
    """Runs `provided.*` functions as processes that reach nothing but this machine's loopback
    interface by default.
    """

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._sandbox: Sandbox | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        """Blocks until the function has initialised; LocalStack calls `stop` when that takes too
        long.
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
                "The function's initialisation failed", payload=error.response.body
            ) from error

    def stop(self) -> None:
        """May come from another thread while an invocation runs, which then reports that its
        process was killed.
        """
        if self._sandbox:
            self._sandbox.close()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Answers directly; the HTTP endpoint that LocalStack's containers report to is not needed."""
        configuration = self.function_version.config
        invocation = Invocation(
            request_id=payload["invoke-id"],
            payload=payload["payload"].encode(),
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
            timeout=float(configuration.timeout),
        )
        began = time.monotonic()
        response = self._sandbox.invoke(
            invocation, init_timeout=config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT
        )
        logs = self._log(invocation, response, milliseconds=(time.monotonic() - began) * 1000)
        return InvocationResult(
            invocation.request_id, response.body, is_error=response.is_error, logs=logs
        )

    def _log(self, invocation: Invocation, response: Response, milliseconds: float) -> str:
        """The function's output between the lines that Lambda puts around it in CloudWatch."""
        request, memory = (
            f"RequestId: {invocation.request_id}",
            self.function_version.config.memory_size,
        )
        note = ""
        if response.is_error and b'"Sandbox.Timedout"' in response.body:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            note = f"{now} {invocation.request_id} Task timed out after {invocation.timeout:.2f} seconds\n"
        elif response.is_error and b'"Runtime.ExitError"' in response.body:
            note = response.body.decode() + "\n"
        return (
            f"START {request} Version: {self.function_version.id.qualifier}\n{self._sandbox.new_log()}{note}END {request}\n"
            f"REPORT {request}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {int(milliseconds) + 1} ms\t"
            f"Memory Size: {memory} MB\tMax Memory Used: {memory} MB\n"
        )

    def get_logs(self) -> str:
        """Asked for when an environment fails to start."""
        return self._sandbox.new_log() if self._sandbox else ""

    def get_address(self) -> str:
        """Functions and LocalStack share the machine."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Becomes the host of the function's AWS_ENDPOINT_URL."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Nothing asks there; LocalStack puts it into the environment all the same."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpacks the code. What is raised here becomes the function's state `Failed` with its
        reason.
        """
        runtime = function_version.config.runtime
        if not (runtime or "").startswith("provided"):
            raise NotImplementedError(
                f"expected a runtime provided.*, got {runtime}: only those can run as a process here"
            )
        function_version.config.code.prepare_for_execution()
        bootstrap = Path(function_version.config.code.get_unzipped_code_location(), "bootstrap")
        if not bootstrap.is_file():
            raise FileNotFoundError(
                "expected a file `bootstrap` at the top of the function's package, found none"
            )
        bootstrap.chmod(0o755)

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """The unpacked code stays: another version may share it, and the cloud's folder goes as a
        whole in the end.
        """


def _environment(env_vars: dict[str, str]) -> dict[str, str]:
    """LocalStack's variables for the function, a name by which its calls are recognised, and the
    mark of a leftover process.
    """
    environment = {name: str(value) for name, value in env_vars.items() if value is not None}
    environment.pop("AWS_LAMBDA_FUNCTION_TIMEOUT", None)  # there in LocalStack's containers only
    environment.setdefault("AWS_SDK_UA_APP_ID", environment["AWS_LAMBDA_FUNCTION_NAME"])
    if MARKER in os.environ:
        environment[MARKER] = os.environ[MARKER]
    return environment
