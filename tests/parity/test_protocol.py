"""The commit protocol, step by step as functions/transform tests it for DataFusion."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from job_engine import Gold
from job_lake import JobError, Json, RetryableError
from pyspark.sql import SparkSession
from run_job import RESULT_BYTES, Transform, shortened

from .job import DAY, GOLD, SQL, STATE, check, lines, plan
from .lake import MemoryLake, Sent, partitions

COMPUTES = {
    "name": "takings_computes",
    "severity": "error",
    "description": "the rows of each shop can be computed, and a withheld shop can keep its "
    "previous rows",
}
ALERT = {"subject": "{shop_id} took {takings}", "started": "first_at", "ended": "first_at"}


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

    def lease(self, key: str, holder: str | None = None, **more: object) -> None:
        """Gives the lease to the job, as dispatch does."""
        job = json.loads(self.lake.get(key).body)["id"]
        lease = {
            "job": holder or job,
            "until": "2026-11-21T10:05:10Z",
            "since": "2026-11-21T09:59:00Z",
            "planned_at": "2026-11-21T10:00:00Z",
            "recompute": False,
            "resumes": False,
            "slot": None,
            **more,
        }
        self.change(lease=lease, marked=True)

    def change(self, **fields: object) -> None:
        self.lake.put(STATE, json.dumps({**self.state(), **fields}).encode())

    def state(self) -> Json:
        found = self.lake.get(STATE)
        return json.loads(found.body) if found else {}

    def is_leased(self) -> bool:
        return self.state().get("lease") is not None

    def again(self) -> list[Json]:
        """Returns the messages about the job's own partition, which is dirty again."""
        return [dirty for dirty in self.sent.published if dirty["model"] == "takings"]

    def gold(self) -> pa.Table:
        return Gold.decode(GOLD, self.lake.get(GOLD).body).rows

    def takings(self) -> dict[str, str]:
        """The takings of each shop in gold."""
        rows = self.gold()
        return dict(
            zip(rows["shop_id"].to_pylist(), map(str, rows["takings"].to_pylist()), strict=True)
        )

    def footer(self, name: str) -> Json:
        """A value of the metadata of the file in gold."""
        file = pq.ParquetFile(pa.BufferReader(self.lake.get(GOLD).body))
        return json.loads(file.metadata.metadata[f"shoplake.{name}".encode()])


@pytest.fixture
def world(spark: SparkSession, lake: MemoryLake, sent: Sent) -> World:
    """With two lines of a day."""
    world = World(spark, lake, sent)
    world.arrive("a", "2.5000", "0.1000")
    return world


def test_new_rows_are_committed_with_load_and_notify_requests(world: World) -> None:
    key = plan(world.lake, alert=ALERT)
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
        "checks": [COMPUTES],
        "failed_checks": [],
        "withheld": {"count": 0, "shops": []},
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
            "version": 1,
            "identity": ["shop_id", "day"],
            "alert": ALERT,
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
        "planned-at": "2026-11-21T10:00:00Z",
    }
    state = world.state()
    assert [state[name] for name in ("committed", "highest", "published")] == [1, 1, 1]
    assert (state.get("loaded", 0), state.get("notified", 0)) == (0, 0), "others do that"
    computed = state["computed"]
    assert (computed["job"], computed["outcome"]) == (job["id"], "committed")
    assert state["planned_at"] == "2026-11-21T10:00:00Z"
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert world.sent.published[0]["reason"] == "takings changed 2026-11-20"


def test_a_commit_of_a_model_without_a_table_owes_its_check_results(world: World) -> None:
    world.run(plan(world.lake, warehouse=None))
    state = world.state()
    assert (state["committed"], state.get("loaded", 0), state["notified"]) == (1, 0, 1)
    assert state["marked"], "the sweep has them recorded"


