//! What was sold, what could be, and how fast it turns.

use super::*;

pub(crate) const TOTALS: Mart =
    Mart { table: "sales.total_sales_by_region_product", day: "business_date" };
pub(crate) const STOCK: Mart = Mart { table: "sales.stock_availability", day: "stock_date" };
pub(crate) const TURNOVER: Mart =
    Mart { table: "sales.product_turnover_rate", day: "business_date" };

pub(super) struct Sales {
    totals: Newest,
    stock: Newest,
    turnover: Newest,
    daily: Query,
    units: Query,
    items: Query,
    rates: Query,
    turned: Query,
    products: Query,
    scarce: Query,
    fast: Query,
}

impl Sales {
    pub(super) fn query(batch: &mut Batch<'_>, newest: impl Fn(Mart) -> Newest) -> Self {
        let rate = weighted("availability_rate", "snapshots");
        let has_rate = "turnover_rate is not null";
        Self {
            totals: newest(TOTALS),
            stock: newest(STOCK),
            turnover: newest(TURNOVER),
            daily: TOTALS.daily(batch, "sum(net_sales) as net_sales", "currency"),
            units: TOTALS.on_newest(
                batch,
                "sum(units_sold) as sold, sum(units_returned) as returned",
                "true",
            ),
            items: STOCK.on_newest(
                batch,
                &format!(
                    "count(*) as items, \
                     sum(case when available > 0 then 1 else 0 end) as available, {rate} as rate"
                ),
                "true",
            ),
            rates: STOCK.daily(batch, &format!("{rate} as rate"), ""),
            turned: TURNOVER.on_newest(
                batch,
                "sum(units_sold_30d) / nullif(sum(average_on_hand_30d), 0) as rate, \
                 count(*) as products",
                has_rate,
            ),
            products: TOTALS.total(
                batch,
                "sum(net_sales) as net_sales, sum(units_sold) as units_sold, \
                 sum(units_returned) as units_returned",
                "currency, product_id",
                "currency, net_sales desc, product_id",
            ),
            scarce: STOCK.top_of_newest(
                batch,
                "product_id, location_id, available, on_hand, reserved, availability_rate",
                "true",
                "availability_rate, available, product_id, location_id",
                TOP,
            ),
            fast: TURNOVER.top_of_newest(
                batch,
                "product_id, units_sold_30d, average_on_hand_30d, turnover_rate",
                has_rate,
                "turnover_rate desc, product_id",
                TOP,
            ),
        }
    }

    /// The section of the sales team.
    pub(super) fn section(&self, answers: &Answers, key: &str) -> Section {
        let (mut headlines, mut charts, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for (currency, own) in by_currency(answers.rows(self.daily)) {
            headlines.extend(amount(
                answers,
                format!("{key}-net-{currency}"),
                "Net sales",
                &currency,
                &own,
                "net_sales",
            ));
            charts.push(days(
                format!("{key}-net-chart-{currency}"),
                format!("Net sales per day, {currency}"),
                Kind::Bars,
                money(&currency),
                own,
                "net_sales",
            ));
        }
        if self.totals.exists(answers) {
            let sold = answers.first(self.units);
            headlines.push(Headline::new(
                format!("{key}-units"),
                "Units sold",
                value(sold, "sold"),
                Unit::Count,
                format!("on {}, {} returned", self.totals.day(answers), count(sold, "returned")),
            ));
        }
        if self.stock.exists(answers) {
            let now = answers.first(self.items);
            headlines.push(Headline::new(
                format!("{key}-availability"),
                "Stock availability",
                value(now, "rate"),
                Unit::Percent,
                format!(
                    "of snapshots on {}; {} of {} items available at the last one",
                    self.stock.day(answers),
                    count(now, "available"),
                    count(now, "items")
                ),
            ));
            charts.push(days(
                format!("{key}-availability-chart"),
                "Stock availability per day".to_owned(),
                Kind::Lines,
                Unit::Percent,
                answers.rows(self.rates),
                "rate",
            ));
        }
        if self.turnover.exists(answers) {
            let turned = answers.first(self.turned);
            headlines.push(Headline::new(
                format!("{key}-turnover"),
                "Product turnover",
                value(turned, "rate"),
                Unit::Ratio,
                format!(
                    "units sold in 30 days to {} per unit on hand, {} products",
                    self.turnover.day(answers),
                    count(turned, "products")
                ),
            ));
        }
        for (currency, own) in by_currency(answers.rows(self.products)) {
            tables.push(table(
                format!("{key}-products-{currency}"),
                &format!("Best-selling products, {currency}, {}", self.totals.span(answers)),
                vec![
                    ("Product", "product_id", Unit::Text),
                    ("Net sales", "net_sales", money(&currency)),
                    ("Units sold", "units_sold", Unit::Count),
                    ("Returned", "units_returned", Unit::Count),
                ],
                own.into_iter().take(TOP),
                NOTHING,
            ));
        }
        tables.push(table(
            format!("{key}-scarce"),
            &format!("Least available items, {}", self.stock.day(answers)),
            vec![
                ("Product", "product_id", Unit::Text),
                ("Location", "location_id", Unit::Text),
                ("Available", "available", Unit::Count),
                ("On hand", "on_hand", Unit::Count),
                ("Reserved", "reserved", Unit::Count),
                ("Availability", "availability_rate", Unit::Percent),
            ],
            answers.rows(self.scarce),
            NOTHING,
        ));
        tables.push(table(
            format!("{key}-fast"),
            &format!("Fastest-turning products, 30 days to {}", self.turnover.day(answers)),
            vec![
                ("Product", "product_id", Unit::Text),
                ("Units sold", "units_sold_30d", Unit::Count),
                ("Average on hand", "average_on_hand_30d", Unit::Score),
                ("Turnover", "turnover_rate", Unit::Ratio),
            ],
            answers.rows(self.fast),
            NOTHING,
        ));
        Section::new("Sales", headlines, charts, tables)
    }
}
