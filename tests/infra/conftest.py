"""What the environments deploy, planned once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.infra.settled import settled_plan
from tests.infra.stack import Stack
from tests.pipeline.plan import Planner

EVERYTHING = Path(__file__).with_name("everything.tfvars")

# What the rules look at: the least that an environment is, and prod with every optional part switched on. Their plans are
# settled, which takes minutes; those of the other environments, which lie between the two, are not.
SCENARIOS = ("dev", "everything")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Plans by scenario or environment, each made when it is first asked for."""
    folder = tmp_path_factory.mktemp("plans")

    @cache
    def document(scenario: str) -> dict[str, Any]:
        if scenario == "everything":
            return settled_plan(Planner.of("prod", folder / scenario, EVERYTHING))
        if scenario in SCENARIOS:
            return settled_plan(Planner.of(scenario, folder))
        with Planner.of(scenario, folder) as planner:
            return planner.plan()

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
