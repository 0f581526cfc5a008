//! The summary of many seeds. A file keeps it while they run, so that a run can be resumed.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BadState, Options, Report, run};

/// What the seeds from the first one on found, without a gap. It depends on nothing but the seeds:
/// not on the number of threads, nor on how often the run was resumed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The first seed.
    pub first: u64,
    /// Whether DataFusion computed the rows.
    pub datafusion: bool,
    /// The number of seeds.
    pub seeds: u64,
    /// The number of events in their traces.
    pub events: u64,
    /// How much time was simulated.
    pub simulated_seconds: f64,
    /// The digest of all traces, in hexadecimal digits.
    pub traces: String,
    /// The digest of the trace of the last seed; none before the first one.
    pub last_trace: Option<u64>,
    /// How often each bad state was reached, by its name.
    pub reached: BTreeMap<String, Reached>,
    /// The seeds that violated something, in order.
    pub violating: Vec<Violating>,
    /// The reports of later seeds, which ended before an earlier one.
    #[serde(skip)]
    waiting: BTreeMap<u64, Report>,
}

/// How often a bad state was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// In how many seeds.
    pub seeds: u64,
    /// How often in all of them.
    pub times: u64,
}

/// A seed that violated something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violating {
    /// The seed.
    pub seed: u64,
    /// What was wrong, with the time.
    pub violations: Vec<String>,
}

impl Summary {
    /// Returns the summary of no seeds.
    pub fn new(first: u64, datafusion: bool) -> Self {
        Self {
            first,
            datafusion,
            seeds: 0,
            events: 0,
            simulated_seconds: 0.0,
            traces: String::new(),
            last_trace: None,
            reached: BTreeMap::new(),
            violating: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Returns the summary in the file; one of no seeds if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or is of another first seed, another engine or another program.
    /// The program is another one if the last seed has another trace.
    pub fn resume(path: &Path, first: u64, datafusion: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::new(first, datafusion));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let summary: Self = serde_json::from_str(&text).with_context(|| {
            format!("cannot read {shown}: expected a summary of this program; run without --resume")
        })?;
        ensure!(
            (summary.first, summary.datafusion) == (first, datafusion),
            "cannot resume {shown}: it has --first {} and {} --datafusion, expected --first \
             {first} and {} --datafusion; run with its options, or without --resume",
            summary.first,
            with(summary.datafusion),
            with(datafusion)
        );
        if let Some(trace) = summary.last_trace {
            let seed = summary.next_seed() - 1;
            let again = run(seed, Options { datafusion, ..Options::default() });
            ensure!(
                again.digest == trace,
                "cannot resume {shown}: seed {seed} has another trace than before, so the program \
                 has changed; run without --resume"
            );
        }
        Ok(summary)
    }

    /// Returns the seed that follows.
    pub fn next_seed(&self) -> u64 {
        self.first + self.seeds
    }

    /// Adds the report of a seed. It counts as soon as all seeds before it were added.
    pub fn add(&mut self, report: Report) {
        self.waiting.insert(report.seed, report);
        while let Some(report) = self.waiting.remove(&self.next_seed()) {
            self.count(report);
        }
    }

    fn count(&mut self, report: Report) {
        self.seeds += 1;
        self.events += report.events;
        self.simulated_seconds += report.simulated.as_secs_f64();
        let traces = format!("{}{:016x}", self.traces, report.digest);
        self.traces = hex::encode(&Sha256::digest(traces)[..8]);
        self.last_trace = Some(report.digest);
        for (state, times) in report.reached {
            let reached = self.reached.entry(state.name().to_owned()).or_default();
            reached.seeds += 1;
            reached.times += times;
        }
        if !report.violations.is_empty() {
            let Report { seed, violations, .. } = report;
            self.violating.push(Violating { seed, violations });
        }
    }

    /// Returns how often a bad state was reached.
    pub fn reached(&self, state: BadState) -> Reached {
        self.reached.get(state.name()).copied().unwrap_or_default()
    }

    /// Writes the summary to the file. A run that is killed meanwhile leaves the file before.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let mut new = path.to_owned();
        new.as_mut_os_string().push(".new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
        written.with_context(|| format!("cannot write the summary {}", path.display()))
    }
}

fn with(is_set: bool) -> &'static str {
    if is_set { "with" } else { "without" }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn report(seed: u64) -> Report {
        Report {
            seed,
            digest: seed * 1_000,
            events: 10,
            simulated: Duration::from_millis(1_500),
            reached: BTreeMap::from([(BadState::CallSlow, seed)]),
            violations: if seed == 6 { vec!["wrong".to_owned()] } else { Vec::new() },
            trace: Vec::new(),
        }
    }

