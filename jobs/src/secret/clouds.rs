//! `clouds.yaml`, where `OpenStack`'s clients have their clouds, and `secure.yaml` beside it, where the secrets may be.

use std::fs::File;
use std::path::PathBuf;

use saphyr::{LoadableYamlNode as _, Yaml};

use super::access::Access;
use super::error::StoredError;
use super::keystone::Identity;
use super::stored::MAX_ANSWER_BYTES;
use crate::secret_buffer::SecretBuffer;
use crate::text;

/// Who asks in a cloud of that name.
pub(super) fn identity(cloud: &str, access: &Access) -> Result<Identity, StoredError> {
    let folders = folders(access);
    let named = access.value("OS_CLIENT_CONFIG_FILE").map(PathBuf::from);
    let paths = named
        .into_iter()
        .chain(folders.iter().map(|folder| folder.join("clouds.yaml")));
    let Some((path, clouds)) = first(paths)? else {
        let what = format!(
            "there is no clouds.yaml for $OS_CLOUD {}",
            text::escape(cloud)
        );
        return Err(StoredError::Environment(what));
    };
    let unusable = |why: &str| StoredError::Settings {
        name: text::path(&path),
        why: why.to_owned(),
    };
    let parsed = parsed(&clouds).map_err(|why| unusable(&why))?;
    let entry = of_cloud(&parsed, cloud).ok_or_else(|| unusable("it has no such cloud"))?;
    let secrets = first(folders.iter().map(|folder| folder.join("secure.yaml")))?;
    let secure = match &secrets {
        None => None,
        Some((path, text)) => Some(self::parsed(text).map_err(|why| StoredError::Settings {
            name: text::path(path),
            why,
        })?),
    };
    let secure = secure.as_ref().and_then(|secure| of_cloud(secure, cloud));
    let value = |name: &str| {
        let of_entry = |entry: &Yaml<'_>| {
            let inner = entry.as_mapping_get("auth");
            let inner = inner.and_then(|auth| auth.as_mapping_get(name));
            scalar(inner.or_else(|| entry.as_mapping_get(name))?)
        };
        secure.and_then(of_entry).or_else(|| of_entry(entry))
    };
    Identity::by(&value).map_err(|error| match error {
        StoredError::Environment(_) => {
            unusable("the cloud lacks auth_url, or who asks and a secret")
        }
        error => error,
    })
}

/// Where the files may be, in their order.
fn folders(access: &Access) -> Vec<PathBuf> {
    let home = access.value("HOME").map(PathBuf::from);
    let config = access.value("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home?.join(".config")));
    [
        Some(PathBuf::from(".")),
        config.map(|config| config.join("openstack")),
        Some(PathBuf::from("/etc/openstack")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first file that is there, on locked pages.
fn first(
    paths: impl Iterator<Item = PathBuf>,
) -> Result<Option<(PathBuf, SecretBuffer)>, StoredError> {
    for path in paths {
        let Ok(mut file) = File::open(&path) else {
            continue;
        };
        let unusable = |why: String| StoredError::Settings {
            name: text::path(&path),
            why,
        };
        let text = SecretBuffer::read_all(&mut file, MAX_ANSWER_BYTES + 1)
            .map_err(|error| unusable(error.to_string()))?;
        if text.len() as u64 > MAX_ANSWER_BYTES {
            return Err(unusable(format!("more than {MAX_ANSWER_BYTES} bytes")));
        }
        return Ok(Some((path, text)));
    }
    Ok(None)
}

/// The first document. What is wrong is said by its place alone: the text has secrets.
fn parsed(text: &[u8]) -> Result<Yaml<'_>, String> {
    let text = str::from_utf8(text).map_err(|_| "not UTF-8")?;
    let mut documents = Yaml::load_from_str(text).map_err(|error| {
        let place = error.marker();
        format!(
            "not YAML, at line {}, column {}",
            place.line(),
            place.col() + 1
        )
    })?;
    if documents.is_empty() {
        return Err("nothing is in it".to_owned());
    }
    Ok(documents.swap_remove(0))
}

fn of_cloud<'a, 'i>(document: &'a Yaml<'i>, cloud: &str) -> Option<&'a Yaml<'i>> {
    document.as_mapping_get("clouds")?.as_mapping_get(cloud)
}

fn scalar(value: &Yaml<'_>) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    value.as_integer().map(|number| number.to_string())
}
