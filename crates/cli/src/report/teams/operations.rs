//! Stock that runs out, turns and is refilled.

use super::*;

pub(crate) const TURNOVER: Mart =
    Mart { table: "operations.inventory_turnover", day: "business_date" };
pub(crate) const RESTOCKS: Mart = Mart { table: "operations.restock_frequency", day: "stock_date" };
pub(crate) const ALERTS: Mart = Mart { table: "operations.stockout_alerts", day: "alert_date" };
const STOCK: Mart = super::sales::STOCK;

pub(super) struct Operations {
    alerts: Newest,
    restocks: Newest,
    open: Query,
    daily_alerts: Query,
    daily_turnover: Query,
    restocked: Query,
    between: Query,
    daily_restocks: Query,
    stale: Query,
}

impl Operations {
    pub(super) fn query(batch: &mut Batch<'_>, newest: impl Fn(Mart) -> Newest) -> Self {
        let between = weighted("mean_days_between", "(restocks_30d - 1)");
        Self {
            alerts: newest(ALERTS),
            restocks: newest(RESTOCKS),
            open: open_alerts(batch),
            daily_alerts: ALERTS.daily(batch, "count(*) as alerts", "state"),
            daily_turnover: TURNOVER.daily(
                batch,
                "max(turnover) as turnover, max(cost_of_goods_sold_30d) as cost",
                "currency",
            ),
            restocked: RESTOCKS.on_newest(
                batch,
                "sum(restocks_30d) as restocks, sum(restocked_quantity_30d) as quantity",
                "true",
            ),
            between: RESTOCKS.on_newest(batch, &format!("{between} as days"), "restocks_30d > 1"),
            daily_restocks: RESTOCKS.daily(batch, "sum(restocks_30d) as restocks", ""),
            stale: RESTOCKS.top_of_newest(
                batch,
                "product_id, location_id, restocks_30d, mean_days_between, days_since_last",
                "days_since_last is not null",
                "days_since_last desc, product_id, location_id",
                TOP,
            ),
        }
    }

    /// The section of the operations team.
    pub(super) fn section(&self, answers: &Answers, key: &str) -> Section {
        let (mut headlines, mut charts) = (Vec::new(), Vec::new());
        let open = answers.rows(self.open);
        if self.alerts.exists(answers) {
            for (state, label) in [("out", "Out of stock"), ("low", "Low on stock")] {
                let count = open.iter().filter(|alert| alert.text("state") == state).count();
                headlines.push(Headline::new(
                    format!("{key}-{state}"),
                    label,
                    count.into(),
                    Unit::Count,
                    "items with an open alert",
                ));
            }
            let drawing = Drawing {
                key: format!("{key}-alerts-chart"),
                title: "Stock alerts that began per day".to_owned(),
                kind: Kind::Bars,
                unit: Unit::Count,
                order: &["out", "low"],
            };
            let alerts = points(answers.rows(self.daily_alerts), |row| row.text("state"), "alerts");
            charts.push(daily_chart(drawing, &alerts));
        }
        for (currency, own) in by_currency(answers.rows(self.daily_turnover)) {
            let whole = answers.whole(&own);
            let last = whole.last().copied();
            let day = last.and_then(Row::day).map_or_else(String::new, |day| answers.day(day));
            headlines.push(Headline::new(
                format!("{key}-turnover-{currency}"),
                format!("Inventory turnover, {currency}"),
                value(last, "turnover"),
                Unit::Ratio,
                format!(
                    "cost of goods sold, 30 days to {day}: {} {currency}",
                    said(last, "cost", 2)
                ),
            ));
            charts.push(days(
                format!("{key}-turnover-chart-{currency}"),
                format!("Inventory turnover, trailing 30 days, {currency}"),
                Kind::Lines,
                Unit::Ratio,
                own,
                "turnover",
            ));
        }
        if self.restocks.exists(answers) {
            let now = answers.first(self.restocked);
            headlines.extend([
                Headline::new(
                    format!("{key}-restocks"),
                    "Restocks",
                    value(now, "restocks"),
                    Unit::Count,
                    format!(
                        "{} units in 30 days to {}",
                        count(now, "quantity"),
                        self.restocks.day(answers)
                    ),
                ),
                Headline::new(
                    format!("{key}-between"),
                    "Between restocks",
                    value(answers.first(self.between), "days"),
                    Unit::Days,
                    "mean of all items restocked twice or more",
                ),
            ]);
            charts.push(days(
                format!("{key}-restocks-chart"),
                "Restocks, trailing 30 days".to_owned(),
                Kind::Lines,
                Unit::Count,
                answers.rows(self.daily_restocks),
                "restocks",
            ));
        }
        let open = table(
            format!("{key}-open"),
            "Open stock-outs and low stock",
            vec![
                ("Product", "product_id", Unit::Text),
                ("Location", "location_id", Unit::Text),
                ("State", "state", Unit::Text),
                ("Since (UTC)", "started_at", Unit::Time),
                ("Available then", "available", Unit::Count),
                ("Available now", "available_now", Unit::Count),
                ("Reorder point", "reorder_point", Unit::Count),
            ],
            open,
            "No item is out of stock or low.",
        );
        let stale = table(
            format!("{key}-stale"),
            &format!("Longest without a restock, {}", self.restocks.day(answers)),
            vec![
                ("Product", "product_id", Unit::Text),
                ("Location", "location_id", Unit::Text),
                ("Restocks, 30 days", "restocks_30d", Unit::Count),
                ("Between", "mean_days_between", Unit::Days),
                ("Since the last", "days_since_last", Unit::Days),
            ],
            answers.rows(self.stale),
            NOTHING,
        );
        Section::new("Operations", headlines, charts, vec![open, stale])
    }
}

/// Asks for the newest alert of each item that has not ended, with what is available now.
fn open_alerts(batch: &mut Batch<'_>) -> Query {
    let table = ALERTS.table;
    let (now, join) = if batch.has(STOCK.table) {
        let stock = format!(
            "left join (
                select location_id, product_id, available, row_number() over (
                    partition by location_id, product_id order by stock_date desc) as newest
                from {} where shop_id = :shop
            ) stock on stock.location_id = alerts.location_id
                and stock.product_id = alerts.product_id and stock.newest = 1",
            STOCK.table
        );
        ("stock.available", stock)
    } else {
        ("cast(null as bigint)", String::new())
    };
    let sql = format!(
        "select alerts.product_id, alerts.location_id, alerts.state, alerts.started_at,
            alerts.available, {now} as available_now, alerts.reorder_point
        from (
            select *, row_number() over (
                partition by location_id, product_id order by started_at desc, state desc) as newest
            from {table} where shop_id = :shop
        ) alerts {join}
        where alerts.newest = 1 and alerts.ended_at is null
        order by case alerts.state when 'out' then 0 else 1 end, alerts.started_at,
            alerts.product_id, alerts.location_id"
    );
    batch.query(table, sql)
}