    fn summary(seeds: &[u64]) -> Summary {
        let mut summary = Summary::new(5, false);
        seeds.iter().for_each(|seed| summary.add(report(*seed)));
        summary
    }

    fn text(summary: &Summary) -> String {
        serde_json::to_string(summary).unwrap()
    }

    /// A file that is deleted at the end of a test.
    struct File(PathBuf);

    impl File {
        fn new(test: &str) -> Self {
            Self(std::env::temp_dir().join(format!("summary-{test}-{}", std::process::id())))
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_summary_counts_seeds_in_order() {
        let all = summary(&[5, 6, 7]);
        assert_eq!((all.seeds, all.next_seed(), all.events), (3, 8, 30));
        assert_eq!(all.simulated_seconds, 4.5);
        assert_eq!(all.reached(BadState::CallSlow), Reached { seeds: 3, times: 18 });
        assert_eq!(all.reached(BadState::LoadFailed), Reached::default());
        let wrong = Violating { seed: 6, violations: vec!["wrong".to_owned()] };
        assert_eq!(all.violating, [wrong]);
        assert_eq!(text(&summary(&[7, 5, 6])), text(&all));
        assert_ne!(summary(&[5, 6]).traces, all.traces);
    }

    #[test]
    fn a_seed_after_a_gap_does_not_count_yet() {
        assert_eq!(text(&summary(&[5, 7])), text(&summary(&[5])));
    }

    #[test]
    fn a_run_resumes_with_the_seeds_of_its_file() {
        let file = File::new("resumes");
        let mut all = Summary::new(1, false);
        all.add(run(1, Options::default()));
        all.write(&file.0).unwrap();
        let mut resumed = Summary::resume(&file.0, 1, false).unwrap();
        assert_eq!(text(&resumed), text(&all));
        for summary in [&mut all, &mut resumed] {
            summary.add(report(2));
        }
        assert_eq!(text(&resumed), text(&all));
    }

    #[test]
    fn a_run_without_a_file_begins_with_the_first_seed() {
        let summary = Summary::resume(&File::new("none").0, 5, true).unwrap();
        assert_eq!((summary.next_seed(), summary.datafusion), (5, true));
    }

    #[test]
    fn a_run_does_not_resume_one_of_other_options() {
        let file = File::new("other");
        Summary::new(5, false).write(&file.0).unwrap();
        for (first, datafusion) in [(6, false), (5, true)] {
            let error = Summary::resume(&file.0, first, datafusion).unwrap_err().to_string();
            assert!(error.contains("it has --first 5 and without --datafusion"), "{error}");
        }
    }

    #[test]
    fn a_run_does_not_resume_one_of_another_program() {
        let file = File::new("changed");
        summary(&[5]).write(&file.0).unwrap();
        let error = Summary::resume(&file.0, 5, false).unwrap_err().to_string();
        assert!(error.contains("seed 5 has another trace than before"), "{error}");
    }

    #[test]
    fn a_run_does_not_resume_an_unreadable_file() {
        let file = File::new("unreadable");
        fs::write(&file.0, "{}").unwrap();
        let error = Summary::resume(&file.0, 5, false).unwrap_err().to_string();
        assert!(error.contains("expected a summary of this program"), "{error}");
    }
}
