//! Charts as SVG: pure functions from numbers to markup. Colours are classes (s0, s1, ...), which
//! the style sheet of the page defines.

use super::markup::{Element, element};
use super::model::{Chart, Kind, SO_FAR, Series};
use super::numbers::{Number, Value, brief, show};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// About as many ticks as an axis gets.
const TICKS: f64 = 4.0;
const CHARACTER_WIDTH: f64 = 6.5;

/// Returns the chart, with a title and a description for screen readers.
pub(crate) fn draw(chart: &Chart) -> Element {
    let (low, high) = extent(chart);
    let ticks = nice_ticks(low, high);
    let scale = Scale::new(low.min(ticks[0]), high.max(ticks[ticks.len() - 1]), chart.labels.len());
    let marks = match chart.kind {
        Kind::Bars => bars(chart, &scale),
        Kind::Lines => lines(chart, &scale),
    };
    let (title, description) =
        (format!("{}-title", chart.key), format!("{}-description", chart.key));
    element("svg")
        .with("viewBox", format_args!("0 0 {WIDTH} {HEIGHT}"))
        .with("role", "img")
        .with("class", format_args!("chart {}", chart.kind.name()))
        .with("data-chart", &chart.key)
        .with("aria-labelledby", format_args!("{title} {description}"))
        .child(element("title").with("id", &title).text(&chart.title))
        .child(element("desc").with("id", &description).text(&describe(chart)))
        .children(axes(chart, &scale, &ticks))
        .children(marks)
}

/// Returns what the chart shows, in words.
pub(crate) fn describe(chart: &Chart) -> String {
    let (Some(first), Some(last)) = (chart.labels.first(), chart.labels.last()) else {
        return "No values.".to_owned();
    };
    let mut parts = vec![format!("{} values from {first} to {last}.", chart.labels.len())];
    for series in &chart.series {
        let known: Vec<(Number, &String)> = series
            .values
            .iter()
            .zip(&chart.labels)
            .filter_map(|(value, label)| value.map(|value| (value, label)))
            .collect();
        let order = |a: &&(Number, &String), b: &&(Number, &String)| {
            a.0.compare(b.0).then_with(|| a.1.cmp(b.1))
        };
        let (Some(lowest), Some(highest), Some(last)) =
            (known.iter().min_by(order), known.iter().max_by(order), known.last())
        else {
            continue;
        };
        let shown = |(value, label): &(Number, &String)| {
            format!("{} ({label})", show(&Value::Number(*value), &chart.unit))
        };
        parts.push(format!(
            "{}: lowest {}, highest {}, last {}.",
            series.name,
            shown(lowest),
            shown(highest),
            shown(last)
        ));
    }
    parts.extend(chart.partial.iter().map(|day| format!("{day} is not over.")));
    parts.join(" ")
}

/// Returns round numbers (1, 2 or 5 times a power of ten apart) that cover the range.
pub(crate) fn nice_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let least = span / TICKS;
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(10.0 * power);
    #[allow(clippy::cast_possible_truncation)]
    let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    #[allow(clippy::cast_precision_loss)]
    let tick = |number: i64| (number as f64 * step * 1e12).round() / 1e12;
    (first..=last.max(first)).map(tick).collect()
}

/// From values and positions to pixels.
struct Scale {
    low: f64,
    high: f64,
    slot: f64,
}

impl Scale {
    fn new(low: f64, high: f64, count: usize) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let count = count.max(1) as f64;
        Self { low, high, slot: (WIDTH - LEFT - RIGHT) / count }
    }

    fn x(&self, index: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let index = index as f64;
        LEFT + self.slot * (index + 0.5)
    }

    fn y(&self, value: f64) -> f64 {
        let span = if self.high > self.low { self.high - self.low } else { 1.0 };
        TOP + (self.high - value) / span * (HEIGHT - TOP - BOTTOM)
    }
}

/// The range of the values. It always includes zero, so that a bar's length and a line's height
/// mean something.
fn extent(chart: &Chart) -> (f64, f64) {
    let values = |series: &Series, index: usize| series.values[index].map(Number::to_f64);
    let mut range = (0f64, 0f64);
    for index in 0..chart.labels.len() {
        let known = chart.series.iter().filter_map(|series| values(series, index));
        let (low, high) = match chart.kind {
            Kind::Bars => known.fold((0.0, 0.0), |(below, above), value| {
                if value > 0.0 { (below, above + value) } else { (below + value, above) }
            }),
            Kind::Lines => {
                known.fold(range, |(low, high), value| (low.min(value), high.max(value)))
            }
        };
        range = (range.0.min(low), range.1.max(high));
    }
    range
}

