"""`make deploy` and `make destroy`: what they run, in which order, and what they refuse to."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import deploy_aws
from tests.pipeline.deploy_aws import Refused, Target, Terraform, assemble, check_packages, deploy, destroy, target_of
from tests.pipeline.deploy import provider_mirror, terraform_settings
from tests.pipeline.package import FUNCTIONS, ROOT
from tests.pipeline.plan import ENVIRONMENTS, INFRA

DEV = Target("dev", "eu-central-1", "123456789012", "shoplake-state-123456789012-eu-central-1")
PROD = Target("prod", "eu-central-1", "123456789012", "shoplake-state-123456789012-eu-central-1")

# Writes down how it was called, and answers what the deployment reads of it.
FAKE_TERRAFORM = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *" output "*) echo "$OUTPUTS" ;; esac
"""
OUTPUTS = """{
  "functions": {"sensitive": false, "value": {"control": "shoplake-dev-control"}},
  "password": {"sensitive": true, "value": "secret"},
  "warehouse_grants": {"sensitive": false, "value": "{\\"WorkgroupName\\": \\"shoplake-dev\\", \\"Sqls\\": [\\"create role r\\", \\"grant r\\"]}"}
}"""


class FakeAws:
    """Remembers what it was asked."""

    def __init__(self, *, granted: bool = False) -> None:
        self.asked: list[str] = []
        self._granted = granted

    def account(self) -> str:
        return DEV.account

    def invoke(self, function: str, event: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append(f"{function} {event['action']}")
        return {"applied": []}

    def sql(self, request: Mapping[str, Any], *statements: str) -> int:
        self.asked += statements
        return int(self._granted)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are written down that Terraform would have got."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(FAKE_TERRAFORM, "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    written = tmp_path / "calls"
    written.touch()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("CALLS", str(written))
    monkeypatch.setenv("OUTPUTS", OUTPUTS)
    return written


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Packages for arm64, as far as anybody can tell."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for function in FUNCTIONS:
        pack(folder, function, 0xB7)
    (folder / "catalog.json").write_text("{}", "utf-8")
    return folder


def pack(folder: Path, function: str, processor: int) -> None:
    content = io.BytesIO(b"\x7fELF".ljust(18, b"\0") + processor.to_bytes(2, "little"))
    with zipfile.ZipFile(folder / f"{function}.zip", "w") as archive:
        archive.writestr("bootstrap", content.read())


def verbs(calls: Path) -> list[str]:
    """Terraform's verbs, in order."""
    return [line.split()[1] for line in calls.read_text("utf-8").splitlines()]


def test_a_deployment_plans_applies_that_plan_and_migrates(calls: Path, packages: Path, tmp_path: Path) -> None:
    aws = FakeAws()
    outputs = deploy(DEV, Terraform(DEV, tmp_path / "deploy", packages), aws, packages, ask=True, confirmed="shoplake-dev")

    init, plan, apply, output = calls.read_text("utf-8").splitlines()
    root = tmp_path / "deploy" / "infra"
    assert init.startswith(f"-chdir={root} init -input=false -reconfigure")
    assert plan == (
        f"-chdir={root} plan -input=false -var-file={INFRA / 'environments' / 'dev.tfvars'} -var=packages_dir={packages} -out={tmp_path / 'deploy' / 'plan'}"
    )
    assert apply == f"-chdir={root} apply -input=false {tmp_path / 'deploy' / 'plan'}"
    assert output == f"-chdir={root} output -json"
    assert aws.asked == ["select role_name from svv_roles where role_name = 'shoplake_pipeline'", "create role r", "grant r", "shoplake-dev-control migrate"]
    assert "password" not in outputs


def test_grants_are_made_once(calls: Path, packages: Path, tmp_path: Path) -> None:
    aws = FakeAws(granted=True)
    deploy(DEV, Terraform(DEV, tmp_path / "deploy", packages), aws, packages, ask=False, confirmed=None)
    assert "create role r" not in aws.asked
    assert aws.asked[-1] == "shoplake-dev-control migrate"


def test_nothing_is_applied_without_a_yes(calls: Path, packages: Path, tmp_path: Path) -> None:
    aws = FakeAws()
    with pytest.raises(Refused, match="CONFIRM=shoplake-dev"):
        deploy(DEV, Terraform(DEV, tmp_path / "deploy", packages), aws, packages, ask=True, confirmed=None)
    assert verbs(calls) == ["init", "plan"]
    assert aws.asked == []


def test_packages_must_be_there(packages: Path) -> None:
    check_packages(packages, "arm64")
    (packages / "load.zip").unlink()
    with pytest.raises(Refused, match="load.zip is missing: make package ARCH=arm64"):
        check_packages(packages, "arm64")


def test_packages_must_be_for_the_right_processor(packages: Path) -> None:
    pack(packages, "load", 0x3E)
    with pytest.raises(Refused, match="load.zip is built for x86_64, and the environment runs arm64"):
        check_packages(packages, "arm64")


@pytest.mark.parametrize("confirmed", [None, "", "yes", "prod", "shoplake-dev", "shoplake-prod "])
def test_prod_is_not_destroyed_by_mistake(calls: Path, packages: Path, tmp_path: Path, confirmed: str | None) -> None:
    with pytest.raises(Refused, match="CONFIRM=shoplake-prod"):
        destroy(PROD, Terraform(PROD, tmp_path / "deploy", packages), confirmed=confirmed)
    assert verbs(calls) == []


def test_prod_is_destroyed_by_its_name(calls: Path, packages: Path, tmp_path: Path) -> None:
    destroy(PROD, Terraform(PROD, tmp_path / "deploy", packages), confirmed="shoplake-prod")
    assert verbs(calls) == ["init", "plan", "apply"]
    assert " -destroy " in calls.read_text("utf-8").splitlines()[1]


def test_another_environment_is_shown_first_and_then_asked_for(calls: Path, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="CONFIRM=shoplake-dev"):
        destroy(DEV, Terraform(DEV, tmp_path / "deploy", packages), confirmed=None)
    assert verbs(calls) == ["init", "plan"]


def test_the_state_is_the_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_of("dev", FakeAws()) == DEV
    monkeypatch.setenv("STATE_BUCKET", "elsewhere")
    assert target_of("dev", FakeAws()).state_bucket == "elsewhere"


def test_each_environment_has_a_state_of_its_own() -> None:
    keys = {deploy_aws.backend(Target(environment, "eu-central-1", "1", "bucket")) for environment in ENVIRONMENTS}
    assert len(keys) == len(ENVIRONMENTS)


def test_the_assembled_root_is_the_root(tmp_path: Path) -> None:
    """It initialises and validates where it is put together, a second time as well, and infra/ stays as it is."""
    assemble(tmp_path, DEV)
    root = assemble(tmp_path, DEV)
    assert {path.name for path in root.glob("*.tf")} == {path.name for path in INFRA.glob("*.tf")} | {"backend_override.tf"}
    assert not (INFRA / "backend_override.tf").exists()

    mirror = provider_mirror()
    settings = {**os.environ, **terraform_settings(tmp_path / "data")}
    for verb in (["init", "-backend=false", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else [])], ["validate"]):
        done = subprocess.run(["terraform", f"-chdir={root}", *verb, "-no-color"], env=settings, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["deploy", ""], ["deploy", "test"], ["destroy", "production"]])
def test_an_environment_that_is_none_is_refused(arguments: list[str]) -> None:
    done = subprocess.run([".local/venv/bin/python", "-m", "tests.pipeline.deploy_aws", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "dev" in done.stderr and "staging" in done.stderr and "prod" in done.stderr
