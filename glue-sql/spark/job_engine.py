"""Computes the rows of a job with Spark, as crates/engine does with DataFusion."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Set
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
from pyspark.sql.functions import col

PREFIX = "shoplake."
SAMPLE_ROWS = 5
SAMPLE_CHARS = 200
MAX_FAILED_SHOPS = 50
MASKED = "***"
ROW_GROUP_ROWS = 8192

# The column with the shop of a row, and the name of rows where it is null. No shop is called that.
SHOP = "shop_id"
NO_SHOP = "(none)"

# The failing shops that a search finds one by one. Beyond them it stops with groups of shops.
FAILING_SHOPS = 16

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
    alert: list[Json]

    @classmethod
    def decode(cls, key: str, body: bytes) -> Gold:
        """Reads a file that either engine wrote."""
        try:
            file = pq.ParquetFile(pa.BufferReader(body))
            metadata = file.metadata.metadata or {}
            lists = [
                json.loads(metadata.get(f"{PREFIX}{name}".encode(), b"[]"))
                for name in ("dirtied", "failed_checks", "alert")
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
            "withheld": to_json(withheld(self.failed_checks)),
            "alert": to_json(self.alert),
        }
        sink = pa.BufferOutputStream()
        rows = self.rows.replace_schema_metadata(
            {f"{PREFIX}{name}": value for name, value in metadata.items()}
        )
        # As crates/gold does: a reader of some days fetches few row groups of a bucket.
        is_bucket = job["partition"]["type"] == "bucket"
        size = ROW_GROUP_ROWS if is_bucket else None
        pq.write_table(rows, sink, size, compression="zstd", compression_level=3)
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
    """Returns the rows of the job, and whether they differ from the last commit.

    A shop whose rows fail a check of severity error, or make a query fail, is withheld: it keeps
    its rows of the last commit. The rows of all other shops are computed without it.
    """
    computation = Computation(spark, job, workspace)
    errors: dict[str, str] = {}
    try:
        new, failed_checks = computation.run()
    except DataError as error:
        errors, others = divide(computation, error)
        new, failed_checks = computation.run(others)
    rows, lost = merge(job, new, before, _failing(failed_checks) | errors.keys())
    for shop in lost:
        errors[shop] = f"{LOST}; {errors[shop]}" if shop in errors else LOST
    if errors:
        failed_checks.append(_computes(job, errors))
    alert = alerts(job, before.failed_checks if before else [], failed_checks)
    changed = changed_rows(rows.schema.empty_table() if before is None else before.rows, rows)
    return Gold(rows, _dirtied(job, changed), failed_checks, alert), any(
        table.num_rows for table in changed
    )


class DataError(JobError):
    """A failure that values of the inputs can cause, such as an overflow."""


class Computation:
    """The SQL of a job over its inputs, for all shops or for some."""

    def __init__(self, spark: SparkSession, job: Json, workspace: Workspace) -> None:
        self._spark, self._job, self._workspace = spark, job, workspace
        self._inputs = [(source, *_place(source, workspace)) for source in job["inputs"]]
        self._runs = 0

    def run(self, shops: list[str] | None = None) -> tuple[pa.Table, list[Json]]:
        """Returns the rows of all shops, or of these, and the checks that return rows for them."""
        session, job = self._session(shops), self._job
        for view in job["views"]:
            with _spark(job, f"view {view['name']}"):
                rows = session.sql(view["sql"])
                if view.get("stored"):
                    rows = rows.localCheckpoint()
                rows.createOrReplaceTempView(view["name"])
        self._runs += 1
        rows = _query(session, job, self._workspace, f"rows{self._runs}")
        found = [_run_check(session, job, check) for check in job["checks"]]
        return rows, [failed for failed in found if failed]

    def shops(self) -> list[str]:
        """Returns the shops of the inputs, sorted."""
        session, found = self._session(None), set()
        for source, _, columns in self._inputs:
            if SHOP in columns:
                with _spark(self._job, f"input {source['name']}"):
                    found.update(_shops(session.table(source["table"])))
        return sorted(found)

    def _session(self, shops: list[str] | None) -> SparkSession:
        """Returns a session with the tables."""
        session = self._spark.newSession()
        for name, value in SETTINGS.items():
            session.conf.set(name, value)
        for source, placed, columns in self._inputs:
            _register(session, self._job, source, placed, columns, shops)
        return session


def divide(computation: Computation, error: DataError) -> tuple[dict[str, str], list[str]]:
    """Returns the shops whose rows make the SQL fail, with their errors, and all other shops.

    It halves the groups of shops that fail, the largest first. For k failing shops of n, it runs at
    most 2 k log2(n) halves, and the halves of one size have each row at most once. After
    2 * FAILING_SHOPS * log2(n) halves, all shops of the groups that still fail count as failing.

    It raises the error of the run with all shops if no shop's rows are the cause: the SQL fails
    without any row, or only for shops together. It is then the model's fault.
    """
    shops = computation.shops()
    if not shops or _fails(computation, []):
        raise error
    halves = 2 * FAILING_SHOPS * (len(shops) - 1).bit_length()
    groups = deque([(shops, str(error))])
    failing: dict[str, str] = {}
    while groups:
        group, cause = groups.popleft()
        if len(group) == 1 or halves < 2:
            failing.update(dict.fromkeys(group, cause))
            continue
        halves -= 2
        middle = len(group) // 2
        found = [
            (half, str(failure))
            for half in (group[:middle], group[middle:])
            if (failure := _fails(computation, half))
        ]
        if not found:
            raise error
        groups.extend(found)
    return failing, [shop for shop in shops if shop not in failing]


def _fails(computation: Computation, shops: list[str]) -> DataError | None:
    """Returns the error that the rows of these shops cause, or `None`."""
    try:
        computation.run(shops)
    except DataError as error:
        return error
    return None


def _failing(failed_checks: list[Json]) -> set[str]:
    """Returns the shops that fail a check of severity error."""
    errors = [failed for failed in failed_checks if failed["severity"] == "error"]
    return {shop for failed in errors for shop in failed.get("shops", ())}


def withheld(failed_checks: list[Json]) -> Json:
    """Returns the shops that these failed checks withhold: their number and the first of them."""
    shops = sorted(_failing(failed_checks))
    return {"count": len(shops), "shops": shops[:MAX_FAILED_SHOPS]}


def merge(
    job: Json, new: pa.Table, before: Gold | None, shops: Set[str]
) -> tuple[pa.Table, list[str]]:
    """Returns the new rows without those of these withheld shops, which keep their rows of the last
    commit. Also returns the shops whose previous rows do not fit the new columns or key.
    """
    if not shops:
        return new, []
    rows = _of_shops(new, shops, is_in=False)
    kept = _of_shops(before.rows, shops) if before else new.schema.empty_table()
    converted = _converted(kept, new.schema)
    if converted is None:
        return rows.combine_chunks(), sorted(_names(kept[SHOP]))
    lost = _without_key(converted, job["key"])
    converted = _of_shops(converted, lost, is_in=False)
    return _sorted(job, pa.concat_tables([rows, converted])), sorted(lost)


def _names(shops: pa.ChunkedArray) -> set[str]:
    """Returns the names of the shops of rows."""
    return {shop or NO_SHOP for shop in shops.to_pylist()}


def _of_shops(rows: pa.Table, shops: Set[str], is_in: bool = True) -> pa.Table:
    """Returns the rows of these shops, or those of all others."""
    found = pc.is_in(
        pc.fill_null(rows[SHOP], NO_SHOP), value_set=pa.array(sorted(shops), pa.string())
    )
    return rows.filter(found if is_in else pc.invert(found))


def _converted(rows: pa.Table, schema: pa.Schema) -> pa.Table | None:
    """Returns rows of an earlier commit with other columns; `None` if that would change a value.
    Columns that they lack are null.
    """
    if not rows.num_rows:
        return schema.empty_table()
    columns = []
    for column in schema:
        if column.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, column.type))
        elif _is_lossless(rows.schema.field(column.name).type, column.type):
            columns.append(rows[column.name].cast(column.type))
        else:
            return None
    return pa.Table.from_arrays(columns, schema=schema)


def _without_key(rows: pa.Table, key: list[str]) -> set[str]:
    """Returns the shops with a row whose key is null or not unique."""
    keys = rows.group_by(key).aggregate([([], "count_all"), (SHOP, "distinct")])
    is_wrong = pc.greater(keys["count_all"], 1)
    for name in key:
        is_wrong = pc.or_(is_wrong, pc.is_null(keys[name]))
    return _names(pc.list_flatten(keys.filter(is_wrong)[f"{SHOP}_distinct"]))


def _is_lossless(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether a cast keeps every value, in both engines."""
    if pa.types.is_decimal(new):
        digits = new.precision - new.scale
        if pa.types.is_decimal(old):
            return old.scale <= new.scale and old.precision - old.scale <= digits
        if old == pa.int64():
            return digits >= 19
    return old == new


