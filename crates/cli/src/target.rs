//! The deployment that a command is about: the demo on this machine, or an environment on AWS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_redshiftdata::config::Credentials;
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use shoplake_contracts::Contracts;
use shoplake_lake::S3Store;
use shoplake_models::Models;
use shoplake_warehouse::DataApi;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lake::Lake;

/// Where a demo says what it is called.
const DEMO: &str = ".local/demo/target.json";
const START_DEMO: &str = "start it with `make demo`";
const LOCAL_REGION: &str = "us-east-1";
const LOCAL_KEY: &str = "test";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No request takes longer: a Lambda function may run for 15 minutes.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(16 * 60);

/// Which deployment to talk to.
#[derive(Clone, Debug, Args)]
pub(crate) struct TargetArguments {
    /// Names of a deployment's resources: what `terraform output -json` prints, or what a demo
    /// wrote [default: the running demo]. Credentials and region are those of the AWS CLI.
    #[arg(long, value_name = "FILE", global = true, env = "SHOPLAKE_TARGET")]
    target: Option<PathBuf>,
}

/// Where the definitions of datasets and models are.
#[derive(Clone, Debug, Args)]
pub(crate) struct DefinitionArguments {
    /// The contracts.
    #[arg(long, value_name = "DIR", default_value = "crates/contracts/schemas")]
    schemas: PathBuf,
    /// The models.
    #[arg(long, value_name = "DIR", default_value = "glue-sql")]
    sql: PathBuf,
}

impl DefinitionArguments {
    pub(crate) fn contracts(&self) -> Result<Contracts> {
        Ok(Contracts::load(&self.schemas)?)
    }

    pub(crate) fn models(&self, contracts: &Contracts) -> Result<Models> {
        Ok(Models::load(&self.sql, contracts)?)
    }
}

/// What a local cloud writes.
#[derive(Deserialize)]
struct LocalCloud {
    endpoint: String,
    outputs: Map<String, Json>,
}

/// One output of `terraform output -json`.
#[derive(Deserialize)]
struct TerraformOutput {
    #[serde(rename = "sensitive")]
    _sensitive: bool,
    value: Json,
}

/// A deployment.
#[derive(Debug)]
pub(crate) struct Target {
    file: PathBuf,
    outputs: Map<String, Json>,
    sdk: SdkConfig,
    endpoint: Option<String>,
}

#[derive(Deserialize)]
struct WarehouseOutput {
    workgroup: String,
    database: String,
}

impl TargetArguments {
    /// Reads the target's file. A local cloud must run.
    pub(crate) async fn load(&self) -> Result<Target> {
        let file = self.target.clone().unwrap_or_else(|| PathBuf::from(DEMO));
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(_) if self.target.is_none() => bail!(
                "the demo does not run: {START_DEMO}, or name a deployment with --target FILE, the \
                 output of `terraform output -json`"
            ),
            Err(error) => {
                bail!("{}: {error}; check the path and who may read it", file.display())
            }
        };
        let Names { endpoint, outputs } = Names::parse(&text).with_context(|| {
            format!(
                "invalid target {}: expected the output of `terraform output -json` or of \
                 `make outputs`",
                file.display()
            )
        })?;
        let sdk = match &endpoint {
            Some(endpoint) => {
                check_running(endpoint).await?;
                local_config(endpoint).await
            }
            None => settings().load().await,
        };
        Ok(Target { file, outputs, sdk, endpoint })
    }
}

/// The names of a deployment's resources.
#[derive(Debug, PartialEq)]
struct Names {
    /// Of a local cloud.
    endpoint: Option<String>,
    outputs: Map<String, Json>,
}

