#!/usr/bin/env python3
"""The local cloud: LocalStack and a PostgreSQL in Redshift's place, both on 127.0.0.1, without
Docker.

    cloud.py up     --state .local/demo [--port 4566] [--warehouse-port 5439]
    cloud.py status --state .local/demo
    cloud.py down   --state .local/demo

Runs in the virtual environment that bootstrap.py makes. Import `Cloud` to do the same from a script
or a test. A cloud begins empty, every time: LocalStack's community edition keeps nothing, so the
warehouse must not either.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boto3
import botocore.session
from botocore.config import Config
from shoplake_localstack.calls import CALLS, Call, read
from shoplake_localstack.local import localstack, postgres
from shoplake_localstack.local.processes import (
    CloudError,
    ProcessId,
    end,
    end_marked,
    free_port,
    is_listening,
    is_running,
    tail,
)
from shoplake_localstack.local.waiting import telling, wait_until_ready

__all__ = ["Cloud", "CloudError", "free_port"]

_DEFAULT_PORT, _DEFAULT_WAREHOUSE_PORT = 4566, 5439
_LONGEST_INVOCATION = 900


class Cloud:
    """A local cloud that keeps everything it has below `state`; any number of them run side by side
    on ports of their own.
    """

    def __init__(
        self, state: Path, port: int = _DEFAULT_PORT, warehouse_port: int = _DEFAULT_WAREHOUSE_PORT
    ) -> None:
        self.state = Path(state).resolve()
        self.port = port
        self.warehouse_port = warehouse_port
        self._record = self.state / "cloud.json"
        self._clients: dict[str, Any] = {}

    @classmethod
    def recorded(cls, state: Path) -> Cloud:
        """The cloud in this folder with the ports that it was started with."""
        cloud = cls(state)
        record = cloud._read()
        return cls(
            state,
            record.get("port", _DEFAULT_PORT),
            record.get("warehouse_port", _DEFAULT_WAREHOUSE_PORT),
        )

    @property
    def endpoint(self) -> str:
        """The URL for AWS clients (AWS_ENDPOINT_URL)."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def warehouse_url(self) -> str:
        """The URL for PostgreSQL clients."""
        return postgres.url(self.warehouse_port)

    def client(self, service: str) -> Any:
        """The boto3 client of this cloud, whatever profile, endpoint or proxy the surroundings
        name. Threads may share it; it is made once, since that takes longer than most of its
        requests.
        """
        if service not in self._clients:
            session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
            config = Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard"},
                proxies={"http": "", "https": ""},
                read_timeout=_LONGEST_INVOCATION,  # or a slow function would be invoked again
            )
            self._clients[service] = boto3.Session(botocore_session=session).client(
                service,
                endpoint_url=self.endpoint,
                region_name=localstack.REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=config,
            )
        return self._clients[service]

    def function_pids(self, function_name: str) -> list[int]:
        """The processes that run a function now, so that a test can kill one."""
        found = []
        for file in (self.state / "functions" / function_name).glob("*/pid"):
            try:
                pid = int(file.read_text())
            except (
                FileNotFoundError,
                ValueError,
            ):  # the environment is being removed, or made, at this moment
                continue
            if is_running(pid):
                found.append(pid)
        return found

    def calls(self) -> set[Call]:
        """Each different call of AWS that was made by a function, or by a process that
        AWS_SDK_UA_APP_ID gives a name, since the cloud began.
        """
        return read(self.state / CALLS)

    def is_up(self) -> bool:
        """Whether both servers run and LocalStack answers."""
        record = self._read()
        same_ports = (record.get("port"), record.get("warehouse_port")) == (
            self.port,
            self.warehouse_port,
        )
        return (
            same_ports and all(process.alive for process in _processes(record)) and self._answers()
        )

    def up(self) -> None:
        """Starts the cloud and waits until it is healthy; does nothing when it already is."""
        if self.is_up():
            return
        self.down()
        for name, port, option in (
            ("LocalStack", self.port, "--port"),
            ("the warehouse", self.warehouse_port, "--warehouse-port"),
        ):
            if is_listening(port):
                raise CloudError(
                    f"port {port}, meant for {name}, is in use by another program: end it, or choose another with {option}"
                )
        logs = self.state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        try:
            self._start(logs)
        except BaseException:
            self.down()
            raise

    def _start(self, logs: Path) -> None:
        record: dict[str, Any] = {
            "port": self.port,
            "warehouse_port": self.warehouse_port,
            "processes": [],
        }
        with telling("starting LocalStack"):
            _empty(self.state / CALLS)
            log = _empty(logs / "localstack.log")
            process = localstack.launch(self.state, self.port, self.warehouse_url, log)
            record["processes"].append(ProcessId.of(process.pid).as_json())
            self._write(record)
        with telling("starting the warehouse"):
            server = postgres.Postgres(
                self.state, self.warehouse_port, _empty(logs / "postgresql.log")
            )
            try:
                record["processes"].append(server.start(wait_until_ready).as_json())
            finally:
                record["warehouse_home"] = str(server.home)
                self._write(record)
        with telling("waiting for LocalStack"):
            wait_until_ready(self._answers, process, log)
        with telling("starting Kinesis"):
            try:
                self.client("kinesis").list_streams()
            except Exception as error:
                raise CloudError(
                    f"Kinesis does not answer ({error}); the end of {log}:\n{tail(log)}"
                ) from error

    def down(self) -> None:
        """Ends every process of this cloud, and no other, and removes its data; the logs stay."""
        record = self._read()
        # At once, as nothing of what they hold is kept. PostgreSQL is asked to (SIGQUIT), or it
        # would leave shared memory behind.
        for process, how in zip(_processes(record), (signal.SIGKILL, signal.SIGQUIT)):
            end(process, how)
        end_marked(self.state)
        for folder in (
            record.get("warehouse_home"),
            *(self.state / name for name in ("warehouse", "localstack", "tmp", "functions")),
        ):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
        self._record.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Asked without the proxy that the surroundings may name."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.endpoint}/_localstack/health", timeout=5) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def _write(self, record: dict[str, Any]) -> None:
        self._record.write_text(json.dumps(record, indent=2) + "\n")


def _processes(record: dict[str, Any]) -> list[ProcessId]:
    return [ProcessId(**process) for process in record.get("processes", [])]


def _empty(log: Path) -> Path:
    log.write_bytes(b"")
    return log


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument(
        "--state", type=Path, required=True, help="the folder that holds everything of this cloud"
    )
    parser.add_argument("--port", type=int, help=f"LocalStack's port (up; default {_DEFAULT_PORT})")
    parser.add_argument(
        "--warehouse-port",
        type=int,
        help=f"PostgreSQL's port (up; default {_DEFAULT_WAREHOUSE_PORT}, Redshift's)",
    )
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.action == "up":
        cloud = Cloud(
            options.state,
            options.port or _DEFAULT_PORT,
            options.warehouse_port or _DEFAULT_WAREHOUSE_PORT,
        )
        cloud.up()
        print(f"AWS        {cloud.endpoint}\nwarehouse  {cloud.warehouse_url}")
        return 0
    cloud = Cloud.recorded(options.state)
    if options.action == "down":
        cloud.down()
        return 0
    running = cloud.is_up()
    print(
        f"up\nAWS        {cloud.endpoint}\nwarehouse  {cloud.warehouse_url}" if running else "down"
    )
    return 0 if running else 3


if __name__ == "__main__":
    sys.exit(main())
