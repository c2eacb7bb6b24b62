//! TLS of a connection: who the server is, who a client must be, and a session that reads and writes at once.
//!
//! Certificates are X.509 in PEM. What TLS computes is in Rust and assembler for some processors; without their
//! instructions there is none.

mod processor;
mod session;
mod signing;
mod validity;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection};

pub use processor::computing;
pub(crate) use session::{Secured, Session};

use self::validity::{Moment, validity};
use super::connection::Ended;

/// What a server shows to its clients, and whom it asks for the same: texts in PEM.
#[derive(Clone, Copy)]
pub struct TlsMaterial<'a> {
    /// The server's certificate, then those between it and an authority that clients know.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a [u8],
    /// Who signs the certificates of clients; where it is said, a client without one is not served.
    pub client_authorities: Option<&'a [u8]>,
    /// Lists of certificates that do not count any more.
    pub revoked: Option<&'a [u8]>,
}

/// A part of [`TlsMaterial`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TlsPart {
    /// The server's certificate.
    Certificate,
    /// The server's key.
    Key,
    /// The authorities of the clients' certificates.
    ClientAuthorities,
    /// The certificates that do not count any more.
    Revoked,
}

impl fmt::Display for TlsPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "the server's certificate",
            Self::Key => "the server's key",
            Self::ClientAuthorities => "the authority of the clients' certificates",
            Self::Revoked => "the list of revoked certificates",
        })
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The processor cannot.
    #[error("there is no TLS on this processor: it lacks {0}")]
    Processor(String),
    /// A part is not there.
    #[error("{0} is not in it")]
    Missing(TlsPart),
    /// A part cannot be used.
    #[error("{part} cannot be used: {why}")]
    Unusable {
        /// Which.
        part: TlsPart,
        /// What is wrong with it.
        why: String,
    },
    /// Its time has not come.
    #[error("{part} is valid only from {from} on")]
    NotYet {
        /// Which.
        part: TlsPart,
        /// The first moment.
        from: String,
    },
    /// Its time is over.
    #[error("{part} was valid only until {until}")]
    Expired {
        /// Which.
        part: TlsPart,
        /// The last moment.
        until: String,
    },
}

/// What a server needs for TLS. Every client has to begin with it.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    /// Out of what is shown and asked for, at this time of the clock: no client would have a certificate that is not valid.
    ///
    /// # Errors
    ///
    /// The processor, or the part that cannot be used.
    pub fn new(material: TlsMaterial<'_>, now: SystemTime) -> Result<Self, TlsError> {
        let provider = computing()?;
        let chain: Vec<CertificateDer<'static>> =
            all_of(TlsPart::Certificate, material.certificate)?;
        if let Some(own) = chain.first() {
            check_time(own, now)?;
        }
        let key = PrivateKeyDer::from_pem_slice(material.key)
            .map_err(|error| pem_problem(TlsPart::Key, &error))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(TlsPart::Certificate, &error))?;
        let builder = match material.client_authorities {
            None => builder.with_no_client_auth(),
            Some(text) => {
                let verifier = verifier(Arc::clone(&provider), text, material.revoked)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let shown = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InvalidCertificate(_) => unusable(TlsPart::Certificate, &error),
            _ => unusable(TlsPart::Key, &error),
        })?;
        let shown = CertifiedKey::new(shown.cert, Arc::new(signing::Persistent(shown.key)));
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        // Nobody comes back often enough for what they would cost.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Agrees on keys with a client that has asked for TLS.
    pub(crate) fn begin(&self, stream: &mut (impl Read + Write)) -> Result<Session, Ended> {
        let begun = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other);
        let mut connection = begun.map_err(Ended::NoTls)?;
        while connection.is_handshaking() {
            connection
                .complete_io(stream)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::InvalidData => Ended::NoTls(error),
                    _ => error.into(),
                })?;
        }
        Ok(Session::new(connection))
    }
}

fn check_time(certificate: &CertificateDer<'_>, now: SystemTime) -> Result<(), TlsError> {
    let part = TlsPart::Certificate;
    // What does not have the form of a certificate is found out by who reads all of it.
    let (Some((from, until)), Some(now)) = (validity(certificate), Moment::of(now)) else {
        return Ok(());
    };
    if now < from {
        let from = from.to_string();
        return Err(TlsError::NotYet { part, from });
    }
    if now > until {
        let until = until.to_string();
        return Err(TlsError::Expired { part, until });
    }
    Ok(())
}

fn verifier(
    provider: Arc<CryptoProvider>,
    authorities: &[u8],
    revoked: Option<&[u8]>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in all_of(TlsPart::ClientAuthorities, authorities)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(TlsPart::ClientAuthorities, &error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(text) = revoked {
        let lists: Vec<CertificateRevocationListDer<'static>> = all_of(TlsPart::Revoked, text)?;
        builder = builder.with_crls(lists).allow_unknown_revocation_status();
    }
    builder
        .build()
        .map_err(|error| unusable(TlsPart::Revoked, &error))
}

/// Everything of its kind in a text, and at least one.
fn all_of<T: PemObject>(part: TlsPart, text: &[u8]) -> Result<Vec<T>, TlsError> {
    let all: Result<Vec<T>, _> = T::pem_slice_iter(text).collect();
    let all = all.map_err(|error| pem_problem(part, &error))?;
    if all.is_empty() {
        return Err(TlsError::Missing(part));
    }
    Ok(all)
}

fn pem_problem(part: TlsPart, error: &pem::Error) -> TlsError {
    match error {
        pem::Error::NoItemsFound => TlsError::Missing(part),
        // What they say of a text may have pieces of it, and this one may be a key's.
        _ => unusable(part, &"it does not have the form of PEM"),
    }
}

fn unusable(part: TlsPart, why: &dyn fmt::Display) -> TlsError {
    TlsError::Unusable {
        part,
        why: why.to_string(),
    }
}
