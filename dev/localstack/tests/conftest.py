"""Fixtures: a function's package, a PostgreSQL, and a whole local cloud."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "dev" / "localstack")]

from shoplake_localstack.local.postgres import Postgres  # noqa: E402
from shoplake_localstack.local.postgres import url as postgres_url  # noqa: E402
from shoplake_localstack.local.processes import end  # noqa: E402
from shoplake_localstack.local.waiting import wait_until_ready  # noqa: E402

from dev.cloud import Cloud, free_port  # noqa: E402

BOOTSTRAP = f"#!{sys.executable}\n" + (Path(__file__).parent / "bootstrap_script.py").read_text()


@pytest.fixture(scope="session")
def package() -> bytes:
    """Returns the zip of a function."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        file.writestr(info, BOOTSTRAP)
    return archive.getvalue()


@pytest.fixture(scope="session")
def warehouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Starts a PostgreSQL with the settings of the cloud's; yields its URL."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    server = Postgres(state, port, state / "postgresql.log")
    process = server.start(wait_until_ready)
    yield postgres_url(port)
    end(process)
    subprocess.run(["rm", "-rf", server.home], check=True)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """Yields a connection to an empty schema `sales`."""
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        connection.execute("drop schema if exists sales cascade; create schema sales")
        yield connection


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Starts a cloud on free ports."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), free_port(), free_port())
    cloud.up()
    yield cloud
    cloud.down()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    """Returns a function that repeats a question until the answer is true."""

    def ask(question: Callable[[], object], seconds: float = 20) -> object:
        until = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < until, f"still {answer!r} after {seconds} s"
            time.sleep(0.1)
        return answer

    return ask
