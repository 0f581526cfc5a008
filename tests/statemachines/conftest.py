"""The state machine that a test module executes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .machine import Machine, machine


@pytest.fixture(scope="module")
def tested(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Returns the state machine of the module's NAME, ROUTES and INPUT."""
    module = request.module
    with machine(
        tmp_path_factory.mktemp("statemachines"), module.NAME, module.ROUTES, module.INPUT
    ) as ready:
        yield ready
