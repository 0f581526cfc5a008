//! Support tickets, open for hours or days. Each step is sent on its own day.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::interaction::{Channel, Interaction, InteractionType, TicketStatus};
use crate::{
    seed::{mix, number_of},
    world::World,
};

/// No step of a ticket is later than this many days after the day that it was opened on.
pub(super) const LONGEST_DAYS: i64 = 25;

/// Keeps the random numbers of tickets apart from all others.
const TICKET: u64 = 0x5449_434B;

const AGENTS: u32 = 12;

/// Returns the steps of the `number`-th ticket opened on `opened_on`, in the order in which they
/// happened. They follow from the arguments alone, so every day can be sent without the days
/// before.
pub(super) fn steps(world: &World, opened_on: NaiveDate, number: u64) -> Vec<Interaction> {
    let mut rng = StdRng::seed_from_u64(mix(world.seed, &[TICKET, number_of(opened_on), number]));
    let ticket_id = format!("t-{}-{}-{number}", opened_on.format("%Y%m%d"), world.seed);
    let mut ticket = Ticket {
        template: Interaction {
            interaction_id: String::new(),
            customer_id: world.any_customer(&mut rng),
            channel: Channel::ALL[rng.random_range(0..Channel::ALL.len())],
            interaction_type: InteractionType::SupportTicket,
            ticket_id: Some(ticket_id),
            ticket_status: None,
            rating: None,
            comment: None,
            agent_id: Some(format!("agent-{:02}", rng.random_range(1..=AGENTS))),
            loyalty_points: None,
            occurred_at: DateTime::UNIX_EPOCH,
        },
        steps: Vec::new(),
    };
    let opened_at = random_time(opened_on, &mut rng);
    match rng.random_range(0..100) {
        // The CRM lost the opening.
        0..3 => {}
        // An agent's clock was wrong: resolved before it was opened, and never after.
        3..5 => {
            ticket.step(
                TicketStatus::Resolved,
                opened_at - Duration::minutes(rng.random_range(1..5)),
            );
            ticket.step(TicketStatus::Opened, opened_at);
            return ticket.steps;
        }
        _ => ticket.step(TicketStatus::Opened, opened_at),
    }
    ticket.work(opened_at, &mut rng);
    ticket.steps
}

struct Ticket {
    template: Interaction,
    steps: Vec<Interaction>,
}

impl Ticket {
    fn work(&mut self, opened_at: DateTime<Utc>, rng: &mut impl Rng) {
        let until_resolved = duration(rng);
        for _ in 0..rng.random_range(0..3) {
            let share = rng.random_range(1..1_000);
            self.step(TicketStatus::Pending, opened_at + until_resolved * share / 1_000);
        }
        if rng.random_bool(0.08) {
            return;
        }
        let resolved_at = opened_at + until_resolved;
        self.step(TicketStatus::Resolved, resolved_at);
        if let Some(step) = self.steps.last_mut() {
            step.rating = rng.random_bool(0.6).then(|| rng.random_bool(0.7).then(|| rating(rng)));
        }
        if rng.random_bool(0.05) {
            // The customer came back.
            let again_at = resolved_at + Duration::minutes(rng.random_range(30..2_000));
            self.step(TicketStatus::Pending, again_at);
            self.step(
                TicketStatus::Resolved,
                again_at + Duration::minutes(rng.random_range(10..1_000)),
            );
        }
    }

    fn step(&mut self, status: TicketStatus, occurred_at: DateTime<Utc>) {
        let mut step = self.template.clone();
        let ticket = step.ticket_id.as_deref().unwrap_or_default();
        step.interaction_id = format!("i-{ticket}-{}", self.steps.len());
        step.ticket_status = Some(status);
        step.occurred_at = occurred_at;
        self.steps.push(step);
    }
}

/// Returns the time until a ticket is resolved: for half of them less than a day, for some weeks.
fn duration(rng: &mut impl Rng) -> Duration {
    let minutes = match rng.random_range(0..100) {
        0..50 => rng.random_range(10..480),
        50..80 => rng.random_range(480..2_880),
        80..95 => rng.random_range(2_880..11_520),
        _ => rng.random_range(11_520..28_800),
    };
    Duration::minutes(minutes) + Duration::microseconds(rng.random_range(0..60_000_000))
}

/// Returns a random time of a day, mostly in the daytime.
pub(super) fn random_time(day: NaiveDate, rng: &mut impl Rng) -> DateTime<Utc> {
    let hour =
        if rng.random_bool(0.95) { rng.random_range(7..23) } else { rng.random_range(0..24) };
    let microseconds = rng.random_range(0..3_600_000_000);
    day.and_time(NaiveTime::MIN).and_utc()
        + Duration::hours(hour)
        + Duration::microseconds(microseconds)
}

/// Returns a rating, mostly a good one.
pub(super) fn rating(rng: &mut impl Rng) -> u8 {
    [1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5][rng.random_range(0..11)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    fn statuses(steps: &[Interaction]) -> Vec<TicketStatus> {
        steps.iter().filter_map(|step| step.ticket_status).collect()
    }

    #[test]
    fn many_tickets_take_every_course() {
        let world = World::new(1);
        let tickets: Vec<_> = (0..2_000).map(|number| steps(&world, day(), number)).collect();
        let has =
            |is: fn(&[TicketStatus]) -> bool| tickets.iter().any(|steps| is(&statuses(steps)));
        use TicketStatus::{Opened, Resolved};

        assert!(has(|steps| steps.first() == Some(&Opened) && steps.last() == Some(&Resolved)));
        assert!(
            has(|steps| steps.first() == Some(&Opened) && !steps.contains(&Resolved)),
            "still open"
        );
        assert!(has(|steps| !steps.contains(&Opened)), "the opening was lost");
        assert!(has(|steps| steps == [Resolved, Opened]), "before it was opened");
        assert!(has(|steps| steps.iter().filter(|step| **step == Resolved).count() == 2), "twice");
        let has_step = |is: fn(&Interaction) -> bool| tickets.iter().flatten().any(is);
        assert!(
            has_step(|step| step.rating == Some(None))
                && has_step(|step| step.rating.flatten().is_some())
        );
        assert!(has_step(|step| (step.occurred_at.date_naive() - day()).num_days() > 15));
    }

    proptest! {
        #[test]
        fn all_steps_lie_within_the_longest_life_of_a_ticket(seed: u64, number in 0_u64..10_000) {
            for step in steps(&World::new(seed), day(), number) {
                let age = (step.occurred_at.date_naive() - day()).num_days();
                prop_assert!((-1..=LONGEST_DAYS).contains(&age), "{age}");
                prop_assert!(step.interaction_id.len() <= 64);
            }
        }
    }
}
