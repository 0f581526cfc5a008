"""`make redrive`: has the running demo do again what failed, as an operator would with `aws lambda
invoke` on AWS.
"""

from __future__ import annotations

import json
import sys
from datetime import date

from .demo import running_demo
from .errors import Arguments, CommandError
from .pipeline import SCHEMAS
from .reconcile import UNREADABLE

QUEUES = ("streams", "dirty")


def requests(queue: str, dataset: str, day: str) -> list[dict[str, str]]:
    """What to ask of the control function; everything that failed where nothing is named."""
    if queue and queue not in QUEUES:
        raise CommandError(
            f'invalid QUEUE "{queue}": expected {" or ".join(QUEUES)}, or none for both'
        )
    if bool(dataset) != bool(day):
        example = "make redrive DATASET=web_traffic DAY=2026-11-21"
        raise CommandError(f"{'DAY' if dataset else 'DATASET'} is empty, expected both: {example}")
    if not dataset:
        return [{"queue": name} for name in ([queue] if queue else QUEUES)]
    if queue:
        raise CommandError("QUEUE and DATASET exclude each other: name one of them")
    # Lines of a dataset that was not deployed yet are in quarantine as those of an unknown one.
    datasets = [*sorted(path.stem for path in SCHEMAS.glob("*.json")), UNREADABLE]
    if dataset not in datasets:
        raise CommandError(f'invalid DATASET "{dataset}": expected one of {", ".join(datasets)}')
    try:
        is_day = date.fromisoformat(day).isoformat() == day
    except ValueError:
        is_day = False
    if not is_day:
        raise CommandError(f'invalid DAY "{day}": expected the day of arrival as YYYY-MM-DD')
    return [{"quarantine": dataset, "day": day}]


def main() -> int:
    """Prints what the control function answers."""
    parser = Arguments(description=__doc__)
    parser.add_argument(
        "--queue",
        default="",
        help="dirty (partitions that failed) or streams (batches that failed)",
    )
    parser.add_argument(
        "--quarantine", default="", help="a dataset: its quarantined events that are valid by now"
    )
    parser.add_argument("--day", default="", help="the day on which those arrived, YYYY-MM-DD")
    options = parser.parse_args()
    wanted = requests(options.queue, options.quarantine, options.day)
    pipeline = running_demo()
    for request in wanted:
        print(json.dumps({**request, **pipeline.control(action="redrive", **request)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
