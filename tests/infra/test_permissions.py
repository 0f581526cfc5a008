"""Each program's role allows exactly the calls that calls.toml lists for it.

The end-to-end tests compare calls.toml with the recorded calls of each program
(tests/e2e/test_calls.py).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.images import CONNECTORS
from dev.package import ROOT
from dev.pipeline import SCHEMAS

from .conftest import Documents
from .permissions import ABSENT, CALLS, MISSING_OBJECT, Permission, by_program, granted, needed
from .stack import Resource, Stack


def programs() -> set[str]:
    """Returns the deployed programs: every function, and every connector but the library."""
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml")}
    connectors = {path.parent.name for path in (ROOT / "connectors").glob("*/Cargo.toml")}
    return functions | {f"{name}-connector" for name in connectors - {"common"}}


def polled(document: dict[str, Any]) -> dict[str, set[str]]:
    """Returns the shops of each connector."""
    shops = document["variables"].get("connectors", {}).get("value") or {}
    return {connector: set(shops.get(connector, {})) for connector in CONNECTORS}


def names(document: dict[str, Any]) -> dict[str, set[str]]:
    """Returns the values of calls.toml's placeholders."""
    datasets = [json.loads(path.read_text("utf-8"))["x-dataset"] for path in SCHEMAS.glob("*.json")]
    sources = {
        (source, dataset["delivery"])
        for dataset in datasets
        for source in (
            [dataset["source"]]
            if isinstance(dataset.get("source"), str)
            else dataset.get("source") or []
        )
    }
    return {
        "sources": {source for source, _ in sources},
        "stream_sources": {source for source, delivery in sources if delivery == "stream"},
        **{f"{connector}_shops": shops for connector, shops in polled(document).items()},
    }


@pytest.mark.parametrize("program", CALLS)
def test_role_allows_exactly_the_declared_calls(
    stack: Stack, document: dict[str, Any], program: str
) -> None:
    allowed = granted(stack, program)
    assert allowed is not None, f"{program} has no role"
    wanted = needed(stack, program, CALLS[program], names(document))
    assert sorted(map(str, wanted - allowed)) == [], "missing"
    assert sorted(map(str, allowed - wanted)) == [], "not needed"


def test_every_program_is_listed() -> None:
    assert programs() == set(CALLS)


def test_absent_prefixes_belong_to_listed_programs() -> None:
    assert set(ABSENT) <= set(CALLS)


def test_every_connector_polls_a_shop_in_everything(documents: Documents) -> None:
    """Otherwise no plan has the permission to read its token."""
    assert [name for name, shops in polled(documents("everything")).items() if not shops] == []


def test_a_connector_has_the_common_calls_with_its_name() -> None:
    listed = {
        "connector": {"ssm.get_parameter": ["parameter/connectors/{connector}/{shops}/token"]},
        "absent": {"connector": ["state/connectors/{connector}/*"]},
    }
    calls, absent = by_program(listed, {"loyalty": "loyalty-connector"})
    assert calls == {
        "loyalty-connector": {
            "ssm.get_parameter": ["parameter/connectors/loyalty/{loyalty_shops}/token"]
        }
    }
    assert absent == {"loyalty-connector": ["state/connectors/loyalty/*"]}


# ---- the tests detect errors ---------------------------------------------------------------------


def granted_after(
    documents: Documents, function: str, edit: Callable[[list[dict[str, Any]]], object]
) -> set[Permission]:
    """Returns what a role allows after an edit of its policy's statements."""
    stack = copy.deepcopy(Stack("prod", documents("everything")))
    policy = next(
        each
        for each in stack.of("aws_iam_role_policy")
        if each.values["role"] == f"shoplake-prod-{function}"
    )
    content = json.loads(policy.values["policy"])
    edit(content["Statement"])
    policy.values["policy"] = json.dumps(content)
    allowed = granted(stack, function)
    assert allowed is not None
    return allowed


