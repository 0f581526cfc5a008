"""Subscribes to SNS topics."""

from __future__ import annotations

import json
from typing import Any

from dev.pipeline import Pipeline


class Subscription:
    """A queue that subscribes to a topic, optionally with a filter policy."""

    def __init__(
        self, pipeline: Pipeline, topic_arn: str, name: str, policy: dict[str, Any] | None = None
    ) -> None:
        self._queues, self._topics = pipeline.cloud.client("sqs"), pipeline.cloud.client("sns")
        self._url = self._queues.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._queues.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["QueueArn"]
        )["Attributes"]
        self._arn = self._topics.subscribe(
            TopicArn=topic_arn,
            Protocol="sqs",
            Endpoint=attributes["QueueArn"],
            ReturnSubscriptionArn=True,
            Attributes={"FilterPolicy": json.dumps(policy)} if policy else {},
        )["SubscriptionArn"]

    def read(self) -> list[dict[str, Any]]:
        """Returns the notifications since the last call."""
        notifications = []
        while batch := self._queues.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        ).get("Messages"):
            for message in batch:
                self._queues.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
                notifications.append(json.loads(message["Body"]))
        return notifications

    def close(self) -> None:
        """Ends the subscription and deletes the queue."""
        self._topics.unsubscribe(SubscriptionArn=self._arn)
        self._queues.delete_queue(QueueUrl=self._url)
