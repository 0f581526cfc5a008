//! Runs seeds of the simulation of the protocol, and reports what they found.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use shoplake_simulation::protocol::{BadState, Options, Planted, Report, run};

/// The most seeds with violations that are shown.
const SHOWN: usize = 10;

/// Runs seeds of the simulation of the protocol. Fails if one violates an invariant or ends in
/// anything but what the accepted events amount to. With --planted, finds a planted fault.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    first: u64,
    /// How many seeds run at the same time, each on one thread.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u64,
    /// Computes rows with DataFusion, which takes about 30 times as long.
    #[arg(long)]
    datafusion: bool,
    /// Plants a fault, or each of them one after the other (`all`), and stops at the first seed
    /// that finds it.
    #[arg(long, value_name = "FAULT")]
    planted: Option<String>,
    /// Lists the faults that can be planted.
    #[arg(long)]
    list: bool,
    /// Prints the trace of the first seed.
    #[arg(long)]
    trace: bool,
}

/// What several runs came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    events: u64,
    simulated: Duration,
    reached: BTreeMap<BadState, (u64, u64)>,
    violating: Vec<Report>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.events += report.events;
        self.simulated += report.simulated;
        for (state, count) in &report.reached {
            let (seeds, times) = self.reached.entry(*state).or_default();
            *seeds += 1;
            *times += count;
        }
        if !report.violations.is_empty() {
            self.violating.push(report);
        }
    }

    fn print(&mut self, took: Duration) {
        println!("{:>9} {:>10}  state", "seeds", "times");
        for state in BadState::ALL {
            let (seeds, times) = self.reached.get(state).copied().unwrap_or_default();
            println!("{seeds:>9} {times:>10}  {}", state.text());
        }
        let minutes = took.as_secs_f64() / 60.0;
        println!(
            "{} seeds in {:.1} s: {:.0} seeds a minute, {:.0} days simulated, {} events, {} seeds \
             with violations",
            self.seeds,
            took.as_secs_f64(),
            self.seeds as f64 / minutes,
            self.simulated.as_secs_f64() / 86_400.0,
            self.events,
            self.violating.len()
        );
        self.violating.sort_by_key(|report| report.seed);
        for report in self.violating.iter().take(SHOWN) {
            println!("seed {}:", report.seed);
            for violation in &report.violations {
                println!("    {violation}");
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for planted in Planted::ALL {
            println!("{}: {}", planted.name(), planted.text());
        }
        return ExitCode::SUCCESS;
    }
    let options = Options { datafusion: arguments.datafusion, ..Options::default() };
    let planted = match arguments.planted.as_deref() {
        None => Vec::new(),
        Some("all") => Planted::ALL.to_vec(),
        Some(name) => match Planted::of_name(name) {
            Some(planted) => vec![planted],
            None => {
                eprintln!("error: no fault {name:?}: expected one of --list, or all");
                return ExitCode::FAILURE;
            }
        },
    };
    if arguments.trace {
        let planted = planted.first().copied();
        let report = run(arguments.first, Options { planted, keeps_trace: true, ..options });
        for line in &report.trace {
            println!("{line}");
        }
        println!("{:?} {:?}", report.reached, report.violations);
        return ExitCode::SUCCESS;
    }
    let is_right = if planted.is_empty() {
        run_all(&arguments, options)
    } else {
        let find =
            |planted: &Planted| find(&arguments, Options { planted: Some(*planted), ..options });
        planted.iter().filter(|planted| !find(planted)).count() == 0
    };
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all seeds, and returns whether none of them found anything.
fn run_all(arguments: &Arguments, options: Options) -> bool {
    let began = Instant::now();
    let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        return;
                    }
                    let report = run(arguments.first + number, options);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(report);
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.print(began.elapsed());
    total.violating.is_empty()
}

/// Runs seeds until one finds the planted fault, and returns whether one did.
fn find(arguments: &Arguments, options: Options) -> bool {
    let name = options.planted.map_or("", Planted::name);
    let began = Instant::now();
    for number in 0..arguments.seeds {
        let report = run(arguments.first + number, options);
        if let Some(violation) = report.violations.first() {
            let (seeds, seconds) = (number + 1, began.elapsed().as_secs_f64());
            println!("{name}: {seeds} seeds, {seconds:.1} s: {violation}");
            return true;
        }
    }
    println!("{name}: NOT FOUND in {} seeds", arguments.seeds);
    false
}
