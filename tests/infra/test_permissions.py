"""Each program's role allows what its sources call, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline.pipeline import SCHEMAS

from .calls import Package, calls_in, packages, reachable
from .permissions import CALLS, NOBODY, Permission, granted, needed
from .stack import Stack

Documents = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def workspace() -> dict[str, Package]:
    return packages()


def names(document: dict[str, Any]) -> dict[str, set[str]]:
    """What calls.toml's placeholders stand for."""
    datasets = [json.loads(path.read_text("utf-8"))["x-dataset"] for path in SCHEMAS.glob("*.json")]
    sources = {
        (source, dataset["delivery"])
        for dataset in datasets
        for source in ([dataset["source"]] if isinstance(dataset.get("source"), str) else dataset.get("source") or [])
    }
    polled = document["variables"].get("connectors", {}).get("value") or {}
    return {
        "sources": {source for source, _ in sources},
        "stream_sources": {source for source, delivery in sources if delivery == "stream"},
        "pos_shops": set(polled.get("pos", {})),
        "inventory_shops": set(polled.get("inventory", {})),
    }


@pytest.mark.parametrize("program", CALLS)
def test_the_role_allows_exactly_what_is_called(stack: Stack, document: dict[str, Any], program: str) -> None:
    allowed = granted(stack, program)
    assert allowed is not None, f"{program} has no role"
    wanted = needed(stack, program, CALLS[program], names(document))
    assert sorted(map(str, wanted - allowed)) == [], "missing"
    assert sorted(map(str, allowed - wanted)) == [], "not needed"


def test_every_program_is_listed(workspace: dict[str, Package]) -> None:
    assert {name for name, package in workspace.items() if package.runs} == set(CALLS)


@pytest.mark.parametrize("program", CALLS)
def test_the_list_names_what_the_sources_call(workspace: dict[str, Package], program: str) -> None:
    assert workspace[program].calls - set(CALLS[program]) == set(), "called, and not listed"
    assert set(CALLS[program]) - reachable(program, workspace) == set(), "listed, and never called"


def test_every_call_of_a_library_is_somebodys(workspace: dict[str, Package]) -> None:
    called = set().union(*(package.calls for package in workspace.values()))
    listed = set().union(*CALLS.values())
    assert called - listed == set(NOBODY)


# ---- the tests notice ------------------------------------------------------------------------------------------------


def doctored(documents: Documents, function: str, edit: Callable[[list[dict[str, Any]]], object]) -> set[Permission]:
    """What a role allows after its policy's statements were edited."""
    stack = Stack("prod", copy.deepcopy(documents("everything")))
    policy = next(each for each in stack.of("aws_iam_role_policy") if each.values["role"] == f"shoplake-prod-{function}")
    content = json.loads(policy.values["policy"])
    edit(content["Statement"])
    policy.values["policy"] = json.dumps(content)
    allowed = granted(stack, function)
    assert allowed is not None
    return allowed


def test_a_permission_that_is_gone_is_missing(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    allowed = doctored(documents, "conform", lambda all: all.remove(next(each for each in all if each["Sid"] == "WriteSilverAndQuarantine")))
    assert wanted - allowed == {Permission("s3:PutObject", "silver/*"), Permission("s3:PutObject", "quarantine/*")}


def test_a_wider_permission_is_noticed(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    wider = {"Sid": "More", "Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::shoplake-prod-lake-1/gold/*"}
    allowed = doctored(documents, "conform", lambda all: all.append(wider))
    assert allowed - wanted == {Permission("s3:GetObject", "gold/*"), Permission("s3:DeleteObject", "gold/*")}


def test_a_new_call_is_found_in_the_sources() -> None:
    source = """
        // client.get_object() in a comment is none
        let rows = self.client
            .query().table_name(TABLE)
            .send().await?;
        #[cfg(test)]
        mod tests {
            fn f() { client.put_item() }
        }
    """
    assert calls_in(source, {"aws-sdk-dynamodb": frozenset({"query", "put_item", "get_object"})}) == {"dynamodb.query"}