def test_missing_permission_is_detected(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    allowed = granted_after(
        documents,
        "conform",
        lambda all: all.remove(
            next(each for each in all if each["Sid"] == "WriteSilverAndQuarantine")
        ),
    )
    assert wanted - allowed == {
        Permission("s3:PutObject", "silver/*"),
        Permission("s3:PutObject", "quarantine/*"),
        Permission("s3:PutObject", "state/conformed/*"),
    }


def test_wider_permission_is_detected(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    wider = {
        "Sid": "More",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:DeleteObject"],
        "Resource": f"{LAKE}/gold/*",
    }
    allowed = granted_after(documents, "conform", lambda all: all.append(wider))
    assert allowed - wanted == {
        Permission("s3:GetObject", "gold/*"),
        Permission("s3:DeleteObject", "gold/*"),
    }


LAKE = "arn:aws:s3:::shoplake-prod-lake-000000000000"
OTHER_ACCOUNT_QUEUE = "arn:aws:sqs:eu-central-1:111111111111:shoplake-prod-dirty"


@pytest.mark.parametrize(
    ("function", "statement", "more"),
    [
        (
            "conform",
            {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/silver/*"},
            {"s3:PutObject on arn:aws:s3:::*/silver/*"},
        ),
        (
            "conform",
            {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::elsewhere/silver/*"},
            {"s3:PutObject on arn:aws:s3:::elsewhere/silver/*"},
        ),
        (
            "transform",
            {"Action": "sqs:SendMessage", "Resource": OTHER_ACCOUNT_QUEUE},
            {f"sqs:SendMessage on {OTHER_ACCOUNT_QUEUE}"},
        ),
        (
            "transform",
            {"Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:*:*:shoplake-prod-dirty"},
            {"sqs:SendMessage on arn:aws:sqs:*:*:shoplake-prod-dirty"},
        ),
        ("conform", {"Action": "s3:ListBucket", "Resource": LAKE}, {"s3:ListBucket on *"}),
        (
            "conform",
            {
                "Action": "s3:ListBucket",
                "Resource": LAKE,
                "Condition": {"StringLike": {"s3:prefix": ["bronze/*", "gold/*"]}},
            },
            {"s3:ListBucket on gold/*"},
        ),
        (
            "conform",
            {
                "Action": "s3:ListBucket",
                "Resource": LAKE,
                "Condition": {"StringNotLike": {"s3:prefix": "gold/*"}},
            },
            {"s3:ListBucket on prefixes by {'StringNotLike': {'s3:prefix': 'gold/*'}}"},
        ),
    ],
)
def test_permission_on_another_resource_is_detected(
    documents: Documents, function: str, statement: dict[str, Any], more: set[str]
) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, function, CALLS[function], names(documents("everything")))
    allowed = granted_after(
        documents, function, lambda all: all.append({"Sid": "More", "Effect": "Allow"} | statement)
    )
    assert set(map(str, allowed - wanted)) == more
    assert wanted <= allowed


def test_listing_without_prefix_is_a_permission_of_its_own(documents: Documents) -> None:
    def strictly(all: list[dict[str, Any]]) -> None:
        statement = next(each for each in all if each["Sid"] == "ListBronze")
        statement["Condition"] = {"StringLike": statement["Condition"]["StringLikeIfExists"]}

    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    assert wanted - granted_after(documents, "conform", strictly) == {
        Permission("s3:ListBucket", MISSING_OBJECT)
    }


def test_use_of_another_key_is_detected(documents: Documents) -> None:
    def exchange(all: list[dict[str, Any]]) -> None:
        statement = next(each for each in all if each["Sid"] == "UseTheLakesKey")
        statement["Resource"] = secrets

    document = documents("everything")
    stack = Stack("prod", document)
    secrets = next(
        key.values["arn"]
        for key in stack.of("aws_kms_key")
        if key.address == "module.keys.aws_kms_key.secrets"
    )
    wanted = needed(stack, "transform", CALLS["transform"], names(document))
    allowed = granted_after(documents, "transform", exchange)
    assert {str(each) for each in wanted - allowed} == {
        "kms:Decrypt on the data key, by s3",
        "kms:GenerateDataKey on the data key, by s3",
    }
    assert {str(each) for each in allowed - wanted} == {
        "kms:Decrypt on the secrets key, by s3",
        "kms:GenerateDataKey on the secrets key, by s3",
    }


def test_denied_action_is_not_allowed(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    unrelated_deny = {"Sid": "No", "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}
    assert granted_after(documents, "conform", lambda all: all.append(unrelated_deny)) == wanted
    deny_silver = {
        "Sid": "No",
        "Effect": "Deny",
        "Action": "s3:Put*",
        "Resource": f"{LAKE}/silver/*",
    }
    assert wanted - granted_after(documents, "conform", lambda all: all.append(deny_silver)) == {
        Permission("s3:PutObject", "silver/*")
    }


def test_attached_policy_is_counted(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    attached = {
        "role": "shoplake-prod-conform",
        "policy_arn": "arn:aws:iam::000000000000:policy/more",
    }
    before = granted(stack, "conform")
    stack.resources.append(Resource("new", "aws_iam_role_policy_attachment", attached))
    after = granted(stack, "conform")
    assert before is not None and after is not None
    assert after - before == {
        Permission("all permissions of", "arn:aws:iam::000000000000:policy/more")
    }
