//! A LUKS2 header as text.

use std::fmt::Write as _;

use luks::luks2::{
    self, Digest, Keyslot, KeyslotKind, Metadata, Priority, Segment, SegmentKind, SegmentSize,
};
use luks::tokens;
use serde_json::Value;

use super::bytes;
use crate::output::escape;

/// What lines but the first of a salt or digest start with.
const INDENT: &str = "\t            ";

pub(super) fn text(header: &luks2::Header) -> String {
    let binary = &header.binary;
    let metadata = &header.metadata;
    let named = |text: &str, none: &str| {
        if text.is_empty() {
            none.to_owned()
        } else {
            escape(text)
        }
    };
    let mut text = "LUKS header information\n".to_owned();
    for (field, value) in [
        ("Version:       ", "2".to_owned()),
        ("Epoch:         ", binary.epoch.to_string()),
        (
            "Metadata area: ",
            format!("{} [bytes]", binary.header_bytes),
        ),
        (
            "Keyslots area: ",
            format!("{} [bytes]", metadata.config.keyslots_bytes),
        ),
        ("UUID:          ", named(&binary.uuid, "(no UUID)")),
        ("Label:         ", named(&binary.label, "(no label)")),
        (
            "Subsystem:     ",
            named(&binary.subsystem, "(no subsystem)"),
        ),
    ] {
        let _ = writeln!(text, "{field}\t{value}");
    }
    text.push_str("Flags:       \t");
    if metadata.config.flags.is_empty() {
        text.push_str("(no flags)");
    }
    for flag in &metadata.config.flags {
        let _ = write!(text, "{} ", escape(flag));
    }
    text.push('\n');
    if !metadata.config.requirements.is_empty() {
        text.push_str("Requirements:\t");
        for requirement in &metadata.config.requirements {
            let _ = write!(text, "{} ", escape(requirement));
        }
        text.push('\n');
    }
    text.push_str("\nData segments:\n");
    for segment in &metadata.segments {
        write_segment(&mut text, metadata, segment);
    }
    text.push_str("Keyslots:\n");
    for keyslot in &metadata.keyslots {
        write_keyslot(&mut text, metadata, keyslot);
    }
    text.push_str("Tokens:\n");
    write_tokens(&mut text, metadata);
    text.push_str("Digests:\n");
    write_digests(&mut text, metadata);
    text
}

/// The cipher of the first data segment that has one.
pub(super) fn data_cipher(metadata: &Metadata) -> Option<String> {
    metadata
        .data_segments()
        .find_map(|segment| match &segment.kind {
            SegmentKind::Crypt(crypt) => Some(crypt.text.clone()),
            _ => None,
        })
}

