//! All interactions of one day.

use chrono::{Duration, NaiveDate};
use rand::{Rng, RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    Interactions,
    interaction::{Channel, Interaction, InteractionType},
    ticket::{LONGEST_DAYS, random_time, rating, steps},
};
use crate::seed::rng_of_day;

/// A tenth of the interactions open a ticket.
const EVENTS_PER_TICKET: u64 = 10;

/// How often a customer corrects a rating.
const CHANCE_OF_CORRECTION: f64 = 0.02;

/// Keeps the random numbers of a CRM apart from those of the shop.
const CRM_SEED: u64 = 0x4352_4D00;

const COMMENTS: [&str; 6] = [
    "Thank you, the teapot is lovely.",
    "Arrived broken. Again.",
    "Wo bleibt meine Bestellung? Größe stimmt auch nicht.",
    "She said \"never again\"; I disagree.",
    "très bien 👍",
    "Two lines\nof praise, with a comma.",
];

/// Returns the interactions that happened on `day`; some are sent a day later.
pub(super) fn happened(crm: &Interactions, day: NaiveDate) -> Vec<Interaction> {
    let mut happened = ticket_steps(crm, day);
    let mut rng = rng_of_day(crm.world.seed ^ CRM_SEED, day);
    // On a busy day tickets take the place of other interactions.
    for number in happened.len() as u64..crm.events {
        let interaction = anything(crm, day, number, &mut rng);
        if interaction.interaction_type == InteractionType::Feedback
            && rng.random_bool(CHANCE_OF_CORRECTION)
        {
            happened.extend(correction(&interaction, &mut rng));
        }
        happened.push(interaction);
    }
    happened
}

/// Returns the steps of this day, of tickets opened on it or before. A ticket with a wrong clock
/// may have been opened on the day after.
fn ticket_steps(crm: &Interactions, day: NaiveDate) -> Vec<Interaction> {
    let opened_on = (-1..=LONGEST_DAYS).map(|age| day - Duration::days(age));
    let numbers = 0..crm.events / EVENTS_PER_TICKET;
    opened_on
        .flat_map(|opened_on| numbers.clone().map(move |number| (opened_on, number)))
        .flat_map(|(opened_on, number)| steps(&crm.world, opened_on, number))
        .filter(|step| step.occurred_at.date_naive() == day)
        .collect()
}

/// Returns an interaction that does not belong to a ticket.
fn anything(crm: &Interactions, day: NaiveDate, number: u64, rng: &mut StdRng) -> Interaction {
    use InteractionType::{
        Complaint, Feedback, Inquiry, LoyaltyEarn, LoyaltyRedeem, LoyaltySignup,
    };
    let interaction_type = match rng.random_range(0..100) {
        0..30 => Inquiry,
        30..55 => Feedback,
        55..65 => Complaint,
        65..69 => LoyaltySignup,
        69..91 => LoyaltyEarn,
        _ => LoyaltyRedeem,
    };
    let points = match interaction_type {
        LoyaltyEarn => Some(rng.random_range(1..500)),
        LoyaltyRedeem => Some(-100 * rng.random_range(1..20)),
        _ => None,
    };
    let is_loyalty = matches!(interaction_type, LoyaltySignup | LoyaltyEarn | LoyaltyRedeem);
    Interaction {
        interaction_id: format!("i-{}-{}-{number}", day.format("%Y%m%d"), crm.world.seed),
        customer_id: crm.world.any_customer(rng),
        channel: Channel::ALL[rng.random_range(0..Channel::ALL.len())],
        interaction_type,
        ticket_id: None,
        ticket_status: None,
        rating: (interaction_type == Feedback).then(|| rng.random_bool(0.8).then(|| rating(rng))),
        comment: COMMENTS.choose(rng).copied().filter(|_| !is_loyalty && rng.random_bool(0.4)),
        agent_id: (!is_loyalty).then(|| format!("agent-{:02}", rng.random_range(1..=12))),
        loyalty_points: points,
        occurred_at: random_time(day, rng),
    }
}

/// Returns the same interaction, minutes later, with another rating. The later version counts.
fn correction(interaction: &Interaction, rng: &mut impl Rng) -> Option<Interaction> {
    let occurred_at = interaction.occurred_at + Duration::minutes(rng.random_range(1..30));
    let rating = Some(Some(rating(rng)));
    // All rows of a key have the same day.
    let same_day = occurred_at.date_naive() == interaction.occurred_at.date_naive();
    same_day.then(|| Interaction { occurred_at, rating, ..interaction.clone() })
}
