"""The runbook covers every alarm, and its commands and queries name existing resources."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from dev.package import ROOT

from .stack import Resource, Stack

RUNBOOK = (ROOT / "docs" / "operations" / "RUNBOOK.md").read_text("utf-8")
METRICS = (ROOT / "crates" / "platform" / "src" / "metrics.rs").read_text("utf-8")
PREFIX = "shoplake-prod-"

# The text before a name in a command, and the resource that it names.
NAMED = {
    "--delivery-stream-name": ("aws_kinesis_firehose_delivery_stream", "name"),
    "--event-bus-name": ("aws_cloudwatch_event_bus", "name"),
    "--function-name": ("aws_lambda_function", "function_name"),
    "--job-name": ("aws_glue_job", "name"),
    "--name-prefix": ("aws_cloudwatch_event_rule", "name"),
    "--namespace-name": ("aws_redshiftserverless_namespace", "namespace_name"),
    "--queue-name": ("aws_sqs_queue", "name"),
    "--rule": ("aws_cloudwatch_event_rule", "name"),
    "--workgroup-name": ("aws_redshiftserverless_workgroup", "workgroup_name"),
    "describe-rule --name": ("aws_cloudwatch_event_rule", "name"),
    "logs tail": ("aws_cloudwatch_log_group", "name"),
    "namespaceName==": ("aws_redshiftserverless_namespace", "namespace_name"),
    "stateMachines[?name==": ("aws_sfn_state_machine", "name"),
    "Athena, workgroup": ("aws_athena_workgroup", "name"),
    "export LAKE=": ("aws_s3_bucket", "bucket"),
    "Alarms are named": ("aws_cloudwatch_metric_alarm", "alarm_name"),
    "publishes to the topic": ("aws_sns_topic", "name"),
    "and the rule": ("aws_cloudwatch_event_rule", "name"),
    # The folder of the saved queries, and the environment itself.
    "Queries, folder": ("aws_cloudwatch_query_definition", "name"),
    "export P=": ("aws_cloudwatch_event_bus", "name"),
}
# The name is a prefix here.
BEGINNINGS = ("--name-prefix", "Queries, folder")
# The runbook's functions, and the command that uses their argument.
FUNCTIONS = {
    "errors": "aws logs tail /aws/lambda/$P-",
    "url": "aws sqs get-queue-url --queue-name $P-",
}


def sections() -> list[str]:
    """Returns the alarm sections of the runbook."""
    alarms = re.findall(r"^## Alarms: .*?(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    return re.findall(r"^### (.+)$", "".join(alarms), re.MULTILINE)


def section_of(alarm: str) -> list[str]:
    """Returns the sections of an alarm's name without the prefix."""
    return [
        section for section in sections() if alarm == section or alarm.startswith(f"{section}-")
    ]


@pytest.fixture(scope="module")
def stack(documents: Callable[[str], dict[str, Any]]) -> Stack:
    """Returns the stack with every optional part."""
    return Stack("prod", documents("everything"))


@pytest.fixture(scope="module")
def alarms(stack: Stack) -> dict[str, Resource]:
    """Returns its alarms by name without the prefix."""
    return {
        alarm.values["alarm_name"].removeprefix(PREFIX): alarm
        for alarm in stack.of("aws_cloudwatch_metric_alarm")
    }


def test_every_alarm_has_one_section(alarms: dict[str, Resource]) -> None:
    assert {name: section_of(name) for name in alarms if len(section_of(name)) != 1} == {}


def test_every_section_has_an_alarm(alarms: dict[str, Resource]) -> None:
    described = {section for name in alarms for section in section_of(name)}
    assert sorted(set(sections()) - described) == []


def test_alarm_description_names_its_section(alarms: dict[str, Resource]) -> None:
    for name, alarm in alarms.items():
        assert (
            f"docs/operations/RUNBOOK.md, {section_of(name)[0]}."
            in alarm.values["alarm_description"]
        )


def test_every_section_has_look_and_do() -> None:
    for section in sections():
        text = RUNBOOK.split(f"### {section}\n", 1)[1].split("\n#", 1)[0]
        assert re.search(r"^Look", text, re.MULTILINE) or "where to look" in text, section
        assert re.search(r"^Do[:,]", text, re.MULTILINE) or "do again" in text, section