def _place(
    source: Json, workspace: Workspace
) -> tuple[list[tuple[str, pa.Schema]], dict[str, str]]:
    """Places the objects for Spark. Returns their URIs and schemas, and the columns of the table:
    the declared ones, or those of the objects.
    """

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
    return placed, _columns(source, [schema for _, schema in placed])


def _register(
    session: SparkSession,
    job: Json,
    source: Json,
    placed: list[tuple[str, pa.Schema]],
    columns: dict[str, str],
    shops: list[str] | None,
) -> None:
    """Registers the objects as a table: with all rows, or with those of these shops. A table
    without a shop has all rows.
    """
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
        if shops is not None and SHOP in columns:
            # The text that is no shop keeps the list from being empty: Spark would remove parts of
            # the query, and hide that they fail without any row.
            found = col(SHOP).isin(*(shop for shop in shops if shop != NO_SHOP), "")
            frame = frame.where(found | col(SHOP).isNull() if NO_SHOP in shops else found)
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


def _query(session: SparkSession, job: Json, workspace: Workspace, name: str) -> pa.Table:
    """Returns the rows in portable types, sorted, and registers them as the table of the checks."""
    uri = workspace.uri(name)
    with _spark(job, "its query"):
        frame = session.sql(job["sql"])
        columns = _stored_columns(job, frame)
        stored = frame.selectExpr(
            *(f"cast(`{name}` as {kind}) as `{name}`" for name, kind in columns.items())
        )
        stored.write.parquet(uri)
        reader = session.read.schema(
            ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        )
        reader.parquet(uri).createOrReplaceTempView(f"gold__{job['model']}")
    schema = pa.schema([(name, arrow(kind)) for name, kind in columns.items()])
    tables = [pq.read_table(pa.BufferReader(body)).cast(schema) for body in workspace.files(name)]
    return _sorted(job, pa.concat_tables([schema.empty_table(), *tables]))


