"""`make report`: the report of the running demo."""

from __future__ import annotations

import sys
from pathlib import Path

from ..demo import STATE
from ..errors import Arguments, CommandError
from ..package import ROOT
from ..pipeline import Cloud
from . import report


def main() -> int:
    """Reads the demo's warehouse, or another one."""
    parser = Arguments(description=__doc__)
    parser.add_argument("--warehouse", help="URL of the warehouse (default: the running demo's)")
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "report.html")
    options = parser.parse_args()
    cloud = Cloud.recorded(STATE)
    if options.warehouse is None and not cloud.is_up():
        raise CommandError("the demo does not run: start it with `make demo`, or name a warehouse")
    report(options.warehouse or cloud.warehouse_url, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
