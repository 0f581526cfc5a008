//! Values that are easily mistaken for others.

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::Value;

/// Texts that an engine may trim, fold, compare as UTF-16, normalise, quote or take for something
/// else. No text holds the character NUL, which contracts refuse.
const TEXTS: [&str; 24] = [
    "a",
    "A",
    "a ",
    " a",
    "ä",
    "a\u{308}",
    "é",
    "e\u{301}",
    "ß",
    "SS",
    "ı",
    "I",
    // in UTF-8 the first of these is the lesser, in UTF-16 the second
    "\u{fffd}",
    "😀",
    "日本語",
    "שלום",
    "👩‍👩‍👧‍👦",
    "\u{200b}",
    "it's \"quoted\" \\n",
    "null",
    "NaN",
    "%_*?[1]{x}=/",
    "a,b;c|d\te\nf\r",
    "-0",
];

/// Null for `nulls` (0 to 1) of the calls, else an [`id`].
pub(crate) fn maybe_id(rng: &mut StdRng, nulls: f64, prefix: &str, kinds: usize) -> Value {
    if rng.random_bool(nulls) { Value::Null } else { id(rng, prefix, kinds).into() }
}

/// An identifier: any text of 1 to 64 characters. `kinds` says how many different ones there are,
/// so that they repeat.
pub(crate) fn id(rng: &mut StdRng, prefix: &str, kinds: usize) -> String {
    let number = rng.random_range(0..kinds);
    match number {
        // as long as a contract allows, and all of it counts
        0 => format!("{prefix}{}", "😀".repeat(64 - prefix.chars().count())),
        number => format!("{prefix}{}", TEXTS[number % TEXTS.len()]),
    }
}

/// A text of at most `longest` characters, or null.
pub(crate) fn text(rng: &mut StdRng, longest: usize) -> Value {
    match rng.random_range(0..10) {
        0..3 => Value::Null,
        3 => Value::from(""),
        4 => Value::from("ü".repeat(longest)),
        _ => Value::from(pick(rng, &TEXTS).chars().take(longest).collect::<String>()),
    }
}

/// One of `choices`.
pub(crate) fn pick<'a>(rng: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

/// One of `choices`, or null.
pub(crate) fn one_of(rng: &mut StdRng, choices: &[&str]) -> Value {
    match rng.random_range(0..=choices.len()) {
        0 => Value::Null,
        place => Value::from(choices[place - 1]),
    }
}

/// A whole number from 0 to `most`, often one of both, or null.
pub(crate) fn count(rng: &mut StdRng, least: i64, most: i64) -> Value {
    match rng.random_range(0..6) {
        0 | 1 => Value::Null,
        2 => Value::from(least),
        3 => Value::from(most),
        _ => Value::from(rng.random_range(least..=most)),
    }
}

/// An amount of money that is not negative, as text with 0 to 4 decimals: now and then of as many
/// digits as a contract allows, so that sums have more.
pub(crate) fn money(rng: &mut impl Rng) -> String {
    let whole = match rng.random_range(0..12) {
        0 => 0,
        1 => rng.random_range(0..10_000_000),
        // a barcode in the field of the price
        2 => 4_006_381_333_931,
        3 => 99_999_999_999_999_i64,
        _ => rng.random_range(0..100),
    };
    let decimals = ["", ".5", ".50", ".05", ".3333", ".9999", ".0001"];
    format!("{whole}{}", decimals[rng.random_range(0..decimals.len())])
}

/// A moment of the day: often one that others have as well, and often its first or its last one.
pub(crate) fn moment(rng: &mut StdRng, day: NaiveDate) -> String {
    match rng.random_range(0..12) {
        0 => format!("{day}T00:00:00Z"),
        1 => format!("{day}T23:59:59.999999Z"),
        // a leap second stays on its day
        2 => format!("{day}T23:59:60Z"),
        // the same day in UTC, another one where it was written
        3 => format!("{}T02:30:00+05:30", day.succ_opt().unwrap_or(day)),
        // what is beyond microseconds is cut off, so that these are the same moment
        4 => format!("{day}T12:00:00.0000009Z"),
        5 => format!("{day}t12:00:00z"),
        6..9 => format!("{day}T{:02}:00:00Z", rng.random_range(0..24)),
        _ => format!(
            "{day}T{:02}:{:02}:{:02}.{:06}Z",
            rng.random_range(0..24),
            rng.random_range(0..60),
            rng.random_range(0..60),
            rng.random_range(0..1_000_000)
        ),
    }
}
