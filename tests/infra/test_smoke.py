"""dev/smoke, as far as it needs no AWS: it signs and sends what it says, and reports wrong
answers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any

import pytest

from dev.http_stub import Stub, serve
from dev.smoke.__main__ import main
from dev.smoke.checks import (
    CHECKS,
    Aws,
    Failed,
    Target,
    busy_partition,
    execution_input,
    logged,
)
from dev.smoke.events import (
    SUSPICIOUS,
    Sender,
    body_of_quotes,
    page_view,
    sign,
    suspicious_events,
    title_case,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Api(Stub):
    """Responds as the webhook, or with a fault."""

    protocol_version = "HTTP/1.1"
    got: list[tuple[Message, bytes]]
    largest: int = 100_000
    wrong: str = ""

    def do_POST(self) -> None:
        body = self.body()
        self.got.append((self.headers, body))
        self.answer(*self._judge(body))

    def _judge(self, body: bytes) -> tuple[int, bytes]:
        if self.wrong == "blocks" and any(text.encode() in body for text in SUSPICIOUS):
            return 403, b"Forbidden"
        if self.wrong == "case" and "Webhook-Id" in self.headers.keys():  # noqa: SIM118
            return 401, b"missing webhook-id"
        if "webhook-id" not in self.headers:
            return 401, b'{"detail": "the header webhook-id is missing"}'
        if len(body) > self.largest:
            return (502 if self.wrong == "size" else 413), b""
        expected = sign(
            SECRET, self.headers["webhook-id"], int(self.headers["webhook-timestamp"]), body
        )
        return (
            (202, b"{}")
            if self.headers["webhook-signature"] == expected and self.headers["x-shop-id"] == "acme"
            else (401, b"signature")
        )


@pytest.fixture
def api() -> Iterator[type[Api]]:
    """Runs a server whose class has the received requests and the fault."""
    handler: type[Any] = type("Handler", (Api,), {"got": []})
    with serve(handler) as url:
        handler.url = f"{url}/api"
        yield handler


def run(api: type[Any], monkeypatch: pytest.MonkeyPatch, *only: str) -> int:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    return main(
        [
            "--url",
            api.url,
            "--shop",
            "acme",
            "--environment",
            "dev",
            "--largest",
            "100000",
            "--only",
            *only,
        ]
    )


EDGE = ("title-case-headers", "largest-body", "suspicious-body")


def test_signature_matches_the_standards_example() -> None:
    # The example of Standard Webhooks' specification.
    body = b'{"test": 2432232314}'
    assert (
        sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_all_checks_pass_for_a_correct_api(
    api: type[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(api, monkeypatch, *EDGE) == 0
    assert capsys.readouterr().out.count("ok       ") == len(EDGE)
    names = [set(headers.keys()) for headers, _ in api.got]
    assert {"Webhook-Id", "X-Shop-Id", "Webhook-Timestamp", "Webhook-Signature"} <= names[0]
    assert {"webhook-id", "x-shop-id"} <= names[1]


@pytest.mark.parametrize(
    ("wrong", "check"),
    [("case", "title-case-headers"), ("size", "largest-body"), ("blocks", "suspicious-body")],
)
def test_fault_is_detected(
    api: type[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
    check: str,
) -> None:
    api.wrong = wrong
    assert run(api, monkeypatch, *EDGE) == 1
    assert f"FAILED   {check}: expected" in capsys.readouterr().out


def test_wrong_secret_is_detected(api: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_" + base64.b64encode(b"other").decode())
    assert (
        main(
            [
                "--url",
                api.url,
                "--shop",
                "acme",
                "--environment",
                "dev",
                "--only",
                "title-case-headers",
            ]
        )
        == 1
    )


def test_missing_secret_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    with pytest.raises(SystemExit):
        main(["--url", "http://127.0.0.1:1", "--shop", "acme", "--environment", "dev"])
    assert "WEBHOOK_SECRET is not set" in capsys.readouterr().err


@pytest.mark.parametrize("size", [6_000, 20_000, 3_000_000])
def test_body_of_quotes_doubles_when_escaped(size: int) -> None:
    body = body_of_quotes(size, NOW)
    events = json.loads(body)
    assert len(body) == size and 1 <= len(events) <= 500
    assert all(event["page_title"] == '"' * 512 for event in events)
    if size > 1_000_000:
        assert len(json.dumps(body.decode())) > 1.4 * size


def test_headers_are_in_title_case() -> None:
    assert title_case({"webhook-id": "1", "x-shop-id": "2"}) == {
        "Webhook-Id": "1",
        "X-Shop-Id": "2",
    }


def test_every_suspicious_text_is_a_separate_event() -> None:
    assert [event["search_term"] for event in suspicious_events(NOW)] == list(SUSPICIOUS)
    assert len({event["event_id"] for event in suspicious_events(NOW)}) == len(SUSPICIOUS)


# ---- what is asked of AWS ------------------------------------------------------------------------


class Cloud:
    """Responds as the AWS CLI by the words of a command."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[list[str], str | None]] = []

    def __call__(self, command: list[str], stdin: str | None) -> tuple[int, str, str]:
        self.asked.append((command, stdin))
        found = next(
            (answer for words, answer in self.answers.items() if words in " ".join(command)), None
        )
        return 0, json.dumps(found() if callable(found) else found), ""


