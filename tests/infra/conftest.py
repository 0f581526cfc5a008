"""The stack of each environment, settled once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.infra.settled import settled_plan
from tests.infra.stack import Stack
from tests.pipeline.plan import ENVIRONMENTS, Planner

EVERYTHING = Path(__file__).with_name("everything.tfvars")

# The environments as they are, and prod with every optional part switched on.
SCENARIOS = (*ENVIRONMENTS, "everything")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settled plans by scenario, each made when it is first asked for."""
    folder = tmp_path_factory.mktemp("plans")

    @cache
    def document(scenario: str) -> dict[str, Any]:
        if scenario == "everything":
            return settled_plan(Planner.of("prod", folder / scenario, EVERYTHING))
        return settled_plan(Planner.of(scenario, folder))

    return document


@pytest.fixture(scope="session", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    """Each scenario in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def document(scenario: str, documents: Any) -> dict[str, Any]:
    """The scenario's settled plan."""
    return documents(scenario)


@pytest.fixture(scope="session")
def stack(scenario: str, document: dict[str, Any]) -> Stack:
    """What the scenario deploys."""
    return Stack("prod" if scenario == "everything" else scenario, document)
