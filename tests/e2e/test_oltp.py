"""A shop's PostgreSQL through the OLTP connector, compared with queries of the database."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dev.package import ROOT, target_dir
from dev.pipeline import Pipeline, Shop, wait_until

from .reconcile import arrived, received
from .shop_database import ShopDatabase, certificate, create, tls_front

TODAY = datetime.now(UTC).date()
EXTRACT_DAY = str(TODAY - timedelta(days=90))
"""A day within the time window of control totals."""
TABLES = ("customers", "products", "orders", "order_items")
LOOKBACK_DAYS = 10

# Ids, amounts and times of all common types. Every 97th order has no customer, and the newest
# product has no cost.
DATABASE = """
create table customers (
    customer_id uuid primary key, first_name text, last_name varchar(80), email text, phone text,
    state char(2), city text, created_at timestamptz not null
);
create table products (
    product_id text primary key, product_name text not null, category text,
    price numeric(12, 2) not null, cost numeric(14, 6), created_at timestamp not null
);
create type order_status as enum ('placed', 'paid', 'shipped', 'cancelled');
create table orders (
    order_id bigint primary key, customer_id uuid references customers, order_date timestamp,
    status order_status not null, total_amount numeric(12, 2)
);
create table order_items (
    order_item_id integer primary key, order_id bigint not null, product_id text not null,
    quantity integer not null, unit_price numeric(12, 2) not null, subtotal numeric
);
insert into customers
select
    ('00000000-0000-4000-8000-' || to_char(n, 'FM000000000000'))::uuid, 'Zoë' || n,
    'O''Hara "' || n, 'c' || n || '@example.com', case when n % 3 > 0 then '+44 20 ' || n end,
    'NY', 'New York', '2020-02-29 23:59:59.123456+02'::timestamptz + n * interval '7 hours'
from generate_series(1, 150) as n;
insert into products
select
    'p/' || to_char(n, 'FM000'), 'Thing ' || n, case when n % 5 > 0 then 'category ' || n % 5 end,
    n + 0.99, case when n < 60 then n * 0.5 end,
    '2019-12-31 22:00:00'::timestamp + n * interval '1 day'
from generate_series(1, 60) as n;
insert into order_items
select
    n, 9000000000 + (n - 1) / 3, 'p/' || to_char(1 + n % 60, 'FM000'),
    case when n % 50 = 0 then -1 else 1 + n % 4 end, 1 + n % 60 + 0.99,
    (1 + n % 60 + 0.99) * case when n % 50 = 0 then -1 else 1 + n % 4 end
from generate_series(1, 1500) as n;
insert into orders
select
    9000000000 + n,
    case
        when n % 97 > 0
            then ('00000000-0000-4000-8000-' || to_char(1 + n % 150, 'FM000000000000'))::uuid
    end,
    (current_timestamp at time zone 'UTC')::date - 30 + n * interval '86 minutes', 'placed',
    (select sum(subtotal) from order_items where order_id = 9000000000 + n)