def target(api: type[Any], cloud: Cloud, minutes: int = 1) -> Target:
    return Target(
        Sender(api.url, "acme", SECRET), Aws("dev", cloud), 1, minutes, wait=lambda _: None
    )


def listing(*objects: tuple[str, str]) -> dict[str, Any]:
    """Returns a list response of a partition's jobs."""
    found = [{"Key": f"jobs/m/d/{name}", "LastModified": time} for name, time in objects]
    return {"Contents": found}


def test_newest_job_excludes_results() -> None:
    objects = listing(
        ("1.json", "2026-11-29T12:00:01+00:00"),
        ("2.json", "2026-11-29T12:00:02+00:00"),
        ("2.result.json", "2026-11-29T12:00:03+00:00"),
    )
    found = Aws("dev", Cloud({"list-objects-v2": objects})).newest_job("lake", "jobs/m/")
    assert found == {"Key": "jobs/m/d/2.json", "LastModified": "2026-11-29T12:00:02+00:00"}
    # Without an object the CLI's answer has no contents, or there is no answer.
    for nothing in (None, {"RequestCharged": None}, listing(("2.result.json", "2026"))):
        assert Aws("dev", Cloud({"list-objects-v2": nothing})).newest_job("lake", "jobs/m/") is None


def test_held_partition_is_computed_later(api: type[Any]) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    cloud = Cloud(
        {
            "get-caller-identity": {"Account": "1"},
            "get-metric-statistics": {"Datapoints": []},
            "list-objects-v2": listing(("1.json", later), ("1.result.json", later)),
        }
    )
    held = target(api, cloud, minutes=0)
    assert "nothing was dropped" in busy_partition(held)
    command, state = next(asked for asked in cloud.asked if asked[0][1:3] == ["s3", "cp"])
    assert command[4].startswith(
        "s3://shoplake-dev-lake-1/state/partitions/session_duration_bounce_rate/"
    )
    assert set(json.loads(state or "")["lease"]) == {"job", "until", "since", "planned_at"}


def test_dropped_invocations_are_detected(api: type[Any]) -> None:
    cloud = Cloud(
        {
            "get-caller-identity": {"Account": "1"},
            "get-metric-statistics": {"Datapoints": [{"Sum": 2.0}]},
        }
    )
    with pytest.raises(Failed, match="dropped 2 invocations"):
        busy_partition(target(api, cloud))


def test_partition_without_a_job_is_detected(api: type[Any]) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for found in ([], [("1.result.json", later)]):
        cloud = Cloud(
            {
                "get-caller-identity": {"Account": "1"},
                "get-metric-statistics": {"Datapoints": []},
                "list-objects-v2": listing(*found),
            }
        )
        with pytest.raises(Failed, match="no job below"):
            busy_partition(target(api, cloud))


def test_glue_arguments_follow_from_the_job_document() -> None:
    assert execution_input("jobs/m/2026-11-29/7.json") == {
        "job": "jobs/m/2026-11-29/7.json",
        "result": "jobs/m/2026-11-29/7.result.json",
    }


@pytest.mark.parametrize(
    ("group", "streams", "said"),
    [
        ({"logGroupName": "/aws-glue/jobs/error"}, [{}], "no retention or no key"),
        (
            {"logGroupName": "/aws-glue/jobs/error", "retentionInDays": 7, "kmsKeyId": "k"},
            [],
            "has a stream of the run",
        ),
    ],
)
def test_logs_in_another_group_are_detected(
    group: dict[str, Any], streams: list[dict[str, Any]], said: str
) -> None:
    answers = {
        "get-job-runs": {"JobRuns": [{"Id": "jr_1"}]},
        "describe-log-groups": {"logGroups": [group]},
        "describe-log-streams": {"logStreams": streams},
    }
    with pytest.raises(Failed, match=said):
        logged(Aws("dev", Cloud(answers)))


def test_every_check_is_documented() -> None:
    from dev.package import ROOT

    readme = (ROOT / "dev" / "smoke" / "README.md").read_text("utf-8")
    assert [name for name in CHECKS if f"| `{name}` |" not in readme] == []
    assert page_view(NOW)["occurred_at"] == "2026-11-29T12:00:00Z"
