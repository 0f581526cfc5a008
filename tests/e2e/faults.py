"""Injects faults into the deployed pipeline: wrong settings, wrong releases, crashes."""

from __future__ import annotations

import io
import os
import random
import signal
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dev.pipeline import Pipeline


@contextmanager
def misconfigured(pipeline: Pipeline, function: str, **variables: str) -> Iterator[None]:
    """Gives a function wrong environment variables within the context."""
    functions, name = pipeline.cloud.client("lambda"), pipeline.outputs["functions"][function]
    right = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    missing = variables.keys() - right.keys()
    assert not missing, f"{function} does not have {missing}, so this is not a fault"

    def configure(environment: dict[str, str]) -> None:
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": environment}
        )
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    configure({**right, **variables})
    try:
        yield
    finally:
        configure(right)


@contextmanager
def released_with(
    pipeline: Pipeline, function: str, file: str, change: Callable[[bytes], bytes]
) -> Iterator[None]:
    """Releases a function with one changed file within the context."""
    functions, name = pipeline.cloud.client("lambda"), pipeline.outputs["functions"][function]
    package = pipeline.cloud.state / "packages" / f"{function}.zip"

    def release(code: bytes) -> None:
        functions.update_function_code(FunctionName=name, ZipFile=code)
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    changed = io.BytesIO()
    with (
        zipfile.ZipFile(package) as source,
        zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        assert file in source.namelist(), f"{package} has no {file}"
        for entry in source.infolist():
            content = source.read(entry)
            target.writestr(
                entry, change(content) if entry.filename == file else content, compresslevel=1
            )
    release(changed.getvalue())
    try:
        yield
    finally:
        release(package.read_bytes())


@contextmanager
def redelivered_after(pipeline: Pipeline, seconds: int) -> Iterator[None]:
    """Sets the visibility timeout of the dirty queue within the context."""
    queues, url = pipeline.cloud.client("sqs"), pipeline.outputs["dirty_queue_url"]
    right = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])[
        "Attributes"
    ]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        queues.set_queue_attributes(QueueUrl=url, Attributes=right)


class Killer:
    """Kills the processes of functions at random times, each function `times` times.

    A random kill would often hit an idle process. So this kills all processes of a function, then
    the next one within `LATEST` seconds of its start: processes start only for waiting work.
    """

    LATEST = 0.25
    PAUSE = 6.0

    def __init__(self, pipeline: Pipeline, functions: Iterable[str], times: int, seed: int) -> None:
        self._pipeline = pipeline
        self._times = times
        self._over = threading.Event()
        self._hunters = [
            threading.Thread(
                target=self._hunt, args=(name, random.Random(f"{seed} {name}")), daemon=True
            )
            for name in functions
        ]
        self.kills: Counter[str] = Counter(dict.fromkeys(functions, 0))
        """Processes killed during work, by function."""

    def __enter__(self) -> Killer:
        for hunter in self._hunters:
            hunter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for hunter in self._hunters:
            hunter.join()

    @property
    def left(self) -> dict[str, int]:
        """Returns the functions with too few kills, and their kills."""
        return {name: count for name, count in self.kills.items() if count < self._times}

    def _hunt(self, function: str, moments: random.Random) -> None:
        name = self._pipeline.outputs["functions"][function]
        while self.kills[function] < self._times and not self._over.wait(
            moments.uniform(0, self.PAUSE)
        ):
            seen = set(self._pipeline.cloud.function_pids(name))
            for pid in seen:
                kill(pid)
            while not (new := set(self._pipeline.cloud.function_pids(name)) - seen):
                if self._over.wait(0.01):
                    return
            self._over.wait(moments.uniform(0, self.LATEST))
            self.kills[function] += sum(kill(pid) for pid in new) > 0


def kill(pid: int) -> bool:
    """Kills a process; returns whether it existed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
