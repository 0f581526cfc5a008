//! Sessions, engagement and loyalty.

use super::*;

pub(crate) const SCORES: Mart =
    Mart { table: "marketing.customer_engagement_score", day: "activity_date" };
pub(crate) const SESSIONS: Mart =
    Mart { table: "marketing.session_duration_bounce_rate", day: "session_date" };
pub(crate) const LOYALTY: Mart =
    Mart { table: "marketing.loyalty_activity_rate", day: "activity_date" };

pub(super) struct Marketing {
    sessions: Newest,
    loyalty: Newest,
    scores: Newest,
    visits: Query,
    daily_visits: Query,
    loyal: Query,
    daily_loyal: Query,
    engaged: Query,
    daily_scores: Query,
    best: Query,
}

impl Marketing {
    pub(super) fn query(batch: &mut Batch<'_>, newest: impl Fn(Mart) -> Newest) -> Self {
        Self {
            sessions: newest(SESSIONS),
            loyalty: newest(LOYALTY),
            scores: newest(SCORES),
            visits: SESSIONS.on_newest(
                batch,
                "sessions, median_duration_seconds, bounces, bounce_rate",
                "true",
            ),
            daily_visits: SESSIONS.daily(
                batch,
                "sum(sessions) as sessions, \
                 sum(bounces) * 1.0 / nullif(sum(sessions), 0) as bounce_rate",
                "",
            ),
            loyal: LOYALTY.on_newest(
                batch,
                "loyalty_customers, active_customers, loyalty_activity_rate",
                "true",
            ),
            daily_loyal: LOYALTY.daily(batch, "max(loyalty_activity_rate) as rate", ""),
            engaged: SCORES.on_newest(batch, "count(*) as customers, sum(score) as score", "true"),
            daily_scores: SCORES.daily(batch, "sum(score) as score", ""),
            best: SCORES.top_of_newest(
                batch,
                "score_rank, customer_id, score, events",
                "true",
                "score_rank, customer_id",
                TOP,
            ),
        }
    }

    /// The section of the marketing team.
    pub(super) fn section(&self, answers: &Answers, key: &str) -> Section {
        let (mut headlines, mut charts) = (Vec::new(), Vec::new());
        if self.sessions.exists(answers) {
            let (now, day) = (answers.first(self.visits), self.sessions.day(answers));
            headlines.extend([
                Headline::new(
                    format!("{key}-sessions"),
                    "Sessions",
                    value(now, "sessions"),
                    Unit::Count,
                    format!("on {day}"),
                ),
                Headline::new(
                    format!("{key}-duration"),
                    "Median session",
                    value(now, "median_duration_seconds"),
                    Unit::Seconds,
                    format!("on {day}"),
                ),
                Headline::new(
                    format!("{key}-bounce"),
                    "Bounce rate",
                    value(now, "bounce_rate"),
                    Unit::Percent,
                    format!("{} bounces on {day}", count(now, "bounces")),
                ),
            ]);
            let daily = answers.rows(self.daily_visits);
            charts.push(days(
                format!("{key}-sessions-chart"),
                "Sessions per day".to_owned(),
                Kind::Bars,
                Unit::Count,
                daily,
                "sessions",
            ));
            charts.push(days(
                format!("{key}-bounce-chart"),
                "Bounce rate per day".to_owned(),
                Kind::Lines,
                Unit::Percent,
                daily,
                "bounce_rate",
            ));
        }
        if self.loyalty.exists(answers) {
            let now = answers.first(self.loyal);
            headlines.push(Headline::new(
                format!("{key}-loyalty"),
                "Loyalty activity",
                value(now, "loyalty_activity_rate"),
                Unit::Percent,
                format!(
                    "{} of {} active customers on {}",
                    count(now, "loyalty_customers"),
                    count(now, "active_customers"),
                    self.loyalty.day(answers)
                ),
            ));
            charts.push(days(
                format!("{key}-loyalty-chart"),
                "Loyalty activity per day".to_owned(),
                Kind::Lines,
                Unit::Percent,
                answers.rows(self.daily_loyal),
                "rate",
            ));
        }
        if self.scores.exists(answers) {
            let engaged = answers.first(self.engaged);
            headlines.push(Headline::new(
                format!("{key}-engaged"),
                "Engaged customers",
                value(engaged, "customers"),
                Unit::Count,
                format!(
                    "on {}, score {} in total",
                    self.scores.day(answers),
                    said(engaged, "score", 1)
                ),
            ));
            charts.push(days(
                format!("{key}-score-chart"),
                "Engagement score per day".to_owned(),
                Kind::Bars,
                Unit::Score,
                answers.rows(self.daily_scores),
                "score",
            ));
        }
        let best = table(
            format!("{key}-customers"),
            &format!("Most engaged customers, {}", self.scores.day(answers)),
            vec![
                ("Rank", "score_rank", Unit::Count),
                ("Customer", "customer_id", Unit::Text),
                ("Score", "score", Unit::Score),
                ("Events", "events", Unit::Count),
            ],
            answers.rows(self.best),
            NOTHING,
        );
        Section::new("Marketing", headlines, charts, vec![best])
    }
}
