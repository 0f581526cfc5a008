"""`make deploy`, `make deploy-plan`, `make outputs` and `make destroy`: one environment on AWS.

    python -m dev.deploy_aws deploy|plan|outputs|destroy dev|staging|prod [name of an output]

Credentials come from the environment, as for every AWS tool. docs/operations/DEPLOY.md says what has to be
there the first time. Beside credentials runs nothing but Python's standard library, Terraform with
the provider of the lock file, and the AWS CLI.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .deploy import init_arguments, terraform_settings
from .images import Commit
from .package import FUNCTIONS, RECORD, RELEASED, ROOT
from .plan import ENVIRONMENTS, region_of, variables_file
from .plan import PACKAGES as PLACEHOLDERS
from .progress import step

# What the ELF header of a binary says of its processor.
PROCESSORS = {0x3E: "x86_64", 0xB7: "arm64"}

# What the root reads beside its own folder.
BESIDE_THE_ROOT = ("crates", "glue-sql", "statemachines")

# A function may take as long as control does (infra/control.tf). Giving up before and asking again
# would have it migrate twice.
INVOKE_SECONDS = 310


class Refused(Exception):
    """Why nothing was done, and what to do."""


@dataclass(frozen=True)
class Target:
    """Where an environment is."""

    environment: str
    region: str
    account: str
    state_bucket: str

    @property
    def name(self) -> str:
        """What the environment's resources begin with."""
        return f"shoplake-{self.environment}"


class Aws(Protocol):
    """What a deployment asks AWS for, beside what Terraform does."""

    def account(self) -> str:
        """Whose credentials these are."""

    def invoke(self, function: str, event: Mapping[str, str]) -> dict[str, Any]:
        """What a function answers."""

    def sql(self, request: Mapping[str, Any], *statements: str) -> int:
        """Runs statements as one transaction of the Redshift Data API and returns how many rows the
        last one has.
        """


