"""`make deploy` and `make destroy`: their commands in order, and what they reject."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dev import deploy_aws, offline_aws
from dev.deploy_aws import (
    Cli,
    DeployError,
    Target,
    Terraform,
    assemble,
    check_commit,
    check_packages,
    deploy,
    destroy,
    target_of,
)
from dev.http_stub import Stub, serve
from dev.images import Commit
from dev.package import FUNCTIONS, RECORD, ROOT
from dev.plan import ENVIRONMENTS, INFRA, PACKAGES, Planner, created
from dev.terraform import cloud_settings, init_arguments, terraform_settings

DEV = Target("dev", "eu-central-1", "123456789012", "shoplake-state-123456789012-eu-central-1")
PROD = Target("prod", "eu-central-1", "123456789012", "shoplake-state-123456789012-eu-central-1")
COMMIT = Commit("0123456789ab")
DIRTY = COMMIT.marked(True)
LOCK = ".terraform.lock.hcl"

# Records its arguments and prints the outputs.
FAKE_TERRAFORM = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *" output "*) echo "$OUTPUTS" ;; esac
"""
OUTPUTS = """{
  "functions": {"sensitive": false, "value": {"control": "shoplake-dev-control"}},
  "password": {"sensitive": true, "value": "secret"},
  "warehouse_grants": {"sensitive": false, "value": "GRANTS"}
}""".replace(
    "GRANTS",
    '{\\"WorkgroupName\\": \\"shoplake-dev\\", \\"Sqls\\": [\\"create role r\\", \\"grant r\\"]}',
)


class FakeAws:
    """Records its calls."""

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
    """Returns the file with the recorded Terraform commands."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(FAKE_TERRAFORM, "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    written = tmp_path / "calls"
    written.touch()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("CALLS", str(written))
    monkeypatch.setenv("OUTPUTS", OUTPUTS)
    monkeypatch.delenv("TF_VAR_connector_image_tag", raising=False)
    return written


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Returns a folder of fake packages of the commit for arm64."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for function in FUNCTIONS:
        pack(folder, function, 0xB7)
    (folder / "catalog.json").write_text("{}", "utf-8")
    built_from(folder, COMMIT)
    return folder


def built_from(folder: Path, commit: Commit) -> None:
    (folder / RECORD).write_text(json.dumps({"commit": commit.name}), "utf-8")


def pack(folder: Path, function: str, processor: int) -> None:
    content = io.BytesIO(b"\x7fELF".ljust(18, b"\0") + processor.to_bytes(2, "little"))
    with zipfile.ZipFile(folder / f"{function}.zip", "w") as archive:
        archive.writestr("bootstrap", content.read())


def verbs(calls: Path) -> list[str]:
    """Returns Terraform's verbs in order."""
    return [line.split()[1] for line in calls.read_text("utf-8").splitlines()]


def test_deploy_plans_applies_and_migrates(calls: Path, packages: Path, tmp_path: Path) -> None:
    aws = FakeAws()
    outputs = deploy(
        DEV,
        Terraform(DEV, tmp_path / "deploy", packages),
        aws,
        packages,
        COMMIT,
        ask=True,
        confirmed="shoplake-dev",
    )

    init, plan, apply, output = calls.read_text("utf-8").splitlines()
    root = tmp_path / "deploy" / "infra"
    assert init.startswith(f"-chdir={root} init -input=false -reconfigure")
    assert plan == (
        f"-chdir={root} plan -input=false -var-file={INFRA / 'environments' / 'dev.tfvars'}"
        f" -var=packages_dir={packages} -out={tmp_path / 'deploy' / 'plan'}"
    )
    assert apply == f"-chdir={root} apply -input=false {tmp_path / 'deploy' / 'plan'}"
    assert output == f"-chdir={root} output -json"
    assert aws.asked == [
        "select role_name from svv_roles where role_name = 'shoplake_pipeline'",
        "create role r",
        "grant r",
        "shoplake-dev-control migrate",
        "shoplake-dev-control sync_shops",
    ]
    assert "password" not in outputs


