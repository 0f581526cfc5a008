//! Fields that hold one value.

use regex::Regex;

use super::keyword::{ANNOTATIONS, Compiled, count, double, list, only_keywords, problem};
use shoplake_jobs::ColumnType;

use crate::json::Json;
use crate::scalar::{DoubleRules, Kind, Listed, Scalar, Sign, TextRules};

pub(super) fn scalar(kind: &str, null: bool, schema: &Json, at: &str) -> Compiled<Scalar> {
    let listed_keywords = ["type", "enum", "const", "not"];
    let allow = |keywords: &[&str]| {
        only_keywords(schema, at, &[&ANNOTATIONS[..], &listed_keywords, keywords].concat())
    };
    let kind = match kind {
        "string" => {
            allow(&["format", "pattern", "minLength", "maxLength"])?;
            text_kind(schema, at, null)?
        }
        "integer" => {
            allow(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])?;
            integer_kind(schema, at, null)?
        }
        "number" => {
            only_keywords(
                schema,
                at,
                &[
                    &ANNOTATIONS[..],
                    &["type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
                ]
                .concat(),
            )?;
            Kind::Double(DoubleRules {
                minimum: double(schema, at, "minimum")?,
                maximum: double(schema, at, "maximum")?,
                above: double(schema, at, "exclusiveMinimum")?,
                below: double(schema, at, "exclusiveMaximum")?,
            })
        }
        "boolean" => {
            allow(&[])?;
            let boolean =
                |value: &Json| if let Json::Boolean(value) = value { Some(*value) } else { None };
            Kind::Boolean(listed(schema, at, null, "a boolean", boolean)?)
        }
        other => {
            return problem(
                &format!("{at}/type"),
                format!(
                    "{other:?} is not supported: expected string, integer, number, boolean, object or array"
                ),
            );
        }
    };
    // `enum` and `const` also speak about null: listing only values rules it out.
    let listed_null = match (schema.get("enum"), schema.get("const")) {
        (Some(Json::Array(values)), _) => values.contains(&Json::Null),
        (_, Some(_)) => false,
        _ => true,
    };
    Ok(Scalar { kind, null: null && listed_null })
}

fn text_kind(schema: &Json, at: &str, null: bool) -> Compiled<Kind> {
    let text = |value: &Json| value.as_str().map(Box::from);
    let mut rules = TextRules {
        minimum: count(schema, at, "minLength")?.unwrap_or(0),
        maximum: count(schema, at, "maxLength")?,
        pattern: None,
        listed: listed(schema, at, null, "a string", text)?,
    };
    let declared_pattern = match schema.get("pattern") {
        Some(Json::Text(pattern)) => Some(pattern.as_str()),
        Some(_) => return problem(&format!("{at}/pattern"), "expected a string"),
        None => None,
    };
    if let Some(declared) = schema.get("x-type") {
        let Some(Ok(ColumnType::Decimal { precision, scale })) = declared.as_str().map(str::parse)
        else {
            return problem(
                &format!("{at}/x-type"),
                format!("expected \"decimal(p,s)\" with s < p <= 38, found {declared}"),
            );
        };
        if schema.get("format").is_some() {
            return problem(at, "a decimal has no format");
        }
        let Some(sign) = Sign::ALL
            .into_iter()
            .find(|sign| declared_pattern == Some(&sign.pattern(precision, scale)))
        else {
            let patterns = Sign::ALL.map(|sign| sign.pattern(precision, scale));
            return problem(
                &format!("{at}/pattern"),
                format!(
                    "a decimal({precision},{scale}) must declare one of these patterns (any sign, not negative, positive): {}",
                    patterns.join("   ")
                ),
            );
        };
        return Ok(Kind::Decimal { precision, scale, sign, rules });
    }
    rules.pattern = declared_pattern.map(|pattern| compile_pattern(pattern, at)).transpose()?;
    match schema.get("format").map(|format| format.as_str().unwrap_or_default()) {
        None => Ok(Kind::Text(rules)),
        Some("date-time") => Ok(Kind::Timestamp(rules)),
        Some("date") => Ok(Kind::Date(rules)),
        Some(other) => problem(
            &format!("{at}/format"),
            format!(
                "{other:?} is not supported: expected date-time or date; a pattern can say the rest"
            ),
        ),
    }
}

