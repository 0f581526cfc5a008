"""Fixtures for tests of the report: a PostgreSQL with marts, its report, a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "dev" / "localstack")]

from shoplake_localstack.local.postgres import Postgres, url  # noqa: E402
from shoplake_localstack.local.processes import end, free_port  # noqa: E402
from shoplake_localstack.local.waiting import wait_until_ready  # noqa: E402

from dev.package import target_dir  # noqa: E402
from tests.browser.chromium import Browser  # noqa: E402
from tests.report.data_api import data_api  # noqa: E402
from tests.report.world import TODAY, fill  # noqa: E402

Report = Callable[..., str]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of the local cloud's kind, still empty."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    postgres = Postgres(state, port, state / "postgresql.log")
    process = postgres.start(wait_until_ready)
    yield url(port)
    end(process)
    shutil.rmtree(postgres.home, ignore_errors=True)


@pytest.fixture(scope="session")
def warehouse(server: str) -> str:
    """Its URL, filled with forty days of two shops."""
    with psycopg.connect(server) as connection:
        fill(connection)
    return server


@pytest.fixture(scope="session")
def report(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """Runs `shoplake report` of a database, and returns what it prints."""
    folder = tmp_path_factory.mktemp("target")
    program = target_dir() / "debug" / "shoplake"
    with data_api(server) as endpoint:

        def run(warehouse: str, out: Path, *arguments: str, today: date | None = None) -> str:
            database = warehouse.rpartition("/")[2]
            outputs = {"warehouse": {"workgroup": "tests", "database": database}}
            target = folder / f"{database}.json"
            target.write_text(json.dumps({"endpoint": endpoint, "outputs": outputs}))
            day = ("--today", str(today)) if today else ()
            done = subprocess.run(
                [program, "report", "--target", target, "--out", out, *day, *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield run


@pytest.fixture(scope="session")
def report_file(report: Report, warehouse: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of it."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    report(warehouse, file, today=TODAY)
    return file


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with Browser() as browser:
        yield browser
