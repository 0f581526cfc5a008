"""What goes into a function and what comes out of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

MAX_RESPONSE_BYTES = 6_291_556
"""Lambda's limit of a synchronous response (6 MB and a little for the envelope)."""


@dataclass(frozen=True)
class Invocation:
    """One event on its way to a function."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    timeout: float

    def headers(self) -> dict[str, str]:
        """The deadline counts from the moment the process takes the event, as it does in Lambda."""
        return {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


@dataclass(frozen=True)
class Response:
    """A function's answer, or the error that stands in its place."""

    body: bytes
    is_error: bool = False

    @classmethod
    def error(cls, error_type: str, message: str) -> Response:
        """An error in the shape in which Lambda reports it."""
        return cls(
            json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True
        )

    @classmethod
    def exited(cls, request_id: str, return_code: int) -> Response:
        """The process ended before it answered."""
        return cls.error(
            "Runtime.ExitError",
            f"RequestId: {request_id} Error: Runtime exited with error: {_status(return_code)}",
        )

    @classmethod
    def timed_out(cls, request_id: str, timeout: float) -> Response:
        """The process did not answer in time."""
        return cls.error(
            "Sandbox.Timedout",
            f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds",
        )

    def limited(self) -> Response:
        """Lambda refuses to pass on what is too big, so a test here must see that too."""
        if len(self.body) <= MAX_RESPONSE_BYTES:
            return self
        return Response.error(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({len(self.body)} bytes) exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).",
        )


def _status(return_code: int) -> str:
    """Lambda's words (they are Go's) for how a process ended."""
    names = {-6: "aborted", -9: "killed", -11: "segmentation fault", -15: "terminated"}
    return (
        f"exit status {return_code}"
        if return_code >= 0
        else f"signal: {names.get(return_code, -return_code)}"
    )