def test_a_document_from_before_the_rename_of_alert_is_read(world: World) -> None:
    key = plan(world.lake, alert=ALERT)
    document = json.loads(world.lake.get(key).body)
    document["notice"] = document.pop("alert")
    world.lake.put(key, json.dumps(document).encode())
    assert world.run(key)["notify"]["alert"] == ALERT


def test_the_same_rows_are_not_committed_or_published(world: World) -> None:
    key = plan(world.lake)
    world.lease(key)
    world.run(key)
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


def test_changed_rows_are_the_next_version(world: World) -> None:
    world.run(plan(world.lake))
    world.arrive("b", "1.0000")
    result = world.run(plan(world.lake))
    assert (result["outcome"], result["version"]) == ("committed", 2)
    assert world.gold()["takings"].to_pylist() == [Decimal("3.6000")]
    assert world.lake.get(GOLD).metadata["version"] == "2"


def test_a_retry_after_the_commit_publishes_and_loads(
    world: World,
) -> None:
    warning = check("select shop_id, takings from gold__takings", severity="warn")
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
    assert [alert["shops"] for alert in result["alert"]] == [["acme"]], "and its alert"
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert world.lake.get(GOLD).metadata["version"] == "1", "it is not committed twice"
    assert not world.is_leased()


def test_a_retry_keeps_the_planning_time_of_its_commit(world: World) -> None:
    """The document may have been written again since."""
    key = plan(world.lake)
    world.run(key)
    gold = world.lake.get(GOLD)
    gold.metadata["planned-at"] = "2026-11-21T09:00:00Z"
    result = world.run(key)
    assert (result["outcome"], result["planned_at"]) == ("committed", "2026-11-21T09:00:00Z")


def test_a_commit_since_the_planning_is_a_conflict(world: World) -> None:
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
    assert partitions(world.sent.published) == [f"takings {DAY}"]
    assert "another job has committed since it was planned" in world.sent.published[0]["reason"]
    assert not world.is_leased() and world.state()["dirty_since"] == "2026-11-21T09:59:00Z"
    assert world.gold()["sales"].to_pylist() == [3], "what was committed stays"


def test_a_commit_during_the_run_is_a_conflict(world: World) -> None:
    key = plan(world.lake)
    world.lake.meddle = lambda: world.lake.put(GOLD, b"another")
    result = world.run(key)
    assert result["outcome"] == "conflict"
    assert "another job committed while it ran" in world.again()[0]["reason"]
    assert world.lake.get(GOLD).body == b"another"


def test_a_job_recognises_its_write_after_a_lost_answer(world: World) -> None:
    key = plan(world.lake)
    world.lease(key)
    job = json.loads(world.lake.get(key).body)
    world.lake.meddle = lambda: world.lake.put(GOLD, b"the same", {"job": job["id"]})
    assert world.run(key)["outcome"] == "committed"
    assert world.again() == []


def test_a_commit_without_its_lease_leaves_the_partition_dirty(world: World) -> None:
    key = plan(world.lake)
    world.lease(key, holder="a later job")
    assert world.run(key)["outcome"] == "committed"
    assert world.state()["dirty_since"] and world.is_leased()
    assert len(world.again()) == 1


def test_a_deleted_input_is_a_conflict(world: World) -> None:
    key = plan(world.lake)
    world.lake.delete(f"silver/lines/dt={DAY}/a.parquet")
    assert world.run(key)["outcome"] == "conflict"
    assert (
        "silver.lines: the object silver/lines/dt=2026-11-20/a.parquet was deleted"
        in world.again()[0]["reason"]
    )


