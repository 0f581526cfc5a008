//! The protocol, simulated: any seed ends in what the accepted events amount to, and a planted
//! fault is found.
//!
//! `SEEDS=100000 cargo test --workspace --release --test protocol` runs more seeds. The
//! program `protocol` runs them with figures, and shows the trace of a seed.

use std::collections::BTreeMap;

use shoplake_simulation::protocol::{BadState, Options, Planted, Report, run};

/// The seeds within which each planted fault is found.
const FOUND_WITHIN: u64 = 2_000;

/// The seeds of a test.
fn seeds(default: u64) -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

fn assert_right(report: &Report) {
    assert!(report.violations.is_empty(), "seed {}: {:#?}", report.seed, report.violations);
}

#[test]
fn any_seed_ends_in_what_the_accepted_events_amount_to() {
    let mut reached: BTreeMap<BadState, u64> = BTreeMap::new();
    for seed in 1..=seeds(400) {
        let report = run(seed, Options::default());
        assert_right(&report);
        for (state, count) in report.reached {
            *reached.entry(state).or_default() += count;
        }
    }
    let never: Vec<_> = BadState::ALL.iter().filter(|state| !reached.contains_key(state)).collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    let options = Options { keeps_trace: true, ..Options::default() };
    for seed in 1..=10 {
        let (first, second) = (run(seed, options), run(seed, options));
        let differs = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((first.digest, first.events), (second.digest, second.events), "seed {seed}");
        assert!(first.events > 100, "seed {seed}");
        assert_ne!(first.digest, run(seed + 1, options).digest);
    }
}

#[test]
#[ignore = "takes minutes: make simulate runs it"]
fn each_planted_fault_is_found() {
    let mut found = Vec::new();
    for planted in Planted::ALL {
        let options = Options { planted: Some(*planted), ..Options::default() };
        let seed = (1..=FOUND_WITHIN).find(|seed| !run(*seed, options).violations.is_empty());
        println!("{}: {seed:?}", planted.name());
        found.push((planted.name(), seed));
    }
    found.retain(|(_, seed)| seed.is_none());
    assert!(found.is_empty(), "not found in {FOUND_WITHIN} seeds: {found:?}");
    assert!(Planted::ALL.len() >= 30);
}

#[test]
fn datafusion_gives_what_the_small_engine_gives() {
    for seed in 1..=4 {
        assert_right(&run(seed, Options { datafusion: true, ..Options::default() }));
    }
}