from generate_series(0, 499) as n;
-- Invalid rows: an amount with six decimals, an item without its order, an order without a day.
insert into products values ('dear', 'Thing', null, 1, 0.123456, '2026-01-01');
insert into order_items values (1501, 2, 'p/001', 1, 1, 1);
insert into orders values (1, null, null, 'placed', 1);
"""

# PostgreSQL's rows that the contracts accept.
WANTED = {
    "customers": """select
            customer_id::text, first_name, last_name, email, phone, state, city, created_at
        from customers""",
    "products": """select
            product_id, product_name, category, price::numeric, cost, 'GBP',
            created_at at time zone 'UTC'
        from products where product_id <> 'dear'""",
    "orders": """select
            order_id::text, customer_id::text, order_date at time zone 'UTC', status::text,
            total_amount, 'GBP'
        from orders where order_id > 1""",
    "order_items": """select
            i.order_item_id::text, i.order_id::text, i.product_id, i.quantity, i.unit_price,
            i.subtotal, 'GBP', o.order_date at time zone 'UTC'
        from order_items as i join orders as o using (order_id)""",
}
COLUMNS = {
    "customers": "customer_id, first_name, last_name, email, phone, state, city, created_at",
    "products": "product_id, product_name, category, price, cost, currency, created_at",
    "orders": "order_id, customer_id, order_date, status, total_amount, currency",
    "order_items": (
        "order_item_id, order_id, product_id, quantity, unit_price, subtotal, currency, order_date"
    ),
}
KEYS = {
    "customers": "customer_id",
    "products": "product_id",
    "orders": "order_id",
    "order_items": "order_item_id",
}
REJECTED = {"products": "cost", "orders": "order_date", "order_items": "order_date"}


def newest(
    pipeline: Pipeline, folder: str, shop: Shop, columns: str, key: str, version: str
) -> list[tuple[Any, ...]]:
    """Returns columns of a shop's newest row of each key in a folder of silver."""
    bodies = pipeline.bodies(pipeline.objects(f"silver/{folder}/"))
    if not bodies:
        return []
    rows = pa.concat_tables([pq.read_table(pa.BufferReader(body)) for body in bodies])  # noqa: F841
    query = f"""select {columns} from rows where shop_id = ?
        qualify row_number() over (partition by {key} order by {version} desc) = 1"""
    found = duckdb.sql(query, params=[shop.shop_id]).to_arrow_table()
    return [tuple(row.values()) for row in found.to_pylist()]


def silver(pipeline: Pipeline, table: str, shop: Shop) -> set[tuple[Any, ...]]:
    """Returns a shop's rows of a table from their last extract, without the deleted ones."""
    columns = f"{KEYS[table]} as id, extracted_at, {COLUMNS[table]}"
    rows = newest(pipeline, f"oltp_{table}", shop, columns, KEYS[table], "extracted_at")
    deletions = "dataset, id, extracted_at"
    found = newest(pipeline, "oltp_deletions", shop, deletions, "dataset, id", "extracted_at")
    deleted = {key: at for dataset, key, at in found if dataset == f"oltp_{table}"}
    return {tuple(row) for key, at, *row in rows if key not in deleted or deleted[key] < at}


def wanted(database: ShopDatabase, table: str) -> set[tuple[Any, ...]]:
    """Returns the same rows from PostgreSQL."""
    return set(database.rows(WANTED[table]))


def sent(database: ShopDatabase) -> dict[str, tuple[int, int]]:
    """Counts the rows to send, and the units of the valid ones, by dataset."""
    [(units,)] = database.rows("select sum(quantity) from order_items join orders using (order_id)")
    counts = {table: database.rows(f"select count(*) from {table}")[0][0] for table in TABLES}
    return {
        f"oltp_{table}": (count, units if table == "order_items" else 0)
        for table, count in counts.items()
    }


def control_totals(pipeline: Pipeline, shop: Shop, date: str) -> dict[str, tuple[int, int]]:
    """Returns the connector's control totals of a day, by dataset: rows and units."""
    columns = "dataset, row_count, quantity_sum"
    found = newest(pipeline, f"control_totals/dt={date}", shop, columns, "batch", "completed_at")
    return {dataset: (count, units) for dataset, count, units in found}


def wait_until_arrived(pipeline: Pipeline, counts: dict[str, int]) -> None:
    """Waits until so many rows have been received, and each is in silver or in quarantine. Checks
    that the dirty queue is empty, although no model reads these rows.
    """
    wait_until(f"{counts} have arrived", lambda: arrived(pipeline, counts), 180)
    # Models of earlier tests may wait for their every_seconds, one after another.
    wait_until("the dirty queue is empty", lambda: not pipeline.dirty_messages(), 180)
    assert pipeline.messages(pipeline.outputs["dirty_dlq_url"]) == 0


def failure(connector: subprocess.Popen[str]) -> tuple[int, str]:
    """Returns a connector's exit code and the error in the last line of its log."""
    output, _ = connector.communicate(timeout=120)
    return connector.returncode, json.loads(output.splitlines()[-1])["error"]


