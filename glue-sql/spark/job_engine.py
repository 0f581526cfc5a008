"""Which rows a job comes to: what crates/engine does with DataFusion, done with Spark. Nothing is
committed here.
"""

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
from job_lake import CONCURRENT_READS, InputGone, JobError, Json, Passing, Workspace, to_json
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

PREFIX = "shoplake."
SAMPLE_ROWS = 5
SAMPLE_CHARS = 200
MAX_FAILED_SHOPS = 50
MASKED = "***"

# What makes Spark mean by a text what DataFusion means by it.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # A value that does not fit, a text that is no number and a division by zero are errors and not
    # nulls.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.parser.escapedStringLiterals": "true",
    "spark.sql.variable.substitute": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # The scale of a product is the sum of scales. Spark would rather drop decimals than overflow.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # The calendar of files is the one that everybody but old Spark uses.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
}


@dataclass(frozen=True)
class Gold:
    """A partition as it is committed."""

    rows: pa.Table
    dirtied: list[Json]
    failed_checks: list[Json]

    @classmethod
    def decode(cls, key: str, body: bytes) -> Gold:
        """Reads a file that either engine wrote."""
        try:
            file = pq.ParquetFile(pa.BufferReader(body))
            notes = file.metadata.metadata or {}
            lists = [
                json.loads(notes.get(f"{PREFIX}{name}".encode(), b"[]"))
                for name in ("dirtied", "failed_checks")
            ]
            return cls(file.read().replace_schema_metadata(None), *lists)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise JobError(
                f'the gold object "{key}" cannot be read: {error}; delete it and mark its partition dirty'
            ) from error

    def encode(self, job: Json) -> bytes:
        """Writes it as the commit that the job is."""
        notes = {
            **commit_notes(job, self.rows),
            "dirtied": to_json(self.dirtied),
            "failed_checks": to_json(self.failed_checks),
        }
        sink = pa.BufferOutputStream()
        rows = self.rows.replace_schema_metadata(
            {f"{PREFIX}{name}": value for name, value in notes.items()}
        )
        pq.write_table(rows, sink, compression="zstd", compression_level=3)
        return sink.getvalue().to_pybytes()


def commit_notes(job: Json, rows: pa.Table) -> dict[str, str]:
    """What a commit notes beside its rows."""
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
    """What the job comes to, and whether the rows are others than before. Commits nothing."""
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
    """Makes the listed objects a table, with the declared columns or those that the objects have."""

    def place(number_and_key: tuple[int, str]) -> tuple[str, pa.Schema]:
        number, key = number_and_key
        # Rows of other models may be replaced at any time; an object of silver is only ever
        # replaced by itself.
        placed = workspace.place(
            key, f"{source['table']}/{number:06}.parquet", may_change=source["columns"] is None
        )
        if placed is None:
            advice = "plan the partition again from a new listing"
            raise InputGone(
                f"{source['name']}: the object {key} is gone since the job was planned; {advice}"
            )
        try:
            return placed[0], pq.read_schema(pa.BufferReader(placed[1]))
        except (pa.ArrowException, OSError) as error:
            cause = f"is no Parquet file that can be read ({error}); write it again from its input"
            raise JobError(f"{source['name']}: the object {key} {cause}") from error

    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        placed = list(pool.map(place, enumerate(source["objects"])))
    columns = _columns(source, [schema for _, schema in placed])
    # Spark 3.5 reads a decimal only as the one that was written, so objects are read by the types
    # they have.
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
    """The columns with the types that an object has them in, which may be narrower decimals."""
    actual = {field.name: portable(str(field.type)) for field in schema}
    return {name: actual.get(name) or kind for name, kind in columns.items()}


def _read(
    session: SparkSession,
    types: Iterable[tuple[str, str]],
    uris: list[str],
    columns: dict[str, str],
) -> DataFrame:
    """The rows of objects of the same types, in the table's types."""
    reader = session.read.schema(", ".join(f"`{name}` {kind}" for name, kind in types))
    # recursiveFileLookup: a folder named `business_date=...` is a name and no column.
    frame = reader.option("recursiveFileLookup", "true").parquet(*uris)
    if dict(types) == columns:
        return frame
    casts = (f"cast(`{name}` as {kind}) as `{name}`" for name, kind in columns.items())
    return frame.selectExpr(*casts)


def wider(one: str | None, other: str | None) -> str | None:
    """The decimal that holds the values of both, if they are decimals of the same scale."""
    found = [re.fullmatch(r"decimal\((\d+),(\d+)\)", kind or "") for kind in (one, other)]
    if not all(found) or found[0][2] != found[1][2]:
        return None
    return f"decimal({max(int(match[1]) for match in found)},{found[0][2]})"


def _columns(source: Json, schemas: list[pa.Schema]) -> dict[str, str]:
    """The columns of a table with their types: the declared ones, which every object has, or all
    found.

    Of decimals that differ only in how many digits they hold, the wider one: a model whose sum was
    widened is read together with the days that were computed before.
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
                found = f'has the column "{field.name}" as {actual or field.type}, expected {expected}; {advice}'
                raise JobError(f"{source['name']}: the object {key} {found}")
        for column in declared or ():
            if not column["nullable"] and column["name"] not in schema.names:
                advice = "only optional columns may be missing in older objects"
                lack = f'lacks the column "{column["name"]}", which must not be null; {advice}'
                raise JobError(f"{source['name']}: the object {key} {lack}")
    return columns


def portable(name: str) -> str | None:
    """The portable type that holds every value of a type of Spark's or of what Spark reads of
    Arrow's; none if there is none.

    A silver or gold file has no other numbers than those below, and Spark 3.5 would not read a
    smaller one as a larger one.
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


