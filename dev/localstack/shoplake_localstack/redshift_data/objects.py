"""Reads objects of the local S3 for COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from .copy import CopyError


class S3Objects:
    """Reads with a client that it makes on first use, because S3 may start after this service."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def read(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yields URL and content of each object, in the order of the keys."""
        s3 = self._client()
        try:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                    yield f"s3://{bucket}/{entry['Key']}", body
        except ClientError as error:
            reason = error.response["Error"]
            raise CopyError(
                f"S3ServiceException:{reason.get('Message')},Status {_status(error)},"
                f"Error {reason.get('Code')}"
            ) from error


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
