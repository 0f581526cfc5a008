"""checkov has no finding without a skip comment and a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dev.package import ROOT
from dev.tools import checkov

SKIP = re.compile(r"#\s*checkov:skip=(?P<check>[A-Z0-9_]+)(?P<reason>.*)")
REASON_WORDS = 4


def results(folder: Path, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """What checkov finds in a folder, and what it finds right. It looks at the files only: no
    modules are fetched, no network is used.
    """
    answer = subprocess.run(
        [
            checkov(),
            "--directory",
            folder,
            "--framework",
            "terraform",
            "--skip-download",
            "--compact",
            "--output",
            "json",
            *arguments,
        ],
        env={
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("BC_", "PRISMA_"))
        }
        | {"LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
    )
    try:
        report = json.loads(answer.stdout)
    except json.JSONDecodeError:
        raise AssertionError(
            f"checkov failed with {answer.returncode}:\n"
            f"{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"
        ) from None
    found = report.get("results", {})
    # Terraform's tests deploy nothing, and checkov cannot parse all of their syntax.
    unread = [path for path in found.get("parsing_errors", []) if not path.endswith(".tftest.hcl")]
    assert unread == [], "checkov cannot read these"
    return {kind: found.get(kind, []) for kind in ("failed_checks", "passed_checks")}


def described(finding: dict[str, Any]) -> str:
    """Returns a finding in one line."""
    check = f"{finding['check_id']} {finding['check_name']}"
    return f"{check}: {finding['resource']} ({finding['file_path']})"


@pytest.fixture(scope="module")
def of_infra() -> dict[str, list[dict[str, Any]]]:
    return results(ROOT / "infra")


def test_every_finding_has_a_skip_comment(of_infra: dict[str, list[dict[str, Any]]]) -> None:
    found = {described(finding) for finding in of_infra["failed_checks"]}
    assert not found, (
        "fix it, or add to the resource: #checkov:skip=<check>: <reason>\n"
        + "\n".join(sorted(found))
    )


def test_both_roots_are_checked(of_infra: dict[str, list[dict[str, Any]]]) -> None:
    """Without files there would be no findings either."""
    looked_at = {
        Path(check["file_path"]).parent.relative_to("/") for check in of_infra["passed_checks"]
    }
    assert {Path(), Path("bootstrap"), Path("modules/keys")} <= looked_at


def test_every_skip_comment_has_a_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "infra").rglob("*.tf")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if (skip := SKIP.search(line))
        and (not skip["reason"].startswith(":") or len(skip["reason"].split()) < REASON_WORDS)
    ]
    assert bare == []


def test_finding_is_detected(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        'resource "aws_sqs_queue" "open" {\n  name = "open"\n}\n', "utf-8"
    )
    assert "CKV_AWS_27" in {finding["check_id"] for finding in results(tmp_path)["failed_checks"]}


def test_unreadable_file_is_detected(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('resource "aws_sqs_queue" "open" {', "utf-8")
    with pytest.raises(AssertionError, match="cannot read"):
        results(tmp_path)


def test_empty_folder_has_no_results(tmp_path: Path) -> None:
    assert results(tmp_path) == {"failed_checks": [], "passed_checks": []}


@pytest.mark.parametrize("line", ["#checkov:skip=CKV_AWS_1", "#checkov:skip=CKV_AWS_1: no"])
def test_skip_comment_without_reason_is_detected(line: str) -> None:
    skip = SKIP.search(line)
    assert skip and len(skip["reason"].split()) < REASON_WORDS