@pytest.fixture(scope="module")
def database(pipeline: Pipeline) -> ShopDatabase:
    """Creates the shop's database."""
    return create(pipeline.cloud.warehouse_url, "shop", DATABASE)


@pytest.fixture(scope="module")
def extracted(pipeline: Pipeline, shop: Shop, database: ShopDatabase) -> Shop:
    """Extracts all tables of a shop and waits until they are in the lake."""
    before = received(pipeline)
    settings = database.settings(LOOKBACK_DAYS="all", PAGE_SIZE="100", EXTRACT_DATE=EXTRACT_DAY)
    parameter = f"/connectors/oltp/{shop.shop_id}/token"
    pipeline.cloud.client("ssm").put_parameter(
        Name=parameter, Value=settings.pop("OLTP_PASSWORD"), Type="SecureString"
    )
    pipeline.run_oltp_connector(shop.shop_id, OLTP_PASSWORD_PARAMETER=parameter, **settings)
    rows = {dataset: count for dataset, (count, _) in sent(database).items()}
    totals = before.get("control_totals", 0) + len(TABLES)
    wait_until_arrived(pipeline, {**rows, "control_totals": totals})
    return shop


@pytest.mark.parametrize("table", TABLES)
def test_silver_has_what_the_database_has(
    pipeline: Pipeline, extracted: Shop, database: ShopDatabase, table: str
) -> None:
    assert len(wanted(database, table)) > 50
    assert silver(pipeline, table, extracted) == wanted(database, table)


@pytest.mark.parametrize("table", REJECTED)
def test_a_row_that_breaks_its_contract_is_in_quarantine(
    pipeline: Pipeline, extracted: Shop, table: str
) -> None:
    ours = [line["failure"]["reasons"] for line in pipeline.quarantined(f"oltp_{table}", extracted)]
    assert [[reason["field"] for reason in reasons] for reasons in ours] == [[REJECTED[table]]]


def test_what_was_sent_is_what_the_control_totals_say(
    pipeline: Pipeline, extracted: Shop, database: ShopDatabase
) -> None:
    assert control_totals(pipeline, extracted, EXTRACT_DAY) == sent(database)


def test_the_next_extract_has_changes_but_not_old_orders(
    pipeline: Pipeline, extracted: Shop, database: ShopDatabase
) -> None:
    stale = silver(pipeline, "orders", extracted)
    with database.owner() as owner:
        owner.execute("update orders set status = 'shipped' where order_id % 2 = 0")
        owner.execute("update products set price = price * 2 where product_id = 'p/007'")
        owner.execute("delete from products where product_id in ('dear', 'p/060')")
        owner.execute("delete from order_items where order_id = 9000000001")
        owner.execute("delete from orders where order_id = 9000000001")
    since = f"current_date - {LOOKBACK_DAYS}"
    [(recent,)] = database.rows(f"select count(*) from orders where order_date >= {since}")
    before = received(pipeline)

    pipeline.run_oltp_connector(
        extracted.shop_id,
        **database.settings(LOOKBACK_DAYS=str(LOOKBACK_DAYS), FULL_EXTRACT_ON="never"),
    )

    # Every extract has the order without a day, because it may be new, and all deletions.
    more = {
        "oltp_orders": recent + 1,
        "oltp_products": 59,
        "oltp_deletions": 3,
        "control_totals": len(TABLES) + 2,
    }
    wait_until_arrived(
        pipeline, {dataset: before.get(dataset, 0) + count for dataset, count in more.items()}
    )
    assert received(pipeline)["oltp_orders"] == before["oltp_orders"] + recent + 1
    assert silver(pipeline, "products", extracted) == wanted(database, "products")
    fresh = set(database.rows(f"{WANTED['orders']} and order_date >= {since}"))
    gone = {"9000000001", *(fresh_order[0] for fresh_order in fresh)}
    old = {order for order in stale if order[0] not in gone}
    assert len(fresh) == recent > 100 < len(old)
    assert silver(pipeline, "orders", extracted) == fresh | old


