//! The URL of a database, with the parameters about TLS that libpq knows.
//!
//! | parameter | effect |
//! |---|---|
//! | `sslmode` | `verify-full`, and `require` as a synonym: the certificate of the server is verified, with its name. `disable`: no TLS. The default is `verify-full`, or no TLS if all hosts are sockets or loopback addresses and there is no `sslrootcert` |
//! | `sslrootcert` | the file with the certificates of the authorities, which TLS needs |
//! | `sslcert`, `sslkey` | the certificate of the client, and its key |
//! | `channel_binding` | `require`, `prefer` or `disable`. The default is `require` if there is TLS and a password |
//!
//! The other parameters are those of the library.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::error::{Error, Result};

/// A URL for the library, and what belongs to TLS.
#[derive(Debug)]
pub(super) struct DatabaseUrl {
    connection_string: String,
    authorities: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

/// The parameters that the library does not know, or knows differently.
#[derive(Debug, Default)]
struct Parameters {
    mode: Option<String>,
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    channel_binding: Option<String>,
}

impl Parameters {
    fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sslmode" => Some(&mut self.mode),
            "sslrootcert" => Some(&mut self.authorities),
            "sslcert" => Some(&mut self.certificate),
            "sslkey" => Some(&mut self.key),
            "channel_binding" => Some(&mut self.channel_binding),
            _ => None,
        }
    }
}

impl DatabaseUrl {
    /// Parses a URL. The role may have a password from elsewhere.
    pub(super) fn parse(url: &str, has_password: bool) -> Result<Self> {
        let (base, mut query, parameters) = split(url)?;
        let config: Config = joined(base, &query)
            .parse()
            // The error can contain a part of the URL, which can contain a password.
            .map_err(|_| malformed("it is not in the form that libpq accepts"))?;
        let verifies = match parameters.mode.as_deref() {
            None => parameters.authorities.is_some() || !is_local(&config),
            Some("require" | "verify-full") => true,
            Some("disable") if parameters.authorities.is_none() => false,
            Some("disable") => return Err(malformed("sslmode=disable contradicts sslrootcert")),
            Some(_) => {
                return Err(malformed("sslmode must be verify-full, require (which means the same here) or disable"));
            }
        };
        let mut append = |name: &str, value: &str| query.push(format!("{name}={value}"));
        if verifies {
            append("sslmode", "require");
        } else if parameters.mode.is_some() {
            append("sslmode", "disable");
        }
        let has_password = has_password || config.get_password().is_some();
        match parameters.channel_binding.as_deref() {
            None if verifies && has_password => append("channel_binding", "require"),
            None => {}
            Some(value @ ("require" | "prefer" | "disable")) => append("channel_binding", value),
            Some(_) => return Err(malformed("channel_binding must be require, prefer or disable")),
        }
        let authorities = match (verifies, parameters.authorities) {
            (true, None) => {
                let text = "cannot connect to the database: TLS needs the certificates of the authorities that may \
                            vouch for the server; add sslrootcert=FILE to the URL, for example the file that your \
                            provider publishes, or /etc/ssl/certs/ca-certificates.crt on Debian";
                return Err(Error::new(text));
            }
            (_, authorities) => authorities.map(PathBuf::from),
        };
        let client = match (parameters.certificate, parameters.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) if verifies => Some((certificate.into(), key.into())),
            (Some(_), Some(_)) => return Err(malformed("sslcert needs TLS")),
            (Some(_), None) | (None, Some(_)) => return Err(malformed("sslcert and sslkey belong together")),
        };
        Ok(Self { connection_string: joined(base, &query), authorities, client })
    }

    /// Returns the URL for the library. It can contain a password.
    pub(super) fn connection_string(&self) -> &str {
        &self.connection_string
    }

    /// Returns the file with the certificates of the authorities if there is TLS.
    pub(super) fn authorities(&self) -> Option<&Path> {
        self.authorities.as_deref()
    }

    /// Returns the files with the certificate of the client and its key.
    pub(super) fn client_certificate(&self) -> Option<(&Path, &Path)> {
        self.client.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()))
    }
}

/// Splits a URL at its query. Returns the part before it, the other parameters, and those about TLS.
fn split(url: &str) -> Result<(&str, Vec<String>, Parameters)> {
    // As in the parser of the driver, credentials end at the first '@' and may contain a '?'.
    let start = url.find('@').map_or(0, |at| at + 1);
    let (base, query) = match url[start..].find('?') {
        Some(at) => (&url[..start + at], &url[start + at + 1..]),
        None => (url, ""),
    };
    let mut parameters = Parameters::default();
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| malformed("a parameter has no value"))?;
        let name = percent_decode_str(name).decode_utf8().map_err(|_| malformed("a parameter is not UTF-8"))?;
        let Some(slot) = parameters.named(&name) else {
            others.push(pair.to_owned());
            continue;
        };
        let value = percent_decode_str(value).decode_utf8().map_err(|_| malformed("a parameter is not UTF-8"))?;
        if slot.replace(value.into_owned()).is_some() {
            return Err(malformed(&format!("it has {name} twice")));
        }
    }
    Ok((base, others, parameters))
}

