"""Computes the rows of a job with Spark, as crates/engine does with DataFusion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from itertools import groupby
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from job_lake import CONCURRENT_READS, InputGone, JobError, Json, RetryableError, Workspace, to_json
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

PREFIX = "shoplake."
SAMPLE_ROWS = 5
SAMPLE_CHARS = 200
MAX_FAILED_SHOPS = 50
MASKED = "***"

# With these settings, Spark gives a SQL text the meaning that DataFusion gives it.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Overflows, failed casts and divisions by zero are errors instead of nulls.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.parser.escapedStringLiterals": "true",
    "spark.sql.variable.substitute": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # The scale of a product is the sum of the scales. By default Spark drops digits instead.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Files use the Gregorian calendar, which old versions of Spark did not.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
}


@dataclass(frozen=True)
class Gold:
    """A committed partition."""

    rows: pa.Table
    dirtied: list[Json]
    failed_checks: list[Json]

    @classmethod
    def decode(cls, key: str, body: bytes) -> Gold:
        """Reads a file that either engine wrote."""
        try:
            file = pq.ParquetFile(pa.BufferReader(body))
            metadata = file.metadata.metadata or {}
            lists = [
                json.loads(metadata.get(f"{PREFIX}{name}".encode(), b"[]"))
                for name in ("dirtied", "failed_checks")
            ]
            return cls(file.read().replace_schema_metadata(None), *lists)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise JobError(
                f'the gold object "{key}" cannot be read: {error}; delete it and '
                "backfill its partition"
            ) from error

    def encode(self, job: Json) -> bytes:
        """Returns the Parquet file of the job's commit."""
        metadata = {
            **commit_metadata(job, self.rows),
            "dirtied": to_json(self.dirtied),
            "failed_checks": to_json(self.failed_checks),
        }
        sink = pa.BufferOutputStream()
        rows = self.rows.replace_schema_metadata(
            {f"{PREFIX}{name}": value for name, value in metadata.items()}
        )
        pq.write_table(rows, sink, compression="zstd", compression_level=3)
        return sink.getvalue().to_pybytes()


def commit_metadata(job: Json, rows: pa.Table) -> dict[str, str]:
    """Returns the metadata of a commit."""
    output = job["output"]
    return {
        "version": str(output["version"]),
        "inputs": output["inputs_digest"],
        "job": job["id"],
        "rows": str(rows.num_rows),
    }


def compute(
    spark: SparkSession, job: Json, before: Gold | None, workspace: Workspace
) -> tuple[Gold, bool]:
    """Returns the rows of the job, and whether they differ from the last commit."""
    session = spark.newSession()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    for source in job["inputs"]:
        _register(session, job, source, workspace)
    for view in job["views"]:
        with _spark(job, f"view {view['name']}"):
            session.sql(view["sql"]).createOrReplaceTempView(view["name"])
    rows = _query(session, job, workspace)
    failed_checks = [
        failed for check in job["checks"] if (failed := _run_check(session, job, check))
    ]
    changed = changed_rows(rows.schema.empty_table() if before is None else before.rows, rows)
    return Gold(rows, _dirtied(job, changed), failed_checks), any(
        table.num_rows for table in changed
    )


def _register(session: SparkSession, job: Json, source: Json, workspace: Workspace) -> None:
    """Registers the objects as a table, with the declared columns or those of the objects."""

    def place(number_and_key: tuple[int, str]) -> tuple[str, pa.Schema]:
        number, key = number_and_key
        # Objects of other models may be replaced at any time. An object of silver is only replaced
        # by the same bytes.
        placed = workspace.place(
            key, f"{source['table']}/{number:06}.parquet", may_change=source["columns"] is None
        )
        if placed is None:
            advice = "plan the partition again from a new listing"
            raise InputGone(
                f"{source['name']}: the object {key} was deleted after planning; {advice}"
            )
        try:
            return placed[0], pq.read_schema(pa.BufferReader(placed[1]))
        except (pa.ArrowException, OSError) as error:
            cause = f"is not a valid Parquet file ({error}); write it again from its input"
            raise JobError(f"{source['name']}: the object {key} {cause}") from error

    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        placed = list(pool.map(place, enumerate(source["objects"])))
    columns = _columns(source, [schema for _, schema in placed])
    # Spark 3.5 reads a decimal only with its written type, so objects are grouped by their types.
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for uri, schema in placed:
        groups.setdefault(tuple(_written(schema, columns).items()), []).append(uri)
    with _spark(job, f"input {source['name']}"):
        if placed:
            frames = (_read(session, types, uris, columns) for types, uris in groups.items())
            frame = reduce(DataFrame.unionAll, frames)
        else:
            nothing = ", ".join(
                f"cast(null as {kind}) as `{name}`" for name, kind in columns.items()
            )
            frame = session.sql(f"select {nothing} where false")
        frame.createOrReplaceTempView(source["table"])


