"""Invocations of functions and their responses."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

MAX_RESPONSE_BYTES = 6_291_556
"""Lambda's limit of a synchronous response: 6 MB and the envelope."""


@dataclass(frozen=True)
class Invocation:
    """An event for a function."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    timeout: float

    def headers(self) -> dict[str, str]:
        """Returns the headers. As in Lambda, the timeout begins when the process gets the event."""
        return {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


@dataclass(frozen=True)
class Response:
    """A function's answer, or an error."""

    body: bytes
    is_error: bool = False

    @classmethod
    def error(cls, error_type: str, message: str) -> Response:
        """Returns an error in Lambda's format."""
        return cls(
            json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True
        )

    @classmethod
    def exited(cls, request_id: str, return_code: int) -> Response:
        """Returns the error of a process that ended before it answered."""
        return cls.error(
            "Runtime.ExitError",
            f"RequestId: {request_id} Error: Runtime exited with error: {_status(return_code)}",
        )

    @classmethod
    def timed_out(cls, request_id: str, timeout: float) -> Response:
        """Returns the error of a process that did not answer in time."""
        return cls.error(
            "Sandbox.Timedout",
            f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds",
        )

    def limited(self) -> Response:
        """Returns the response, or Lambda's error if it is too large."""
        if len(self.body) <= MAX_RESPONSE_BYTES:
            return self
        return Response.error(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({len(self.body)} bytes) exceeded maximum allowed payload size"
            f" ({MAX_RESPONSE_BYTES} bytes).",
        )


def _status(return_code: int) -> str:
    """Describes how a process ended in the words of Lambda, which are those of Go."""
    names = {-6: "aborted", -9: "killed", -11: "segmentation fault", -15: "terminated"}
    return (
        f"exit status {return_code}"
        if return_code >= 0
        else f"signal: {names.get(return_code, -return_code)}"
    )