def _sorted(job: Json, rows: pa.Table) -> pa.Table:
    """Returns the rows in the stored order. It is total: committed rows have unique keys without
    nulls.
    """
    order = [(column, "ascending") for column in job["sort"]]
    return rows.sort_by(order, null_placement="at_start").combine_chunks()


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
        if SHOP not in frame.columns:
            advice = "add it, as a failure concerns only the shops that the check returns"
            raise JobError(
                f"model {job['model']}, check {check['name']}: the check does not return shop_id; "
                f"{advice}"
            )
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
    """Returns the shops of the rows, sorted."""
    rows = frame.select(SHOP).distinct().collect()
    return sorted(NO_SHOP if shop is None else shop for (shop,) in rows)


LOST = (
    "the previous rows of the withheld shop are dropped, because they do not fit the model's new "
    "columns or key"
)


def check_runs(job: Json) -> list[Json]:
    """Returns all checks of the job: the queries, and the one that the engine makes itself."""
    queries = [
        {name: check[name] for name in ("name", "severity", "description")}
        for check in job["checks"]
    ]
    computes = {
        "name": f"{job['model']}_computes",
        "severity": "error",
        "description": "the rows of each shop can be computed, and a withheld shop can keep its "
        "previous rows",
    }
    return [*queries, computes]


def _computes(job: Json, errors: dict[str, str]) -> Json:
    """Returns the failure of the engine's own check for shops with their errors."""
    check, shops = check_runs(job)[-1], sorted(errors)
    sample = [
        {"error": text(_without_values(errors[shop])), "shop_id": shop}
        for shop in shops[:SAMPLE_ROWS]
    ]
    failed = {"name": check["name"], "severity": check["severity"], "rows": len(shops)}
    return {**failed, "shops": shops, "sample": sample}


def _without_values(error: str) -> str:
    """Returns the first line of an error without the value that it quotes: it may be personal."""
    line = error.partition("\n")[0]
    start, end = line.find("'"), line.rfind("'")
    return f"{line[:start]}'{MASKED}{line[end:]}" if start < end else line


