//! `OpenStack`'s key manager: its REST interface, version 1.

use std::path::PathBuf;

use dmcrypt::LockedBytes;
use serde::Deserialize;

use super::access::Access;
use super::error::StoredError;
use super::keystone::{self, Identity};
use super::stored::{Reference, Stored};
use super::web::{Answer, Server};
use super::{pem, record};

/// What is known of a secret without its bytes.
#[derive(Deserialize)]
struct Metadata {
    secret_type: Option<String>,
    content_types: Option<ContentTypes>,
}

#[derive(Deserialize)]
struct ContentTypes {
    default: Option<String>,
}

/// Someone who asks: where, and by what token.
struct Asking<'a> {
    reference: &'a Reference,
    server: Server,
    token: LockedBytes,
    /// Who can have a new one, once.
    identity: Option<Identity>,
    access: &'a Access,
}

pub(super) fn fetch(
    reference: &Reference,
    id: &str,
    access: &Access,
) -> Result<Stored, StoredError> {
    let mut asking = Asking::begin(reference, access)?;
    let path = format!("/v1/secrets/{id}");
    let about = asking.get(&path, "application/json")?;
    let about: Metadata =
        record::parse(&about.body).map_err(|_| asking.server.odd("no metadata of a secret"))?;
    let content = about.content_types.and_then(|types| types.default);
    // Another one would be answered too, with the same bytes (text/plain of a binary secret).
    let content = content.ok_or_else(|| StoredError::NoPayload(reference.clone()))?;
    let payload = asking.get(&format!("{path}/payload"), &content)?.body;
    if payload.is_empty() {
        return Err(StoredError::NoPayload(reference.clone()));
    }
    let kind = about.secret_type.unwrap_or_default();
    // What stands between dashes there is what counts, as castellan has it.
    let bytes = if ["public", "private", "certificate"].contains(&kind.as_str()) {
        pem::decoded(&payload)
            .map_err(|why| StoredError::NotASecret(reference.clone(), why.to_owned()))?
    } else {
        payload
    };
    Ok(Stored {
        bytes,
        is_passphrase: kind == "passphrase",
    })
}

impl<'a> Asking<'a> {
    fn begin(reference: &'a Reference, access: &'a Access) -> Result<Self, StoredError> {
        let place = access.text("BARBICAN_ENDPOINT");
        let authority = access.value("OS_CACERT").map(PathBuf::from);
        let given = access.text("OS_AUTH_TOKEN");
        let at = |place: &str, authority: Option<PathBuf>| {
            let place = place.trim_end_matches('/');
            let place = place.strip_suffix("/v1").unwrap_or(place);
            Server::new(place, authority.as_deref(), access)
        };
        if let (Some(place), Some(token)) = (&place, given) {
            return Ok(Self {
                reference,
                server: at(place, authority)?,
                token: LockedBytes::copy_of(token.as_bytes()),
                identity: None,
                access,
            });
        }
        let identity = Identity::of(access)?;
        let admitted = keystone::admit(&identity, access)?;
        let Some(place) = place.or(admitted.key_manager) else {
            let what = "the catalogue of services has no key-manager: $BARBICAN_ENDPOINT can say where it is";
            return Err(StoredError::Environment(what.to_owned()));
        };
        Ok(Self {
            reference,
            server: at(&place, identity.authority.clone())?,
            token: admitted.token,
            identity: Some(identity),
            access,
        })
    }

    fn get(&mut self, path: &str, accept: &str) -> Result<Answer, StoredError> {
        let mut answer = self.once(path, accept)?;
        if answer.status == 401
            && let Some(identity) = self.identity.take()
        {
            self.token = keystone::admit(&identity, self.access)?.token;
            answer = self.once(path, accept)?;
        }
        match answer.status {
            200 => Ok(answer),
            401 => Err(StoredError::Unauthorised {
                server: self.server.name().to_owned(),
                what: "the token is wrong, or has expired".to_owned(),
            }),
            403 => Err(StoredError::Forbidden(self.reference.clone())),
            404 => Err(StoredError::Missing(self.reference.clone())),
            status => Err(self.server.unexpected(status)),
        }
    }

    fn once(&self, path: &str, accept: &str) -> Result<Answer, StoredError> {
        let headers = [
            ("X-Auth-Token", &*self.token),
            ("Accept", accept.as_bytes()),
        ];
        self.server.get(path, &headers)
    }
}
