"""The local cloud: LocalStack, and a PostgreSQL as the warehouse, on 127.0.0.1 without Docker.

    python -m dev.cloud up     --state .local/demo [--port 4566] [--warehouse-port 5439]
    python -m dev.cloud status --state .local/demo
    python -m dev.cloud down   --state .local/demo

Runs in the virtual environment that dev/localstack/bootstrap.py makes. Scripts and tests use the
class `Cloud`. Every cloud starts empty: LocalStack's community edition keeps no data, so the
warehouse must not keep any either.
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
from shoplake_localstack.local.waiting import reported, wait_until_ready

from .terraform import STATES as TERRAFORM_STATES

__all__ = ["Cloud", "CloudError", "free_port"]

_DEFAULT_PORT, _DEFAULT_WAREHOUSE_PORT = 4566, 5439
_LONGEST_INVOCATION = 900
_HEALTH_SECONDS = 60
"""A busy LocalStack answers late. A cloud that seems to be down would be ended and lose its data.
"""


class Cloud:
    """A local cloud with all its files below `state`. Several clouds run side by side, each on its
    own ports.
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
        """Returns the cloud in this folder with the ports that it was started with."""
        cloud = cls(state)
        record = cloud._read()
        return cls(
            state,
            record.get("port", _DEFAULT_PORT),
            record.get("warehouse_port", _DEFAULT_WAREHOUSE_PORT),
        )

    @property
    def endpoint(self) -> str:
        """Returns the URL for AWS clients (AWS_ENDPOINT_URL)."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def warehouse_url(self) -> str:
        """Returns the URL for PostgreSQL clients."""
        return postgres.url(self.warehouse_port)

    def client(self, service: str) -> Any:
        """Returns the boto3 client of this cloud, which ignores profiles, endpoints and proxies of
        the environment. Threads may share it. It is made once, because that takes longer than most
        requests.
        """
        if service not in self._clients:
            session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
            config = Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard"},
                proxies={"http": "", "https": ""},
                read_timeout=_LONGEST_INVOCATION,  # a retry would invoke a slow function again
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
        """Returns the processes of a function, so that a test can kill one."""
        found = []
        for file in (self.state / "functions" / function_name).glob("*/pid"):
            try:
                pid = int(file.read_text())
            except (FileNotFoundError, ValueError):
                continue  # the environment is being made or removed
            if is_running(pid):
                found.append(pid)
        return found

    def calls(self) -> set[Call]:
        """Returns each different call of AWS since the start of the cloud, by functions and by
        processes with AWS_SDK_UA_APP_ID.
        """
        return read(self.state / CALLS)

    def is_up(self) -> bool:
        """Returns whether both servers run and LocalStack answers."""
        record = self._read()
        same_ports = (record.get("port"), record.get("warehouse_port")) == (
            self.port,
            self.warehouse_port,
        )
        return (
            same_ports and all(process.alive for process in _processes(record)) and self._answers()
        )

    def up(self) -> None:
        """Starts the cloud and waits until it is healthy, unless it already is."""
        if self.is_up():
            return
        self.down()
        for name, port, option in (
            ("LocalStack", self.port, "--port"),
            ("the warehouse", self.warehouse_port, "--warehouse-port"),
        ):
            if is_listening(port):
                raise CloudError(
                    f"port {port} for {name} is in use by another program: end it, or choose"
                    f" another port with {option}"
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
        with reported("starting LocalStack"):
            _empty(self.state / CALLS)
            log = _empty(logs / "localstack.log")
            process = localstack.launch(self.state, self.port, self.warehouse_url, log)
            record["processes"].append(ProcessId.of(process.pid).as_json())
            self._write(record)
        with reported("starting the warehouse"):
            server = postgres.Postgres(
                self.state, self.warehouse_port, _empty(logs / "postgresql.log")
            )
            try:
                record["processes"].append(server.start(wait_until_ready).as_json())
            finally:
                record["warehouse_home"] = str(server.home)
                self._write(record)
        with reported("waiting for LocalStack"):
            wait_until_ready(self._answers, process, log)
        with reported("starting LocalStack's services"):
            self._start_services(log)

    def _start_services(self, log: Path) -> None:
        """Starts the services one after the other, before Terraform calls ten at once.

        LocalStack starts a service at its first call, which takes seconds, and gives up waiting for
        it after 30 s. On a busy machine a call then fails after it took effect, because a service
        that it needs is late. Terraform repeats the call and learns that the resource exists.
        """
        for service, call in localstack.FIRST_CALLS.items():
            try:
                getattr(self.client(service), call)()
            except Exception as error:
                raise CloudError(
                    f"{service} does not answer ({error}); the end of {log}:\n{tail(log)}"
                ) from error

    def down(self) -> None:
        """Ends the processes of this cloud and removes its data and Terraform's state of it. Keeps
        the logs.
        """
        record = self._read()
        # Their data is not kept, so they end at once. After SIGKILL, PostgreSQL would leave shared
        # memory behind.
        signals = (signal.SIGKILL, signal.SIGQUIT)
        for process, how in zip(_processes(record), signals, strict=False):
            end(process, how)
        end_marked(self.state)
        for folder in (
            record.get("warehouse_home"),
            *(self.state / name for name in ("warehouse", "localstack", "tmp", "functions")),
        ):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
        for file in (self._record, *(self.state / name for name in TERRAFORM_STATES)):
            file.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Returns whether LocalStack answers, without a proxy of the environment."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            health = f"{self.endpoint}/_localstack/health"
            with opener.open(health, timeout=_HEALTH_SECONDS) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._record.read_text()))
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
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument(
        "--state", type=Path, required=True, help="the folder with all files of the cloud"
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
