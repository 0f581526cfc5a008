"""The first step of `make demo`: installs the tools while cargo compiles.

Installing waits for the network and uses one core, so both together take less time.
"""

from __future__ import annotations

import subprocess
import sys

from .errors import CommandError
from .package import TITLE, build_command, build_environment
from .paths import LOCAL, ROOT
from .progress import step

LOG = LOCAL / "logs" / "build.log"
LAST_LINES = 40


def main() -> int:
    """Installs and compiles; returns the exit code of what failed."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        build = subprocess.Popen(
            build_command(), cwd=ROOT, env=build_environment(), stdout=log, stderr=log
        )
    try:
        # A process of its own, as the local cloud does not need the packages of `dev`.
        bootstrap = (sys.executable, "-m", "dev.command", "dev/localstack/bootstrap.py")
        code = subprocess.run(bootstrap, cwd=ROOT).returncode
        if code:
            return code
        with step(TITLE):
            code = build.wait()
    finally:
        build.terminate()
        build.wait()
    if code:
        lines = LOG.read_text("utf-8", "replace").splitlines()
        raise CommandError("\n".join([f"cargo build failed; see {LOG}:", *lines[-LAST_LINES:]]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
