//! Topics: where people, and the tools that page them, hear of something.

mod memory;
mod sns;

use async_trait::async_trait;

pub use memory::{Fault, MemoryTopic};
pub use sns::SnsTopic;

/// SNS: a subject is "less than 100 characters long".
const MAX_SUBJECT_CHARS: usize = 99;

/// What is said, once, to all who listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line, as [`subject`] makes it.
    pub subject: String,
    /// The message itself, usually JSON.
    pub body: String,
    /// Names and values by which a subscription may choose its messages.
    pub attributes: Vec<(&'static str, String)>,
}

/// Why nobody can be sure that a message was heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The topic did not take it. Publishing it again cannot make it two.
    #[error(
        "the topic did not take the message ({0}); it may be published again; check that the topic exists and that this process may publish to it"
    )]
    Refused(String),
    /// There was no answer, or none that says what became of it. Publishing it again may make it
    /// two.
    #[error(
        "the topic may or may not have taken the message ({0}); its subscribers know whether it arrived"
    )]
    Unknown(String),
}

/// Publishes messages.
#[async_trait]
pub trait Topic: Send + Sync {
    /// Publishes the message in one attempt: whether another one is allowed is for the caller to
    /// decide.
    async fn publish(&self, message: &Message) -> Result<(), PublishError>;
}

#[async_trait]
impl<T: Topic + ?Sized> Topic for std::sync::Arc<T> {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        (**self).publish(message).await
    }
}

/// `text` as SNS takes a subject: one line of printable ASCII, not too long, beginning with no
/// space.
///
/// What is not ASCII becomes `?`; the message's body says it in full.
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
    // ASCII by now, so that a byte is a character.
    format!("{}...", &line[..MAX_SUBJECT_CHARS - 3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_what_sns_would_refuse_when_made_a_subject_then_it_is_replaced() {
        assert_eq!(subject("p1 is out at north"), "p1 is out at north");
        assert_eq!(subject(" caf\u{e9}\nis low\t"), "caf? is low");
        assert_eq!(subject(&"x".repeat(120)), format!("{}...", "x".repeat(96)));
    }

    proptest! {
        #[test]
        fn given_any_text_when_made_a_subject_then_sns_takes_it(text in ".{0,200}") {
            let subject = subject(&text);
            prop_assert!(subject.len() < 100 && subject.chars().all(|character| (' '..='~').contains(&character)));
            prop_assert_eq!(subject.trim(), &subject);
        }
    }
}