# What a query may also return, because its values fit into a portable type.
WIDER = {
    "tinyint": "bigint",
    "smallint": "bigint",
    "int": "bigint",
    "float": "double",
    "timestamp_ntz": "timestamp",
}


def arrow(kind: str) -> pa.DataType:
    """A portable type in Arrow."""
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
    """The rows in portable types and in the order of `sort`, which the checks see as a table, too."""
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
    # The key's columns: no two rows that may be committed are alike in them, and none of them is
    # null.
    return rows.sort_by([(column, "ascending") for column in job["sort"]]).combine_chunks()


def _stored_columns(job: Json, frame: DataFrame) -> dict[str, str]:
    columns = {}
    for field in frame.schema:
        name = field.dataType.simpleString()
        kind = portable(name) or WIDER.get(name)
        if kind is None:
            expected = "expected string, bigint, double, boolean, date, timestamp or decimal; cast it in the model's last `select`"
            raise JobError(
                f'model {job["model"]}: the column "{field.name}" is a {name}, {expected}'
            )
        columns[field.name] = kind
    named = [("key", name) for name in job["key"]] + [("sort", name) for name in job["sort"]]
    for what, name in [*named, ("partition", job["partition"]["column"])]:
        if name not in columns:
            raise _missing(job, name, what)
    return columns


def _missing(job: Json, column: str, what: str) -> JobError:
    return JobError(
        f'model {job["model"]}: the query does not return the column "{column}" that its {what} names'
    )


def _run_check(session: SparkSession, job: Json, check: Json) -> Json | None:
    """What is to be said of a check that returns rows."""
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
    """The shops whose rows they are, if the check says so: the first few of them."""
    if "shop_id" not in frame.columns:
        return []
    shops = frame.select("shop_id").where("shop_id is not null").distinct()
    return [row[0] for row in shops.orderBy("shop_id").limit(MAX_FAILED_SHOPS).collect()]


def _shown(name: str, value: Any, personal: list[str]) -> str | None:
    """A value for a message, which more people read than tables: not a personal one."""
    return MASKED if name in personal and value is not None else text(value)


def text(value: Any) -> str | None:
    """A value as Arrow writes it, or the beginning of a long one. A JSON number could not hold
    every amount of money.
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
            # Spark gives a moment as this machine's clock showed it.
            text = value.astimezone(UTC).isoformat(timespec=spec).replace("+00:00", "Z")
        case _:
            text = str(value)
    return text if len(text) <= SAMPLE_CHARS else f"{text[:SAMPLE_CHARS]}..."


def changed_rows(old: pa.Table, new: pa.Table) -> list[pa.Table]:
    """Tables of the rows that are in one of the two only, as often as they are. A column more or
    less makes every row another.
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
    """With doubles as their bits, of which every one counts."""
    table = table.combine_chunks()
    for number, field in enumerate(table.schema):
        if field.type == pa.float64():
            chunks = [chunk.view(pa.int64()) for chunk in table.column(number).chunks]
            table = table.set_column(number, field.name, pa.chunked_array(chunks, pa.int64()))
    return table


def _dirtied(job: Json, changed: list[pa.Table]) -> list[Json]:
    """The partitions of other models that read a row which is not as before."""
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
    """The partitions of a downstream model that read this day: those from D - lookahead to D +
    lookback.
    """
    days = range(
        day.toordinal() - downstream["lookahead_days"],
        day.toordinal() + downstream["lookback_days"] + 1,
    )
    return [date.fromordinal(number) for number in days if 1 <= number <= date.max.toordinal()]


def runs(model: str, days: Iterable[date], reason: str) -> list[Json]:
    """As few messages as name these partitions: one for each run of days without a gap, as
    crates/models/src/job.rs makes them.
    """
    messages: list[Json] = []
    for _, run in groupby(
        enumerate(sorted(days)), lambda numbered: numbered[1].toordinal() - numbered[0]
    ):
        first, last = (numbered := list(run))[0][1], numbered[-1][1]
        until = {} if first == last else {"until": last.isoformat()}
        messages.append({"model": model, "partition": first.isoformat(), **until, "reason": reason})
    return messages


# What Spark says of a query or of data; of anything else that goes wrong in a cluster another
# attempt may know nothing.
MEANT = re.compile(
    r"(Analysis|Parse|Arithmetic|DateTime|NumberFormat|SparkRuntime|IllegalArgument|UnsupportedOperation"
    r"|SchemaColumnConvertNotSupported|SparkUpgrade)Exception$"
)


@contextmanager
def _spark(job: Json, what: str) -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        _explain(job, what, error)


def _explain(job: Json, what: str, error: Exception) -> NoReturn:
    """The innermost of Spark's causes that says something, as the model's."""
    causes, thrown = [], getattr(error, "_origin", None) or getattr(error, "java_exception", None)
    while thrown is not None:
        causes.append((thrown.getClass().getName(), (thrown.getMessage() or "").strip()))
        thrown = thrown.getCause()
    for name, message in reversed(causes):
        if name.endswith("FileNotFoundException") or "[PATH_NOT_FOUND]" in message:
            raise InputGone(f"model {job['model']}, {what}: {message}") from error
        if MEANT.search(name):
            raise JobError(f"model {job['model']}, {what}: {message}") from error
    advice = "retry, and if it persists give the job more or larger workers"
    message = next((message for _, message in reversed(causes) if message), str(error))
    raise Passing(
        f"model {job['model']}, {what}: Spark did not finish ({message}); {advice}"
    ) from error