@pytest.mark.parametrize("severity", ["error", "stop"])  # its name in older documents
def test_a_failed_check_of_severity_error_withholds_its_shop(world: World, severity: str) -> None:
    world.arrive("b", *["1.0000"] * 6)
    world.lake.write(f"silver/lines/dt={DAY}/c.parquet", lines("7.0000", shop="beta"))
    sql = (
        "select shop_id, line, amount, at, note, cast(0.1 as double) as rate from silver__lines "
        "where line < 6 and shop_id = 'acme' order by line, amount"
    )
    key = plan(world.lake, checks=[check(sql, severity)])
    world.lease(key)
    result = world.run(key)

    assert (result["outcome"], result["rows"]) == ("committed", 1)
    assert world.takings() == {"beta": "7.0000"}
    assert result["withheld"] == world.footer("withheld") == {"count": 1, "shops": ["acme"]}
    assert result["checks"] == [
        {"name": "takings_are_fine", "severity": "error", "description": "takings are fine"},
        COMPUTES,
    ]
    [failed] = result["failed_checks"]
    assert (failed["name"], failed["severity"], failed["rows"], len(failed["sample"])) == (
        "takings_are_fine",
        "error",
        8,
        5,
    )
    assert failed["sample"][0] == {
        "amount": "1.0000",
        "at": "2026-11-20T23:59:59.123456Z",
        "line": "0",
        "note": "é",
        "rate": "0.1",
        "shop_id": "acme",
    }
    assert failed["sample"][2]["note"] is None
    assert world.footer("failed_checks") == result["failed_checks"]
    assert world.footer("alert") == result["alert"]
    assert not world.is_leased()


def test_a_withheld_shop_keeps_its_rows_until_it_is_corrected(world: World) -> None:
    checks = [check("select shop_id from gold__takings where takings > 100")]
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines("7.0000", shop="beta"))
    world.run(plan(world.lake, checks=checks))
    assert world.takings() == {"acme": "2.6000", "beta": "7.0000"}

    world.arrive("c", "1000.0000")
    world.lake.write(f"silver/lines/dt={DAY}/d.parquet", lines("1.0000", shop="beta"))
    result = world.run(plan(world.lake, checks=checks))
    assert world.takings() == {"acme": "2.6000", "beta": "8.0000"}
    assert [alert["shops"] for alert in result["alert"]] == [["acme"]]

    world.lake.write(f"silver/lines/dt={DAY}/e.parquet", lines("1.0000", shop="beta"))
    result = world.run(plan(world.lake, checks=checks))
    assert world.takings() == {"acme": "2.6000", "beta": "9.0000"}
    assert (result["alert"], result["withheld"]["shops"]) == (None, ["acme"]), "it is known"

    world.arrive("c", "3.0000")
    result = world.run(plan(world.lake, checks=checks))
    assert world.takings() == {"acme": "5.6000", "beta": "9.0000"}
    assert result["withheld"] == {"count": 0, "shops": []}


def test_a_first_run_with_all_shops_withheld_commits_no_row(world: World) -> None:
    checks = [check("select shop_id from gold__takings")]
    key = plan(world.lake, checks=checks)
    world.lease(key)
    result = world.run(key)
    assert (result["outcome"], result["rows"], world.takings()) == ("committed", 0, {})
    assert world.sent.published == []
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines())
    result = world.run(plan(world.lake, checks=checks))
    assert (result["outcome"], result["alert"]) == ("unchanged", None)


def test_rows_without_a_shop_are_withheld_and_named(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines("7.0000", shop="lost"))
    sql = SQL.replace("    shop_id,\n    day,\n    count", NO_SHOP_SQL)
    checks = [check("select shop_id, day from gold__takings where shop_id is null")]
    result = world.run(plan(world.lake, sql=sql, checks=checks))
    assert world.takings() == {"acme": "2.6000"}
    assert result["failed_checks"][0]["shops"] == result["withheld"]["shops"] == ["(none)"]


NO_SHOP_SQL = "    nullif(shop_id, 'lost') as shop_id,\n    day,\n    count"

# Fails for a note that is not a number.
NUMBERS = SQL.replace("count(*) as sales", "sum(cast(note as bigint)) as sales")


def notes(shop: str, note: str | None) -> pa.Table:
    """A line of a shop with a note."""
    return lines("1.0000", shop=shop, note=pa.array([note], pa.string()))


