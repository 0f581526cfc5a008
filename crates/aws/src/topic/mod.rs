//! Topics: alerts to people, and to the tools that page them.

mod memory;
mod sns;

use async_trait::async_trait;

pub use memory::MemoryTopic;
pub use sns::SnsTopic;

/// SNS: a subject is "less than 100 characters long".
const MAX_SUBJECT_CHARS: usize = 99;

/// A message to all subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line, as [`subject`] makes it.
    pub subject: String,
    /// The message itself, usually JSON.
    pub body: String,
    /// Attributes by which a subscription filters messages.
    pub attributes: Vec<(&'static str, String)>,
}

/// Why a message was not published, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The topic did not accept it. Publishing it again cannot duplicate it.
    #[error(
        "the topic did not accept the message ({0}); publish it again, and check that the topic \
         exists and that this process may publish to it"
    )]
    Refused(String),
    /// The answer is missing or ambiguous. Publishing it again may duplicate it.
    #[error(
        "the topic may or may not have accepted the message ({0}); ask its subscribers whether it \
         arrived"
    )]
    Unknown(String),
}

/// Publishes messages.
#[async_trait]
pub trait Topic: Send + Sync {
    /// Publishes the message in one attempt. The caller decides whether to repeat it.
    async fn publish(&self, message: &Message) -> Result<(), PublishError>;
}

#[async_trait]
impl<T: Topic + ?Sized> Topic for std::sync::Arc<T> {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        (**self).publish(message).await
    }
}

/// Returns `text` as SNS accepts a subject: one line of at most 99 printable ASCII characters that
/// does not start with a space.
///
/// A character that is not ASCII becomes `?`; the message's body has the full text.
pub fn subject(text: &str) -> String {
    let printable = |character: char| match character {
        ' '..='~' => character,
        character if character.is_whitespace() || character.is_control() => ' ',
        _ => '?',
    };
    let line: String = text.chars().map(printable).collect();
    let line = line.trim();
    if line.len() <= MAX_SUBJECT_CHARS {
        return line.to_owned();
    }
    // The line is ASCII, so a byte is a character.
    format!("{}...", &line[..MAX_SUBJECT_CHARS - 3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_sns_refuses_are_replaced() {
        assert_eq!(subject("p1 is out at north"), "p1 is out at north");
        assert_eq!(subject(" caf\u{e9}\nis low\t"), "caf? is low");
        assert_eq!(subject(&"x".repeat(120)), format!("{}...", "x".repeat(96)));
    }

    proptest! {
        #[test]
        fn sns_accepts_the_subject_of_any_text(text in ".{0,200}") {
            let subject = subject(&text);
            prop_assert!(subject.len() < 100 && subject
                .chars().all(|character| (' '..='~').contains(&character)));
            prop_assert_eq!(subject.trim(), &subject);
        }
    }
}
