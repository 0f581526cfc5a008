"""The Redshift Data API on the tests' PostgreSQL: what `shoplake` reads the warehouse through."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shoplake_localstack.redshift_data.statements import OVER, Statements

from dev.http_stub import Stub, serve


class NoObjects:
    """A lake that COPY must not read."""

    def read(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        raise AssertionError("a report copies nothing")


class _Databases:
    """The statements of each database of a server."""

    def __init__(self, server_url: str) -> None:
        self._server = server_url.rpartition("/")[0]
        self._databases: dict[str, Statements] = {}

    def answer(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "BatchExecuteStatement":
            database = request["Database"]
            if database not in self._databases:
                self._databases[database] = Statements(f"{self._server}/{database}", NoObjects())
            parameters = {item["name"]: item["value"] for item in request.get("Parameters", ())}
            statements = self._databases[database]
            return {"Id": statements.submit(request["Sqls"], parameters, True, {}).id}
        found = [statements.find(request["Id"]) for statements in self._databases.values()]
        execution, part = next(result for result in found if result)
        if operation == "DescribeStatement":
            subs = [
                {"Id": sub.id, "Status": sub.status, "HasResultSet": _has_rows(sub)}
                for sub in execution.parts
            ]
            error = {"Error": part.error} if part.error else {}
            status = part.status if part.status in OVER else "STARTED"
            return {"Id": execution.id, "Status": status, "SubStatements": subs, **error}
        assert operation == "GetStatementResult" and part.result is not None
        return {"Records": part.result.records, "ColumnMetadata": part.result.metadata}

    def close(self) -> None:
        for statements in self._databases.values():
            statements.close()


def _has_rows(part: Any) -> bool:
    return part.result is not None and part.result.metadata is not None


@contextmanager
def data_api(server_url: str) -> Iterator[str]:
    """Serves the databases of a PostgreSQL; yields the endpoint."""
    databases = _Databases(server_url)

    class Handler(Stub):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            operation = self.headers["x-amz-target"].rpartition(".")[2]
            answer = databases.answer(operation, json.loads(self.body()))
            headers = {"content-type": "application/x-amz-json-1.1"}
            self.answer(200, json.dumps(answer).encode(), headers)

    try:
        with serve(Handler) as endpoint:
            yield endpoint
    finally:
        databases.close()
