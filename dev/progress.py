"""Shows what a command is doing, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SILENCE_SECONDS = 2


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints the title, the seconds while the step runs, and how long it took."""
    began = time.monotonic()
    done = threading.Event()
    live = sys.stderr.isatty()

    def tick() -> None:
        while not done.wait(SILENCE_SECONDS if live else 10):
            print(
                f"  ... {title}: {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                end="\r" if live else "\n",
                flush=True,
            )

    print(f"==> {title}", file=sys.stderr, flush=True)
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    print(f"    {title}: done in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
) -> None:
    """Runs a command with its output in `log`. If it fails, shows the end of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        code = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=out,
            stderr=subprocess.STDOUT,
        ).returncode
    if code:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-40:])
        raise SystemExit(
            f"{' '.join(map(str, command[:3]))} ... ended with {code}; the end of {log}:\n{tail}"
        )
