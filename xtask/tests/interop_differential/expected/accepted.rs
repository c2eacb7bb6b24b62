//! What we accept and libcryptsetup refuses.

use luks::{Fault, Header, Luks, Unsupported, Warning};
use serde_json::Value;

use super::{Entry, cut_at_nul, has_nul, requirements};

/// Whether that is why libcryptsetup refuses: the header, the length of its file, and all that it says of its work.
type TheirReason = fn(&Luks, u64, &str) -> bool;

/// By what the header and the library say: no rules of the format.
pub const ACCEPTED: &[Entry<TheirReason>] = &[
    Entry {
        name: "cut-off",
        reason: "the file ends within the keyslots area: the header is whole and can be looked at; reading an area that is not there is an error",
        is: |luks, length, messages| {
            length < areas_end(luks.header()) && messages.contains(" is too small. ")
        },
    },
    Entry {
        name: "cut-off-luks1",
        reason: "a LUKS1 file ends behind the header's 592 bytes: it reads 1024 at once",
        is: |luks, length, _| matches!(luks.header(), Header::Luks1(_)) && length < 1024,
    },
    Entry {
        name: "hash",
        reason: "a LUKS1 hash that is not built: the header can be looked at; opening it is refused as unsupported",
        is: |luks, _, messages| {
            matches!(luks.header(), Header::Luks1(header) if header.hash().is_err())
                && messages.contains("Requested LUKS hash ")
        },
    },
    Entry {
        name: "version",
        reason: "only the primary's version is damaged: the secondary is sound and used (LUKS2 specification 4.5)",
        is: |luks, _, messages| {
            let version = |warning: &Warning| {
                matches!(
                    warning,
                    Warning::Primary(Fault::Unsupported(Unsupported::Version(_)))
                )
            };
            luks.warnings().iter().any(version) && messages.contains("Unsupported LUKS version ")
        },
    },
    Entry {
        name: "requirements-array",
        reason: "requirements as an array of strings, which is what the specification says; nothing is opened under one",
        is: |luks, _, messages| {
            requirements(luks).is_some_and(Value::is_array)
                && messages.contains("\"requirements\" (object)")
        },
    },
    Entry {
        name: "no-segment",
        reason: "no segment: a header that only stores keys can be looked at; there is no data to open",
        is: |luks, _, _| matches!(luks.header(), Header::Luks2(header) if header.metadata.segments.is_empty()),
    },
    Entry {
        name: "nul-in-text",
        reason: "a JSON text with a NUL, at which its texts end: ours do not",
        is: |luks, _, _| {
            matches!(luks.header(), Header::Luks2(header)
                if has_nul(&header.metadata) && cut_at_nul(header).is_none())
        },
    },
    Entry {
        name: "reencrypt-version",
        reason: "a reencryption of a version that is not known: its state is not judged, and nothing is opened",
        is: |luks, _, messages| {
            matches!(luks.header(), Header::Luks2(header) if header.metadata.config.refuse_requirements().is_err())
                && messages.contains("Missing reencryption requirement flag.")
                && messages.contains("online-reencrypt")
        },
    },
    Entry {
        name: "beyond-4-gib",
        reason: "LUKS1 key material beyond 4 GiB: its check counts bytes in 32 bits",
        is: |luks, _, messages| {
            const SECTORS: u32 = 1 << 23;
            matches!(luks.header(), Header::Luks1(header)
                if header.keyslots.iter().any(|keyslot| keyslot.material_offset_sectors >= SECTORS))
                && messages.contains("LUKS keyslot ")
        },
    },
];

/// The entry for a header that only we accept.
pub fn accepted(luks: &Luks, length: u64, answer: &Value) -> Option<&'static str> {
    let messages = answer["messages"].as_array().map(Vec::as_slice);
    let messages = messages.unwrap_or_default().iter();
    let messages: Vec<&str> = messages.filter_map(Value::as_str).collect();
    let messages = messages.join("\n");
    let entry = ACCEPTED
        .iter()
        .find(|entry| (entry.is)(luks, length, &messages));
    entry.map(|entry| entry.name)
}

/// First byte after all keyslots' areas, and after what cryptsetup reads of a header at once.
fn areas_end(header: &Header) -> u64 {
    match header {
        Header::Luks1(header) => {
            let ends = header
                .keyslots
                .iter()
                .map(|keyslot| keyslot.area_offset() + header.area_length());
            ends.max().unwrap_or(0)
        }
        Header::Luks2(header) => header.metadata.keyslots_area().end,
    }
}
