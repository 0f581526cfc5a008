"""Concurrent recordings of the check results of one partition."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import NamedTuple

import psycopg
import pytest
from psycopg import IsolationLevel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev" / "localstack"))

from shoplake_localstack.local.postgres import Postgres, url  # noqa: E402
from shoplake_localstack.local.processes import end, free_port  # noqa: E402
from shoplake_localstack.local.waiting import wait_until_ready  # noqa: E402
from shoplake_localstack.redshift_data.copy import Copy  # noqa: E402
from shoplake_localstack.redshift_data.sql import translate  # noqa: E402

MIGRATION = ROOT / "glue-sql" / "warehouse" / "0003_check_results.sql"
SNAPSHOTS = ROOT / "crates" / "warehouse" / "src" / "snapshots"

Statement = tuple[str, dict[str, str]]


class Run(NamedTuple):
    """A job that has checked the partition."""

    planned_at: str
    version: int

    @property
    def job(self) -> str:
        return f"{self.planned_at}, {self.version}"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that differ between runs."""
        return {
            "run_planned_at": self.planned_at,
            "run_version": str(self.version),
            "run_job": self.job,
            "sample_1": json.dumps([{"found_by": self.job}]),
        }


def rendered(name: str) -> list[Statement]:
    """The statements of a snapshot, each with its parameters."""
    [snapshot] = SNAPSHOTS.glob(f"*{name}*.snap")
    script = snapshot.read_text().split("---\n", 2)[2]
    return [
        (sql.strip(), json.loads(parameters))
        for sql, parameters in re.findall(r"(.*?);\n-- ({.*?})\n", script + "\n", re.S)
    ]


RECORDING, REGISTRATION = rendered("their_recording"), rendered("their_registration")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with the tables."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    server = Postgres(state, port, state / "postgresql.log")
    process = server.start(wait_until_ready)
    with psycopg.connect(url(port), autocommit=True) as connection:
        connection.execute("create schema shoplake")
        for statement in re.split(r";\n", re.sub(r"(?m)^--.*$", "", MIGRATION.read_text())):
            if statement.strip():
                execute(connection, statement, {})
    yield url(port)
    end(process)
    run(["rm", "-rf", server.home], check=True)


def execute(connection: psycopg.Connection, sql: str, parameters: dict[str, str]) -> list[tuple]:
    """Runs a statement of Redshift and returns its rows."""
    query = translate(sql, parameters)
    assert not isinstance(query, Copy)
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(query.sql, query.parameters)
        return cursor.fetchall() if cursor.description else []


def transaction(
    server: str, isolation: IsolationLevel, statements: list[Statement], values: dict[str, str]
) -> list[tuple]:
    """Runs the statements as the crate does, again if the transaction loses against another one.
    The last one's rows.
    """
    for _ in range(100):
        try:
            with psycopg.connect(server) as connection:
                connection.isolation_level = isolation
                rows: list[tuple] = []
                for sql, parameters in statements:
                    own = {name: values[name] for name in parameters.keys() & values.keys()}
                    rows = execute(connection, sql, parameters | own)
            return rows
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            continue
    raise AssertionError("it lost a hundred times")


def record(server: str, isolation: IsolationLevel, job: Run) -> bool:
    """Does what `CheckResults::record` does. Returns whether the results of the run are current."""
    rows = transaction(server, isolation, RECORDING, job.parameters)
    if not rows:
        transaction(server, isolation, REGISTRATION, {})
        rows = transaction(server, isolation, RECORDING, job.parameters)
    [(is_this_run,)] = rows
    return bool(is_this_run)


def shown(server: str) -> list[tuple]:
    """Returns the current run and its results."""
    with psycopg.connect(server) as connection:
        runs = connection.execute("select job from shoplake.check_runs").fetchall()
        columns = "check_name, severity, status, failed_rows, sample, description, job, version"
        return (
            runs
            + connection.execute(
                f"select {columns} from shoplake.check_results order by 1"
            ).fetchall()
        )


def expected(job: Run) -> list[tuple]:
    """Returns the current results if `job` is the newest."""
    sample = job.parameters["sample_1"]
    return [
        (job.job,),
        ("nothing_is_given_away", "warn", "failed", 7, sample, None, job.job, job.version),
        (
            "total_sales_key_is_unique",
            "error",
            "passed",
            0,
            None,
            "no key occurs twice",
            job.job,
            job.version,
        ),
    ]


LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]


@pytest.fixture(params=LEVELS, ids=lambda level: level.name.lower())
def isolation(request: pytest.FixtureRequest, server: str) -> IsolationLevel:
    """Each level, over empty tables. REPEATABLE READ of PostgreSQL is SNAPSHOT of Redshift."""
    with psycopg.connect(server) as connection:
        connection.execute("truncate shoplake.check_runs, shoplake.check_results")
    return request.param


def test_a_newer_run_replaces_an_older_one(server: str, isolation: IsolationLevel) -> None:
    """The time of the plan decides, then the version. A repetition changes nothing."""
    first, second, third = (
        Run("2010-12-02 03:04:05", 1),
        Run("2010-12-02 03:04:05", 2),
        Run("2010-12-02 03:04:06", 1),
    )
    assert record(server, isolation, second)
    assert not record(server, isolation, first)
    assert shown(server) == expected(second)
    assert record(server, isolation, third) and record(server, isolation, third)
    assert not record(server, isolation, second)
    assert shown(server) == expected(third)


@pytest.mark.parametrize("seed", range(5))
def test_of_concurrent_runs_the_newest_is_current(
    server: str, isolation: IsolationLevel, seed: int
) -> None:
    """Each run twice, in any order, on a partition that is not registered."""
    runs = [
        Run(f"2010-12-02 03:04:{second:02d}", version) for second in range(4) for version in (1, 2)
    ] * 2
    random.Random(seed).shuffle(runs)
    with ThreadPoolExecutor(len(runs)) as threads:
        outcomes = list(threads.map(lambda job: record(server, isolation, job), runs))
    newest = max(runs)
    assert shown(server) == expected(newest)
    assert all(outcome for job, outcome in zip(runs, outcomes, strict=True) if job == newest)