def test_the_rows_of_a_shop_that_cannot_be_computed_are_withheld(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/a.parquet", notes("acme", "1"))
    world.run(plan(world.lake, sql=NUMBERS))
    for shop, note in [("acme", "secret"), ("b", "2"), ("c", None), ("d", "x"), ("e", "4")]:
        world.lake.write(f"silver/lines/dt={DAY}/{shop}.parquet", notes(shop, note))
    result = world.run(plan(world.lake, sql=NUMBERS))

    assert world.takings() == dict.fromkeys(["acme", "b", "c", "e"], "1.0000")
    [failed] = result["failed_checks"]
    assert (failed["name"], failed["severity"], failed["rows"]) == ("takings_computes", "error", 2)
    assert failed["shops"] == result["withheld"]["shops"] == ["acme", "d"]
    assert list(failed["sample"][0]) == ["error", "shop_id"]
    error = failed["sample"][0]["error"]
    assert error.startswith("model takings, its query: [CAST_INVALID_INPUT]"), error
    assert "'***'" in error and "secret" not in error
    assert result["alert"] == [
        {
            "check": "takings_computes",
            "severity": "error",
            "description": COMPUTES["description"],
            "rows": 2,
            "shops": ["acme", "d"],
        }
    ]


def test_a_shop_that_makes_a_check_fail_with_an_error_is_withheld(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/a.parquet", notes("acme", "x"))
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", notes("beta", "1"))
    warning = check("select shop_id from silver__lines where cast(note as bigint) > 0", "warn")
    result = world.run(plan(world.lake, checks=[warning]))
    assert world.takings() == {"beta": "1.0000"}
    names = [(failed["name"], failed["shops"]) for failed in result["failed_checks"]]
    assert names == [("takings_are_fine", ["beta"]), ("takings_computes", ["acme"])]
    severities = [alert["severity"] for alert in result["alert"]]
    assert severities == ["error", "warn"], "errors first"


def test_a_model_that_fails_for_shops_together_is_an_error(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/a.parquet", lines("60.0000"))
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines("60.0000", shop="beta"))
    total = "(select cast(sum(amount) as decimal(6, 4)) from silver__lines) as noted"
    noted = "cast(count(note) as double) / cast(count(*) as double) as noted"
    error = world.fails(plan(world.lake, sql=SQL.replace(noted, total)))
    assert error.kind == "Shoplake.Permanent" and "NUMERIC_VALUE_OUT_OF_RANGE" in str(error)


def test_withheld_rows_get_the_columns_of_a_changed_model(world: World) -> None:
    world.run(plan(world.lake))
    sql = SQL.replace("count(*) as sales", "cast(count(*) as decimal(24, 2)) as sales")
    sql = sql.replace("decimal(18, 4)) as takings", "decimal(38, 6)) as takings")
    sql = sql.replace("min(at) as first_at", "min(at) as first_at, max(note) as note")
    world.run(plan(world.lake, sql=sql, checks=[check("select shop_id from gold__takings")]))
    [row] = world.gold().to_pylist()
    assert (str(row["sales"]), str(row["takings"]), row["note"]) == ("2.00", "2.600000", None)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("decimal(18, 4)) as takings", "decimal(18, 2)) as takings", []),
        ("count(*) as sales", "cast(count(*) as string) as sales", []),
        ("min(at) as first_at", "min(at) as first_at, max(line) as line", ["line"]),
    ],
)
def test_withheld_rows_that_do_not_fit_a_changed_model_are_dropped(
    world: World, old: str, new: str, key: list[str]
) -> None:
    world.run(plan(world.lake))
    changes = {"sql": SQL.replace(old, new), "key": ["shop_id", "day", *key]}
    checks = [check("select shop_id from gold__takings")]
    result = world.run(plan(world.lake, checks=checks, **changes))
    assert world.takings() == {}
    failed = result["failed_checks"][1]
    assert (failed["name"], failed["shops"]) == ("takings_computes", ["acme"])
    assert failed["sample"][0]["error"].startswith("the previous rows of the withheld shop")


