"""A warehouse on a PostgreSQL of its own, in every isolation level of Redshift."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import psycopg
import pytest
from psycopg import IsolationLevel

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dev" / "localstack"))

from shoplake_localstack.local.postgres import Postgres, url
from shoplake_localstack.local.processes import end, free_port
from shoplake_localstack.local.waiting import wait_until_ready

from .database import migrate

LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with all migrations."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    server = Postgres(state, port, state / "postgresql.log")
    process = server.start(wait_until_ready)
    with psycopg.connect(url(port), autocommit=True) as connection:
        migrate(connection)
    yield url(port)
    end(process)
    run(["rm", "-rf", server.home], check=True)


@pytest.fixture(params=LEVELS, ids=lambda level: level.name.lower())
def isolation(request: pytest.FixtureRequest, server: str) -> IsolationLevel:
    """Each level, over empty tables. REPEATABLE READ of PostgreSQL is SNAPSHOT of Redshift."""
    with psycopg.connect(server) as connection:
        connection.execute("truncate shoplake.loads, shoplake.check_runs, shoplake.check_results")
    return request.param
