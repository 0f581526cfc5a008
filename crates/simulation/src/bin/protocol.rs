//! Runs seeds of the simulation of the protocol, and reports what they found.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use shoplake_simulation::protocol::{BadState, Options, Planted, Reached, Report, Summary, run};

/// The most seeds with violations that are shown.
const SHOWN: usize = 10;

/// The time from one line about the progress to the next.
const SHOWN_EVERY: Duration = Duration::from_secs(10);

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
    /// Writes what the seeds found to this file, as JSON: every ten seconds, and at the end.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["planted", "trace"])]
    summary: Option<PathBuf>,
    /// Goes on after the seeds in the summary, if the file is there.
    #[arg(long, requires = "summary")]
    resume: bool,
}

/// The seeds that ended so far.
struct Progress<'a> {
    arguments: &'a Arguments,
    summary: Summary,
    /// The number of seeds that an earlier run has done.
    resumed: u64,
    began: Instant,
    /// When the progress was shown last.
    shown: Instant,
}

impl Progress<'_> {
    /// Adds a report, and now and then shows and saves how far the run is.
    fn add(&mut self, report: Report) -> anyhow::Result<()> {
        self.summary.add(report);
        if self.shown.elapsed() < SHOWN_EVERY {
            return Ok(());
        }
        self.shown = Instant::now();
        let (done, seeds) = (self.summary.seeds, self.arguments.seeds);
        let rate = self.seeds_per_minute();
        eprintln!(
            "{done} of {seeds} seeds, {rate:.0} a minute, {:.0} minutes left, {} with violations",
            seeds.saturating_sub(done) as f64 / rate,
            self.summary.violating.len()
        );
        self.save()
    }

    fn seeds_per_minute(&self) -> f64 {
        (self.summary.seeds - self.resumed) as f64 / self.began.elapsed().as_secs_f64() * 60.0
    }

    fn save(&self) -> anyhow::Result<()> {
        self.arguments.summary.as_deref().map_or(Ok(()), |path| self.summary.write(path))
    }

    fn print(&self) {
        let summary = &self.summary;
        println!("{:>9} {:>10}  state", "seeds", "times");
        for state in BadState::ALL {
            let Reached { seeds, times } = summary.reached(*state);
            println!("{seeds:>9} {times:>10}  {}", state.text());
        }
        if self.resumed > 0 {
            println!("{} seeds are of earlier runs", self.resumed);
        }
        println!(
            "{} seeds in {:.1} s: {:.0} seeds a minute, {:.0} days simulated, {} events, traces \
             {}, {} seeds with violations",
            summary.seeds - self.resumed,
            self.began.elapsed().as_secs_f64(),
            self.seeds_per_minute(),
            summary.simulated_seconds / 86_400.0,
            summary.events,
            summary.traces,
            summary.violating.len()
        );
        for violating in summary.violating.iter().take(SHOWN) {
            println!("seed {}:", violating.seed);
            for violation in &violating.violations {
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
        match run_all(&arguments, options) {
            Ok(is_right) => is_right,
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        let find =
            |planted: &Planted| find(&arguments, Options { planted: Some(*planted), ..options });
        planted.iter().filter(|planted| !find(planted)).count() == 0
    };
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all seeds, and returns whether none of them found anything.
fn run_all(arguments: &Arguments, options: Options) -> anyhow::Result<bool> {
    let summary = match &arguments.summary {
        Some(path) if arguments.resume => {
            Summary::resume(path, arguments.first, options.datafusion)?
        }
        _ => Summary::new(arguments.first, options.datafusion),
    };
    let (next, end) = (AtomicU64::new(summary.next_seed()), arguments.first + arguments.seeds);
    let (resumed, began) = (summary.seeds, Instant::now());
    let progress = Mutex::new(Progress { arguments, summary, resumed, began, shown: began });
    let run_seeds = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return Ok(());
            }
            let report = run(seed, options);
            progress.lock().unwrap_or_else(PoisonError::into_inner).add(report)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..arguments.threads.max(1)).map(|_| scope.spawn(run_seeds)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.save()?;
    progress.print();
    Ok(progress.summary.violating.is_empty())
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
