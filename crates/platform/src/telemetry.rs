//! Logs: one JSON object per line on stdout. CloudWatch Logs Insights finds every field by name.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, filter::Directive};

/// Crates that log payloads, headers or credentials at levels above `info`. They stay at `info`
/// under any `RUST_LOG`, so that debugging in production does not log customers' data.
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
/// Only the first call in a process has an effect.
pub fn init(name: &str) {
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        // The list of spans includes the current one.
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
    fn a_verbose_level_does_not_log_payloads() {
        let filter = filter(Some("trace")).to_string();
        for target in NEVER_VERBOSE {
            assert!(filter.contains(&format!("{target}=info")), "{filter}");
        }
        assert!(filter.contains("trace"), "{filter}");
    }

    #[test]
    fn a_second_init_has_no_effect() {
        init("test");
        init("test");
    }
}
