//! `OpenStack`'s identity service, version 3: who asks, a token for it, and where the key manager is.

use std::path::PathBuf;

use dmcrypt::LockedBytes;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::clouds;
use super::error::StoredError;
use super::record;
use super::web::Server;

/// Who asks. Names are those of the environment without `OS_`.
pub(super) struct Identity {
    /// Where the service is.
    url: String,
    who: Who,
    /// Which of its addresses a service is reached by: public unless said.
    interface: String,
    region: Option<String>,
    /// The certificates that sign those of the servers.
    pub authority: Option<PathBuf>,
}

enum Who {
    Password {
        user: Named,
        password: LockedBytes,
        project: Named,
    },
    Application {
        credential: Named,
        /// Where the credential has no identifier of its own.
        user: Option<Named>,
        secret: LockedBytes,
    },
}

/// Something with an identifier, or with a name in a domain.
struct Named {
    id: Option<String>,
    name: Option<String>,
    domain_id: Option<String>,
    domain_name: Option<String>,
}

/// What a settings' name has as its value.
pub(super) type Values<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A token, and what the catalogue of services says.
pub(super) struct Admitted {
    pub token: LockedBytes,
    pub key_manager: Option<String>,
}

impl Identity {
    /// Out of the cloud that `OS_CLOUD` names, or of the environment.
    pub(super) fn of(access: &Access) -> Result<Self, StoredError> {
        let mut identity = match access.text("OS_CLOUD") {
            Some(cloud) => clouds::identity(&cloud, access)?,
            None => Self::by(&|name: &str| {
                let name = name.to_ascii_uppercase();
                access.text(&format!("OS_{name}"))
            })?,
        };
        if let Some(path) = access.value("OS_CACERT") {
            identity.authority = Some(path.into());
        }
        Ok(identity)
    }

    /// Out of settings by their names.
    pub(super) fn by(values: &Values<'_>) -> Result<Self, StoredError> {
        let lacking = |what: &str| {
            let how = "OpenStack's key manager needs $BARBICAN_ENDPOINT and $OS_AUTH_TOKEN, $OS_CLOUD, or what `openstack` reads";
            StoredError::Environment(format!("{how}: there is no {what}"))
        };
        let url = values("auth_url").ok_or_else(|| lacking("auth_url"))?;
        let credential = Named::of(values, "application_credential");
        let user = Named::of(values, "user");
        let who = if let Some(credential) = credential {
            let secret = values("application_credential_secret")
                .ok_or_else(|| lacking("application_credential_secret"))?;
            Who::Application {
                user: if credential.id.is_some() { None } else { user },
                credential,
                secret: LockedBytes::copy_of(secret.as_bytes()),
            }
        } else {
            let password = values("password").ok_or_else(|| lacking("password"))?;
            Who::Password {
                user: user.ok_or_else(|| lacking("username"))?,
                password: LockedBytes::copy_of(password.as_bytes()),
                project: Named::of(values, "project").ok_or_else(|| lacking("project_name"))?,
            }
        };
        let interface = values("interface").or_else(|| values("endpoint_type"));
        let interface = interface.as_deref().unwrap_or("public");
        Ok(Self {
            url,
            who,
            interface: interface.trim_end_matches("URL").to_owned(),
            region: values("region_name"),
            authority: values("cacert").map(PathBuf::from),
        })
    }
}

impl Named {
    fn of(values: &Values<'_>, what: &str) -> Option<Self> {
        let name = match what {
            "user" => values("username"),
            what => values(&format!("{what}_name")),
        };
        let id = values(&format!("{what}_id"));
        if id.is_none() && name.is_none() {
            return None;
        }
        let domain = |kind: &str| values(&format!("{what}_domain_{kind}"));
        let default = values("default_domain");
        let domain_name = domain("name");
        let is_named = domain_name.is_some();
        Some(Self {
            id,
            name,
            domain_id: domain("id")
                .or_else(|| values("default_domain_id"))
                .or(default.filter(|_| !is_named)),
            domain_name: domain_name.or_else(|| values("default_domain_name")),
        })
    }

    fn wire(&self) -> WireNamed<'_> {
        let by_id = self.id.is_some();
        let domain = WireDomain {
            id: self.domain_id.as_deref(),
            name: self
                .domain_name
                .as_deref()
                .filter(|_| self.domain_id.is_none()),
        };
        let has_domain = domain.id.is_some() || domain.name.is_some();
        WireNamed {
            id: self.id.as_deref(),
            name: self.name.as_deref().filter(|_| !by_id),
            domain: Some(domain).filter(|_| has_domain && !by_id),
            ..WireNamed::default()
        }
    }
}

