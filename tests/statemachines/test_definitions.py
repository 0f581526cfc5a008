"""Every definition is valid Amazon States Language, as a validator of its own sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.npm import install, node

from .machine import DEFINITIONS, Json, definition

NAMES = sorted(path.name.removesuffix(".asl.json") for path in DEFINITIONS.glob("*.asl.json"))
NPM = Path(__file__).parent / "npm"


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Fails with what is wrong."""
    program = (
        install(NPM, "asl-validator", "a validator of state machines")
        / "node_modules/asl-validator/dist/bin/asl-validator.js"
    )
    folder = tmp_path_factory.mktemp("definitions")

    def validate(text: str) -> None:
        path = folder / "definition.json"
        path.write_text(text)
        node(program, "--json-path", path)

    return validate


def test_given_the_folder_then_its_machines_are_known() -> None:
    assert NAMES == ["bronze_to_silver", "silver_to_gold", "silver_to_gold_glue"]


@pytest.mark.parametrize("name", NAMES)
def test_given_a_definition_then_it_is_valid(validate: Callable[[str], None], name: str) -> None:
    validate(definition(name))


def leads_nowhere(machine: Json) -> None:
    machine["States"]["RunJob"]["Next"] = "Nowhere"


def is_never_reached(machine: Json) -> None:
    machine["States"]["Forgotten"] = {"Type": "Succeed"}


def has_no_type(machine: Json) -> None:
    del machine["States"]["ReadResult"]["Type"]


def retries_for_no_reason(machine: Json) -> None:
    del machine["States"]["RunJob"]["Retry"][0]["ErrorEquals"]


def keeps_its_result_at_no_path(machine: Json) -> None:
    machine["States"]["RunJob"]["ResultPath"] = "glue"


@pytest.mark.parametrize(
    "harm",
    [
        leads_nowhere,
        is_never_reached,
        has_no_type,
        retries_for_no_reason,
        keeps_its_result_at_no_path,
    ],
)
def test_given_a_definition_that_is_broken_then_it_is_not_valid(
    validate: Callable[[str], None], harm: Callable[[Json], None]
) -> None:
    machine = json.loads(definition("silver_to_gold_glue"))
    harm(machine)
    with pytest.raises(RuntimeError, match="asl-validator"):
        validate(json.dumps(machine))
