"""Counts what became of every event, from the lake's objects alone: received = silver + quarantined + duplicates."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from .pipeline import SCHEMAS, Pipeline


@dataclass(frozen=True)
class Balance:
    """What became of a dataset's events."""

    dataset: str
    received: int
    """Envelopes in bronze, which Firehose wrote: a path that conform has no part in."""
    silver: int
    """Rows in silver that differ in their key."""
    quarantined: int
    """Lines in quarantine."""
    duplicates: int
    """Rows in silver whose key is there already."""

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and nothing came from nowhere."""
        return self.received == self.silver + self.quarantined + self.duplicates


def reconcile(pipeline: Pipeline) -> list[Balance]:
    """The balance of every dataset that anything was received for."""
    received = Counter(_dataset(line) for body in _objects(pipeline, "bronze/") for line in _lines(body))
    quarantined = Counter(
        _dataset(json.loads(line)["envelope"]) for body in _objects(pipeline, "quarantine/") for line in _lines(body)
    )
    return [_balance(pipeline, dataset, received[dataset], quarantined[dataset]) for dataset in sorted(received | quarantined)]


def _balance(pipeline: Pipeline, dataset: str, received: int, quarantined: int) -> Balance:
    schema = SCHEMAS / f"{dataset}.json"
    key = json.loads(schema.read_text())["x-dataset"]["key"] if schema.exists() else []
    tables = [pq.read_table(io.BytesIO(body), columns=key) for body in _objects(pipeline, f"silver/{dataset}/")] if key else []
    if not tables:
        return Balance(dataset, received, 0, quarantined, 0)
    rows = pa.concat_tables(tables)
    distinct = rows.group_by(key).aggregate([]).num_rows
    return Balance(dataset, received, distinct, quarantined, rows.num_rows - distinct)


def _dataset(envelope: str | bytes) -> str:
    """The dataset that an envelope names, if it can be read."""
    try:
        return json.loads(envelope)["dataset"]
    except (KeyError, TypeError, ValueError):
        return "_unknown"


def _lines(body: bytes) -> list[bytes]:
    return [line for line in gzip.decompress(body).splitlines() if line.strip()]


def _objects(pipeline: Pipeline, prefix: str) -> list[bytes]:
    s3 = pipeline.cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=pipeline.lake_bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    with ThreadPoolExecutor(8) as readers:
        return list(readers.map(lambda key: s3.get_object(Bucket=pipeline.lake_bucket, Key=key)["Body"].read(), keys))
