"""Gold that was rebuilt is not loaded, even with the version that the warehouse has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dev.partitions import Commit, are_loaded

DAY = ("total_sales", "2026-11-21")
PLANNED_AT = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
COMMIT = Commit(PLANNED_AT, 1)


@pytest.mark.parametrize(
    ("load", "is_loaded"),
    [
        (COMMIT, True),
        (Commit(PLANNED_AT - timedelta(hours=1), 1), False),
        (Commit(PLANNED_AT, 2), False),
        (Commit(PLANNED_AT + timedelta(microseconds=1), 1), True),
    ],
    ids=["same_commit", "rebuilt_gold", "another_version", "reload_of_restored_gold"],
)
def test_a_commit_is_loaded_with_its_time_and_version(load: Commit, is_loaded: bool) -> None:
    assert are_loaded({DAY: COMMIT}, {DAY: load}) == is_loaded


def test_both_sides_need_the_same_partitions() -> None:
    assert not are_loaded({}, {})
    assert not are_loaded({DAY: COMMIT}, {})
    assert not are_loaded({DAY: COMMIT}, {DAY: COMMIT, ("other", DAY[1]): COMMIT})