def test_a_withheld_shop_loses_no_rows_because_of_another(world: World) -> None:
    """The rows of acme repeat the new key, and those of zenith do not."""
    write = world.lake.write
    each = SQL.replace("count(*) as sales", "line as sales")
    each = each.replace("    day\n)", "    day,\n    line\n)")
    write(f"silver/lines/dt={DAY}/b.parquet", lines("7.0000", shop="zenith"))
    world.run(plan(world.lake, sql=each, key=["shop_id", "day", "sales"]))
    assert world.gold()["shop_id"].to_pylist() == ["acme", "acme", "zenith"]

    write(f"silver/lines/dt={DAY}/c.parquet", lines("1.0000", shop="zenith"))
    write(f"silver/lines/dt={DAY}/d.parquet", lines("3.0000", shop="zoo"))
    checks = [check("select shop_id from gold__takings where sales > 1")]
    result = world.run(plan(world.lake, checks=checks))
    assert world.takings() == {"zenith": "7.0000", "zoo": "3.0000"}
    withheld, lost = result["failed_checks"]
    assert (withheld["shops"], lost["shops"]) == (["acme", "zenith"], ["acme"])
    assert lost["name"] == "takings_computes"


def test_an_alert_names_all_shops_and_a_result_the_first(world: World) -> None:
    shops = [f"shop-{number:02}" for number in range(60)]
    for shop in shops:
        world.lake.write(f"silver/lines/dt={DAY}/{shop}.parquet", lines("7.0000", shop=shop))
    checks = [check("select shop_id from gold__takings where shop_id <> 'acme'")]
    result = world.run(plan(world.lake, checks=checks))
    [alert], [failed] = result["alert"], result["failed_checks"]
    assert alert["shops"] == failed["shops"] == shops[:50]
    [unsent] = world.state()["unsent_alerts"]
    assert unsent["checks"] == world.footer("alert") == [{**alert, "shops": shops}]


def test_a_check_without_a_shop_is_an_error(world: World) -> None:
    error = world.fails(plan(world.lake, checks=[check("select takings from gold__takings")]))
    assert error.kind == "Shoplake.Permanent" and "does not return shop_id" in str(error)


def test_a_failed_check_of_severity_warn_commits_and_alerts(world: World) -> None:
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


def test_a_lease_of_another_job_is_kept(world: World) -> None:
    key = plan(world.lake)
    world.lease(key, holder="another job")
    world.run(key)
    assert world.is_leased() and world.state().get("computed") is None
    assert world.state()["committed"] == 1, "its commit counts"


def test_a_change_during_the_job_is_published(world: World) -> None:
    key = plan(world.lake)
    world.lease(key, slot=7)
    world.change(dirty_since="2026-11-21T10:01:00Z")
    job = json.loads(world.lake.get(key).body)["id"]
    world.lake.put("state/runs/07.json", json.dumps({"job": job}).encode())
    world.run(key)
    assert partitions(world.again()) == [f"takings {DAY}"]
    assert world.lake.get("state/runs/07.json") is None, "the slot is free"


def test_the_next_job_publishes_what_the_replaced_commit_owes(world: World) -> None:
    key = plan(world.lake)
    world.lease(key)
    world.sent.faults = 1
    world.fails(key)
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines())
    key = plan(world.lake)
    world.lease(key)
    assert world.run(key)["outcome"] == "unchanged"
    assert partitions(world.sent.published) == ["weekly 2026-11-20 to 2026-11-21"]
    assert world.state()["published"] == 1


