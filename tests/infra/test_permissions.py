"""Each program's role allows what its sources call, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dev.pipeline import SCHEMAS

from .calls import Package, calls_in, packages, reachable
from .conftest import Documents
from .permissions import ABSENT, CALLS, NOBODY, NOT_THERE, Permission, granted, needed
from .rust import Call, Source, read_text
from .stack import Resource, Stack


@pytest.fixture(scope="module")
def workspace() -> dict[str, Package]:
    return packages()


def names(document: dict[str, Any]) -> dict[str, set[str]]:
    """What calls.toml's placeholders stand for."""
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
    polled = document["variables"].get("connectors", {}).get("value") or {}
    return {
        "sources": {source for source, _ in sources},
        "stream_sources": {source for source, delivery in sources if delivery == "stream"},
        "pos_shops": set(polled.get("pos", {})),
        "inventory_shops": set(polled.get("inventory", {})),
        "oltp_shops": set(polled.get("oltp", {})),
    }


@pytest.mark.parametrize("program", CALLS)
def test_the_role_allows_exactly_what_is_called(
    stack: Stack, document: dict[str, Any], program: str
) -> None:
    allowed = granted(stack, program)
    assert allowed is not None, f"{program} has no role"
    wanted = needed(stack, program, CALLS[program], names(document))
    assert sorted(map(str, wanted - allowed)) == [], "missing"
    assert sorted(map(str, allowed - wanted)) == [], "not needed"


def test_every_program_is_listed(workspace: dict[str, Package]) -> None:
    assert {name for name, package in workspace.items() if package.runs} == set(CALLS)


@pytest.mark.parametrize("program", CALLS)
def test_the_list_names_what_the_sources_call(workspace: dict[str, Package], program: str) -> None:
    called = reachable(program, workspace)
    assert called - set(CALLS[program]) == set(), "called, and not listed"
    assert set(CALLS[program]) - called == set(), "listed, and never called"


def test_only_programs_look_for_what_is_not_there() -> None:
    assert set(ABSENT) <= set(CALLS)


def test_every_call_of_a_library_is_somebodys(workspace: dict[str, Package]) -> None:
    called = set().union(*(package.calls for package in workspace.values()))
    listed = set().union(*CALLS.values())
    assert called - listed == set(NOBODY)


# ---- the tests notice
# ------------------------------------------------------------------------------------------------


def doctored(
    documents: Documents, function: str, edit: Callable[[list[dict[str, Any]]], object]
) -> set[Permission]:
    """What a role allows after its policy's statements were edited."""
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


def test_a_permission_that_is_gone_is_missing(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    allowed = doctored(
        documents,
        "conform",
        lambda all: all.remove(
            next(each for each in all if each["Sid"] == "WriteSilverAndQuarantine")
        ),
    )
    assert wanted - allowed == {
        Permission("s3:PutObject", "silver/*"),
        Permission("s3:PutObject", "quarantine/*"),
    }


def test_a_wider_permission_is_noticed(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    wider = {
        "Sid": "More",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:DeleteObject"],
        "Resource": f"{LAKE}/gold/*",
    }
    allowed = doctored(documents, "conform", lambda all: all.append(wider))
    assert allowed - wanted == {
        Permission("s3:GetObject", "gold/*"),
        Permission("s3:DeleteObject", "gold/*"),
    }


LAKE = "arn:aws:s3:::shoplake-prod-lake-000000000000"
FOREIGN = "arn:aws:sqs:eu-central-1:111111111111:shoplake-prod-dirty"


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
            {"Action": "sqs:SendMessage", "Resource": FOREIGN},
            {f"sqs:SendMessage on {FOREIGN}"},
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
            {"s3:ListBucket on whatever {'StringNotLike': {'s3:prefix': 'gold/*'}} allows"},
        ),
    ],
)
def test_a_permission_on_something_else_is_noticed(
    documents: Documents, function: str, statement: dict[str, Any], more: set[str]
) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, function, CALLS[function], names(documents("everything")))
    allowed = doctored(
        documents, function, lambda all: all.append({"Sid": "More", "Effect": "Allow"} | statement)
    )
    assert set(map(str, allowed - wanted)) == more
    assert wanted <= allowed


