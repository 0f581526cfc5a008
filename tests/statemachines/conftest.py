"""The machine that a module of tests is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .machine import Machine, machine


@pytest.fixture(scope="module")
def tested(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Of the module's NAME, ROUTES and INPUT."""
    about = request.module
    with machine(
        tmp_path_factory.mktemp("statemachines"), about.NAME, about.ROUTES, about.INPUT
    ) as ready:
        yield ready