/// A member of an object of the JSON, as text.
fn member(metadata: &Metadata, section: &str, id: u32, path: &[&str]) -> String {
    let object = metadata
        .raw()
        .get(section)
        .and_then(|section| section.get(id.to_string()));
    let value = path.iter().fold(object, |value, name| {
        value.and_then(|value| value.get(name))
    });
    match value {
        Some(Value::String(text)) => escape(text),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn write_segment(text: &mut String, metadata: &Metadata, segment: &Segment) {
    let kind = member(metadata, "segments", segment.id, &["type"]);
    let _ = writeln!(text, "  {}: {kind}", segment.id);
    let _ = writeln!(text, "\toffset: {} [bytes]", segment.offset);
    match segment.size {
        SegmentSize::Dynamic => text.push_str("\tlength: (whole device)\n"),
        SegmentSize::Bytes(bytes) => {
            let _ = writeln!(text, "\tlength: {bytes} [bytes]");
        }
    }
    if let SegmentKind::Crypt(crypt) = &segment.kind {
        let _ = writeln!(text, "\tcipher: {}", escape(&crypt.text));
        let _ = writeln!(text, "\tsector: {} [bytes]", crypt.sector_size);
        if crypt.integrity {
            let kind = member(metadata, "segments", segment.id, &["integrity", "type"]);
            let _ = writeln!(text, "\tintegrity: {kind}");
        }
    }
    if !segment.flags.is_empty() {
        let flags: Vec<_> = segment.flags.iter().map(|flag| escape(flag)).collect();
        let _ = writeln!(text, "\tflags : {}", flags.join(", "));
    }
    text.push('\n');
}

/// Whether a keyslot's key opens none of the data as they lie there: in the middle of a reencryption the old one and the
/// new one open some.
fn is_unbound(metadata: &Metadata, digest: &Digest) -> bool {
    !metadata
        .data_segments()
        .any(|segment| digest.segments.contains(&segment.id))
}

fn write_keyslot(text: &mut String, metadata: &Metadata, keyslot: &Keyslot) {
    let id = keyslot.id;
    let of = |path: &[&str]| member(metadata, "keyslots", id, path);
    let digest = metadata.digest_of_keyslot(id);
    let unbound = digest.is_none_or(|digest| is_unbound(metadata, digest));
    let unbound = if unbound { " (unbound)" } else { "" };
    let _ = writeln!(text, "  {id}: {}{unbound}", of(&["type"]));
    let _ = writeln!(
        text,
        "\tKey:        {} bits",
        u64::from(keyslot.key_bytes) * 8
    );
    let priority = match keyslot.priority {
        Priority::Ignore => "ignored",
        Priority::Normal => "normal",
        Priority::Prefer => "preferred",
    };
    let _ = writeln!(text, "\tPriority:   {priority}");
    match &keyslot.kind {
        KeyslotKind::Luks2(slot) => {
            let _ = writeln!(text, "\tCipher:     {}", escape(&slot.cipher.text));
            let _ = writeln!(
                text,
                "\tCipher key: {} bits",
                u64::from(slot.cipher.key_bytes) * 8
            );
            let _ = writeln!(text, "\tPBKDF:      {}", of(&["kdf", "type"]));
            let costs: &[(&str, &str)] = if of(&["kdf", "type"]) == "pbkdf2" {
                &[("Hash:", "hash"), ("Iterations:", "iterations")]
            } else {
                &[
                    ("Time cost:", "time"),
                    ("Memory:", "memory"),
                    ("Threads:", "cpus"),
                ]
            };
            for (title, name) in costs {
                let _ = writeln!(text, "\t{title:<12}{}", of(&["kdf", name]));
            }
            let _ = write!(text, "\tSalt:       {}", bytes(&slot.salt, INDENT));
            let _ = writeln!(text, "\tAF stripes: {}", of(&["af", "stripes"]));
            let _ = writeln!(text, "\tAF hash:    {}", of(&["af", "hash"]));
        }
        KeyslotKind::Reencrypt(_) => {
            let _ = writeln!(text, "\t{:<12}{}", "Mode:", of(&["mode"]));
            let _ = writeln!(text, "\t{:<12}{}", "Direction:", of(&["direction"]));
            let resilience = of(&["area", "type"]);
            let _ = writeln!(text, "\t{:<12}{resilience}", "Resilience:");
            // Of a shift that is protected by more than itself cryptsetup shows nothing further.
            let more: &[(&str, &str, &str)] = match &*resilience {
                "checksum" => &[
                    ("Hash:", "hash", ""),
                    ("Hash data:", "sector_size", " [bytes]"),
                ],
                "datashift" => &[("Shift size:", "shift_size", "[bytes]")],
                _ => &[],
            };
            for (title, name, unit) in more {
                let value = of(&["area", name]);
                let _ = writeln!(text, "\t{title:<12}{value}{unit}");
            }
        }
        KeyslotKind::Other { .. } => {}
    }
    let _ = writeln!(text, "\tArea offset:{} [bytes]", keyslot.area.offset);
    let _ = writeln!(text, "\tArea length:{} [bytes]", keyslot.area.size);
    if let Some(digest) = digest {
        let _ = writeln!(text, "\tDigest ID:  {}", digest.id);
    }
}

fn write_tokens(text: &mut String, metadata: &Metadata) {
    for token in &metadata.tokens {
        let _ = writeln!(text, "  {}: {}", token.id, escape(&token.kind));
        if token.kind == tokens::KEYRING {
            let description = member(metadata, "tokens", token.id, &["key_description"]);
            let _ = writeln!(text, "\tKey description: {description}");
        }
        for keyslot in &token.keyslots {
            let _ = writeln!(text, "\tKeyslot:    {keyslot}");
        }
    }
}

fn write_digests(text: &mut String, metadata: &Metadata) {
    for digest in &metadata.digests {
        let of = |name| member(metadata, "digests", digest.id, &[name]);
        let _ = writeln!(text, "  {}: {}", digest.id, of("type"));
        if digest.pbkdf2.is_err() {
            continue;
        }
        let _ = writeln!(text, "\tHash:       {}", of("hash"));
        let _ = writeln!(text, "\tIterations: {}", of("iterations"));
        let _ = write!(text, "\tSalt:       {}", bytes(&digest.salt, INDENT));
        let _ = write!(text, "\tDigest:     {}", bytes(&digest.digest, INDENT));
    }
}
