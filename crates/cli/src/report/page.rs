//! The report as one HTML page that loads nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::charts::draw;
use super::markup::{Element, element};
use super::model::{Chart, Headline, Report, SO_FAR, Section, ShopReport, Table, Unit};
use super::numbers::{Value, show};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Tables of more columns take the whole width.
const NARROW: usize = 6;

/// Returns the whole document. Its content security policy forbids requests and other scripts.
pub(crate) fn page(report: &Report) -> String {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let meta = |name, content: &str| element("meta").with("name", name).with("content", content);
    let head = element("head").children([
        element("meta").with("charset", "utf-8"),
        element("meta").with("http-equiv", "Content-Security-Policy").with("content", policy),
        meta("viewport", "width=device-width, initial-scale=1"),
        meta("color-scheme", "light dark"),
        element("title").text("Shoplake report"),
        element("link").with("rel", "icon").with("href", "data:,"),
        element("style").source(STYLE),
    ]);
    let shops: Vec<Element> = if report.shops.is_empty() {
        vec![empty("No KPI has been loaded yet.")]
    } else {
        report.shops.iter().enumerate().map(|(number, shop)| self::shop(shop, number)).collect()
    };
    let footer = "Times and days are UTC. Amounts of different currencies are never added. A dash \
                  means: not known.";
    let body = element("body").children([
        header(report),
        element("main").children(shops).child(data_quality(report)),
        element("footer").text(footer),
        element("script").source(SCRIPT),
    ]);
    format!(
        "<!doctype html>\n{}\n",
        element("html").with("lang", "en").children([head, body]).render()
    )
}

fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source.as_bytes())))
}

fn empty(text: &str) -> Element {
    element("p").with("class", "empty").text(text)
}

fn header(report: &Report) -> Element {
    let options = report.shops.iter().enumerate().map(|(number, shop)| {
        element("option").with("value", format_args!("shop{number}")).text(&shop.shop_id)
    });
    // Without scripts all shops are shown one after the other, and there is nothing to select.
    let choice = element("label")
        .with("class", "choice")
        .flag("hidden")
        .child(element("span").text("Shop"))
        .child(element("select").with("id", "shop").children(options));
    let made = format!("As of {} UTC", report.made_at.format("%Y-%m-%d %H:%M"));
    element("header")
        .with("class", "top")
        .child(element("h1").text("Shoplake"))
        .child(element("p").with("class", "made").text(&made))
        .child(choice)
}

fn shop(shop: &ShopReport, number: usize) -> Element {
    let prefix = format!("shop{number}");
    let id = |section: &Section| format!("{prefix}-{}", section.id());
    let links = shop.sections.iter().map(|section| {
        element("a").with("href", format_args!("#{}", id(section))).text(section.team)
    });
    let nav = element("nav")
        .with("aria-label", format_args!("Teams of {}", shop.shop_id))
        .children(links)
        .child(element("a").with("href", "#data").text("Data quality"));
    element("article")
        .with("class", "shop")
        .with("id", &prefix)
        .with("data-shop", &shop.shop_id)
        .child(element("h2").with("class", "shop-name").text(&shop.shop_id))
        .children(shop.partial().map(|text| so_far(&text)))
        .child(nav)
        .children(shop.sections.iter().map(|section| team(section, &id(section))))
}

fn so_far(text: &str) -> Element {
    element("p").with("class", "so-far").text(text)
}

fn team(section: &Section, key: &str) -> Element {
    let content = if section.headlines.is_empty() {
        vec![empty("Nothing has reached these marts yet.")]
    } else {
        vec![
            headlines(&section.headlines),
            element("div").with("class", "charts").children(section.charts.iter().map(chart)),
            element("div").with("class", "tables").children(section.tables.iter().map(table)),
        ]
    };
    self::section(key, &section.id(), section.team).children(content)
}

fn section(key: &str, class: &str, team: &str) -> Element {
    let title = format!("{key}-title");
    element("section")
        .with("id", key)
        .with("class", format_args!("team {class}"))
        .with("data-team", team)
        .with("aria-labelledby", &title)
        .child(element("h3").with("id", &title).text(team))
}

