"""Counts the requests to S3 of each step of a partition. Each number names the function that makes
the requests.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

PAGE = 1000
"""Objects of a page of a listing."""
MANY_PARTITIONS = 4
"""Partitions of a model from which dispatch lists the inputs of all of them at once, instead of
those of each one; functions/dispatch/src/handler.rs."""
CONCURRENT_READS = 32
"""Objects that transform reads in parallel; crates/engine/src/inputs.rs."""
QUIET_SECONDS = 10 * 60
"""Time without a change after which the sweep deletes the marker of a partition that owes nothing;
crates/operations/src/sweep.rs."""
NEWEST_DAYS, OTHER_DAYS = 3, 10
"""Days that every sweep compares, and days of the daily comparison of all days that a sweep
compares; crates/operations/src/sweep.rs."""
SWEEP_AT_ONCE = 16
"""Parallel requests of the sweep (CONCURRENCY); crates/operations/src/sweep.rs."""
CLAIMS_AT_ONCE = 16
"""Rows that notify handles in parallel (AT_ONCE); functions/notify/src/handler.rs."""


@dataclass(frozen=True)
class Calls:
    """Requests to a versioned bucket, and the versions of which its lifecycle sends an event."""

    puts: float = 0.0
    conflicts: float = 0.0
    """Conditional writes that another writer has won: billed, without an event."""
    lists: float = 0.0
    """Pages of listings."""
    gets: float = 0.0
    """GET and HEAD."""
    deletes: float = 0.0
    expired: float = 0.0
    """Events of the lifecycle: deleted versions, and delete markers of expired objects."""

    def __add__(self, other: Calls) -> Calls:
        return Calls(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    def __rmul__(self, times: float) -> Calls:
        return Calls(*(times * each for each in astuple(self)))

    @property
    def events(self) -> float:
        """Returns the events that the bucket sends: all of them, whether or not a rule matches."""
        return self.puts + self.deletes + self.expired

    @property
    def round_trips(self) -> int:
        """Returns the sequential requests."""
        return math.ceil(self.puts + self.conflicts + self.lists + self.gets + self.deletes)


def pages(objects: float) -> float:
    """Returns the requests that list so many objects."""
    return max(1.0, objects / PAGE)


READ = Calls(gets=1)
# The version that a write replaces, or that a deletion hides, expires later.
REPLACE = Calls(puts=1, expired=1)
REMOVE = Calls(deletes=1)

# ---- the state of a partition: crates/lake/src/state ----

# state::read
READ_STATE = READ
# state::write, to the state that was read
WRITE_STATE = REPLACE
# state::update: read and write
UPDATE_STATE = READ_STATE + WRITE_STATE
# state::mark, before a state begins to owe something, and state::settle, by the sweep: the marker
# is written and deleted, and the state is written without it
MARK_AND_SETTLE = REPLACE + REMOVE + WRITE_STATE
# runs::take: lists the slots and takes a free one
TAKE_SLOT = Calls(lists=1) + REPLACE
# runs::take: a slot that another job took first (put: a conflict, then a read of its holder)
MISS_SLOT = Calls(conflicts=1) + READ
# runs::free: reads the slot and deletes it
FREE_SLOT = READ + REMOVE

# Conform::object: the receipt of a bronze object, which expires
RECEIPT = Calls(puts=1, expired=2)

# ---- dispatch: functions/dispatch/src/compute.rs ----

# Dispatch::attempt: a partition that has been planned, runs or waits needs no other request
ASK = READ_STATE
# Dispatch::attempt, Early::Running: notes that the partition is dirty again
NOTE_DIRTY = WRITE_STATE
# Dispatch::wait: notes that a message waits
WAIT = WRITE_STATE
# Dispatch::attempt, Early::Plan: the head of the gold object. The listings are extra
PLAN = READ
# Dispatch::attempt and Dispatch::run: run slot, lease, job document. The document expires: the
# lifecycle writes a delete marker and later deletes the version
START = TAKE_SLOT + WRITE_STATE + Calls(puts=1, expired=2)

# ---- transform: functions/transform/src/handler.rs, glue-sql/spark/run_job.py ----

# Transform::job, Transform::run: job document, gold object, state. The inputs are extra
BEGIN_JOB = READ + READ + READ_STATE
# Transform::run: the gold object
COMMIT = REPLACE
# Transform::complete: state, run slot
END_JOB = UPDATE_STATE + FREE_SLOT
# run_job.py, Transform.handle, and ReadResult of silver_to_gold_glue: the result
GLUE_RESULT = Calls(puts=1, expired=2) + READ

# ---- load and notify ----

# Load::handle: records the loaded version, or the check results of a job without a commit
LOAD = UPDATE_STATE
# Notify::handle: both folders of waiting rows, gold object, progress, state. The claims are extra
NOTIFY = Calls(lists=2) + READ + READ + UPDATE_STATE
# Ledger::read: the claim of a row
CLAIM = READ

# ---- the sweep: crates/operations/src/sweep.rs ----

# Sweep::next_days, Sweep::save: how far the comparison of all days is; Sweep::markers, called by
# Sweep::compare and Sweep::owed
SWEEP = READ + REPLACE + Calls(lists=2)


def plan(inputs: int, objects: float, references: int) -> Calls:
    """Returns the requests of a plan. Dispatch::list: the objects of the window, by input.
    Dispatch::references: edited reference tables.
    """
    return PLAN + Calls(lists=max(float(inputs), objects / PAGE), gets=references)


def look_for_empty(later_days: int, partitions: int, inputs: int) -> Calls:
    """Returns the requests that find the later days empty that a change dirties.

    The other dirty partitions have objects in the inputs of their own days.
    """
    if later_days + partitions >= MANY_PARTITIONS:
        # Dispatch::days_with_objects: an object of each day of the inputs that has some, and the
        # end. Dispatch::non_empty: gold and states of all these days
        return Calls(lists=inputs * (partitions + 1) + 2)
    # Dispatch::attempt: state, gold; Dispatch::is_empty_partition: inputs of the day
    return later_days * (READ_STATE + PLAN + Calls(lists=inputs))
