//! The report as text: every team's KPIs, one line each, aligned over the whole shop.

use super::model::{Report, Section, ShopReport, Unit};
use super::numbers::{Value, show};
use crate::text::{Align, clean, pad, width};

/// Returns the text, ready to be printed.
pub(crate) fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    for shop in &report.shops {
        add_shop(shop, &mut lines);
    }
    if lines.is_empty() {
        lines = vec![String::new(), "No KPI has been loaded yet.".to_owned()];
    }
    lines.push(String::new());
    add_data_quality(report, &mut lines);
    lines.join("\n")
}

fn add_shop(shop: &ShopReport, lines: &mut Vec<String>) {
    let headlines = || shop.sections.iter().flat_map(|section| &section.headlines);
    let labels = headlines().map(|headline| width(&clean::text(&headline.label)));
    let values = headlines().map(|headline| width(&show(&headline.value, &headline.unit)));
    let (label, value) = (labels.max().unwrap_or(0), values.max().unwrap_or(0));
    lines.extend([String::new(), clean::text(&shop.shop_id)]);
    lines.extend(shop.partial().map(|text| format!("  {text}")));
    for section in &shop.sections {
        lines.push(format!("  {}", section.team));
        add_section(section, label, value, lines);
    }
}

fn add_section(section: &Section, label: usize, value: usize, lines: &mut Vec<String>) {
    if section.headlines.is_empty() {
        lines.push("    nothing has reached these marts yet".to_owned());
    }
    for headline in &section.headlines {
        let name = pad(&clean::text(&headline.label), label, Align::Left);
        let shown = pad(&show(&headline.value, &headline.unit), value, Align::Right);
        let line = format!("    {name}  {shown}  {}", clean::text(&headline.note));
        lines.push(line.trim_end().to_owned());
    }
}

fn add_data_quality(report: &Report, lines: &mut Vec<String>) {
    let shown = report.health.iter().map(|headline| show(&headline.value, &headline.unit));
    let [checks, failed, loaded] = shown.collect::<Vec<_>>().try_into().unwrap_or_default();
    lines.push("Data quality".to_owned());
    lines.push(format!("  {checks} check results, {failed} failed; newest load {loaded} UTC"));
    for row in &report.failed_checks.rows {
        let [check, model, partition, severity, rows, shops, ..] = row.as_slice() else {
            continue;
        };
        let text = |value: &Value| show(value, &Unit::Text);
        let mut line = format!(
            "  {}: {} on {} {}: {} wrong rows",
            text(severity),
            text(check),
            text(model),
            text(partition),
            show(rows, &Unit::Count)
        );
        if let Value::Text(shops) = shops {
            line.push_str(" of ");
            line.push_str(shops);
        }
        lines.push(clean::text(&line));
    }
}
