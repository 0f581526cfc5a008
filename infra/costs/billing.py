"""AWS's billing rules, one function each: from quantities to dollars in a month of 730 hours.

Amounts are floats: precision below a cent is irrelevant here. GB and TB are powers of 1024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Prices = Mapping[str, float]

HOURS = 730
SECONDS = HOURS * 3600
KB, MB, GB, TB = 1024, 1024**2, 1024**3, 1024**4
MILLION = 1_000_000


def chunks(size: float, chunk: int) -> int:
    """Returns the number of billed chunks of this size: at least one."""
    return max(1, math.ceil(size / chunk))


def tiered(quantity: float, tiers: Sequence[tuple[float, float]]) -> float:
    """Returns the dollars of a quantity in price tiers (size, unit price); the last has no end."""
    dollars, left = 0.0, quantity
    for number, (size, price) in enumerate(tiers):
        taken = left if number == len(tiers) - 1 else min(left, size)
        dollars, left = dollars + taken * price, left - taken
    return dollars


def api_gateway(requests: float, prices: Prices) -> float:
    """REST API: by request, in tiers; the size does not count, as it does for HTTP APIs (512 KB).
    https://aws.amazon.com/api-gateway/pricing/"""
    return tiered(
        requests / MILLION,
        [
            (333, prices["api_gateway_million_first_333"]),
            (667, prices["api_gateway_million_next_667"]),
            (19_000, prices["api_gateway_million_next_19000"]),
            (math.inf, prices["api_gateway_million_more"]),
        ],
    )


def waf(acls: int, rules: int, requests: float, prices: Prices) -> float:
    """By ACL, by rule or rule group, by request (up to 1,500 WCU).
    https://aws.amazon.com/waf/pricing/
    """
    return (
        acls * (prices["waf_acl_month"] + requests / MILLION * prices["waf_million_requests"])
        + rules * prices["waf_rule_month"]
    )


def lambda_gb_seconds(invocations: float, milliseconds: float, memory_mb: int) -> float:
    """Memory times duration, rounded up to a millisecond.
    https://aws.amazon.com/lambda/pricing/
    """
    return invocations * math.ceil(milliseconds) / 1000 * memory_mb / 1024


def lambda_function(
    invocations: float, milliseconds: float, memory_mb: int, prices: Prices
) -> float:
    """arm64: by request and by GB-second, in tiers of the whole account.
    https://aws.amazon.com/lambda/pricing/
    """
    tiers = [
        (7.5e9, prices["lambda_arm64_gb_second"]),
        (math.inf, prices["lambda_arm64_gb_second_next"]),
    ]
    seconds = lambda_gb_seconds(invocations, milliseconds, memory_mb)
    return invocations / MILLION * prices["lambda_million_requests"] + tiered(seconds, tiers)


def kinesis_on_demand(
    streams: int,
    records: float,
    record_bytes: float,
    consumers: int,
    retention_hours: int,
    prices: Prices,
) -> float:
    """By stream-hour, by GB written (records in whole KB), by GB read per consumer, by GB kept
    longer than a day. https://aws.amazon.com/kinesis/data-streams/pricing/
    """
    put = records * chunks(record_bytes, KB) * KB / GB
    kept = put * max(0, retention_hours - 24) / HOURS
    return (
        streams * HOURS * prices["kinesis_on_demand_stream_hour"]
        + put * prices["kinesis_on_demand_gb_in"]
        + put * consumers * prices["kinesis_on_demand_gb_out"]
        + kept * prices["kinesis_on_demand_retention_gb_month"]
    )


def kinesis_provisioned(
    shards: int, records: float, record_bytes: float, retention_hours: int, prices: Prices
) -> float:
    """By shard-hour, twice if records are kept longer than a day, and by PUT payload unit of
    25 KB; reading is free. https://aws.amazon.com/kinesis/data-streams/pricing/
    """
    hour = prices["kinesis_shard_hour"] + (
        prices["kinesis_retention_shard_hour"] if retention_hours > 24 else 0
    )
    units = records * chunks(record_bytes, 25 * KB)
    return shards * HOURS * hour + units / MILLION * prices["kinesis_put_million_units"]


def firehose(records: float, record_bytes: float, prices: Prices) -> float:
    """By GB in tiers; every record counts in steps of 5 KB.
    https://aws.amazon.com/firehose/pricing/
    """
    gigabytes = records * chunks(record_bytes, 5 * KB) * 5 * KB / GB
    return tiered(
        gigabytes,
        [
            (500 * 1024, prices["firehose_gb_first_500_tb"]),
            (1500 * 1024, prices["firehose_gb_next_1500_tb"]),
            (math.inf, prices["firehose_gb_more"]),
        ],
    )


