"""`make lint` beyond rustfmt and clippy: dependencies, Terraform and SQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .deploy import Terraform
from .package import ROOT
from .progress import step
from .tools import cargo_deny


def main() -> int:
    """Stops at the first finding. Advisories are apart: they need a database that not every
    network reaches."""
    deny = cargo_deny()
    if sys.argv[1:] == ["advisories"]:
        with step("cargo deny: advisories"):
            check(deny, "check", "advisories")
        return 0
    with step("cargo deny"):
        check(deny, "check", "bans", "licenses", "sources")
    with step("terraform fmt, validate and test"):
        check("terraform", "fmt", "-check", "-recursive", "-diff", "infra")
        Terraform(ROOT / ".local" / "lint", "", {}).validate()
    with step("sqlfluff"):
        # In the environment that this runs in. Its settings are in the files called .sqlfluff.
        sqlfluff = (sys.executable, "-m", "sqlfluff", "lint", "--disable-progress-bar")
        check(*sqlfluff, "glue-sql", "tests/e2e/new_dataset/glue-sql")
    return 0


def check(*command: str | Path) -> None:
    """Runs a command that explains its findings itself."""
    if code := subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
