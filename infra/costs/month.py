"""A month of one environment at one rate of events: what happens in it, and what each service bills
for that.

Every number is in one of four files: prices.toml, measured.toml, assumed.toml, environments.toml.
The models' own settings (inputs, days, every_seconds) are read from the headers in glue-sql.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import billing
from billing import GB, HOURS, MB, SECONDS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DAY = 86_400
DAYS = HOURS / 24
LAMBDA_CORE_MB = 1769
"""At this size a function has one whole core: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
LAMBDA_PAYLOAD = 6 * MB * 3 // 4
"""Bytes of records in one batch: Lambda takes 6 MB, in which they are base64."""
TRANSFORM_TIMEOUT = 100
"""Seconds; infra/transform.tf."""
CONCURRENT_READS = 32
"""Objects that transform reads at a time; crates/engine/src/inputs.rs."""
ROUND_TRIPS = 6
"""Requests to S3 of a job, one after the other, beside its inputs: document, gold, commit, lease."""
EXECUTION_MB = 51
"""Memory of an Express execution: AWS counts 50 MB, the definition and the data. https://aws.amazon.com/step-functions/pricing/"""
GLUE_TRANSITIONS = 6
"""The start of a Standard execution, and the states that it enters for a job that ends well; silver_to_gold_glue.asl.json."""
MESSAGE_BYTES = 1024
"""Of an event that says that an object was written, or a partition is dirty."""
HELD_SECONDS = {"lambda": 3, "glue": 60}
"""How long a mark waits for a job that holds its partition; functions/dispatch/src/engine.rs."""
LOADS_AT_ONCE = 4
"""Loads that Redshift works on side by side when many partitions change together."""
STREAM_READERS = 2
"""conform and Firehose."""


@cache
def read(name: str) -> dict[str, Any]:
    """A file of this folder."""
    return tomllib.loads((HERE / name).read_text())


def values(name: str, key: str) -> dict[str, float]:
    """One number of each entry of a file."""
    return {entry: float(fields[key]) for entry, fields in read(name).items()}


@dataclass(frozen=True)
class Model:
    """What a model's header says of when it is computed, and from what."""

    name: str
    inputs: tuple[str, ...]
    lookback_days: int
    lookahead_days: int
    every_seconds: int
    in_warehouse: bool
    has_notice: bool


@cache
def models(sql: Path = ROOT / "glue-sql") -> dict[str, Model]:
    """The models, by the names that others call them by, such as silver.daily_stock."""
    found = {}
    for path in sorted([*sql.glob("silver/*.sql"), *sql.glob("gold/*.sql")]):
        lines = path.read_text().splitlines()
        last = next(number for number, line in enumerate(lines) if not line.startswith("--"))
        header = tomllib.loads("\n".join(line.removeprefix("--").strip() for line in lines[:last]))
        found[f"{path.parent.name}.{path.stem}"] = Model(
            path.stem,
            tuple(name for name in header["inputs"] if not name.startswith("reference.")),
            header.get("lookback_days", 0),
            header.get("lookahead_days", 0),
            header.get("every_seconds", 0),
            "warehouse" in header,
            "notice" in header,
        )
    return found


@dataclass(frozen=True)
class Flow:
    """What there is of an input: of a dataset, or of a model that others read."""

    objects_per_day: float
    rows_per_day: float
    bytes_per_day: float
    seconds_between: float
    """How long it is from one change to the next."""
    polled: bool = False
    """Whether it comes from connectors alone: all at once, and then nothing for an hour or a day."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of one model and one of its partitions in a month, and one of them."""

    model: Model
    count: float
    inputs: int
    objects: float
    rows: float
    seconds: float
    on_glue: bool
    polled: bool
    marks: float = 0.0
    """How often dispatch looks at the partition, and lists its inputs: most often to find that it has to wait."""


