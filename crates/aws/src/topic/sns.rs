//! Amazon SNS.

use std::error::Error;
use std::io::ErrorKind;

use async_trait::async_trait;
use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_sns::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::publish::PublishError as SdkPublishError,
    types::MessageAttributeValue,
};

use super::{Message, PublishError, Topic};

/// A topic of SNS.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic with this ARN.
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        // The SDK would repeat a request without an answer, and subscribers could get a message
        // twice.
        let config = aws_sdk_sns::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), arn: arn.into() }
    }
}

#[async_trait]
impl Topic for SnsTopic {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&message.subject)
            .message(&message.body);
        for (name, value) in &message.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| PublishError::Refused(error.to_string()))?;
            request = request.message_attributes(*name, value);
        }
        request.send().await.map(drop).map_err(|error| failure(&error))
    }
}

/// Returns what a failed request means for its message. In doubt the message may have arrived.
fn failure(error: &SdkError<SdkPublishError>) -> PublishError {
    let detail = DisplayErrorContext(error).to_string();
    let refused = match error {
        SdkError::ConstructionFailure(_) => true,
        // SNS answers what it does not accept (throttled, forbidden, invalid) with 4xx. After a 5xx
        // it may have accepted the message.
        SdkError::ServiceError(answer) => answer.raw().status().is_client_error(),
        SdkError::DispatchFailure(failure) => failure.is_user() || was_never_connected(error),
        _ => false,
    };
    if refused { PublishError::Refused(detail) } else { PublishError::Unknown(detail) }
}

/// Returns whether the connection failed, so that nothing was sent.
fn was_never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_answer_is_unknown() {
        assert!(matches!(failure(&SdkError::timeout_error("no answer")), PublishError::Unknown(_)));
        assert!(matches!(
            failure(&SdkError::construction_failure("no topic")),
            PublishError::Refused(_)
        ));
    }

    #[test]
    fn a_refused_connection_sent_nothing() {
        let refused = std::io::Error::from(ErrorKind::ConnectionRefused);
        assert!(was_never_connected(&refused));
        assert!(!was_never_connected(&std::io::Error::from(ErrorKind::ConnectionReset)));
    }

    #[tokio::test]
    async fn a_message_to_a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = publish_to(&format!("http://{address}")).await.unwrap_err();
        assert!(matches!(error, PublishError::Refused(_)), "{error}");
    }

    #[tokio::test]
    async fn a_closed_connection_is_unknown_and_not_retried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = tokio::spawn(async move {
            let mut requests = 0;
            while let Ok(Ok((mut connection, _))) =
                tokio::time::timeout(std::time::Duration::from_millis(500), listener.accept()).await
            {
                requests += 1;
                let mut some = [0; 16];
                tokio::io::AsyncReadExt::read(&mut connection, &mut some).await.unwrap();
            }
            requests
        });
        let error = publish_to(&format!("http://{address}")).await.unwrap_err();
        assert!(matches!(error, PublishError::Unknown(_)), "{error}");
        assert_eq!(requests.await.unwrap(), 1);
    }

    async fn publish_to(endpoint: &str) -> Result<(), PublishError> {
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(aws_sdk_sns::config::SharedCredentialsProvider::new(
                aws_sdk_sns::config::Credentials::new("test", "test", None, None, "test"),
            ))
            .build();
        let topic = SnsTopic::new(&config, "arn:aws:sns:us-east-1:000000000000:t");
        topic.publish(&Message { subject: "s".into(), body: "b".into(), attributes: vec![] }).await
    }
}