fn headlines(headlines: &[Headline]) -> Element {
    let cards = headlines.iter().map(|headline| {
        let value = cell(&headline.value, &headline.unit);
        element("div")
            .with("class", "headline")
            .with("data-headline", &headline.key)
            .child(element("dt").text(&headline.label))
            .child(element("dd").with("class", "value").child(value))
            .child(element("dd").with("class", "note").text(&headline.note))
    });
    element("dl").with("class", "headlines").children(cards)
}

fn chart(chart: &Chart) -> Element {
    let legend = (chart.series.len() > 1).then(|| {
        let names = chart.series.iter().enumerate().map(|(number, series)| {
            element("li")
                .child(element("span").with("class", format_args!("key s{number}")))
                .text(&series.name)
        });
        element("ul").with("class", "legend").children(names)
    });
    let columns: Vec<(String, Unit)> = std::iter::once((String::new(), Unit::Text))
        .chain(chart.series.iter().map(|series| (series.name.clone(), chart.unit.clone())))
        .collect();
    let mut rows: Vec<Vec<Value>> = chart
        .labels
        .iter()
        .enumerate()
        .map(|(index, label)| {
            let suffix = if chart.is_partial(label) { format!(" {SO_FAR}") } else { String::new() };
            std::iter::once(Value::Text(format!("{label}{suffix}")))
                .chain(chart.series.iter().map(|series| series.values[index].into()))
                .collect()
        })
        .collect();
    rows.reverse();
    let numbers = grid(&columns, &rows, &chart.title, &chart.key);
    element("figure")
        .with("class", "card")
        .child(element("figcaption").text(&chart.title))
        .children(chart.partial.iter().map(|day| so_far(&format!("Lighter: {day} {SO_FAR}"))))
        .child(draw(chart))
        .children(legend)
        .child(element("details").child(element("summary").text("Numbers")).child(numbers))
}

fn table(table: &Table) -> Element {
    let content = if table.rows.is_empty() {
        empty(table.empty)
    } else {
        grid(&table.columns, &table.rows, &table.title, &table.key)
    };
    let wide = if table.columns.len() > NARROW { " wide" } else { "" };
    element("div")
        .with("class", format_args!("card{wide}"))
        .with("id", &table.key)
        .child(element("h4").text(&table.title))
        .child(content)
}

/// Returns a table that scrolls in its own frame if it is too wide, with the keyboard too.
fn grid(columns: &[(String, Unit)], rows: &[Vec<Value>], title: &str, key: &str) -> Element {
    let head = columns.iter().map(|(name, unit)| {
        element("th").with("scope", "col").with_some("class", class(unit)).text(name)
    });
    let body = rows.iter().map(|row| {
        element("tr").children(row.iter().zip(columns).map(|(value, (_, unit))| {
            element("td").with_some("class", class(unit)).child(cell(value, unit))
        }))
    });
    let table = element("table")
        .with("data-table", key)
        .child(element("thead").child(element("tr").children(head)))
        .child(element("tbody").children(body));
    element("div")
        .with("class", "scroll")
        .with("tabindex", 0)
        .with("role", "region")
        .with("aria-label", title)
        .child(table)
}

/// What people read, and beside it, for programs, all digits.
fn cell(value: &Value, unit: &Unit) -> Element {
    let shown = show(value, unit);
    if unit.is_number() {
        return element("data").with("value", value.exact()).text(&shown);
    }
    // Names with underscores may break after one, rather than anywhere.
    let mut name = element("bdi");
    for (index, part) in shown.split_inclusive('_').enumerate() {
        if index > 0 {
            name = name.child(element("wbr"));
        }
        name = name.text(part);
    }
    name
}

fn class(unit: &Unit) -> Option<&'static str> {
    match unit {
        Unit::Day | Unit::Time => Some("time"),
        _ if unit.is_number() => Some("number"),
        _ => None,
    }
}

fn data_quality(report: &Report) -> Element {
    let tables = [&report.failed_checks, &report.freshness, &report.checks].map(table);
    section("data", "data", "Data quality")
        .child(headlines(&report.health))
        .child(element("div").with("class", "tables stacked").children(tables))
}
