"""A lake that DataFusion filled: every model's jobs, with what they came to."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from job_engine import Gold, bits, compute
from job_lake import Json, LocalWorkspace
from pyspark.sql import SparkSession

from dev.package import ROOT, target_dir

from .lake import MemoryLake


@dataclass(frozen=True)
class Job:
    """The last job of a partition, and what DataFusion made of it."""

    lake: MemoryLake
    document: Json
    result: Json
    gold_key: str | None

    @cached_property
    def expected(self) -> Gold | None:
        """What is in gold; none if nothing was ever committed."""
        return (
            Gold.decode(self.gold_key, self.lake.get(self.gold_key).body) if self.gold_key else None
        )

    def run(self, spark: SparkSession) -> Gold:
        """The same job on Spark, on top of gold: it has the rows that withheld shops kept."""
        before = None if self.document["output"]["version"] == 1 else self.expected
        workspace = LocalWorkspace(self.lake)
        try:
            return compute(spark, self.document, before, workspace)[0]
        finally:
            workspace.clear()

    def differences(self, actual: Gold) -> list[str]:
        """Returns the differences between the rows and checks of Spark and of DataFusion."""
        name = f"{self.document['model']} {self.document['partition']['value']}"
        found = (
            []
            if self.expected is None
            else [f"{name}: {text}" for text in differences(self.expected.rows, actual.rows)]
        )
        if self.result["rows"] != actual.rows.num_rows:
            found.append(f"{name}: {actual.rows.num_rows} rows, expected {self.result['rows']}")
        if comparable(self.result["failed_checks"]) != comparable(actual.failed_checks):
            found.append(
                f"{name}: failed checks {actual.failed_checks}, "
                f"expected {self.result['failed_checks']}"
            )
        return found


def comparable(failed_checks: list[Json]) -> list[Json]:
    """Returns the failures, with samples only of all rows: the order of rows is undefined."""
    return [
        {
            **failed,
            "sample": sorted(map(repr, failed["sample"]))
            if failed["rows"] == len(failed["sample"])
            else None,
        }
        for failed in failed_checks
    ]


def differences(expected: pa.Table, actual: pa.Table) -> list[str]:
    """By column and type, and then by row in the order of storage, doubles by their bits."""
    if expected.schema != actual.schema:
        return [f"columns {actual.schema.to_string()}\nexpected {expected.schema.to_string()}"]
    if bits(expected).equals(bits(actual)):
        return []
    pairs = zip(expected.to_pylist(), actual.to_pylist(), strict=False)
    rows = [
        f"row {number}: {one}\nexpected {other}"
        for number, (other, one) in enumerate(pairs)
        if repr(one) != repr(other)
    ]
    return rows[:5] or [f"{actual.num_rows} rows, expected {expected.num_rows}"]


class Simulation:
    """What `simulate` wrote."""

    def __init__(self, folder: Path) -> None:
        lake = MemoryLake.of(folder)
        lines = [json.loads(line) for line in (folder / "results.ndjson").read_text().splitlines()]
        self.jobs = [
            Job(lake, json.loads(lake.get(line["job"]).body), line["result"], line["gold"])
            for line in lines
        ]
        self.models = sorted({job.document["model"] for job in self.jobs})

    @classmethod
    def run(cls, folder: Path, *arguments: str | Path) -> Simulation:
        """Runs all events through the pipeline in memory."""
        binary = target_dir() / "debug" / "simulate"
        if not binary.exists():
            raise SystemExit(f"{binary} is not there; run: make build")
        subprocess.run(
            [binary, "--out", folder, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        return cls(folder)

    def of(self, model: str, count: int) -> list[Job]:
        """Some jobs of a model: the one with the most rows, those of which a check says something,
        and others by chance.
        """
        jobs = [job for job in self.jobs if job.document["model"] == model]
        random.Random(model).shuffle(jobs)
        most = max(job.result["rows"] for job in jobs)
        jobs.sort(
            key=lambda job: (job.result["rows"] == most, len(job.result["failed_checks"])),
            reverse=True,
        )
        return jobs[:count]