/// Engines disagree about `\d`, `\w`, `\s`, `\b` (ASCII or Unicode), `.` (which line ends) and `(?`
/// (look-around), so a contract does without.
fn compile_pattern(pattern: &str, at: &str) -> Compiled<Regex> {
    let at = format!("{at}/pattern");
    let mut within_class = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let portable = match character {
            '\\' => {
                let escaped = characters.next();
                escaped.is_some_and(|escaped| {
                    escaped.is_ascii_punctuation() || matches!(escaped, 'n' | 'r' | 't')
                })
            }
            '[' if within_class => false,
            '[' => {
                within_class = true;
                true
            }
            ']' => {
                within_class = false;
                true
            }
            '&' | '~' | '-' if within_class => next != Some(character),
            '.' => within_class,
            '(' => within_class || next != Some('?'),
            _ => true,
        };
        if !portable {
            return problem(
                &at,
                format!(
                    "{pattern:?} means different things to different engines near {character:?}: write classes out ([0-9], [^\\n]), without \\d, \\w, \\s, \\b, '.' and (?"
                ),
            );
        }
    }
    Regex::new(pattern).or_else(|error| problem(&at, format!("not a regular expression: {error}")))
}

fn integer_kind(schema: &Json, at: &str, null: bool) -> Compiled<Kind> {
    let integer = |value: &Json| if let Json::Integer(value) = value { Some(*value) } else { None };
    let bound = |name: &str| match schema.get(name) {
        None => Ok(None),
        Some(Json::Integer(value)) => Ok(Some(*value)),
        Some(other) => {
            problem(&format!("{at}/{name}"), format!("expected a 64-bit integer, found {other}"))
        }
    };
    let above = bound("exclusiveMinimum")?.map(|value| value.saturating_add(1));
    let below = bound("exclusiveMaximum")?.map(|value| value.saturating_sub(1));
    let (Some(minimum), Some(maximum)) =
        (bound("minimum")?.max(above), bound("maximum")?.into_iter().chain(below).min())
    else {
        return problem(at, "an integer becomes a 64-bit column: declare its minimum and maximum");
    };
    Ok(Kind::Integer { minimum, maximum, rules: listed(schema, at, null, "an integer", integer)? })
}

fn listed<T>(
    schema: &Json,
    at: &str,
    null: bool,
    what: &str,
    read: impl Fn(&Json) -> Option<T>,
) -> Compiled<Listed<T>> {
    let read = |value: &Json, at: &str| match (value, read(value)) {
        (_, Some(value)) => Ok(Some(value)),
        (Json::Null, None) if null => Ok(None),
        (other, None) => problem(at, format!("expected {what}, found {other}")),
    };
    let values = |schema: &Json, at: &str| -> Compiled<Option<Vec<T>>> {
        match (schema.get("enum"), schema.get("const")) {
            (None, None) => Ok(None),
            (Some(_), None) => {
                let at_enum = format!("{at}/enum");
                let values: Compiled<Vec<Option<T>>> =
                    list(schema, at, "enum")?.iter().map(|value| read(value, &at_enum)).collect();
                Ok(Some(values?.into_iter().flatten().collect()))
            }
            (None, Some(value)) => {
                Ok(Some(read(value, &format!("{at}/const"))?.into_iter().collect()))
            }
            (Some(_), Some(_)) => problem(at, "enum and const together: keep one"),
        }
    };
    let refused = match schema.get("not") {
        None => Vec::new(),
        Some(refused) => {
            let at = format!("{at}/not");
            only_keywords(refused, &at, &["enum", "const"])?;
            let Some(values) = values(refused, &at)? else {
                return problem(
                    &at,
                    "only {\"const\": ...} and {\"enum\": [...]} can be ruled out",
                );
            };
            values
        }
    };
    Ok(Listed { allowed: values(schema, at)?, refused })
}
