//! Reads the keywords of a schema.

use crate::json::Json;

/// 2^53: a double holds every integer below it, so a bound below it compares exactly.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// What is wrong with a schema, and where.
pub(super) struct Problem {
    pub(super) at: String,
    pub(super) text: String,
}

pub(super) type Compiled<T> = Result<T, Problem>;

pub(super) fn problem<T>(at: &str, text: impl Into<String>) -> Compiled<T> {
    Err(Problem { at: at.to_owned(), text: text.into() })
}

/// Keywords without effect on validation.
pub(super) const ANNOTATIONS: [&str; 3] = ["title", "description", "examples"];

pub(super) fn only_keywords(schema: &Json, at: &str, known: &[&str]) -> Compiled<()> {
    let Json::Object(keywords) = schema else {
        return problem(at, format!("expected an object, found {}", schema.kind()));
    };
    for (position, (keyword, _)) in keywords.iter().enumerate() {
        if !known.contains(&keyword.as_str()) && !keyword.starts_with("x-") {
            return problem(
                &format!("{at}/{keyword}"),
                format!("not supported here; expected one of {} or x-*", known.join(", ")),
            );
        }
        if keywords[..position].iter().any(|(earlier, _)| earlier == keyword) {
            return problem(&format!("{at}/{keyword}"), "occurs twice");
        }
    }
    Ok(())
}

/// Returns the type, and whether null is allowed as well.
pub(super) fn type_of<'s>(schema: &'s Json, at: &str) -> Compiled<(&'s str, bool)> {
    let at = format!("{at}/type");
    match schema.get("type") {
        Some(Json::Text(name)) => Ok((name, false)),
        Some(Json::Array(names)) => match names.as_slice() {
            [Json::Text(name), Json::Text(null)] | [Json::Text(null), Json::Text(name)]
                if null == "null" =>
            {
                Ok((name, true))
            }
            _ => problem(&at, "expected a type, or [a type, \"null\"]"),
        },
        _ => problem(&at, "every field needs a type"),
    }
}

pub(super) fn list<'s>(schema: &'s Json, at: &str, name: &str) -> Compiled<&'s [Json]> {
    match schema.get(name) {
        None => Ok(&[]),
        Some(Json::Array(values)) => Ok(values),
        Some(other) => {
            problem(&format!("{at}/{name}"), format!("expected an array, found {}", other.kind()))
        }
    }
}

pub(super) fn count(schema: &Json, at: &str, name: &str) -> Compiled<Option<usize>> {
    match schema.get(name) {
        None => Ok(None),
        Some(Json::Integer(value @ 0..=0x7fff_ffff)) => Ok(Some(*value as usize)),
        Some(other) => problem(&format!("{at}/{name}"), format!("expected a count, found {other}")),
    }
}

pub(super) fn double(schema: &Json, at: &str, name: &str) -> Compiled<Option<f64>> {
    let value = match schema.get(name) {
        None => return Ok(None),
        Some(Json::Integer(value)) => *value as f64,
        Some(Json::Double(value, _)) => *value,
        Some(_) => f64::NAN,
    };
    if value.abs() < EXACT_INTEGERS {
        Ok(Some(value))
    } else {
        problem(&format!("{at}/{name}"), "expected a number within plus or minus 2^53")
    }
}
