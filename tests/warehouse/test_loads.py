"""Loads of the commits of one partition: the newest one stays, in whatever order they come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import psycopg
import pytest
from psycopg import IsolationLevel

from .database import rendered, transaction

COPY = rendered("copy__tests__a_copy_is_one")
REGISTRATION = rendered("copy__tests__a_registration")

REPORT = 5
"""The statement that returns the outcome of a copy."""

STAGED = (
    """insert into "load_stage"
values ('acme', cast(:partition as date), cast(:net as decimal(18,4)))""",
    {"partition": "2010-12-01", "net": "0"},
)
"""What COPY does with a gold object of one row."""

LOAD = [STAGED if sql.startswith("copy ") else (sql, parameters) for sql, parameters in COPY]


class Commit(NamedTuple):
    """A commit of the partition."""

    planned_at: str
    version: int

    @property
    def net(self) -> Decimal:
        """The value of its only row, which no other commit has."""
        return Decimal(f"{self.planned_at[-9:-7]}.{self.version}")

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that differ between commits."""
        return {
            "planned_at": self.planned_at,
            "version": str(self.version),
            "net": str(self.net),
        }


def at(second: float) -> str:
    """Returns a time of planning."""
    return f"2010-12-02 03:04:{second:09.6f}"


@pytest.fixture(autouse=True)
def mart(server: str) -> Iterator[None]:
    """An empty table of the model."""
    with psycopg.connect(server) as connection:
        columns = "shop_id varchar(65535), business_date date, net decimal(18,4)"
        connection.execute(f"create table sales.total_sales ({columns})")
    yield
    with psycopg.connect(server) as connection:
        connection.execute("drop table sales.total_sales")


def load(server: str, isolation: IsolationLevel, commit: Commit) -> bool:
    """Does what `Loader::load` does. Returns whether the rows were replaced."""
    report = transaction(server, isolation, LOAD, commit.parameters)[REPORT]
    if not report:
        transaction(server, isolation, REGISTRATION, {})
        report = transaction(server, isolation, LOAD, commit.parameters)[REPORT]
    [(_, row_count, *_)] = report
    return row_count is None


def shown(server: str) -> tuple[list[tuple], list[tuple]]:
    """Returns the rows of the mart, and what is recorded of the load."""
    with psycopg.connect(server) as connection:
        return (
            connection.execute("select * from sales.total_sales").fetchall(),
            connection.execute(
                "select planned_at, version, row_count, loaded_at is not null from shoplake.loads"
            ).fetchall(),
        )


def expected(commit: Commit) -> tuple[list[tuple], list[tuple]]:
    """Returns what is shown if `commit` is the newest."""
    planned_at = datetime.fromisoformat(commit.planned_at)
    return (
        [("acme", date(2010, 12, 1), commit.net)],
        [(planned_at, commit.version, 1, True)],
    )


def test_a_later_commit_replaces_an_earlier_one(server: str, isolation: IsolationLevel) -> None:
    second = Commit(at(5), 2)
    assert load(server, isolation, second)
    for older in (Commit(at(5), 1), Commit(at(4), 3)):
        assert not load(server, isolation, older)
    assert not load(server, isolation, second), "it is loaded already"
    assert shown(server) == expected(second)
    assert load(server, isolation, Commit(at(5), 3))
    assert shown(server) == expected(Commit(at(5), 3))


def test_gold_that_was_deleted_and_computed_again_is_loaded(
    server: str, isolation: IsolationLevel
) -> None:
    for version in (1, 2, 3):
        assert load(server, isolation, Commit(at(version), version))
    again = Commit(at(10), 1)
    assert load(server, isolation, again)
    assert not load(server, isolation, Commit(at(3), 3)), "a late load of the deleted commit"
    assert shown(server) == expected(again)


def test_restored_gold_is_loaded_and_what_follows_it(
    server: str, isolation: IsolationLevel
) -> None:
    """A reload of a restored commit is planned a microsecond after the commit that it undoes."""
    undone, restored, following = Commit(at(6), 9), Commit(at(6.000001), 3), Commit(at(7), 4)
    assert load(server, isolation, undone)
    assert load(server, isolation, restored)
    assert not load(server, isolation, undone), "a load of it that ran late"
    assert shown(server) == expected(restored)
    assert load(server, isolation, following)
    assert shown(server) == expected(following)


@pytest.mark.parametrize(
    ("commit", "is_newer"),
    [
        (Commit(at(5), 8), True),
        (Commit(at(5), 7), False),
        (Commit(at(5), 6), False),
        (Commit(at(11), 1), True),
    ],
    ids=["next version", "same version", "earlier version", "planned after the load"],
)
def test_a_load_without_a_time_of_planning_is_compared_by_version(
    server: str, isolation: IsolationLevel, commit: Commit, is_newer: bool
) -> None:
    with psycopg.connect(server) as connection:
        connection.execute(
            "insert into shoplake.loads (model, partition_value, version, row_count, loaded_at)"
            " values ('total_sales', '2010-12-01', 7, 1, %s)",
            [at(10)],
        )
    assert load(server, isolation, commit) == is_newer
    [(planned_at, version, _, _)] = shown(server)[1]
    newest = (datetime.fromisoformat(commit.planned_at), commit.version) if is_newer else (None, 7)
    assert (planned_at, version) == newest


@pytest.mark.parametrize("seed", range(5))
def test_of_concurrent_loads_the_newest_is_shown(
    server: str, isolation: IsolationLevel, seed: int
) -> None:
    """Each commit twice, in any order, on a partition that is not registered."""
    commits = [Commit(at(second), version) for second in range(4) for version in (1, 2)] * 2
    random.Random(seed).shuffle(commits)
    with ThreadPoolExecutor(len(commits)) as threads:
        list(threads.map(lambda commit: load(server, isolation, commit), commits))
    assert shown(server) == expected(max(commits))
