//! Interactions, what customers think of them, and how long tickets take.

use super::*;
use crate::report::model::Series;
use crate::report::series::largest;

pub(crate) const FEEDBACK: Mart = Mart { table: "support.feedback_score", day: "interaction_date" };
pub(crate) const VOLUME: Mart =
    Mart { table: "support.interaction_volume_by_type", day: "interaction_date" };
pub(crate) const TICKETS: Mart =
    Mart { table: "support.time_to_resolution", day: "resolution_date" };

const CSAT: &str = "sum(satisfied) * 1.0 / nullif(sum(responses), 0) as csat";
const AGES: [(&str, &str); 4] = [
    ("under 1 day", "open_under_1_day"),
    ("1 to 3 days", "open_1_to_3_days"),
    ("3 to 7 days", "open_3_to_7_days"),
    ("over 7 days", "open_over_7_days"),
];

pub(super) struct Support {
    feedback: Newest,
    volume: Newest,
    tickets: Newest,
    ratings: Query,
    daily_ratings: Query,
    interactions: Query,
    daily_interactions: Query,
    resolved: Query,
    daily_resolved: Query,
    types: Query,
    channels: Query,
}

impl Support {
    pub(super) fn query(batch: &mut Batch<'_>, newest: impl Fn(Mart) -> Newest) -> Self {
        let rating = weighted("average_rating", "responses");
        let ratings = format!("sum(responses) as responses, {CSAT}, {rating} as rating");
        let ages = AGES.map(|(_, column)| column).join(", ");
        Self {
            feedback: newest(FEEDBACK),
            volume: newest(VOLUME),
            tickets: newest(TICKETS),
            ratings: FEEDBACK.on_newest(batch, &ratings, "true"),
            daily_ratings: FEEDBACK.daily(batch, CSAT, ""),
            interactions: VOLUME.on_newest(batch, "sum(interactions) as interactions", "true"),
            daily_interactions: VOLUME.daily(batch, "sum(interactions) as interactions", "channel"),
            resolved: TICKETS.on_newest(
                batch,
                &format!("tickets_resolved, median_hours, p90_hours, open_tickets, {ages}"),
                "true",
            ),
            daily_resolved: TICKETS.daily(
                batch,
                "max(median_hours) as median, max(p90_hours) as p90",
                "",
            ),
            types: VOLUME.total(
                batch,
                "sum(interactions) as interactions",
                "interaction_type, channel",
                "interactions desc, interaction_type, channel",
            ),
            channels: FEEDBACK.total(batch, &ratings, "channel", "responses desc, channel"),
        }
    }

    /// The section of the support team.
    pub(super) fn section(&self, answers: &Answers, key: &str) -> Section {
        let (mut headlines, mut charts) = (Vec::new(), Vec::new());
        if self.feedback.exists(answers) {
            let (now, day) = (answers.first(self.ratings), self.feedback.day(answers));
            headlines.extend([
                Headline::new(
                    format!("{key}-csat"),
                    "Satisfied customers",
                    value(now, "csat"),
                    Unit::Percent,
                    format!("rated 4 or 5, {} ratings on {day}", count(now, "responses")),
                ),
                Headline::new(
                    format!("{key}-rating"),
                    "Average rating",
                    value(now, "rating"),
                    Unit::Rating,
                    format!("on {day}"),
                ),
            ]);
            charts.push(days(
                format!("{key}-csat-chart"),
                "Satisfied customers per day".to_owned(),
                Kind::Lines,
                Unit::Percent,
                answers.rows(self.daily_ratings),
                "csat",
            ));
        }
        if self.volume.exists(answers) {
            headlines.push(Headline::new(
                format!("{key}-interactions"),
                "Interactions",
                value(answers.first(self.interactions), "interactions"),
                Unit::Count,
                format!("on {}", self.volume.day(answers)),
            ));
            let daily = answers.rows(self.daily_interactions);
            let drawing = Drawing {
                key: format!("{key}-interactions-chart"),
                title: "Interactions per day by channel".to_owned(),
                kind: Kind::Bars,
                unit: Unit::Count,
                order: &[],
            };
            let by_channel = points(daily, |row| row.text("channel"), "interactions");
            charts.push(daily_chart(drawing, &largest(by_channel)));
        }
        if self.tickets.exists(answers) {
            let (now, day) = (answers.first(self.resolved), self.tickets.day(answers));
            headlines.extend([
                Headline::new(
                    format!("{key}-resolution"),
                    "Median time to resolution",
                    value(now, "median_hours"),
                    Unit::Hours,
                    format!("{} tickets resolved on {day}", count(now, "tickets_resolved")),
                ),
                Headline::new(
                    format!("{key}-p90"),
                    "90 % resolved within",
                    value(now, "p90_hours"),
                    Unit::Hours,
                    format!("on {day}"),
                ),
                Headline::new(
                    format!("{key}-open"),
                    "Open tickets",
                    value(now, "open_tickets"),
                    Unit::Count,
                    format!("at the end of {day}"),
                ),
            ]);
            charts.push(self.hours_to_resolution(answers, key));
            charts.push(Some(Chart {
                key: format!("{key}-ages-chart"),
                title: format!("Open tickets by age, {day}"),
                kind: Kind::Bars,
                unit: Unit::Count,
                labels: AGES.map(|(name, _)| name.to_owned()).to_vec(),
                series: vec![Series {
                    name: "open tickets".to_owned(),
                    values: AGES.map(|(_, column)| now.and_then(|row| row.number(column))).to_vec(),
                }],
                partial: Vec::new(),
            }));
        }
        let types = table(
            format!("{key}-types"),
            &format!("Interactions by type, {}", self.volume.span(answers)),
            vec![
                ("Type", "interaction_type", Unit::Text),
                ("Channel", "channel", Unit::Text),
                ("Interactions", "interactions", Unit::Count),
            ],
            answers.rows(self.types).iter().take(TOP),
            NOTHING,
        );
        let channels = table(
            format!("{key}-channels"),
            &format!("Feedback by channel, {}", self.feedback.span(answers)),
            vec![
                ("Channel", "channel", Unit::Text),
                ("Ratings", "responses", Unit::Count),
                ("Average", "rating", Unit::Rating),
                ("Satisfied", "csat", Unit::Percent),
            ],
            answers.rows(self.channels),
            NOTHING,
        );
        Section::new("Support", headlines, charts, vec![types, channels])
    }

    fn hours_to_resolution(&self, answers: &Answers, key: &str) -> Option<Chart> {
        let daily = answers.rows(self.daily_resolved);
        let mut hours = points(daily, |_| "median".to_owned(), "median");
        hours.extend(points(daily, |_| "90th percentile".to_owned(), "p90"));
        let drawing = Drawing {
            key: format!("{key}-resolution-chart"),
            title: "Hours to resolution by day".to_owned(),
            kind: Kind::Lines,
            unit: Unit::Hours,
            order: &[],
        };
        daily_chart(drawing, &hours)
    }
}