def test_every_named_saved_query_exists(stack: Stack) -> None:
    saved = {
        query.values["name"].split("/", 1)[1]
        for query in stack.of("aws_cloudwatch_query_definition")
    }
    named = set(re.findall(r"[Ss]aved query \*([^*]+)\*", RUNBOOK))
    assert named, "the runbook names no saved query"
    assert sorted(named - saved) == []


def test_queried_log_messages_exist(stack: Stack) -> None:
    """A query or a metric filter for a message that no function logs would find nothing."""
    sources = "".join(
        path.read_text("utf-8")
        for folder in ("crates", "functions")
        for path in (ROOT / folder).rglob("*.rs")
    )
    queries = " ".join(
        query.values["query_string"] for query in stack.of("aws_cloudwatch_query_definition")
    )
    named = set(re.findall(r'message = "([^"]+)"', queries))
    for messages in re.findall(r"message in \[([^]]+)\]", queries):
        named |= set(re.findall(r'"([^"]+)"', messages))
    for log_filter in stack.of("aws_cloudwatch_log_metric_filter"):
        named |= set(re.findall(r'"([^"]+)"', log_filter.values["pattern"]))
    assert len(named) > 3, "the queries' messages are not found"
    assert sorted(message for message in named if f'"{message}' not in sources) == []


def test_referenced_sections_exist() -> None:
    headings = set(re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE))
    prose = re.sub(r"```.*?```", "", RUNBOOK, flags=re.DOTALL)
    prose = re.sub(r"[Ss]aved query \*[^*]+\*", "", prose)
    referred = {
        name
        for name in re.findall(r"(?<!\*)\*([A-Za-z][A-Za-z -]+)\*(?!\*)", prose)
        if name in headings or re.fullmatch(r"[a-z]+-[a-z-]+", name)
    }
    assert referred, "the runbook refers to no section"
    assert sorted(name for name in referred if name not in headings and not section_of(name)) == []


def test_alarms_and_graphs_use_existing_metrics(stack: Stack) -> None:
    """An alarm on a metric that no function writes would never fire."""
    written = {
        f"{stem}_{unit.lower()}"
        for stem, unit in re.findall(r'Metric::new\("(\w+)", Unit::(\w+)\)', METRICS)
    }
    watched = {
        metric["metric_name"]
        for alarm in stack.of("aws_cloudwatch_metric_alarm")
        for query in alarm.values["metric_query"]
        for metric in query["metric"]
        if metric["namespace"] == "Shoplake"
    }
    assert watched and watched <= written
    [dashboard] = stack.of("aws_cloudwatch_dashboard")
    lines = [
        line
        for widget in json.loads(dashboard.values["dashboard_body"])["widgets"]
        for line in widget["properties"].get("metrics", [])
    ]
    drawn = {line[1] for line in lines if line[0] == "Shoplake"}
    searched = {
        name
        for line in lines
        if isinstance(line[0], dict)
        for name in re.findall(r'Shoplake.*MetricName="(\w+)"', line[0]["expression"])
    }
    assert drawn and searched and drawn | searched <= written


def names_in(text: str) -> list[tuple[str, str]]:
    """Returns each name that begins with the environment's prefix, and the text before it.

    Placeholders in a name become `<...>`.
    """
    code = "\n".join(re.findall(r"```sh\n.*?```|`[^`\n]+`", text, re.DOTALL))
    for function, command in FUNCTIONS.items():
        text += "".join(
            f"\n{command}{argument}"
            for argument in re.findall(rf"(?:[`(\n]){function} ([a-z][a-z-]*)", code)
        )
    text = (
        re.sub(r"(?<=-)\$\([^)]*\)|\$\d", "<...>", text)
        .replace("$P", "shoplake-prod")
        .replace("shoplake-<environment>", "shoplake-prod")
    )
    names = re.finditer(r"(?:/[\w/-]+/)?shoplake-prod(?:[\w/-]|<[^>\n]+>)*", text)
    return [(re.sub(r"[\s\\]+", " ", text[: name.start()][-80:]), name.group()) for name in names]


