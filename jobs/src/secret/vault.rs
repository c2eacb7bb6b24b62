//! A server with Vault's API: records of castellan's in a key-value store, version 1 or 2.

use std::path::PathBuf;

use dmcrypt::LockedBytes;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::error::StoredError;
use super::record::{self, Record};
use super::stored::{Reference, Stored};
use super::web::{Answer, Header, Server};
use crate::secret_buffer::SecretBuffer;

/// Where it is unless `VAULT_ADDR` says; Vault's own default.
const HOME: &str = "https://127.0.0.1:8200";

/// An answer: what is in it; in version 2 that has what is in it.
#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

/// What is mounted where a path begins.
#[derive(Deserialize)]
struct Mount {
    path: String,
    options: Option<MountOptions>,
}

#[derive(Deserialize)]
struct MountOptions {
    version: Option<String>,
}

/// A role that asks to be admitted.
#[derive(Serialize)]
struct Role<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

/// What a role is admitted with.
#[derive(Deserialize)]
struct Login<'a> {
    #[serde(borrow)]
    auth: Auth<'a>,
}

#[derive(Deserialize)]
struct Auth<'a> {
    client_token: &'a str,
}

pub(super) fn fetch(
    reference: &Reference,
    path: &str,
    access: &Access,
) -> Result<Stored, StoredError> {
    let place = access.text("VAULT_ADDR");
    let authority = access.value("VAULT_CACERT").map(PathBuf::from);
    let place = place.as_deref().unwrap_or(HOME);
    let server = Server::new(place, authority.as_deref(), access)?;
    let namespace = access.text("VAULT_NAMESPACE");
    let token = token(&server, namespace.as_deref(), access)?;
    let ask = |path: &str| {
        let mut headers: Vec<Header<'_>> = vec![("X-Vault-Token", &token)];
        headers.extend(of_namespace(namespace.as_deref()));
        server.get(path, &headers)
    };
    let whole = versioned(path, &ask(&format!("/v1/sys/internal/ui/mounts/{path}"))?);
    let answer = ask(&format!("/v1/{whole}"))?;
    match answer.status {
        200 => {}
        401 => {
            return Err(StoredError::Unauthorised {
                server: server.name().to_owned(),
                what: "the token is wrong, or has expired".to_owned(),
            });
        }
        403 => return Err(StoredError::Forbidden(reference.clone())),
        404 => return Err(StoredError::Missing(reference.clone())),
        status => return Err(server.unexpected(status)),
    }
    let not_one = |why| StoredError::NotASecret(reference.clone(), why);
    if let Ok(found) = record::parse::<Wrapped<Wrapped<Record<'_>>>>(&answer.body) {
        return found.data.data.secret().map_err(not_one);
    }
    let found = record::parse::<Wrapped<Record<'_>>>(&answer.body).map_err(not_one)?;
    found.data.secret().map_err(not_one)
}

fn of_namespace(namespace: Option<&str>) -> Option<Header<'_>> {
    namespace.map(|namespace| ("X-Vault-Namespace", namespace.as_bytes()))
}

/// The path with what version 2 has between the place of the store and that of the secret, unless it is there already, or
/// nobody may know.
fn versioned(path: &str, answer: &Answer) -> String {
    let mount = record::parse::<Wrapped<Mount>>(&answer.body).ok();
    let mount = mount
        .filter(|_| answer.status == 200)
        .map(|found| found.data);
    let is_second = |mount: &Mount| {
        let version = mount
            .options
            .as_ref()
            .and_then(|options| options.version.as_deref());
        version == Some("2")
    };
    let rest = mount.filter(is_second).and_then(|mount| {
        let rest = path.strip_prefix(mount.path.trim_matches('/'))?;
        let rest = rest.strip_prefix('/')?;
        let is_there = rest.starts_with("data/");
        (!is_there).then(|| format!("{}/data/{rest}", mount.path.trim_matches('/')))
    });
    rest.unwrap_or_else(|| path.to_owned())
}

/// What shows who asks: a token, a role's admission, or what `vault login` left at home.
fn token(
    server: &Server,
    namespace: Option<&str>,
    access: &Access,
) -> Result<LockedBytes, StoredError> {
    if let Some(token) = access.text("VAULT_TOKEN") {
        return Ok(LockedBytes::copy_of(token.as_bytes()));
    }
    if let (Some(role), Some(secret)) =
        (access.text("VAULT_ROLE_ID"), access.text("VAULT_SECRET_ID"))
    {
        let asked = Role {
            role_id: &role,
            secret_id: &secret,
        };
        let json = record::written(&asked);
        let headers: Vec<_> = of_namespace(namespace).into_iter().collect();
        let answer = server.post("/v1/auth/approle/login", &headers, &json)?;
        if answer.status != 200 {
            return Err(StoredError::Unauthorised {
                server: server.name().to_owned(),
                what: "the role is not admitted".to_owned(),
            });
        }
        let login = record::parse::<Login<'_>>(&answer.body)
            .map_err(|_| server.odd("no token to a role"))?;
        return Ok(LockedBytes::copy_of(login.auth.client_token.as_bytes()));
    }
    let left = access.value("HOME").and_then(|home| {
        let mut file = std::fs::File::open(PathBuf::from(home).join(".vault-token")).ok()?;
        SecretBuffer::read_all(&mut file, 4096).ok()
    });
    match left {
        Some(token) if !token.trim_ascii().is_empty() => {
            Ok(LockedBytes::copy_of(token.trim_ascii()))
        }
        _ => Err(StoredError::Environment(
            "nothing says who asks Vault: $VAULT_TOKEN, or $VAULT_ROLE_ID and $VAULT_SECRET_ID"
                .to_owned(),
        )),
    }
}