class Terraform:
    """The root on its way to AWS: a folder of links to it, beside the file that puts its state into
    S3.
    """

    def __init__(self, target: Target, folder: Path, packages: Path) -> None:
        self._target = target
        self._folder = folder
        self._packages = packages

    def init(self) -> None:
        """Assembles the root and finds the state."""
        assemble(self._folder, self._target)
        self._run("init", "-reconfigure", *init_arguments())

    def plan(self, *, destroy: bool = False) -> None:
        """Shows what would change, and keeps the plan."""
        variables = {"packages_dir": str(self._packages)}
        # A file goes over the environment: without this, the tag that was just pushed would give
        # way to one in the file.
        if tag := os.environ.get("TF_VAR_connector_image_tag"):
            variables["connector_image_tag"] = tag
        # What is taken away needs no packages and no images any more, but Terraform looks at them
        # all the same.
        if destroy:
            variables = {"packages_dir": str(PLACEHOLDERS), "connector_image_tag": "placeholder"}
        inputs = [
            f"-var-file={variables_file(self._target.environment)}",
            *(f"-var={name}={value}" for name, value in variables.items()),
        ]
        self._run(
            "plan", *(["-destroy"] if destroy else []), *inputs, f"-out={self._folder / 'plan'}"
        )

    def apply(self) -> None:
        """Does what was planned, and nothing else."""
        self._run("apply", str(self._folder / "plan"))

    def outputs(self) -> dict[str, Any]:
        """The outputs, but for secret ones."""
        text = subprocess.run(
            self._command("output", "-json"),
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return {
            name: output["value"]
            for name, output in json.loads(text).items()
            if not output["sensitive"]
        }

    def _run(self, verb: str, *arguments: str) -> None:
        code = subprocess.run(
            self._command(verb, "-input=false", *arguments),
            env=self._environment(),
            stdout=sys.stderr,
        ).returncode
        if code:
            raise Refused(f"terraform {verb} ended with {code}: see above")

    def _command(self, verb: str, *arguments: str) -> list[str]:
        return ["terraform", f"-chdir={self._folder / 'infra'}", verb, *arguments]

    def _environment(self) -> dict[str, str]:
        # A variable that is not set in GitHub arrives as an empty one, and means none.
        given = {
            name: value
            for name, value in os.environ.items()
            if value or not name.startswith("TF_VAR_")
        }
        return {
            **given,
            **terraform_settings(self._folder / "terraform"),
            "AWS_REGION": self._target.region,
        }


def assemble(folder: Path, target: Target) -> Path:
    """Links the root and what it reads into a folder and adds the backend, so that infra/ itself
    stays as the local cloud needs it.
    """
    root = folder / "infra"
    root.mkdir(parents=True, exist_ok=True)
    for link in [*folder.iterdir(), *root.iterdir()]:
        if link.is_symlink():
            link.unlink()
    for name in BESIDE_THE_ROOT:
        (folder / name).symlink_to(ROOT / name)
    for path in (ROOT / "infra").iterdir():
        if path.is_dir() or path.suffix == ".tf":
            (root / path.name).symlink_to(path)
    # A copy, as Terraform would follow a link and write to the checkout.
    shutil.copy(ROOT / "infra" / ".terraform.lock.hcl", root)
    (root / "backend_override.tf").write_text(backend(target), "utf-8")
    return root


def backend(target: Target) -> str:
    """Where the state is. Terraform reads a file of this name over what the root says.

    How it is encrypted is the bucket's business: with `encrypt` Terraform would ask for S3's own
    key instead of the bucket's.
    """
    return f"""terraform {{
  backend "s3" {{
    bucket       = "{target.state_bucket}"
    key          = "{target.name}.tfstate"
    region       = "{target.region}"
    use_lockfile = true
  }}
}}
"""


def check_packages(folder: Path, architecture: str) -> None:
    """Refuses packages that are not there, or for another processor: Lambda would take them, and
    every call would fail.
    """
    for function in FUNCTIONS:
        archive = folder / f"{function}.zip"
        if not archive.exists():
            raise Refused(f"{archive} is missing: make package ARCH={architecture}")
        with zipfile.ZipFile(archive) as packed, packed.open("bootstrap") as binary:
            header = binary.read(20)
        found = (
            PROCESSORS.get(int.from_bytes(header[18:20], "little"), "something else")
            if header[:4] == b"\x7fELF"
            else "no processor"
        )
        if found != architecture:
            raise Refused(
                f"{archive} is built for {found}, and the environment runs {architecture}: make package ARCH={architecture}"
            )
    if not (folder / "catalog.json").exists():
        raise Refused(
            f"{folder / 'catalog.json'} is missing, which describes the lake's tables: make package ARCH={architecture}"
        )


def check_commit(folder: Path, architecture: str, checkout: Commit, *, strict: bool) -> None:
    """Refuses packages of another commit than the checkout's, which the rest of the deployment
    comes from. What no commit has is told of, and refused if this is strict.
    """
    again = f"make package ARCH={architecture}"
    if not (folder / RECORD).exists():
        raise Refused(
            f"{folder / RECORD} is missing, which says what the packages are built from: {again}"
        )
    built = Commit(json.loads((folder / RECORD).read_text("utf-8"))["commit"])
    if built.number != checkout.number:
        raise Refused(
            f"{folder} is built from {built.name}, and this checkout is {checkout.name}: {again}"
        )
    if built.is_dirty or checkout.is_dirty:
        found = f"{folder} is built from {built.name}, and this checkout is {checkout.name}: no commit has these files (git status)"
        if strict:
            raise Refused(f"{found}. Commit them or put them away, then {again}")
        print(f"WARNING  {found}", file=sys.stderr)


def architecture_of(environment: str) -> str:
    """What the environment's functions run on."""
    found = re.search(
        r'^lambda_architecture\s*=\s*"(\w+)"',
        variables_file(environment).read_text("utf-8"),
        re.MULTILINE,
    )
    return found.group(1) if found else "arm64"


def confirm(question: str, answer: str, given: str | None) -> None:
    """Refuses unless somebody typed the answer, or gave it beforehand."""
    if given is None and sys.stdin.isatty():
        given = input(f"{question}\nType {answer} to go on: ").strip()
    if given != answer:
        raise Refused(f"{question} Nothing was done: it takes CONFIRM={answer}.")


def deploy(
    target: Target,
    terraform: Terraform,
    aws: Aws,
    packages: Path,
    checkout: Commit,
    *,
    ask: bool,
    confirmed: str | None,
) -> dict[str, Any]:
    """Plans, applies, prepares the warehouse; returns the outputs."""
    architecture = architecture_of(target.environment)
    check_packages(packages, architecture)
    check_commit(packages, architecture, checkout, strict=target.environment == "prod")
    terraform.init()
    terraform.plan()
    if ask:
        confirm(
            f"This is what changes in {target.name}, account {target.account}, {target.region}.",
            target.name,
            confirmed,
        )
    terraform.apply()
    outputs = terraform.outputs()
    with step("prepare the warehouse"):
        grant(json.loads(outputs["warehouse_grants"]), aws)
        migrate(outputs["functions"]["control"], aws)
    with step("list the shops"):
        # An environment from before there was a list has shops that are not in it.
        aws.invoke(outputs["functions"]["control"], {"action": "sync_shops"})
    return outputs


def destroy(target: Target, terraform: Terraform, *, confirmed: str | None) -> None:
    """Takes everything of an environment away, once somebody has spelt out which."""
    question = f"This deletes {target.name} in account {target.account}, {target.region}, and all of its data."
    if target.environment == "prod" and confirmed != target.name:
        raise Refused(f"{question} Nothing was done: it takes CONFIRM={target.name}.")
    terraform.init()
    terraform.plan(destroy=True)
    confirm(question, target.name, confirmed)
    terraform.apply()


def grant(request: dict[str, Any], aws: Aws) -> None:
    """Gives the functions their users in the warehouse, as its admin, unless they have them."""
    statements = request.pop("Sqls")
    if (
        aws.sql(request, "select role_name from svv_roles where role_name = 'shoplake_pipeline'")
        == 0
    ):
        aws.sql(request, *statements)


def migrate(function: str, aws: Aws) -> None:
    """Has the control function bring the warehouse's tables up to date."""
    answer = aws.invoke(function, {"action": "migrate"})
    print(f"migrations: {json.dumps(answer)}", file=sys.stderr)


def chosen(outputs: dict[str, Any], name: str | None) -> object:
    """All outputs, or one of them."""
    if not name:
        return outputs
    if name not in outputs:
        raise Refused(f"there is no output {name}, but {', '.join(sorted(outputs))}")
    return outputs[name]


class AwsError(Exception):
    """What the AWS CLI says went wrong."""


class Cli:
    """AWS itself, by its CLI."""

    def __init__(self, region: str) -> None:
        self._region = region

    def account(self) -> str:
        """Whose credentials these are."""
        return str(self._answer("sts", "get-caller-identity")["Account"])

    def invoke(self, function: str, event: Mapping[str, str]) -> dict[str, Any]:
        """What a function answers. It is asked once."""
        with tempfile.TemporaryDirectory() as folder:
            payload, written = Path(folder, "payload"), Path(folder, "answer")
            payload.write_text(json.dumps(event), "utf-8")
            arguments = (
                "--function-name",
                function,
                "--payload",
                f"fileb://{payload}",
                "--cli-read-timeout",
                str(INVOKE_SECONDS),
                str(written),
            )
            answer = self._answer("lambda", "invoke", *arguments, AWS_MAX_ATTEMPTS="1")
            body = json.loads(written.read_text("utf-8") or "null")
        if "FunctionError" in answer:
            raise Refused(f"{function} refused {event}: {body.get('errorMessage', body)}")
        return dict(body or {})

    def sql(self, request: Mapping[str, Any], *statements: str) -> int:
        """Runs statements as one transaction of the Redshift Data API and returns how many rows the
        last one has.
        """
        verb, sql = (
            ("execute-statement", {"Sql": statements[0]})
            if len(statements) == 1
            else ("batch-execute-statement", {"Sqls": list(statements)})
        )
        execution = self._answer(
            "redshift-data", verb, "--cli-input-json", json.dumps({**request, **sql})
        )["Id"]
        while (state := self._answer("redshift-data", "describe-statement", "--id", execution))[
            "Status"
        ] not in ("FINISHED", "FAILED", "ABORTED"):
            time.sleep(1)
        if state["Status"] != "FINISHED":
            raise Refused(
                f"the warehouse refused {statements[0]!r} and what follows: {state.get('Error', state['Status'])}"
            )
        return int(state.get("ResultRows", 0))

    def _answer(self, *words: str, **environment: str) -> dict[str, Any]:
        command = ["aws", *words, "--region", self._region, "--output", "json"]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "AWS_PAGER": "", **environment},
                capture_output=True,
                text=True,
            )
        except FileNotFoundError as error:
            raise Refused(
                "the AWS CLI is missing: install version 2 (docs/operations/DEPLOY.md, step 0)"
            ) from error
        if done.returncode:
            raise AwsError(
                done.stderr.strip() or f"aws {words[0]} {words[1]} ended with {done.returncode}"
            )
        return dict(json.loads(done.stdout or "{}"))