impl Names {
    /// Reads what a demo, `terraform output -json` or `make outputs` wrote.
    fn parse(text: &str) -> Result<Self> {
        let json: Map<String, Json> = serde_json::from_str(text)?;
        if json.contains_key("endpoint") {
            let LocalCloud { endpoint, outputs } = serde_json::from_value(Json::Object(json))?;
            return Ok(Self { endpoint: Some(endpoint), outputs });
        }
        let outputs = json.into_iter().map(|(name, output)| {
            // Terraform describes each output, `make outputs` prints its value only.
            let described = serde_json::from_value::<TerraformOutput>(output.clone());
            (name, described.map_or(output, |output| output.value))
        });
        Ok(Self { endpoint: None, outputs: outputs.collect() })
    }
}

impl Target {
    /// An output of Terraform.
    pub(crate) fn output<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let file = self.file.display();
        let output = self.outputs.get(name).with_context(|| {
            format!("{file} has no output {name:?}: write it again with `terraform output -json`")
        })?;
        serde_json::from_value(output.clone())
            .with_context(|| format!("{file}: the output {name:?} is not as expected"))
    }

    /// The warehouse, through the Data API.
    pub(crate) fn warehouse(&self) -> Result<DataApi> {
        let WarehouseOutput { workgroup, database } = self.output("warehouse")?;
        let client = aws_sdk_redshiftdata::Client::new(&self.sdk);
        Ok(DataApi::new(client, workgroup, database))
    }

    /// The lake.
    pub(crate) fn lake(&self) -> Result<Lake> {
        let bucket: String = self.output("lake_bucket")?;
        Ok(Lake::new(Arc::new(S3Store::new(&self.sdk, bucket))))
    }

    /// How to reach AWS.
    pub(crate) fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// What another process needs to reach this deployment; nothing on AWS, where it finds
    /// credentials and region as this process did.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        self.endpoint.as_ref().map_or_else(Vec::new, |endpoint| {
            [
                ("AWS_ENDPOINT_URL", endpoint.as_str()),
                ("AWS_ACCESS_KEY_ID", LOCAL_KEY),
                ("AWS_SECRET_ACCESS_KEY", LOCAL_KEY),
                ("AWS_REGION", LOCAL_REGION),
                ("NO_PROXY", "127.0.0.1,localhost"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec()
        })
    }
}

/// Credentials and region from the environment and the profile, as the AWS CLI takes them.
fn settings() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
}

/// Talks to the local cloud only, whatever profile and endpoints the environment names.
async fn local_config(endpoint: &str) -> SdkConfig {
    settings()
        .endpoint_url(endpoint)
        .region(Region::from_static(LOCAL_REGION))
        .credentials_provider(Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "local cloud"))
        .load()
        .await
}

/// Rejects a local cloud that was ended.
async fn check_running(endpoint: &str) -> Result<()> {
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        _ => bail!("the demo does not run: {START_DEMO} ({endpoint} does not answer)"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &Json) -> Names {
        Names::parse(&json.to_string()).unwrap()
    }

    #[test]
    fn outputs_are_read_as_terraform_and_make_print_them() {
        let warehouse = json!({"workgroup": "w", "database": "d"});
        let plain = parse(&json!({"lake_bucket": "lake", "warehouse": warehouse}));
        let described = parse(&json!({
            "lake_bucket": {"sensitive": false, "type": "string", "value": "lake"},
            "warehouse": {"sensitive": false, "type": "object", "value": warehouse},
        }));
        assert_eq!(plain, described);
        assert_eq!(plain.outputs["lake_bucket"], "lake");
        assert_eq!(plain.endpoint, None);
    }

    #[test]
    fn a_demo_names_its_endpoint() {
        let demo = parse(&json!({"endpoint": "http://127.0.0.1:4566", "outputs": {"a": 1}}));
        assert_eq!(demo.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(demo.outputs["a"], 1);
    }

    #[test]
    fn other_json_is_not_a_target() {
        for text in ["", "[]", "{\"endpoint\": 1}"] {
            assert!(Names::parse(text).is_err(), "{text}");
        }
    }
}
