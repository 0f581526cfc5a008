"""Estimates a month of one environment at one rate of events: quantities and costs by service.

Every number is in one of four files: prices.toml, measured.toml, assumed.toml, environments.toml.
calls.py counts the requests of each step of a partition. The models' own settings (inputs, days,
every_seconds) are read from the headers in glue-sql.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import billing
import calls
from billing import GB, HOURS, MB, SECONDS
from calls import CONCURRENT_READS, Calls

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCHEMAS = sorted((ROOT / "crates" / "contracts" / "schemas").glob("*.json"))
DAY = 86_400
DAYS = HOURS / 24
LAMBDA_CORE_MB = 1769
"""The memory of a function with one core.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""
LAMBDA_PAYLOAD = 6 * MB * 3 // 4
"""Bytes of records in one batch: Lambda's limit is 6 MB in base64."""
TRANSFORM_TIMEOUT = 100
"""Seconds; infra/transform.tf."""
EXECUTION_MB = 51
"""Memory of an Express execution: 50 MB, the definition and the data.

https://aws.amazon.com/step-functions/pricing/
"""
GLUE_TRANSITIONS = 6
"""Transitions of a successful Standard execution; silver_to_gold_glue.asl.json. A failure takes
one more: RecordGlueFailed."""
MESSAGE_BYTES = 1024
"""Size of an event about a new object or a dirty partition."""
LOADS_AT_ONCE = 4
"""Concurrent loads in Redshift when many partitions change together."""
STREAM_READERS = 2
"""Consumers of a stream: conform and Firehose."""


@cache
def read(name: str) -> dict[str, Any]:
    """Returns a TOML file of this folder."""
    return tomllib.loads((HERE / name).read_text())


def values(name: str, key: str) -> dict[str, float]:
    """Returns one number of each entry of a file."""
    return {entry: float(fields[key]) for entry, fields in read(name).items()}


@dataclass(frozen=True)
class Model:
    """The schedule in a model's header, and the datasets and models whose objects it reads."""

    name: str
    inputs: tuple[str, ...]
    references: int
    lookback_days: int
    lookahead_days: int
    every_seconds: int
    in_warehouse: bool
    has_notifications: bool
    has_row_per_input: bool
    """Whether it has a row for each row of a dataset: its key has the dataset's key."""
    finds_moved_rows: bool
    """Whether it has only rows that another day replaces: nearly none."""


@cache
def contracts() -> dict[str, dict[str, Any]]:
    """Returns the block `x-dataset` of each dataset."""
    return {path.stem: json.loads(path.read_text())["x-dataset"] for path in SCHEMAS}


@cache
def objects_read_as(name: str) -> tuple[str, ...]:
    """Returns the datasets or the model whose objects are read for an input. A dataset whose
    batches are snapshots is read with the control totals and the quarantine.
    """
    batched = [dataset for dataset, header in contracts().items() if "batch" in header]
    if name == "batch_runs":
        return (*batched, "control_totals", "quarantined")
    return (name, "control_totals", "quarantined") if name in batched else (name,)


@cache
def models(sql: Path = ROOT / "glue-sql") -> dict[str, Model]:
    """Returns the models by name: the SQL files that are neither checks, migrations nor views."""
    found, headers = {}, {}
    for path in sorted(sql.rglob("*.sql")):
        if path.parent.name in ("checks", "warehouse"):
            continue
        lines = path.read_text().splitlines()
        comment = takewhile(lambda line: line.startswith("--"), lines)
        header = tomllib.loads("\n".join(line.removeprefix("--").strip() for line in comment))
        if not header.get("view"):
            headers[path] = header
    # All models but those that find moved rows read a dataset with the model of these rows.
    moved, finders = {}, set()
    for path, header in headers.items():
        if "moved_rows_of" in header:
            moved[header["moved_rows_of"]] = path.stem
            finders |= {path.stem, *(name.rpartition(".")[2] for name in header["inputs"])}
    for path, header in headers.items():
        inputs = [name.rpartition(".") for name in header["inputs"]]
        by_day = [name for folder, _, name in inputs if folder != "reference"]
        read = [each for name in by_day for each in objects_read_as(name)]
        if path.stem not in finders:
            read += [moved[name] for name in header["inputs"] if name in moved]
        keys = [contracts()[name]["key"] for name in by_day if name in contracts()]
        found[path.stem] = Model(
            path.stem,
            tuple(dict.fromkeys(read)),
            len(inputs) - len(by_day),
            header.get("lookback_days", 0),
            header.get("lookahead_days", 0),
            header.get("every_seconds", 0),
            path.parent.name != "intermediate",
            "alert" in header,
            any(set(key) <= set(header.get("key", ())) for key in keys),
            "moved_rows_of" in header,
        )
    return found


