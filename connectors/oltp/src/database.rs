//! The connection to a shop's PostgreSQL.

use std::{io, sync::Arc, time::Duration};

use chrono_tz::Tz;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use shoplake_connector::SourceError;
use shoplake_platform::config::{ConfigError, optional, required};
use tokio_postgres::{
    Client, Config, Error,
    config::{Host, SslMode},
    error::SqlState,
};
use tokio_postgres_rustls::MakeRustlsConnect;

const URL: &str = "OLTP_URL";
const CA_CERTIFICATES: &str = "OLTP_CA_CERTIFICATES";

/// After this time without an answer a connection is considered lost.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Session settings: read only, floats with all their digits, and a limit to the wait for a locked
/// table.
const SESSION: &str = "set default_transaction_read_only = on; set extra_float_digits = 1; \
                       set lock_timeout = '30s'";

/// Accepted parameters of a URL, under the names that PostgreSQL's clients use.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Accepted values of `sslmode`. The connector checks the certificate with every one but `disable`.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// A database, and the certificate authorities that prove its identity.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Database {
    /// Reads `OLTP_URL` and `OLTP_CA_CERTIFICATES`.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        Self::new(&required(URL)?, &optional(CA_CERTIFICATES, "")?)
    }

    /// Returns the database at `url`. If there are `ca_certificates` (PEM), one of them must have
    /// signed its certificate.
    ///
    /// # Errors
    /// Names the variable of the connector that has such a value.
    pub fn new(url: &str, ca_certificates: &str) -> Result<Self, ConfigError> {
        Ok(Self { config: config(url)?, tls: MakeRustlsConnect::new(tls(ca_certificates)?) })
    }

    /// Connects and sets up the session. Times without a zone are in `time_zone`.
    pub(crate) async fn connect(
        &self,
        password: &SecretString,
        time_zone: Tz,
    ) -> Result<Client, SourceError> {
        let mut config = self.config.clone();
        config.password(password.expose_secret());
        let (client, connection) =
            config.connect(self.tls.clone()).await.map_err(connection_error)?;
        tokio::spawn(async move {
            // The user of the client gets this error, too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        let session = format!("set time zone '{time_zone}'; {SESSION}");
        client.batch_execute(&session).await.map_err(connection_error)?;
        Ok(client)
    }
}

fn config(url: &str) -> Result<Config, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid {
        name: URL.to_owned(),
        expected: "postgres://<user>@<host>:<port>/<database>".to_owned(),
        reason,
    };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(invalid("it does not begin with postgres://".to_owned()));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    // Errors name a parameter and never show its value, as that may be a password.
    let mut config: Config =
        base.parse().map_err(|_| invalid("it is not such a URL".to_owned()))?;
    let mut is_plain = false;
    let mut url = base.to_owned();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(invalid("a parameter after the question mark has no value".to_owned()));
        };
        if !PARAMETERS.contains(&name) {
            let hint = if name.starts_with("ssl") {
                "; certificates go into OLTP_CA_CERTIFICATES"
            } else {
                ""
            };
            let supported = PARAMETERS.join(", ");
            return Err(invalid(format!(
                "the parameter {name} is not supported, expected one of {supported}{hint}"
            )));
        }
        if name == "sslmode" {
            if !SSL_MODES.contains(&value) {
                return Err(invalid(format!(
                    "sslmode is not supported, expected one of {}",
                    SSL_MODES.join(", ")
                )));
            }
            is_plain = value == "disable";
            continue;
        }
        url = format!("{url}{}{parameter}", if url == base { '?' } else { '&' });
        config = url.parse().map_err(|_| {
            invalid(format!("the parameter {name} has a value that cannot be read"))
        })?;
    }
    if config.get_password().is_some() {
        return Err(invalid(
            "it has a password, which everyone who may see the task can read; store it where \
             OLTP_PASSWORD_PARAMETER says"
                .to_owned(),
        ));
    }
    if config.get_user().is_none() || config.get_dbname().is_none() {
        return Err(invalid("it lacks the user or the database".to_owned()));
    }
    if !matches!(config.get_hosts(), [Host::Tcp(_)]) {
        return Err(invalid("it does not name one host".to_owned()));
    }
    // The default of PostgreSQL's clients would send everything unencrypted if a host in between
    // refused TLS.
    config.ssl_mode(if is_plain { SslMode::Disable } else { SslMode::Require });
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config
        .application_name("shoplake-oltp-connector")
        .keepalives_idle(SILENCE)
        .tcp_user_timeout(SILENCE);
    Ok(config)
}