def _written(schema: pa.Schema, columns: dict[str, str]) -> dict[str, str]:
    """Returns the columns with the types in the object, which may be narrower decimals."""
    actual = {field.name: portable(str(field.type)) for field in schema}
    return {name: actual.get(name) or kind for name, kind in columns.items()}


def _read(
    session: SparkSession,
    types: Iterable[tuple[str, str]],
    uris: list[str],
    columns: dict[str, str],
) -> DataFrame:
    """Returns the rows of objects of the same types, cast to the types of the table."""
    reader = session.read.schema(", ".join(f"`{name}` {kind}" for name, kind in types))
    # recursiveFileLookup: a folder named `business_date=...` is not read as a column.
    frame = reader.option("recursiveFileLookup", "true").parquet(*uris)
    if dict(types) == columns:
        return frame
    casts = (f"cast(`{name}` as {kind}) as `{name}`" for name, kind in columns.items())
    return frame.selectExpr(*casts)


def wider(one: str | None, other: str | None) -> str | None:
    """Returns the decimal that holds the values of both, if they are decimals of one scale."""
    found = [re.fullmatch(r"decimal\((\d+),(\d+)\)", kind or "") for kind in (one, other)]
    if not all(found) or found[0][2] != found[1][2]:
        return None
    return f"decimal({max(int(match[1]) for match in found)},{found[0][2]})"


def _columns(source: Json, schemas: list[pa.Schema]) -> dict[str, str]:
    """Returns the columns of a table with their types: the declared ones, or those of all objects.

    Decimals of one scale get the wider type: days that were computed before a sum was widened are
    read together with later ones.
    """
    declared = source["columns"]
    columns = {column["name"]: column["type"] for column in declared or ()}
    for key, schema in zip(source["objects"], schemas, strict=True):
        for field in schema:
            actual = portable(str(field.type))
            if declared is None and actual:
                known = columns.get(field.name, actual)
                columns[field.name] = wider(known, actual) or known
            expected = columns.get(field.name)
            is_narrower = declared is None and expected == wider(expected, actual)
            if expected not in (None, actual) and not is_narrower:
                advice = (
                    "a contract changes only by adding optional fields, so write the object again"
                )
                found = f'has the column "{field.name}" as {actual or field.type}'
                raise JobError(
                    f"{source['name']}: the object {key} {found}, expected {expected}; {advice}"
                )
        for column in declared or ():
            if not column["nullable"] and column["name"] not in schema.names:
                advice = "only optional columns may be missing in older objects"
                lack = f'lacks the column "{column["name"]}", which must not be null; {advice}'
                raise JobError(f"{source['name']}: the object {key} {lack}")
    return columns


def portable(name: str) -> str | None:
    """Returns the portable type of a type of Spark or Arrow, or `None`.

    Files of silver and gold have only these types, and Spark 3.5 does not read a smaller number as
    a larger one.
    """
    if found := re.fullmatch(r"decimal(?:128)?\((\d+), ?(\d+)\)", name):
        precision, scale = map(int, found.groups())
        return f"decimal({precision},{scale})" if scale < precision else None
    if name.startswith("dictionary<values=string"):
        return "string"
    return {
        "string": "string",
        "large_string": "string",
        "string_view": "string",
        "bigint": "bigint",
        "int64": "bigint",
        "double": "double",
        "boolean": "boolean",
        "bool": "boolean",
        "date": "date",
        "date32[day]": "date",
        "timestamp": "timestamp",
        "timestamp[us, tz=UTC]": "timestamp",
        "timestamp[ms, tz=UTC]": "timestamp",
    }.get(name)


# Types that a query may also return, because their values fit into a portable type.
WIDER = {
    "tinyint": "bigint",
    "smallint": "bigint",
    "int": "bigint",
    "float": "double",
    "timestamp_ntz": "timestamp",
}


