"""What a person reads when a command fails: a message with what to do, and never a traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev.command import guard
from dev.package import ROOT, target_dir

PYTHON_CALL = re.compile(
    r"(?<=[\s@])(?:\$\(PYTHON\)|python3) (?=[-$\w])(.*?)(?= \||$)", re.MULTILINE
)


def run(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a make target does."""
    return subprocess.run(
        [sys.executable, "-m", "dev.command", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def script(tmp_path: Path, text: str) -> str:
    """A command that does what the text says."""
    file = tmp_path / "broken.py"
    file.write_text(text)
    return str(file)


# What fails, and what the message must contain.
FAILURES: dict[str, tuple[str, list[str]]] = {
    "a command error": (
        "from dev.errors import CommandError;"
        " raise CommandError('invalid DATE: expected YYYY-MM-DD')",
        ["error: invalid DATE: expected YYYY-MM-DD"],
    ),
    "an exit with a text": (
        "raise SystemExit('the environment is one of dev, prod')",
        ["error: the environment is one"],
    ),
    "AWS does not answer": (
        "import boto3; boto3.client('sqs', endpoint_url='http://127.0.0.1:9',"
        " region_name='us-east-1',"
        " aws_access_key_id='a', aws_secret_access_key='b',"
        " config=__import__('botocore.config').config.Config("
        "retries={'total_max_attempts': 1}, proxies={'http': ''})).list_queues()",
        ["error: AWS does not answer", "127.0.0.1:9", "make demo"],
    ),
    "AWS refuses": (
        "from botocore.exceptions import ClientError;"
        " raise ClientError({'Error': {'Code': 'AccessDenied', 'Message': 'not yours'}},"
        " 'PutObject')",
        ["error: AWS refused", "AccessDenied", "PutObject", "permissions"],
    ),
    "no credentials": (
        "from botocore.exceptions import NoCredentialsError; raise NoCredentialsError()",
        ["error: AWS:", "credentials", "aws sts get-caller-identity"],
    ),
    "the warehouse does not answer": (
        "import psycopg; psycopg.connect('postgresql://x@127.0.0.1:9/x', connect_timeout=2)",
        ["error: the warehouse", "127.0.0.1", "make demo"],
    ),
    "nothing listens": (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        ["error: the connection failed", "make demo"],
    ),
    "nothing listens for a URL": (
        "import urllib.request as u;"
        " u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:9/')",
        ["error: the connection failed", "make demo"],
    ),
    "a wait that ends": (
        "raise TimeoutError('waited 240 s until the API listens')",
        ["error: waited 240 s", "make redrive"],
    ),
    "a missing program": (
        "import subprocess; subprocess.run(['terraform'], env={'PATH': '/nonexistent'})",
        ["terraform", "install"],
    ),
    "a failed program": (
        "import subprocess, sys;"
        " subprocess.run([sys.executable, '-c', 'raise SystemExit(\"no space\")'],"
        " check=True, capture_output=True)",
        ["error:", "ended with 1", "no space"],
    ),
    "a missing file": (
        "open('/nonexistent/days.csv')",
        ["error: /nonexistent/days.csv", "No such file", "check the path"],
    ),
    "a missing package": ("import no_such_package", ["no_such_package", "make setup"]),
    "a full disk": (
        "raise OSError(28, 'No space left on device', '/data/x')",
        ["the disk is full", "/data/x", "free"],
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_an_expected_failure_is_a_message(kind: str, tmp_path: Path) -> None:
    text, mentions = FAILURES[kind]
    done = run(script(tmp_path, text))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    for word in mentions:
        assert word in done.stderr


def test_an_unexpected_failure_leaves_its_traceback_in_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> int:
        return {}["no such key"]

    assert guard(broken, "report", tmp_path / "logs") == 1
    said = capsys.readouterr().err
    [log] = (tmp_path / "logs").iterdir()
    assert (
        said.startswith("error: unexpected KeyError in report")
        and str(log) in said
        and "Traceback" not in said
    )
    assert "Traceback" in log.read_text() and "no such key" in log.read_text()


def test_an_interrupt_ends_without_a_traceback(tmp_path: Path) -> None:
    waits = script(tmp_path, "import time; print('waiting', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.command", waits],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts commands in the background with interrupts ignored, the tests as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said and "Traceback" not in said


def test_a_reader_that_leaves_ends_a_command_in_silence(tmp_path: Path) -> None:
    talks = script(tmp_path, "for n in range(100_000): print('row', n)")
    command = f"{sys.executable} -m dev.command {talks} | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("row 0\n", "")


def test_exit_codes_and_arguments_are_passed_on(tmp_path: Path) -> None:
    done = run(script(tmp_path, "import sys; print(sys.argv[1:]); sys.exit(3)"), "--date", "")
    assert (done.returncode, done.stdout) == (3, "['--date', '']\n")


def test_every_target_runs_its_python_through_the_guard() -> None:
    calls = PYTHON_CALL.findall((ROOT / "Makefile").read_text("utf-8"))
    assert len(calls) > 20
    assert [call for call in calls if not call.startswith(("$(RUN) ", "-m pytest "))] == []


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["dev.plan", "production"], ["'production'", "dev, staging, prod"]),
        (["dev.deploy_aws", "plan", "production"], ["'production'", "staging"]),
        (["dev.release", "sparc"], ["'sparc'", "arm64, x86_64 or host"]),
        (["dev.images"], ["expected the connectors' repositories as JSON"]),
    ],
)
def test_wrong_arguments_are_named(words: list[str], mentions: list[str]) -> None:
    done = run(*words)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    for word in mentions:
        assert word in done.stderr


def shoplake(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the operators' program from the project's folder."""
    return subprocess.run(
        [target_dir() / "debug" / "shoplake", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


POS_DAY = ("pos-day", "--data")


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (("pos-day", "--date", "2010-12-01"), ["--data <DIR>", "required"]),
        ((*POS_DAY, "tests"), ["--date <YYYY-MM-DD>", "required"]),
        ((*POS_DAY, "tests", "--date", "2010-13-01"), ["'2010-13-01'", "YYYY-MM-DD"]),
        ((*POS_DAY, "tests", "--date", "20101201"), ["'20101201'", "YYYY-MM-DD"]),
        (("redrive", "--queue", "x"), ["'x'", "streams, dirty"]),
        (("redrive", "--dataset", "web_traffic"), ["--day <YYYY-MM-DD>", "required"]),
        (("redrive", "--dataset", "pos_sales", "--day", "1.1.2026"), ["'1.1.2026'", "YYYY-MM-DD"]),
        (("report", "--no-such-option"), ["--no-such-option", "--help"]),
        (("reload", "feedback_score", "--from", "2026-11-21"), ["--to <PARTITION>"]),
        (("shop", "add"), ["<SHOP>"]),
    ],
)
def test_invalid_arguments_are_named(words: tuple[str, ...], mentions: list[str]) -> None:
    done = shoplake(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    for word in mentions:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (
            (*POS_DAY, "no/such/folder", "--date", "2010-12-01"),
            ["no/such/folder", "expected a folder, found nothing"],
        ),
        (
            (*POS_DAY, "tests/e2e/sales_days", "--date", "2010-12-09"),
            ["2010-12-09.csv", "3 days from 2010-12-01 to 2010-12-03"],
        ),
        (
            ("redrive", "--dataset", "sales", "--day", "2026-01-01"),
            ['invalid --dataset "sales"', "pos_sales"],
        ),
        (("report",), ["does not answer", "127.0.0.1:9", "start it with `make demo`"]),
        (("reference", "set", "weights", "no/such.csv"), ["cannot read no/such.csv"]),
    ],
)
def test_a_failure_of_the_program_is_one_message(
    words: tuple[str, ...], mentions: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "target.json"
    target.write_text('{"endpoint": "http://127.0.0.1:9", "outputs": {}}')
    done = shoplake(*words, "--target", str(target))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    for word in mentions:
        assert word in done.stderr


def test_an_invalid_target_is_named(tmp_path: Path) -> None:
    for text, mention in ((None, "No such file"), ("[]", "terraform output -json")):
        target = tmp_path / "target.json"
        if text:
            target.write_text(text)
        done = shoplake("report", "--target", str(target))
        assert done.returncode == 1
        assert str(target) in done.stderr and mention in done.stderr


def test_a_command_that_needs_the_demo_says_how_to_start_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [target_dir() / "debug" / "shoplake", "report"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the demo does not run: start it with `make demo`" in done.stderr


def test_what_was_printed_before_a_failure_is_kept(tmp_path: Path) -> None:
    done = run(script(tmp_path, "print('half'); raise SystemExit('then it failed')"))
    assert (done.stdout, done.stderr) == ("half\n", "error: then it failed\n")


def test_messages_of_defects_keep_the_first_line_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> int:
        raise ValueError("first\nsecond")

    assert guard(broken, "demo", tmp_path) == 1
    assert "second" not in capsys.readouterr().err
