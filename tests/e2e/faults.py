"""Breaks parts of the deployed pipeline for a while, as a wrong setting, a wrong release or a crash
would.
"""

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
    """A function whose environment says something wrong."""
    functions, name = pipeline.cloud.client("lambda"), pipeline.outputs["functions"][function]
    right = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    missing = variables.keys() - right.keys()
    assert not missing, f"{function} is not told {missing}, so nothing would be broken"

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
    """A function in whose package one file is another one."""
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
    """The dirty queue gives a message that was received and not deleted to another receiver after
    so many seconds.
    """
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
    """Kills the processes of functions at random moments, again and again, each function so often.

    To be sure to meet work and not only idle processes, it first ends what a function has, and
    then, at some moment of the first `LATEST` seconds, the process that is started in their place:
    one is only started for work that waits for it.
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
        """Processes that were killed soon after they had been started for some work, by function."""

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
        """The functions that have not been killed often enough, and how often they were."""
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
    """Ends a process at once; says whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
