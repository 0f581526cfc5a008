"""What has to fit together in time, size and reach: timeouts of callers and callees, what may
be spent, which days are seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from dev.pipeline import SCHEMAS

from .stack import Resource, Stack, Values

# API Gateway gives up on an integration after this, unless the account has asked for more.
API_GATEWAY_SECONDS = 29
# How much of a usage limit is used when its alarm rings (infra/alarms.tf), and of a budget when the
# first notice is sent (infra/budget.tf).
NOTICE = 0.8
HOURS = {"daily": 24, "weekly": 7 * 24, "monthly": 730}
GLUE_START_SECONDS = 600
"""A run may wait so long for its workers, which counts for the state and not for the run."""

# What a named backfill may reach, and how far ahead of receipt a date may lie in the zone that is
# the furthest ahead (crates/contracts).
FIRST_DAY = date(2000, 1, 1)
FUTURE = "P1D"
FURTHEST_ZONE = timedelta(hours=14)


# ---- timeouts ------------------------------------------------------------------------------------


def callers_wait_for_callees(stack: Stack) -> Iterator[str]:
    """A caller's limit is longer than its callee's.

    Otherwise the callee works on after its caller has given up, beside its own repetition.
    """
    functions = {function.values["arn"]: function for function in stack.of("aws_lambda_function")}
    behind_the_api = {
        permission.values["function_name"]
        for permission in stack.of("aws_lambda_permission")
        if _of_the_api(permission)
    }
    for function in functions.values():
        if (
            function.values["function_name"] in behind_the_api
            and function.values["timeout"] >= API_GATEWAY_SECONDS
        ):
            yield (
                f"{function.address} may take {function.values['timeout']} s, and API Gateway "
                f"waits {API_GATEWAY_SECONDS}"
            )
    for machine in stack.of("aws_sfn_state_machine"):
        yield from _states_that_give_up(stack, machine, functions)
    yield from _messages_that_come_back(stack, functions)


def _of_the_api(permission: Resource) -> bool:
    return bool(permission.values["principal"] == "apigateway.amazonaws.com")


def _states_that_give_up(
    stack: Stack, machine: Resource, functions: dict[str, Resource]
) -> Iterator[str]:
    definition = json.loads(machine.values["definition"])
    jobs = {job.values["name"]: job for job in stack.of("aws_glue_job")}
    for name, state in all_states(definition):
        waits = state.get("TimeoutSeconds")
        parameters = state.get("Parameters", {})
        function, job = (
            functions.get(parameters.get("FunctionName", "")),
            jobs.get(parameters.get("JobName", "")),
        )
        if state.get("Type") == "Task" and not waits:
            yield f"{machine.address}: {name} waits for ever"
        elif function and waits <= function.values["timeout"]:
            yield (
                f"{machine.address}: {name} waits {waits} s for {function.address}, which may take "
                f"{function.values['timeout']}"
            )
        elif job and waits < job.values["timeout"] * 60 + GLUE_START_SECONDS:
            yield (
                f"{machine.address}: {name} waits {waits} s for {job.address}, which may take "
                f"{job.values['timeout']} minutes and has to start"
            )
        if waits and waits >= definition.get("TimeoutSeconds", float("inf")):
            yield f"{machine.address}: {name} may take as long as the whole execution"


def all_states(definition: Values) -> Iterator[tuple[str, Values]]:
    """The states of a definition, those of its branches and iterations among them."""
    for name, state in definition["States"].items():
        yield name, state
        for inner in [
            *state.get("Branches", []),
            *(state[key] for key in ("Iterator", "ItemProcessor") if key in state),
        ]:
            yield from all_states(inner)


def _messages_that_come_back(stack: Stack, functions: dict[str, Resource]) -> Iterator[str]:
    """AWS asks for six times the function's timeout, and the window: a message must not come
    back while it is worked on."""
    queues = {queue.values["arn"]: queue for queue in stack.of("aws_sqs_queue")}
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        queue, function = (
            queues.get(mapping.values["event_source_arn"]),
            functions.get(mapping.values["function_name"]),
        )
        if queue and function:
            wanted = 6 * function.values["timeout"] + (
                mapping.values["maximum_batching_window_in_seconds"] or 0
            )
            if queue.values["visibility_timeout_seconds"] < wanted:
                yield (
                    f"{queue.address} shows messages again after "
                    f"{queue.values['visibility_timeout_seconds']} s; {function.address} needs "
                    f"{wanted}"
                )


# ---- executions ----------------------------------------------------------------------------------


def failures_have_names_of_their_own(stack: Stack) -> Iterator[str]:
    """No execution fails under a name that begins with States., which is reserved for what
    States itself finds."""
    for machine in stack.of("aws_sfn_state_machine"):
        for name, state in all_states(json.loads(machine.values["definition"])):
            if state.get("Type") == "Fail" and (
                "ErrorPath" in state or str(state.get("Error", "States.")).startswith("States.")
            ):
                yield (
                    f"{machine.address}: {name} may fail as "
                    f"{state.get('ErrorPath') or state.get('Error')}"
                )


def executions_log_no_data(stack: Stack) -> Iterator[str]:
    """What goes into a state and comes out of it may hold rows, and with them whose they are."""
    for machine in stack.of("aws_sfn_state_machine"):
        if machine.block("logging_configuration").get("include_execution_data"):
            yield f"{machine.address} logs what its states are given and give"


# ---- days that are seen --------------------------------------------------------------------------


def tables_show_what_contracts_accept(stack: Stack) -> Iterator[str]:
    """A table projects all days that a contract accepts, a named backfill's among them, and not
    a year of empty ones beyond."""
    ahead = max(_days(_accepted(path)) for path in SCHEMAS.glob("*.json"))
    for table in stack.of("aws_glue_catalog_table"):
        for name, value in (table.values["parameters"] or {}).items():
            if name.startswith("projection.") and name.endswith(".range") and "NOW" in value:
                first, last = value.split(",")
                if date.fromisoformat(first) > FIRST_DAY:
                    yield (
                        f"{table.address} hides the days before {first}: contracts accept a "
                        f"backfill from {FIRST_DAY}"
                    )
                found = re.fullmatch(r"NOW\+(\d+)DAYS", last)
                if not found or not ahead <= int(found[1]) <= ahead + 2:
                    yield (
                        f"{table.address} ends at {last}: contracts accept dates up to {ahead} "
                        f"days ahead"
                    )


def _accepted(path: Any) -> str:
    """How far ahead of its receipt a dataset's row may lie."""
    return str(
        json.loads(path.read_text("utf-8"))["x-dataset"].get("accepts", {}).get("future", FUTURE)
    )


