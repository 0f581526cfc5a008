//! Cuts a SQL file into its statements.

/// The statements of a script, without their semicolons; text that is only space and comments is
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

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let body = text.strip_prefix("/*")?;
    Some(body.find("*/").map_or(text.len(), |end| end + "/**/".len()))
}

/// The length of the string, quoted name or dollar-quoted body that the text begins with.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    if quote == '\'' || quote == '"' {
        // A doubled quote is seen as the end of one string and the beginning of the next, which
        // cuts at the same places.
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
    fn given_a_script_when_split_then_each_statement_stands_alone() {
        assert_eq!(
            split("create schema a;\ncreate schema b;"),
            ["create schema a", "create schema b"]
        );
        assert_eq!(split("select 1"), ["select 1"]);
        assert!(split(" ;; -- nothing; here\n /* nor; here */ ;").is_empty());
    }

    #[test]
    fn given_semicolons_that_end_nothing_when_split_then_they_stay() {
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
    fn given_a_comment_before_a_statement_when_split_then_it_stays_with_it() {
        assert_eq!(split("-- why; this\nselect 1;"), ["-- why; this\nselect 1"]);
    }

    proptest! {
        #[test]
        fn given_simple_statements_when_joined_and_split_then_they_come_back(
            statements in prop::collection::vec("[a-z]{1,8}( '[a-z;-]{0,6}')?( \"[a-z;]{1,4}\")?", 1..6)
        ) {
            let script = statements.join(";\n-- between;\n");
            let expected = statements.iter().map(String::as_str).collect::<Vec<_>>();
            let found = split(&script);
            let found = found.iter().map(|s| s.trim_start_matches("-- between;\n")).collect::<Vec<_>>();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn given_any_text_when_split_then_nothing_panics(text in "[ -~\n;'$é]{0,60}") {
            for statement in split(&text) {
                prop_assert!(text.contains(statement));
            }
        }
    }
}
