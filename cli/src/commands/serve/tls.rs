//! Certificates and keys out of a folder, under the names that nbdkit, QEMU and libnbd have for them.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use dmcrypt::LockedBytes;
use jobs::secret_buffer::SecretBuffer;
use rustix::fs::OFlags;
use serve::nbd::{ServeOptions, TlsError, TlsMaterial, TlsPart, TlsServer};

use super::ServeError;
use crate::args::ServerArgs;
use crate::output;

const CERTIFICATE: &str = "server-cert.pem";
const KEY: &str = "server-key.pem";
const CLIENT_AUTHORITIES: &str = "ca-cert.pem";
const REVOKED: &str = "ca-crl.pem";

/// The largest of these files.
const MOST_BYTES: u64 = 1 << 20;

/// What `--tls-certificates` and `--tls-verify-peer` say.
pub(super) fn server(args: &ServerArgs) -> Result<Option<TlsServer>, ServeError> {
    let Some(folder) = &args.tls_certificates else {
        return Ok(None);
    };
    let certificate = read(folder, CERTIFICATE)?;
    let key = read(folder, KEY)?;
    let (authorities, revoked) = if args.tls_verify_peer {
        let revoked = match read(folder, REVOKED) {
            Err(ServeError::TlsFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                None
            }
            revoked => Some(revoked?),
        };
        (Some(read(folder, CLIENT_AUTHORITIES)?), revoked)
    } else {
        (None, None)
    };
    let material = TlsMaterial {
        certificate: &certificate,
        key: &key,
        client_authorities: authorities.as_deref(),
        revoked: revoked.as_deref(),
    };
    let server =
        TlsServer::new(material, SystemTime::now()).map_err(|source| match name_of(&source) {
            Some(name) => ServeError::TlsPart {
                file: output::path(&folder.join(name)),
                source,
            },
            None => ServeError::Tls(source),
        })?;
    Ok(Some(server))
}

/// How it is served.
pub(super) fn options(tls: Option<TlsServer>, threads: NonZeroUsize) -> ServeOptions {
    ServeOptions {
        threads,
        tls,
        ..ServeOptions::default()
    }
}

/// The file that is to blame.
fn name_of(error: &TlsError) -> Option<&'static str> {
    let (TlsError::Missing(part)
    | TlsError::Unusable { part, .. }
    | TlsError::NotYet { part, .. }
    | TlsError::Expired { part, .. }) = error
    else {
        return None;
    };
    Some(match part {
        TlsPart::Certificate => CERTIFICATE,
        TlsPart::Key => KEY,
        TlsPart::ClientAuthorities => CLIENT_AUTHORITIES,
        TlsPart::Revoked => REVOKED,
        _ => return None,
    })
}

/// All of a file, in memory that is fit for a key.
fn read(folder: &Path, name: &str) -> Result<LockedBytes, ServeError> {
    let path = folder.join(name);
    let failed = |source| ServeError::TlsFile {
        file: output::path(&path),
        source,
    };
    // What is no file, such as a pipe, is not waited for.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        let why = "it is no file, or too large for what it should be";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, why)));
    }
    let read = SecretBuffer::read_all(&mut file.take(MOST_BYTES), MOST_BYTES);
    Ok(read.map_err(failed)?.into_bytes())
}
