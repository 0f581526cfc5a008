"""Starting, recognising and ending processes, and never anybody else's."""

from __future__ import annotations

import os
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
    """The local cloud cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class ProcessId:
    """A pid alone comes to belong to somebody else after a while; together with its start time it
    does not.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has this pid now."""
        return cls(pid, psutil.Process(pid).create_time())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.created) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False

    def as_json(self) -> dict[str, float]:
        """For the state file."""
        return asdict(self)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port: int) -> bool:
    """Whether anybody takes connections on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    """Whether this pid, which some process noted as its own, leads a group and has not ended.

    Threads have ids of the same numbers: a signal to an id that has become a thread's would reach
    the whole process that the thread belongs to, LocalStack for instance.
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
) -> subprocess.Popen:
    """A process in a group of its own (an interrupt in the terminal is not for it), writing to
    `log`.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **({"user": user, "group": user, "extra_groups": []} if user is not None else {}),
        )


def end(process: ProcessId, how: signal.Signals = signal.SIGKILL) -> None:
    """Ends a process and its group; for certain when it does not end as asked."""
    for attempt in (how, signal.SIGKILL):
        if not process.alive:
            return
        try:
            os.killpg(process.pid, attempt)
        except ProcessLookupError:
            return
        _wait_gone([process], patience=5)


def end_marked(state: Path) -> int:
    """Ends every process that carries this cloud's mark, such as a function whose LocalStack was
    killed; returns how many.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == str(state):
                found.append(ProcessId(process.pid, process.create_time()))
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    _wait_gone(found, 5)
    return len(found)


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(
        f"    {line}" for line in log.read_text("utf-8", "replace").splitlines()[-lines:]
    )


def _wait_gone(processes: Iterable[ProcessId], patience: float) -> None:
    until = time.monotonic() + patience
    for process in processes:
        while process.alive and time.monotonic() < until:
            _reap(process.pid)
            time.sleep(0.05)


def _reap(pid: int) -> None:
    """A child that has ended stays a zombie until it is asked for; somebody else's child cannot be
    asked for.
    """
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        pass
