"""Concurrent recordings of the check results of one partition."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psycopg
import pytest
from psycopg import IsolationLevel

from .database import rendered, transaction

RECORDING = rendered("results_are_recorded")
REGISTRATION = rendered("checks__tests__a_registration")


class Run(NamedTuple):
    """A job that has checked the partition."""

    planned_at: str
    version: int

    @property
    def job(self) -> str:
        return f"{self.planned_at}, {self.version}"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that differ between runs."""
        return {
            "run_planned_at": self.planned_at,
            "run_version": str(self.version),
            "run_job": self.job,
            "sample_1": json.dumps([{"found_by": self.job}]),
        }


def record(server: str, isolation: IsolationLevel, job: Run) -> bool:
    """Does what `CheckResults::record` does. Returns whether the results of the run are current."""
    *_, rows = transaction(server, isolation, RECORDING, job.parameters)
    if not rows:
        transaction(server, isolation, REGISTRATION, {})
        *_, rows = transaction(server, isolation, RECORDING, job.parameters)
    [(is_this_run,)] = rows
    return bool(is_this_run)


def shown(server: str) -> list[tuple]:
    """Returns the current run and its results."""
    with psycopg.connect(server) as connection:
        runs = connection.execute("select job from shoplake.check_runs").fetchall()
        columns = "check_name, severity, status, failed_rows, sample, description, job, version"
        return (
            runs
            + connection.execute(
                f"select {columns} from shoplake.check_results order by 1"
            ).fetchall()
        )


def expected(job: Run) -> list[tuple]:
    """Returns the current results if `job` is the newest."""
    sample = job.parameters["sample_1"]
    return [
        (job.job,),
        ("nothing_is_given_away", "warn", "failed", 7, sample, None, job.job, job.version),
        (
            "total_sales_key_is_unique",
            "error",
            "passed",
            0,
            None,
            "no key occurs twice",
            job.job,
            job.version,
        ),
    ]


def test_a_newer_run_replaces_an_older_one(server: str, isolation: IsolationLevel) -> None:
    """The time of the plan decides, then the version. A repetition changes nothing."""
    first, second, third = (
        Run("2010-12-02 03:04:05", 1),
        Run("2010-12-02 03:04:05", 2),
        Run("2010-12-02 03:04:06", 1),
    )
    assert record(server, isolation, second)
    assert not record(server, isolation, first)
    assert shown(server) == expected(second)
    assert record(server, isolation, third) and record(server, isolation, third)
    assert not record(server, isolation, second)
    assert shown(server) == expected(third)


@pytest.mark.parametrize("seed", range(5))
def test_of_concurrent_runs_the_newest_is_current(
    server: str, isolation: IsolationLevel, seed: int
) -> None:
    """Each run twice, in any order, on a partition that is not registered."""
    runs = [
        Run(f"2010-12-02 03:04:{second:02d}", version) for second in range(4) for version in (1, 2)
    ] * 2
    random.Random(seed).shuffle(runs)
    with ThreadPoolExecutor(len(runs)) as threads:
        outcomes = list(threads.map(lambda job: record(server, isolation, job), runs))
    newest = max(runs)
    assert shown(server) == expected(newest)
    assert all(outcome for job, outcome in zip(runs, outcomes, strict=True) if job == newest)
