//! What can be read from the text of a query without an engine: which tables it refers to and which
//! columns it returns.
//!
//! The models keep to a style (lower case, one statement, explicit columns), so a scanner is
//! enough. What does not keep to it is an error, never a guess.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(silver|gold|reference)\.([a-z][a-z0-9_]*)\b"));
static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"[a-z_][a-z0-9_]*|[(),;*]"));
/// A column as it is, or anything with a name given by `as`.
static COLUMN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(?:\w+\.)?([a-z_][a-z0-9_]*)$|\sas\s+([a-z_][a-z0-9_]*)$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Why a query cannot be a model or a check.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It holds no query, or something that is not one.
    #[error("expected a query that starts with `select` or `with` (in lower case), found {0:?}")]
    NoQuery(String),
    /// It holds more than one statement.
    #[error("expected one statement, found a `;` inside it")]
    Statements,
    /// Parentheses that do not match.
    #[error("expected matching parentheses")]
    Parentheses,
    /// Its last `select` returns something that has no plain name.
    #[error(
        "expected the last `select` to return explicit columns, found {0:?}; name it with `as`, and list columns instead of `*`"
    )]
    Column(String),
    /// Its last `select` returns a name twice.
    #[error("the last `select` returns the column {0:?} twice")]
    Twice(String),
}

/// A query, and the places where it refers to tables of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    text: String,
    references: Vec<(Range<usize>, String)>,
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let code = code_only(text);
        let first = WORD.find(&code).map_or("", |word| word.as_str());
        if !matches!(first, "select" | "with") {
            return Err(QueryError::NoQuery(text.chars().take(40).collect()));
        }
        if code.contains(';') {
            return Err(QueryError::Statements);
        }
        let references = REFERENCE
            .find_iter(&code)
            .map(|reference| (reference.range(), reference.as_str().to_owned()))
            .collect();
        Ok(Self { text: text.to_owned(), references })
    }

    /// The tables that it refers to, such as `silver.pos_sales`; one per place.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|(_, name)| name.as_str())
    }

    /// The text with every reference replaced by what `name` gives for it.
    pub(crate) fn render(&self, name: impl Fn(&str) -> String) -> String {
        let mut rendered = String::with_capacity(self.text.len());
        let mut end = 0;
        for (range, reference) in &self.references {
            rendered.push_str(&self.text[end..range.start]);
            rendered.push_str(&name(reference));
            end = range.end;
        }
        rendered.push_str(&self.text[end..]);
        rendered
    }

    /// The names of the columns that it returns.
    pub(crate) fn columns(&self) -> Result<Vec<String>, QueryError> {
        let code = code_only(&self.text);
        let mut depth = 0_usize;
        let mut items: Vec<Range<usize>> = Vec::new();
        let mut start = None;
        for word in WORD.find_iter(&code) {
            match (word.as_str(), depth, start) {
                ("(", _, _) => depth += 1,
                (")", _, _) => depth = depth.checked_sub(1).ok_or(QueryError::Parentheses)?,
                ("select", 0, _) => {
                    items.clear();
                    start = Some(word.end());
                }
                (",", 0, Some(from)) => {
                    items.push(from..word.start());
                    start = Some(word.end());
                }
                ("from", 0, Some(from)) => {
                    items.push(from..word.start());
                    start = None;
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err(QueryError::Parentheses);
        }
        items.extend(start.map(|from| from..code.len()));
        let mut columns: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            let item = code[item].trim();
            let name = COLUMN.captures(item).and_then(|found| found.get(1).or(found.get(2)));
            let name = name.ok_or_else(|| QueryError::Column(item.to_owned()))?;
            let column = name.as_str().to_owned();
            if columns.contains(&column) {
                return Err(QueryError::Twice(column));
            }
            columns.push(column);
        }
        Ok(columns)
    }
}

/// The text with comments, string literals and quoted names blanked out, byte for byte.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if matches!(character, '\'' | '"' | '`') {
            // A doubled quote inside a literal ends one literal and starts the next: blanked all
            // the same.
            rest[1..].find(character).map_or(rest.len(), |end| end + 2)
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        };
        code.extend(std::iter::repeat_n(' ', length));
        rest = &rest[length..];
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn given_comments_and_literals_then_only_code_refers_to_tables() {
        let query = parse(
            "select 'silver.no', /* gold.no */ \"silver.no\" as x -- silver.no 'é\nfrom silver.yes join gold.too on silver.yes.a = 'it''s gold.no'",
        );
        assert_eq!(
            query.references().collect::<Vec<_>>(),
            ["silver.yes", "gold.too", "silver.yes"]
        );
        let rendered = query.render(|name| name.replace('.', "__"));
        assert!(
            rendered.contains("from silver__yes join gold__too on silver__yes.a = 'it''s gold.no'"),
            "{rendered}"
        );
        assert!(rendered.starts_with("select 'silver.no', /* gold.no */"), "{rendered}");
    }

    #[test]
    fn the_columns_are_those_of_the_last_select_outside_of_parentheses() {
        let query = parse(
            "with a as (select x, y from silver.t)
             select a.x, sum(y) over (partition by x, y) as total, cast(y as decimal(18, 4)) as money from (select 1 as z) as b",
        );
        assert_eq!(query.columns().unwrap(), ["x", "total", "money"]);
    }

    #[test]
    fn given_what_has_no_plain_name_then_the_error_shows_it() {
        let column = |text: &str| parse(text).columns().unwrap_err();
        assert_eq!(column("select * from silver.t"), QueryError::Column("*".into()));
        assert_eq!(column("select a, sum(b) from silver.t"), QueryError::Column("sum(b)".into()));
        assert_eq!(
            column("select case when a then 1 end from silver.t"),
            QueryError::Column("case when a then 1 end".into())
        );
        assert_eq!(column("select a, b as a from silver.t"), QueryError::Twice("a".into()));
        assert_eq!(column("select (a from silver.t"), QueryError::Parentheses);
    }

    #[test]
    fn given_anything_but_one_query_then_it_is_refused() {
        assert_eq!(Query::parse("drop table x"), Err(QueryError::NoQuery("drop table x".into())));
        assert_eq!(Query::parse(""), Err(QueryError::NoQuery(String::new())));
        assert_eq!(Query::parse("select 1; select 2"), Err(QueryError::Statements));
    }
}