def arrow(kind: str) -> pa.DataType:
    """Returns the Arrow type of a portable type."""
    if found := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
        return pa.decimal128(*map(int, found.groups()))
    return {
        "string": pa.string(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }[kind]


def _query(session: SparkSession, job: Json, workspace: Workspace) -> pa.Table:
    """Returns the rows in portable types, sorted, and registers them as the table of the checks."""
    with _spark(job, "its query"):
        frame = session.sql(job["sql"])
        columns = _stored_columns(job, frame)
        stored = frame.selectExpr(
            *(f"cast(`{name}` as {kind}) as `{name}`" for name, kind in columns.items())
        )
        stored.write.parquet(workspace.uri("rows"))
        reader = session.read.schema(
            ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        )
        reader.parquet(workspace.uri("rows")).createOrReplaceTempView(f"gold__{job['model']}")
    schema = pa.schema([(name, arrow(kind)) for name, kind in columns.items()])
    tables = [pq.read_table(pa.BufferReader(body)).cast(schema) for body in workspace.files("rows")]
    rows = pa.concat_tables([schema.empty_table(), *tables])
    # The order is total: rows that may be committed have unique keys without nulls.
    return rows.sort_by([(column, "ascending") for column in job["sort"]]).combine_chunks()


def _stored_columns(job: Json, frame: DataFrame) -> dict[str, str]:
    columns = {}
    for field in frame.schema:
        name = field.dataType.simpleString()
        kind = portable(name) or WIDER.get(name)
        if kind is None:
            raise JobError(
                f'model {job["model"]}: the column "{field.name}" is a {name}, expected string, '
                "bigint, double, boolean, date, timestamp or decimal; cast it in the model's last "
                "`select`"
            )
        columns[field.name] = kind
    named = [("key", name) for name in job["key"]] + [("sort", name) for name in job["sort"]]
    for what, name in [*named, ("partition", job["partition"]["column"])]:
        if name not in columns:
            raise _missing(job, name, what)
    return columns


def _missing(job: Json, column: str, what: str) -> JobError:
    return JobError(
        f'model {job["model"]}: the query does not return the column "{column}" that its '
        f"{what} names"
    )


def _run_check(session: SparkSession, job: Json, check: Json) -> Json | None:
    """Returns the failure of a check, or `None` if it returns no rows."""
    with _spark(job, f"check {check['name']}"):
        frame = session.sql(check["sql"])
        count = frame.count()
        if not count:
            return None
        rows = frame.limit(SAMPLE_ROWS).collect()
        shops = _shops(frame)
    personal = job.get("personal", [])
    sample = [
        {name: _shown(name, row[name], personal) for name in sorted(frame.columns)} for row in rows
    ]
    failed = {"name": check["name"], "severity": check["severity"], "rows": count}
    return {**failed, "shops": shops, "sample": sample}


def _shops(frame: DataFrame) -> list[str]:
    """Returns the first shops of the rows, if the check returns `shop_id`."""
    if "shop_id" not in frame.columns:
        return []
    shops = frame.select("shop_id").where("shop_id is not null").distinct()
    return [row[0] for row in shops.orderBy("shop_id").limit(MAX_FAILED_SHOPS).collect()]


def _shown(name: str, value: Any, personal: list[str]) -> str | None:
    """Returns a value for a message. More people read messages than tables, so a personal value is
    masked.
    """
    return MASKED if name in personal and value is not None else text(value)


def text(value: Any) -> str | None:
    """Returns a value as Arrow writes it, cut if it is long. It is a text, as a JSON number does
    not hold every amount of money.
    """
    match value:
        case None:
            return None
        case bool():
            text = str(value).lower()
        case Decimal():
            text = format(value, "f")
        case float() if value == value and 1e-5 <= abs(value) < 1e16:
            text = format(Decimal(repr(value)), "f")
        case float():
            text = repr(value).replace("e+", "e").replace("e-0", "e-").replace("nan", "NaN")
        case datetime():
            spec = (
                "seconds"
                if value.microsecond == 0
                else "microseconds"
                if value.microsecond % 1000
                else "milliseconds"
            )
            # Spark returns a time in the time zone of the machine.
            text = value.astimezone(UTC).isoformat(timespec=spec).replace("+00:00", "Z")
        case _:
            text = str(value)
    return text if len(text) <= SAMPLE_CHARS else f"{text[:SAMPLE_CHARS]}..."


def changed_rows(old: pa.Table, new: pa.Table) -> list[pa.Table]:
    """Returns tables of the rows that are in one of the two only, with their numbers. Different
    columns make every row different.
    """
    if old.schema.names != new.schema.names or old.schema.types != new.schema.types:
        return [old, new]
    sides = [
        bits(table).append_column("_side", pa.repeat(side, table.num_rows))
        for table, side in ((old, -1), (new, 1))
    ]
    counts = pa.concat_tables(sides).group_by(old.column_names).aggregate([("_side", "sum")])
    return [counts.filter(pc.not_equal(counts["_side_sum"], 0))]


def bits(table: pa.Table) -> pa.Table:
    """Returns the table with doubles as their bits, so that a comparison is exact."""
    table = table.combine_chunks()
    for number, field in enumerate(table.schema):
        if field.type == pa.float64():
            chunks = [chunk.view(pa.int64()) for chunk in table.column(number).chunks]
            table = table.set_column(number, field.name, pa.chunked_array(chunks, pa.int64()))
    return table


def _dirtied(job: Json, changed: list[pa.Table]) -> list[Json]:
    """Returns the partitions of other models that read a changed row."""
    partitions: dict[str, set[date]] = {}
    for downstream in job["downstream"]:
        for table in changed:
            column = downstream["column"]
            if column not in table.column_names or table.schema.field(column).type != pa.date32():
                raise _missing(job, column, "downstream (as a date)")
            for day in pc.unique(table[column]).to_pylist():
                partitions.setdefault(downstream["model"], set()).update(
                    [] if day is None else read_by(downstream, day)
                )
    reason = f"{job['model']} changed {job['partition']['value']}"
    return [
        dirty for model, days in sorted(partitions.items()) for dirty in runs(model, days, reason)
    ]


def read_by(downstream: Json, day: date) -> list[date]:
    """Returns the partitions of a downstream model that read this day: from D - lookahead to D +
    lookback.
    """
    days = range(
        day.toordinal() - downstream["lookahead_days"],
        day.toordinal() + downstream["lookback_days"] + 1,
    )
    return [date.fromordinal(number) for number in days if 1 <= number <= date.max.toordinal()]


def runs(model: str, days: Iterable[date], reason: str) -> list[Json]:
    """Returns one message for each run of days without a gap, as shoplake-jobs does."""
    messages: list[Json] = []
    for _, run in groupby(
        enumerate(sorted(days)), lambda numbered: numbered[1].toordinal() - numbered[0]
    ):
        first, last = (numbered := list(run))[0][1], numbered[-1][1]
        until = {} if first == last else {"until": last.isoformat()}
        messages.append({"model": model, "partition": first.isoformat(), **until, "reason": reason})
    return messages


# Errors of the query or the data. Another attempt may not hit any other error of a cluster.
PERMANENT = re.compile(
    r"(Analysis|Parse|Arithmetic|DateTime|NumberFormat|SparkRuntime|IllegalArgument"
    r"|UnsupportedOperation|SchemaColumnConvertNotSupported|SparkUpgrade)Exception$"
)


@contextmanager
def _spark(job: Json, what: str) -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        _explain(job, what, error)


def _explain(job: Json, what: str, error: Exception) -> NoReturn:
    """Raises the innermost cause with a message, as an error of the model."""
    causes, thrown = [], getattr(error, "_origin", None) or getattr(error, "java_exception", None)
    while thrown is not None:
        causes.append((thrown.getClass().getName(), (thrown.getMessage() or "").strip()))
        thrown = thrown.getCause()
    for name, message in reversed(causes):
        if name.endswith("FileNotFoundException") or "[PATH_NOT_FOUND]" in message:
            raise InputGone(f"model {job['model']}, {what}: {message}") from error
        if PERMANENT.search(name):
            raise JobError(f"model {job['model']}, {what}: {message}") from error
    advice = "retry, and if it persists give the job more or larger workers"
    message = next((message for _, message in reversed(causes) if message), str(error))
    raise RetryableError(
        f"model {job['model']}, {what}: Spark did not finish ({message}); {advice}"
    ) from error
