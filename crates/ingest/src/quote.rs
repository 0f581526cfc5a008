//! Repeats what was sent in messages, escaped and shortened.

/// The most characters or bytes of what was sent that a message repeats.
const MAX_SHOWN: usize = 50;

/// Returns the beginning of the text in quotes.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns the beginning of bytes that may not be text, in quotes.
pub fn quoted_bytes(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(MAX_SHOWN)];
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_escaped_and_shortened() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(quoted(&"é".repeat(51)), format!("{:?}...", "é".repeat(50)));
        assert_eq!(quoted_bytes(b"a\xff\n"), r#""a\xff\n""#);
        assert_eq!(quoted_bytes(&[0; 51]), format!("\"{}\"...", r"\x00".repeat(50)));
    }
}
