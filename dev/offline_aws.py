"""Serves on this machine what a Terraform plan reads from AWS: the account and a region's zones.

A plan on an empty state reads nothing else. This server rejects every other operation by its name,
so a data source that needs the network fails here and not first on a machine without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from .http_stub import Stub, serve
from .terraform import cloud_settings

ACCOUNT = "000000000000"
ZONES = 3
TOKEN = "00000000-0000-0000-0000-000000000000"


def environment(endpoint: str, region: str) -> dict[str, str]:
    """Returns the environment variables that make Terraform use only the account served here."""
    return cloud_settings(endpoint, region, "offline")


@contextmanager
def account(region: str) -> Iterator[str]:
    """Serves the account on a free port and yields the endpoint."""
    with serve(type("Handler", (_Handler,), {"region": region})) as endpoint:
        yield endpoint


def answer(operation: str, region: str) -> str | None:
    """Returns the answer of AWS, or None for an operation that this server does not have."""
    match operation:
        case "GetCallerIdentity":
            return (
                '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                f"<GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/offline</Arn>"
                f"<UserId>OFFLINE</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
                f"<ResponseMetadata><RequestId>{TOKEN}</RequestId></ResponseMetadata>"
                "</GetCallerIdentityResponse>"
            )
        case "DescribeAvailabilityZones":
            zones = "".join(
                f"<item><zoneName>{region}{letter}</zoneName><zoneState>available</zoneState>"
                f"<regionName>{region}</regionName><zoneId>{region}-az{number}</zoneId>"
                "<zoneType>availability-zone</zoneType>"
                "<optInStatus>opt-in-not-required</optInStatus>"
                f"<groupName>{region}</groupName>"
                f"<networkBorderGroup>{region}</networkBorderGroup></item>"
                for number, letter in enumerate("abcdef"[:ZONES], start=1)
            )
            return (
                "<DescribeAvailabilityZonesResponse"
                ' xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
                f"<requestId>{TOKEN}</requestId><availabilityZoneInfo>{zones}</availabilityZoneInfo>"
                "</DescribeAvailabilityZonesResponse>"
            )
        # A plan validates each definition of a state machine that it knows. tests/statemachines
        # tests the definitions.
        case "AWSStepFunctions.ValidateStateMachineDefinition":
            return json.dumps({"result": "OK", "diagnostics": [], "truncated": False})
        case _:
            return None


class _Handler(Stub):
    region: str

    def do_POST(self) -> None:
        form = parse_qs(self.body().decode("utf-8", "replace"))
        operation = self.headers.get("X-Amz-Target") or form.get("Action", [f"POST {self.path}"])[0]
        if text := answer(operation, self.region):
            self._send(
                200, "text/xml" if text.startswith("<") else "application/x-amz-json-1.0", text
            )
        else:
            self._reject(operation)

    def do_GET(self) -> None:
        self._reject(f"{self.command} {self.path}")

    do_PUT = do_HEAD = do_DELETE = do_PATCH = do_GET

    def _reject(self, operation: str) -> None:
        # Clients do not retry a 400. Services differ in the format of their errors.
        reason = (
            f"an offline plan cannot ask AWS for {operation}: derive it from variables,"
            " or serve it in dev/offline_aws.py"
        )
        if self.headers.get("X-Amz-Target"):
            self._send(
                400,
                "application/x-amz-json-1.1",
                json.dumps({"__type": "OfflineException", "message": reason}),
            )
        else:
            error = f"<Error><Code>Offline</Code><Message>{reason}</Message></Error>"
            self._send(
                400,
                "text/xml",
                f"<ErrorResponse>{error}<RequestId>{TOKEN}</RequestId></ErrorResponse>",
            )

    def _send(self, status: int, content_type: str, text: str) -> None:
        self.answer(status, text.encode(), {"Content-Type": content_type})
