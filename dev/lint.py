"""`make lint` beyond rustfmt and clippy: dependencies, Python, Terraform and SQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .paths import LOCAL, ROOT
from .progress import step
from .terraform import Terraform
from .tools import cargo_deny, cargo_machete, linters


def main() -> int:
    """Checks everything and stops at the first tool with a finding."""
    if sys.argv[1:] == ["advisories"]:
        # Separate, because not every network reaches the database of advisories.
        with step("cargo deny: advisories"):
            check_dependencies("advisories")
        return 0
    with step("cargo deny and machete: dependencies"):
        check_dependencies("bans", "licenses", "sources")
        check(cargo_machete(), ".")
    tools = linters()
    with step("ruff and mypy"):
        check(tools / "ruff", "check", "--quiet")
        check(tools / "ruff", "format", "--check", "--quiet")
        # With this environment's packages, so that mypy knows their types.
        check(tools / "mypy", "--python-executable", sys.executable)
    with step("terraform fmt, validate and test"):
        check("terraform", "fmt", "-check", "-recursive", "-diff", "infra")
        Terraform(LOCAL / "lint", "", {}).validate()
    with step("sqlfluff"):
        # Reads its settings from the files named .sqlfluff.
        sqlfluff = (sys.executable, "-m", "sqlfluff", "lint", "--disable-progress-bar")
        check(*sqlfluff, "glue-sql", "tests/e2e/new_dataset/glue-sql")
    return 0


def check_dependencies(*which: str) -> None:
    """Runs checks of cargo deny in each workspace, with the settings of the repository's root."""
    for manifest in (ROOT / "Cargo.toml", ROOT / "tests" / "contracts" / "Cargo.toml"):
        settings = ("--manifest-path", manifest, "--config", ROOT / "deny.toml", "check")
        check(cargo_deny(), *settings, *which)


def check(*command: str | Path) -> None:
    """Runs a command that explains its findings itself."""
    if code := subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
