//! A server that is asked by HTTP: whom the answers may come from, how long and how large they may be.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmcrypt::LockedBytes;
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::access::Access;
use super::error::StoredError;
use super::stored::MAX_ANSWER_BYTES;
use crate::secret_buffer::SecretBuffer;
use crate::text;

/// How long it may take until a server answers a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take, all in all.
const WHOLE: Duration = Duration::from_secs(30);

/// How often an answer may be looked for elsewhere on the same server.
const REDIRECTS: u32 = 3;

/// A server, by the beginning of its URLs.
pub(super) struct Server {
    /// Without a slash at its end.
    base: String,
    agent: Agent,
}

/// What a server answers.
pub(super) struct Answer {
    /// HTTP's number.
    pub status: u16,
    /// What was asked for.
    pub body: LockedBytes,
    /// `X-Subject-Token`, by which Keystone gives a token.
    pub token: Option<LockedBytes>,
}

/// A header of a question. None is ever shown.
pub(super) type Header<'a> = (&'static str, &'a [u8]);

impl Server {
    /// The server of an end point. `authority`: a file of the certificates that sign its own; else those of this machine.
    pub(super) fn new(
        url: &str,
        authority: Option<&Path>,
        access: &Access,
    ) -> Result<Self, StoredError> {
        let base = url.trim_end_matches('/').to_owned();
        let (is_secure, host) = parts(&base).ok_or_else(|| {
            StoredError::Environment(format!("{} is no URL of a server", text::escape(&base)))
        })?;
        let mut config = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(16 << 10)
            .proxy(None)
            .user_agent("luksmith");
        if is_secure {
            let no_tls = |why| StoredError::NoTls {
                server: base.clone(),
                why,
            };
            let computing = (access.tls)().map_err(no_tls)?;
            let roots = match authority {
                Some(path) => of_file(path)?,
                None => of_machine(),
            };
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(computing)
                .root_certs(RootCerts::Specific(Arc::new(roots)))
                .build();
            config = config.tls_config(tls);
        } else if !access.in_the_clear && !is_this_machine(host) {
            return Err(StoredError::InTheClear(base));
        }
        let agent = config.build().new_agent();
        Ok(Self { base, agent })
    }

    /// How messages name it.
    pub(super) fn name(&self) -> &str {
        &self.base
    }