def alerts(job: Json, before: list[Json], now: list[Json]) -> list[Json]:
    """Returns an alert for each check that fails for a shop for which it did not fail at the last
    commit. It names these shops, and no rows, which may hold personal data. Errors come first.
    """
    descriptions = {check["name"]: check["description"] for check in check_runs(job)}
    known = {
        (failed["name"], failed["severity"]): set(failed.get("shops", ())) for failed in before
    }
    found = []
    for failed in now:
        same = known.get((failed["name"], failed["severity"]), set())
        if shops := [shop for shop in failed["shops"] if shop not in same]:
            found.append(
                {
                    "check": failed["name"],
                    "severity": failed["severity"],
                    "description": descriptions[failed["name"]],
                    "rows": failed["rows"],
                    "shops": shops,
                }
            )
    return sorted(found, key=lambda alert: alert["severity"] == "warn")


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
    partitions: dict[str, set[str]] = {}
    for downstream in job["downstream"]:
        found = partitions.setdefault(downstream["model"], set())
        correspondence = downstream["correspondence"]
        if "by_column" in correspondence:
            by_column = correspondence["by_column"]
            for day in _days(job, by_column["column"], changed):
                found.update(read_by(by_column, day))
        elif any(table.num_rows for table in changed):
            found.update(_computed_from(downstream, job["partition"]["value"]))
    reason = f"{job['model']} changed {job['partition']['value']}"
    return [
        dirty for model, found in sorted(partitions.items()) for dirty in runs(model, found, reason)
    ]


def _days(job: Json, column: str, changed: list[pa.Table]) -> set[date]:
    """Returns the days that the column has in changed rows. From old rows without the column no day
    was computed.
    """
    days: set[date] = set()
    for table in changed:
        if column in table.column_names and table.schema.field(column).type == pa.date32():
            days.update(pc.unique(table[column]).drop_null().to_pylist())
        elif table is changed[-1]:
            raise _missing(job, column, "downstream (as a date)")
    return days


def _computed_from(downstream: Json, changed: str) -> list[str]:
    """Returns the partitions of a downstream model that read this partition."""
    match downstream["correspondence"]:
        case {"days": window}:
            return read_by(window, date.fromisoformat(changed[:10]))
        case "all":
            return [f"{bucket:04}" for bucket in range(downstream["kind"]["bucket"]["count"])]
        case _:
            return [changed]


def read_by(window: Json, day: date) -> list[str]:
    """Returns the days that are computed from this one: from D - lookahead to D + lookback."""
    days = range(
        day.toordinal() - window["lookahead_days"],
        day.toordinal() + window["lookback_days"] + 1,
    )
    return [
        date.fromordinal(number).isoformat()
        for number in days
        if 1 <= number <= date.max.toordinal()
    ]


def runs(model: str, partitions: Iterable[str], reason: str) -> list[Json]:
    """Returns one message for each run of partitions without a gap, as shoplake-jobs does."""
    messages: list[Json] = []
    for _, run in groupby(
        enumerate(sorted(partitions)), lambda numbered: _number(numbered[1]) - numbered[0]
    ):
        first, last = (numbered := list(run))[0][1], numbered[-1][1]
        until = {} if first == last else {"until": last}
        messages.append({"model": model, "partition": first, **until, "reason": reason})
    return messages


def days_of(dirty: Json) -> list[str]:
    """Returns the days that a message names."""
    first, last = _number(dirty["partition"]), _number(dirty.get("until", dirty["partition"]))
    return [date.fromordinal(number).isoformat() for number in range(first, last + 1)]


def _number(partition: str) -> int:
    """Returns the number of a bucket, a day or an hour. The next one has the next number."""
    if len(partition) == len("0007"):
        return int(partition)
    day, _, hour = partition.partition("T")
    number = date.fromisoformat(day).toordinal()
    return 24 * number + int(hour) if hour else number


# Errors that values of the inputs can cause.
OF_DATA = re.compile(r"(Arithmetic|DateTime|NumberFormat|SparkRuntime)Exception$")

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
            kind = DataError if OF_DATA.search(name) else JobError
            raise kind(f"model {job['model']}, {what}: {message}") from error
    advice = "retry, and if it persists give the job more or larger workers"
    message = next((message for _, message in reversed(causes) if message), str(error))
    raise RetryableError(
        f"model {job['model']}, {what}: Spark did not finish ({message}); {advice}"
    ) from error
