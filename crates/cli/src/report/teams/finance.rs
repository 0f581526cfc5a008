//! Revenue and margin.

use super::*;
use crate::report::series::largest;

pub(crate) const REVENUE: Mart = Mart { table: "finance.revenue_by_region", day: "business_date" };

const SUMS: &str = "sum(gross_sales) as gross_sales, sum(returns) as returns, \
     sum(discounts) as discounts, sum(net_revenue) as net_revenue, \
     sum(cost_of_goods) as cost_of_goods, sum(gross_margin) as gross_margin";

pub(super) struct Finance {
    revenue: Newest,
    daily: Query,
    by_region: Query,
    regions: Query,
}

impl Finance {
    pub(super) fn query(batch: &mut Batch<'_>, newest: impl Fn(Mart) -> Newest) -> Self {
        Self {
            revenue: newest(REVENUE),
            daily: REVENUE.daily(
                batch,
                "sum(net_revenue) as net_revenue, sum(gross_margin) as gross_margin, \
                 sum(units_without_cost) as units_without_cost",
                "currency",
            ),
            by_region: REVENUE.daily(batch, "sum(net_revenue) as net_revenue", "currency, region"),
            regions: REVENUE.total(
                batch,
                SUMS,
                "region, currency",
                "currency, net_revenue desc, region",
            ),
        }
    }

    /// The section of the finance team.
    pub(super) fn section(&self, answers: &Answers, key: &str) -> Section {
        let (mut headlines, mut charts) = (Vec::new(), Vec::new());
        for (currency, own) in by_currency(answers.rows(self.daily)) {
            for (name, label, column) in [
                ("revenue", "Net revenue", "net_revenue"),
                ("margin", "Gross margin", "gross_margin"),
            ] {
                let key = format!("{key}-{name}-{currency}");
                headlines.extend(amount(answers, key, label, &currency, &own, column));
            }
            headlines.extend(margin_share(answers, key, &currency, &own));
            let regions: Vec<&Row> = answers
                .rows(self.by_region)
                .iter()
                .filter(|row| row.text("currency") == currency)
                .collect();
            let drawing = Drawing {
                key: format!("{key}-revenue-chart-{currency}"),
                title: format!("Net revenue per day by region, {currency}"),
                kind: Kind::Bars,
                unit: money(&currency),
                order: &[],
            };
            let by_region = points(regions, |row| row.text("region"), "net_revenue");
            charts.push(daily_chart(drawing, &largest(by_region)));
            charts.push(days(
                format!("{key}-margin-chart-{currency}"),
                format!("Gross margin per day, {currency}"),
                Kind::Lines,
                money(&currency),
                own,
                "gross_margin",
            ));
        }
        let regions = table(
            format!("{key}-regions"),
            &format!("Revenue by region, {}", self.revenue.span(answers)),
            vec![
                ("Region", "region", Unit::Text),
                ("Currency", "currency", Unit::Text),
                ("Gross sales", "gross_sales", Unit::Amount),
                ("Returns", "returns", Unit::Amount),
                ("Discounts", "discounts", Unit::Amount),
                ("Net revenue", "net_revenue", Unit::Amount),
                ("Cost of goods", "cost_of_goods", Unit::Amount),
                ("Gross margin", "gross_margin", Unit::Amount),
            ],
            answers.rows(self.regions),
            NOTHING,
        );
        Section::new("Finance", headlines, charts, vec![regions])
    }
}

/// The margin as a part of revenue on the last whole day; unknown without revenue.
fn margin_share(answers: &Answers, key: &str, currency: &str, rows: &[&Row]) -> Option<Headline> {
    let whole = answers.whole(rows);
    let last = whole.last()?;
    let revenue = last.number("net_revenue")?;
    let share = last.number("gross_margin").and_then(|margin| margin.divide_by_positive(revenue));
    let mut note = format!("on {}", answers.day(last.day()?));
    let is_missing = |units: &Number| !units.is_zero();
    if let Some(units) = last.number("units_without_cost").filter(is_missing) {
        note += &format!(", {} units without a known cost", units.grouped(0));
    }
    Some(Headline::new(
        format!("{key}-share-{currency}"),
        format!("Margin of revenue, {currency}"),
        share.into(),
        Unit::Percent,
        note,
    ))
}
