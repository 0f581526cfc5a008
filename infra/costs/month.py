"""Estimates a month of one environment at one rate of events: quantities and costs by service.

Every number is in one of four files: prices.toml, measured.toml, assumed.toml, environments.toml.
The models' own settings (inputs, days, every_seconds) are read from the headers in glue-sql.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import billing
from billing import GB, HOURS, MB, SECONDS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
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
CONCURRENT_READS = 32
"""Objects that transform reads in parallel; crates/engine/src/inputs.rs."""
ROUND_TRIPS = 6
"""A job's sequential requests to S3 besides its inputs: document, gold, commit, lease."""
EXECUTION_MB = 51
"""Memory of an Express execution: 50 MB, the definition and the data.

https://aws.amazon.com/step-functions/pricing/
"""
GLUE_TRANSITIONS = 6
"""Transitions of a successful Standard execution; silver_to_gold_glue.asl.json."""
MESSAGE_BYTES = 1024
"""Size of an event about a new object or a dirty partition."""
HELD_SECONDS = {"lambda": 3, "glue": 60}
"""Delay of a dirty-partition message while a job holds its partition; functions/dispatch."""
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
    """The schedule and inputs in a model's header."""

    name: str
    inputs: tuple[str, ...]
    lookback_days: int
    lookahead_days: int
    every_seconds: int
    in_warehouse: bool
    has_notifications: bool


