//! Runs the whole pipeline in memory and writes what is in the lake then.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{ArgGroup, Parser};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::Value;
use shoplake_contracts::Contracts;
use shoplake_engine::gold;
use shoplake_jobs::{JobResult, Partition};
use shoplake_lake::{Store, keys};
use shoplake_models::Models;
use shoplake_simulation::{Event, Lake, adversary};

/// Runs the pipeline in memory over events, and writes the resulting lake: silver, gold, and the
/// last job document of each partition. The same events give the same files.
///
/// results.ndjson names the jobs, each model after its inputs, and then the views. An engine that
/// runs these documents over these objects gets the rows of gold.
#[derive(Debug, Parser)]
#[command(group = ArgGroup::new("input").required(true).multiple(true))]
struct Arguments {
    /// Events as NDJSON, gzipped or not: {"dataset", "shop_id", "data"} (and "id", "batch",
    /// "received_at"), or whole envelopes.
    #[arg(long, num_args = 1.., value_name = "FILE", group = "input")]
    events: Vec<PathBuf>,
    /// Adds valid but unusual events of all datasets, from this seed. They are also written to
    /// events.ndjson.
    #[arg(long, value_name = "SEED", group = "input")]
    adversarial: Option<u64>,
    /// The output directory; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The models and checks.
    #[arg(long, value_name = "DIR", default_value = "glue-sql")]
    sql: PathBuf,
    /// The contracts.
    #[arg(long, value_name = "DIR", default_value = "crates/contracts/schemas")]
    schemas: PathBuf,
    /// How many events are delivered together.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    batch: u32,
}

/// A line of results.ndjson.
#[derive(Serialize)]
struct ResultLine<'a> {
    model: &'a str,
    partition: Partition,
    /// The key of the partition's last job document.
    job: &'a str,
    /// The key of the partition's rows; none if none were ever committed.
    gold: Option<String>,
    /// What the job came to.
    result: &'a JobResult,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let is_free = fs::read_dir(&arguments.out).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_free, "expected {} to be empty or not to be there", arguments.out.display());
    let contracts = Contracts::load(&arguments.schemas)?;
    let models = Models::load(&arguments.sql, &contracts)?;
    let lake = Lake::new(contracts, models);

    let mut lines = Vec::new();
    for path in &arguments.events {
        read(&lake, path, &mut lines).with_context(|| format!("reading {}", path.display()))?;
    }
    if let Some(seed) = arguments.adversarial {
        let mut events = adversary::events_by_contract(&arguments.schemas)?;
        events.extend(adversary::events(seed));
        let mut file = Vec::new();
        for event in &events {
            serde_json::to_writer(&mut file, event)?;
            file.push(b'\n');
            lines.push(lake.envelope(event)?);
        }
        write(&arguments.out.join("events.ndjson"), &file)?;
    }
    for (number, batch) in lines.chunks(arguments.batch as usize).enumerate() {
        lake.deliver_lines(batch, &format!("{number:06}")).await?;
    }
    let settled = lake.settle().await?;
    export(&lake, &arguments.out).await?;
    let (quarantined, failed) = (lake.quarantined().await?.len(), lake.failed_checks().len());
    println!(
        "{} events, {quarantined} of them quarantined; {} jobs, {} commits, {failed} failed \
         checks; written to {}",
        lines.len(),
        settled.jobs,
        settled.commits,
        arguments.out.display()
    );
    Ok(())
}

/// Adds the lines of a file as envelopes.
fn read(lake: &Lake, path: &Path, lines: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
    let mut file = BufReader::new(fs::File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let content: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    for (number, line) in BufReader::new(content).split(b'\n').enumerate() {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value: Value =
            serde_json::from_slice(&line).with_context(|| format!("line {}", number + 1))?;
        if value.get("specversion").is_some() {
            lines.push(line);
        } else {
            let event: Event =
                serde_json::from_value(value).with_context(|| format!("line {}", number + 1))?;
            lines.push(lake.envelope(&event)?);
        }
    }
    Ok(())
}

/// Writes the objects, and which job gave what.
async fn export(lake: &Lake, out: &Path) -> anyhow::Result<()> {
    let ended = lake.ended();
    let mut results = Vec::new();
    for model in lake.models().iter() {
        for ((_, partition), ended) in ended.iter().filter(|((name, _), _)| *name == model.name) {
            let key = model.output_key(*partition);
            let gold = lake.objects().head(&key).await?.map(|_| key);
            let line = ResultLine {
                model: &model.name,
                partition: *partition,
                job: &ended.job,
                gold,
                result: &ended.result,
            };
            serde_json::to_writer(&mut results, &line)?;
            results.push(b'\n');
        }
    }
    for view in lake.models().views() {
        let Some((job, output)) = lake.view(view).await? else { continue };
        let document = keys::job(&view.name, job.partition.value, &job.id);
        let line = serde_json::json!({
            "model": view.name,
            "partition": job.partition.value,
            "job": document,
            "gold": job.output.key,
            "result": {"rows": output.rows.num_rows(), "failed_checks": output.failed_checks},
        });
        serde_json::to_writer(&mut results, &line)?;
        results.push(b'\n');
        write(&out.join(document), &serde_json::to_vec(&job)?)?;
        write(&out.join(&job.output.key), &gold::encode(&output.into_gold(), &job)?)?;
    }
    write(&out.join("results.ndjson"), &results)?;
    for key in lake.objects().keys() {
        // Another engine reads rows, not states. What a partition was computed from before has been
        // replaced: only its last job still means something.
        if key.starts_with("state/") {
            continue;
        }
        if !key.starts_with(keys::JOBS) || ended.values().any(|ended| ended.job == key) {
            let object = lake.objects().get(&key).await?.context("what is listed is there")?;
            write(&out.join(&key), &object.bytes)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::File::create(path)?.write_all(bytes)
    };
    write().with_context(|| format!("writing {}", path.display()))
}
