"""Starts, recognises and ends the processes of a cloud, and no others."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from .marker import MARKER


class CloudError(Exception):
    """Says why the local cloud cannot do what was asked, and what to do."""


@dataclass(frozen=True)
class ProcessId:
    """Identifies a process by its id and start time, because systems reuse ids."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Returns the process that has this id now."""
        return cls(pid, psutil.Process(pid).create_time())

    @property
    def alive(self) -> bool:
        """Returns whether this process still runs."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.created) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False

    def as_json(self) -> dict[str, float]:
        """Returns the fields for the state file."""
        return asdict(self)


PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections (from 32,768 on): none of those takes a
port between `free_port` and the start of its server."""


def free_port() -> int:
    """Returns a free port of the loopback interface."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CloudError(f"no free port from {PORTS.start} to {PORTS.stop}: end other servers")


def is_listening(port: int) -> bool:
    """Returns whether a server listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    """Returns whether a recorded id is that of a running leader of a group.

    Threads get ids from the same numbers: a signal to the id of a thread would reach its whole
    process, such as LocalStack.
    """
    try:
        return os.getpgid(pid) == pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def start(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    log: Path,
    cwd: Path,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a process that writes to `log`, in its own group, which Ctrl-C does not reach."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


def end(process: ProcessId, how: signal.Signals = signal.SIGKILL) -> None:
    """Ends a process and its group; kills them if they do not end."""
    for attempt in (how, signal.SIGKILL):
        if not process.alive:
            return
        try:
            os.killpg(process.pid, attempt)
        except ProcessLookupError:
            return
        _wait_ended([process], timeout=5)


def end_marked(state: Path) -> int:
    """Ends every process with this cloud's environment variable, such as a function whose
    LocalStack was killed; returns their number.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == str(state):
                found.append(ProcessId(process.pid, process.create_time()))
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    _wait_ended(found, timeout=5)
    return len(found)


def tail(log: Path, lines: int = 25) -> str:
    """Returns the end of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(
        f"    {line}" for line in log.read_text("utf-8", "replace").splitlines()[-lines:]
    )


def _wait_ended(processes: Iterable[ProcessId], timeout: float) -> None:
    until = time.monotonic() + timeout
    for process in processes:
        while process.alive and time.monotonic() < until:
            _reap(process.pid)
            time.sleep(0.05)


def _reap(pid: int) -> None:
    """Removes an ended child from the system's table; ignores other processes."""
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)