def test_grants_are_created_once(calls: Path, packages: Path, tmp_path: Path) -> None:
    aws = FakeAws(granted=True)
    deploy(
        DEV,
        Terraform(DEV, tmp_path / "deploy", packages),
        aws,
        packages,
        COMMIT,
        ask=False,
        confirmed=None,
    )
    assert [asked for asked in aws.asked if not asked.startswith("select")] == [
        "shoplake-dev-control migrate",
        "shoplake-dev-control sync_shops",
    ]


def test_deploy_without_confirmation_applies_nothing(
    calls: Path, packages: Path, tmp_path: Path
) -> None:
    aws = FakeAws()
    with pytest.raises(DeployError, match="CONFIRM=shoplake-dev"):
        deploy(
            DEV,
            Terraform(DEV, tmp_path / "deploy", packages),
            aws,
            packages,
            COMMIT,
            ask=True,
            confirmed=None,
        )
    assert verbs(calls) == ["init", "plan"]
    assert aws.asked == []


def test_missing_package_is_rejected(packages: Path) -> None:
    check_packages(packages, "arm64")
    (packages / "load.zip").unlink()
    with pytest.raises(DeployError, match=r"load\.zip is missing: run `make package ARCH=arm64`"):
        check_packages(packages, "arm64")


def test_package_of_another_architecture_is_rejected(packages: Path) -> None:
    pack(packages, "load", 0x3E)
    with pytest.raises(DeployError, match=r"load\.zip is built for x86_64, expected arm64"):
        check_packages(packages, "arm64")


def test_package_of_another_commit_is_rejected(calls: Path, packages: Path, tmp_path: Path) -> None:
    built_from(packages, Commit("ba9876543210"))
    with pytest.raises(
        DeployError,
        match="is built from ba9876543210, and this checkout is 0123456789ab: run `make package",
    ):
        deploy(
            DEV,
            Terraform(DEV, tmp_path / "deploy", packages),
            FakeAws(),
            packages,
            COMMIT,
            ask=False,
            confirmed=None,
        )
    assert verbs(calls) == []


def test_package_without_a_commit_is_rejected(packages: Path) -> None:
    (packages / RECORD).unlink()
    with pytest.raises(DeployError, match=f"{RECORD} is missing.*make package ARCH=arm64"):
        check_commit(packages, "arm64", COMMIT, strict=False)


@pytest.mark.parametrize(("built", "checkout"), [(COMMIT, DIRTY), (DIRTY, COMMIT), (DIRTY, DIRTY)])
def test_prod_rejects_uncommitted_changes(
    calls: Path,
    packages: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    built: Commit,
    checkout: Commit,
) -> None:
    built_from(packages, built)
    with pytest.raises(
        DeployError, match=f"{DIRTY.name}.*some files are not committed.*make package ARCH=arm64"
    ):
        deploy(
            PROD,
            Terraform(PROD, tmp_path / "deploy", packages),
            FakeAws(),
            packages,
            checkout,
            ask=False,
            confirmed=None,
        )
    assert verbs(calls) == []

    deploy(
        DEV,
        Terraform(DEV, tmp_path / "deploy", packages),
        FakeAws(),
        packages,
        checkout,
        ask=False,
        confirmed=None,
    )
    assert verbs(calls) == ["init", "plan", "apply", "output"]
    assert "WARNING" in capfd.readouterr().err