def test_a_killed_or_disconnected_extract_arrives(
    pipeline: Pipeline, database: ShopDatabase
) -> None:
    shop = pipeline.add_shop("oltp-killed")
    settings = database.settings(LOOKBACK_DAYS="all", PAGE_SIZE="20", EXTRACT_DATE=str(TODAY))
    state = f"state/connectors/oltp/{shop.shop_id}/"
    first = pipeline.start_oltp_connector(shop.shop_id, **settings)
    wait_until(
        "a table is complete, and the next has begun",
        lambda: any("_products_" in key for key, _ in pipeline.objects(state)),
        60,
        0.02,
    )
    first.kill()
    first.communicate()

    second = pipeline.start_oltp_connector(shop.shop_id, **settings)
    disconnect = f"""select count(pg_terminate_backend(pid)) from pg_stat_activity
        where usename = '{database.reader}'"""
    wait_until("the database has disconnected", lambda: database.rows(disconnect)[0][0], 60, 0.02)
    output, _ = second.communicate(timeout=300)

    assert second.returncode == 0, output
    assert "the batch starts over" in output
    assert "retrying the tables that are not complete" in output
    assert (
        "terminating connection due to administrator command (SQLSTATE 57P01)" in output
        or "connection closed" in output
    )
    for table in TABLES:
        want = wanted(database, table)
        wait_until(
            f"all {table} have arrived",
            lambda table=table, want=want: silver(pipeline, table, shop) == want,
            120,
        )
    want = sent(database)
    wait_until(
        f"the control totals are {want}",
        lambda: control_totals(pipeline, shop, str(TODAY)) == want,
        60,
    )


def test_tls_requires_a_trusted_certificate(
    pipeline: Pipeline, database: ShopDatabase, tmp_path: Path
) -> None:
    shop = pipeline.add_shop("oltp-tls")
    file, authority = certificate(tmp_path, "127.0.0.1")
    other = tmp_path / "other"
    other.mkdir()
    _, other_authority = certificate(other, "127.0.0.1")
    with tls_front(database, file) as port:
        url = f"postgres://{database.reader}@127.0.0.1:{port}/{database.name}"

        def start(**settings: str) -> subprocess.Popen[str]:
            return pipeline.start_oltp_connector(
                shop.shop_id, **database.settings(OLTP_URL=url, LOOKBACK_DAYS="0", **settings)
            )

        trusted = start(OLTP_CA_CERTIFICATES=authority)
        output, _ = trusted.communicate(timeout=120)
        assert trusted.returncode == 0, output
        for settings in ({"OLTP_CA_CERTIFICATES": other_authority}, {}):
            code, error = failure(start(**settings))
            assert code == 2 and "certificate" in error, error


def test_without_tls_nothing_is_sent_unless_the_url_allows_it(
    pipeline: Pipeline, database: ShopDatabase
) -> None:
    url = f"postgres://{database.reader}@127.0.0.1:{database.port}/{database.name}?sslmode=prefer"
    code, error = failure(
        pipeline.start_oltp_connector("oltp-tls", **database.settings(OLTP_URL=url))
    )
    assert code == 2 and "does not support TLS" in error, error


def test_an_error_names_what_the_operator_must_correct(
    pipeline: Pipeline, database: ShopDatabase
) -> None:
    code, error = failure(
        pipeline.start_oltp_connector("oltp-rejected", **database.settings(OLTP_PASSWORD="wrong"))
    )
    assert (
        code == 2
        and f'password authentication failed for user "{database.reader}" (SQLSTATE 28P01)' in error
    ), error

    empty = create(pipeline.cloud.warehouse_url, "bare", "create view customers as select 1 as id")
    code, error = failure(pipeline.start_oltp_connector("oltp-rejected", **empty.settings()))
    assert (
        code == 2
        and "column customers.customer_id does not exist" in error
        and "views of these names" in error
    ), error