/// Returns settings that accept a certificate of the host signed by one of `ca_certificates`, or,
/// without any, by an authority that the image trusts. RDS needs the former: no system has its
/// authorities.
fn tls(ca_certificates: &str) -> Result<ClientConfig, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid {
        name: CA_CERTIFICATES.to_owned(),
        expected: "certificates in PEM".to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    if ca_certificates.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in CertificateDer::pem_slice_iter(ca_certificates.as_bytes()) {
            let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
            roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(invalid("it has no certificate".to_owned()));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the error of a connection, before a table is read.
pub(crate) fn connection_error(error: Error) -> SourceError {
    source_error(error, "")
}

/// Returns the error at `place`: its text, and whether a retry may help.
pub(crate) fn source_error(error: Error, place: &str) -> SourceError {
    let Some(answer) = error.as_db_error() else {
        let cause =
            std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let is_transient = error.is_closed() || is_passing_fault_of_the_network(&error);
        return SourceError::Unavailable {
            reason: format!("{place}PostgreSQL: {error}{cause}"),
            is_transient,
        };
    };
    let mut reason =
        format!("{place}PostgreSQL: {} (SQLSTATE {})", answer.message(), answer.code().code());
    for more in [answer.detail(), answer.hint()].into_iter().flatten() {
        reason = format!("{reason}; {more}");
    }
    if let Some(advice) = advice(answer.code()) {
        reason = format!("{reason}; {advice}");
    }
    SourceError::Unavailable { reason, is_transient: is_passing(answer.code()) }
}

/// Returns what to do, where PostgreSQL's message does not say it.
fn advice(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "42P01" | "42703" => {
            "expected the tables of the connector's README, or views of these names and columns on \
             the user's search_path"
        }
        "42501" => "grant the user usage on the schema and select on the four tables",
        "57014" | "25P04" => {
            "the server ended the query: raise the reader's limit (alter role ... set \
             statement_timeout), add the indexes of the connector's README, or take fewer days \
             with LOOKBACK_DAYS"
        }
        "55P03" => {
            "another session holds a lock on it for longer than 30 s: run again once that has \
             ended (see pg_locks)"
        }
        code if code.starts_with("22") => {
            "correct the value, or give the reader a view of this name without it"
        }
        _ => return None,
    })
}

/// Returns whether a connection was refused, reset or timed out. A wrong certificate is not such a
/// fault.
fn is_passing_fault_of_the_network(error: &Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_refused = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
    cause.is_some_and(|cause| !is_refused.contains(&cause.kind()))
}

/// Returns whether a retry may help, by class (PostgreSQL's manual, appendix "Error Codes"): lost
/// connections, conflicts between transactions or with replication, too little memory, too many
/// connections, a restart, a lock, and a transaction that the server ended because it was idle
/// while the stream was throttled. A query that exceeded its time limit would exceed it again.
fn is_passing(code: &SqlState) -> bool {
    let classes = ["08", "40", "53", "57"];
    let is_of_class = classes.iter().any(|class| code.code().starts_with(class));
    (is_of_class && *code != SqlState::QUERY_CANCELED)
        || [SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, SqlState::LOCK_NOT_AVAILABLE]
            .contains(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_connects_by_tls_unless_it_disables_it() {
        let mode = |url: &str| config(url).unwrap().get_ssl_mode();

        assert_eq!(mode("postgres://reader@db.example.com/shop"), SslMode::Require);
        for accepted in ["allow", "prefer", "require", "verify-ca", "verify-full"] {
            let url = format!("postgresql://reader@db.example.com:6432/shop?sslmode={accepted}");
            assert_eq!(mode(&url), SslMode::Require, "{accepted}");
        }
        assert_eq!(mode("postgres://reader@127.0.0.1/shop?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn parameters_of_a_url_are_kept() {
        let url = "postgres://reader@db/shop?connect_timeout=3&sslmode=verify-full\
                   &options=-c%20geqo%3Doff";
        let config = config(url).unwrap();

        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(
            (config.get_ssl_mode(), config.get_options()),
            (SslMode::Require, Some("-c geqo=off"))
        );
    }

    #[test]
    fn a_url_that_is_refused_is_explained_without_its_secrets() {
        for (url, reason) in [
            ("postgres://reader:hunter2@db.example.com/shop", "it has a password"),
            ("postgres://reader@db.example.com/shop?password=hunter2", "it has a password"),
            ("postgres://db.example.com/shop", "lacks the user or the database"),
            ("postgres://reader@db.example.com", "lacks the user or the database"),
            ("postgres://reader@/shop", "one host"),
            ("postgres://reader@a.example.com,b.example.com/shop", "one host"),
            ("hunter2 = db.example.com", "does not begin with postgres://"),
            ("postgres://reader@db.example.com:hunter2/shop", "not such a URL"),
            (
                "postgres://reader@db/shop?sslmode=hunter2",
                "sslmode is not supported, expected one of disable, allow",
            ),
            (
                "postgres://reader@db/shop?sslrootcert=hunter2",
                "the parameter sslrootcert is not supported, expected one of application_name,",
            ),
            ("postgres://reader@db/shop?sslrootcert=hunter2", "OLTP_CA_CERTIFICATES"),
            ("postgres://reader@db/shop?service=hunter2", "the parameter service is not supported"),
            (
                "postgres://reader@db/shop?connect_timeout=hunter2",
                "the parameter connect_timeout has a value",
            ),
            ("postgres://reader@db/shop?hunter2", "has no value"),
        ] {
            let error = config(url).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("OLTP_URL"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_variable_without_certificates_is_named() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["not a certificate", pem] {
            let error = tls(text).unwrap_err().to_string();
            assert!(
                error.contains("OLTP_CA_CERTIFICATES") && error.contains("certificates in PEM"),
                "{error}"
            );
        }
        assert!(tls("").is_ok());
    }

    #[test]
    fn only_faults_that_pass_by_themselves_are_waited_out() {
        for code in [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::LOCK_NOT_AVAILABLE,
        ] {
            assert!(is_passing(&code), "{code:?}");
        }
        for code in [
            SqlState::INVALID_PASSWORD,
            SqlState::UNDEFINED_TABLE,
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::QUERY_CANCELED,
            SqlState::UNTRANSLATABLE_CHARACTER,
        ] {
            assert!(!is_passing(&code), "{code:?}");
        }
    }
}