@dataclass(frozen=True)
class Flow:
    """The amount of data of an input: a dataset, or a model that others read."""

    objects_per_day: float
    rows_per_day: float
    bytes_per_day: float
    seconds_between: float
    """Time between changes."""
    polled: bool = False
    """Whether only connectors deliver it: in bursts, hourly or daily."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of one partition of a model in a month: their number, and the size of one job."""

    model: Model
    count: float
    inputs: int
    objects: float
    rows: float
    seconds: float
    on_glue: bool
    polled: bool
    change: float = SECONDS
    """Seconds between changes of the fastest input."""
    dirty_again: float = 0.0
    """Jobs during which a change arrives: each sends a message about its partition when it ends."""
    waits: float = 0.0
    """Messages that wait until the partition may be computed again."""
    marked: float = 0.0
    """Jobs before which the sweep has deleted the partition's marker."""

    def times(self, share: float) -> Jobs:
        """Returns a share of the jobs."""
        return replace(
            self,
            count=self.count * share,
            dirty_again=self.dirty_again * share,
            waits=self.waits * share,
            marked=self.marked * share,
        )


@dataclass
class Month:
    """A month of one environment at one rate of events."""

    events_per_second: float
    environment: Mapping[str, Any]
    prices: Mapping[str, float] = field(default_factory=lambda: values("prices.toml", "usd"))
    measured: Mapping[str, float] = field(default_factory=lambda: values("measured.toml", "value"))
    assumed: Mapping[str, float] = field(default_factory=lambda: values("assumed.toml", "value"))
    every_seconds: int = 0
    """Minimum time between computations of a partition; overrides smaller values of models."""

    # ---- arrival ----

    @property
    def requests(self) -> float:
        """Returns the requests to the API."""
        return self.events_per_second / self.assumed["events_per_request"] * SECONDS

    @property
    def exceeds_throttle(self) -> bool:
        """Returns whether the requests exceed the API's throttle."""
        return self.requests / SECONDS > self.environment["requests_per_second"] * 1.0001

    @property
    def record_bytes(self) -> float:
        """Returns the size of a record: a request's events, up to 25,000 bytes."""
        return min(25_000.0, self.assumed["events_per_request"] * self.measured["envelope_bytes"])

    @property
    def records(self) -> float:
        """Returns the records written to the streams."""
        return (
            self.events_per_second * SECONDS * self.measured["envelope_bytes"] / self.record_bytes
        )

    def stream_shards(self, share: float) -> int:
        """Returns the shards of a stream with this share of the events: as configured, or more if
        needed.

        An on-demand stream has at least 4, and twice the peak of the last 30 days; a shard takes
        1 MB and 1,000 records a second.
        https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html
        """
        records = self.records / SECONDS * share
        needed = max(1, math.ceil(records * self.record_bytes / MB), math.ceil(records / 1000))
        return (
            max(self.environment["shards"], needed)
            if self.environment["shards"]
            else max(4, 2 * needed)
        )

    def batches_per_second(self, share: float) -> float:
        """Returns the invocations of conform for a stream. On each shard a batch ends with its
        window (which begins with a record), or when it is full by records or bytes.
        https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
        """
        shards = self.stream_shards(share)
        records = self.records / SECONDS * share / shards
        window = 1 / (self.environment["conform_seconds"] + 1 / records)
        return shards * max(
            window,
            records / self.environment["conform_records"],
            records * self.record_bytes / LAMBDA_PAYLOAD,
        )

    @property
    def shares(self) -> dict[str, float]:
        """Returns the share of events by dataset; each dataset has its own stream."""
        return {
            "web_traffic": 1 - self.assumed["crm_share"],
            "crm_interactions": self.assumed["crm_share"],
        }

    @property
    def conform_invocations(self) -> float:
        """Returns the invocations for batches of streams and for bronze objects."""
        return (
            sum(map(self.batches_per_second, self.shares.values())) * SECONDS
            + self.bronze_objects_of_connectors
        )

    @property
    def bronze_objects_of_connectors(self) -> float:
        """Returns an hourly and a daily object: Firehose combines deliveries of the same time."""
        return 25 * DAYS

    @cached_property
    def flows(self) -> dict[str, Flow]:
        """Returns what arrives in silver, by dataset."""
        found = {}
        for dataset, share in self.shares.items():
            objects, rows = (
                self.batches_per_second(share) * DAY,
                self.events_per_second * share * DAY,
            )
            size = (
                objects * self.measured["silver_object_bytes"]
                + rows * self.measured["silver_event_bytes"]
            )
            found[dataset] = Flow(objects, rows, size, DAY / objects)
        found["pos_sales"] = self.daily_delivery
        found["inventory_levels"] = self.delivery(
            24, 24 * self.assumed["shops"] * self.assumed["inventory_rows_per_shop_hour"]
        )
        return found

    @property
    def daily_delivery(self) -> Flow:
        """A daily POS delivery; also the estimate of a dataset without an assumption."""
        return self.delivery(1, self.assumed["shops"] * self.assumed["pos_rows_per_shop_day"])

    def delivery(self, arrivals: float, rows: float) -> Flow:
        """Returns the flow of so many deliveries a day with so many rows in all."""
        size = (
            arrivals * self.measured["silver_object_bytes"]
            + rows * self.measured["silver_event_bytes"]
        )
        return Flow(arrivals, rows, size, DAY / arrivals, polled=True)

    # ---- computation ----

    @cached_property
    def jobs(self) -> list[Jobs]:
        """Returns the jobs of each model and each partition that new data makes dirty: today, and
        lookahead_days before.

        On average half of today's data exists, and all data of earlier days. Later days are
        dirty too, but have no data.
        """
        flows, found = dict(self.flows), []
        waiting = dict(models())
        while waiting:
            name, model = next(
                (name, model)
                for name, model in waiting.items()
                if not any(each in waiting for each in model.inputs)
            )
            del waiting[name]
            inputs = [flows.get(each, self.daily_delivery) for each in model.inputs]
            change = min(flow.seconds_between for flow in inputs)
            jobs = [
                self.job(model, inputs, model.lookback_days + days_ago + 0.5)
                for days_ago in range(model.lookahead_days + 1)
            ]
            jobs = [self.in_a_month(job, change) for job in jobs]
            found += jobs
            rows = sum(flow.rows_per_day for flow in inputs)
            if not model.has_row_per_input:
                rows = min(
                    self.assumed["model_rows_share"] * rows,
                    self.assumed["model_rows_per_shop_day"] * self.assumed["shops"],
                )
            size = rows * self.measured["silver_event_bytes"]
            flows[name] = (
                Flow(0, 0, 0, math.inf)
                if model.finds_moved_rows
                else Flow(1, rows, size, SECONDS / jobs[0].count, polled=jobs[0].polled)
            )
        at_once = sum(job.count * job.seconds for job in found if job.on_glue) / SECONDS
        share = min(1.0, self.environment["glue_runs"] / at_once) if at_once else 1.0
        return [each.times(share) if each.on_glue else each for each in found]

    def in_a_month(self, job: Jobs, change: float) -> Jobs:
        """Returns the job with its numbers in a month, for changes at this interval.

        The next job of a partition starts every_seconds after the end of the last one
        (PartitionState::ready_at). The time until its message is received counts as zero.
        """
        every = max(job.model.every_seconds, self.every_seconds)
        interval = max(change, job.seconds + every)
        count = SECONDS / interval
        sweep = 60 * self.environment["sweep_minutes"]
        quiet = (interval - job.seconds - calls.QUIET_SECONDS) / sweep
        return replace(
            job,
            change=change,
            count=count,
            # A change during the job, which waits for every_seconds after it, or one within them.
            dirty_again=count * min(1.0, job.seconds / change),
            waits=count * min(1.0, (job.seconds + every) / change) if every else 0.0,
            marked=count * min(1.0, max(0.0, quiet)),
        )

    def job(self, model: Model, inputs: list[Flow], days: float) -> Jobs:
        """Returns one job over so many days of its inputs."""
        objects, rows, size = (
            sum(values) * days
            for values in zip(
                *((flow.objects_per_day, flow.rows_per_day, flow.bytes_per_day) for flow in inputs),
                strict=True,
            )
        )
        polled = all(flow.polled for flow in inputs)
        limit = self.environment["glue_above_mb"]
        if limit and size > limit * MB:
            rate = self.assumed["glue_rows_per_worker_second"] * max(
                1, self.environment["glue_workers"] - 1
            )  # one is the driver
            seconds = self.assumed["glue_start_seconds"] + rows / rate
            return Jobs(model, 0, len(inputs), objects, rows, seconds, on_glue=True, polled=polled)
        round_trips = (calls.BEGIN_JOB + calls.COMMIT + calls.END_JOB).round_trips
        waits = (round_trips + math.ceil(objects / CONCURRENT_READS)) * self.assumed[
            "s3_request_ms"
        ]
        reading = (
            objects * self.measured["transform_object_ms"]
            + rows * self.measured["transform_row_us"] / 1000
        )
        processor = self.measured["transform_job_ms"] + reading
        seconds = (self.duration("transform", processor) + waits) / 1000
        return Jobs(model, 0, len(inputs), objects, rows, seconds, on_glue=False, polled=polled)

    def duration(self, function: str, processor_ms: float) -> float:
        """Returns the milliseconds of a function for so much time of one core."""
        return processor_ms / min(1.0, self.environment["memory_mb"][function] / LAMBDA_CORE_MB)

    @property
    def too_slow(self) -> list[Jobs]:
        """Returns the jobs that time out: the estimate counts them until their timeout."""
        return [jobs for jobs in self.jobs if not jobs.on_glue and jobs.seconds > TRANSFORM_TIMEOUT]

    @property
    def job_count(self) -> float:
        """Returns the jobs of all models."""
        return sum(jobs.count for jobs in self.jobs)

    @property
    def waits(self) -> float:
        """Returns the messages that wait for a partition. Each is received once more."""
        return sum(jobs.waits for jobs in self.jobs)

    @property
    def commits(self) -> float:
        """Returns the jobs with changed rows."""
        return self.job_count * self.measured["committed_share"]

    def loads_of(self, polled: bool) -> float:
        """Returns the commits of models in the warehouse, by kind of input."""
        shown = sum(
            jobs.count for jobs in self.jobs if jobs.model.in_warehouse and jobs.polled == polled
        )
        return shown * self.measured["committed_share"]

    @property
    def loads(self) -> float:
        """Returns all commits of models in the warehouse."""
        return self.loads_of(polled=False) + self.loads_of(polled=True)

    @property
    def bronze_objects(self) -> float:
        """Returns the bronze objects: Firehose writes when its buffer is full or old."""
        streams, size = self.environment["event_streams"], self.environment["firehose_mb"] * MB
        bytes_per_second = self.events_per_second * self.measured["envelope_bytes"]
        return (
            max(streams / self.environment["firehose_seconds"], bytes_per_second / size) * SECONDS
            + self.bronze_objects_of_connectors
        )

    def asked(self, jobs: Jobs) -> float:
        """Returns how often dispatch is asked for a partition: by each change, and by each message
        that waited. A message of an input names the partitions of all its readers, although it
        waits for one of them. A batch asks once.
        """
        inputs = set(jobs.model.inputs)
        waits = sum(each.waits for each in self.jobs if inputs & set(each.model.inputs))
        return min(self.dispatch_invocations, SECONDS / jobs.change + jobs.dirty_again + waits)

    def calls_of(self, jobs: Jobs) -> Calls:
        """Returns the requests for one partition of a model in a month."""
        committed = self.measured["committed_share"]
        done = calls.BEGIN_JOB + jobs.objects * calls.READ + calls.END_JOB + calls.LOAD
        done += committed * calls.COMMIT
        if jobs.on_glue:
            done += calls.GLUE_RESULT
        if jobs.model.has_notifications:
            done += committed * (calls.NOTIFY + self.assumed["notifications_per_day"] * calls.CLAIM)
        planned = calls.plan(jobs.inputs, jobs.objects, jobs.model.references)
        return (
            self.asked(jobs) * calls.ASK
            + jobs.dirty_again * calls.NOTE_DIRTY
            + jobs.waits * calls.WAIT
            + jobs.marked * calls.MARK_AND_SETTLE
            + jobs.count * (planned + calls.START + self.missed_slots * calls.MISS_SLOT + done)
        )

    @cached_property
    def missed_slots(self) -> float:
        """Returns the run slots that a job finds taken, on average: the jobs of a batch start at
        the same time, and see the same free slots.
        """
        return max(0.0, self.job_count / self.dispatch_invocations - 1) / 2

    @cached_property
    def empty_days(self) -> list[tuple[float, Calls]]:
        """Returns how often dispatch looks at the later days of a model, and the requests."""
        found = []
        for jobs in {jobs.model.name: jobs for jobs in self.jobs}.values():
            model = jobs.model
            if model.lookback_days:
                partitions = model.lookahead_days + 1
                look = calls.look_for_empty(model.lookback_days, partitions, jobs.inputs)
                found.append((self.asked(jobs), look))
        return found

    def objects_per_day(self, name: str) -> float:
        """Returns the objects of a day of a dataset or model."""
        return self.flows[name].objects_per_day if name in self.flows else 1.0

    @cached_property
    def lake_calls(self) -> Calls:
        """Returns all requests to S3, without those of the freshness check."""
        found = Calls(puts=self.conform_invocations + self.bronze_objects)
        found += self.bronze_objects_of_connectors * calls.RECEIPT
        for jobs in self.jobs:
            found += self.calls_of(jobs)
        for times, look in self.empty_days:
            found += times * look
        return found + self.sweeps * self.sweep + DAYS * self.comparison

    # ---- the sweep ----

    @property
    def sweeps(self) -> float:
        """Returns the sweeps of control."""
        return SECONDS / 60 / self.environment["sweep_minutes"]

    @cached_property
    def compared(self) -> list[str]:
        """Returns the datasets that models read, and the models: Sweep::prefixes."""
        datasets = {name for model in models().values() for name in model.inputs} - models().keys()
        return [*datasets, *models()]

    @property
    def compared_day(self) -> Calls:
        """Returns the lists of one day: Sweep::written."""
        return Calls(lists=sum(calls.pages(self.objects_per_day(name)) for name in self.compared))

    @cached_property
    def sweep(self) -> Calls:
        """Returns the requests of a sweep that sends nothing."""
        # Sweep::states: a list of the states of each model
        states = Calls(lists=len(models()))
        # Sweep::check: the states of the newest days, and of the days before that read them
        checks = sum(calls.NEWEST_DAYS + model.lookahead_days for model in models().values())
        # Sweep::owed: the state of each marker
        markers = len(self.jobs)
        # Sweep::unconformed: the objects of each batch source, and their receipts
        bronze = Calls(lists=2 * self.environment["repositories"])
        # Sweep::written: the head of each reference table
        references = Calls(gets=max(model.references for model in models().values()))
        return (
            calls.SWEEP
            + bronze
            + references
            + calls.NEWEST_DAYS * self.compared_day
            + states
            + (checks + markers) * calls.READ_STATE
        )

    @cached_property
    def comparison(self) -> Calls:
        """Returns the further requests of a daily comparison of all days."""
        days = self.assumed["months_kept"] * DAYS
        # Sweep::day_after: the next object of each dataset and model
        found = days * (Calls(lists=len(self.compared)) + self.compared_day)
        # Sweep::check: of each model, the partitions that read these days
        checks = sum(
            min(days, calls.OTHER_DAYS + model.lookback_days + model.lookahead_days)
            for model in models().values()
        )
        return found + days / calls.OTHER_DAYS * checks * calls.READ_STATE

    @property
    def sweep_seconds(self) -> float:
        """Returns the duration of all sweeps: parallel requests, except for the lists of states."""
        sequential = self.sweeps * (calls.SWEEP.round_trips + len(models()))
        parallel = self.sweeps * self.sweep + DAYS * self.comparison
        return (
            (sequential + (parallel.lists + parallel.gets) / calls.SWEEP_AT_ONCE)
            * self.assumed["s3_request_ms"]
            / 1000
        )

    # ---- messages ----

    @property
    def published(self) -> float:
        """Returns the events of transform: what commits dirty, and partitions that are dirty
        again.
        """
        again = sum(jobs.dirty_again for jobs in self.jobs)
        return self.job_count * self.measured["events_per_job"] + again

    @property
    def dispatch_messages(self) -> float:
        """Returns the messages of silver objects and of events of transform."""
        return self.conform_invocations + self.published

    @cached_property
    def dispatch_invocations(self) -> float:
        """Returns the invocations: a batch ends with its window or when it is full."""
        messages = (self.dispatch_messages + self.waits) / SECONDS
        window = 1 / (self.environment["dispatch_seconds"] + 1 / messages)
        return max(window, messages / self.environment["dispatch_messages"]) * SECONDS

    @property
    def freshness_checks(self) -> float:
        """Returns the freshness checks of control."""
        return SECONDS / 60 / self.environment["freshness_minutes"]

    @property
    def lists_per_check(self) -> float:
        """Returns the list requests of a check: two days of objects per dataset, by 1,000."""
        return sum(max(1.0, 2 * flow.objects_per_day / 1000) for flow in self.flows.values())

    # ---- dollars ----

    def lines(self) -> dict[str, float]:
        """Returns dollars a month by line of the table."""
        environment, prices = self.environment, self.prices
        return {
            "API Gateway": billing.api_gateway(self.requests, prices),
            "WAF": billing.waf(
                environment["waf_acls"], environment["waf_rules"], self.requests, prices
            ),
            "webhook (Lambda)": self.webhook(),
            "Kinesis": self.kinesis(),
            "Firehose": billing.firehose(self.records, self.record_bytes, prices),
            "conform (Lambda)": self.conform(),
            "EventBridge, SQS, SNS": self.messages(),
            "dispatch (Lambda)": self.dispatch(),
            "transform (Lambda)": self.transform(),
            "transform (Glue)": sum(
                billing.glue(jobs.count, environment["glue_workers"], jobs.seconds, prices)
                for jobs in self.glue_jobs
            ),
            "Step Functions": self.executions(),
            "S3 requests": self.s3_requests(),
            "S3 storage": self.storage(),
            "load (Lambda)": self.load(),
            "control, notify (Lambda)": self.control_and_notify(),
            "Redshift Serverless": self.redshift(),
            "CloudWatch": self.cloudwatch(),
            "X-Ray": self.xray(),
            "connectors and network": self.connectors(),
            "keys, secrets": self.keys(),
            "Athena": billing.athena(self.assumed["athena_queries_per_day"] * DAYS, GB, prices),
        }

    @property
    def total(self) -> float:
        """Returns dollars a month."""
        return sum(self.lines().values())

    @property
    def per_million(self) -> float:
        """Returns dollars per million events."""
        return self.total / (self.events_per_second * SECONDS / billing.MILLION)

    @property
    def function_jobs(self) -> list[Jobs]:
        """Returns the jobs that the function runs."""
        return [jobs for jobs in self.jobs if not jobs.on_glue]

    @property
    def glue_jobs(self) -> list[Jobs]:
        """Returns the jobs that Glue runs."""
        return [jobs for jobs in self.jobs if jobs.on_glue]

    def function(self, name: str, invocations: float, milliseconds: float) -> float:
        """Returns the dollars of a function."""
        return billing.lambda_function(
            invocations, milliseconds, self.environment["memory_mb"][name], self.prices
        )

    def webhook(self) -> float:
        """One invocation per request, including the write to the stream."""
        milliseconds = (
            self.duration("webhook", self.measured["webhook_request_ms"])
            + self.assumed["kinesis_put_ms"]
        )
        return self.function("webhook", self.requests, milliseconds)

    def conform(self) -> float:
        """One invocation per batch, including one parallel write of objects."""
        events = self.events_per_second * SECONDS / self.conform_invocations
        processor = (
            self.measured["conform_batch_ms"] + events * self.measured["conform_event_us"] / 1000
        )
        return self.function(
            "conform",
            self.conform_invocations,
            self.duration("conform", processor) + self.assumed["s3_request_ms"],
        )

    def messages(self) -> float:
        """S3 sends an event for every object that is written, deleted or expires; transform sends
        those of dirty partitions.
        """
        events = billing.eventbridge(
            self.published, self.lake_calls.events, MESSAGE_BYTES, self.prices
        )
        notifications = (
            self.assumed["notifications_per_day"]
            * DAYS
            / billing.MILLION
            * self.prices["sns_million_requests"]
        )
        return (
            events
            + billing.sqs(self.dispatch_messages, MESSAGE_BYTES, self.prices, deferred=self.waits)
            + notifications
        )

    def dispatch(self) -> float:
        """One invocation per batch of messages. Its partitions run in parallel, the pages of a
        listing one after the other.
        """
        round_trips = (calls.ASK + calls.PLAN + calls.START).round_trips
        # First the longest listing for empty days, then that of the window of each job.
        looks = max((times * look.lists for times, look in self.empty_days), default=0.0)
        windows = sum(jobs.count * calls.pages(jobs.objects) for jobs in self.jobs)
        pages = (looks + windows) / self.dispatch_invocations
        milliseconds = self.duration("dispatch", self.measured["dispatch_invocation_ms"]) + (
            (round_trips + pages) * self.assumed["s3_request_ms"]
        )
        return self.function("dispatch", self.dispatch_invocations, milliseconds)

    def transform(self) -> float:
        """The function's jobs; a job that times out is billed until its timeout."""
        return sum(
            self.function("transform", jobs.count, 1000 * min(TRANSFORM_TIMEOUT, jobs.seconds))
            for jobs in self.function_jobs
        )

    def executions(self) -> float:
        """An Express execution for each job of the function. A Standard one for each Glue job,
        which starts an Express one to load the result.
        """
        load = self.assumed["load_seconds"]
        express = sum(
            billing.step_functions_express(
                jobs.count,
                1000 * (min(TRANSFORM_TIMEOUT, jobs.seconds) + load),
                EXECUTION_MB,
                self.prices,
            )
            for jobs in self.function_jobs
        )
        on_glue = sum(jobs.count for jobs in self.glue_jobs)
        return (
            express
            + billing.step_functions_express(on_glue, 1000 * load, EXECUTION_MB, self.prices)
            + billing.step_functions_standard(GLUE_TRANSITIONS * on_glue, self.prices)
        )

    def s3_requests(self) -> float:
        """Requests for data and partitions, and the lists of the freshness check."""
        found = self.lake_calls + Calls(lists=self.freshness_checks * self.lists_per_check)
        writes = found.puts + found.conflicts + found.lists
        archived = self.bronze_objects / 1000 * self.prices["s3_archive_thousand_transitions"]
        return billing.s3_requests(writes, found.gets, self.prices) + archived

    def load(self) -> float:
        """One invocation per commit. It waits for the warehouse, then records the version."""
        milliseconds = (
            self.duration("load", self.measured["load_invocation_ms"])
            + self.assumed["load_seconds"] * 1000
            + calls.LOAD.round_trips * self.assumed["s3_request_ms"]
        )
        return self.function("load", self.loads, milliseconds)

    def control_and_notify(self) -> float:
        """control by its schedules: the freshness check, with lists and one read per dataset, and
        the sweep. notify by the commits of models with notifications. All mostly wait for S3.
        """
        request = self.assumed["s3_request_ms"]
        check = (self.lists_per_check + len(self.flows)) * request
        sweep = 1000 * self.sweep_seconds / self.sweeps
        commits = (
            sum(jobs.count for jobs in self.jobs if jobs.model.has_notifications)
            * self.measured["committed_share"]
        )
        claims = math.ceil(self.assumed["notifications_per_day"] / calls.CLAIMS_AT_ONCE)
        return (
            self.function("control", self.freshness_checks, check)
            + self.function("control", self.sweeps, sweep)
            + self.function("notify", commits, (calls.NOTIFY.round_trips + claims) * request)
        )

    def xray(self) -> float:
        """A trace begins with a request, a batch of a stream or a batch of messages."""
        roots = (self.requests + self.conform_invocations + self.dispatch_invocations) / SECONDS
        return billing.xray_traces(roots) / billing.MILLION * self.prices["xray_million_traces"]

    def keys(self) -> float:
        """Keys and their use. The shops' secrets are parameters, which are free."""
        keys, secrets = self.environment["keys"], self.environment["secrets"]
        requests = self.assumed["kms_requests"] / 10_000 * self.prices["kms_ten_thousand_requests"]
        return (
            keys * self.prices["kms_key_month"] + requests + secrets * self.prices["secret_month"]
        )

    def kinesis(self) -> float:
        """All streams; those of connectors carry little data."""
        environment, retention = self.environment, self.environment["retention_hours"]
        if not environment["shards"]:
            streams = environment["streams"]
            return billing.kinesis_on_demand(
                streams, self.records, self.record_bytes, STREAM_READERS, retention, self.prices
            )
        others = environment["streams"] - len(self.shares)
        shards = sum(map(self.stream_shards, self.shares.values())) + others * environment["shards"]
        return billing.kinesis_provisioned(
            shards, self.records, self.record_bytes, retention, self.prices
        )

    def storage(self) -> float:
        """Bronze, which moves to the archive, and silver. Gold and jobs are negligible."""
        bronze = (
            self.events_per_second
            * SECONDS
            * self.measured["envelope_bytes"]
            * self.assumed["gzip_share"]
            / GB
        )
        silver = sum(flow.bytes_per_day for flow in self.flows.values()) * DAYS / GB
        months, fresh = (
            self.assumed["months_kept"],
            min(self.assumed["months_kept"], self.environment["archive_days"] / DAYS),
        )
        standard = silver * months + bronze * fresh
        return (
            standard * self.prices["s3_gb_month"]
            + bronze * (months - fresh) * self.prices["s3_archive_gb_month"]
        )

    @property
    def warehouse_seconds(self) -> float:
        """Returns the time that loads or queries keep the warehouse busy. Loads of streaming models
        are spread over the day; those of a connector's delivery run together.
        """
        load, deliveries = self.assumed["load_seconds"], self.bronze_objects_of_connectors
        spread = billing.redshift_busy_seconds(self.loads_of(polled=False), load)
        together = billing.redshift_busy_seconds(
            deliveries, self.loads_of(polled=True) / deliveries * load / LOADS_AT_ONCE
        )
        loading = min(1.0, (spread + together) / SECONDS)
        asked = self.assumed["bi_hours_per_day"] / 24
        return (1 - (1 - loading) * (1 - asked)) * SECONDS

    def redshift(self) -> float:
        """The base capacity. Each snapshot counts as a full copy."""
        rpus, stored = self.environment["warehouse_rpus"], self.assumed["warehouse_gb"]
        if not rpus:
            return 0.0
        snapshots = self.environment["snapshot_days"] * stored
        limit = self.environment["warehouse_limit_rpu_hours_month"] or math.inf
        return billing.redshift(self.warehouse_seconds, rpus, stored, snapshots, limit, self.prices)

    def cloudwatch(self) -> float:
        """Logs (stored at about 15 % of their size), metrics including Container Insights, alarms,
        dashboards.
        """
        measured, prices, environment = self.measured, self.prices, self.environment
        logs = (
            self.requests * (measured["webhook_log_bytes"] + self.assumed["access_log_bytes"])
            + self.conform_invocations * measured["conform_log_bytes"]
            + self.dispatch_invocations * measured["dispatch_log_bytes"]
            + self.job_count * (measured["transform_log_bytes"] + measured["load_log_bytes"])
            + self.job_count
            * (self.assumed["execution_log_bytes"] if environment["logs_every_step"] else 0)
        ) / GB
        metrics = (
            self.assumed["custom_metrics"]
            + environment["insights_groups"] * self.assumed["insights_metrics"]
        )
        return (
            logs
            * (prices["logs_gb"] + 0.15 * environment["log_days"] / DAYS * prices["logs_gb_month"])
            + metrics * prices["metric_month"]
            + environment["alarm_metrics"] * prices["alarm_month"]
            + environment["dashboards"] * prices["dashboard_month"]
        )

    def connectors(self) -> float:
        """Tasks, each with a public address unless there are endpoints or a NAT; images; endpoints
        or a NAT.
        """
        environment, assumed, prices = self.environment, self.assumed, self.prices
        runs = assumed["shops"] * 25 * DAYS
        seconds = assumed["connector_seconds"]
        nat, endpoints = environment["nat_gateways"], environment["endpoint_zones"]
        rows = assumed["pos_rows_per_shop_day"] + 24 * assumed["inventory_rows_per_shop_hour"]
        polled = assumed["shops"] * rows * DAYS * self.measured["envelope_bytes"] / GB
        fixed = (
            nat * (prices["nat_gateway_hour"] + prices["public_ipv4_hour"])
            + endpoints * prices["endpoint_zone_hour"]
        )
        moved = (
            2 * polled * prices["nat_gateway_gb"]
            if nat
            else polled * prices["endpoint_gb"]
            if endpoints
            else 0.0
        )
        address = 0.0 if nat or endpoints else runs * seconds / 3600 * prices["public_ipv4_hour"]
        return (
            billing.fargate(
                runs,
                seconds,
                environment["task_cpu"] / 1024,
                environment["task_memory_mb"] / 1024,
                prices,
            )
            + environment["repositories"] * assumed["image_gb"] * prices["ecr_gb_month"]
            + HOURS * fixed
            + moved
            + address
        )
