"""Waits for a server and reports progress."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from .processes import CloudError, tail

_TIMEOUT = 180
_QUIET_SECONDS = 2


def wait_until_ready(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path
) -> None:
    """Waits until a server is ready. Fails as soon as its process ends."""
    began = reported_at = time.monotonic()
    while not ready():
        if process.poll() is not None:
            program = Path(str(cast(Sequence[object], process.args)[0])).name
            raise CloudError(
                f"{program} ended with exit status {process.returncode};"
                f" the end of {log}:\n{tail(log)}"
            )
        now = time.monotonic()
        if now - began > _TIMEOUT:
            raise CloudError(f"not ready after {_TIMEOUT} s; the end of {log}:\n{tail(log)}")
        if now - reported_at > _QUIET_SECONDS:
            print(f"  ... {now - began:.0f} s", file=sys.stderr, flush=True)
            reported_at = now
        time.sleep(0.1)


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Prints a step, and its seconds if it takes long."""
    began = time.monotonic()
    print(what, file=sys.stderr, flush=True)
    yield
    if (took := time.monotonic() - began) > _QUIET_SECONDS:
        print(f"  done in {took:.1f} s", file=sys.stderr, flush=True)
