"""Runs statements in the background and keeps their results."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from .copy import Copy, CopyError, Objects, run_copy
from .results import Result, read_result
from .sql import Query, SqlError, translate

LOG = logging.getLogger(__name__)

_KEPT = 20_000
_WORKERS = 32
_SESSION = "-c statement_timeout=900000 -c timezone=UTC -c application_name=redshift-data"
"""Limits statements to 15 minutes, so that a client does not poll for ever."""

SUBMITTED, STARTED, FINISHED, FAILED, ABORTED = (
    "SUBMITTED",
    "STARTED",
    "FINISHED",
    "FAILED",
    "ABORTED",
)
OVER = {FINISHED, FAILED, ABORTED}


@dataclass
class Part:
    """An SQL statement of an execution."""

    id: str
    sql: str
    status: str = SUBMITTED
    error: str | None = None
    result: Result | None = None
    seconds: float = 0.0
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    def become(self, status: str, error: str | None = None) -> None:
        """Sets the status."""
        self.error, self.status, self.updated = error, status, datetime.now(UTC)


@dataclass
class Execution:
    """The transaction of an ExecuteStatement or BatchExecuteStatement."""

    id: str
    parts: list[Part]
    is_batch: bool
    parameters: Mapping[str, str]
    request: Mapping[str, object]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    whole: Part = field(init=False)
    connection: psycopg.Connection | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.whole = Part(self.id, "" if self.is_batch else self.parts[0].sql)


class Statements:
    """Runs executions on PostgreSQL, each in its own session and transaction, and keeps their
    results.
    """

    def __init__(self, url: str, objects: Objects) -> None:
        self._url = url
        self._objects = objects
        self._lock = threading.Lock()
        self._executions: OrderedDict[str, Execution] = OrderedDict()
        self._tokens: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="redshift-data")

    def submit(
        self,
        sqls: Sequence[str],
        parameters: Mapping[str, str],
        is_batch: bool,
        request: Mapping[str, object],
        token: str | None = None,
    ) -> Execution:
        """Starts an execution and returns at once. A repeated `token` returns the same execution
        and runs nothing.
        """
        with self._lock:
            if token and (known := self._executions.get(self._tokens.get(token, ""))):
                return known
            id = str(uuid4())
            parts = [
                Part(f"{id}:{number}" if is_batch else id, sql)
                for number, sql in enumerate(sqls, 1)
            ]
            execution = Execution(id, parts, is_batch, parameters, request)
            self._executions[id] = execution
            if token:
                self._tokens[token] = id
            while len(self._executions) > _KEPT:
                forgotten, _ = self._executions.popitem(last=False)
                self._tokens = {token: id for token, id in self._tokens.items() if id != forgotten}
        self._pool.submit(self._run, execution)
        return execution

    def find(self, id: str) -> tuple[Execution, Part] | None:
        """Finds an execution by its id, or a part of a batch by `<id>:<number>`."""
        whole, _, number = id.partition(":")
        execution = self._executions.get(whole)
        if execution is None:
            return None
        if not number:
            return execution, execution.whole
        part = next((part for part in execution.parts if part.id == id), None)
        return (execution, part) if part else None

    def list(self) -> list[Execution]:
        """Returns the executions, newest first."""
        with self._lock:
            return list(reversed(self._executions.values()))

    def cancel(self, execution: Execution) -> bool:
        """Cancels an execution; returns False if it has ended."""
        if execution.whole.status in OVER:
            return False
        execution.cancelled = True
        if connection := execution.connection:
            connection.cancel_safe(timeout=5)
        return True

    def close(self) -> None:
        """Stops accepting executions."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, execution: Execution) -> None:
        """Runs an execution and turns every error into its status."""
        began = time.monotonic()
        execution.whole.become(STARTED)
        try:
            self._transact(execution)
        except Exception as error:
            self._fail(execution, error)
        finally:
            execution.connection = None
        whole = execution.whole
        whole.seconds = time.monotonic() - began
        if whole.status == STARTED:
            whole.result = Result(-1) if execution.is_batch else execution.parts[0].result
            whole.become(FINISHED)

    def _transact(self, execution: Execution) -> None:
        with psycopg.connect(
            self._url, cursor_factory=psycopg.RawCursor, connect_timeout=10, options=_SESSION
        ) as connection:
            # Equals SNAPSHOT, the default of Redshift Serverless: only two updates of one row
            # conflict.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            execution.connection = connection
            for part in execution.parts:
                if execution.cancelled:
                    raise psycopg.errors.QueryCanceled("canceled before it ran")
                self._run_part(connection, part, execution.parameters)

    def _run_part(
        self, connection: psycopg.Connection, part: Part, parameters: Mapping[str, str]
    ) -> None:
        began = time.monotonic()
        part.become(STARTED)
        try:
            match translate(part.sql, parameters):
                case Copy() as copy:
                    part.result = Result(run_copy(connection.cursor(), copy, self._objects))
                case Query(sql, values):
                    part.result = read_result(connection.execute(sql, values or None))
        finally:
            part.seconds = time.monotonic() - began
        part.become(FINISHED)

    @staticmethod
    def _fail(execution: Execution, error: Exception) -> None:
        text, status = _message(error), ABORTED if execution.cancelled else FAILED
        for number, part in enumerate(execution.parts, 1):
            if part.status == STARTED:
                part.become(status, text)
                if execution.is_batch:
                    text = f"Query #{number} failed with {text}"
            elif part.status == SUBMITTED:
                part.become(ABORTED)
        if not isinstance(error, (psycopg.Error, CopyError, SqlError)):
            LOG.exception("statement %s", execution.id)
        execution.whole.become(status, text)


def _message(error: Exception) -> str:
    """Returns the message in Redshift's words."""
    if isinstance(error, psycopg.errors.SerializationFailure):
        return f"ERROR: 1023 DETAIL: Serializable isolation violation: {error.diag.message_primary}"
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        detail = f" DETAIL: {error.diag.message_detail}" if error.diag.message_detail else ""
        return f"ERROR: {error.diag.message_primary}{detail}"
    return f"ERROR: {error}"
