//! Splits a SQL file into statements.

/// Returns the statements of a script without their semicolons. Text of only spaces and comments is
/// not a statement.
///
/// A semicolon inside a string, a quoted name, a comment or a dollar-quoted body does not end a
/// statement.
pub(crate) fn split(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut at, mut has_content) = (0, 0, false);
    while at < script.len() {
        let rest = &script[at..];
        if let Some(length) = comment(rest) {
            at += length;
            continue;
        }
        if rest.starts_with(';') {
            if has_content {
                statements.push(script[start..at].trim());
            }
            (start, at, has_content) = (at + 1, at + 1, false);
            continue;
        }
        let length = quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        has_content |= !rest[..length].trim().is_empty();
        at += length;
    }
    if has_content {
        statements.push(script[start..].trim());
    }
    statements
}

/// Returns the length of the comment at the start of the text.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let body = text.strip_prefix("/*")?;
    Some(body.find("*/").map_or(text.len(), |end| end + "/**/".len()))
}

/// Returns the length of the string, quoted name or dollar-quoted body at the start of the text.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    if quote == '\'' || quote == '"' {
        // A doubled quote ends one string and starts the next, which splits at the same places.
        return Some(text[1..].find(quote).map_or(text.len(), |end| end + 2));
    }
    if quote == '$' {
        let tag_end = text[1..].find('$')? + 2;
        let tag = &text[..tag_end];
        if !tag[1..tag_end - 1].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        return Some(text[tag_end..].find(tag).map_or(text.len(), |end| tag_end + end + tag_end));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_script_splits_into_statements() {
        assert_eq!(
            split("create schema a;\ncreate schema b;"),
            ["create schema a", "create schema b"]
        );
        assert_eq!(split("select 1"), ["select 1"]);
        assert!(split(" ;; -- nothing; here\n /* nor; here */ ;").is_empty());
    }

    #[test]
    fn quoted_semicolons_end_no_statement() {
        for statement in [
            "comment on schema a is 'it''s; fine'",
            "select \"odd;name\"",
            "select 1 -- one;\n+ 1",
            "select /* a;b */ 1",
            "create function f() returns int as $$ select 1; $$ language sql",
            "create function f() returns int as $body$ select '$$'; $body$ language sql",
        ] {
            let script = format!("{statement};\nselect 2;");
            assert_eq!(split(&script), [statement, "select 2"]);
        }
    }

    #[test]
    fn a_comment_stays_with_its_statement() {
        assert_eq!(split("-- why; this\nselect 1;"), ["-- why; this\nselect 1"]);
    }

    proptest! {
        #[test]
        fn joined_statements_split_again(
            statements in prop::collection::vec(
                "[a-z]{1,8}( '[a-z;-]{0,6}')?( \"[a-z;]{1,4}\")?", 1..6
            )
        ) {
            let script = statements.join(";\n-- between;\n");
            let expected = statements.iter().map(String::as_str).collect::<Vec<_>>();
            let found = split(&script);
            let found: Vec<_> =
                found.iter().map(|found| found.trim_start_matches("-- between;\n")).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_text_splits(text in "[ -~\n;'$é]{0,60}") {
            for statement in split(&text) {
                prop_assert!(text.contains(statement));
            }
        }
    }
}
