"""`make deploy`, `make deploy-plan`, `make outputs` and `make destroy`: one environment on AWS.

    python -m dev.deploy_aws deploy|plan|outputs|destroy dev|staging|prod [name of an output]

Credentials come from the environment, as for every AWS tool. docs/operations/DEPLOY.md lists what the first
deployment needs. With credentials run only Python's standard library, Terraform with the provider
of the lock file, and the AWS CLI.
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

from .errors import CommandError
from .images import Commit
from .package import FUNCTIONS, RECORD
from .paths import LOCAL, RELEASED, ROOT
from .plan import ENVIRONMENTS, region_of, variables_file
from .plan import PACKAGES as PLACEHOLDERS
from .progress import step
from .terraform import init_arguments, terraform_settings

PROCESSORS = {0x3E: "x86_64", 0xB7: "arm64"}
"""Processors by their number in the ELF header of a binary."""
BESIDE_THE_ROOT = ("crates", "glue-sql", "statemachines")
"""Folders that the root reads beside its own."""
INVOKE_SECONDS = 310
"""Longer than the timeout of control (infra/control.tf): a retry would migrate a second time."""
ENDED = ("FINISHED", "FAILED", "ABORTED")


class DeployError(CommandError):
    """Says why a deployment stopped, and what to do."""


@dataclass(frozen=True)
class Target:
    """The account and region of an environment."""

    environment: str
    region: str
    account: str
    state_bucket: str

    @property
    def name(self) -> str:
        """Returns the prefix of the environment's resources."""
        return f"shoplake-{self.environment}"


class Aws(Protocol):
    """The requests of a deployment beside those of Terraform."""

    def account(self) -> str:
        """Returns the account of the credentials."""

    def invoke(self, function: str, event: Mapping[str, str]) -> dict[str, Any]:
        """Invokes a function and returns its answer."""

    def sql(self, request: Mapping[str, Any], *statements: str) -> int:
        """Runs statements as one transaction of the Redshift Data API; returns the number of rows
        of the last one.
        """


class Terraform:
    """The root with its state in S3: a folder of links to the root, and the backend's file."""

    def __init__(self, target: Target, folder: Path, packages: Path) -> None:
        self._target = target
        self._folder = folder
        self._packages = packages

    def init(self) -> None:
        """Assembles the root and connects it to the state."""
        assemble(self._folder, self._target)
        self._run("init", "-reconfigure", *init_arguments())

    def plan(self, *, destroy: bool = False) -> None:
        """Shows what would change, and saves the plan."""
        variables = {"packages_dir": str(self._packages)}
        # A file of variables overrides the environment, and would replace the tag just pushed.
        if tag := os.environ.get("TF_VAR_connector_image_tag"):  # noqa: SIM112
            variables["connector_image_tag"] = tag
        # Terraform reads packages and tags even to destroy.
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
        """Applies the saved plan."""
        self._run("apply", str(self._folder / "plan"))

    def outputs(self) -> dict[str, Any]:
        """Returns the outputs that are not sensitive."""
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
            raise DeployError(f"terraform {verb} ended with {code}: see its output above")

    def _command(self, verb: str, *arguments: str) -> list[str]:
        return ["terraform", f"-chdir={self._folder / 'infra'}", verb, *arguments]

    def _environment(self) -> dict[str, str]:
        # GitHub passes an unset variable as an empty one.
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
    """Links the root and its inputs into a folder and adds the backend. infra/ itself keeps the
    backend of the local cloud.
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
    # Copied, because Terraform would write through a link into the checkout.
    shutil.copy(ROOT / "infra" / ".terraform.lock.hcl", root)
    (root / "backend_override.tf").write_text(backend(target), "utf-8")
    return root


def backend(target: Target) -> str:
    """Returns the text of the override file that names the state's bucket.

    The bucket encrypts the state. With `encrypt`, Terraform would use S3's key instead of the
    bucket's.
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
    """Rejects missing packages and those for another processor: Lambda would accept them, and every
    invocation would fail.
    """
    again = f"make package ARCH={architecture}"
    for function in FUNCTIONS:
        archive = folder / f"{function}.zip"
        if not archive.exists():
            raise DeployError(f"{archive} is missing: run `{again}`")
        with zipfile.ZipFile(archive) as packed, packed.open("bootstrap") as binary:
            header = binary.read(20)
        found = (
            PROCESSORS.get(int.from_bytes(header[18:20], "little"), "another processor")
            if header[:4] == b"\x7fELF"
            else "an unknown processor"
        )
        if found != architecture:
            wanted = f"expected {architecture}, as in the environment: run `{again}`"
            raise DeployError(f"{archive} is built for {found}, {wanted}")
    if not (folder / "catalog.json").exists():
        raise DeployError(f"{folder / 'catalog.json'} is missing: run `{again}`")


def check_commit(folder: Path, architecture: str, checkout: Commit, *, strict: bool) -> None:
    """Rejects packages of another commit than the checkout's, which the other parts of the
    deployment come from. Warns of uncommitted files, or rejects them if `strict`.
    """
    again = f"make package ARCH={architecture}"
    if not (folder / RECORD).exists():
        raise DeployError(
            f"{folder / RECORD} is missing, which records the commit of the packages: run `{again}`"
        )
    built = Commit(json.loads((folder / RECORD).read_text("utf-8"))["commit"])
    found = f"{folder} is built from {built.name}, and this checkout is {checkout.name}"
    if built.number != checkout.number:
        raise DeployError(f"{found}: run `{again}`")
    if built.is_dirty or checkout.is_dirty:
        found += ": some files are not committed (git status)"
        if strict:
            raise DeployError(f"{found}. Commit or remove them, then run `{again}`")
        print(f"WARNING  {found}", file=sys.stderr)


