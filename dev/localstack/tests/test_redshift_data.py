"""Redshift's SQL, its COPY and its Data API on a real PostgreSQL."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pyarrow
import pyarrow.parquet
import pytest
from shoplake_localstack.redshift_data.copy import Copy, CopyError
from shoplake_localstack.redshift_data.sql import Query, SqlError, translate
from shoplake_localstack.redshift_data.statements import (
    ABORTED,
    FAILED,
    FINISHED,
    OVER,
    Execution,
    Statements,
)

COPY = (
    "copy stage from 's3://lake/gold/' iam_role 'arn:aws:iam::000000000000:role/copy'"
    " format as parquet"
)


class Bucket(dict[str, bytes]):
    """S3 as COPY sees it."""

    def read(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        return (
            (f"s3://{bucket}/{key}", body)
            for key, body in sorted(self.items())
            if key.startswith(prefix)
        )


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def run(
    warehouse_url: str, connection: psycopg.Connection, bucket: Bucket
) -> Iterator[Callable[..., Execution]]:
    """Runs a batch (or one statement) to its end."""
    statements = Statements(warehouse_url, bucket)

    def run(*sqls: str, is_batch: bool = True, **parameters: str) -> Execution:
        execution = statements.submit(sqls, parameters, is_batch, {})
        wait(execution)
        return execution

    run.statements = statements
    yield run
    statements.close()


def wait(execution: Execution) -> None:
    while execution.whole.status not in OVER:
        time.sleep(0.005)


def parquet(**columns: pyarrow.Array) -> bytes:
    body = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), body)
    return body.getvalue()


@pytest.mark.parametrize(
    ("redshift", "postgres"),
    [
        (
            "create table t (a varchar(9) encode zstd distkey sortkey, b int)",
            "CREATE TABLE t (a VARCHAR(9), b INT)",
        ),
        (
            "create table t (a int) backup no diststyle key distkey(a) compound sortkey (a)",
            "CREATE TABLE t (a INT)",
        ),
        ("create table t (a int) sortkey auto;", "CREATE TABLE t (a INT)"),
        ("create table t (a varchar(max), b super)", "CREATE TABLE t (a VARCHAR, b JSONB)"),
        (
            'create table t (encode int, "distkey" int)',
            'CREATE TABLE t (encode INT, "distkey" INT)',
        ),
        (
            "create table t (a int primary key, b int unique references u (b), c int not null,"
            " primary key (c), foreign key (b) references u (b))",
            "CREATE TABLE t (a INT NOT NULL, b INT, c INT NOT NULL)",
        ),
        ("create temp table s (like sales.t)", "CREATE TEMPORARY TABLE s (LIKE sales.t)"),
        (
            "create view v as select nvl(a, 'it') as a from t with no schema binding",
            "call redshift.create_late_binding_view('v', 'SELECT COALESCE(a, ''it'') AS a FROM t')",
        ),
        ("drop view if exists v", "call redshift.drop_view_if_exists('v')"),
        ("select nvl(a, 0) from t", "SELECT COALESCE(a, 0) FROM t"),
        (
            "select listagg(a, ',') within group (order by b) from t",
            "SELECT STRING_AGG(a, ',' ORDER BY b) FROM t",
        ),
        ("grant select on t to role analyst", "GRANT SELECT ON t TO analyst"),
        ("alter table t alter sortkey (a)", "do 'begin end'"),
        ("vacuum full t", "do 'begin end'"),
    ],
)
def test_redshifts_sql_becomes_postgresqls(redshift: str, postgres: str):
    translated = translate(redshift)
    assert " ".join(translated.sql.split()).lower() == postgres.lower()


def test_parameters_are_bound_and_never_pasted():
    query = translate(
        "select ':a', x::int from t where x = :a or y = :b or z = :a",
        {"a": "1'; drop table t", "b": "2"},
    )
    assert query == Query(
        "SELECT ':a', CAST(x AS INT) FROM t WHERE x = $1 OR y = $2 OR z = $3",
        ("1'; drop table t", "2", "1'; drop table t"),
    )


@pytest.mark.parametrize(
    ("sql", "why"),
    [("select :a", ":a"), ("select 1; select 2", "several"), ("  -- nothing", "none")],
)
def test_statements_that_are_wrong_before_they_run(sql: str, why: str):
    with pytest.raises(SqlError, match=why):
        translate(sql)


def test_a_copy_is_read():
    assert translate(
        'COPY sales."T x" (a, "B") FROM \'s3://lake/gold/x\' IAM_ROLE default FORMAT PARQUET'
    ) == Copy('sales."T x"', ("a", '"B"'), "lake", "gold/x")


@pytest.mark.parametrize(
    "end",
    [
        "",
        "iam_role 'x'",
        "iam_role 'x' csv",
        "format parquet",
        "iam_role 'x' format parquet manifest",
    ],
)
def test_a_copy_that_would_not_do_what_it_says_is_refused(end: str):
    with pytest.raises(CopyError):
        translate(f"copy t from 's3://b/k' {end}")


def test_a_partition_is_replaced_in_one_transaction(
    run, bucket: Bucket, connection: psycopg.Connection
):
    run(
        "create table sales.totals (shop_id varchar(63), business_date date, units bigint,"
        " net numeric(18,4), rate double precision, at timestamp, open boolean)"
        " distkey (shop_id) sortkey (shop_id, business_date)",
        "insert into sales.totals values ('acme', '2010-12-01', 1, 1, 1, '2010-12-01', true),"
        " ('acme', '2010-12-02', 2, 2, 2, null, null)",
    )
    rows = {
        "shop_id": pyarrow.array(["acme", 'with "quotes", and\nlines', ""]),
        "day": pyarrow.array([date(2010, 12, 1)] * 3),
        "units": pyarrow.array([7, None, 9], pyarrow.int64()),
        "net": pyarrow.array(
            [Decimal("12.5000"), Decimal("-0.0001"), None], pyarrow.decimal128(18, 4)
        ),
        "rate": pyarrow.array([0.1, None, 1e300]),
        "at": pyarrow.array(
            [datetime(2010, 12, 1, 8, 26, 0, 123456, UTC)] * 3, pyarrow.timestamp("us", "UTC")
        ),
        "open": pyarrow.array([True, False, None]),
    }
    bucket["gold/a.parquet"] = parquet(
        **{name: column.slice(0, 2) for name, column in rows.items()}
    )
    bucket["gold/b.parquet"] = parquet(**{name: column.slice(2) for name, column in rows.items()})
    execution = run(
        "create temp table stage (like sales.totals)",
        COPY,
        "delete from sales.totals where business_date = cast(:day as date)",
        "insert into sales.totals select * from stage",
        day="2010-12-01",
    )
    assert execution.whole.error is None
    assert [part.result.count for part in execution.parts] == [0, 3, 1, 3]
    found = connection.execute(
        "select * from sales.totals order by business_date, net nulls last"
    ).fetchall()
    assert found == [
        (
            'with "quotes", and\nlines',
            date(2010, 12, 1),
            None,
            Decimal("-0.0001"),
            None,
            datetime(2010, 12, 1, 8, 26, 0, 123456),
            False,
        ),
        (
            "acme",
            date(2010, 12, 1),
            7,
            Decimal("12.5000"),
            0.1,
            datetime(2010, 12, 1, 8, 26, 0, 123456),
            True,
        ),
        ("", date(2010, 12, 1), 9, None, 1e300, datetime(2010, 12, 1, 8, 26, 0, 123456), None),
        ("acme", date(2010, 12, 2), 2, Decimal("2.0000"), 2.0, None, None),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": pyarrow.array([1])},
            "Unmatched number of columns between table and file. Table columns: 2, Data columns: 1",
        ),
        (
            {"a": pyarrow.array([1], pyarrow.int32()), "b": pyarrow.array(["x"])},
            "incompatible Parquet schema for column 'a'. Column type: BIGINT",
        ),
        (
            {"b": pyarrow.array(["x"]), "a": pyarrow.array([1])},
            "incompatible Parquet schema for column 'a'",
        ),
        ({"a": pyarrow.array([1]), "b": pyarrow.array(["too long"])}, "value too long"),
    ],
)
def test_a_file_that_does_not_fit_fails_as_redshift_fails(
    run, bucket: Bucket, columns: dict, message: str
):
    bucket["gold/x.parquet"] = parquet(**columns)
    execution = run("create temp table stage (a bigint, b varchar(3))", COPY)
    assert execution.whole.status == FAILED
    assert (
        execution.whole.error.startswith("Query #2 failed with ERROR: ")
        and message in execution.whole.error
    )


def test_a_copy_of_nothing_fails(run):
    assert (
        "prefix 'gold/' does not exist" in run("create temp table stage (a int)", COPY).whole.error
    )


def test_columns_may_be_named(run, bucket: Bucket, connection: psycopg.Connection):
    bucket["gold/x.parquet"] = parquet(anything=pyarrow.array(["x"]))
    run("create table sales.t (a int default 5, b text)", COPY.replace("stage", "sales.t (B)"))
    assert connection.execute("select * from sales.t").fetchall() == [(5, "x")]


def test_a_failed_batch_names_its_statement_and_changes_nothing(
    run, connection: psycopg.Connection
):
    execution = run(
        "create table sales.t (a int)",
        "insert into sales.t values (1)",
        "insert into sales.missing values (1)",
        "select 1",
    )
    assert (
        execution.whole.error
        == 'Query #3 failed with ERROR: relation "sales.missing" does not exist'
    )
    assert [part.status for part in execution.parts] == [FINISHED, FINISHED, FAILED, ABORTED]
    assert connection.execute("select to_regclass('sales.t')").fetchone() == (None,)


def test_transactions_see_a_snapshot(run):
    assert run("show transaction_isolation").parts[0].result.records == [
        [{"stringValue": "repeatable read"}]
    ]


def test_rows_are_typed_as_the_data_api_types_them(run):
    result = (
        run(
            "select 1::int as i, 2.50::numeric(18,4) as n, 0.5::float as f, true as b,"
            " null::text as z, 'x' as s, date '2010-12-01' as d"
        )
        .parts[0]
        .result
    )
    assert result.records == [
        [
            {"longValue": 1},
            {"stringValue": "2.5000"},
            {"doubleValue": 0.5},
            {"booleanValue": True},
            {"isNull": True},
            {"stringValue": "x"},
            {"stringValue": "2010-12-01"},
        ]
    ]
    assert [(column["name"], column["typeName"]) for column in result.metadata[:3]] == [
        ("i", "int4"),
        ("n", "numeric"),
        ("f", "float8"),
    ]
    assert (result.metadata[1]["precision"], result.metadata[1]["scale"]) == (18, 4)


def test_redshifts_system_views_are_there(run):
    run("create table sales.t (a int, b numeric(18,4))")
    rows = run(
        "select column_name, data_type from svv_columns where table_schema = :schema"
        " order by ordinal_position",
        schema="sales",
    )
    assert [[field["stringValue"] for field in row] for row in rows.parts[0].result.records] == [
        ["a", "integer"],
        ["b", "numeric"],
    ]


def test_redshifts_system_views_have_comments(run):
    execution = run(
        "create table sales.t (a int, b int)",
        "comment on table sales.t is 'One row per ''sale''.'",
        "comment on column sales.t.b is 'The :amount.'",
        "select column_name, remarks from svv_columns where table_schema = 'sales'"
        " order by ordinal_position",
        "select remarks from svv_tables where table_schema = 'sales' and table_name = 't'",
    )
    assert execution.whole.error is None
    assert [part.result.records for part in execution.parts[3:]] == [
        [
            [{"stringValue": "a"}, {"isNull": True}],
            [{"stringValue": "b"}, {"stringValue": "The :amount."}],
        ],
        [[{"stringValue": "One row per 'sale'."}]],
    ]


LATE = "create view sales.v as select a from sales.t with no schema binding"


def rows_of_view(connection: psycopg.Connection) -> list[tuple] | None:
    """Returns the rows of the view; None if it reads what does not exist."""
    try:
        return connection.execute("select * from sales.v order by 1").fetchall()
    except psycopg.errors.UndefinedTable:
        return None


def test_a_late_binding_view_follows_its_table(run, connection: psycopg.Connection):
    # Redshift has the view at once, and its rows when there is a table.
    assert run("drop view if exists sales.v", LATE).whole.error is None
    assert rows_of_view(connection) is None
    run("create table sales.t (a int)", "insert into sales.t values (1)")
    assert rows_of_view(connection) == [(1,)]
    widened = run(
        "alter table sales.t add column wide bigint",
        "update sales.t set wide = a + 1",
        "alter table sales.t drop column a",
        "alter table sales.t rename column wide to a",
    )
    assert widened.whole.error is None
    assert rows_of_view(connection) == [(2,)]
    run("alter table sales.t rename column a to b")
    assert rows_of_view(connection) is None
    run("alter table sales.t rename column b to a")
    assert rows_of_view(connection) == [(2,)]
    run("drop view if exists sales.v")


def test_a_dropped_late_binding_view_stays_dropped(run, connection: psycopg.Connection):
    run("create table sales.t (a int)", LATE)
    assert rows_of_view(connection) == []
    run("drop view if exists sales.v", LATE.replace("select a", "select a, a + 1 as b"))
    run("insert into sales.t values (1)")
    assert rows_of_view(connection) == [(1, 2)], "replaced, with another column"
    run("drop view if exists sales.v")
    run("alter table sales.t add column c int")
    assert rows_of_view(connection) is None


def test_parameters_take_the_type_of_where_they_stand(run):
    execution = run(
        "create table sales.loads (model text, day date, version bigint)",
        "insert into sales.loads (model, day, version) select :model, cast(:day as date), :version",
        "update sales.loads set version = :version where day = :day and version < 99",
        "select version from sales.loads where model = :model and version >= :version",
        model="it's",
        day="2010-12-01",
        version="3",
    )
    assert execution.whole.error is None
    assert execution.parts[3].result.records == [[{"longValue": 3}]]


def test_the_same_token_runs_once(run, connection: psycopg.Connection):
    run("create table sales.t (a int)")
    first, second = (
        run.statements.submit(["insert into sales.t values (1)"], {}, False, {}, token="again")
        for _ in range(2)
    )
    wait(first)
    assert first is second
    assert connection.execute("select count(*) from sales.t").fetchone() == (1,)


def test_a_running_statement_can_be_cancelled(run, eventually):
    execution = run.statements.submit(["select pg_sleep(60)"], {}, False, {})
    eventually(lambda: execution.connection)
    assert run.statements.cancel(execution)
    wait(execution)
    assert execution.whole.status == ABORTED
    assert not run.statements.cancel(execution)


def test_a_warehouse_that_is_away_fails_the_statement(bucket: Bucket):
    statements = Statements("postgresql://shoplake@127.0.0.1:1/shoplake", bucket)
    execution = statements.submit(["select 1"], {}, False, {})
    wait(execution)
    assert execution.whole.status == FAILED and "connection" in execution.whole.error
    statements.close()
