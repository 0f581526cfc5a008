"""`make plan`: the whole production stack, planned without AWS, one plan for each environment.

    python -m dev.plan [--out DIR] [dev|staging|prod ...]

The root is planned as it is, with its environment's variables. Only the account that it asks for is
served on this machine (offline_aws.py), and packages and images are placeholders: a plan needs
their checksums and names, not their contents.
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
from .deploy import init_arguments, terraform_settings
from .package import ROOT
from .progress import run, step

INFRA = ROOT / "infra"
ENVIRONMENTS = ("dev", "staging", "prod")
PACKAGES = INFRA / "tests" / "fixtures" / "packages"
OUT = ROOT / ".local" / "plan"


def variables_file(environment: str) -> Path:
    """The environment's variables, which are its definition."""
    if environment not in ENVIRONMENTS:
        raise SystemExit(
            f"the environment is one of {', '.join(ENVIRONMENTS)}, not {environment!r}"
        )
    return INFRA / "environments" / f"{environment}.tfvars"


def region_of(environment: str) -> str:
    """The region that the environment's variables name."""
    path = variables_file(environment)
    found = re.search(r'^region\s*=\s*"([a-z0-9-]+)"', path.read_text("utf-8"), re.MULTILINE)
    if not found:
        raise SystemExit(f'{path} must name its region, as in: region = "eu-central-1"')
    return found.group(1)


def image_tag(*files: Path) -> list[str]:
    """A placeholder for the images' tag where files of variables name shops or services for
    connectors. They need one, and a deployment may be given it beside the files.
    """
    named = any(
        re.search(r"^(connectors|connector_services)\s*=", path.read_text("utf-8"), re.MULTILINE)
        for path in files
    )
    return ["-var=connector_image_tag=placeholder"] if named else []


class Planner:
    """Plans of one root and its variables, with an account of their own for as long as the context
    lasts.
    """

    def __init__(self, root: Path, folder: Path, region: str, *variables: str) -> None:
        self.root = root
        self.folder = folder.resolve()
        self.region = region
        self.variables = variables
        self._settings: dict[str, str] = {}
        self._open = ExitStack()

    @classmethod
    def of(cls, environment: str, out: Path = OUT, *more: Path) -> Self:
        """Of an environment; `more` are files of variables that go over its own."""
        files = [variables_file(environment), *more]
        # The last one counts: a tag that a file names goes over the placeholder.
        variables = [
            *image_tag(*files),
            *(f"-var-file={path}" for path in files),
            f"-var=packages_dir={PACKAGES}",
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
        """Plans on top of a state, or of nothing; the plan as JSON is in `<folder>/plan.json`, too."""
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
        return json.loads(text)

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
    """How many resources of each type a plan creates."""
    return Counter(
        change["type"]
        for change in document["resource_changes"]
        if change["mode"] == "managed" and "create" in change["change"]["actions"]
    )


def main() -> int:
    """Plans what is asked for, and says what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "environments",
        nargs="*",
        metavar="environment",
        help=f"{', '.join(ENVIRONMENTS)}; all of them when none is named",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where plans and Terraform's data go")
    arguments = parser.parse_args()
    for environment in arguments.environments or ENVIRONMENTS:
        with Planner.of(environment, arguments.out) as planner, step(f"plan {environment}"):
            counts = created(planner.plan())
        print(
            f"{environment}: {counts.total()} resources of {len(counts)} types; {planner.folder / 'plan.json'}"
        )
        for kind, count in sorted(counts.items()):
            print(f"  {count:4} {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