def test_an_unreadable_table_does_not_stop_the_others(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("oltp-faulty")
    tables = """
        create table customers (
            customer_id integer, first_name text, last_name text, email text, phone text,
            state text, city text, created_at timestamptz
        );
        create table products (
            product_id integer, product_name text, category text, price real, cost text,
            created_at timestamptz not null default '2026-02-03'
        );
        create table orders (
            order_id integer, customer_id integer, order_date timestamptz, status text,
            total_amount real
        );
        create table order_items (
            order_item_id integer, order_id integer, product_id integer, quantity integer,
            unit_price numeric, subtotal numeric
        );
        insert into customers values (1, 'Zoe'), (1, 'Zoë');
        insert into products values
            (1, 'Thing', null, 12345.67, '1.50'), (2, 'Thing', null, 54321.98, '1,50');
        insert into orders values
            (7, 1, '2026-02-03', 'paid', 1234567), (8, 1, '2026-02-03', 'paid', 1);
        insert into order_items values (1, 7, 1, 1, 1, 1);
    """
    database = create(pipeline.cloud.warehouse_url, "faulty", tables)
    settings = database.settings(LOOKBACK_DAYS="all", EXTRACT_DATE=str(TODAY))

    code, error = failure(pipeline.start_oltp_connector(shop.shop_id, **settings))

    assert code == 2 and "customer_id is not unique" in error, error
    assert 'two rows have the value "1" and differ in first_name' in error, error
    wait_until("the product has arrived", lambda: silver(pipeline, "products", shop), 120)
    [product] = silver(pipeline, "products", shop)
    assert str(product[3]) == "12345.6700"
    wait_until("the orders have arrived", lambda: len(silver(pipeline, "orders", shop)) == 2, 120)
    amounts = {str(order[4]) for order in silver(pipeline, "orders", shop)}
    assert amounts == {"1234567.0000", "1.0000"}
    wait_until("a price is in quarantine", lambda: pipeline.quarantined("oltp_products", shop), 120)
    [line] = pipeline.quarantined("oltp_products", shop)
    reasons = [(reason["field"], reason["actual"]) for reason in line["failure"]["reasons"]]
    assert reasons == [("cost", '"1,50"')]


def test_views_on_the_search_path_replace_other_tables(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("oltp-views")
    tables = """
        create table kunden (nr integer primary key, angelegt date not null);
        insert into kunden values (1, '2026-02-03'), (2, '2026-02-04');
        create schema shoplake;
        create view shoplake.customers as
            select
                nr as customer_id, null::text as first_name, null::text as last_name,
                null::text as email, null::text as phone, null::text as state, null::text as city,
                angelegt as created_at
            from kunden;
        create view shoplake.products as
            select
                1 as product_id, 'Ding' as product_name, null::text as category,
                1.50::double precision as price, null::money as cost, now() as created_at
            where false;
        create view shoplake.orders as
            select
                1 as order_id, 1 as customer_id, now() as order_date, '' as status,
                0 as total_amount
            where false;
        create view shoplake.order_items as
            select
                1 as order_item_id, 1 as order_id, 1 as product_id, 1 as quantity, 0 as unit_price,
                0 as subtotal
            where false;
        grant usage on schema shoplake to public;
        grant select on all tables in schema shoplake to public;
        alter database views set search_path = shoplake;
    """
    views = create(pipeline.cloud.warehouse_url, "views", tables)
    pipeline.run_oltp_connector(shop.shop_id, **views.settings())

    nothing = (None,) * 6
    want = {
        ("1", *nothing, datetime(2026, 2, 3, tzinfo=UTC)),
        ("2", *nothing, datetime(2026, 2, 4, tzinfo=UTC)),
    }
    wait_until(
        "the customers have arrived", lambda: silver(pipeline, "customers", shop) == want, 120
    )


def test_tables_of_all_kinds_are_read_from_a_real_server(pipeline: Pipeline) -> None:
    """Runs the connector's own tests of types, errors and limits, which need a server."""
    # --workspace keeps the features with which the dependencies were built.
    command = ["cargo", "test", "--locked", "--workspace", "--test", "postgres", "--", "--ignored"]
    settings = {
        "CARGO_TARGET_DIR": str(target_dir()),
        "OLTP_TEST_URL": f"{pipeline.cloud.warehouse_url}?sslmode=disable",
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "test result: ok. 15 passed" in done.stdout