def test_a_published_commit_is_resumed_without_its_events(world: World) -> None:
    key = plan(world.lake)
    world.lease(key)
    world.run(key)
    computed = world.state()["computed"]
    world.sent.published.clear()
    world.lease(key, resumes=True)
    result = world.run(key)
    assert (result["load"]["version"], result["planned_at"]) == (1, "2026-11-21T10:00:00Z")
    assert world.sent.published == [] and not world.is_leased()
    assert world.state()["computed"] == computed, "it is no computation"


def test_the_alert_of_a_commit_is_recorded_once(world: World) -> None:
    world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines("7.0000", shop="beta"))
    checks = [check("select shop_id from gold__takings where shop_id = 'acme'")]
    key = plan(world.lake, checks=checks)
    world.lease(key)
    world.sent.faults = 1
    world.fails(key)
    for resumes in (False, True):
        world.lease(key, resumes=resumes)
        result = world.run(key)
        assert result["withheld"] == {"count": 1, "shops": ["acme"]}
        assert [alert["shops"] for alert in result["alert"]] == [["acme"]]
        [unsent] = world.state()["unsent_alerts"]
        assert (unsent["version"], unsent["checks"]) == (1, result["alert"]), "until it is sent"
    world.change(unsent_alerts=[])
    world.lease(key, resumes=True)
    for _ in range(2):  # The first answer is lost.
        world.run(key)
        assert world.state()["unsent_alerts"] == []


def test_check_results_without_a_commit_are_owed(world: World) -> None:
    key = plan(world.lake)
    for outcome in ("committed", "unchanged"):
        world.lease(key)
        assert world.run(key)["outcome"] == outcome
        job = json.loads(world.lake.get(key).body)["id"]
        assert world.state()["unrecorded"] == (job if outcome == "unchanged" else None)
        world.change(loaded=1)
        world.lake.write(f"silver/lines/dt={DAY}/b.parquet", lines())
        key = plan(world.lake)


def test_the_state_names_the_withheld_shops(world: World) -> None:
    checks = [check("select shop_id from gold__takings where takings > 100")]
    for amount, shops in (("1000.0000", ["acme"]), ("1.0000", [])):
        world.arrive("b", amount)
        key = plan(world.lake, checks=checks)
        world.lease(key)
        world.run(key)
        withheld = {"count": len(shops), "shops": shops}
        assert world.state()["computed"]["withheld"] == withheld, amount


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "is missing in the lake"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"version": 2}', "missing field `alert`"),
    ],
)
def test_an_unreadable_document_is_a_permanent_error(
    world: World, document: bytes, words: str
) -> None:
    if document is not None:
        world.lake.put("jobs/x.json", document)
    error = world.fails("jobs/x.json")
    assert error.kind == "Shoplake.Permanent" and words in str(error)


def test_a_document_of_another_version_is_a_permanent_error(world: World) -> None:
    error = world.fails(plan(world.lake, version=1))
    assert error.kind == "Shoplake.Permanent" and "has version 1, expected 2" in str(error)


def test_an_error_about_unreadable_gold_says_what_to_do(world: World) -> None:
    world.lake.put(GOLD, b"no parquet", {"version": "1"})
    error = world.fails(plan(world.lake))
    assert error.kind == "Shoplake.Permanent"
    assert "delete it and backfill its partition" in str(error)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec", "model takings, its query: [PARSE_SYNTAX_ERROR]"),
        ("select nothing from silver__lines", "model takings, its query: [UNRESOLVED_COLUMN"),
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
def test_an_error_of_a_query_names_the_model(world: World, sql: str, words: str) -> None:
    key = plan(world.lake, sql=sql)
    world.lease(key)
    error = world.fails(key)
    assert error.kind == "Shoplake.Permanent" and words in str(error), error
    assert world.is_leased(), "the state machine records the failure"


def test_a_retryable_error_keeps_the_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
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
    large = {"outcome": "committed", "failed_checks": checks}

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
    small = {"outcome": "committed", "failed_checks": [{**checks[0], "sample": [row]}]}
    assert shortened(small) is small