def test_prod_accepts_packages_of_its_commit(
    calls: Path, packages: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deploy(
        PROD,
        Terraform(PROD, tmp_path / "deploy", packages),
        FakeAws(),
        packages,
        COMMIT,
        ask=False,
        confirmed=None,
    )
    assert verbs(calls) == ["init", "plan", "apply", "output"]
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize("given", ["0123456789ab-arm64", "", None])
def test_image_tag_of_the_shell_overrides_the_file(
    calls: Path, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    if given is not None:
        monkeypatch.setenv("TF_VAR_connector_image_tag", given)
    Terraform(DEV, tmp_path / "deploy", packages).plan()
    words = calls.read_text("utf-8").split()
    assert [word for word in words if "connector_image_tag" in word] == (
        [f"-var=connector_image_tag={given}"] if given else []
    )
    if given:
        assert words.index(f"-var=connector_image_tag={given}") > words.index(
            f"-var-file={INFRA / 'environments' / 'dev.tfvars'}"
        )


@pytest.mark.parametrize("confirmed", [None, "", "yes", "prod", "shoplake-dev", "shoplake-prod "])
def test_destroy_of_prod_needs_its_exact_name(
    calls: Path, packages: Path, tmp_path: Path, confirmed: str | None
) -> None:
    with pytest.raises(DeployError, match="CONFIRM=shoplake-prod"):
        destroy(PROD, Terraform(PROD, tmp_path / "deploy", packages), confirmed=confirmed)
    assert verbs(calls) == []


def test_destroy_of_prod_accepts_its_name(calls: Path, packages: Path, tmp_path: Path) -> None:
    destroy(PROD, Terraform(PROD, tmp_path / "deploy", packages), confirmed="shoplake-prod")
    assert verbs(calls) == ["init", "plan", "apply"]
    assert " -destroy " in calls.read_text("utf-8").splitlines()[1]


def test_destroy_needs_no_packages_and_images(calls: Path, tmp_path: Path) -> None:
    destroy(
        DEV, Terraform(DEV, tmp_path / "deploy", tmp_path / "nothing"), confirmed="shoplake-dev"
    )
    plan = calls.read_text("utf-8").splitlines()[1]
    assert str(tmp_path / "nothing") not in plan
    assert f" -var=packages_dir={PACKAGES} -var=connector_image_tag=placeholder " in plan


def test_destroy_shows_the_plan_and_asks(calls: Path, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="CONFIRM=shoplake-dev"):
        destroy(DEV, Terraform(DEV, tmp_path / "deploy", packages), confirmed=None)
    assert verbs(calls) == ["init", "plan"]


def test_state_bucket_is_named_after_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_of("dev", FakeAws()) == DEV
    monkeypatch.setenv("STATE_BUCKET", "elsewhere")
    assert target_of("dev", FakeAws()).state_bucket == "elsewhere"


def test_each_environment_has_its_own_state() -> None:
    keys = {
        deploy_aws.backend(Target(environment, "eu-central-1", "1", "bucket"))
        for environment in ENVIRONMENTS
    }
    assert len(keys) == len(ENVIRONMENTS)


def test_assembled_root_is_valid(tmp_path: Path) -> None:
    """It initialises and validates where it is put together, a second time as well, and infra/
    stays as it is.
    """
    assemble(tmp_path, DEV)
    root = assemble(tmp_path, DEV)
    assert {path.name for path in root.glob("*.tf")} == {
        path.name for path in INFRA.glob("*.tf")
    } | {"backend_override.tf"}
    assert not (INFRA / "backend_override.tf").exists()

    settings = {**os.environ, **terraform_settings(tmp_path / "data")}
    for verb in (["init", "-backend=false", "-input=false", *init_arguments()], ["validate"]):
        done = subprocess.run(
            ["terraform", f"-chdir={root}", *verb, "-no-color"],
            env=settings,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (root / LOCK).read_text("utf-8") == (INFRA / LOCK).read_text("utf-8")


def test_provider_with_another_checksum_is_rejected(tmp_path: Path) -> None:
    root = assemble(tmp_path, DEV)
    locked = (root / LOCK).read_text("utf-8")
    (root / LOCK).write_text(re.sub(r'"(h1|zh):.{8}', r'"\1:00000000', locked), "utf-8")
    command = [
        "terraform",
        f"-chdir={root}",
        "init",
        "-backend=false",
        "-input=false",
        "-no-color",
        *init_arguments(),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, **terraform_settings(tmp_path / "data")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "checksums" in done.stderr


@pytest.mark.parametrize("root", ["infra", "infra/bootstrap"])
def test_lock_file_is_committed_with_the_pinned_provider(root: str) -> None:
    locked = (ROOT / root / LOCK).read_text("utf-8")
    assert (
        subprocess.run(
            ["git", "ls-files", "--error-unmatch", f"{root}/{LOCK}"], cwd=ROOT, capture_output=True
        ).returncode
        == 0
    )
    assert re.search(r'"h1:[A-Za-z0-9+/]{43}="', locked)
    (pinned,) = re.findall(
        r'version = "(5[0-9.]+)"', (ROOT / root / "versions.tf").read_text("utf-8")
    )
    assert f'version     = "{pinned}"' in locked


class Bucket(Stub):
    """A stub of S3 and STS for a state; records the requested encryption of each object."""

    objects: dict[str, bytes]
    encryption: dict[str, str | None]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "list-type" in url.query:
            self._answer(200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
        elif url.path in self.objects:
            self._answer(200, self.objects[url.path])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        path = urlsplit(self.path).path
        self.objects[path] = self.body()
        self.encryption[path] = self.headers.get("x-amz-server-side-encryption")
        self._answer(200)

    def do_DELETE(self) -> None:
        self.objects.pop(urlsplit(self.path).path, None)
        self._answer(204)

    def do_POST(self) -> None:
        self.body()
        self._answer(200, (offline_aws.answer("GetCallerIdentity", DEV.region) or "").encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.answer(status, body, {"Content-Type": "application/xml"})


@contextmanager
def bucket() -> Iterator[tuple[str, dict[str, str | None]]]:
    """Runs an endpoint with an empty bucket; yields it and the encryption of its objects."""
    encryption: dict[str, str | None] = {}
    handler = type("Handler", (Bucket,), {"objects": {}, "encryption": encryption})
    with serve(handler) as endpoint:
        yield endpoint, encryption


def written_state(backend: str, folder: Path) -> dict[str, str | None]:
    """Returns the encryption that Terraform requests for a state and its lock."""
    folder.mkdir()
    (folder / "main.tf").write_text(f'{backend}\noutput "one" {{\n  value = 1\n}}\n', "utf-8")
    with bucket() as (endpoint, encryption):
        settings = {
            **os.environ,
            **cloud_settings(endpoint, DEV.region, "test"),
            **terraform_settings(folder / "data"),
        }
        for verb in (["init", "-backend-config=use_path_style=true"], ["apply", "-auto-approve"]):
            done = subprocess.run(
                ["terraform", f"-chdir={folder}", *verb, "-input=false", "-no-color"],
                env=settings,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return encryption


def test_state_uses_the_encryption_of_its_bucket(tmp_path: Path) -> None:
    """A request that names no encryption gets the bucket's own, which the bootstrap sets to its
    key.
    """
    state = f"/{DEV.state_bucket}/shoplake-dev.tfstate"
    ours = deploy_aws.backend(DEV)
    assert written_state(ours, tmp_path / "ours") == {state: None, f"{state}.tflock": None}
    asked = ours.replace("use_lockfile", "encrypt = true\n    use_lockfile")
    assert written_state(asked, tmp_path / "asked") == {
        state: "AES256",
        f"{state}.tflock": "AES256",
    }


# Responds as the AWS CLI and records its arguments.
FAKE_CLI = """#!/bin/sh
echo "$AWS_MAX_ATTEMPTS $@" >> "$CALLS"
case "$1 $2" in
  "lambda invoke") for last; do :; done; case "$*" in *--payload*) ;; *) exit 1 ;; esac
    shift 2; while [ "$1" != --cli-read-timeout ]; do shift; done
    printf '%s' "$ANSWER" > "$3"; echo "$STATUS" ;;
  "redshift-data describe-statement") echo '{"Status": "FINISHED", "ResultRows": 3}' ;;
  "redshift-data "*) echo '{"Id": "one"}' ;;
esac
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the file with the recorded calls of the AWS CLI."""
    program = tmp_path / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(FAKE_CLI, "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("ANSWER", '{"applied": []}')
    monkeypatch.setenv("STATUS", '{"StatusCode": 200}')
    return tmp_path / "calls"


def test_control_is_invoked_once_with_a_long_timeout(cli: Path) -> None:
    assert Cli("eu-central-1").invoke("shoplake-dev-control", {"action": "migrate"}) == {
        "applied": []
    }
    (call,) = cli.read_text("utf-8").splitlines()
    longest = re.search(r"timeout_seconds = (\d+)", (INFRA / "control.tf").read_text("utf-8"))
    waits = re.search(r"--cli-read-timeout (\d+)", call)
    assert longest and waits and int(waits[1]) > int(longest[1])
    assert call.startswith("1 lambda invoke --function-name shoplake-dev-control")


def test_error_of_control_is_reported(cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER", '{"errorMessage": "the warehouse has migration 9"}')
    monkeypatch.setenv("STATUS", '{"StatusCode": 200, "FunctionError": "Unhandled"}')
    with pytest.raises(DeployError, match="the warehouse has migration 9"):
        Cli("eu-central-1").invoke("shoplake-dev-control", {"action": "migrate"})


def test_several_statements_are_one_transaction(cli: Path) -> None:
    assert Cli("eu-central-1").sql({"WorkgroupName": "shoplake-dev"}, "select 1") == 3
    assert Cli("eu-central-1").sql({"WorkgroupName": "shoplake-dev"}, "select 1", "select 2") == 3
    calls = cli.read_text("utf-8").splitlines()
    assert [re.findall(r"redshift-data (\S+)", call)[0] for call in calls] == [
        "execute-statement", "describe-statement", "batch-execute-statement", "describe-statement",
    ]  # fmt: skip
    assert '"Sqls": ["select 1", "select 2"]' in calls[2]


def test_deploy_needs_only_the_standard_library() -> None:
    """Deployments and builds of packages use the standard library: -S hides all other packages."""
    for module in ("deploy_aws", "images", "plan", "release"):
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import dev.{module}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("package", "plan", "deploy", "deploy-plan", "push-images", "outputs", "destroy"):
        (recipe,) = re.findall(rf"^{target}:([^\n]*)\n((?:\t[^\n]*\n)+)", makefile, re.MULTILINE)
        assert "setup" not in recipe[0].partition("##")[0] and "$(PYTHON)" not in recipe[1], target


def test_missing_credentials_are_reported() -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    settings |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # The AWS CLI of the environment.
    settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for more, what in (
        ({}, "Unable to locate credentials"),
        ({"AWS_PROFILE": "other"}, "The config profile (other) could not be found"),
    ):
        command = [sys.executable, "-m", "dev.deploy_aws", "outputs", "dev"]
        done = subprocess.run(
            command, cwd=ROOT, env=settings | more, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.startswith("AWS: ") and what in done.stderr
        assert "aws sts get-caller-identity" in done.stderr and "Traceback" not in done.stderr


SHOPS = 'connectors = { pos = { acme = { base_url = "https://pos.example.com" } } }\n'


def test_plan_needs_no_account_and_no_image_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connectors need images, and a deployment may be given their tag beside the files."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    shops = tmp_path / "shops.tfvars"
    shops.write_text(SHOPS, "utf-8")
    with Planner.of("dev", tmp_path, shops) as planner:
        assert created(planner.plan())["aws_ecs_task_definition"]


def test_image_tag_of_a_file_overrides_the_placeholder(tmp_path: Path) -> None:
    shops = tmp_path / "shops.tfvars"
    shops.write_text(SHOPS, "utf-8")
    placeholder, *rest = Planner.of("dev", tmp_path, shops).variables
    assert placeholder == "-var=connector_image_tag=placeholder"
    assert rest[1] == f"-var-file={shops}"
    assert not any("placeholder" in word for word in Planner.of("dev", tmp_path).variables), (
        "without connectors there is nothing to run"
    )


def test_local_cloud_settings_override_the_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        monkeypatch.setenv(name, "mine")
    settings = cloud_settings("http://127.0.0.1:1", "us-east-1", "test")
    assert "mine" not in settings.values()
    assert settings["AWS_PROFILE"] == settings["AWS_ROLE_ARN"] == ""
    assert settings["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "arguments", [["deploy", ""], ["deploy", "test"], ["destroy", "production"]]
)
def test_unknown_environment_is_rejected(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dev.deploy_aws", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "dev" in done.stderr and "staging" in done.stderr and "prod" in done.stderr