fn axes(chart: &Chart, scale: &Scale, ticks: &[f64]) -> Vec<Element> {
    let mut parts = Vec::new();
    for tick in ticks {
        let y = scale.y(*tick);
        parts.push(
            element("line")
                .with("x1", LEFT)
                .with("x2", WIDTH - RIGHT)
                .with("y1", format_args!("{y:.1}"))
                .with("y2", format_args!("{y:.1}"))
                .with("class", if *tick == 0.0 { "zero" } else { "grid" }),
        );
        parts.push(
            element("text")
                .with("x", LEFT - 6.0)
                .with("y", format_args!("{:.1}", y + 3.5))
                .with("class", "end")
                .text(&brief(*tick, &chart.unit)),
        );
    }
    let labels: Vec<&str> = chart.labels.iter().map(|label| short(label)).collect();
    let widest = labels.iter().map(|label| length(label)).fold(1.0, f64::max);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let every = ((widest * CHARACTER_WIDTH + 14.0) / scale.slot).ceil().max(1.0) as usize;
    // Counted from the newest, which must have its label.
    for (index, label) in labels.iter().enumerate().rev().step_by(every) {
        let x = scale.x(index).min(WIDTH - RIGHT - length(label) * 3.0);
        parts.push(
            element("text")
                .with("x", format_args!("{x:.1}"))
                .with("y", HEIGHT - 7.0)
                .with("class", "middle")
                .text(label),
        );
    }
    parts
}

#[allow(clippy::cast_precision_loss)]
fn length(text: &str) -> f64 {
    text.chars().count() as f64
}

/// 2026-11-20 as 11-20: the caption names the year.
fn short(label: &str) -> &str {
    let is_day = label.len() == 10 && label.as_bytes()[4] == b'-' && label.as_bytes()[7] == b'-';
    label.get(5..).filter(|_| is_day).unwrap_or(label)
}

fn bars(chart: &Chart, scale: &Scale) -> Vec<Element> {
    let width = (scale.slot * 0.72).min(44.0);
    let mut parts = Vec::new();
    for (index, label) in chart.labels.iter().enumerate() {
        let (mut above, mut below) = (0.0, 0.0);
        for (number, series) in chart.series.iter().enumerate() {
            let Some(value) = series.values[index].filter(|value| !value.is_zero()) else {
                continue;
            };
            let amount = value.to_f64();
            let start = if amount > 0.0 { &mut above } else { &mut below };
            let end = *start + amount;
            let (top, bottom) = (scale.y(start.max(end)), scale.y(start.min(end)));
            *start = end;
            let bar = element("rect")
                .with("x", format_args!("{:.2}", scale.x(index) - width / 2.0))
                .with("y", format_args!("{top:.3}"))
                .with("width", format_args!("{width:.2}"))
                .with("height", format_args!("{:.3}", bottom - top))
                .with("rx", 1.5);
            parts.push(mark(bar, chart, series, number, label, value));
        }
    }
    parts
}

fn lines(chart: &Chart, scale: &Scale) -> Vec<Element> {
    let radius = if chart.labels.len() > 12 { 2.4 } else { 3.2 };
    let mut parts = Vec::new();
    for (number, series) in chart.series.iter().enumerate() {
        for run in runs(series) {
            let points: Vec<_> = run
                .into_iter()
                .map(|(index, value)| format!("{:.2} {:.3}", scale.x(index), scale.y(value)))
                .collect();
            parts.push(
                element("path")
                    .with("d", format_args!("M {}", points.join(" L ")))
                    .with("class", format_args!("line s{number}")),
            );
        }
        for (index, (label, value)) in chart.labels.iter().zip(&series.values).enumerate() {
            if let Some(value) = *value {
                let point = element("circle")
                    .with("cx", format_args!("{:.2}", scale.x(index)))
                    .with("cy", format_args!("{:.3}", scale.y(value.to_f64())))
                    .with("r", radius);
                parts.push(mark(point, chart, series, number, label, value));
            }
        }
    }
    parts
}

/// Stretches of known values: a line does not cross days without a value.
fn runs(series: &Series) -> Vec<Vec<(usize, f64)>> {
    let points: Vec<_> = series.values.iter().enumerate().collect();
    points
        .split(|(_, value)| value.is_none())
        .map(|run| {
            run.iter()
                .filter_map(|(index, value)| value.map(|value| (*index, value.to_f64())))
                .collect::<Vec<_>>()
        })
        .filter(|run| run.len() > 1)
        .collect()
}

