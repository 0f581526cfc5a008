"""What the tests share: a function's package, a PostgreSQL, a whole local cloud."""

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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cloud import Cloud, free_port
from shoplake_localstack.local.postgres import Postgres
from shoplake_localstack.local.postgres import url as postgres_url
from shoplake_localstack.local.processes import end
from shoplake_localstack.local.waiting import wait_until_ready

BOOTSTRAP = f"#!{sys.executable}\n" + (Path(__file__).parent / "bootstrap_script.py").read_text()


@pytest.fixture(scope="session")
def package() -> bytes:
    """The zip of a function."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        file.writestr(info, BOOTSTRAP)
    return archive.getvalue()


@pytest.fixture(scope="session")
def warehouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL, set up as the cloud's."""
    state, port = tmp_path_factory.mktemp("warehouse"), free_port()
    server = Postgres(state, port, state / "postgresql.log")
    process = server.start(wait_until_ready)
    yield postgres_url(port)
    end(process)
    subprocess.run(["rm", "-rf", server.home], check=True)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """In a schema of the test's own, which goes with it."""
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        connection.execute("drop schema if exists sales cascade; create schema sales")
        yield connection


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud on ports of its own."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), free_port(), free_port())
    cloud.up()
    yield cloud
    cloud.down()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    """Waits for what another process does: asks until the answer is true, and returns it."""

    def ask(question: Callable[[], object], seconds: float = 20) -> object:
        until = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < until, f"still {answer!r} after {seconds} s"
            time.sleep(0.1)
        return answer

    return ask
