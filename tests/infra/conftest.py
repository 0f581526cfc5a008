"""The resolved plans of all environments, shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dev.plan import ENVIRONMENTS, INFRA, Planner
from tests.infra.catalog import packages_with_catalog
from tests.infra.resolved import resolved_plan
from tests.infra.stack import Stack

EVERYTHING = Path(__file__).with_name("everything.tfvars")

# Every environment with its variables, and prod with every optional part.
SCENARIOS = (*ENVIRONMENTS, "everything")
BOOTSTRAP = "bootstrap"
PLANS_AT_ONCE = 2

Documents = Callable[[str], dict[str, Any]]


def environment_of(scenario: str) -> str:
    """Returns the environment of a scenario."""
    return "prod" if scenario == "everything" else scenario


def planner_of(scenario: str, folder: Path, packages: Path) -> Planner:
    """Returns the planner of a scenario, or of the bootstrap root."""
    if scenario == BOOTSTRAP:
        shared = ",".join(f'"{environment}"' for environment in ENVIRONMENTS)
        variables = (
            f"-var={name}=[{shared}]"
            for name in ("environments", "environments_sharing_the_account")
        )
        return Planner(
            INFRA / "bootstrap",
            folder / scenario,
            "eu-central-1",
            "-var=github_repository=acme/shoplake",
            *variables,
        )
    more = [EVERYTHING] if scenario == "everything" else []
    return Planner.of(environment_of(scenario), folder / scenario, *more, packages=packages)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Placeholders of the functions' packages, and the catalog of all datasets and models."""
    return packages_with_catalog(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def documents(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, packages: Path
) -> Iterator[Documents]:
    """Returns a function from a scenario to its resolved plan.

    Plans of selected tests start at once, because each takes a minute of a core.
    """
    folder = tmp_path_factory.mktemp("plans")
    with ThreadPoolExecutor(PLANS_AT_ONCE) as pool:

        @cache
        def planned(scenario: str) -> Future[dict[str, Any]]:
            return pool.submit(resolved_plan, planner_of(scenario, folder, packages))

        selected = {
            item.callspec.params.get("scenario")
            for item in request.session.items
            if hasattr(item, "callspec")
        }
        for scenario in SCENARIOS:
            if scenario in selected:
                planned(scenario)
        yield lambda scenario: planned(scenario).result()
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    """Returns each scenario."""
    return str(request.param)


@pytest.fixture(scope="session")
def document(scenario: str, documents: Documents) -> dict[str, Any]:
    """Returns the scenario's resolved plan."""
    return documents(scenario)


@pytest.fixture(scope="session")
def stack(scenario: str, document: dict[str, Any]) -> Stack:
    """Returns the scenario's resources."""
    return Stack(environment_of(scenario), document)
