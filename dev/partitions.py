"""Partitions as their objects in the lake and their rows in the warehouse show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

Partition = tuple[str, str]
"""A model and the value of its partition."""


class Commit(NamedTuple):
    """A commit of gold, as loads are ordered."""

    planned_at: datetime
    version: int


def are_loaded(gold: dict[Partition, Commit], loads: dict[Partition, Commit]) -> bool:
    """Returns whether there are commits and the warehouse has these partitions, each with its
    commit.

    The version alone is not enough: gold that is rebuilt may have the same one. A reload of
    restored gold has a later time than its commit.
    """
    return (
        bool(gold)
        and gold.keys() == loads.keys()
        and all(
            loads[partition].version == commit.version
            and loads[partition].planned_at >= commit.planned_at
            for partition, commit in gold.items()
        )
    )


def owes(state: dict[str, Any]) -> bool:
    """Returns whether the state of a partition owes something, now or later."""
    paid = min(state.get(name, 0) for name in ("published", "loaded", "notified"))
    names = ("lease", "dirty_since", "recompute", "unsent_alerts", "unrecorded")
    waits = [state.get(name) for name in names]
    waits += [failure.get("alert_due") for failure in state.get("failures", {}).values()]
    return any(waits) or paid < state.get("committed", 0)
