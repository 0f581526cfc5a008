"""What becomes of a job's inputs and rows, in the places where Spark would do something else by
itself.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from job_engine import Gold, _dirtied, changed_rows, compute, days_of, read_by, runs, text
from job_lake import InputGone, JobError, Json, LocalWorkspace, Workspace
from pyspark.sql import SparkSession

from .job import COLUMNS, DAY, SQL, lines, plan
from .lake import MemoryLake

OBJECT = f"silver/lines/dt={DAY}/a.parquet"
FAILED = {"name": "c", "severity": "warn", "rows": 1, "shops": ["acme"], "sample": []}


def run(
    spark: SparkSession, lake: MemoryLake, workspace: Workspace | None = None, **changes: object
) -> Gold:
    """Computes the job over what is in the lake."""
    job = json.loads(lake.get(plan(lake, **changes)).body)
    workspace = workspace or LocalWorkspace(lake)
    try:
        return compute(spark, job, None, workspace)[0]
    finally:
        workspace.clear()


def query(columns: str) -> Json:
    """A job that gives some columns of every line, in the order of their numbers."""
    return {
        "sql": f"select shop_id, day, line, {columns} from silver__lines",
        "key": ["line"],
        "sort": ["line"],
    }


def values(gold: Gold, column: str) -> list[object]:
    return gold.rows[column].to_pylist()


def test_an_optional_column_that_an_object_lacks_is_null(
    spark: SparkSession, lake: MemoryLake
) -> None:
    lake.write(OBJECT, lines("1.0000", "1.0000", "1.0000"))
    lake.write(OBJECT.replace("/a.", "/b."), lines("1.0000", note=None))
    gold = run(spark, lake)
    assert (values(gold, "sales"), values(gold, "noted")) == ([4], [2 / 4])


def test_columns_are_read_by_name(spark: SparkSession, lake: MemoryLake) -> None:
    table = lines("1.0000").append_column("added_later", pa.array([1]))
    lake.write(OBJECT, table.select(list(reversed(table.column_names))))
    gold = run(spark, lake)
    assert gold.rows.to_pylist()[0]["takings"] == Decimal("1.0000")
    assert "added_later" not in gold.rows.column_names


@pytest.mark.parametrize(
    ("column", "replacement", "words"),
    [
        ("line", pa.array(["0"]), 'the column "line" as string, expected bigint'),
        ("line", pa.array([0], pa.int32()), 'the column "line" as int32, expected bigint'),
        (
            "amount",
            pa.array([Decimal("1")], pa.decimal128(18, 2)),
            'the column "amount" as decimal(18,2), expected decimal(18,4)',
        ),
        (
            "at",
            pa.array([0], pa.timestamp("ns", tz="UTC")),
            'the column "at" as timestamp[ns, tz=UTC], expected timestamp',
        ),
        ("line", None, 'lacks the column "line", which must not be null'),
    ],
)
def test_an_error_names_an_object_with_wrong_columns(
    spark: SparkSession, lake: MemoryLake, column: str, replacement: pa.Array | None, words: str
) -> None:
    lake.write(OBJECT, lines("1.0000", **{column: replacement}))
    with pytest.raises(JobError) as caught:
        run(spark, lake)
    assert str(caught.value).startswith(f"silver.lines: the object {OBJECT} ") and words in str(
        caught.value
    ), caught.value


def test_an_error_names_an_object_that_is_not_parquet(
    spark: SparkSession, lake: MemoryLake
) -> None:
    lake.put(OBJECT, b"PAR1 or not")
    with pytest.raises(
        JobError, match=f"silver.lines: the object {OBJECT} is not a valid Parquet file"
    ):
        run(spark, lake)


def test_buckets_are_those_of_conform(spark: SparkSession, lake: MemoryLake) -> None:
    texts = ["123456789", "", "1", "order-1", "é"]
    lake.write(OBJECT, lines(*["1.0000"] * len(texts), note=pa.array(texts)))
    gold = run(
        spark,
        lake,
        **query(
            "crc32(cast(note as string)) % 64 as bucket, crc32(cast(line as string)) % 64 as other"
        ),
    )
    # As crates/contracts/src/partitioning.rs has them.
    assert values(gold, "bucket") == [38, 0, 55, 47, 62]
    assert values(gold, "other")[1] == 55


def test_a_table_without_objects_is_empty_and_typed(spark: SparkSession, lake: MemoryLake) -> None:
    gold = run(spark, lake)
    assert gold.rows.num_rows == 0
    assert gold.rows.schema.field("takings").type == pa.decimal128(18, 4)


def test_columns_of_another_model_are_those_of_its_objects(
    spark: SparkSession, lake: MemoryLake
) -> None:
    folder = "gold/other/business_date=2026-11-20"
    lake.write(f"{folder}/data.parquet", lines("1.0000"))
    source = {
        "table": "silver__lines__objects",
        "name": "gold.other",
        "columns": None,
        "objects": [f"{folder}/data.parquet"],
    }
    gold = run(spark, lake, inputs=[source])
    assert values(gold, "sales") == [1]


def test_decimals_of_two_widths_are_read_as_the_wider(
    spark: SparkSession, lake: MemoryLake
) -> None:
    wide = pa.array([Decimal("1000000000000000000.0001")], pa.decimal128(38, 4))
    lake.write(OBJECT, lines("1.5000"))
    lake.write(OBJECT.replace("/a.", "/b."), lines("0.0000", amount=wide))
    source = {"table": "silver__lines__objects", "name": "silver.lines", "columns": None}
    inputs = [{**source, "objects": lake.list("silver/lines/")}]
    gold = run(spark, lake, inputs=inputs, sql=SQL.replace("decimal(18, 4)", "decimal(38, 4)"))
    assert values(gold, "takings") == [Decimal("1000000000000000001.5001")]


def test_a_job_sees_one_version_of_a_replaced_object(spark: SparkSession, lake: MemoryLake) -> None:
    class Meddled(LocalWorkspace):
        """Replaces the object as soon as Spark has its own."""

        def place(self, key: str, name: str, may_change: bool) -> tuple[str, bytes] | None:
            placed = super().place(key, name, may_change)
            lake.write(key, lines("9.0000", "9.0000"))
            return placed

    key = "gold/other/day=2026-11-20/data.parquet"
    lake.write(key, lines("1.0000"))
    source = {
        "table": "silver__lines__objects",
        "name": "gold.other",
        "columns": None,
        "objects": [key],
    }
    assert values(run(spark, lake, Meddled(lake), inputs=[source]), "sales") == [1]


def test_a_file_deleted_during_the_read_is_a_missing_input(
    spark: SparkSession, lake: MemoryLake
) -> None:
    class Vanishing(LocalWorkspace):
        """Names a file that is not there (any more)."""

        def place(self, key: str, name: str, may_change: bool) -> tuple[str, bytes] | None:
            uri, body = super().place(key, name, may_change)
            return uri.replace("000000", "999999"), body

    lake.write(OBJECT, lines("1.0000"))
    with pytest.raises(InputGone):
        run(spark, lake, Vanishing(lake))


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("cast(7 as int)", pa.int64(), 7),
        ("cast(0.5 as float)", pa.float64(), 0.5),
        (
            "cast('2026-11-20 10:00:00.123456' as timestamp_ntz)",
            pa.timestamp("us", tz="UTC"),
            datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC),
        ),
        (
            "cast('2026-11-20 10:00:00' as timestamp)",
            pa.timestamp("us", tz="UTC"),
            datetime(2026, 11, 20, 10, tzinfo=UTC),
        ),
        ("cast(cast('2026-11-20 23:59:59' as timestamp) as date)", pa.date32(), date(2026, 11, 20)),
        (
            "date_trunc('day', at)",
            pa.timestamp("us", tz="UTC"),
            datetime(2026, 11, 20, tzinfo=UTC),
        ),
        ("cast('0500-01-01' as date)", pa.date32(), date(500, 1, 1)),
        (
            "unix_micros(at)",
            pa.int64(),
            1795219199123456,
        ),  # date -u -d '2026-11-20 23:59:59' +%s is 1795219199
        ("amount * amount", pa.decimal128(37, 8), Decimal("1.56250000")),
        # 38 digits of which 8 are decimals: Spark would by itself give decimal(38,6) and round
        ("cast(amount as decimal(22, 4)) * amount", pa.decimal128(38, 8), Decimal("1.56250000")),
        ("cast(0 as double) * cast(-1 as double)", pa.float64(), -0.0),
        ("'a\\n${x}'", pa.string(), "a\\n${x}"),
        ('"line" + 1', pa.int64(), 1),
    ],
)
def test_what_an_expression_means(
    spark: SparkSession, lake: MemoryLake, expression: str, kind: pa.DataType, value: object
) -> None:
    lake.write(OBJECT, lines("1.2500"))
    gold = run(spark, lake, **query(f"{expression} as result"))
    assert gold.rows.schema.field("result").type == kind
    [result] = values(gold, "result")
    assert (result, str(result)) == (value, str(value)), "the text tells -0.0 from 0.0"


def test_rows_are_stored_in_the_order_of_their_bytes(spark: SparkSession, lake: MemoryLake) -> None:
    shops = ["é", "a", "Z", "z", "aa", "\U0001f600", "\uffff", "", "1"]
    for number, shop in enumerate(shops):
        lake.write(f"silver/lines/dt={DAY}/{number}.parquet", lines("1.0000", shop=shop))
    assert values(run(spark, lake), "shop_id") == sorted(shops, key=str.encode)


def test_a_commit_is_read_back_unchanged(spark: SparkSession, lake: MemoryLake) -> None:
    lake.write(OBJECT, lines("1.0000"))
    job = json.loads(lake.get(plan(lake)).body)
    gold = run(spark, lake)
    dirtied = [{"model": "é", "partition": DAY, "reason": "r"}]
    alert = [{"check": "c", "severity": "warn", "description": "d", "rows": 1, "shops": ["acme"]}]
    written = Gold(gold.rows, dirtied, [FAILED], alert)
    assert Gold.decode("gold/x", written.encode(job)) == written


def table(*rows: tuple[str, float | None]) -> pa.Table:
    names, rates = [row[0] for row in rows], [row[1] for row in rows]
    return pa.table({"name": pa.array(names, pa.string()), "rate": pa.array(rates, pa.float64())})


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (table(), table(), set()),
        (table(("a", 1.0)), table(("a", 1.0)), set()),
        (table(("a", 1.0)), table(), {"a"}),
        (table(("a", 1.0), ("b", 1.0)), table(("b", 1.0), ("c", None)), {"a", "c"}),
        (table(("a", 1.0)), table(("a", 1.0), ("a", 1.0)), {"a"}),
        (table(("a", 0.0)), table(("a", -0.0)), {"a"}),
        (table(("a", 0.1 + 0.2)), table(("a", 0.3)), {"a"}),
        (table(("a", float("nan"))), table(("a", float("nan"))), set()),
        (table(("a", None)), table(("a", None)), set()),
        (table(("a", None)), table(("a", 0.0)), {"a"}),
        (
            table(("a", 1.0)),
            table(("a", 1.0)).append_column("more", pa.array([None], pa.string())),
            {"a"},
        ),
    ],
)
def test_which_rows_a_computation_changed(old: pa.Table, new: pa.Table, names: set[str]) -> None:
    assert {
        name for changed in changed_rows(old, new) for name in changed["name"].to_pylist()
    } == names


def test_a_change_dirties_every_day_that_reads_it() -> None:
    downstream = {"lookback_days": 2, "lookahead_days": 1}
    assert read_by(downstream, date(2010, 12, 10)) == [
        f"2010-12-{day:02}" for day in (9, 10, 11, 12)
    ]
    assert read_by(downstream, date.max) == ["9999-12-30", "9999-12-31"]
    assert read_by(downstream, date.min)[0] == "0001-01-01"


def test_consecutive_partitions_are_one_message() -> None:
    days = ["2010-12-31", "2010-12-01", "2011-01-01", "2010-12-03"]
    assert runs("m", days, "why") == [
        {"model": "m", "partition": "2010-12-01", "reason": "why"},
        {"model": "m", "partition": "2010-12-03", "reason": "why"},
        {"model": "m", "partition": "2010-12-31", "until": "2011-01-01", "reason": "why"},
    ]
    assert runs("m", [], "why") == []
    for first, last in [("0009", "0010"), ("2010-12-31T23", "2011-01-01T00")]:
        message = {"model": "m", "partition": first, "until": last, "reason": "why"}
        assert runs("m", [last, first], "why") == [message]
    assert days_of({"partition": "2010-12-31", "until": "2011-01-01"}) == [
        "2010-12-31",
        "2011-01-01",
    ]


def bucket(*rows: tuple[str, date | None]) -> pa.Table:
    ids, days = [row[0] for row in rows], [row[1] for row in rows]
    return pa.table({"id": pa.array(ids, pa.string()), "day": pa.array(days, pa.date32())})


def test_a_change_dirties_by_each_correspondence() -> None:
    first, second = date(2010, 12, 1), date(2010, 12, 9)
    window = {"lookback_days": 1, "lookahead_days": 0}
    job = {
        "model": "orders",
        "partition": {"column": "bucket", "type": "bucket", "value": "0007"},
        "downstream": [
            {
                "model": "days",
                "kind": "day",
                "correspondence": {"by_column": {"column": "day", **window}},
            },
            {"model": "lines", "kind": "bucket", "correspondence": "same"},
            {
                "model": "people",
                "kind": {"bucket": {"count": 4, "oldest": 4}},
                "correspondence": "all",
            },
        ],
    }

    def dirtied(old: pa.Table, new: pa.Table) -> list[str]:
        messages = _dirtied(job, changed_rows(old, new))
        return [f"{one['model']} {one['partition']} {one.get('until', '')}" for one in messages]

    others = ["lines 0007 ", "people 0000 0003"]
    assert dirtied(bucket(("a", first)), bucket(("a", first))) == []
    moved = dirtied(bucket(("a", first), ("b", first)), bucket(("a", second), ("b", first)))
    assert moved == ["days 2010-12-01 2010-12-02", "days 2010-12-09 2010-12-10", *others]
    assert dirtied(bucket(("a", None)), bucket()) == others
    without = bucket(("a", first)).drop_columns("day")
    assert dirtied(without, bucket(("a", second)))[0] == "days 2010-12-09 2010-12-10"
    with pytest.raises(JobError, match="downstream"):
        dirtied(bucket(("a", first)), without)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, "true"),
        (7, "7"),
        (Decimal("0E-4"), "0.0000"),
        (Decimal("-12.3400"), "-12.3400"),
        (date(2026, 1, 2), "2026-01-02"),
        ("é" * 200, "é" * 200),
        ("é" * 201, "é" * 200 + "..."),
        # as Rust's ryu prints them
        (0.1, "0.1"),
        (3.0, "3.0"),
        (-0.0, "-0.0"),
        (0.00001234, "0.00001234"),
        (1e16, "1e16"),
        (1.5e-7, "1.5e-7"),
        (1e-10, "1e-10"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
    ],
)
def test_how_a_failed_check_shows_a_value(value: object, shown: str | None) -> None:
    assert text(value) == shown


def test_columns_of_the_hand_written_job_are_those_of_its_rows() -> None:
    assert [name for name, _, _ in COLUMNS] == lines().column_names