    /// Asks for what stands at a path, which begins with a slash.
    pub(super) fn get(&self, path: &str, headers: &[Header<'_>]) -> Result<Answer, StoredError> {
        let mut url = format!("{}{path}", self.base);
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&url);
            for (name, value) in headers {
                request = request.header(*name, self.hidden(value)?);
            }
            let response = request.call().map_err(|error| self.unreachable(&error))?;
            if !response.status().is_redirection() {
                return self.answer(response);
            }
            url = self.elsewhere(&response)?;
        }
        Err(self.odd("that what is asked for is elsewhere, again and again"))
    }

    /// Sends JSON to a path and takes the answer.
    pub(super) fn post(
        &self,
        path: &str,
        headers: &[Header<'_>],
        json: &[u8],
    ) -> Result<Answer, StoredError> {
        let url = format!("{}{path}", self.base);
        let mut request = self
            .agent
            .post(&url)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, self.hidden(value)?);
        }
        let response = request
            .send(json)
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_redirection() {
            return Err(self.odd("that what is sent belongs elsewhere"));
        }
        self.answer(response)
    }

    /// An answer that makes no sense.
    pub(super) fn odd(&self, what: impl Into<String>) -> StoredError {
        StoredError::Answer {
            server: self.base.clone(),
            what: what.into(),
        }
    }

    /// An answer that nothing was said of.
    pub(super) fn unexpected(&self, status: u16) -> StoredError {
        let known = StatusCode::from_u16(status).ok();
        let reason = known.and_then(|code| code.canonical_reason());
        self.odd(match reason {
            Some(reason) => format!("{status} {reason}"),
            None => status.to_string(),
        })
    }

    fn answer(&self, response: Response<Body>) -> Result<Answer, StoredError> {
        let (parts, body) = response.into_parts();
        let token = parts.headers.get("x-subject-token");
        let token = token.map(|value| LockedBytes::copy_of(value.as_bytes()));
        let most = MAX_ANSWER_BYTES + 1;
        let mut reader = body.into_reader().take(most);
        let read = SecretBuffer::read_all(&mut reader, most);
        let body = read.map_err(|error| StoredError::Unreachable {
            server: self.base.clone(),
            why: error.to_string(),
        })?;
        if body.len() as u64 > MAX_ANSWER_BYTES {
            return Err(self.odd(format!("more than {MAX_ANSWER_BYTES} bytes")));
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            body: body.into_bytes(),
            token,
        })
    }

    /// Where an answer is instead, on the same server.
    fn elsewhere(&self, response: &Response<Body>) -> Result<String, StoredError> {
        let place = response.headers().get(header::LOCATION);
        let place = place.and_then(|place| place.to_str().ok());
        let place = place.ok_or_else(|| self.odd("that it is elsewhere, but not where"))?;
        let root = root(&self.base);
        if place.starts_with('/') && !place.starts_with("//") {
            return Ok(format!("{root}{place}"));
        }
        let rest = place.strip_prefix(root);
        if rest.is_some_and(|rest| rest.starts_with('/')) {
            return Ok(place.to_owned());
        }
        Err(self.odd("that another server has it, which is not asked"))
    }

    fn hidden(&self, value: &[u8]) -> Result<HeaderValue, StoredError> {
        let mut value = HeaderValue::from_bytes(value).map_err(|_| {
            let what = "a token has bytes that no header may have".to_owned();
            StoredError::Unauthorised {
                server: self.base.clone(),
                what,
            }
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn unreachable(&self, error: &ureq::Error) -> StoredError {
        StoredError::Unreachable {
            server: self.base.clone(),
            why: match error {
                ureq::Error::Io(error) => error.to_string(),
                ureq::Error::Timeout(_) => "it takes too long".to_owned(),
                ureq::Error::HostNotFound => "no address belongs to its name".to_owned(),
                other => text::escape(&other.to_string()),
            },
        }
    }
}

/// Whether a URL is one of TLS, and its host; none where it is no URL that is asked for.
fn parts(url: &str) -> Option<(bool, &str)> {
    let (is_secure, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let authority = rest.split('/').next()?;
    let is_plain = |c: char| c.is_ascii_graphic() && !"@?#%\\\"<>".contains(c);
    if authority.is_empty() || !url.chars().all(is_plain) {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some((is_secure, host))
}

/// What stands before the path.
fn root(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |place| place + 3);
    let end = url[begin..].find('/').map_or(url.len(), |end| begin + end);
    &url[..end]
}

/// Whether what is sent there leaves this machine.
fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, StoredError> {
    let unusable = |why: String| StoredError::Settings {
        name: text::path(path),
        why,
    };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unusable(error.to_string())),
        }
    }
    if certificates.is_empty() {
        return Err(unusable("it has no certificates".to_owned()));
    }
    Ok(certificates)
}

fn of_machine() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    let owned = |der: &_| Certificate::from_der(AsRef::<[u8]>::as_ref(der)).to_owned();
    found.iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, wanted) in [
            ("http://127.0.0.1:9311", Some((false, "127.0.0.1"))),
            ("https://[::1]:8200/x", Some((true, "::1"))),
            ("https://keys.example/v1", Some((true, "keys.example"))),
            ("http://user@keys.example", None),
            ("https://", None),
            ("https:///v1", None),
            ("ftp://keys.example", None),
            ("https://keys.example/a b", None),
            ("https://keys.example?x", None),
        ] {
            assert_eq!(parts(url), wanted, "{url}");
        }
        assert_eq!(root("http://a:1/b/c"), "http://a:1");
        assert_eq!(root("http://a:1"), "http://a:1");
        for (host, is_here) in [
            ("localhost", true),
            ("127.3.2.1", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_this_machine(host), is_here, "{host}");
        }
    }
}
