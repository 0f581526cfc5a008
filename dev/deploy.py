"""Applies the Terraform root to a local cloud."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .package import ROOT
from .progress import run, step

AWS_PROVIDER = "5.100.0"
MIRROR_HINTS = (
    "/opt",
    "/usr/local",
    "/usr/share",
    "/usr/lib",
    "/srv",
    "/var/lib",
    str(Path.home()),
)


def provider_mirror() -> Path | None:
    """A folder of this machine that holds the AWS provider unpacked, for machines that cannot reach
    Terraform's registry.
    """
    provider = f"registry.terraform.io/hashicorp/aws/{AWS_PROVIDER}/*/terraform-provider-aws_v5*"
    for hint in map(Path, MIRROR_HINTS):
        for pattern in (provider, f"*/{provider}", f"*/*/{provider}"):
            for binary in hint.glob(pattern):
                return binary.parents[5]
    return None


def init_arguments() -> list[str]:
    """What each `terraform init` is told: the provider is the one of the lock file, whose
    checksums stay as they are."""
    mirror = provider_mirror()
    return ["-lockfile=readonly", *([f"-plugin-dir={mirror}"] if mirror else [])]


def terraform_settings(data: Path) -> dict[str, str]:
    """What each of our Terraform commands is told, whichever account it talks to; `data` is where
    its modules and providers go.
    """
    settings = {"TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    config = os.environ.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).exists():
        settings["TF_CLI_CONFIG_FILE"] = os.devnull
    return settings


def cloud_settings(endpoint: str, region: str, key: str) -> dict[str, str]:
    """What makes a tool talk to a cloud of this machine, and to nothing else.

    A profile of the shell's goes before keys, a service's own endpoint before the common one. So
    all of its settings are emptied, which to Terraform is as if they were not set.
    """
    return {name: "" for name in os.environ if name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": key,
        "AWS_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class Terraform:
    """The root with a state and a data folder of its own, so that several clouds can be applied
    from one checkout.
    """

    def __init__(self, state: Path, endpoint: str, variables: Mapping[str, str]) -> None:
        self._state = state
        self._variables = [f"-var={name}={value}" for name, value in variables.items()]
        self._environment = cloud_settings(endpoint, "us-east-1", "test") | terraform_settings(
            state / "terraform"
        )

    def apply(self) -> dict[str, object]:
        """Initialises and applies; returns the outputs."""
        with step("terraform init"):
            self._init()
        with step("terraform apply"):
            self._run("apply", "-input=false", "-auto-approve", *self._inputs())
        return self.outputs()

    def validate(self) -> None:
        """Stops where the configuration is not valid, or a test of it fails; needs no cloud."""
        self._init()
        self._run("validate")
        # Each test plans the root anew, on one processor.
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(self._test, sorted((ROOT / "infra" / "tests").glob("*.tftest.hcl"))))

    def plan_is_empty(self) -> bool:
        """Whether another apply would change nothing."""
        code = subprocess.run(
            [
                "terraform",
                f"-chdir={ROOT / 'infra'}",
                "plan",
                "-input=false",
                "-detailed-exitcode",
                *self._inputs(),
            ],
            env={**os.environ, **self._environment},
            stdout=(self._state / "terraform-plan.log").open("wb"),
            stderr=subprocess.STDOUT,
        ).returncode
        if code == 1:
            raise RuntimeError(f"terraform plan failed: see {self._state / 'terraform-plan.log'}")
        return code == 0

    def outputs(self) -> dict[str, object]:
        """The outputs of the last apply."""
        text = subprocess.run(
            ["terraform", f"-chdir={ROOT / 'infra'}", "output", "-json"],
            env={**os.environ, **self._environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return {name: output["value"] for name, output in json.loads(text).items()}

    def _init(self) -> None:
        backend = f"-backend-config=path={self._state / 'terraform.tfstate'}"
        self._run("init", "-input=false", "-reconfigure", backend, *init_arguments())

    def _inputs(self) -> list[str]:
        return [f"-var-file={ROOT / 'infra' / 'environments' / 'local.tfvars'}", *self._variables]

    def _test(self, file: Path) -> None:
        self._run("test", f"-filter=tests/{file.name}", log=f"test-{file.name.partition('.')[0]}")

    def _run(self, verb: str, *arguments: str, log: str | None = None) -> None:
        run(
            ["terraform", f"-chdir={ROOT / 'infra'}", verb, "-no-color", *arguments],
            self._state / f"terraform-{log or verb}.log",
            cwd=ROOT,
            env=self._environment,
        )