def target_of(environment: str, aws: Aws) -> Target:
    """Where the environment is, by its variables and whose credentials these are."""
    region = region_of(environment)
    account = aws.account()
    return Target(
        environment,
        region,
        account,
        os.environ.get("STATE_BUCKET") or f"shoplake-state-{account}-{region}",
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("deploy", "plan", "outputs", "destroy"))
    parser.add_argument("environment", choices=ENVIRONMENTS)
    parser.add_argument("output", nargs="?", help="with outputs: only this one")
    arguments = parser.parse_args()
    confirmed = os.environ.get("CONFIRM") or None
    try:
        aws = Cli(region_of(arguments.environment))
        target = target_of(arguments.environment, aws)
        terraform = Terraform(target, ROOT / ".local" / "deploy" / target.environment, RELEASED)
        match arguments.verb:
            case "plan":
                architecture = architecture_of(target.environment)
                check_packages(RELEASED, architecture)
                check_commit(RELEASED, architecture, Commit.of_checkout(), strict=False)
                terraform.init()
                terraform.plan()
            case "deploy":
                outputs = deploy(
                    target,
                    terraform,
                    aws,
                    RELEASED,
                    Commit.of_checkout(),
                    ask="CI" not in os.environ,
                    confirmed=confirmed,
                )
                print(json.dumps(outputs, indent=2))
            case "outputs":
                terraform.init()
                value = chosen(terraform.outputs(), arguments.output)
                print(value if isinstance(value, str) else json.dumps(value, indent=2))
            case "destroy":
                destroy(target, terraform, confirmed=confirmed)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except AwsError as error:
        print(
            f"AWS: {error}\nIf this is about credentials: `aws sts get-caller-identity` has to answer first.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
