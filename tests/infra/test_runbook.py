"""Whoever is woken finds what to do: the runbook has a section for every alarm, and none for alarms that there are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline.package import ROOT

from .stack import Resource, Stack

RUNBOOK = (ROOT / "infra" / "RUNBOOK.md").read_text("utf-8")
METRICS = (ROOT / "crates" / "platform" / "src" / "metrics.rs").read_text("utf-8")
PREFIX = "shoplake-prod-"


def sections() -> list[str]:
    """The runbook's alarms."""
    alarms = re.findall(r"^## Alarms: .*?(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    return re.findall(r"^### (.+)$", "".join(alarms), re.MULTILINE)


def section_of(alarm: str) -> list[str]:
    """Sections that an alarm's name, without the prefix, belongs to."""
    return [section for section in sections() if alarm == section or alarm.startswith(f"{section}-")]


@pytest.fixture(scope="module")
def stack(documents: Callable[[str], dict[str, Any]]) -> Stack:
    """The stack with every optional part."""
    return Stack("prod", documents("everything"))


@pytest.fixture(scope="module")
def alarms(stack: Stack) -> dict[str, Resource]:
    """Its alarms, by name without the prefix."""
    return {alarm.values["alarm_name"].removeprefix(PREFIX): alarm for alarm in stack.of("aws_cloudwatch_metric_alarm")}


def test_every_alarm_has_its_section(alarms: dict[str, Resource]) -> None:
    assert {name: section_of(name) for name in alarms if len(section_of(name)) != 1} == {}


def test_every_section_has_its_alarm(alarms: dict[str, Resource]) -> None:
    described = {section for name in alarms for section in section_of(name)}
    assert sorted(set(sections()) - described) == []


def test_an_alarm_names_its_section(alarms: dict[str, Resource]) -> None:
    for name, alarm in alarms.items():
        assert f"infra/RUNBOOK.md, {section_of(name)[0]}." in alarm.values["alarm_description"]


def test_every_section_says_how_to_look_and_what_to_do() -> None:
    for section in sections():
        text = RUNBOOK.split(f"### {section}\n", 1)[1].split("\n#", 1)[0]
        assert re.search(r"^Look", text, re.MULTILINE) or "where to look" in text, section
        assert re.search(r"^Do[:,]", text, re.MULTILINE) or "do again" in text, section


def test_every_saved_query_that_is_named_exists(stack: Stack) -> None:
    saved = {query.values["name"].split("/", 1)[1] for query in stack.of("aws_cloudwatch_query_definition")}
    named = set(re.findall(r"[Ss]aved query \*([^*]+)\*", RUNBOOK))
    assert named, "the runbook names no saved query"
    assert sorted(named - saved) == []


def test_sections_that_others_refer_to_exist() -> None:
    headings = set(re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE))
    prose = re.sub(r"```.*?```", "", RUNBOOK, flags=re.DOTALL)
    prose = re.sub(r"[Ss]aved query \*[^*]+\*", "", prose)
    referred = {name for name in re.findall(r"(?<!\*)\*([A-Za-z][A-Za-z -]+)\*(?!\*)", prose) if name in headings or re.fullmatch(r"[a-z]+-[a-z-]+", name)}
    assert referred, "the runbook refers to no section"
    assert sorted(name for name in referred if name not in headings and not section_of(name)) == []


def test_what_is_watched_is_counted(stack: Stack) -> None:
    """A metric of our own that no function writes would never alarm."""
    written = {f"{stem}_{unit.lower()}" for stem, unit in re.findall(r'Metric::new\("(\w+)", Unit::(\w+)\)', METRICS)}
    watched = {
        metric["metric_name"]
        for alarm in stack.of("aws_cloudwatch_metric_alarm")
        for query in alarm.values["metric_query"]
        for metric in query["metric"]
        if metric["namespace"] == "Shoplake"
    }
    assert watched and watched <= written
    [dashboard] = stack.of("aws_cloudwatch_dashboard")
    lines = [line for widget in json.loads(dashboard.values["dashboard_body"])["widgets"] for line in widget["properties"].get("metrics", [])]
    drawn = {line[1] for line in lines if line[0] == "Shoplake"}
    searched = {name for line in lines if isinstance(line[0], dict) for name in re.findall(r'Shoplake.*MetricName="(\w+)"', line[0]["expression"])}
    assert drawn and searched and drawn | searched <= written
