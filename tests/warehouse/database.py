"""The statements of `crates/warehouse`, run on PostgreSQL as the local cloud runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import IsolationLevel
from shoplake_localstack.redshift_data.copy import Copy
from shoplake_localstack.redshift_data.sql import translate

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "glue-sql" / "warehouse"
SNAPSHOTS = ROOT / "crates" / "warehouse" / "src"

Statement = tuple[str, dict[str, str]]


def rendered(name: str) -> list[Statement]:
    """The statements of the snapshot with this name in its file name, with their parameters."""
    [snapshot] = SNAPSHOTS.rglob(f"*{name}*.snap")
    script = snapshot.read_text().split("---\n", 2)[2]
    return [
        (sql.strip(), json.loads(parameters))
        for sql, parameters in re.findall(r"(.*?);\n-- ({.*?})\n", script + "\n", re.S)
    ]


def migrate(connection: psycopg.Connection) -> None:
    """Applies all migrations of the warehouse."""
    for migration in sorted(MIGRATIONS.glob("*.sql")):
        for statement in re.split(r";\n", re.sub(r"(?m)^--.*$", "", migration.read_text())):
            if statement.strip():
                execute(connection, statement, {})


def execute(connection: psycopg.Connection, sql: str, parameters: Mapping[str, str]) -> list[tuple]:
    """Runs a statement of Redshift and returns its rows."""
    query = translate(sql, parameters)
    assert not isinstance(query, Copy)
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(query.sql, query.parameters)
        return cursor.fetchall() if cursor.description else []


def transaction(
    server: str, isolation: IsolationLevel, statements: list[Statement], values: Mapping[str, str]
) -> list[list[tuple]]:
    """Runs the statements as the crate does, again if the transaction loses against another one.
    Returns the rows of each.
    """
    for _ in range(100):
        try:
            with psycopg.connect(server) as connection:
                connection.isolation_level = isolation
                return [
                    execute(
                        connection,
                        sql,
                        {name: values.get(name, value) for name, value in parameters.items()},
                    )
                    for sql, parameters in statements
                ]
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            continue
    raise AssertionError("it lost a hundred times")