def unknown_names(text: str, stack: Stack) -> list[str]:
    """Returns the names of no resource in the stack, and names in an unknown context."""
    found = []
    for before, name in names_in(text):
        kinds = [kind for place, kind in NAMED.items() if before.rstrip(" `'\"").endswith(place)]
        pattern = re.compile(
            "[^/]+".join(map(re.escape, re.split(r"<[^>]+>", name)))
            + (".*" if before.rstrip(" `").endswith(BEGINNINGS) else "")
        )
        if not any(
            pattern.fullmatch(str(resource.values[attribute]))
            for kind, attribute in kinds
            for resource in stack.of(kind)
        ):
            found.append(f"{before[-40:]}{name}")
    return found


def test_names_in_commands_exist(stack: Stack) -> None:
    assert len(names_in(RUNBOOK)) > 30, "the runbook's names are not found"
    assert unknown_names(RUNBOOK, stack) == []


@pytest.mark.parametrize(
    "command",
    [
        "`aws glue get-job-runs --job-name $P-transform --max-results 10`",
        "`aws logs tail /aws-glue/jobs/$P-transform/$P-transform-role/$P-transform/error`",
        "`aws events describe-rule --name $P-check`",
        "`aws firehose describe-delivery-stream --delivery-stream-name $P-<source>-delivery`",
        "`errors transformer 3h`",
        '`aws sqs purge-queue --queue-url "$(url dirty-letters)"`',
        "`aws batch list-jobs --job-queue $P-dirty`",
        "in Athena, workgroup `shoplake-<environment>-all`",
    ],
)
def test_unknown_name_is_found(stack: Stack, command: str) -> None:
    assert unknown_names(command, stack) != []


def athena_queries(text: str) -> list[str]:
    """Returns the Athena queries: those that name one of the lake's databases."""
    code = [
        *re.findall(r"```sql\n(.*?)```", text, re.DOTALL),
        *re.findall(r"`(select [^`]+)`", text),
    ]
    return [
        query.rstrip().rstrip(";")
        for query in code
        if re.search(r"\b(bronze|silver|gold|quarantine)\.|shoplake_", query)
    ]


def faults(query: str, stack: Stack) -> str:
    """Returns why a query is wrong, or reads too much; an empty text for a valid query."""
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for table in stack.of("aws_glue_catalog_table"):
        columns = [
            *table.values["storage_descriptor"][0]["columns"],
            *table.values["partition_keys"],
        ]
        types = {
            column["name"]: exp.DataType.build(column["type"], dialect="hive").sql("athena")
            for column in columns
        }
        tables.setdefault(table.values["database_name"], {})[table.values["name"]] = types | {
            "$path": "varchar"
        }
    parsed = parse_one(query, dialect="athena")
    for table in parsed.find_all(exp.Table):
        if table.name not in tables.get(table.db, {}):
            return f"there is no table {table.sql('athena')}"
    try:
        qualify(
            parsed,
            schema=MappingSchema(tables, dialect="athena"),
            dialect="athena",
            validate_qualify_columns=True,
        )
    except Exception as error:  # sqlglot raises several types
        return str(error)
    compared = [
        each
        for each in parsed.find_all(exp.EQ, exp.GTE)
        if isinstance(each.this, exp.Column) and each.this.name == "dt"
    ]
    if not compared:
        return "it reads all days"
    # Athena cannot compare a date with a string.
    dates = all(
        isinstance(each.expression, exp.Cast) and each.expression.to.is_type("date")
        for each in compared
    )
    return "" if dates else "a day is compared with a string"


def test_athena_queries_are_valid(stack: Stack) -> None:
    queries = athena_queries(RUNBOOK)
    assert len(queries) >= 3
    assert {query: fault for query in queries if (fault := faults(query, stack))} == {}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("select code from silver.quarantined where dt = date '2026-11-21'", "no table"),
        (
            "select code from shoplake_prod_silver.quarantined where dt = '2026-11-21'",
            "with a string",
        ),
        ("select code from shoplake_prod_silver.quarantined where code = 'x'", "all days"),
        (
            "select unknown from shoplake_prod_silver.quarantined where dt = date '2026-11-21'",
            "unknown",
        ),
    ],
)
def test_invalid_athena_query_is_found(stack: Stack, query: str, fault: str) -> None:
    assert athena_queries(f"`{query}`") == [query]
    assert fault in faults(query, stack)
