"""`make redrive`: has the running demo do again what failed, as an operator would with `aws lambda invoke` on AWS."""

from __future__ import annotations

import argparse
import json
import sys

from .demo import STATE
from .package import target_dir
from .pipeline import Cloud, Pipeline


def main() -> int:
    """Prints what the control function answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", default="", help="dirty (partitions that could not be planned) or streams (batches that conform gave up)")
    parser.add_argument("--quarantine", default="", help="a dataset: its quarantined events that are right by now")
    parser.add_argument("--day", default="", help="the day on which those arrived, YYYY-MM-DD")
    options = parser.parse_args()
    if options.quarantine and options.day:
        requests = [{"quarantine": options.quarantine, "day": options.day}]
    elif options.quarantine or options.day:
        raise SystemExit("expected both a dataset and a day: make redrive DATASET=web_traffic DAY=2026-11-21")
    else:
        requests = [{"queue": queue} for queue in ([options.queue] if options.queue else ["streams", "dirty"])]
    cloud = Cloud.recorded(STATE)
    if not cloud.is_up():
        raise SystemExit("the demo does not run: start it with `make demo`")
    pipeline = Pipeline(cloud, target_dir() / "debug", Pipeline.terraform(cloud).outputs())
    for request in requests:
        print(json.dumps({**request, **pipeline.control(action="redrive", **request)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