/// Asks for a token.
pub(super) fn admit(identity: &Identity, access: &Access) -> Result<Admitted, StoredError> {
    let base = identity.url.trim_end_matches('/');
    let base = base.strip_suffix("/v3").unwrap_or(base);
    let server = Server::new(base, identity.authority.as_deref(), access)?;
    let json = match &identity.who {
        Who::Password {
            user,
            password,
            project,
        } => {
            let user = WireNamed {
                password: Some(str::from_utf8(password).unwrap_or_default()),
                ..user.wire()
            };
            record::written(&Asked::new(
                WireIdentity {
                    methods: ["password"],
                    password: Some(WireUser { user }),
                    application_credential: None,
                },
                Some(Scope {
                    project: project.wire(),
                }),
            ))
        }
        Who::Application {
            credential,
            user,
            secret,
        } => {
            let credential = WireNamed {
                secret: Some(str::from_utf8(secret).unwrap_or_default()),
                user: user.as_ref().map(|user| Box::new(user.wire())),
                ..credential.wire()
            };
            record::written(&Asked::new(
                WireIdentity {
                    methods: ["application_credential"],
                    password: None,
                    application_credential: Some(credential),
                },
                None,
            ))
        }
    };
    let answer = server.post("/v3/auth/tokens", &[], &json)?;
    match answer.status {
        200 | 201 => {}
        401 => {
            return Err(StoredError::Unauthorised {
                server: server.name().to_owned(),
                what: "name, password or project is wrong".to_owned(),
            });
        }
        status => return Err(server.unexpected(status)),
    }
    let token = answer.token.ok_or_else(|| server.odd("without a token"))?;
    let parsed: Catalogued =
        record::parse(&answer.body).map_err(|_| server.odd("no catalogue of services"))?;
    let catalogue = parsed.token.catalog.unwrap_or_default();
    Ok(Admitted {
        token,
        key_manager: key_manager(catalogue, identity),
    })
}

fn key_manager(catalogue: Vec<Service>, identity: &Identity) -> Option<String> {
    let of_keys = catalogue
        .into_iter()
        .filter(|service| service.kind == "key-manager");
    let mut places = of_keys.flat_map(|service| service.endpoints);
    let place = places.find(|place| {
        let wanted = identity.region.as_ref();
        let is_near = wanted.is_none_or(|region| place.region.as_ref() == Some(region));
        place.interface == identity.interface && is_near
    });
    place.map(|place| place.url)
}

#[derive(Serialize)]
struct Asked<'a> {
    auth: Auth<'a>,
}

impl<'a> Asked<'a> {
    fn new(identity: WireIdentity<'a>, scope: Option<Scope<'a>>) -> Self {
        Self {
            auth: Auth { identity, scope },
        }
    }
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: WireIdentity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
struct Scope<'a> {
    project: WireNamed<'a>,
}

#[derive(Serialize)]
struct WireIdentity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<WireUser<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<WireNamed<'a>>,
}

#[derive(Serialize)]
struct WireUser<'a> {
    user: WireNamed<'a>,
}

#[derive(Default, Serialize)]
struct WireNamed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<WireDomain<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Box<WireNamed<'a>>>,
}

#[derive(Serialize)]
struct WireDomain<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Deserialize)]
struct Catalogued {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    catalog: Option<Vec<Service>>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    interface: String,
    region: Option<String>,
    url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(pairs: &[(&str, &str)]) -> Result<Identity, StoredError> {
        let found = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(pair.1.to_owned())
        };
        Identity::by(&found)
    }

    #[test]
    fn what_an_identity_lacks_is_named() {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for (lacking, name, value) in [
            ("auth_url", "auth_url", "http://127.0.0.1:5000/v3"),
            ("password", "password", "S3CRET"),
            ("username", "username", "demo"),
            ("project_name", "project_name", "demo"),
        ] {
            let error = identity(&pairs).err().unwrap().to_string();
            assert!(
                error.ends_with(&format!("there is no {lacking}")),
                "{error}"
            );
            pairs.push((name, value));
        }
        pairs.push(("user_domain_name", "Default"));
        let found = identity(&pairs).unwrap();
        let Who::Password { user, .. } = &found.who else {
            panic!("by password");
        };
        let wire = serde_json::to_string(&user.wire()).unwrap();
        assert_eq!(wire, r#"{"name":"demo","domain":{"name":"Default"}}"#);
        assert_eq!(found.interface, "public");
    }

    #[test]
    fn an_application_credential_by_its_identifier_needs_no_user() {
        let found = identity(&[
            ("auth_url", "http://127.0.0.1:5000"),
            ("application_credential_id", "abc"),
            ("application_credential_secret", "S3CRET"),
            ("username", "demo"),
            ("interface", "internalURL"),
        ])
        .unwrap();
        let Who::Application { user, .. } = &found.who else {
            panic!("by an application credential");
        };
        assert!(user.is_none());
        assert_eq!(found.interface, "internal");
    }

    #[test]
    fn the_key_manager_is_that_of_interface_and_region() {
        let catalogue = || -> Vec<Service> {
            serde_json::from_str(
                r#"[{"type": "identity", "endpoints": [{"interface": "public", "region": "a", "url": "i"}]},
                    {"type": "key-manager", "endpoints": [
                        {"interface": "internal", "region": "a", "url": "1"},
                        {"interface": "public", "region": "a", "url": "2"},
                        {"interface": "public", "region": "b", "url": "3"}]}]"#,
            )
            .unwrap()
        };
        let mut who = identity(&[
            ("auth_url", "http://127.0.0.1:5000"),
            ("application_credential_id", "abc"),
            ("application_credential_secret", "S3CRET"),
        ])
        .unwrap();
        for (region, wanted) in [(None, Some("2")), (Some("b"), Some("3")), (Some("c"), None)] {
            who.region = region.map(str::to_owned);
            assert_eq!(key_manager(catalogue(), &who).as_deref(), wanted);
        }
    }
}
