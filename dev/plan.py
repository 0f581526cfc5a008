"""`make plan`: plans the whole production stack without AWS, once for each environment.

    python -m dev.plan [--out DIR] [dev|staging|prod ...]

A plan uses the root unchanged, with the variables of the environment. offline_aws.py serves the
account on this machine. Packages and images are placeholders, because a plan needs only their
checksums and names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from . import offline_aws
from .paths import INFRA, LOCAL, ROOT
from .progress import run, step
from .terraform import init_arguments, terraform_settings

ENVIRONMENTS = ("dev", "staging", "prod")
PACKAGES = INFRA / "tests" / "fixtures" / "packages"
OUT = LOCAL / "plan"

__all__ = ["ENVIRONMENTS", "INFRA", "PACKAGES", "Planner", "created", "region_of"]


def variables_file(environment: str) -> Path:
    """Returns the file of variables that defines an environment."""
    if environment not in ENVIRONMENTS:
        raise SystemExit(
            f"invalid environment {environment!r}: expected one of {', '.join(ENVIRONMENTS)}"
        )
    return INFRA / "environments" / f"{environment}.tfvars"


def region_of(environment: str) -> str:
    """Returns the region that the environment's variables name."""
    path = variables_file(environment)
    found = re.search(r'^region\s*=\s*"([a-z0-9-]+)"', path.read_text("utf-8"), re.MULTILINE)
    if not found:
        raise SystemExit(f'{path} must name its region, as in: region = "eu-central-1"')
    return found.group(1)


def image_tag(*files: Path) -> list[str]:
    """Returns the argument for a placeholder of the images' tag if the variables name connectors.
    Connectors need a tag, which a deployment may get from the environment instead of the files.
    """
    named = any(
        re.search(r"^(connectors|connector_services)\s*=", path.read_text("utf-8"), re.MULTILINE)
        for path in files
    )
    return ["-var=connector_image_tag=placeholder"] if named else []


class Planner:
    """Plans one root with its variables, against an account that it serves within the context."""

    def __init__(self, root: Path, folder: Path, region: str, *variables: str) -> None:
        self.root = root
        self.folder = folder.resolve()
        self.region = region
        self.variables = variables
        self._settings: dict[str, str] = {}
        self._open = ExitStack()

    @classmethod
    def of(cls, environment: str, out: Path = OUT, *more: Path, packages: Path = PACKAGES) -> Self:
        """Returns the planner of an environment. The files `more` override its variables."""
        files = [variables_file(environment), *more]
        # A later variable overrides an earlier one, so a tag in a file replaces the placeholder.
        variables = [
            *image_tag(*files),
            *(f"-var-file={path}" for path in files),
            f"-var=packages_dir={packages}",
        ]
        return cls(INFRA, out / environment, region_of(environment), *variables)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        endpoint = self._open.enter_context(offline_aws.account(self.region))
        self._settings = offline_aws.environment(endpoint, self.region) | terraform_settings(
            self.folder / "terraform"
        )
        self._run("init", *init_arguments())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def plan(self, state: Path | None = None) -> dict[str, Any]:
        """Plans on a state or on nothing; returns the plan, and writes it to `plan.json`."""
        on_top = ["-refresh=false"] if state else []
        self._run(
            "plan",
            "-lock=false",
            f"-state={state or self.folder / 'none.tfstate'}",
            *on_top,
            *self.variables,
            f"-out={self.folder / 'plan'}",
        )
        text = subprocess.run(
            ["terraform", f"-chdir={self.root}", "show", "-json", self.folder / "plan"],
            env={**os.environ, **self._settings},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        (self.folder / "plan.json").write_text(text, "utf-8")
        document: dict[str, Any] = json.loads(text)
        return document

    def _run(self, verb: str, *arguments: str) -> None:
        command = [
            "terraform",
            f"-chdir={self.root}",
            verb,
            "-no-color",
            "-input=false",
            *arguments,
        ]
        run(command, self.folder / f"{verb}.log", cwd=ROOT, env=self._settings)


def created(document: dict[str, Any]) -> Counter[str]:
    """Counts the resources that a plan creates, by type."""
    return Counter(
        change["type"]
        for change in document["resource_changes"]
        if change["mode"] == "managed" and "create" in change["change"]["actions"]
    )


def main() -> int:
    """Plans each environment and prints what the plan creates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "environments",
        nargs="*",
        metavar="environment",
        help=f"{', '.join(ENVIRONMENTS)}; all of them when none is named",
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, help="the folder for plans and Terraform's data"
    )
    arguments = parser.parse_args()
    for environment in arguments.environments or ENVIRONMENTS:
        with Planner.of(environment, arguments.out) as planner, step(f"plan {environment}"):
            counts = created(planner.plan())
        total = f"{counts.total()} resources of {len(counts)} types"
        print(f"{environment}: {total}; {planner.folder / 'plan.json'}")
        for kind, count in sorted(counts.items()):
            print(f"  {count:4} {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