fn joined(base: &str, query: &[String]) -> String {
    if query.is_empty() { base.to_owned() } else { format!("{base}?{}", query.join("&")) }
}

/// Returns `true` if no network is between this process and all servers.
fn is_local(config: &Config) -> bool {
    let is_local_host = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || is_loopback(name),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_local_host),
        addresses => addresses.iter().all(std::net::IpAddr::is_loopback),
    }
}

fn is_loopback(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn malformed(reason: &str) -> Error {
    Error::new(format!("malformed URL of a database: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the URL for the library, and the file of the authorities.
    fn parsed(url: &str, has_password: bool) -> (String, Option<String>) {
        let parsed = DatabaseUrl::parse(url, has_password).expect("a valid URL");
        let authorities = parsed.authorities().map(|path| path.display().to_string());
        (parsed.connection_string().to_owned(), authorities)
    }

    fn refused(url: &str) -> String {
        DatabaseUrl::parse(url, false).expect_err(url).to_string()
    }

    #[test]
    fn a_network_needs_verified_tls_and_channel_binding() {
        let ca = Some("/ca.pem".to_owned());
        for (url, has_password, expected) in [
            ("postgres://app@db/keys?sslrootcert=/ca.pem", false, "postgres://app@db/keys?sslmode=require"),
            (
                "postgres://app@db/keys?sslrootcert=/ca.pem&connect_timeout=3",
                true,
                "postgres://app@db/keys?connect_timeout=3&sslmode=require&channel_binding=require",
            ),
            (
                "postgres://app:p%3Fw@db?sslmode=verify-full&sslrootcert=%2Fca.pem",
                false,
                "postgres://app:p%3Fw@db?sslmode=require&channel_binding=require",
            ),
            (
                "postgres://app:p?w@db?sslmode=require&sslrootcert=/ca.pem&channel_binding=prefer",
                false,
                "postgres://app:p?w@db?sslmode=require&channel_binding=prefer",
            ),
            // One server is elsewhere.
            ("postgres://a@localhost,db/?sslrootcert=/ca.pem", false, "postgres://a@localhost,db/?sslmode=require"),
            ("postgres://a@localhost/?sslrootcert=/ca.pem", false, "postgres://a@localhost/?sslmode=require"),
        ] {
            assert_eq!(parsed(url, has_password), (expected.to_owned(), ca.clone()), "{url}");
        }
        for url in ["postgres://db/keys", "postgres://db/keys?sslmode=require", "postgres://localhost,db/"] {
            assert!(refused(url).contains("sslrootcert=FILE"), "{url}");
        }
    }

    #[test]
    fn plaintext_is_for_this_machine_or_requested() {
        for url in [
            "postgres:///keys?host=/run/postgresql",
            "postgres://app:secret@127.0.0.1:5432/keys",
            "postgres://[::1]/keys",
            "postgres://localhost/keys",
            "postgres://db/keys?hostaddr=127.0.0.1",
            "postgres://db/keys?sslmode=disable",
        ] {
            assert_eq!(parsed(url, true), (url.to_owned(), None));
        }
        assert!(refused("postgres://localhost/keys?hostaddr=192.0.2.1").contains("sslrootcert"));
    }

    #[test]
    fn what_could_be_weaker_than_it_seems_is_refused() {
        for mode in ["prefer", "allow", "verify-ca", "", "Require"] {
            let text = refused(&format!("postgres://localhost/keys?sslmode={mode}"));
            assert!(text.contains("sslmode must be"), "{mode}: {text}");
        }
        for (parameters, reason) in [
            ("sslmode=disable&sslrootcert=/ca.pem", "contradicts"),
            ("sslmode=disable&sslmode=require", "twice"),
            ("ssl%6Dode=disable&sslmode=require", "twice"),
            ("sslrootcert=/ca.pem&sslcert=/c.pem", "belong together"),
            ("sslcert=/c.pem&sslkey=/k.pem", "needs TLS"),
            ("channel_binding=maybe", "channel_binding must be"),
            ("sslmode", "no value"),
            ("sslcrl=/crl.pem", "libpq"),
        ] {
            let text = refused(&format!("postgres://app:hidden@localhost/keys?{parameters}"));
            assert!(text.contains(reason) && !text.contains("hidden"), "{parameters}: {text}");
        }
    }
}