fn mark(
    shape: Element,
    chart: &Chart,
    series: &Series,
    number: usize,
    label: &str,
    value: Number,
) -> Element {
    let shown = show(&Value::Number(value), &chart.unit);
    let (class, suffix) = if chart.is_partial(label) {
        (" partial", format!(" {SO_FAR}"))
    } else {
        ("", String::new())
    };
    shape
        .with("class", format_args!("mark s{number}{class}"))
        .with("data-series", &series.name)
        .with("data-label", label)
        .with("data-value", value)
        .child(element("title").text(&format!("{label}, {}: {shown}{suffix}", series.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Unit;

    fn series(name: &str, values: &[Option<i64>]) -> Series {
        let values = values.iter().map(|value| value.map(Number::Integer)).collect();
        Series { name: name.to_owned(), values }
    }

    fn chart(kind: Kind, labels: &[&str], series: Vec<Series>) -> Chart {
        Chart {
            key: "key".to_owned(),
            title: "A <title>".to_owned(),
            kind,
            unit: Unit::Money("EUR".to_owned()),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            series,
            partial: Vec::new(),
        }
    }

    const DAYS: [&str; 2] = ["2026-11-19", "2026-11-20"];

    /// Two attributes of each mark.
    fn numbers(svg: &str, tag: &str, names: [&str; 2]) -> Vec<[f64; 2]> {
        let start = format!("<{tag} ");
        let marks = svg.split(&start).skip(1);
        let marks = marks.filter(|mark| mark.contains("class=\"mark"));
        let attribute = |mark: &str, name: &str| {
            let (_, rest) = mark.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        marks.map(|mark| names.map(|name| attribute(mark, name))).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        for (low, high, ticks) in [
            // 9 / 4 = 2.25 between ticks at least, so 5
            (0.0, 9.0, vec![0.0, 5.0, 10.0]),
            (0.0, 100.0, vec![0.0, 50.0, 100.0]),
            (-3.0, 7.0, vec![-5.0, 0.0, 5.0, 10.0]),
            (0.0, 0.0, vec![0.0]),
            (0.0, 0.8, vec![0.0, 0.2, 0.4, 0.6, 0.8]),
        ] {
            let found = nice_ticks(low, high);
            assert_eq!(found.len(), ticks.len(), "{found:?}");
            assert!(found.iter().zip(&ticks).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let svg = draw(&chart(Kind::Bars, &DAYS, vec![series("net", &[Some(100), Some(50)])]));
        // From 10 (top) to 176 (200 - 24) there are 166 pixels for 0 to 100.
        let bars = numbers(&svg.render(), "rect", [" y", "height"]);
        assert_eq!(bars, [[10.0, 166.0], [93.0, 83.0]]);
    }

    #[test]
    fn bars_are_stacked_and_losses_hang_below_zero() {
        let (a, b) = (series("a", &[Some(30), Some(-50)]), series("b", &[Some(70), Some(-50)]));
        let svg = draw(&chart(Kind::Bars, &["x", "y"], vec![a, b]));
        // The scale is -100 to 100, so 0.83 pixels per unit and zero at 93.
        let bars = numbers(&svg.render(), "rect", [" y", "height"]);
        assert_eq!(bars, [[68.1, 24.9], [10.0, 58.1], [93.0, 41.5], [134.5, 41.5]]);
    }

    #[test]
    fn a_line_has_a_gap_where_values_are_unknown() {
        let rate = series("rate", &[Some(1), Some(2), None, Some(3), Some(4)]);
        let svg = draw(&chart(Kind::Lines, &["a", "b", "c", "d", "e"], vec![rate])).render();
        assert_eq!(svg.matches("class=\"line s0\"").count(), 2);
        assert_eq!(numbers(&svg, "circle", ["cx", "cy"]).len(), 4);
    }

    #[test]
    fn a_chart_is_described_in_words() {
        let all = vec![series("net", &[Some(7), None]), series("none", &[None, None])];
        let mut chart = chart(Kind::Lines, &DAYS, all);
        let seven = "7.00 EUR (2026-11-19)";
        let words = format!(
            "2 values from 2026-11-19 to 2026-11-20. net: lowest {seven}, highest {seven}, \
             last {seven}."
        );
        assert_eq!(describe(&chart), words);
        chart.mark_partial("2026-11-20".parse().unwrap());
        assert_eq!(describe(&chart), words + " 2026-11-20 is not over.");
    }

    #[test]
    fn names_in_charts_are_escaped() {
        let hostile = series("\"><script>", &[Some(1), Some(2)]);
        let svg = draw(&chart(Kind::Bars, &DAYS, vec![hostile])).render();
        assert!(!svg.contains("<script") && svg.contains("A &lt;title&gt;"));
        assert!(svg.contains("data-series=\"&quot;&gt;&lt;script&gt;\""));
    }
}
