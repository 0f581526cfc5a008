"""Records each parsed request in LocalStack's chain of handlers."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.model import OperationModel
from localstack.runtime import hooks

from ..local.marker import MARKER
from . import CALLS, Call

_APPLICATION = re.compile(r"(?:^| )app/(\S+)")


@hooks.on_infra_start(should_load=lambda: MARKER in os.environ)
def record_calls() -> None:
    """Adds a handler that sees each request before its service does."""
    from localstack.aws import handlers

    recorder = Recorder(Path(os.environ[MARKER]) / CALLS)

    def record(chain: Any, context: Any, response: Any) -> None:
        if context.operation:
            recorder.see(
                context.request.headers.get("User-Agent", ""),
                context.operation,
                context.service_request or {},
            )

    handlers.serve_custom_service_request_handlers.append(record)


class Recorder:
    """Writes each call to a file the first time; later ones cost a look-up in a set."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: set[tuple[str, str, str, str | None]] = set()
        self._lock = threading.Lock()

    def see(self, user_agent: str, operation: OperationModel, request: Mapping[str, Any]) -> None:
        """Records a request, unless it names no application: tests and LocalStack itself."""
        application = _APPLICATION.search(user_agent)
        if not application:
            return
        service = operation.service_model
        folder = _folder(request) if service.service_name == "s3" else None
        seen = (application[1], service.service_name, operation.name, folder)
        if seen in self._seen:
            return
        with self._lock:
            if seen not in self._seen:
                sdk = str(service.service_id).replace(" ", "").lower()
                self._write(Call(application[1], f"{sdk}.{xform_name(operation.name)}", folder))
                self._seen.add(seen)

    def _write(self, call: Call) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(call) + "\n")


def _folder(request: Mapping[str, Any]) -> str | None:
    """Returns the folder of a request; None for a request about a whole bucket."""
    path = request.get("Key") or request.get("Prefix")
    return path.partition("/")[0] if path is not None else None
