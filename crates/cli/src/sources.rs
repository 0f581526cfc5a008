//! The sources of a demo: the program that generates events and plays vendors' APIs, and the
//! connectors that poll those. Both are built beside this program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::target::Target;

const TOKEN: &str = "token-of-the-demo";
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The end of a failed program's log that its error shows.
const LOG_CHARACTERS: usize = 4000;

/// A tenant with what its systems need to send events.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) id: String,
    pub(crate) webhook_secret: String,
}

/// What posting events resulted in.
#[derive(Debug, Deserialize)]
pub(crate) struct Posted {
    pub(crate) accepted: usize,
}

/// Runs sources against a deployment.
pub(crate) struct Sources<'a> {
    target: &'a Target,
    programs: PathBuf,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(target: &'a Target) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the folder of this program")?;
        let programs = program.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { target, programs })
    }

    /// Generates events of `source` and posts them.
    pub(crate) async fn post(
        &self,
        source: &str,
        shop: &Shop,
        arguments: &[String],
    ) -> Result<Posted> {
        let api_url: String = self.target.output("api_url")?;
        let mut command = self.command("sample-source");
        command
            .args([source, "--api-url", &api_url, "--shop", &shop.id])
            .args(arguments)
            .env("WEBHOOK_SECRET", &shop.webhook_secret)
            .stderr(Stdio::inherit());
        let output = self.finish("sample-source", command).await?;
        serde_json::from_slice(&output.stdout).context("sample-source printed no summary")
    }

    /// Plays a vendor's API until the answer is dropped.
    pub(crate) async fn api(&self, source: &str, arguments: &[String]) -> Result<Api> {
        let folder = TemporaryFolder::create()?;
        let port_file = folder.0.join("port");
        let child = self
            .command("sample-source")
            .args([source, "--token", TOKEN, "--listen", "127.0.0.1:0", "--port-file"])
            .arg(&port_file)
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| self.missing("sample-source"))?;
        let mut api = Api { url: String::new(), child };
        let deadline = Instant::now() + LISTEN_TIMEOUT;
        loop {
            let port = std::fs::read_to_string(&port_file).unwrap_or_default();
            if !port.trim().is_empty() {
                api.url = format!("http://127.0.0.1:{}", port.trim());
                return Ok(api);
            }
            if let Some(status) = api.child.try_wait()? {
                bail!("the {source} API ended with {status}: see its output above");
            }
            if Instant::now() > deadline {
                bail!("the {source} API does not listen after {LISTEN_TIMEOUT:?}; try again");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the POS connector for one business day.
    pub(crate) async fn run_pos_connector(
        &self,
        shop: &str,
        api: &Api,
        day: NaiveDate,
        backfill: Option<&str>,
    ) -> Result<()> {
        let mut command = self.connector("pos", shop)?;
        command
            .env("POS_BASE_URL", &api.url)
            .env("POS_TOKEN", TOKEN)
            .env("BUSINESS_DATE", day.to_string());
        if let Some(backfill) = backfill {
            command.env("BACKFILL", backfill);
        }
        self.finish("pos-connector", command).await.map(drop)
    }

    /// Runs the inventory connector for the hours of the days from `first` to `last`.
    pub(crate) async fn run_inventory_connector(
        &self,
        shop: &str,
        api: &Api,
        (first, last): (NaiveDate, NaiveDate),
    ) -> Result<()> {
        let mut command = self.connector("inventory", shop)?;
        command
            .env("INVENTORY_BASE_URL", &api.url)
            .env("INVENTORY_TOKEN", TOKEN)
            .env("SNAPSHOT_FROM", format!("{first}T00"))
            .env("SNAPSHOT_TO", format!("{last}T23"));
        self.finish("inventory-connector", command).await.map(drop)
    }

    fn connector(&self, source: &str, shop: &str) -> Result<Command> {
        let streams: std::collections::BTreeMap<String, String> = self.target.output("streams")?;
        let stream = streams
            .get(source)
            .with_context(|| format!("the deployment has no stream of the source {source}"))?;
        let lake: String = self.target.output("lake_bucket")?;
        let name = format!("{source}-connector");
        let mut command = self.command(&name);
        command
            .env("SHOP_ID", shop)
            .env("STREAM_NAME", stream)
            .env("LAKE_BUCKET", lake)
            .env("AWS_SDK_UA_APP_ID", &name)
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).envs(self.target.environment());
        command
    }

    async fn finish(&self, program: &str, mut command: Command) -> Result<Output> {
        let child = command.spawn().with_context(|| self.missing(program))?;
        let output = spawn_blocking(|| child.wait_with_output()).await??;
        if !output.status.success() {
            let log = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
            let log = String::from_utf8_lossy(&log);
            let skipped = log.chars().count().saturating_sub(LOG_CHARACTERS);
            let end: String = log.chars().skip(skipped).collect();
            bail!("{program} ended with {}; the end of its log:\n{end}", output.status);
        }
        Ok(output)
    }

    fn missing(&self, program: &str) -> String {
        let place = self.programs.join(program);
        format!("cannot run {}: build it with `make build`", Path::display(&place))
    }
}

/// A vendor's API on this machine, which ends with this value.
pub(crate) struct Api {
    url: String,
    child: Child,
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed at the end.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> Result<Self> {
        let name = format!("shoplake-{}-{:?}", std::process::id(), std::time::SystemTime::now());
        let name = name.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
        let folder = std::env::temp_dir().join(AsRef::<OsStr>::as_ref(&name));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