def architecture_of(environment: str) -> str:
    """Returns the architecture of the environment's functions."""
    found = re.search(
        r'^lambda_architecture\s*=\s*"(\w+)"',
        variables_file(environment).read_text("utf-8"),
        re.MULTILINE,
    )
    return found.group(1) if found else "arm64"


def confirm(question: str, answer: str, given: str | None) -> None:
    """Stops unless the user types the answer, or gave it in CONFIRM."""
    if given is None and sys.stdin.isatty():
        given = input(f"{question}\nType {answer} to continue: ").strip()
    if given != answer:
        raise DeployError(f"{question} Nothing was changed: confirm with CONFIRM={answer}.")


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
    """Plans, applies and prepares the warehouse; returns the outputs."""
    architecture = architecture_of(target.environment)
    check_packages(packages, architecture)
    check_commit(packages, architecture, checkout, strict=target.environment == "prod")
    terraform.init()
    terraform.plan()
    if ask:
        confirm(
            f"This plan changes {target.name}, account {target.account}, {target.region}.",
            target.name,
            confirmed,
        )
    terraform.apply()
    outputs = terraform.outputs()
    with step("prepare the warehouse"):
        grant(json.loads(outputs["warehouse_grants"]), aws)
        migrate(outputs["functions"]["control"], aws)
    with step("list the shops"):
        # Environments that are older than the list have shops that are not in it.
        aws.invoke(outputs["functions"]["control"], {"action": "sync_shops"})
    return outputs


def destroy(target: Target, terraform: Terraform, *, confirmed: str | None) -> None:
    """Deletes an environment after the user has confirmed its name."""
    place = f"{target.name} in account {target.account}, {target.region}"
    question = f"This deletes {place}, and all of its data."
    if target.environment == "prod" and confirmed != target.name:
        raise DeployError(f"{question} Nothing was changed: confirm with CONFIRM={target.name}.")
    terraform.init()
    terraform.plan(destroy=True)
    confirm(question, target.name, confirmed)
    terraform.apply()


def grant(request: dict[str, Any], aws: Aws) -> None:
    """Creates the functions' users in the warehouse, as its admin, if they are missing."""
    statements = request.pop("Sqls")
    role = "select role_name from svv_roles where role_name = 'shoplake_pipeline'"
    if aws.sql(request, role) == 0:
        aws.sql(request, *statements)


def migrate(function: str, aws: Aws) -> None:
    """Runs the warehouse's migrations by the control function."""
    answer = aws.invoke(function, {"action": "migrate"})
    print(f"migrations: {json.dumps(answer)}", file=sys.stderr)


def chosen(outputs: dict[str, Any], name: str | None) -> object:
    """Returns all outputs, or the named one."""
    if not name:
        return outputs
    if name not in outputs:
        raise DeployError(f"invalid output {name!r}: expected one of {', '.join(sorted(outputs))}")
    return outputs[name]


class AwsError(CommandError):
    """An error of the AWS CLI, in its words."""


class Cli:
    """AWS, through its CLI."""

    def __init__(self, region: str) -> None:
        self._region = region

    def account(self) -> str:
        """Returns the account of the credentials."""
        return str(self._answer("sts", "get-caller-identity")["Account"])

    def invoke(self, function: str, event: Mapping[str, str]) -> dict[str, Any]:
        """Invokes a function once, without retries, and returns its answer."""
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
            raise DeployError(f"{function} rejected {event}: {body.get('errorMessage', body)}")
        return dict(body or {})

    def sql(self, request: Mapping[str, Any], *statements: str) -> int:
        """Runs statements as one transaction of the Redshift Data API; returns the number of rows
        of the last one.
        """
        verb, sql = (
            ("execute-statement", {"Sql": statements[0]})
            if len(statements) == 1
            else ("batch-execute-statement", {"Sqls": list(statements)})
        )
        execution = self._answer(
            "redshift-data", verb, "--cli-input-json", json.dumps({**request, **sql})
        )["Id"]
        while True:
            state = self._answer("redshift-data", "describe-statement", "--id", execution)
            if state["Status"] in ENDED:
                break
            time.sleep(1)
        if state["Status"] != "FINISHED":
            reason = state.get("Error", state["Status"])
            raise DeployError(f"the warehouse rejected the batch of {statements[0]!r}: {reason}")
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
            raise DeployError(
                "the AWS CLI is missing: install version 2 (docs/operations/DEPLOY.md, step 0)"
            ) from error
        if done.returncode:
            raise AwsError(
                done.stderr.strip() or f"aws {words[0]} {words[1]} ended with {done.returncode}"
            )
        return dict(json.loads(done.stdout or "{}"))


def target_of(environment: str, aws: Aws) -> Target:
    """Returns the account and region of an environment, by its variables and the credentials."""
    region = region_of(environment)
    account = aws.account()
    return Target(
        environment,
        region,
        account,
        os.environ.get("STATE_BUCKET") or f"shoplake-state-{account}-{region}",
    )


def main() -> int:
    """Runs the verb of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("deploy", "plan", "outputs", "destroy"))
    parser.add_argument("environment", choices=ENVIRONMENTS)
    parser.add_argument("output", nargs="?", help="with outputs: print only this one")
    arguments = parser.parse_args()
    confirmed = os.environ.get("CONFIRM") or None
    try:
        aws = Cli(region_of(arguments.environment))
        target = target_of(arguments.environment, aws)
        terraform = Terraform(target, LOCAL / "deploy" / target.environment, RELEASED)
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
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    except AwsError as error:
        advice = "If this is about credentials: `aws sts get-caller-identity` must answer first."
        print(f"AWS: {error}\n{advice}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