def _days(duration: str) -> int:
    """The most days that a date may lie ahead in UTC."""
    found = re.fullmatch(r"P(\d+)D", duration)
    assert found, f"{duration} is not a number of days, such as P1D"
    return -(-(timedelta(days=int(found[1])) + FURTHEST_ZONE) // timedelta(days=1))


# ---- money ---------------------------------------------------------------------------------------


def limits_bind_above_normal_use(
    stack: Stack, normal_rpu_hours_a_day: float, normal_usd: float
) -> Iterator[str]:
    """A notice is of something unusual, and a limit that stops something can be reached."""
    for workgroup in stack.of("aws_redshiftserverless_workgroup"):
        limits = [
            limit
            for limit in stack.of("aws_redshiftserverless_usage_limit")
            if limit.values["resource_arn"] == workgroup.values["arn"]
        ]
        if not any(limit.values["breach_action"] == "deactivate" for limit in limits):
            yield f"{workgroup.address} has no limit that stops it"
        for limit in limits:
            hours = HOURS[limit.values["period"]]
            normal, possible = (
                normal_rpu_hours_a_day * hours / 24,
                workgroup.values["max_capacity"] * hours,
            )
            amount = limit.values["amount"]
            if NOTICE * amount <= normal:
                yield (
                    f"{limit.address}: the alarm at {NOTICE:.0%} of {amount} RPU hours rings at "
                    f"normal use, {normal:.0f}"
                )
            if amount >= possible:
                yield (
                    f"{limit.address}: {amount} RPU hours are never reached, as {possible} are "
                    f"possible"
                )
    for budget in stack.of("aws_budgets_budget"):
        limit_usd = float(budget.values["limit_amount"])
        lowest = (
            min(notification["threshold"] for notification in budget.values["notification"]) / 100
        )
        if lowest * limit_usd <= normal_usd:
            yield (
                f"{budget.address}: the notice at {lowest:.0%} of {limit_usd:.0f} USD comes at "
                f"normal use, {normal_usd:.0f} USD"
            )
