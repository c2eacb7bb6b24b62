//! A LUKS1 header as text.

use std::fmt::Write as _;

use luks::defaults::STRIPES;
use luks::luks1;

use super::bytes;
use crate::output::escape;

pub(super) fn text(header: &luks1::Header, device: &str) -> String {
    let mut text = format!("LUKS header information for {device}\n\n");
    for (field, value) in [
        ("Version:       ", "1".to_owned()),
        ("Cipher name:   ", escape(&header.cipher_name)),
        ("Cipher mode:   ", escape(&header.cipher_mode)),
        ("Hash spec:     ", escape(&header.hash_spec)),
        ("Payload offset:", header.payload_offset_sectors.to_string()),
        (
            "MK bits:       ",
            (u64::from(header.key_bytes) * 8).to_string(),
        ),
    ] {
        let _ = writeln!(text, "{field}\t{value}");
    }
    text.push_str("MK digest:     \t");
    for byte in header.mk_digest {
        let _ = write!(text, "{byte:02x} ");
    }
    let _ = write!(
        text,
        "\nMK salt:       \t{}MK iterations: \t{}\nUUID:          \t{}\n\n",
        bytes(&header.mk_digest_salt, "               \t"),
        header.mk_digest_iterations,
        escape(&header.uuid)
    );
    for (id, slot) in header.keyslots.iter().enumerate() {
        if slot.active {
            let _ = write!(
                text,
                "Key Slot {id}: ENABLED\n\
                 \tIterations:         \t{}\n\
                 \tSalt:               \t{}\
                 \tKey material offset:\t{}\n\
                 \tAF stripes:            \t{STRIPES}\n",
                slot.iterations,
                bytes(&slot.salt, "\t                      \t"),
                slot.material_offset_sectors,
            );
        } else {
            let _ = writeln!(text, "Key Slot {id}: DISABLED");
        }
    }
    text
}
