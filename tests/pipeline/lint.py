"""`make lint` beyond rustfmt and clippy: dependencies and Terraform."""

from __future__ import annotations

import subprocess
import sys

from .deploy import Terraform
from .package import ROOT
from .progress import step
from .tools import cargo_deny


def main() -> int:
    """Stops at the first finding."""
    deny = cargo_deny()
    with step("cargo deny"):
        # Advisories need a database from the network; this part needs nothing but the lock file.
        subprocess.run([deny, "--offline", "check", "bans", "licenses", "sources"], cwd=ROOT, stdout=sys.stderr, check=True)
    with step("terraform fmt and validate"):
        subprocess.run(["terraform", "fmt", "-check", "-recursive", "-diff", "infra"], cwd=ROOT, stdout=sys.stderr, check=True)
        Terraform(ROOT / ".local" / "lint", "", {}).validate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
