"""The state of a job's partition, as crates/lake/src/state keeps it: this module records the end of
a job in it. Everything else that happens to a state is up to the functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from job_lake import Conflict, Json, Lake, RetryableError, to_json

ATTEMPTS = 10
# How long it may take until the state machine has noticed the end of the run, and silver_to_gold
# has loaded its commit.
DELIVERY = timedelta(minutes=15)


def state_key(job: Json) -> str:
    """Returns the key of the state of the job's partition."""
    return _key(job["model"], job["partition"]["value"])


def _key(model: str, partition: str) -> str:
    return f"state/partitions/{model}/{partition}.json"


def read(lake: Lake, job: Json) -> Json:
    """Returns the state; empty if there is none, or if the object is not a state."""
    found = lake.get(state_key(job))
    return _parsed(found.body) if found else {}


def end(
    lake: Lake,
    job: Json,
    outcome: str,
    version: int,
    withheld: Json,
    alert: list[Json],
    now: datetime,
) -> bool:
    """Records the end of a job that has withheld these shops. Returns whether the partition is
    dirty again.

    `version` is the version in gold, whose dirtied partitions are published; 0 if it is unknown.
    `alert` has the failed checks of the commit to alert people to.
    """
    slot = None

    def complete(state: Json) -> None:
        nonlocal slot
        lease = state.get("lease") or {}
        slot = lease.get("slot") if lease.get("job") == job["id"] else None
        _complete(state, job, outcome, version, withheld, alert, now)

    state = _update(lake, job["model"], job["partition"]["value"], complete)
    if slot is not None:
        _free(lake, slot, job["id"])
    return state.get("dirty_since") is not None


def note_dirty(lake: Lake, model: str, partition: str, now: datetime) -> None:
    """Notes in the state of a partition that changes have arrived."""

    def note(state: Json) -> None:
        state["dirty_since"] = state.get("dirty_since") or _text(now)

    _update(lake, model, partition, note)


def _update(lake: Lake, model: str, partition: str, change: Callable[[Json], None]) -> Json:
    """Changes the state of a partition, and returns it. Writes its marker first if it begins to
    owe something.
    """
    key = _key(model, partition)
    for _ in range(ATTEMPTS):
        found = lake.get(key)
        before = _parsed(found.body) if found else {}
        state = dict(before)
        change(state)
        is_owed = _owes(state)
        if is_owed and not before.get("marked"):
            lake.put(f"state/owed/{model}/{partition}", b"")
        state["marked"] = is_owed or bool(before.get("marked"))
        try:
            condition = {"If-Match": found.etag} if found else {"If-None-Match": "*"}
            lake.put(key, to_json(state).encode(), condition=condition)
        except Conflict:
            # The client repeats a write whose answer is lost, which then conflicts with itself.
            again = lake.get(key)
            if not again or _parsed(again.body) != state:
                continue
        return state
    raise RetryableError(f'another writer changed "{key}" at each of {ATTEMPTS} attempts')


def _complete(
    state: Json,
    job: Json,
    outcome: str,
    version: int,
    withheld: Json,
    alert: list[Json],
    now: datetime,
) -> None:
    # Published and alerts are recorded together: a published commit has its alert in the state, or
    # the alert was sent.
    is_published = state.get("published", 0) >= version
    done = ["committed", "highest", "published"]
    done += [] if job["alert"] else ["notified"]
    for name in done:
        state[name] = max(state.get(name, 0), version)
    due = _text(now + DELIVERY)
    # Jobs that commit nothing do not put off the load of an earlier commit.
    is_loaded = state.get("loaded", 0) >= state["committed"]
    if outcome == "committed" or (outcome == "unchanged" and is_loaded):
        state["delivery_until"] = due
    if outcome == "committed" and alert and not is_published:
        unsent = {"version": version, "job": job["id"], "checks": alert, "due": due}
        state["unsent_alerts"] = [*state.get("unsent_alerts", []), unsent]
    lease = state.get("lease")
    is_held = bool(lease) and lease["job"] == job["id"]
    if outcome == "conflict":
        if is_held:
            since = [text for text in (lease["since"], state.get("dirty_since")) if text]
            state["dirty_since"] = min(since, key=datetime.fromisoformat)
            state["recompute"] = bool(state.get("recompute") or lease.get("recompute"))
            state["lease"] = None
        state["dirty_since"] = state.get("dirty_since") or _text(now)
    elif is_held:
        state["lease"] = None
        # The failure of a computation that a resumed commit did not wait for stays.
        if not lease.get("resumes") or not state.get("dirty_since"):
            failures = state.get("failures", {})
            state["failures"] = {step: failures[step] for step in failures if step != "compute"}
        if not lease.get("resumes"):
            state["unrecorded"] = job["id"] if outcome == "unchanged" else None
            planned = [text for text in (lease["planned_at"], state.get("planned_at")) if text]
            state["planned_at"] = max(planned, key=datetime.fromisoformat)
            state["computed"] = {
                "job": job["id"],
                "inputs": job["output"]["inputs_digest"],
                "gold": job["output"]["expected_etag"],
                "outcome": outcome,
                "at": _text(now),
                "withheld": withheld,
            }
    elif outcome == "committed" and (state.get("computed") or {}).get("job") != job["id"]:
        # The job after it may have ended unchanged, compared with what this commit replaces.
        state["dirty_since"] = state.get("dirty_since") or _text(now)


def _owes(state: Json) -> bool:
    paid = min(state.get(name, 0) for name in ("published", "loaded", "notified"))
    names = ("lease", "dirty_since", "recompute", "unsent_alerts", "unrecorded")
    waits = [state.get(name) for name in names]
    waits += [failure.get("alert_due") for failure in state.get("failures", {}).values()]
    return any(waits) or paid < state.get("committed", 0)


def _free(lake: Lake, slot: int, job: str) -> None:
    key = f"state/runs/{slot:02}.json"
    found = lake.get(key)
    if found and _parsed(found.body).get("job") == job:
        lake.delete(key)


def _parsed(body: bytes) -> Json:
    try:
        state = json.loads(body)
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
