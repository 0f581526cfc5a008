"""The deploy workflow: what it runs exists, what it uses is pinned, and a pull request gets no
credentials.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.deploy_aws import BESIDE_THE_ROOT
from dev.package import ROOT
from dev.plan import ENVIRONMENTS

from .test_documents import DOCUMENTS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")


def read(path: Path) -> dict[Any, Any]:
    """Returns a workflow. YAML parses the key `on` as a boolean."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content | {"on": content.pop(True, content.get("on"))}


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def unguarded_pipes(workflow: dict[Any, Any]) -> list[str]:
    """Commands that a pipe takes the failure of. GitHub gives bash `-o pipefail` only where `shell:
    bash` is asked for by name.
    """
    return [
        step["run"]
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if re.search(r"[^|]\|[^|]", step.get("run", ""))
        and step.get("shell", _shell(job) or _shell(workflow)) != "bash"
    ]


def _shell(where: dict[Any, Any]) -> str | None:
    shell: str | None = where.get("defaults", {}).get("run", {}).get("shell")
    return shell


@pytest.fixture
def deploy() -> dict[Any, Any]:
    return read(ROOT / ".github" / "workflows" / "deploy.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_existing_targets(path: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    used = {
        target
        for step in steps(read(path))
        for target in re.findall(r"\bmake ([a-z0-9-]+)", step.get("run", ""))
    }
    assert used and used <= targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    assert [
        step["uses"]
        for step in steps(read(path))
        if "uses" in step and not PINNED.match(step["uses"])
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_pipes_do_not_hide_failures(path: Path) -> None:
    assert unguarded_pipes(read(path)) == []


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ({"run": "make plan | tee plan.txt"}, True),
        ({"run": "make plan | tee plan.txt", "shell": "sh"}, True),
        ({"run": "make plan | tee plan.txt", "shell": "bash"}, False),
        ({"run": "make plan || exit 1"}, False),
    ],
)
def test_pipe_that_hides_a_failure_is_detected(step: dict[str, str], found: bool) -> None:
    workflow = {"jobs": {"plan": {"steps": [step]}}}
    assert unguarded_pipes(workflow) == ([step["run"]] if found else [])
    assert unguarded_pipes(workflow | {"defaults": {"run": {"shell": "bash"}}}) == (
        [step["run"]] if step.get("shell") == "sh" else []
    )


def test_every_deployed_environment_is_planned(deploy: dict[Any, Any]) -> None:
    members = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]["members"]
    folders = {member.partition("/")[0] for member in members} | {
        *BESIDE_THE_ROOT,
        ".github/workflows",
        "docs",
        "infra",
        "tests",
    }
    files = {
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "rust-toolchain.toml",
        ".dockerignore",
        *(document.name for document in DOCUMENTS if document.parent == ROOT),
    }
    assert (
        set(deploy["on"]["pull_request"]["paths"]) == {f"{folder}/**" for folder in folders} | files
    )


def test_only_the_deploy_job_has_credentials(deploy: dict[Any, Any]) -> None:
    assert deploy["permissions"] == {"contents": "read"}
    assert [
        name
        for name, job in deploy["jobs"].items()
        if "environment" in job or "id-token" in job.get("permissions", {})
    ] == ["deploy"]
    assert (
        deploy["jobs"]["deploy"]["if"]
        == "github.event_name == 'push' || github.event_name == 'workflow_dispatch'"
    )
    assert deploy["on"]["push"]["branches"] == ["main"]


def test_pull_request_is_planned_and_tested(deploy: dict[Any, Any]) -> None:
    assert deploy["jobs"]["plan"]["if"] == "github.event_name == 'pull_request'"
    ci = read(ROOT / ".github" / "workflows" / "ci.yml")
    assert ci["on"] == {"pull_request": None}, "of every path"
    assert ci["permissions"] == {"contents": "read"}
    assert {"lint", "unit", "parity"} <= made(ci["jobs"].values())


def test_deploy_job_assumes_a_role_and_runs_alone(deploy: dict[Any, Any]) -> None:
    job = deploy["jobs"]["deploy"]
    assert job["permissions"]["id-token"] == "write"
    assert job["concurrency"]["cancel-in-progress"] is False
    signing_in = next(
        step
        for step in job["steps"]
        if step.get("uses", "").startswith("aws-actions/configure-aws-credentials@")
    )
    assert "role-to-assume" in signing_in["with"]
    assert not any("secret" in name for name in signing_in["with"])
    assert deploy["on"]["workflow_dispatch"]["inputs"]["environment"]["options"] == list(
        ENVIRONMENTS
    )


def made(jobs: Iterable[dict[str, Any]]) -> set[str]:
    """Returns the targets that jobs make."""
    return {
        target
        for job in jobs
        for step in job["steps"]
        for words in re.findall(r"(?<=make )[a-z -]+", step.get("run", ""))
        for target in words.split()
    }


def untested(workflow: dict[Any, Any]) -> list[str]:
    """Returns the targets that a deployment does not wait for: all tests, and the packages."""
    jobs = workflow["jobs"]
    return sorted(
        {"test", "package"} - made(jobs[name] for name in jobs["deploy"].get("needs", []))
    )


def test_deploy_job_needs_the_tests(deploy: dict[Any, Any]) -> None:
    assert untested(deploy) == []
    del deploy["jobs"]["deploy"]["needs"][0]
    assert untested(deploy) == ["test"]


def beside_credentials(workflow: dict[Any, Any]) -> list[str]:
    """Returns the steps with third-party code in the job with credentials."""
    steps = workflow["jobs"]["deploy"]["steps"]
    used = [step["uses"].partition("@")[0] for step in steps if "uses" in step]
    made = [
        target for step in steps for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))
    ]
    foreign = [
        step["run"]
        for step in steps
        if re.search(r"\b(pip|npm|npx|cargo|curl|wget)\b", step.get("run", ""))
    ]
    known = {
        "actions/checkout",
        "actions/download-artifact",
        "aws-actions/configure-aws-credentials",
        "hashicorp/setup-terraform",
    }
    return sorted({*used} - known) + sorted({*made} - {"deploy", "push-images"}) + foreign


def test_deploy_job_installs_nothing(deploy: dict[Any, Any]) -> None:
    assert beside_credentials(deploy) == []
    deploy["jobs"]["deploy"]["steps"].append({"run": "make package && pip install boto3"})
    assert beside_credentials(deploy) == ["package", "make package && pip install boto3"]


def test_deployed_packages_are_the_built_ones(deploy: dict[Any, Any]) -> None:
    given, taken = (
        next(
            step["with"]
            for job in deploy["jobs"].values()
            for step in job["steps"]
            if step.get("uses", "").startswith(f"actions/{verb}-artifact@")
        )
        for verb in ("upload", "download")
    )
    assert (
        (given["name"], given["path"])
        == (taken["name"], taken["path"])
        == ("packages", ".local/packages")
    )
    assert given["include-hidden-files"] is True, "the folder's name begins with a dot"