def test_a_listing_without_a_prefix_is_told_from_one_with(documents: Documents) -> None:
    def strictly(all: list[dict[str, Any]]) -> None:
        statement = next(each for each in all if each["Sid"] == "ListBronze")
        statement["Condition"] = {"StringLike": statement["Condition"]["StringLikeIfExists"]}

    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    assert wanted - doctored(documents, "conform", strictly) == {
        Permission("s3:ListBucket", NOT_THERE)
    }


def test_another_key_is_noticed(documents: Documents) -> None:
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
    allowed = doctored(documents, "transform", exchange)
    assert {str(each) for each in wanted - allowed} == {
        "kms:Decrypt on the data key, by s3",
        "kms:GenerateDataKey on the data key, by s3",
    }
    assert {str(each) for each in allowed - wanted} == {
        "kms:Decrypt on the secrets key, by s3",
        "kms:GenerateDataKey on the secrets key, by s3",
    }


def test_what_is_denied_is_not_allowed(documents: Documents) -> None:
    stack = Stack("prod", documents("everything"))
    wanted = needed(stack, "conform", CALLS["conform"], names(documents("everything")))
    no_statement = {"Sid": "No", "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}
    assert doctored(documents, "conform", lambda all: all.append(no_statement)) == wanted
    one_less = {"Sid": "No", "Effect": "Deny", "Action": "s3:Put*", "Resource": f"{LAKE}/silver/*"}
    assert wanted - doctored(documents, "conform", lambda all: all.append(one_less)) == {
        Permission("s3:PutObject", "silver/*")
    }


def test_a_policy_that_is_attached_counts(documents: Documents) -> None:
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
        Permission("whatever it allows", "arn:aws:iam::000000000000:policy/more")
    }


@pytest.mark.parametrize(
    ("program", "at", "code", "operation"),
    [
        # A method of a port that it has, and did not use.
        ("conform", "handle", "self.lake.delete(&key).await?;", "s3.delete_object"),
        # Further down, in a library that it hands the port to.
        ("transform", "fetch", "store.list(key).await?;", "s3.list_objects_v2"),
        # A port that it did not have.
        ("load", "main", "S3Store::new(&sdk, bucket).get(key).await?;", "s3.get_object"),
        # An operation of its own.
        ("dispatch", "start", "self.client.stop_execution().send().await?;", "sfn.stop_execution"),
    ],
)
def test_a_new_call_is_noticed(
    workspace: dict[str, Package], program: str, at: str, code: str, operation: str
) -> None:
    changed = copy.deepcopy(workspace)
    if program == "load":
        changed["load"] = replace(
            changed["load"], dependencies=changed["load"].dependencies | {"shoplake-lake"}
        )
    for package in changed.values():
        package.source.functions = [
            replace(each, body=each.body + code) if each.name == at else each
            for each in package.source.functions
        ]
    assert operation in reachable(program, changed) - set(CALLS[program])


def test_a_call_that_is_gone_is_noticed(workspace: dict[str, Package]) -> None:
    changed = copy.deepcopy(workspace)
    source = changed["notify"].source
    source.functions = [
        replace(each, body=each.body.replace("self.topic.publish(", "drop("))
        for each in source.functions
    ]
    assert set(CALLS["notify"]) - reachable("notify", changed) == {"sns.publish"}


def test_tests_and_comments_call_nothing() -> None:
    source = Source()
    read_text(
        "package",
        """
        impl<'a, S: Store> Port for Adapter<'a, S> {
            // client.get_object() in a comment is none
            async fn rows(&self, lake: &S) -> Rows {
                let text = "client.get_object() { in a string";
                self.client
                    .query().table_name(TABLE)
                    .send().await
            }
        }
        #[cfg(test)]
        pub(crate) mod tests {
            fn f() { client.put_item() }
        }
        fn after() { lake.get(key).await }
        """,
        source,
    )
    rows, after = source.functions
    assert (rows.owner, rows.trait, rows.name, rows.is_async, after.owner) == (
        "Adapter",
        "Port",
        "rows",
        True,
        "",
    )
    assert calls_in(rows, {"aws-sdk-dynamodb": frozenset({"query", "put_item", "get_object"})}) == {
        "dynamodb.query"
    }
    assert after.calls == {Call("lake", "get", True)}
    assert "Store" in source.types["lake"]


def test_a_pointer_to_a_port_leads_to_that_port_alone() -> None:
    source = Source()
    text = "impl<T: Stream + ?Sized> Stream for Arc<T> { async fn put(&self) { (**self).put().await } }"
    read_text("package", text, source)
    (put,) = source.functions
    assert put.calls == {Call("self", "put", True)}
