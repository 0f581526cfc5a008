"""Measures the stages of a long run and the memory of its processes, and prints them at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SAMPLE_SECONDS = 0.2


class Stages:
    """Prints the stages of a test."""

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")

    def say(self, text: str) -> None:
        """Prints a line in spite of pytest's capture, because the figures are results."""
        with self._capture.global_and_fixture_disabled():
            print(f"\n    {text}", end="", file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[list[int]]:
        """Times the context. Yields a list for counts of `unit`, from which it prints a rate."""
        began, counts = time.monotonic(), []
        yield counts
        seconds = time.monotonic() - began
        rate = f": {sum(counts):,} {unit}, {sum(counts) / seconds:,.0f}/s" if counts else ""
        self.say(f"{title}: {seconds:.1f} s{rate}")


class Memory:
    """Samples the resident memory of processes within the context. `processes` lists them for each
    sample.
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.largest = 0
        """The largest peak of one process in bytes, as recorded by the kernel."""
        self.together = 0
        """The largest sum over all processes of one sample, in bytes."""

    def __enter__(self) -> Memory:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sampler.join()

    def __str__(self) -> str:
        one, all_ = self.largest / 2**20, self.together / 2**20
        return f"{one:,.0f} MiB in one process, {all_:,.0f} MiB together"

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            sizes = [resident(pid) for pid in self._processes()]
            self.together = max(self.together, sum(now for now, _ in sizes))
            self.largest = max([self.largest, *(peak for _, peak in sizes)])


def resident(pid: int) -> tuple[int, int]:
    """Returns the memory of a process and its peak in bytes; zeros if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {
        name: value
        for name, _, value in (line.partition(":") for line in lines)
        if name in ("VmRSS", "VmHWM")
    }
    now, peak = (int(sizes.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak
