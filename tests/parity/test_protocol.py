"""The commit protocol, step by step as functions/transform tests it for DataFusion."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pytest
from job_engine import Gold
from job_lake import JobError, Json, RetryableError
from pyspark.sql import SparkSession
from run_job import RESULT_BYTES, Transform, shortened

from .job import DAY, GOLD, LEASE, SQL, check, lines, plan
from .lake import MemoryLake, Sent, partitions


class World:
    """A lake, the job runner over it, and what it sent."""

    def __init__(self, spark: SparkSession, lake: MemoryLake, sent: Sent) -> None:
        self.lake, self.sent = lake, sent
        self.transform = Transform(spark, lake, sent)

    def arrive(self, name: str, *amounts: str) -> None:
        self.lake.write(f"silver/lines/dt={DAY}/{name}.parquet", lines(*amounts))

    def run(self, key: str) -> Json:
        return self.transform.handle(key)

    def fails(self, key: str) -> JobError:
        with pytest.raises(JobError) as caught:
            self.transform.handle(key)
        return caught.value

    def lease(self, key: str, holder: str | None = None) -> None:
        job = json.loads(self.lake.get(key).body)["id"]
        self.lake.put(
            LEASE, json.dumps({"job": holder or job, "until": "2026-11-21T10:05:10Z"}).encode()
        )

    def is_leased(self) -> bool:
        return json.loads(self.lake.get(LEASE).body)["until"] != "1970-01-01T00:00:00Z"

    def gold(self) -> pa.Table:
        return Gold.decode(GOLD, self.lake.get(GOLD).body).rows


@pytest.fixture
def world(spark: SparkSession, lake: MemoryLake, sent: Sent) -> World:
    """With two lines of a day."""
    world = World(spark, lake, sent)
    world.arrive("a", "2.5000", "0.1000")
    return world


def test_given_new_rows_then_they_are_committed_with_what_load_and_notify_need(
    world: World,
) -> None:
    notice = {"subject": "{shop_id} took {takings}", "started": "first_at", "ended": "first_at"}
    key = plan(world.lake, notice=notice)
    world.lease(key)
    result = world.run(key)

    job = json.loads(world.lake.get(key).body)
    assert result == {
        "outcome": "committed",
        "model": "takings",
        "partition": DAY,
        "job": job["id"],
        "version": 1,
        "planned_at": "2026-11-21T10:00:00Z",
        "rows": 1,
        "checks": [],
        "failed_checks": [],
        "alert": None,
        "load": {
            "model": "takings",
            "warehouse": "finance.takings",
            "partition": {"column": "day", "type": "date", "value": DAY},
            "key": GOLD,
            "version": 1,
            "sort": ["shop_id", "day"],
            "columns": [
                {"name": "shop_id", "type": "string"},
                {"name": "day", "type": "date"},
                {"name": "sales", "type": "bigint"},
                {"name": "takings", "type": "decimal(18,4)"},
                {"name": "first_at", "type": "timestamp"},
                {"name": "noted", "type": "double"},
            ],
        },
        "notify": {
            "model": "takings",
            "partition": DAY,
            "key": GOLD,
            "identity": ["shop_id", "day"],
            "notice": notice,
        },
    }
    assert json.loads(world.lake.get(key.replace(".json", ".result.json")).body) == result
    assert not world.is_leased()
    [row] = world.gold().to_pylist()
    assert (row["sales"], row["takings"], row["noted"]) == (2, Decimal("2.6000"), 0.5)
    assert row["first_at"].isoformat() == "2026-11-20T23:59:59.123456+00:00"
    assert world.lake.get(GOLD).metadata == {
        "version": "1",
        "inputs": job["output"]["inputs_digest"],
        "job": job["id"],
        "rows": "1",
    }
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert world.sent.published[0]["reason"] == "takings changed 2026-11-20"


def test_the_same_rows_are_not_committed_or_published(world: World) -> None:
    world.run(plan(world.lake))
    world.sent.published.clear()
    before = world.lake.get(GOLD)

    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines())
    result = world.run(plan(world.lake))

    assert (result["outcome"], result["rows"], result["load"], result["version"]) == (
        "unchanged",
        1,
        None,
        2,
    )
    assert world.sent.published == [] and world.lake.get(GOLD) == before


def test_given_changed_rows_then_the_next_version_replaces_the_one_before(world: World) -> None:
    world.run(plan(world.lake))
    world.arrive("b", "1.0000")
    result = world.run(plan(world.lake))
    assert (result["outcome"], result["version"]) == ("committed", 2)
    assert world.gold()["takings"].to_pylist() == [Decimal("3.6000")]
    assert world.lake.get(GOLD).metadata["version"] == "2"


def test_a_retry_after_the_commit_publishes_and_loads(
    world: World,
) -> None:
    warning = check("select takings from gold__takings", severity="warn")
    key = plan(world.lake, checks=[warning])
    world.lease(key)
    world.sent.faults = 1
    error = world.fails(key)
    assert (error.kind, world.is_leased()) == ("Shoplake.Retryable", True)

    result = world.run(key)
    assert (result["outcome"], result["load"]["version"]) == ("committed", 1)
    assert [failed["name"] for failed in result["failed_checks"]] == ["takings_are_fine"], (
        "the commit remembers it"
    )
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert world.lake.get(GOLD).metadata["version"] == "1", "it is not committed twice"
    assert not world.is_leased()


def test_given_a_commit_since_it_was_planned_then_the_partition_is_planned_again(
    world: World,
) -> None:
    first = plan(world.lake)
    world.arrive("b", "1.0000")
    second = plan(world.lake)
    world.run(second)
    world.sent.published.clear()
    world.lease(first)

    result = world.run(first)
    assert (result["outcome"], result["rows"], result["checks"], result["load"]) == (
        "conflict",
        0,
        [],
        None,
    )
    assert partitions(world.sent.messages) == [f"takings {DAY}"]
    assert "another job has committed since it was planned" in world.sent.messages[0]["reason"]
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert not world.is_leased()
    assert world.gold()["sales"].to_pylist() == [3], "what was committed stays"


def test_given_a_commit_while_it_ran_then_the_partition_is_planned_again(world: World) -> None:
    key = plan(world.lake)
    world.lake.meddle = lambda: world.lake.put(GOLD, b"another")
    result = world.run(key)
    assert result["outcome"] == "conflict"
    assert "another job committed while it ran" in world.sent.messages[0]["reason"]
    assert world.lake.get(GOLD).body == b"another"


def test_given_a_write_whose_answer_was_lost_then_it_is_recognised_as_its_own(world: World) -> None:
    key = plan(world.lake)
    job = json.loads(world.lake.get(key).body)
    world.lake.meddle = lambda: world.lake.put(GOLD, b"the same", {"job": job["id"]})
    assert world.run(key)["outcome"] == "committed"
    assert world.sent.messages == []


def test_given_an_input_that_is_gone_then_the_partition_is_planned_again(world: World) -> None:
    key = plan(world.lake)
    world.lake.delete(f"silver/lines/dt={DAY}/a.parquet")
    assert world.run(key)["outcome"] == "conflict"
    assert (
        "silver.lines: the object silver/lines/dt=2026-11-20/a.parquet was deleted"
        in world.sent.messages[0]["reason"]
    )


@pytest.mark.parametrize("severity", ["error", "stop"])  # its name in older documents
def test_given_a_check_that_stops_then_nothing_is_committed(world: World, severity: str) -> None:
    world.arrive("b", *["1.0000"] * 6)
    sql = (
        "select line, amount, at, note, cast(0.1 as double) as rate from silver__lines "
        "where line < 6 order by line, amount"
    )
    key = plan(world.lake, checks=[check(sql, severity)])
    world.lease(key)
    result = world.run(key)

    assert (result["outcome"], result["load"], world.lake.get(GOLD)) == (
        "checks_failed",
        None,
        None,
    )
    assert result["checks"] == [
        {"name": "takings_are_fine", "severity": severity, "description": "takings are fine"}
    ]
    [failed] = result["failed_checks"]
    assert (failed["name"], failed["severity"], failed["rows"], len(failed["sample"])) == (
        "takings_are_fine",
        severity,
        8,
        5,
    )
    assert failed["sample"][0] == {
        "amount": "1.0000",
        "at": "2026-11-20T23:59:59.123456Z",
        "line": "0",
        "note": "é",
        "rate": "0.1",
    }
    assert failed["sample"][2]["note"] is None
    assert world.sent.published == [] and not world.is_leased()


def test_given_a_check_that_warns_then_the_rows_are_committed_and_the_failure_is_told(
    world: World,
) -> None:
    checks = [check("select shop_id, takings from gold__takings", severity="warn")]
    result = world.run(plan(world.lake, checks=checks))
    assert result["outcome"] == "committed"
    [failed] = result["failed_checks"]
    assert failed["sample"][0]["takings"] == "2.6000"
    assert result["alert"] == [
        {
            "check": "takings_are_fine",
            "severity": "warn",
            "description": "takings are fine",
            "rows": 1,
            "shops": failed["shops"],
        }
    ]
    world.arrive("b", "1.0000")
    result = world.run(plan(world.lake, checks=checks))
    assert (result["outcome"], result["alert"]) == ("committed", None), "it is known"


def test_failed_check_names_its_shops_and_masks_personal_values(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines("1.0000", shop="beta"))
    sql = "select shop_id, note, line from silver__lines order by shop_id, line"
    warning = check(sql, severity="warn")
    result = world.run(plan(world.lake, checks=[warning], personal=["note"]))
    [failed] = result["failed_checks"]
    assert list(failed) == ["name", "severity", "rows", "shops", "sample"]
    assert failed["shops"] == ["acme", "beta"]
    assert failed["sample"] == [
        {"line": "0", "note": "***", "shop_id": "acme"},
        {"line": "1", "note": None, "shop_id": "acme"},
        {"line": "0", "note": "***", "shop_id": "beta"},
    ]


def test_given_a_lease_that_became_another_s_then_it_is_left_alone(world: World) -> None:
    key = plan(world.lake)
    world.lease(key, holder="another job")
    world.run(key)
    assert world.is_leased()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "is missing in the lake"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"version": 2}', "missing field `checks`"),
    ],
)
def test_given_a_document_that_cannot_be_read_then_a_retry_is_not_worth_it(
    world: World, document: bytes, words: str
) -> None:
    if document is not None:
        world.lake.put("jobs/x.json", document)
    error = world.fails("jobs/x.json")
    assert error.kind == "Shoplake.Permanent" and words in str(error)


def test_given_a_document_of_another_version_then_a_retry_is_not_worth_it(world: World) -> None:
    error = world.fails(plan(world.lake, version=1))
    assert error.kind == "Shoplake.Permanent" and "has version 1, expected 2" in str(error)


def test_given_gold_that_no_job_wrote_then_the_error_says_what_to_do(world: World) -> None:
    world.lake.put(GOLD, b"no parquet", {"version": "1"})
    error = world.fails(plan(world.lake))
    assert error.kind == "Shoplake.Permanent"
    assert "delete it and backfill its partition" in str(error)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec", "model takings, its query: [PARSE_SYNTAX_ERROR]"),
        ("select nothing from silver__lines", "model takings, its query: [UNRESOLVED_COLUMN"),
        (
            SQL.replace("count(*) as sales", "sum(line + 9223372036854775807) as sales"),
            "ARITHMETIC_OVERFLOW",
        ),
        (SQL.replace("count(*) as sales", "cast('x' as bigint) as sales"), "CAST_INVALID_INPUT"),
        (
            SQL.replace("count(*) as sales", "array(1) as sales"),
            'the column "sales" is a array<int>, expected string',
        ),
        (SQL.replace("count(*) as sales", "null as sales"), 'the column "sales" is a void'),
        (
            "select shop_id from silver__lines",
            'does not return the column "day" that its key names',
        ),
    ],
)
def test_given_sql_that_does_not_run_then_the_error_says_so_in_the_model_s_words(
    world: World, sql: str, words: str
) -> None:
    key = plan(world.lake, sql=sql)
    world.lease(key)
    error = world.fails(key)
    assert error.kind == "Shoplake.Permanent" and words in str(error), error
    assert not world.is_leased(), "there is no retry"


def test_given_a_lake_that_fails_then_the_lease_is_kept_for_the_retry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RetryableError("a fault was asked for")

    key = plan(world.lake)
    world.lease(key)
    monkeypatch.setattr(Gold, "encode", fail)
    assert world.fails(key).kind == "Shoplake.Retryable"
    assert world.is_leased()


def test_a_result_that_is_too_large_has_fewer_sample_rows() -> None:
    row = {f"column_{number:02}": "\u20ac" * 200 for number in range(20)}
    checks = [
        {"name": name, "severity": "error", "rows": 9, "sample": [row] * rows}
        for name, rows in (("long", 5), ("longer", 20))
    ]
    large = {"outcome": "checks_failed", "failed_checks": checks}

    result = shortened(large)

    assert (
        len(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()) <= RESULT_BYTES
    )
    assert [(check["name"], check["rows"]) for check in result["failed_checks"]] == [
        ("long", 9),
        ("longer", 9),
    ]
    assert all(check["sample"] for check in result["failed_checks"]), "from the longest first"
    assert [len(check["sample"]) for check in checks] == [5, 20], "the commit is unchanged"
    small = {"outcome": "checks_failed", "failed_checks": [{**checks[0], "sample": [row]}]}
    assert shortened(small) is small
