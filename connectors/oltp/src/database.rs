//! The connection to a shop's PostgreSQL.

use std::{io, sync::Arc, time::Duration};

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

/// A connection that says nothing for so long is taken for lost.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which database, and how it is told from another one that answers in its place.
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
        Ok(Self {
            config: config(&required(URL)?)?,
            tls: MakeRustlsConnect::new(tls(&optional(CA_CERTIFICATES, "")?)?),
        })
    }

    /// Connects; times are in UTC, and nothing can be changed by accident.
    pub(crate) async fn connect(&self, password: &SecretString) -> Result<Client, SourceError> {
        let mut config = self.config.clone();
        config.password(password.expose_secret());
        let (client, connection) = config.connect(self.tls.clone()).await.map_err(source_error)?;
        tokio::spawn(async move {
            // Whoever uses the client hears of it, too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        client
            .batch_execute("set time zone 'UTC'; set default_transaction_read_only = on")
            .await
            .map_err(source_error)?;
        Ok(client)
    }
}

fn config(url: &str) -> Result<Config, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid {
        name: URL.to_owned(),
        expected: "postgres://<user>@<host>:<port>/<database>".to_owned(),
        reason,
    };
    // The error of the parser would show what it cannot read, a password among it.
    let mut config: Config = url.parse().map_err(|_| invalid("it is no such URL".to_owned()))?;
    if config.get_password().is_some() {
        return Err(invalid(
            "it has a password, which everybody can read who may see the task; put it where OLTP_PASSWORD_PARAMETER says"
                .to_owned(),
        ));
    }
    if config.get_user().is_none() || config.get_dbname().is_none() {
        return Err(invalid("it names no user or no database".to_owned()));
    }
    if !matches!(config.get_hosts(), [Host::Tcp(_)]) {
        return Err(invalid("it does not name one host".to_owned()));
    }
    // What PostgreSQL's own clients do by default would send everything in the open if somebody in between refused TLS.
    if config.get_ssl_mode() != SslMode::Disable {
        config.ssl_mode(SslMode::Require);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.application_name("shoplake-oltp-connector").keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
    Ok(config)
}

/// The certificate has to be of the host, and signed by somebody whom the image trusts, or by one of `ca_certificates` if
/// there are any: databases on RDS are signed by an authority of AWS's own that no system knows.
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
            return Err(invalid("there is none in it".to_owned()));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What went wrong, in words, and whether it may pass.
pub(crate) fn source_error(error: Error) -> SourceError {
    let Some(answer) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let is_transient = error.is_closed() || is_passing_fault_of_the_network(&error);
        return SourceError::Unavailable { reason: format!("PostgreSQL: {error}{cause}"), is_transient };
    };
    let mut reason = format!("PostgreSQL: {} (SQLSTATE {})", answer.message(), answer.code().code());
    for more in [answer.detail(), answer.hint()].into_iter().flatten() {
        reason = format!("{reason}; {more}");
    }
    if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(answer.code()) {
        reason.push_str("; expected the tables of the connector's README, or views of these names and columns on the user's search_path");
    }
    SourceError::Unavailable { reason, is_transient: is_passing(answer.code()) }
}

/// Refused, reset or timed out; but not a certificate that is somebody else's.
fn is_passing_fault_of_the_network(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_refused = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
    cause.is_some_and(|cause| !is_refused.contains(&cause.kind()))
}

/// By class (PostgreSQL's manual, appendix "Error Codes"): lost connections, transactions that got in each other's way (on a
/// standby: with what it replays), too little memory or too many connections, an operator who restarts the server. And a
/// stream that was throttled for so long that the database took the transaction for forgotten.
fn is_passing(code: &SqlState) -> bool {
    ["08", "40", "53", "57"].iter().any(|class| code.code().starts_with(class))
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_url_then_it_is_by_tls_unless_it_says_otherwise() {
        let mode = |url: &str| config(url).unwrap().get_ssl_mode();

        assert_eq!(mode("postgres://reader@db.example.com/shop"), SslMode::Require);
        assert_eq!(mode("postgresql://reader@db.example.com:6432/shop?sslmode=prefer"), SslMode::Require);
        assert_eq!(mode("postgres://reader@127.0.0.1/shop?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn given_a_url_that_lacks_something_or_tells_a_secret_then_it_is_refused_without_telling_it() {
        for (url, reason) in [
            ("postgres://reader:hunter2@db.example.com/shop", "it has a password"),
            ("postgres://db.example.com/shop", "no user or no database"),
            ("postgres://reader@db.example.com", "no user or no database"),
            ("postgres://reader@/shop", "one host"),
            ("postgres://reader@a.example.com,b.example.com/shop", "one host"),
            ("hunter2 = db.example.com", "no such URL"),
        ] {
            let error = config(url).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("OLTP_URL"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn given_no_certificates_where_some_are_expected_then_the_variable_is_named() {
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
    fn given_a_code_then_only_those_that_pass_by_themselves_are_waited_out() {
        for code in [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ] {
            assert!(is_passing(&code), "{code:?}");
        }
        for code in [SqlState::INVALID_PASSWORD, SqlState::UNDEFINED_TABLE, SqlState::INSUFFICIENT_PRIVILEGE]
        {
            assert!(!is_passing(&code), "{code:?}");
        }
    }
}
