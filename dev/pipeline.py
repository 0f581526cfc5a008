"""Drives a deployed pipeline from outside, as its operators, sources and BI tools do."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from .cloud import Cloud, free_port
from .errors import CommandError
from .package import build, catalog, package
from .partitions import Commit, Partition, are_loaded, owes
from .paths import ROOT, SCHEMAS, SQL
from .progress import step
from .terraform import Terraform

Answer = TypeVar("Answer")
NOT_MARTS = ("checks", "intermediate", "reference", "warehouse")
"""Folders of glue-sql/ whose SQL files are not models of a warehouse table."""
IDLE_CHECKS = 3
"""Checks in a row that must find the pipeline idle: between two steps an event is in no queue."""
SHOP_LIST_SECONDS = 61
"""The webhook reads the list of shops and their backfills at most every 60 seconds."""
TARGET = "target.json"
"""Names the cloud and its resources for `shoplake`; in the folder of the cloud."""

__all__ = [
    "IDLE_CHECKS",
    "SCHEMAS",
    "SQL",
    "Cloud",
    "Pipeline",
    "Shop",
    "free_port",
    "wait_until",
    "warehouse_tables",
]


@dataclass(frozen=True)
class Shop:
    """A tenant and the secret that signs its events."""

    shop_id: str
    webhook_secret: str


class Pipeline:
    """A deployment in a local cloud."""

    def __init__(
        self, cloud: Cloud, binaries: Path, outputs: dict[str, Any], sql: Path = SQL
    ) -> None:
        self.cloud = cloud
        self.binaries = binaries
        self.outputs = outputs
        self.sql = sql
        self._commits: dict[tuple[str, str], Commit] = {}
        """Cache of the commits of gold objects by key and ETag."""
        self._bodies: dict[tuple[str, str], bytes] = {}
        """Cache of the lake's objects by key and ETag."""
        self.lake_bucket: str = outputs["lake_bucket"]
        self.api_url: str = outputs["api_url"]

    @classmethod
    def deploy(
        cls, cloud: Cloud, schemas: Path = SCHEMAS, sql: Path = SQL, **variables: str
    ) -> Pipeline:
        """Builds, packs and applies everything to a cloud, which it starts if necessary, and
        migrates the warehouse. `variables` of the Terraform root override local.tfvars.
        """
        binaries = build()
        packages = cloud.state / "packages"
        catalog(binaries / "shoplake", packages, schemas, sql)
        package(binaries, packages, schemas, sql, packages / "models.json")
        terraform = cls.terraform(cloud, schemas, **variables)
        is_new = not cloud.is_up()
        if is_new:
            cls._start(cloud)
        try:
            outputs = terraform.apply()
        except SystemExit as failure:
            # LocalStack may lose the answer to a call that took effect. Terraform repeats the call
            # and learns that the resource exists, which no other apply can mend.
            if not is_new or "AlreadyExists" not in str(failure):
                raise
            print(f"{failure}\nstarting the local cloud again", file=sys.stderr)
            cloud.down()
            cls._start(cloud)
            outputs = terraform.apply()
        target = {"endpoint": cloud.endpoint, "outputs": outputs}
        (cloud.state / TARGET).write_text(json.dumps(target, indent=2) + "\n")
        pipeline = cls(cloud, binaries, outputs, sql)
        with step("migrate the warehouse"):
            pipeline.control(action="migrate")
        return pipeline

    @staticmethod
    def _start(cloud: Cloud) -> None:
        with step("start the local cloud"):
            cloud.up()

    @staticmethod
    def terraform(cloud: Cloud, schemas: Path = SCHEMAS, **variables: str) -> Terraform:
        """Returns the Terraform root of this cloud."""
        ours = {
            "local_endpoint": cloud.endpoint,
            "packages_dir": str(cloud.state / "packages"),
            "schemas_dir": str(schemas),
        }
        return Terraform(cloud.state, cloud.endpoint, ours | variables)

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment of a process that uses this cloud instead of AWS."""
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def control(self, **request: Any) -> dict[str, Any]:
        """Invokes the control function, as an operator does, and returns its answer."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.outputs["functions"]["control"], Payload=json.dumps(request).encode()
        )
        payload = json.loads(answer["Payload"].read() or "null")
        if "FunctionError" in answer:
            reason = payload.get("errorMessage", payload) if isinstance(payload, dict) else payload
            raise CommandError(f"the control function rejected {json.dumps(request)}: {reason}")
        return dict(payload or {})

    def shoplake(self, *arguments: str | Path) -> str:
        """Runs the operators' program against this deployment; returns what it prints."""
        done = self.run_shoplake(*arguments, capture=True)
        if done.returncode:
            raise CommandError(f"shoplake {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def run_shoplake(
        self, *arguments: str | Path, capture: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs the operators' program to its end, whatever its exit code."""
        return subprocess.run(
            [self.binaries / "shoplake", *arguments, "--target", self.cloud.state / TARGET],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=capture,
            text=True,
            check=False,
        )

    def add_shop(self, shop_id: str) -> Shop:
        """Adds a tenant."""
        return Shop(shop_id, self.control(action="add_shop", shop_id=shop_id)["webhook_secret"])

    def open_backfills(self, shop_ids: Iterable[str], name: str) -> None:
        """Lets shops send events older than the datasets' time windows, and waits until the webhook
        has read the backfills.
        """
        until = datetime.now(UTC) + timedelta(days=1)
        backfill = {"name": name, "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        for shop_id in shop_ids:
            self.control(action="open_backfill", shop_id=shop_id, **backfill)
        time.sleep(SHOP_LIST_SECONDS)

    def send_web_events(self, shop: Shop, *arguments: str) -> dict[str, Any]:
        """Posts generated web traffic and returns the sample source's summary."""
        return self._send("web", shop, *arguments)

    def send_crm_interactions(self, shop: Shop, *arguments: str) -> dict[str, Any]:
        """Posts generated CRM interactions and returns the sample source's summary."""
        return self._send("crm", shop, *arguments)

    def _send(self, source: str, shop: Shop, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [
                self.binaries / "sample-source",
                *source.split(),
                "--api-url",
                self.api_url,
                "--shop",
                shop.shop_id,
                "--secret",
                shop.webhook_secret,
                *arguments,
            ],
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
        )
        return dict(json.loads(done.stdout))

    def pos_api(self, *arguments: str) -> AbstractContextManager[tuple[str, str]]:
        """Serves a POS API by the sample source; yields its URL and token."""
        return self._api("pos", *arguments)

    def inventory_api(self, *arguments: str) -> AbstractContextManager[tuple[str, str]]:
        """Serves an inventory API by the sample source; yields its URL and token."""
        return self._api("inventory", *arguments)

    def post_hostile_events(self, shop: Shop, seed: int) -> dict[str, Any]:
        """Posts hostile events; returns the expected and the real answers."""
        return self._send("hostile post", shop, "--seed", str(seed))

    def hostile_api(self, source: str, *arguments: str) -> AbstractContextManager[tuple[str, str]]:
        """Serves a hostile POS or inventory API; yields its URL and token."""
        return self._api(f"hostile {source}", *arguments)

    @contextmanager
    def _api(self, source: str, *arguments: str) -> Iterator[tuple[str, str]]:
        token = f"{source.replace(' ', '-')}-token-for-tests"
        with tempfile.TemporaryDirectory() as folder:
            port_file = Path(folder, "port")
            server = subprocess.Popen(
                [
                    self.binaries / "sample-source",
                    *source.split(),
                    "--token",
                    token,
                    "--listen",
                    "127.0.0.1:0",
                    "--port-file",
                    port_file,
                    *arguments,
                ],
                env={**self.environment, "RUST_LOG": "warn"},
                stdout=subprocess.DEVNULL,
            )
            try:
                wait_until(
                    f"the {source} API listens",
                    lambda: port_file.exists() and port_file.read_text().strip(),
                    30,
                )
                yield f"http://127.0.0.1:{port_file.read_text().strip()}", token
            finally:
                server.terminate()
                server.wait(10)

    def run_pos_connector(
        self, shop_id: str, api: tuple[str, str], day: str, **settings: str
    ) -> None:
        """Runs the POS connector for one business day to its end."""
        _finish(self.start_pos_connector(shop_id, api, day, **settings))

    def start_pos_connector(
        self, shop_id: str, api: tuple[str, str], day: str, **settings: str
    ) -> subprocess.Popen[str]:
        """Starts the POS connector for one business day."""
        url, token = api
        return self._start_connector(
            "pos", shop_id, POS_BASE_URL=url, POS_TOKEN=token, BUSINESS_DATE=day, **settings
        )

    def run_inventory_connector(
        self, shop_id: str, api: tuple[str, str], first: str, last: str, **settings: str
    ) -> None:
        """Runs the inventory connector for the hours from `first` to `last`, such as
        `2026-11-21T10`, to its end.
        """
        _finish(self.start_inventory_connector(shop_id, api, first, last, **settings))

    def start_inventory_connector(
        self, shop_id: str, api: tuple[str, str], first: str, last: str, **settings: str
    ) -> subprocess.Popen[str]:
        """Starts the inventory connector for the hours from `first` to `last`."""
        url, token = api
        hours = {"SNAPSHOT_FROM": first, "SNAPSHOT_TO": last}
        return self._start_connector(
            "inventory", shop_id, INVENTORY_BASE_URL=url, INVENTORY_TOKEN=token, **hours, **settings
        )

    def run_oltp_connector(self, shop_id: str, **settings: str) -> None:
        """Runs the OLTP connector to its end. `settings` name its database."""
        _finish(self.start_oltp_connector(shop_id, **settings))

    def start_oltp_connector(self, shop_id: str, **settings: str) -> subprocess.Popen[str]:
        """Starts the OLTP connector. `settings` name its database."""
        return self._start_connector("oltp", shop_id, **settings)

    def _start_connector(self, source: str, shop_id: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.binaries / f"{source}-connector"],
            env={
                **self.environment,
                "SHOP_ID": shop_id,
                "STREAM_NAME": self.outputs["streams"][source],
                "LAKE_BUCKET": self.lake_bucket,
                "AWS_SDK_UA_APP_ID": f"{source}-connector",
                **settings,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Queries the warehouse, as a BI tool does."""
        with psycopg.connect(self.cloud.warehouse_url) as connection:
            return connection.execute(sql, parameters).fetchall()

    def has_table(self, table: str) -> bool:
        """Returns whether the warehouse has a table, named as `schema.table`."""
        return bool(self.query("select to_regclass(%s) is not null", table)[0][0])

    def totals(self, day: str, shop_id: str) -> dict[str, Decimal]:
        """Returns the warehouse's net sales by region of one day."""
        table = "sales.total_sales_by_region_product"
        if not self.has_table(table):
            return {}
        rows = self.query(
            f"select region, sum(net_sales) from {table}"
            " where business_date = %s and shop_id = %s group by region",
            day,
            shop_id,
        )
        return dict(rows)

    def dirty_messages(self) -> int:
        """Counts the dirty-partition messages."""
        return self.messages(self.outputs["dirty_queue_url"])

    def messages(self, queue_url: str) -> int:
        """Counts the messages of a queue: waiting, in flight, or delayed."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        answer = self.cloud.client("sqs").get_queue_attributes(
            QueueUrl=queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    def objects(self, prefix: str) -> list[tuple[str, str]]:
        """Returns key and ETag of the lake's objects under a prefix."""
        pages = (
            self.cloud.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.lake_bucket, Prefix=prefix)
        )
        return [(item["Key"], item["ETag"]) for page in pages for item in page.get("Contents", ())]

    def bodies(self, versions: Iterable[tuple[str, str]]) -> list[bytes]:
        """Returns the content of objects, given by key and ETag, in the same order."""
        s3 = self.cloud.client("s3")

        def read(version: tuple[str, str]) -> bytes:
            # Waiting reads the same objects repeatedly, and few of them change meanwhile.
            if version not in self._bodies:
                self._bodies[version] = s3.get_object(Bucket=self.lake_bucket, Key=version[0])[
                    "Body"
                ].read()
            return self._bodies[version]

        with ThreadPoolExecutor(8) as readers:
            return list(readers.map(read, versions))

    def lines(self, prefix: str) -> Iterator[bytes]:
        """Yields the lines of the compressed objects under a prefix of bronze or quarantine."""
        for body in self.bodies(self.objects(prefix)):
            yield from (line for line in gzip.decompress(body).split(b"\n") if line.strip())

    def quarantined(self, folder: str = "", shop: Shop | None = None) -> list[dict[str, Any]]:
        """Returns the lines of quarantine: all, or those of a folder such as `pos_sales`, or of a
        shop.
        """
        lines = [
            json.loads(line)
            for line in self.lines(f"quarantine/{folder}/" if folder else "quarantine/")
        ]
        return [
            line
            for line in lines
            if not shop or json.loads(line["envelope"])["shopid"] == shop.shop_id
        ]

    def gold_versions(self) -> dict[Partition, int]:
        """Returns the version of every gold partition."""
        return {partition: commit.version for partition, commit in self.gold_commits().items()}

    def gold_commits(self) -> dict[Partition, Commit]:
        """Returns the commit of every gold partition."""
        s3 = self.cloud.client("s3")
        commits = {}
        for version in self.objects("gold/"):
            key, _ = version
            if version not in self._commits:
                metadata = s3.head_object(Bucket=self.lake_bucket, Key=key)["Metadata"]
                self._commits[version] = Commit(
                    datetime.fromisoformat(metadata["planned-at"]), int(metadata["version"])
                )
            _, model, folder, _ = key.split("/")
            commits[model, folder.split("=", 1)[1]] = self._commits[version]
        return commits

    def loaded_commits(self) -> dict[Partition, Commit]:
        """Returns the commit of every loaded partition."""
        rows = self.query(
            "select model, partition_value, planned_at at time zone 'UTC', version"
            " from shoplake.loads where planned_at is not null"
        )
        return {(model, value): Commit(at, version) for model, value, at, version in rows}

    def wait_until_idle(self, seconds: float = 480) -> None:
        """Waits until every change has reached the warehouse."""
        checks = 0

        def idle() -> bool:
            nonlocal checks
            checks = checks + 1 if self.is_idle() else 0
            return checks == IDLE_CHECKS

        wait_until("the pipeline is idle", idle, seconds, every=1)

    def is_idle(self) -> bool:
        """Returns whether no partition waits or is being computed, and the warehouse equals gold.

        Between two steps a change is in no queue, so a caller that must be sure checks repeatedly.
        """
        return not self.dirty_messages() and self.is_loaded() and not self.is_owing()

    def is_owing(self) -> bool:
        """Returns whether a partition owes something: a job runs, a change waits for one, or a
        commit is not published or loaded. A marker may outlast what its partition owes.
        """
        owed = {key.removeprefix("state/owed/") for key, _ in self.objects("state/owed/")}
        states = [
            version
            for version in self.objects("state/partitions/")
            if version[0].removeprefix("state/partitions/").removesuffix(".json") in owed
        ]
        return any(map(owes, map(json.loads, self.bodies(states))))

    def is_loaded(self) -> bool:
        """Returns whether gold has partitions of the warehouse's models, and the warehouse has the
        same commits.
        """
        models = {table.partition(".")[2] for table in warehouse_tables(self.sql)}
        gold = {
            partition: commit
            for partition, commit in self.gold_commits().items()
            if partition[0] in models
        }
        return are_loaded(gold, self.loaded_commits())


def warehouse_tables(sql: Path = SQL) -> set[str]:
    """Returns the tables of the models as `schema.table`; the folder of a model is its schema."""
    return {
        f"{file.parent.name}.{file.stem}"
        for file in sql.glob("*/*.sql")
        if file.parent.name not in NOT_MARTS
    }


def _finish(connector: subprocess.Popen[str]) -> None:
    output, _ = connector.communicate()
    if connector.returncode:
        end = f"the end of its log:\n{output[-4000:]}"
        raise CommandError(f"the connector ended with exit code {connector.returncode}; {end}")


def wait_until(
    what: str, condition: Callable[[], Answer], seconds: float = 120, every: float = 0.5
) -> Answer:
    """Calls the condition until its answer is true, and returns the answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s until {what}")
        time.sleep(every)
    return answer