@dataclass
class Month:
    """A month of one environment at one rate of events."""

    events_per_second: float
    environment: Mapping[str, Any]
    prices: Mapping[str, float] = field(default_factory=lambda: values("prices.toml", "usd"))
    measured: Mapping[str, float] = field(default_factory=lambda: values("measured.toml", "value"))
    assumed: Mapping[str, float] = field(default_factory=lambda: values("assumed.toml", "value"))
    every_seconds: int = 0
    """At least so long from one computation of a partition to the next, whatever the models say."""

    # ---- arrival ----

    @property
    def requests(self) -> float:
        """To the API."""
        return self.events_per_second / self.assumed["events_per_request"] * SECONDS

    @property
    def refused(self) -> bool:
        """Whether more requests come than the API lets in."""
        return self.requests / SECONDS > self.environment["requests_per_second"] * 1.0001

    @property
    def record_bytes(self) -> float:
        """The webhook packs a request's events into one record, up to 25,000 bytes."""
        return min(25_000.0, self.assumed["events_per_request"] * self.measured["envelope_bytes"])

    @property
    def records(self) -> float:
        """Put to the streams."""
        return (
            self.events_per_second * SECONDS * self.measured["envelope_bytes"] / self.record_bytes
        )

    def stream_shards(self, share: float) -> int:
        """Shards of a stream that takes this share of the events: what is set, or more if that is
        not enough.

        On demand a stream begins with 4, and AWS keeps twice the peak of the last 30 days ready; a
        shard takes 1 MB and 1,000 records a second.
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
        """How often conform is invoked for a stream: on each shard by what comes first, the
        window's end (it begins with a record), the records or the bytes of a full batch.
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
        """Of the events, by dataset; each has a stream of its own."""
        return {
            "silver.web_traffic": 1 - self.assumed["crm_share"],
            "silver.crm_interactions": self.assumed["crm_share"],
        }

    @property
    def conform_invocations(self) -> float:
        """Of batches of the streams; those of bronze objects are few."""
        return (
            sum(map(self.batches_per_second, self.shares.values())) * SECONDS
            + self.bronze_objects_of_connectors
        )

    @property
    def bronze_objects_of_connectors(self) -> float:
        """An hourly one, and a daily one: what all shops deliver about the same time comes together
        in Firehose.
        """
        return 25 * DAYS

    @cached_property
    def flows(self) -> dict[str, Flow]:
        """What arrives in silver."""
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
        for dataset, arrivals, rows in (
            ("silver.pos_sales", 1, self.assumed["shops"] * self.assumed["pos_rows_per_shop_day"]),
            (
                "silver.inventory_levels",
                24,
                24 * self.assumed["shops"] * self.assumed["inventory_rows_per_shop_hour"],
            ),
        ):
            size = (
                arrivals * self.measured["silver_object_bytes"]
                + rows * self.measured["silver_event_bytes"]
            )
            found[dataset] = Flow(arrivals, rows, size, DAY / arrivals, polled=True)
        return found

    # ---- computation ----

    @cached_property
    def jobs(self) -> list[Jobs]:
        """Of every model and every partition that today's data makes dirty: today's own, and
        lookahead_days before it.

        A partition is computed again when an input has changed, but not oftener than every_seconds,
        and by one job at a time. Half of today is there on average, and all of the days before.
        (Later days are dirty, too, but have no data yet.)
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
            if unknown := [each for each in model.inputs if each not in flows]:
                raise KeyError(
                    f"{model.name} reads {unknown}, of which Month.flows does not say how much arrives: add it there"
                )
            inputs = [flows[each] for each in model.inputs]
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
        share = (
            min(1.0, self.environment["glue_runs"] / at_once) if at_once else 1.0
        )  # the others wait for their turn
        return [replace(job, count=job.count * share) if job.on_glue else job for job in found]

    def in_a_month(self, job: Jobs, change: float, wait: float) -> Jobs:
        """How often the job runs, and how often it is looked for: with every change that a batch of
        marks brings, when what was postponed comes back, and time and again while another job holds
        the partition.
        """
        batch = self.environment["dispatch_seconds"]
        count = SECONDS / max(wait, job.seconds)
        marks = SECONDS / max(change, batch) + count
        if job.seconds > change:
            marks += (
                count * job.seconds / max(batch, HELD_SECONDS["glue" if job.on_glue else "lambda"])
            )
        return replace(job, count=count, marks=marks)

    def job(self, model: Model, inputs: list[Flow], days: float) -> Jobs:
        """One job over so many days of its inputs."""
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
            )  # one drives
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
        """Milliseconds that a function takes for work of one core."""
        return processor_ms / min(1.0, self.environment["memory_mb"][function] / LAMBDA_CORE_MB)

    @property
    def too_slow(self) -> list[Jobs]:
        """Jobs that do not end in time: what is estimated for them is what they cost while they
        fail.
        """
        return [jobs for jobs in self.jobs if not jobs.on_glue and jobs.seconds > TRANSFORM_TIMEOUT]

    @property
    def job_count(self) -> float:
        """Of all models."""
        return sum(jobs.count for jobs in self.jobs)

    @property
    def marks(self) -> float:
        return sum(jobs.marks for jobs in self.jobs)

    @property
    def commits(self) -> float:
        """Jobs that changed rows."""
        return self.job_count * self.measured["committed_share"]

    def loads_of(self, polled: bool) -> float:
        """Commits of models that the warehouse shows."""
        shown = sum(
            jobs.count for jobs in self.jobs if jobs.model.in_warehouse and jobs.polled == polled
        )
        return shown * self.measured["committed_share"]

    @property
    def loads(self) -> float:
        """All commits that the warehouse shows."""
        return self.loads_of(polled=False) + self.loads_of(polled=True)

    @property
    def bronze_objects(self) -> float:
        """Firehose writes when its buffer is full or old."""
        streams, size = self.environment["event_streams"], self.environment["firehose_mb"] * MB
        bytes_per_second = self.events_per_second * self.measured["envelope_bytes"]
        return (
            max(streams / self.environment["firehose_seconds"], bytes_per_second / size) * SECONDS
            + self.bronze_objects_of_connectors
        )

    @property
    def puts(self) -> float:
        """Objects written: silver, bronze, a job's document and its lease taken and given back,
        gold.
        """
        return self.conform_invocations + self.bronze_objects + 3 * self.job_count + self.commits

    @property
    def dispatch_messages(self) -> float:
        """Objects of silver, announcements, and marks that were postponed."""
        announcements = self.job_count * self.measured["announcements_by_job"]
        return self.conform_invocations + announcements + self.marks - self.job_count

    @property
    def dispatch_invocations(self) -> float:
        """By what comes first: the end of a window, which begins with a message, or a full batch."""
        messages = self.dispatch_messages / SECONDS
        window = 1 / (self.environment["dispatch_seconds"] + 1 / messages)
        return max(window, messages / self.environment["dispatch_messages"]) * SECONDS

    @property
    def looks(self) -> float:
        """How often control looks whether the datasets arrive."""
        return SECONDS / 60 / self.environment["freshness_minutes"]

    @property
    def lists_of_a_look(self) -> float:
        """Of each dataset the objects of some two days, a thousand a request;
        functions/control/src/freshness.rs.
        """
        return sum(max(1.0, 2 * flow.objects_per_day / 1000) for flow in self.flows.values())

    # ---- dollars ----

    def lines(self) -> dict[str, float]:
        """Dollars a month by line of the table."""
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
                for jobs in self.big
            ),
            "Step Functions": self.executions(),
            "S3 requests": self.s3_requests(),
            "S3 storage": self.storage(),
            "load (Lambda)": self.load(),
            "control, notify (Lambda)": self.looks_and_notices(),
            "Redshift Serverless": self.redshift(),
            "CloudWatch": self.cloudwatch(),
            "X-Ray": self.xray(),
            "connectors and network": self.connectors(),
            "keys, secrets": self.keys(),
            "Athena": billing.athena(self.assumed["athena_queries_per_day"] * DAYS, GB, prices),
        }

    @property
    def total(self) -> float:
        """Dollars a month."""
        return sum(self.lines().values())

    @property
    def per_million(self) -> float:
        """Dollars of a million events."""
        return self.total / (self.events_per_second * SECONDS / billing.MILLION)

    @property
    def small(self) -> list[Jobs]:
        """Jobs of the function."""
        return [jobs for jobs in self.jobs if not jobs.on_glue]

    @property
    def big(self) -> list[Jobs]:
        """Jobs of Glue."""
        return [jobs for jobs in self.jobs if jobs.on_glue]

    def function(self, name: str, invocations: float, milliseconds: float) -> float:
        """Dollars of a function."""
        return billing.lambda_function(
            invocations, milliseconds, self.environment["memory_mb"][name], self.prices
        )

    def webhook(self) -> float:
        """A request at a time, which ends when the stream has it."""
        milliseconds = (
            self.duration("webhook", self.measured["webhook_request_ms"])
            + self.assumed["kinesis_put_ms"]
        )
        return self.function("webhook", self.requests, milliseconds)

    def conform(self) -> float:
        """A batch at a time; its objects are written at once."""
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
        """S3 tells EventBridge of every object of the bucket, also of the job documents that
        expire; transform tells it of commits.
        """
        announced = self.job_count * self.measured["announcements_by_job"]
        events = billing.eventbridge(
            announced, self.puts + self.job_count, MESSAGE_BYTES, self.prices
        )
        notices = (
            self.assumed["notices_per_day"]
            * DAYS
            / billing.MILLION
            * self.prices["sns_million_requests"]
        )
        return events + billing.sqs(self.dispatch_messages, MESSAGE_BYTES, self.prices) + notices

    def dispatch(self) -> float:
        """A batch of marks at a time, its partitions side by side."""
        milliseconds = (
            self.duration("dispatch", self.measured["dispatch_invocation_ms"])
            + ROUND_TRIPS * self.assumed["s3_request_ms"]
        )
        return self.function("dispatch", self.dispatch_invocations, milliseconds)

    def transform(self) -> float:
        """The jobs that fit into the function; what does not end in time is billed until then."""
        return sum(
            self.function("transform", jobs.count, 1000 * min(TRANSFORM_TIMEOUT, jobs.seconds))
            for jobs in self.small
        )

    def executions(self) -> float:
        """An Express execution for each job of a function, a Standard one for each of Glue's."""
        load = self.assumed["load_seconds"]
        express = sum(
            billing.step_functions_express(
                jobs.count,
                1000 * (min(TRANSFORM_TIMEOUT, jobs.seconds) + load),
                EXECUTION_MB,
                self.prices,
            )
            for jobs in self.small
        )
        return express + billing.step_functions_standard(
            GLUE_TRANSITIONS * sum(jobs.count for jobs in self.big), self.prices
        )

    def s3_requests(self) -> float:
        """Writes; what dispatch lists, a request by thousand objects, for every mark, and control
        for every look; what dispatch looks at, and what transform reads.
        """
        lists = (
            sum(jobs.marks * max(jobs.inputs, jobs.objects / 1000) for jobs in self.jobs)
            + self.looks * self.lists_of_a_look
        )
        gets = sum(jobs.count * (jobs.objects + ROUND_TRIPS) for jobs in self.jobs) + 2 * self.marks
        archived = self.bronze_objects / 1000 * self.prices["s3_archive_thousand_transitions"]
        return billing.s3_requests(self.puts + lists, gets, self.prices) + archived

    def load(self) -> float:
        """A commit at a time; most of it is waiting for the warehouse."""
        milliseconds = (
            self.duration("load", self.measured["load_invocation_ms"])
            + self.assumed["load_seconds"] * 1000
        )
        return self.function("load", self.loads, milliseconds)

    def looks_and_notices(self) -> float:
        """control by its schedule: it lists, and reads how each dataset stood. notify by the
        commits of models with a notice. Both wait for S3 most of the time.
        """
        look = (self.lists_of_a_look + len(self.flows)) * self.assumed["s3_request_ms"]
        commits = (
            sum(jobs.count for jobs in self.jobs if jobs.model.has_notice)
            * self.measured["committed_share"]
        )
        return self.function("control", self.looks, look) + self.function(
            "notify", commits, ROUND_TRIPS * self.assumed["s3_request_ms"]
        )

    def xray(self) -> float:
        """A trace begins with a request, a batch of a stream and a batch of marks."""
        roots = (self.requests + self.conform_invocations + self.dispatch_invocations) / SECONDS
        return billing.xray_traces(roots) / billing.MILLION * self.prices["xray_million_traces"]

    def keys(self) -> float:
        """Keys and their use; secrets of the shops are parameters, which are free."""
        keys, secrets = self.environment["keys"], self.environment["secrets"]
        requests = self.assumed["kms_requests"] / 10_000 * self.prices["kms_ten_thousand_requests"]
        return (
            keys * self.prices["kms_key_month"] + requests + secrets * self.prices["secret_month"]
        )

    def kinesis(self) -> float:
        """All streams; those of the connectors carry little."""
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
        """Bronze moves to the archive; silver stays; gold keeps two days of its versions, jobs a
        week, which is nothing beside them.
        """
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
        """Busy with loads, with people, or with both at once. Loads of streaming models are spread
        over the day; what a delivery of a connector leads to is loaded together.
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
        """At the base capacity. Each snapshot is counted as if it shared nothing with the others."""
        rpus, stored = self.environment["warehouse_rpus"], self.assumed["warehouse_gb"]
        if not rpus:
            return 0.0
        snapshots = self.environment["snapshot_days"] * stored
        limit = self.environment["warehouse_limit_rpu_hours_month"] or math.inf
        return billing.redshift(self.warehouse_seconds, rpus, stored, snapshots, limit, self.prices)

    def cloudwatch(self) -> float:
        """Logs (compressed to about a sixth where they are kept), metrics with those of Container
        Insights, alarms, dashboards.
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
        """Tasks, each with a public address while it runs if there is no other way out; images;
        endpoints or NAT if there are any.
        """
        environment, assumed, prices = self.environment, self.assumed, self.prices
        runs = assumed["shops"] * 25 * DAYS
        seconds = assumed["connector_seconds"]
        nat, endpoints = environment["nat_gateways"], environment["endpoint_zones"]
        rows = assumed["pos_rows_per_shop_day"] + 24 * assumed["inventory_rows_per_shop_hour"]
        polled = (
            assumed["shops"] * rows * DAYS * self.measured["envelope_bytes"] / GB
        )  # and put to a stream, by the same way
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
