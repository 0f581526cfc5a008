//! Reads the tables and the columns of a query from its text, without an engine.
//!
//! Models keep to one style (lower case, one statement, named columns), so a scanner is enough.
//! Other text is an error, never a guess.

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

/// Why a text is not a valid query of a model or a check.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is not a query.
    #[error("expected a query that starts with `select` or `with` (in lower case), got {0:?}")]
    NoQuery(String),
    /// It holds more than one statement.
    #[error("expected one statement, got a `;` inside it")]
    Statements,
    /// Its parentheses do not match.
    #[error("expected matching parentheses")]
    Parentheses,
    /// Its last `select` returns something without a name.
    #[error(
        "the last `select` returns {0:?}: expected columns, each with a name (`as`), or `select *` \
         from a common table expression"
    )]
    Column(String),
    /// Its last `select` returns a name twice.
    #[error("the last `select` returns the column {0:?} twice")]
    Twice(String),
}

/// A query, and the places where it reads tables of the lake.
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

    /// Returns the tables that it reads, such as `silver.pos_sales`, once per place.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|(_, name)| name.as_str())
    }

    /// Returns the text with `name(table)` in place of every table.
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

    /// Returns the names of the columns of its rows.
    pub(crate) fn columns(&self) -> Result<Vec<String>, QueryError> {
        let code = code_only(&self.text);
        columns(&code, 0..code.len())
    }
}

/// Returns the columns of the query in `code[query]`. A `select *` from a common table expression
/// has the columns of that expression.
fn columns(code: &str, query: Range<usize>) -> Result<Vec<String>, QueryError> {
    let mut depth = 0_usize;
    let mut items: Vec<Range<usize>> = Vec::new();
    let mut start = None;
    let mut source = query.end;
    for word in WORD.find_iter(&code[query.clone()]) {
        let place = query.start + word.start()..query.start + word.end();
        match (word.as_str(), depth, start) {
            ("(", _, _) => depth += 1,
            (")", _, _) => depth = depth.checked_sub(1).ok_or(QueryError::Parentheses)?,
            ("select", 0, _) => {
                items.clear();
                start = Some(place.end);
            }
            (",", 0, Some(from)) => {
                items.push(from..place.start);
                start = Some(place.end);
            }
            ("from", 0, Some(from)) => {
                items.push(from..place.start);
                start = None;
                source = place.end;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(QueryError::Parentheses);
    }
    items.extend(start.map(|from| from..query.end));
    if let [item] = &items[..]
        && code[item.clone()].trim() == "*"
        && let Some(table) = common_table(code, source..query.end)
    {
        return columns(code, table);
    }
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

/// Returns where the body is of the common table expression whose name `code[source]` starts with.
/// Only an expression that ends before `source` counts, as a query cannot read itself.
fn common_table(code: &str, source: Range<usize>) -> Option<Range<usize>> {
    let name = WORD.find(&code[source.clone()])?;
    let heading = regex(&format!(r"\b{}\s+as\s*\(", regex::escape(name.as_str())));
    let heading = heading.find_iter(&code[..source.start]).last()?;
    let mut depth = 1_usize;
    for (place, character) in code[heading.end()..source.start].char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(heading.end()..heading.end() + place);
        }
    }
    None
}

/// Returns the text with spaces in place of comments, string literals and quoted names, byte for
/// byte.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if matches!(character, '\'' | '"' | '`') {
            // A doubled quote inside a literal ends one literal and starts the next, so both are
            // blanked.
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
    fn comments_and_literals_read_no_table() {
        let query = parse(
            "select 'silver.no', /* gold.no */ \"silver.no\" as x -- silver.no 'é\n\
             from silver.yes join gold.too on silver.yes.a = 'it''s gold.no'",
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
    fn columns_are_those_of_the_last_outer_select() {
        let query = parse(
            "with a as (select x, y from silver.t)
             select a.x, sum(y) over (partition by x, y) as total,
             cast(y as decimal(18, 4)) as money
             from (select 1 as z) as b",
        );
        assert_eq!(query.columns().unwrap(), ["x", "total", "money"]);
    }

    #[test]
    fn select_star_has_the_columns_of_its_common_table() {
        let columns = |text: &str| parse(text).columns();
        let text = "with a as (select (x) as x, y from silver.t), final as (select * from a)
             select * from final where x > 0";
        assert_eq!(columns(text).unwrap(), ["x", "y"]);
        for text in [
            "with a as (select * from a) select * from a",
            "with a as (select * from b), b as (select x from silver.t) select * from a",
            "select * from (select 1 as a) as b",
        ] {
            assert_eq!(columns(text), Err(QueryError::Column("*".into())), "{text}");
        }
    }

    #[test]
    fn a_column_without_a_name_is_refused() {
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
    fn only_one_query_is_a_query() {
        assert_eq!(Query::parse("drop table x"), Err(QueryError::NoQuery("drop table x".into())));
        assert_eq!(Query::parse(""), Err(QueryError::NoQuery(String::new())));
        assert_eq!(Query::parse("select 1; select 2"), Err(QueryError::Statements));
    }
}
