"""The local S3, as COPY reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from .copy import CopyError


class S3Objects:
    """Reads with a client that is made when it is first needed: when the service starts, S3 may not
    be there yet.
    """

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def read(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """In the order of the keys."""
        s3 = self._client()
        try:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                    yield f"s3://{bucket}/{entry['Key']}", body
        except ClientError as error:
            reason = error.response["Error"]
            raise CopyError(
                f"S3ServiceException:{reason.get('Message')},Status {_status(error)},Error {reason.get('Code')}"
            ) from error


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
