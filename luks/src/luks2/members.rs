//! Which JSON members LUKS2 defines (LUKS2 specification 3).

use serde_json::{Map, Value};

/// Paths of members that the specification does not define, or not for an object of that type. What a token holds
/// beside its type and keyslots is its own affair.
pub(crate) fn unknown_members(raw: &Map<String, Value>) -> Vec<String> {
    let mut unknown = Unknown::default();
    unknown.members(
        "",
        raw,
        &["keyslots", "tokens", "segments", "digests", "config"],
    );
    unknown.objects(raw, "keyslots", Unknown::keyslot);
    unknown.objects(raw, "segments", Unknown::segment);
    unknown.objects(raw, "digests", |unknown, path, digest| {
        let of_type: &[&str] = match type_of(digest) {
            "pbkdf2" => &["hash", "iterations"],
            _ => &[],
        };
        let known = [
            &["type", "keyslots", "segments", "salt", "digest"][..],
            of_type,
        ];
        unknown.members(path, digest, &known.concat());
    });
    if let Some(config) = raw.get("config").and_then(Value::as_object) {
        unknown.members(
            "config",
            config,
            &["json_size", "keyslots_size", "flags", "requirements"],
        );
        unknown.inner("config", config, "requirements", |_| vec!["mandatory"]);
    }
    unknown.0
}

#[derive(Default)]
struct Unknown(Vec<String>);

impl Unknown {
    fn members(&mut self, path: &str, object: &Map<String, Value>, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.0.push(if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            });
        }
    }

    fn objects(
        &mut self,
        raw: &Map<String, Value>,
        section: &str,
        each: impl Fn(&mut Self, &str, &Map<String, Value>),
    ) {
        let objects = raw.get(section).and_then(Value::as_object);
        for (name, value) in objects.into_iter().flatten() {
            if let Some(object) = value.as_object() {
                each(self, &format!("{section}.{name}"), object);
            }
        }
    }

    /// An object within an object; `known` is told its type.
    fn inner(
        &mut self,
        path: &str,
        object: &Map<String, Value>,
        name: &str,
        known: impl Fn(&str) -> Vec<&'static str>,
    ) {
        if let Some(inner) = object.get(name).and_then(Value::as_object) {
            self.members(&format!("{path}.{name}"), inner, &known(type_of(inner)));
        }
    }

    fn keyslot(&mut self, path: &str, keyslot: &Map<String, Value>) {
        let is_luks2 = type_of(keyslot) == "luks2";
        let of_type: &[&str] = if is_luks2 { &["kdf", "af"] } else { &[] };
        let known = [&["type", "key_size", "area", "priority"][..], of_type];
        self.members(path, keyslot, &known.concat());
        self.inner(path, keyslot, "area", |kind| match kind {
            "raw" => vec!["type", "offset", "size", "encryption", "key_size"],
            _ => vec!["type", "offset", "size"],
        });
        if is_luks2 {
            self.inner(path, keyslot, "af", |_| vec!["type", "stripes", "hash"]);
            self.inner(path, keyslot, "kdf", |kind| match kind {
                "pbkdf2" => vec!["type", "salt", "hash", "iterations"],
                "argon2i" | "argon2id" => vec!["type", "salt", "time", "memory", "cpus"],
                _ => vec!["type", "salt"],
            });
        }
    }

    fn segment(&mut self, path: &str, segment: &Map<String, Value>) {
        let of_type: &[&str] = match type_of(segment) {
            "crypt" => &["iv_tweak", "encryption", "sector_size", "integrity"],
            _ => &[],
        };
        let known = [&["type", "offset", "size", "flags"][..], of_type];
        self.members(path, segment, &known.concat());
        self.inner(path, segment, "integrity", |_| {
            vec![
                "type",
                "journal_encryption",
                "journal_integrity",
                "key_size",
            ]
        });
    }
}

fn type_of(object: &Map<String, Value>) -> &str {
    object
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
