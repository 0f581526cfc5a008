"""Waiting for a server, without keeping anybody in the dark."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import CloudError, tail

_TIMEOUT = 180
_QUIET_SECONDS = 2


def wait_until_ready(ready: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    """Until ready; an error at once when the process ends, as it will never be ready then."""
    began = told = time.monotonic()
    while not ready():
        if process.poll() is not None:
            name = Path(str(process.args[0])).name
            raise CloudError(
                f"{name} ended with exit status {process.returncode}; the end of {log}:\n{tail(log)}"
            )
        now = time.monotonic()
        if now - began > _TIMEOUT:
            raise CloudError(f"not ready after {_TIMEOUT} s; the end of {log}:\n{tail(log)}")
        if now - told > _QUIET_SECONDS:
            print(f"  ... {now - began:.0f} s", file=sys.stderr, flush=True)
            told = now
        time.sleep(0.1)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Says what is going on, and how long it took when that was noticeable."""
    began = time.monotonic()
    print(what, file=sys.stderr, flush=True)
    yield
    if (took := time.monotonic() - began) > _QUIET_SECONDS:
        print(f"  done in {took:.1f} s", file=sys.stderr, flush=True)
