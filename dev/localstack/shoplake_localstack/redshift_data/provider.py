"""The API `redshift-data`: turns LocalStack's requests into statements."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext, handler
from localstack.aws.connect import connect_to
from localstack.services.plugins import ServiceLifecycleHook

from . import WAREHOUSE_URL
from .objects import S3Objects
from .sql import parameter_names
from .statements import FAILED, FINISHED, Execution, Part, Statements

_MOST_STATEMENTS = 40
_WHERE = ("WorkgroupName", "ClusterIdentifier", "Database", "DbUser", "SecretArn", "StatementName")


class Provider(ServiceLifecycleHook):
    """Serves one warehouse for every workgroup, cluster and database."""

    service = "redshift-data"

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    @classmethod
    def from_environment(cls) -> Provider:
        """Makes the provider for the PostgreSQL that the environment names."""
        url = os.environ.get(WAREHOUSE_URL)
        if not url:
            raise RuntimeError(
                f"expected a PostgreSQL URL in {WAREHOUSE_URL}, which dev/cloud.py sets"
            )
        return cls(Statements(url, S3Objects(lambda: connect_to().s3)))

    def on_before_stop(self) -> None:
        """Stops when the server ends."""
        self._statements.close()

    @handler("ExecuteStatement", expand=False)
    def execute_statement(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Starts one statement."""
        return self._submit([request["Sql"]], request, is_batch=False)

    @handler("BatchExecuteStatement", expand=False)
    def batch_execute_statement(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Starts several statements as one transaction."""
        if not 1 <= len(request["Sqls"]) <= _MOST_STATEMENTS:
            raise _invalid(
                f"Sqls: expected 1 to {_MOST_STATEMENTS} statements, got {len(request['Sqls'])}"
            )
        # LocalStack's pinned botocore drops members that are newer than itself.
        recent = json.loads(context.request.get_data() or b"{}")
        if (mode := recent.get("ExecutionMode") or "TRANSACTION") != "TRANSACTION":
            raise _invalid(f"ExecutionMode: expected TRANSACTION in the local cloud, got {mode}")
        return self._submit(
            request["Sqls"], {**request, "Parameters": recent.get("Parameters")}, is_batch=True
        )

    @handler("DescribeStatement", expand=False)
    def describe_statement(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns the status of an execution or of one part of a batch."""
        execution, part = self._find(request["Id"])
        described = {
            **_describe(part, execution),
            **{
                name: value
                for name, value in execution.request.items()
                if name in ("WorkgroupName", "ClusterIdentifier", "Database", "DbUser")
            },
            "ResultFormat": "JSON",
        }
        if execution.parameters:
            described["QueryParameters"] = [
                {"name": name, "value": value} for name, value in execution.parameters.items()
            ]
        if execution.is_batch and part is execution.whole:
            described["SubStatements"] = [_describe(sub, execution) for sub in execution.parts]
        return described

    @handler("GetStatementResult", expand=False)
    def get_statement_result(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns all rows."""
        _, part = self._find(request["Id"])
        if part.status == FAILED:
            raise _not_found(
                f"Query failed with {part.error}. Please check query status with DescribeStatement."
            )
        if part.status != FINISHED or part.result is None or part.result.metadata is None:
            raise _not_found(
                "Query does not have result. Please check query status with DescribeStatement."
            )
        return {
            "Records": part.result.records,
            "ColumnMetadata": part.result.metadata,
            "TotalNumRows": part.result.count,
        }

    @handler("ListStatements", expand=False)
    def list_statements(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns executions, newest first, of all statuses or one."""
        wanted = request.get("Status") or "ALL"
        found = [
            execution
            for execution in self._statements.list()
            if wanted in ("ALL", execution.whole.status)
        ]
        return {
            "Statements": [
                _summary(execution) for execution in found[: request.get("MaxResults") or 100]
            ]
        }

    @handler("CancelStatement", expand=False)
    def cancel_statement(
        self, context: RequestContext, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Cancels a running execution."""
        execution, _ = self._find(request["Id"])
        if not self._statements.cancel(execution):
            raise _invalid("Could not cancel a query that is already in a final state")
        return {"Status": True}

    def _submit(
        self, sqls: list[str], request: Mapping[str, Any], is_batch: bool
    ) -> dict[str, Any]:
        where = {name: request[name] for name in _WHERE if request.get(name)}
        if ("WorkgroupName" in where) == ("ClusterIdentifier" in where):
            raise _invalid("expected either WorkgroupName or ClusterIdentifier")
        if "Database" not in where:
            raise _invalid("Database: expected a name, got none")
        parameters = {
            parameter["name"]: parameter["value"] for parameter in request.get("Parameters") or []
        }
        if empty := [name for name, value in parameters.items() if not value]:
            raise _invalid(
                f"Parameters: expected a value that is not empty, got none for {', '.join(empty)}"
            )
        used = set().union(*(parameter_names(sql) for sql in sqls))
        if unused := sorted(parameters.keys() - used):
            raise _invalid(
                f"Parameters list contains unused parameters. Unused parameters: {unused}"
            )
        execution = self._statements.submit(
            sqls, parameters, is_batch, where, request.get("ClientToken")
        )
        return {"Id": execution.id, "CreatedAt": execution.created, **where}

    def _find(self, id: str) -> tuple[Execution, Part]:
        if found := self._statements.find(id):
            return found
        raise _not_found(f"Query {id} does not exist")


def _describe(part: Part, execution: Execution) -> dict[str, Any]:
    described = {
        "Id": part.id,
        "Status": part.status,
        "CreatedAt": execution.created,
        "UpdatedAt": part.updated,
        "Duration": int(part.seconds * 1e9),
        "HasResultSet": _has_result_set(part, execution),
        "ResultRows": part.result.count if part.result else -1,
        "ResultSize": part.result.size if part.result else -1,
        "RedshiftQueryId": -1,
        "QueryString": part.sql,
    }
    if part.error:
        described["Error"] = part.error
    return described


def _has_result_set(part: Part, execution: Execution) -> bool:
    parts = execution.parts if part is execution.whole else [part]
    return part.status == FINISHED and any(
        each.result and each.result.metadata is not None for each in parts
    )


def _summary(execution: Execution) -> dict[str, Any]:
    whole = execution.whole
    text = (
        {"QueryStrings": [part.sql for part in execution.parts]}
        if execution.is_batch
        else {"QueryString": whole.sql}
    )
    return {
        "Id": execution.id,
        "Status": whole.status,
        "CreatedAt": execution.created,
        "UpdatedAt": whole.updated,
        "IsBatchStatement": execution.is_batch,
        "StatementName": execution.request.get("StatementName"),
        **text,
    }


def _invalid(message: str) -> CommonServiceException:
    return CommonServiceException("ValidationException", message)


def _not_found(message: str) -> CommonServiceException:
    return CommonServiceException("ResourceNotFoundException", message)
