//! Segments and areas beside each other (LUKS2 specification 2.3, 3.3).

use super::kit::{Expect, Kit, invalid, member};
use super::objects::one;

pub fn add(kit: &mut Kit) {
    let crypt = |offset: &str, size: &str, more: &str| {
        format!(
            "{{\"type\":\"crypt\",\"offset\":\"{offset}\",\"size\":\"{size}\",\"iv_tweak\":\"0\",\"encryption\":\"aes-cbc-essiv:sha256\",\"sector_size\":512{more}}}"
        )
    };
    let linear = |offset: &str, size: &str, more: &str| {
        format!("{{\"type\":\"linear\",\"offset\":\"{offset}\",\"size\":\"{size}\"{more}}}")
    };
    let first = crypt("229376", "2048", "");
    let backup = ",\"flags\":[\"backup-previous\"]";
    let cases: Vec<(&str, &str, String, Expect)> = vec![
        ("two", "two segments, one behind the other", format!("{{\"0\":{first},\"1\":{}}}", crypt("231424", "dynamic", "")), Expect::Opens),
        ("linear", "a crypt and a linear segment", format!("{{\"0\":{first},\"1\":{}}}", linear("231424", "dynamic", "")), Expect::Locked("Linear")),
        ("one-linear", "only a linear segment", format!("{{\"0\":{}}}", linear("229376", "dynamic", "")), Expect::Locked("Linear")),
        ("order", "the second segment lies before the first", format!("{{\"0\":{},\"1\":{}}}", crypt("231424", "2048", ""), crypt("229376", "2048", "")), Expect::Opens),
        ("names-reversed", "the second segment stands before the first in the text", format!("{{\"1\":{},\"0\":{first}}}", crypt("231424", "dynamic", "")), Expect::Opens),
        ("overlap", "two segments share bytes", format!("{{\"0\":{first},\"1\":{}}}", crypt("230912", "dynamic", "")), invalid("SegmentOverlap")),
        ("overlap-dynamic", "the last segment lies before the first, and has no end", format!("{{\"0\":{},\"1\":{}}}", crypt("231424", "2048", ""), crypt("229376", "dynamic", "")), invalid("SegmentOverlap")),
        ("same", "two segments lie at the same place", format!("{{\"0\":{first},\"1\":{first}}}"), invalid("SegmentOverlap")),
        ("gap", "segments are named 0 and 2", format!("{{\"0\":{first},\"2\":{}}}", crypt("231424", "dynamic", "")), invalid("SegmentGap")),
        ("dynamic-first", "the first of two segments is dynamic", format!("{{\"0\":{},\"1\":{}}}", crypt("229376", "dynamic", ""), crypt("231424", "2048", "")), invalid("DynamicSegment")),
        ("dynamic-both", "both segments are dynamic", format!("{{\"0\":{},\"1\":{}}}", crypt("229376", "dynamic", ""), crypt("231424", "dynamic", "")), invalid("DynamicSegment")),
        ("size-upper-case", "the size is Dynamic", format!("{{\"0\":{}}}", crypt("229376", "Dynamic", "")), member("NotU64String", "segments.0.size")),
        ("size-automatic", "the size is automatic", format!("{{\"0\":{}}}", crypt("229376", "automatic", "")), member("NotU64String", "segments.0.size")),
        ("backup", "a backup segment behind the data", format!("{{\"0\":{},\"1\":{}}}", crypt("229376", "dynamic", ""), linear("0", "512", backup)), Expect::Opens),
        ("backup-gap", "a gap before the backup segment", format!("{{\"0\":{},\"2\":{}}}", crypt("229376", "dynamic", ""), linear("0", "512", backup)), invalid("BackupSegmentGap")),
        ("backup-gap-between", "a gap between backup segments", format!("{{\"0\":{},\"1\":{},\"3\":{}}}", crypt("229376", "dynamic", ""), linear("0", "512", backup), linear("0", "512", backup)), invalid("BackupSegmentGap")),
        ("backup-first", "a backup segment before the data", format!("{{\"0\":{},\"1\":{}}}", linear("0", "512", backup), crypt("229376", "dynamic", "")), invalid("BackupSegmentGap")),
        ("backup-unknown", "an unknown backup flag, behind the data", format!("{{\"0\":{},\"1\":{}}}", crypt("229376", "dynamic", ""), linear("0", "512", ",\"flags\":[\"backup-x\"]")), Expect::Opens),
        ("backup-overflow", "a backup segment whose end wraps around", format!("{{\"0\":{},\"1\":{}}}", crypt("229376", "dynamic", ""), linear("18446744073709551104", "1024", backup)), invalid("SegmentOverflow")),
        ("wraps-to-zero", "offset and size of the segment make 2^64", format!("{{\"0\":{}}}", crypt("18446744073709547520", "4096", "")), invalid("SegmentOverflow")),
        ("integrity", "a segment with authentication tags", format!("{{\"0\":{}}}", crypt("229376", "dynamic", ",\"integrity\":{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\",\"journal_integrity\":\"none\"}")), Expect::Opens),
        ("integrity-empty", "the integrity object is empty", format!("{{\"0\":{}}}", crypt("229376", "dynamic", ",\"integrity\":{}")), member("Missing", "segments.0.integrity.type")),
        ("integrity-text", "integrity is a text", format!("{{\"0\":{}}}", crypt("229376", "dynamic", ",\"integrity\":\"aead\"")), member("NotA", "segments.0.integrity")),
        ("unknown-type", "a segment of an unknown type, with the members that every type has", "{\"0\":{\"type\":\"xyzzy\",\"offset\":\"229376\",\"size\":\"dynamic\",\"x\":0}}".into(), Expect::Opens),
        ("opal", "a segment of type hw-opal", "{\"0\":{\"type\":\"hw-opal\",\"offset\":\"229376\",\"size\":\"4096\",\"opal_segment_number\":1,\"opal_key_size\":32,\"opal_segment_size\":\"4096\"}}".into(), Expect::Opens),
    ];
    for (name, what, raw, expect) in cases {
        let json = kit.metadata().set("segments", &raw);
        // A segment that nobody decrypts has no digest.
        let bound = if raw.contains("\"1\":{\"type\":\"crypt\"") {
            "[\"0\",\"1\"]"
        } else {
            "[\"0\"]"
        };
        let json = json.set("digests.0.segments", bound);
        one(
            kit,
            &format!("segment-{name}"),
            what,
            "LUKS2 3.3",
            &expect,
            &json,
        );
    }
    let json = kit
        .metadata()
        .set("keyslots.0.area.offset", "\"163840\"")
        .set("keyslots.1.area.offset", "\"32768\"");
    one(
        kit,
        "areas-of-each-other",
        "the keyslots' areas are those of each other",
        "LUKS2 3.2.3",
        &Expect::Locked("NoKeyFits"),
        &json,
    );
    let json = kit
        .metadata()
        .set("keyslots.0.type", "\"xyzzy\"")
        .set(
            "keyslots.0.area",
            "{\"type\":\"xyzzy\",\"offset\":\"32768\",\"size\":\"4096\"}",
        )
        .remove("keyslots.0.kdf")
        .remove("keyslots.0.af");
    one(
        kit,
        "keyslot-unknown-type",
        "a keyslot of an unknown type, with the members that every type has",
        "LUKS2 3, 3.2",
        &Expect::Locked("NoKeyFits"),
        &json,
    );
    let json = kit
        .metadata()
        .set("keyslots.0.type", "\"xyzzy\"")
        .set("keyslots.0.area.offset", "\"98304\"");
    one(
        kit,
        "keyslot-unknown-overlap",
        "a keyslot of an unknown type lies on another one's area",
        "LUKS2 2.3",
        &invalid("AreaOverlap"),
        &json,
    );
}
