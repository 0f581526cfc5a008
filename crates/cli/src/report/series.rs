//! From rows to the series of a chart: a value for every day, and only as many colours as people
//! can tell apart.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;

use super::model::{Chart, Kind, Series, Unit};
use super::numbers::Number;

/// People cannot tell more colours apart; charts of more series fold the rest into one.
pub(crate) const MAX_SERIES: usize = 6;
pub(crate) const OTHER: &str = "all others";

/// One value of a chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) day: NaiveDate,
    pub(crate) series: String,
    pub(crate) value: Option<Number>,
}

/// What a chart is called and how it is drawn.
pub(crate) struct Drawing<'a> {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// Names of series, in the order of their colours; empty for the order of the points.
    pub(crate) order: &'a [&'a str],
}

/// Returns a chart of every day from the first to the last; days without a value stay empty.
pub(crate) fn daily_chart(drawing: Drawing<'_>, points: &[Point]) -> Option<Chart> {
    let first = points.iter().map(|point| point.day).min()?;
    let last = points.iter().map(|point| point.day).max()?;
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
    let mut found: Vec<&str> = Vec::new();
    for point in points {
        if !found.contains(&point.series.as_str()) {
            found.push(&point.series);
        }
    }
    let ordered: Vec<&str> =
        drawing.order.iter().copied().filter(|name| found.contains(name)).collect();
    let names = if ordered.is_empty() { found } else { ordered };
    let values: HashMap<(NaiveDate, &str), Option<Number>> =
        points.iter().map(|point| ((point.day, point.series.as_str()), point.value)).collect();
    let series = names
        .into_iter()
        .map(|name| Series {
            name: name.to_owned(),
            values: days.iter().map(|day| values.get(&(*day, name)).copied().flatten()).collect(),
        })
        .collect();
    Some(Chart {
        key: drawing.key,
        title: drawing.title,
        kind: drawing.kind,
        unit: drawing.unit,
        labels: days.iter().map(ToString::to_string).collect(),
        series,
        partial: Vec::new(),
    })
}

/// Returns the largest series by their total, and one that is the sum of all others. Only for
/// amounts that may be added.
pub(crate) fn largest(points: Vec<Point>) -> Vec<Point> {
    let mut totals: BTreeMap<String, Number> = BTreeMap::new();
    for point in &points {
        let total = totals.entry(point.series.clone()).or_insert(Number::ZERO);
        *total = total.add(point.value.unwrap_or(Number::ZERO));
    }
    let mut ranked: Vec<(String, Number)> = totals.into_iter().collect();
    // Stable, so that series of one total stay in the order of their names.
    ranked.sort_by(|a, b| b.1.compare(a.1));
    let kept = if ranked.len() <= MAX_SERIES { ranked.len() } else { MAX_SERIES - 1 };
    let rank = |name: &str| ranked[..kept].iter().position(|(known, _)| known == name);

    let mut own: Vec<(usize, Point)> = Vec::new();
    let mut rest: BTreeMap<NaiveDate, Number> = BTreeMap::new();
    for point in points {
        match rank(&point.series) {
            Some(rank) => own.push((rank, point)),
            None => {
                let sum = rest.entry(point.day).or_insert(Number::ZERO);
                *sum = sum.add(point.value.unwrap_or(Number::ZERO));
            }
        }
    }
    own.sort_by_key(|(rank, _)| *rank);
    let others = rest.into_iter().map(|(day, sum)| Point {
        day,
        series: OTHER.to_owned(),
        value: Some(sum),
    });
    own.into_iter().map(|(_, point)| point).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(day: &str, series: &str, value: i64) -> Point {
        let value = Some(Number::Integer(value));
        Point { day: day.parse().unwrap(), series: series.to_owned(), value }
    }

    #[test]
    fn days_without_a_value_are_labels_too() {
        let drawing = Drawing {
            key: "key".to_owned(),
            title: "title".to_owned(),
            kind: Kind::Lines,
            unit: Unit::Count,
            order: &[],
        };
        let points =
            [point("2026-02-27", "a", 1), point("2026-03-01", "a", 3), point("2026-03-01", "b", 4)];
        let made = daily_chart(drawing, &points).unwrap();
        assert_eq!(made.labels, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        let value = |number| Some(Number::Integer(number));
        assert_eq!(
            made.series,
            [
                Series { name: "a".to_owned(), values: vec![value(1), None, value(3)] },
                Series { name: "b".to_owned(), values: vec![None, None, value(4)] },
            ]
        );
    }

    #[test]
    fn small_series_become_one_that_keeps_the_sum() {
        let (day, other_day) = ("2026-01-01", "2026-01-02");
        let mut points: Vec<Point> = ["a", "b", "c", "d", "e", "f", "g"]
            .iter()
            .zip([7, 6, 5, 4, 3, 2, 1])
            .map(|(name, value)| point(day, name, value))
            .collect();
        points.push(point(other_day, "g", 1));
        let folded = largest(points);
        let names: Vec<_> = folded.iter().map(|point| point.series.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e", OTHER, OTHER]);
        // f and g: 2 + 1, then g alone: 1
        assert_eq!(folded[5..], [point(day, OTHER, 3), point(other_day, OTHER, 1)]);
    }
}