def s3_requests(puts_and_lists: float, gets: float, prices: Prices) -> float:
    """PUT and LIST at one price, GET and HEAD at another; DELETE and expiry are free.
    https://aws.amazon.com/s3/pricing/
    """
    return (
        puts_and_lists / 1000 * prices["s3_thousand_puts"]
        + gets / 1000 * prices["s3_thousand_gets"]
    )


def sqs(
    messages: float,
    message_bytes: float,
    prices: Prices,
    deferred: float = 0.0,
    pollers: int = 5,
    wait_seconds: int = 20,
) -> float:
    """Each call by chunk of 64 KB: a send, a receive and a delete of up to ten messages, and the
    empty receives of Lambda's pollers. A deferred message takes a change of its visibility, and
    another receive. https://aws.amazon.com/sqs/pricing/
    """
    calls = (
        messages * chunks(message_bytes, 64 * KB)
        + (2 * messages + deferred) / 10
        + deferred
        + pollers * SECONDS / wait_seconds
    )
    return calls / MILLION * prices["sqs_million_requests"]


def eventbridge(custom: float, data: float, event_bytes: float, prices: Prices) -> float:
    """Custom events and opt-in data events, each by chunk of 64 KB; rules and targets of the
    account are free. https://aws.amazon.com/eventbridge/pricing/
    """
    count = chunks(event_bytes, 64 * KB)
    return (
        (custom * prices["eventbridge_million_custom"] + data * prices["eventbridge_million_data"])
        * count
        / MILLION
    )


def step_functions_express(
    executions: float, milliseconds: float, memory_mb: float, prices: Prices
) -> float:
    """By execution, and by GB-hour: duration rounded up to 100 ms, memory to 64 MB.
    https://aws.amazon.com/step-functions/pricing/

    Uses the price of the first 1,000 GB-hours for all, which is slightly too high.
    """
    hours = executions * chunks(milliseconds, 100) / 10 / 3600
    gigabytes = chunks(memory_mb, 64) * 64 / 1024
    return (
        executions / MILLION * prices["step_functions_million_express"]
        + hours * gigabytes * prices["step_functions_gb_hour"]
    )


def step_functions_standard(transitions: float, prices: Prices) -> float:
    """By transition, retries included. https://aws.amazon.com/step-functions/pricing/"""
    return transitions / 1000 * prices["step_functions_thousand_transitions"]


def glue(runs: float, workers: int, seconds: float, prices: Prices) -> float:
    """G.1X workers of one DPU each, by the second, a minute at least.
    https://aws.amazon.com/glue/pricing/
    """
    return runs * workers * max(60, seconds) / 3600 * prices["glue_dpu_hour"]


def redshift_busy_seconds(activities: float, seconds: float) -> float:
    """Returns the billed seconds of a month for evenly spread activities of this length: each a
    minute at least, overlaps once.
    https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-billing.html
    """
    return min(SECONDS, activities * max(60.0, seconds))


def redshift(
    busy_seconds: float,
    rpus: int,
    storage_gb: float,
    snapshot_gb: float,
    limit_rpu_hours: float,
    prices: Prices,
) -> float:
    """By RPU-hour while queries run, up to the usage limit; by GB stored, and by GB of snapshots.
    Recovery points of the last 24 hours are free.
    https://aws.amazon.com/redshift/pricing/
    """
    hours = min(busy_seconds / 3600 * rpus, limit_rpu_hours)
    stored = (
        storage_gb * prices["redshift_storage_gb_month"]
        + snapshot_gb * prices["redshift_snapshot_gb_month"]
    )
    return hours * prices["redshift_rpu_hour"] + stored


def xray_traces(roots_per_second: float) -> float:
    """Returns the traces of a month under X-Ray's default rule: the first request of each second,
    and 5 % of the others.
    https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
    """
    return (min(1.0, roots_per_second) + 0.05 * max(0.0, roots_per_second - 1)) * SECONDS


def fargate(runs: float, seconds: float, vcpus: float, memory_gb: float, prices: Prices) -> float:
    """By vCPU and GB, by the second, a minute at least. https://aws.amazon.com/fargate/pricing/"""
    hours = runs * max(60, seconds) / 3600
    return hours * (
        vcpus * prices["fargate_arm64_vcpu_hour"] + memory_gb * prices["fargate_arm64_gb_hour"]
    )


def athena(queries: float, query_bytes: float, prices: Prices) -> float:
    """By TB scanned, 10 MB a query at least, to whole MB. https://aws.amazon.com/athena/pricing/"""
    return queries * max(10, math.ceil(query_bytes / MB)) * MB / TB * prices["athena_tb"]
