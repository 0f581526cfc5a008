"""Runs Terraform: the settings that all commands share, and the root on a local cloud."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .paths import INFRA, ROOT
from .progress import run, step

AWS_PROVIDER = "5.100.0"
STATE = "terraform.tfstate"
STATES = (STATE, f"{STATE}.backup")
"""The files of a state on this machine."""
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
    """Returns a folder of this machine that has the AWS provider unpacked, for machines that cannot
    reach Terraform's registry.
    """
    provider = f"registry.terraform.io/hashicorp/aws/{AWS_PROVIDER}/*/terraform-provider-aws_v5*"
    for hint in map(Path, MIRROR_HINTS):
        for pattern in (provider, f"*/{provider}", f"*/*/{provider}"):
            for binary in hint.glob(pattern):
                return binary.parents[5]
    return None


def init_arguments() -> list[str]:
    """Returns the arguments of `terraform init`: the provider of the lock file, unchanged."""
    mirror = provider_mirror()
    return ["-lockfile=readonly", *([f"-plugin-dir={mirror}"] if mirror else [])]


def terraform_settings(data: Path) -> dict[str, str]:
    """Returns the environment variables of every Terraform command. `data` is the folder of its
    modules and providers.
    """
    settings = {"TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    config = os.environ.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).exists():
        settings["TF_CLI_CONFIG_FILE"] = os.devnull
    return settings


def cloud_settings(endpoint: str, region: str, key: str) -> dict[str, str]:
    """Returns the environment variables that make a tool use only a cloud of this machine.

    AWS clients prefer a profile to keys, and a service's own endpoint to the common one. So this
    empties all AWS variables of the shell, which Terraform treats as unset.
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
    """The root with its own state and data folder, so that one checkout serves several clouds."""

    def __init__(self, state: Path, endpoint: str, variables: Mapping[str, str]) -> None:
        self._state = state
        self._variables = [f"-var={name}={value}" for name, value in variables.items()]
        self._environment = cloud_settings(endpoint, "us-east-1", "test") | terraform_settings(
            state / "terraform"
        )

    def apply(self) -> dict[str, Any]:
        """Initialises and applies; returns the outputs."""
        with step("terraform init"):
            self._init()
        with step("terraform apply"):
            self._run("apply", "-input=false", "-auto-approve", *self._inputs())
        return self.outputs()

    def validate(self) -> None:
        """Validates the configuration and runs its tests; needs no cloud."""
        self._init()
        self._run("validate")
        # Each test plans the whole root on one processor.
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(self._test, sorted((INFRA / "tests").glob("*.tftest.hcl"))))

    def plan_is_empty(self) -> bool:
        """Returns whether another apply would change nothing."""
        log = self._state / "terraform-plan.log"
        command = ["terraform", f"-chdir={INFRA}", "plan", "-input=false", "-detailed-exitcode"]
        with log.open("wb") as output:
            code = subprocess.run(
                [*command, *self._inputs()],
                env={**os.environ, **self._environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode
        if code == 1:
            raise RuntimeError(f"terraform plan failed: see {log}")
        return code == 0

    def outputs(self) -> dict[str, Any]:
        """Returns the outputs of the last apply."""
        text = subprocess.run(
            ["terraform", f"-chdir={INFRA}", "output", "-json"],
            env={**os.environ, **self._environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return {name: output["value"] for name, output in json.loads(text).items()}

    def _init(self) -> None:
        backend = f"-backend-config=path={self._state / STATE}"
        self._run("init", "-input=false", "-reconfigure", backend, *init_arguments())

    def _inputs(self) -> list[str]:
        return [f"-var-file={INFRA / 'environments' / 'local.tfvars'}", *self._variables]

    def _test(self, file: Path) -> None:
        self._run("test", f"-filter=tests/{file.name}", log=f"test-{file.name.partition('.')[0]}")

    def _run(self, verb: str, *arguments: str, log: str | None = None) -> None:
        run(
            ["terraform", f"-chdir={INFRA}", verb, "-no-color", *arguments],
            self._state / f"terraform-{log or verb}.log",
            cwd=ROOT,
            env=self._environment,
        )
