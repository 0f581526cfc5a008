"""LocalStack's Firehose with another implementation of the S3 destination.

LocalStack's own reads Kinesis with a Java program, takes prefixes literally, and neither buffers
nor compresses. Other destinations, descriptions and tags remain LocalStack's.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from localstack.aws.api import RequestContext
from localstack.aws.api.firehose import (
    CreateDeliveryStreamOutput,
    DeleteDeliveryStreamOutput,
    DeliveryStreamDescription,
    DeliveryStreamType,
    InvalidArgumentException,
    PutRecordBatchResponseEntry,
    UpdateDestinationOutput,
)
from localstack.aws.connect import connect_to
from localstack.services.firehose.provider import FirehoseProvider
from localstack.services.plugins import ServiceLifecycleHook
from localstack.utils.aws.arns import firehose_stream_arn

from .delivery import Delivery
from .kinesis import KinesisReader
from .settings import Settings, SettingsError


class Provider(FirehoseProvider, ServiceLifecycleHook):
    """Keeps one `Delivery` per delivery stream, by ARN."""

    def __init__(self) -> None:
        super().__init__()
        self._deliveries: dict[str, Delivery] = {}

    def on_before_stop(self) -> None:
        """Stops all deliveries when the server ends."""
        for delivery in self._deliveries.values():
            delivery.stop()

    def create_delivery_stream(
        self,
        context: RequestContext,
        delivery_stream_name: str,
        delivery_stream_type: str | None = None,
        **configuration: Any,
    ) -> CreateDeliveryStreamOutput:
        """Validates and starts the stream. LocalStack gets the type DirectPut, because it would
        start its Java program for another.
        """
        s3 = configuration.get("extended_s3_destination_configuration") or configuration.get(
            "s3_destination_configuration"
        )
        settings = _settings(s3) if s3 else None
        created = super().create_delivery_stream(
            context, delivery_stream_name, DeliveryStreamType.DirectPut, **configuration
        )
        description = self._description(context.account_id, context.region, delivery_stream_name)
        assert description is not None
        description["DeliveryStreamType"] = delivery_stream_type or DeliveryStreamType.DirectPut
        if settings:
            self._start(context, description, settings)
        return created

    def update_destination(
        self,
        context: RequestContext,
        delivery_stream_name: str,
        current_delivery_stream_version_id: str,
        destination_id: str,
        extended_s3_destination_update: Mapping[str, Any] | None = None,
        **updates: Any,
    ) -> UpdateDestinationOutput:
        """Changes only the fields of the update, as AWS does; LocalStack replaces all of them."""
        description = self.describe_delivery_stream(context, delivery_stream_name)[
            "DeliveryStreamDescription"
        ]
        delivery = self._deliveries.get(description["DeliveryStreamARN"])
        if not extended_s3_destination_update or delivery is None:
            return super().update_destination(
                context,
                delivery_stream_name,
                current_delivery_stream_version_id,
                destination_id,
                extended_s3_destination_update=extended_s3_destination_update,
                **updates,
            )
        destination = description["Destinations"][0]
        changed = {
            **(destination.get("ExtendedS3DestinationDescription") or {}),
            **extended_s3_destination_update,
        }
        version = str(int(description["VersionId"]) + 1)
        delivery.change(version, _settings(changed))
        destination["ExtendedS3DestinationDescription"] = changed
        description["VersionId"] = version
        return UpdateDestinationOutput()

    def delete_delivery_stream(
        self,
        context: RequestContext,
        delivery_stream_name: str,
        allow_force_delete: bool | None = None,
        **kwargs: Any,
    ) -> DeleteDeliveryStreamOutput:
        """Deletes the stream and ends its delivery."""
        deleted = super().delete_delivery_stream(
            context, delivery_stream_name, allow_force_delete, **kwargs
        )
        self._stop(firehose_stream_arn(delivery_stream_name, context.account_id, context.region))
        return deleted

    def _put_records(
        self,
        account_id: str,
        region_name: str,
        delivery_stream_name: str,
        unprocessed_records: list[dict[str, Any]],
    ) -> list[PutRecordBatchResponseEntry]:
        """Adds direct puts, which the base class has encoded in base64 for other destinations."""
        description = self._description(account_id, region_name, delivery_stream_name)
        delivery = self._deliveries.get(description["DeliveryStreamARN"]) if description else None
        if delivery is None:
            return super()._put_records(
                account_id, region_name, delivery_stream_name, unprocessed_records
            )
        for record in unprocessed_records:
            delivery.put(b64decode(record["Data"]))
        return [PutRecordBatchResponseEntry(RecordId=str(uuid4())) for _ in unprocessed_records]

    def _start(
        self, context: RequestContext, description: DeliveryStreamDescription, settings: Settings
    ) -> None:
        clients = connect_to(aws_access_key_id=context.account_id, region_name=context.region)
        source = None
        if stream := (description.get("Source") or {}).get("KinesisStreamSourceDescription"):
            source = KinesisReader(
                clients.kinesis, stream["KinesisStreamARN"].rpartition(":stream/")[2]
            )
        delivery = Delivery(
            description["DeliveryStreamName"],
            description["VersionId"],
            settings,
            clients.s3,
            source,
        )
        self._deliveries[description["DeliveryStreamARN"]] = delivery
        delivery.start()

    def _stop(self, arn: str) -> None:
        if delivery := self._deliveries.pop(arn, None):
            delivery.stop()

    def _description(
        self, account_id: str, region: str, name: str
    ) -> DeliveryStreamDescription | None:
        return self.get_store(account_id, region).delivery_streams.get(name)


def _settings(configuration: Mapping[str, Any]) -> Settings:
    try:
        return Settings.of(configuration)
    except SettingsError as error:
        raise InvalidArgumentException(str(error)) from error
