//! Progress on stderr, so that stdout holds results only.

use std::future::Future;
use std::io::{IsTerminal, Write, stderr};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

/// Prints the title, the seconds while the work lasts, and how long it took.
pub(crate) async fn step<T, E>(
    title: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    let is_live = stderr().is_terminal();
    let every = Duration::from_secs(if is_live { 2 } else { 10 });
    let mut ticks = interval_at(began + every, every);
    let mut work = pin!(work);
    eprintln!("==> {title}");
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = ticks.tick() => {
                let end = if is_live { '\r' } else { '\n' };
                eprint!("  ... {title}: {} s{end}", began.elapsed().as_secs());
                let _ = stderr().flush();
            }
        }
    };
    let outcome = if result.is_ok() { "done" } else { "failed" };
    eprintln!("    {title}: {outcome} in {:.1} s", began.elapsed().as_secs_f64());
    result
}
