"""Commands and names in the documents exist, and environments set existing variables."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from dev.package import ROOT
from dev.plan import ENVIRONMENTS, INFRA, region_of

OPERATIONS = ROOT / "docs" / "operations"
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY")),
    INFRA / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
VARIABLES = set(
    re.findall(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text("utf-8"), re.MULTILINE)
)
OUTPUTS = set(
    re.findall(r'^output "(\w+)"', (INFRA / "outputs.tf").read_text("utf-8"), re.MULTILINE)
)
BOOTSTRAP_VARIABLES = set(
    re.findall(
        r'^variable "(\w+)"',
        (INFRA / "bootstrap" / "variables.tf").read_text("utf-8"),
        re.MULTILINE,
    )
)

# The sources of names. Tests of the infrastructure and the list of private terms are excluded: they
# have unknown names, too.
SOURCES = (
    "crates",
    "functions",
    "connectors",
    "glue-sql",
    "infra",
    "statemachines",
    "tests/e2e",
    "dev",
)
WORDS = ROOT / "dev" / "words.toml"
EXAMPLES = {"start_loyalty_connector"}
"""Names that the examples of CONTRIBUTING.md add."""
CODE = {".json", ".py", ".rs", ".sql", ".tf", ".tfvars", ".toml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert (
        set(re.findall(r"(?:^|[\s(`])make (?:--silent )?([a-z][a-z0-9-]+)", code)) - TARGETS
        == set()
    )
    assert set(re.findall(r"\bNAME=(\w+)", code)) - OUTPUTS == set()
    assert set(re.findall(r"terraform output (?:-raw |-json )?(\w+)", code)) - OUTPUTS == set()
    assert set(re.findall(r"\bTF_VAR_(\w+)", code)) - VARIABLES == set()


def unknown_names(text: str) -> set[str]:
    """Returns the names in backticks, `like_this`, that no source has."""
    return set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", text)) - words_of_the_code()


@cache
def words_of_the_code() -> set[str]:
    """Returns every word of the sources."""
    files = (
        path
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in CODE and path != WORDS
    )
    return {word for path in files for word in re.findall(r"\w+", path.read_text("utf-8"))}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_exist(document: Path) -> None:
    assert unknown_names(document.read_text("utf-8")) - EXAMPLES == set()


def test_unknown_name_is_detected() -> None:
    assert unknown_names("`warehouse_snapshot_days` and `make_shop_views`") == {"make_shop_views"}


@cache
def words_of_control() -> set[str]:
    """Returns every word in the sources of the control function and its library."""
    folders = (ROOT / "functions" / "control", ROOT / "crates" / "operations")
    paths = (path for folder in folders for path in folder.rglob("*.rs"))
    return {word for path in paths for word in re.findall(r"\w+", path.read_text("utf-8"))}


def unknown_actions(text: str) -> set[str]:
    """Returns the actions that a document requests from control and that control does not have."""
    actions = set(re.findall(r'"action":\s*"(\w+)"', text))
    return {
        action
        for action in actions
        if "".join(word.capitalize() for word in action.split("_")) not in words_of_control()
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_actions_of_control_exist(document: Path) -> None:
    assert unknown_actions(document.read_text("utf-8")) == set()


def test_unknown_action_is_detected() -> None:
    assert unknown_actions('{"action":"rotate_secret"} {"action":"rotate_secrets"}') == {
        "rotate_secrets"
    }


def unknown_marts(text: str) -> set[str]:
    """Returns the tables in queries of marts that no model has."""
    marts = {
        f"{model.parent.name}.{model.stem}"
        for model in (ROOT / "glue-sql").glob("*/*.sql")
        if model.parent.name not in ("checks", "intermediate", "warehouse")
    }
    schemas = "|".join({mart.partition(".")[0] for mart in marts})
    return set(re.findall(rf"\bfrom ((?:{schemas})\.\w+)", text)) - marts


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_marts_exist(document: Path) -> None:
    assert unknown_marts(document.read_text("utf-8")) == set()


def test_unknown_mart_is_detected() -> None:
    assert unknown_marts(
        "select 1 from finance.revenue_by_region, (select 1 from finance.revenue)"
    ) == {"finance.revenue"}


def test_bootstrap_variables_exist() -> None:
    given = set(re.findall(r"-var (\w+)=", (OPERATIONS / "DEPLOY.md").read_text("utf-8")))
    assert "region" in given
    assert given - BOOTSTRAP_VARIABLES == set()


def shell_functions(text: str) -> dict[str, str]:
    """Returns the shell functions of a document by name."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return {
        name: body
        for block in blocks
        for name, body in re.findall(
            r"^(\w+)\(\) (\{[^\n]*\}|\{.*?\n\})$", block, re.MULTILINE | re.DOTALL
        )
    }


def test_shell_functions_are_the_same_in_all_documents() -> None:
    first, second = (
        shell_functions((OPERATIONS / name).read_text("utf-8"))
        for name in ("DEPLOY.md", "RUNBOOK.md")
    )
    assert {"ask", "control"} <= first.keys() & second.keys()
    assert {name for name in first.keys() & second.keys() if first[name] != second[name]} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_have_targets(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_sets_existing_variables(environment: str) -> None:
    """Terraform only warns about unknown variables."""
    text = (INFRA / "environments" / f"{environment}.tfvars").read_text("utf-8")
    assert set(re.findall(r"^(\w+)\s*=", text, re.MULTILINE)) <= VARIABLES
    assert f'environment = "{environment}"' in text
    assert region_of(environment)
