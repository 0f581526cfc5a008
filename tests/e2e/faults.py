"""Injects faults into the deployed pipeline: wrong settings and releases, outages, crashes."""

from __future__ import annotations

import io
import os
import random
import signal
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dev.pipeline import Pipeline, wait_until


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


@contextmanager
def given_up_after(pipeline: Pipeline, stream: str, retries: int) -> Iterator[None]:
    """Limits the retries of a stream's batches within the context."""
    functions = pipeline.cloud.client("lambda")
    mappings = functions.list_event_source_mappings(
        FunctionName=pipeline.outputs["functions"]["conform"]
    )["EventSourceMappings"]
    mapping = next(
        mapping for mapping in mappings if mapping["EventSourceArn"].endswith(f"/{stream}")
    )

    def update(attempts: int) -> None:
        functions.update_event_source_mapping(UUID=mapping["UUID"], MaximumRetryAttempts=attempts)
        wait_until(
            "the stream is read again",
            lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled",
            60,
        )

    update(retries)
    try:
        yield
    finally:
        update(mapping["MaximumRetryAttempts"])


@contextmanager
def event_bridge_away(pipeline: Pipeline) -> Iterator[None]:
    """Removes the targets of all rules within the context: no event is delivered or kept, and no
    schedule runs. The local cloud delivers the events of disabled rules.
    """
    events = pipeline.cloud.client("events")
    rules = [
        {"EventBusName": bus, "Rule": rule["Name"]}
        for bus in ("default", pipeline.outputs["event_bus"])
        for rule in events.list_rules(EventBusName=bus)["Rules"]
    ]
    targets = [events.list_targets_by_rule(**rule)["Targets"] for rule in rules]
    found = [(rule, own) for rule, own in zip(rules, targets, strict=True) if own]
    for rule, own in found:
        events.remove_targets(**rule, Ids=[target["Id"] for target in own])
    try:
        yield
    finally:
        for rule, own in found:
            assert not events.put_targets(**rule, Targets=own)["FailedEntryCount"], rule


@contextmanager
def step_functions_away(pipeline: Pipeline) -> Iterator[None]:
    """Lets every start of an execution fail within the context."""
    machines = pipeline.outputs["state_machine_arns"]
    gone = {f"{name.upper()}_ARN": f"{arn}-gone" for name, arn in machines.items()}
    with misconfigured(pipeline, "dispatch", **gone), misconfigured(pipeline, "control", **gone):
        yield


@contextmanager
def lambda_away(pipeline: Pipeline) -> Iterator[None]:
    """Throttles all functions within the context, except the webhook: what it does not accept is up
    to the sender.
    """
    functions = pipeline.cloud.client("lambda")
    names = [name for each, name in pipeline.outputs["functions"].items() if each != "webhook"]
    with ExitStack() as streams:
        # The local cloud counts a throttled batch as a failed attempt, AWS does not.
        for source in ("web", "crm"):
            stream = pipeline.outputs["streams"][source]
            streams.enter_context(given_up_after(pipeline, stream, 10_000))
        for name in names:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        try:
            yield
        finally:
            for name in names:
                functions.delete_function_concurrency(FunctionName=name)


@contextmanager
def warehouse_away(pipeline: Pipeline) -> Iterator[None]:
    """Lets the warehouse reject connections within the context, and ends those that are open."""
    database = conninfo_to_dict(pipeline.cloud.warehouse_url)["dbname"]
    url = make_conninfo(pipeline.cloud.warehouse_url, dbname="postgres")

    def set_available(is_available: bool) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"alter database {database} allow_connections {is_available}")
            if not is_available:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                    [database],
                )

    set_available(False)
    try:
        yield
    finally:
        set_available(True)


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
