//! A container in the middle of a reencryption (LUKS2 specification 3.2.2, 4.9).

use super::images::{BOTH, Edit, Json, Luks2};
use super::kit::{Expect, Kit, invalid, member};

pub fn add(kit: &mut Kit) {
    let image = kit.base("luks2-reencrypt").to_vec();
    kit.add(
        "luks2-reencrypt",
        "luks2-reencrypt/begun",
        "an encryption that was begun",
        "LUKS2 4.9",
        &Expect::Opens,
        &image,
    );
    let base = Luks2 { image };
    let changes: Vec<(&str, &str, &str, Expect, Edit)> = vec![
        (
            "key-size",
            "key_size of the reencrypt keyslot is 2",
            "LUKS2 3.2.2",
            member("Value", "keyslots.1.key_size"),
            |json| json.set("keyslots.1.key_size", "2"),
        ),
        (
            "mode-missing",
            "mode is missing",
            "LUKS2 3.2.2",
            member("Missing", "keyslots.1.mode"),
            |json| json.remove("keyslots.1.mode"),
        ),
        (
            "mode-unknown",
            "mode is xyzzy",
            "LUKS2 3.2.2",
            member("Value", "keyslots.1.mode"),
            |json| json.set("keyslots.1.mode", "\"xyzzy\""),
        ),
        (
            "mode-number",
            "mode is a number",
            "LUKS2 3.2.2",
            member("NotA", "keyslots.1.mode"),
            |json| json.set("keyslots.1.mode", "7"),
        ),
        (
            "direction-missing",
            "direction is missing",
            "LUKS2 3.2.2",
            member("Missing", "keyslots.1.direction"),
            |json| json.remove("keyslots.1.direction"),
        ),
        (
            "direction-unknown",
            "direction is xyzzy",
            "LUKS2 3.2.2",
            member("Value", "keyslots.1.direction"),
            |json| json.set("keyslots.1.direction", "\"xyzzy\""),
        ),
        (
            "area-unknown",
            "the area's type is xyzzy",
            "LUKS2 3.2.2",
            member("Value", "keyslots.1.area.type"),
            |json| json.set("keyslots.1.area.type", "\"xyzzy\""),
        ),
        (
            "shift-missing",
            "shift_size is missing",
            "LUKS2 3.2.3",
            member("Missing", "keyslots.1.area.shift_size"),
            |json| json.remove("keyslots.1.area.shift_size"),
        ),
        (
            "shift-number",
            "shift_size is a number",
            "LUKS2 3.2.3",
            member("NotA", "keyslots.1.area.shift_size"),
            |json| json.set("keyslots.1.area.shift_size", "524288"),
        ),
        (
            "shift-unaligned",
            "shift_size is 511",
            "LUKS2 3.2.3",
            member("Value", "keyslots.1.area.shift_size"),
            |json| json.set("keyslots.1.area.shift_size", "\"511\""),
        ),
        (
            "shift-zero",
            "shift_size is 0",
            "LUKS2 3.2.3",
            member("Value", "keyslots.1.area.shift_size"),
            |json| json.set("keyslots.1.area.shift_size", "\"0\""),
        ),
        (
            "area-empty",
            "the area's size is 0",
            "LUKS2 3.2.3",
            member("Value", "keyslots.1.area.size"),
            |json| json.set("keyslots.1.area.size", "\"0\""),
        ),
        (
            "checksum-no-hash",
            "the area's type is checksum, without hash",
            "LUKS2 3.2.3",
            member("Missing", "keyslots.1.area.hash"),
            |json| {
                json.set("keyslots.1.area.type", "\"checksum\"")
                    .set("keyslots.1.area.sector_size", "512")
            },
        ),
        (
            "checksum-no-sector",
            "the area's type is checksum, without sector_size",
            "LUKS2 3.2.3",
            member("Missing", "keyslots.1.area.sector_size"),
            |json| {
                json.set("keyslots.1.area.type", "\"checksum\"")
                    .set("keyslots.1.area.hash", "\"sha256\"")
            },
        ),
        (
            "no-requirement",
            "the requirement is missing",
            "LUKS2 4.9",
            invalid("Reencryption"),
            |json| json.remove("config.requirements"),
        ),
        (
            "other-version",
            "the requirement has another version",
            "LUKS2 3.5",
            Expect::Opens,
            |json| {
                json.set(
                    "config.requirements",
                    "{\"mandatory\":[\"online-reencrypt-v9\"]}",
                )
            },
        ),
        (
            "no-keyslot",
            "the reencrypt keyslot is missing",
            "LUKS2 3.2.2",
            invalid("Reencryption"),
            |json| json.remove("keyslots.1").set("digests.1.keyslots", "[]"),
        ),
        (
            "no-digest",
            "the reencrypt keyslot has no digest",
            "LUKS2 4.9.2",
            invalid("KeyslotWithoutDigest"),
            |json| json.set("digests.1.keyslots", "[]"),
        ),
        (
            "backups-missing",
            "backup segments are missing",
            "LUKS2 4.9.2",
            invalid("Reencryption"),
            |json| {
                json.remove("segments.2")
                    .remove("segments.3")
                    .remove("segments.4")
                    .set("digests.0.segments", "[]")
            },
        ),
        (
            "backup-moved-missing",
            "the moved segment's backup is missing",
            "LUKS2 3.3",
            invalid("DanglingReference"),
            |json| json.remove("segments.4"),
        ),
        (
            "backup-unflagged",
            "a backup segment has lost its flag",
            "LUKS2 3.3",
            invalid("BackupSegmentGap"),
            |json| json.set("segments.3.flags", "[]"),
        ),
        (
            "requirement-twice",
            "two requirements say that it is under way",
            "LUKS2 3.5",
            invalid("Reencryption"),
            |json| {
                json.set(
                    "config.requirements",
                    "{\"mandatory\":[\"online-reencrypt-v2\",\"online-reencrypt-v3\"]}",
                )
            },
        ),
        (
            "segment-strange",
            "a segment is neither as before nor as after it",
            "LUKS2 3.3",
            invalid("Reencryption"),
            |json| json.set("segments.0.type", "\"xyzzy\""),
        ),
        (
            "backup-final-missing",
            "the state after it is missing",
            "LUKS2 4.9.2",
            invalid("Reencryption"),
            |json| json.set("segments.3.flags", "[\"backup-xyzzy\"]"),
        ),
        (
            "in-reencryption",
            "a segment is being moved, and not told as it will be",
            "LUKS2 4.9.1",
            invalid("Reencryption"),
            |json| json.set("segments.0.flags", "[\"in-reencryption\"]"),
        ),
    ];
    for (name, what, rule, expect, change) in changes {
        let json = change(Json::new(&base.text())).text();
        let image = base.clone().json(BOTH, json.as_bytes());
        kit.add(
            "luks2-reencrypt",
            &format!("luks2-reencrypt/{name}"),
            what,
            rule,
            &expect,
            &image,
        );
    }
}
