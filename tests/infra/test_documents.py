"""What the documents tell people to type exists, and what the environments set is a variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pipeline.package import ROOT
from tests.pipeline.plan import ENVIRONMENTS, INFRA, region_of

DOCUMENTS = [ROOT / "README.md", *sorted(INFRA.glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
VARIABLES = set(re.findall(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text("utf-8"), re.MULTILINE))
OUTPUTS = set(re.findall(r'^output "(\w+)"', (INFRA / "outputs.tf").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(re.findall(r"(?:^|[\s(`])make (?:--silent )?([a-z][a-z0-9-]+)", code)) - TARGETS == set()
    assert set(re.findall(r"\bNAME=(\w+)", code)) - OUTPUTS == set()
    assert set(re.findall(r"terraform output (?:-raw |-json )?(\w+)", code)) - OUTPUTS == set()
    assert set(re.findall(r"\bTF_VAR_(\w+)", code)) - VARIABLES == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_sets_variables_that_exist(environment: str) -> None:
    """Terraform itself only warns."""
    text = (INFRA / "environments" / f"{environment}.tfvars").read_text("utf-8")
    assert set(re.findall(r"^(\w+)\s*=", text, re.MULTILINE)) <= VARIABLES
    assert f'environment = "{environment}"' in text
    assert region_of(environment)
