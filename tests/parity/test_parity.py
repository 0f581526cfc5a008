"""Every model and view on both engines over the same events: the same columns, types and rows,
decimals to the last digit and doubles to the last bit. There is no list of differences that are
fine.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from .conftest import ROOT
from .simulated import Simulation

HERE = Path(__file__).resolve().parent
SEED = os.environ.get("PARITY_SEED", "1")
# A job takes Spark seconds, and there are hundreds: PARITY_JOBS=1000 runs all of them.
JOBS_PER_MODEL = int(os.environ.get("PARITY_JOBS", "2"))
MODELS = sorted(
    path.stem
    for path in (ROOT / "glue-sql").glob("*/*.sql")
    if path.parent.name not in ("checks", "warehouse")
)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """All models over valid events with extreme values."""
    return Simulation.run(tmp_path_factory.mktemp("simulated") / "lake", "--adversarial", SEED)


def test_adversarial_events_give_rows_to_every_model(simulation: Simulation) -> None:
    assert simulation.models == MODELS
    for model in MODELS:
        assert any(
            job.expected and job.expected.rows.num_rows > 1
            for job in simulation.of(model, JOBS_PER_MODEL)
        ), model


@pytest.mark.parametrize("model", MODELS)
def test_a_model_gives_the_same_rows_and_failed_checks(
    spark: SparkSession, simulation: Simulation, model: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        computed = list(
            pool.map(lambda job: (job, job.run(spark)), simulation.of(model, JOBS_PER_MODEL))
        )
    assert [difference for job, gold in computed for difference in job.differences(gold)] == []


def test_both_engines_write_the_same_columns_and_metadata(
    spark: SparkSession, simulation: Simulation
) -> None:
    job = next(
        job
        for job in simulation.jobs
        if job.document["downstream"] and job.expected and job.expected.dirtied
    )
    assert job.result["outcome"] == "committed" and job.document["output"]["version"] == 1, (
        "it has no rows before it"
    )
    ours = pq.ParquetFile(pa.BufferReader(job.run(spark).encode(job.document)))
    theirs = pq.ParquetFile(pa.BufferReader(job.lake.get(job.gold_key).body))

    ours_metadata, theirs_metadata = (
        {
            name.decode(): value
            for name, value in file.metadata.metadata.items()
            if name != b"ARROW:schema"
        }
        for file in (ours, theirs)
    )
    assert ours_metadata == theirs_metadata
    names = ["alert", "dirtied", "failed_checks", "inputs", "job", "rows", "version", "withheld"]
    assert sorted(ours_metadata) == [f"shoplake.{name}" for name in names]
    assert ours.schema_arrow.remove_metadata() == theirs.schema_arrow.remove_metadata()
    assert (
        ours.metadata.row_group(0).column(0).compression
        == theirs.metadata.row_group(0).column(0).compression
        == "ZSTD"
    )


def test_a_view_gives_the_same_rows_over_all_partitions(
    spark: SparkSession, tmp_path: Path
) -> None:
    example = ROOT / "tests" / "e2e" / "new_dataset"
    events = [
        {
            "dataset": "newsletter_signups",
            "shop_id": "acme",
            "received_at": "2026-04-02T00:00:00Z",
            "data": {
                "signup_id": f"n-{number}",
                "list": "weekly",
                "signed_up_at": f"{day}T10:00:00Z",
                "contact": {"email": "a@example.com"},
            },
        }
        for number, day in enumerate(["2026-03-01", "2026-03-31", "2026-03-31", "2026-04-01"])
    ]
    (tmp_path / "events.ndjson").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    simulation = Simulation.run(
        *(tmp_path / "lake", "--events", tmp_path / "events.ndjson"),
        *("--sql", example / "glue-sql", "--schemas", example / "schemas"),
    )
    [job] = simulation.of("newsletter_signups_by_month", 2)
    signups = job.expected.rows.select(["signups", "signups_per_day"]).to_pylist()
    assert signups == [
        {"signups": 3, "signups_per_day": 1.5},
        {"signups": 1, "signups_per_day": 1.0},
    ]
    assert job.differences(job.run(spark)) == []


@pytest.mark.parametrize("model", ["integer_division", "average_of_decimals"])
def test_a_difference_between_the_engines_is_found(
    spark: SparkSession, tmp_path: Path, model: str
) -> None:
    sale = {
        "transaction_id": "t",
        "store_id": "s",
        "region": "r",
        "product_id": "p",
        "discount": "0",
        "currency": "EUR",
        "sold_at": "2026-03-01T10:00:00Z",
        "business_date": "2026-03-01",
    }
    # 7 units in 3 lines, at 5 / 3 a unit on average
    lines = [(1, 2, "1"), (2, 2, "2"), (3, 3, "2")]
    events = [
        {
            "dataset": "pos_sales",
            "shop_id": "acme",
            "data": {**sale, "line_no": line, "quantity": quantity, "unit_price": price},
        }
        for line, quantity, price in lines
    ]
    (tmp_path / "events.ndjson").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (tmp_path / "sql" / "intermediate").mkdir(parents=True)
    shutil.copy(HERE / "engine_dependent" / f"{model}.sql", tmp_path / "sql" / "intermediate")

    simulation = Simulation.run(
        tmp_path / "lake", "--events", tmp_path / "events.ndjson", "--sql", tmp_path / "sql"
    )

    [job] = simulation.jobs
    assert job.expected.rows.num_rows == 1
    [difference] = job.differences(job.run(spark))
    assert difference.startswith(f"{model} 2026-03-01: ")
