//! Logs: one JSON object per line on stdout, where CloudWatch Logs Insights finds every field by
//! name.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, filter::Directive};

/// Crates that write payloads, headers or credentials when asked for more than `info`. They are
/// held at `info` whatever `RUST_LOG` says: nobody who debugs in production should be able to log a
/// customer's data by accident.
const NEVER_VERBOSE: [&str; 9] = [
    "aws_config",
    "aws_sdk_ssm",
    "aws_sigv4",
    "aws_smithy_runtime",
    "h2",
    "hyper",
    "hyper_util",
    "lambda_runtime",
    "reqwest",
];

/// Starts logging for the function or task called `name`, at the levels of `RUST_LOG` (default
/// `info`).
///
/// May be called any number of times; only the first call in a process has an effect.
pub fn init(name: &str) {
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        // The list of spans has the current one in it.
        .with_current_span(false)
        .with_env_filter(filter(std::env::var("RUST_LOG").ok().as_deref()))
        .with_writer(std::io::stdout)
        .try_init();
    if started.is_ok() {
        tracing::info!(function = name, "started");
    }
}

fn filter(rust_log: Option<&str>) -> EnvFilter {
    let levels = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(rust_log.unwrap_or_default());
    NEVER_VERBOSE
        .into_iter()
        .filter_map(|target| format!("{target}=info").parse::<Directive>().ok())
        .fold(levels, EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_most_verbose_level_when_filtered_then_the_wire_stays_quiet() {
        let filter = filter(Some("trace")).to_string();
        for target in NEVER_VERBOSE {
            assert!(filter.contains(&format!("{target}=info")), "{filter}");
        }
        assert!(filter.contains("trace"), "{filter}");
    }

    #[test]
    fn given_a_second_call_when_initialised_then_nothing_happens() {
        init("test");
        init("test");
    }
}