@cache
def models(sql: Path = ROOT / "glue-sql") -> dict[str, Model]:
    """Returns the models by name: the SQL files that are neither checks nor migrations."""
    found = {}
    for path in sorted(sql.rglob("*.sql")):
        if path.parent.name in ("checks", "warehouse"):
            continue
        lines = path.read_text().splitlines()
        comment = takewhile(lambda line: line.startswith("--"), lines)
        header = tomllib.loads("\n".join(line.removeprefix("--").strip() for line in comment))
        inputs = (name.rpartition(".") for name in header["inputs"])
        found[path.stem] = Model(
            path.stem,
            tuple(name for folder, _, name in inputs if folder != "reference"),
            header.get("lookback_days", 0),
            header.get("lookahead_days", 0),
            header.get("every_seconds", 0),
            path.parent.name != "intermediate",
            "alert" in header,
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
    dirty_messages: float = 0.0
    """Dirty-partition messages: for each, dispatch reads the partition and lists its inputs."""


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

        A partition is recomputed after a change, at most once in every_seconds, by one job at a
        time. On average half of today's data exists, and all data of earlier days. Later days are
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
            wait = max(change, model.every_seconds, self.every_seconds)
            jobs = [
                self.job(model, inputs, model.lookback_days + days_ago + 0.5)
                for days_ago in range(model.lookahead_days + 1)
            ]
            found += [self.in_a_month(job, change, wait) for job in jobs]
            rows = min(
                self.assumed["model_rows_share"] * sum(flow.rows_per_day for flow in inputs),
                self.assumed["model_rows_per_shop_day"] * self.assumed["shops"],
            )
            size = rows * self.measured["silver_event_bytes"]
            flows[name] = Flow(1, rows, size, max(wait, jobs[0].seconds), polled=jobs[0].polled)
        at_once = sum(job.count * job.seconds for job in found if job.on_glue) / SECONDS
        share = min(1.0, self.environment["glue_runs"] / at_once) if at_once else 1.0
        return [replace(job, count=job.count * share) if job.on_glue else job for job in found]

    def in_a_month(self, job: Jobs, change: float, wait: float) -> Jobs:
        """Returns the job with its number of runs and of dirty-partition messages: one for every
        change in a batch, one for every delayed message, and repeated ones while another job holds
        the partition.
        """
        batch = self.environment["dispatch_seconds"]
        count = SECONDS / max(wait, job.seconds)
        messages = SECONDS / max(change, batch) + count
        if job.seconds > change:
            messages += (
                count * job.seconds / max(batch, HELD_SECONDS["glue" if job.on_glue else "lambda"])
            )
        return replace(job, count=count, dirty_messages=messages)

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
        waits = (ROUND_TRIPS + math.ceil(objects / CONCURRENT_READS)) * self.assumed[
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
    def dirty_messages(self) -> float:
        """Returns the dirty-partition messages of all models."""
        return sum(jobs.dirty_messages for jobs in self.jobs)

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

    @property
    def puts(self) -> float:
        """Returns the written objects: silver, bronze, gold, and for each job its document and two
        writes of its lease.
        """
        return self.conform_invocations + self.bronze_objects + 3 * self.job_count + self.commits

    @property
    def dispatch_messages(self) -> float:
        """Returns the messages of silver objects, commits, and delayed dirty-partition messages."""
        events = self.job_count * self.measured["events_per_job"]
        return self.conform_invocations + events + self.dirty_messages - self.job_count

    @property
    def dispatch_invocations(self) -> float:
        """Returns the invocations: a batch ends with its window or when it is full."""
        messages = self.dispatch_messages / SECONDS
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
        """S3 sends an event for every new object and every expired job document; transform sends
        one for commits.
        """
        published = self.job_count * self.measured["events_per_job"]
        events = billing.eventbridge(
            published, self.puts + self.job_count, MESSAGE_BYTES, self.prices
        )
        notifications = (
            self.assumed["notifications_per_day"]
            * DAYS
            / billing.MILLION
            * self.prices["sns_million_requests"]
        )
        return (
            events + billing.sqs(self.dispatch_messages, MESSAGE_BYTES, self.prices) + notifications
        )

    def dispatch(self) -> float:
        """One invocation per batch of messages; its partitions run in parallel."""
        milliseconds = (
            self.duration("dispatch", self.measured["dispatch_invocation_ms"])
            + ROUND_TRIPS * self.assumed["s3_request_ms"]
        )
        return self.function("dispatch", self.dispatch_invocations, milliseconds)

    def transform(self) -> float:
        """The function's jobs; a job that times out is billed until its timeout."""
        return sum(
            self.function("transform", jobs.count, 1000 * min(TRANSFORM_TIMEOUT, jobs.seconds))
            for jobs in self.function_jobs
        )

    def executions(self) -> float:
        """An Express execution for each job of the function, a Standard one for each Glue job."""
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
        return express + billing.step_functions_standard(
            GLUE_TRANSITIONS * sum(jobs.count for jobs in self.glue_jobs), self.prices
        )

    def s3_requests(self) -> float:
        """Writes; lists of dispatch (one request per 1,000 objects and message) and of control;
        reads of dispatch and transform.
        """
        lists = (
            sum(jobs.dirty_messages * max(jobs.inputs, jobs.objects / 1000) for jobs in self.jobs)
            + self.freshness_checks * self.lists_per_check
        )
        gets = (
            sum(jobs.count * (jobs.objects + ROUND_TRIPS) for jobs in self.jobs)
            + 2 * self.dirty_messages
        )
        archived = self.bronze_objects / 1000 * self.prices["s3_archive_thousand_transitions"]
        return billing.s3_requests(self.puts + lists, gets, self.prices) + archived

    def load(self) -> float:
        """One invocation per commit; most of it waits for the warehouse."""
        milliseconds = (
            self.duration("load", self.measured["load_invocation_ms"])
            + self.assumed["load_seconds"] * 1000
        )
        return self.function("load", self.loads, milliseconds)

    def control_and_notify(self) -> float:
        """control by its schedule: lists, and one read per dataset. notify by the commits of models
        with notifications. Both mostly wait for S3.
        """
        check = (self.lists_per_check + len(self.flows)) * self.assumed["s3_request_ms"]
        commits = (
            sum(jobs.count for jobs in self.jobs if jobs.model.has_notifications)
            * self.measured["committed_share"]
        )
        return self.function("control", self.freshness_checks, check) + self.function(
            "notify", commits, ROUND_TRIPS * self.assumed["s3_request_ms"]
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
