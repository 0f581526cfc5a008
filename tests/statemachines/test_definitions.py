"""Every definition is valid Amazon States Language according to an independent validator."""

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
    """Returns a function that raises the validator's errors."""
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


def test_every_state_machine_is_validated() -> None:
    assert NAMES == ["bronze_to_silver", "silver_to_gold", "silver_to_gold_glue"]


@pytest.mark.parametrize("name", NAMES)
def test_definition_is_valid(validate: Callable[[str], None], name: str) -> None:
    validate(definition(name))


def next_state_is_missing(machine: Json) -> None:
    machine["States"]["RunJob"]["Next"] = "Missing"


def state_is_unreachable(machine: Json) -> None:
    machine["States"]["Unreachable"] = {"Type": "Succeed"}


def type_is_missing(machine: Json) -> None:
    del machine["States"]["ReadResult"]["Type"]


def retry_has_no_error(machine: Json) -> None:
    del machine["States"]["RunJob"]["Retry"][0]["ErrorEquals"]


def result_path_is_invalid(machine: Json) -> None:
    machine["States"]["RunJob"]["ResultPath"] = "glue"


@pytest.mark.parametrize(
    "break_definition",
    [
        next_state_is_missing,
        state_is_unreachable,
        type_is_missing,
        retry_has_no_error,
        result_path_is_invalid,
    ],
)
def test_invalid_definition_is_rejected(
    validate: Callable[[str], None], break_definition: Callable[[Json], None]
) -> None:
    machine = json.loads(definition("silver_to_gold_glue"))
    break_definition(machine)
    with pytest.raises(RuntimeError, match="asl-validator"):
        validate(json.dumps(machine))
