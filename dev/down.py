"""`make down`: stops the demo, if it is running."""

from __future__ import annotations

import sys

from .cloud import Cloud
from .demo import STATE


def main() -> int:
    """Stops the demo's cloud and removes its data."""
    Cloud.recorded(STATE).down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
