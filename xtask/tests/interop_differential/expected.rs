//! The lists of differences that are meant, each with its reason: what is on none is a failure. fuzz/README.md has them too.

use luks::luks2::{KeyslotKind, Metadata, SegmentKind};
use luks::{Corrupt, Error, Fault, Header, Luks, MemberProblem, Unsupported, Warning};
use serde_json::{Map, Value};

/// A difference, and when it is this one.
struct Entry<When> {
    name: &'static str,
    reason: &'static str,
    is: When,
}

/// Whether that is why we refuse.
type OurFault = fn(&Fault) -> bool;

/// Whether that is why libcryptsetup refuses: the header, the length of its file, and what it says.
type TheirReason = fn(&Luks, u64, &str) -> bool;

/// What libcryptsetup accepts and we refuse, by the exact error.
const REFUSED: &[Entry<OurFault>] = &[
    Entry {
        name: "copies-differ",
        reason: "both copies have one epoch and differ: the specification has no rule for which counts",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::CopiesDiffer { .. })),
    },
    Entry {
        name: "duplicate-member",
        reason: "a member stands twice: readers would not agree on which one counts",
        is: |fault| syntax(fault, |text| text.contains("duplicate member")),
    },
    Entry {
        name: "deep-json",
        reason: "nested deeper than 32, a limit of ours",
        is: |fault| syntax(fault, |text| text.contains("nested deeper")),
    },
    Entry {
        name: "not-json",
        reason: "json-c reads what RFC 8259 does not call JSON: comments, commas at the end, NaN, single quotes, control characters, invalid escapes, numbers and UTF-8",
        is: |fault| {
            syntax(fault, |text| {
                !text.contains("duplicate member") && !text.contains("nested deeper")
            })
        },
    },
    Entry {
        name: "json-tail",
        reason: "something follows the JSON text: the area's rest is zeros",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::JsonTail(_))),
    },
    Entry {
        name: "luks1-state",
        reason: "a LUKS1 keyslot's state is neither of its two values: no guess is made whether it holds a key",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::KeyslotState { .. })),
    },
    Entry {
        name: "luks1-iterations",
        reason: "a LUKS1 keyslot in use, or the digest, has no iterations: PBKDF2 starts at 1",
        is: |fault| {
            matches!(
                fault,
                Fault::Corrupt(Corrupt::KeyslotIterations { .. } | Corrupt::DigestIterations)
            )
        },
    },
    Entry {
        name: "stripes",
        reason: "other than 4000 stripes, the only number that either specification allows",
        is: |fault| {
            matches!(fault, Fault::Corrupt(Corrupt::Stripes { .. }))
                || member(fault, &[".af.stripes"], |problem| {
                    *problem == MemberProblem::NotU32
                })
        },
    },
    Entry {
        name: "text-end",
        reason: "a text of the binary header fills its field: it must end there with a NUL, and cryptsetup cuts it off",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::StringNotTerminated { .. })),
    },
    Entry {
        name: "text-utf8",
        reason: "a text of the binary header is no UTF-8",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::StringNotText { .. })),
    },
    Entry {
        name: "area-too-small",
        reason: "a LUKS2 keyslot's area cannot hold its key material",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::AreaTooSmall { .. })),
    },
    Entry {
        name: "luks1-cipher",
        reason: "a LUKS1 cipher that is no specification: cryptsetup finds out when it opens it",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::Spec { object, .. }) if object == "cipher"),
    },
    Entry {
        name: "base64",
        reason: "a salt or digest is no base64: cryptsetup finds out when it uses it",
        is: |fault| {
            member(fault, &[".salt", ".digest"], |problem| {
                *problem == MemberProblem::NotBase64
            })
        },
    },
    Entry {
        name: "digest-member",
        reason: "a digest lacks a member or has it of another kind: cryptsetup finds out when it uses it",
        is: |fault| {
            member(
                fault,
                &[".hash", ".salt", ".digest", ".iterations"],
                |problem| {
                    matches!(
                        problem,
                        MemberProblem::Missing
                            | MemberProblem::NotA(_)
                            | MemberProblem::Empty
                            | MemberProblem::NotU32
                    )
                },
            ) && path(fault).is_some_and(|path| path.starts_with("digests."))
        },
    },
    Entry {
        name: "digest-iterations",
        reason: "a LUKS2 digest without iterations: PBKDF2 starts at 1",
        is: |fault| {
            member(fault, &[".iterations"], |problem| {
                matches!(problem, MemberProblem::Value(_))
            }) && path(fault).is_some_and(|path| path.starts_with("digests."))
        },
    },
    Entry {
        name: "key-size",
        reason: "a key size of 0 or beyond 4096 bytes: no cipher takes it",
        is: |fault| {
            member(fault, &[".key_size"], |problem| {
                matches!(problem, MemberProblem::Value(_) | MemberProblem::NotU32)
            })
        },
    },
    Entry {
        name: "kdf-cost",
        reason: "a cost of 0 or beyond 32 bits (negative ones too): no key derivation has it",
        is: |fault| {
            member(
                fault,
                &[".kdf.iterations", ".kdf.time", ".kdf.memory", ".kdf.cpus"],
                |problem| matches!(problem, MemberProblem::Value(_) | MemberProblem::NotU32),
            )
        },
    },
    Entry {
        name: "kdf-hash",
        reason: "PBKDF2's hash is an empty text",
        is: |fault| {
            member(fault, &[".kdf.hash"], |problem| {
                *problem == MemberProblem::Empty
            })
        },
    },
    Entry {
        name: "priority",
        reason: "a priority beyond 2: the specification has three",
        is: |fault| {
            member(fault, &[".priority"], |problem| {
                matches!(problem, MemberProblem::Value(_) | MemberProblem::NotU32)
            })
        },
    },
    Entry {
        name: "number-name",
        reason: "an object's name has more than the one spelling of its number, or is no number",
        is: |fault| {
            member(fault, &[""], |problem| {
                *problem == MemberProblem::NotANumberedName
            })
        },
    },
    Entry {
        name: "checksum-algorithm",
        reason: "a checksum by another hash than SHA-256, the only one of the specification",
        is: |fault| matches!(fault, Fault::Unsupported(Unsupported::ChecksumAlgorithm(_))),
    },
    Entry {
        name: "odd-sectors",
        reason: "a size that is no multiple of a sector size that no dm-crypt has: neither opens it",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::SegmentAlignment { sector, .. }) if !SECTOR_SIZES.contains(sector)),
    },
    Entry {
        name: "number-spelling",
        reason: "a 64-bit number in another spelling than its decimal one: zeros before it, a sign, blanks",
        is: |fault| {
            member(fault, &[""], |problem| {
                *problem == MemberProblem::NotU64String
            })
        },
    },
    Entry {
        name: "kdf-salt",
        reason: "a key derivation of a type that is not known, without a salt: its other members are not looked at either",
        is: |fault| {
            member(fault, &[".kdf.salt"], |problem| {
                *problem != MemberProblem::NotBase64
            })
        },
    },
    Entry {
        name: "segment-overflow",
        reason: "a segment's end is no 64-bit number",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::SegmentOverflow { .. })),
    },
    Entry {
        name: "many-digests",
        reason: "a keyslot of another type is in two digests: each has one",
        is: |fault| matches!(fault, Fault::Corrupt(Corrupt::KeyslotInManyDigests { .. })),
    },
];

/// What we accept and libcryptsetup refuses, by what the header says: no rules of the format, but for `reencryption`.
const ACCEPTED: &[Entry<TheirReason>] = &[
    Entry {
        name: "cut-off",
        reason: "the file ends within the keyslots area: the header is whole and can be looked at; reading an area that is not there is an error",
        is: |luks, length, _| length < areas_end(luks.header()),
    },
    Entry {
        name: "hash",
        reason: "a LUKS1 hash that is not built: the header can be looked at; opening it is refused as unsupported",
        is: |luks, _, message| {
            matches!(luks.header(), Header::Luks1(header) if header.hash().is_err())
                && message.contains("hash")
        },
    },
    Entry {
        name: "hash-built-here",
        reason: "a LUKS1 hash that we have and its library was not built with",
        is: |luks, _, message| {
            matches!(luks.header(), Header::Luks1(header) if header.hash().is_ok())
                && message.contains("Requested LUKS hash")
        },
    },
    Entry {
        name: "version",
        reason: "only the primary's version is damaged: the secondary is sound and used (LUKS2 specification 4.5)",
        is: |luks, _, _| {
            let version = |warning: &Warning| {
                matches!(
                    warning,
                    Warning::Primary(Fault::Unsupported(Unsupported::Version(_)))
                )
            };
            luks.warnings().iter().any(version)
        },
    },
    Entry {
        name: "requirements-array",
        reason: "requirements as an array of strings, which is what the specification says; nothing is opened under one",
        is: |luks, _, _| requirements(luks).is_some_and(Value::is_array),
    },
    Entry {
        name: "reencryption",
        reason: "the state of a reencryption breaks its own rules, of which we read none: nothing is opened or changed while its requirement stands, but a header that has lost the requirement alone is opened",
        is: |luks, _, _| matches!(luks.header(), Header::Luks2(header) if has_reencryption(&header.metadata)),
    },
    Entry {
        name: "odd-sector-size",
        reason: "a sector size that no dm-crypt has, to which its check of offsets does not apply: neither opens it",
        is: |luks, _, _| matches!(luks.header(), Header::Luks2(header) if has_odd_sectors(&header.metadata)),
    },
    Entry {
        name: "no-segment",
        reason: "no segment: a header that only stores keys can be looked at; there is no data to open",
        is: |luks, _, _| matches!(luks.header(), Header::Luks2(header) if header.metadata.segments.is_empty()),
    },
    Entry {
        name: "other-segment",
        reason: "a segment of a type that is not known breaks a rule of the known ones: it is kept as it came, and nothing is opened",
        is: |luks, _, _| {
            matches!(luks.header(), Header::Luks2(header)
                if header.metadata.segments.iter().any(|segment| matches!(segment.kind, SegmentKind::Other { .. })))
        },
    },
    Entry {
        name: "nul-in-text",
        reason: "a JSON text with a NUL, at which its texts end: ours do not",
        is: |luks, _, _| matches!(luks.header(), Header::Luks2(header) if has_nul(&header.metadata)),
    },
    Entry {
        name: "beyond-4-gib",
        reason: "LUKS1 key material beyond 4 GiB: its check counts bytes in 32 bits",
        is: |luks, _, _| {
            const SECTORS: u32 = 1 << 23;
            matches!(luks.header(), Header::Luks1(header)
                if header.keyslots.iter().any(|keyslot| keyslot.material_offset_sectors >= SECTORS))
        },
    },
];

const OTHER_COPY: &str =
    "other-copy: it uses a copy that we refuse by the list above, and we the other one";
const KDF_MEMBERS: &str =
    "kdf-members: it leaves out members that are not those of the derivation's type; we keep them";
const UNREADABLE_CIPHER: &str = "unreadable-cipher: it says as much of a LUKS2 cipher as it can read; we have the text as it stands";
const SHORT_SALT: &str =
    "digest-salt: a LUKS2 digest's salt is not 32 bytes long, and it uses 32 bytes nevertheless";

const THEIR_OTHER_COPY: &str = "their-other-copy: it refuses the newer copy as the list of what only we accept says, and uses the older one";
const NUL: &str = "nul-in-field: a JSON text with a NUL, at which its texts end: ours do not";
const INT: &str =
    "31-bit-number: a cost or sector size of 2^31 or more, which it reads as 2^31 - 1";

const HIGH_DIGEST: &str =
    "digest-number: a digest has a number beyond 31, and it does not look there";
const SHARED_SEGMENT: &str = "shared-segment: a segment is in two digests: it takes keyslots of both for the data's, we those of the first";
const REENCRYPTION_STATUS: &str = "reencryption-status: which keyslots are unbound while a reencryption goes on: it counts the digests of both keys";
const GOES_ON: &str =
    "goes-on: a keyslot asks for what is not there: it gives up, we try the others";
/// The highest number of an object that cryptsetup itself would give.
const LAST_OBJECT: u32 = 31;

/// The entry for a refusal of ours.
pub fn refused(error: &Error) -> Option<&'static str> {
    match error {
        Error::Corrupt(Corrupt::BothCopies { primary, secondary }) => {
            let of = |corrupt: &Corrupt| fault(&Fault::Corrupt(corrupt.clone()));
            of(primary).or_else(|| of(secondary))
        }
        Error::Corrupt(corrupt) => fault(&Fault::Corrupt(corrupt.clone())),
        Error::Unsupported(unsupported) => fault(&Fault::Unsupported(unsupported.clone())),
        _ => None,
    }
}

fn fault(fault: &Fault) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|entry| (entry.is)(fault))
        .map(|entry| entry.name)
}

/// The entry for a header that only we accept.
pub fn accepted(luks: &Luks, length: u64, answer: &Value) -> Option<&'static str> {
    let message = answer["messages"].to_string();
    let entry = ACCEPTED
        .iter()
        .find(|entry| (entry.is)(luks, length, &message));
    entry.map(|entry| entry.name)
}

/// The reasons, for the summary.
pub fn reason(name: &str) -> &'static str {
    let refused = REFUSED.iter().map(|entry| (entry.name, entry.reason));
    let accepted = ACCEPTED.iter().map(|entry| (entry.name, entry.reason));
    refused
        .chain(accepted)
        .find(|(known, _)| *known == name)
        .map_or("", |(_, reason)| reason)
}

/// Whether another copy counts for libcryptsetup, because it accepts what we refuse.
pub fn other_copy(luks: &Luks) -> Option<&'static str> {
    let is_refused = |warning: &Warning| {
        let (Warning::Primary(of) | Warning::Secondary(of)) = warning;
        fault(of).is_some()
    };
    luks.warnings().iter().any(is_refused).then_some(OTHER_COPY)
}

/// The entry for a field that differs.
pub fn different(
    name: &str,
    ours: Option<&Value>,
    theirs: Option<&Value>,
    luks: &Luks,
) -> Option<&'static str> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let metadata = &header.metadata;
    let is_refused = has_reencryption(metadata)
        || has_odd_sectors(metadata)
        || has_nul(metadata)
        || requirements(luks).is_some_and(Value::is_array);
    if is_refused && !luks.warnings().is_empty() {
        return Some(THEIR_OTHER_COPY);
    }
    if has_nul(metadata) {
        return Some(NUL);
    }
    let digests = &metadata.digests;
    if digests.iter().any(|digest| digest.id > LAST_OBJECT) && name != "json" {
        return Some(HIGH_DIGEST);
    }
    let is_shared = |segment: &u32| {
        let of = digests
            .iter()
            .filter(|digest| digest.segments.contains(segment));
        of.count() > 1
    };
    if digests
        .iter()
        .flat_map(|digest| &digest.segments)
        .any(is_shared)
        && name != "json"
    {
        return Some(SHARED_SEGMENT);
    }
    match name {
        _ if name.starts_with("keyslot ") => {
            let mut ours = ours?.clone();
            if has_reencryption(metadata) {
                ours["status"] = theirs?["status"].clone();
                return (Some(&ours) == theirs).then_some(REENCRYPTION_STATUS);
            }
            for cost in ours.get_mut("kdf")?.as_array_mut()? {
                if cost.as_u64().is_some_and(|cost| cost > MOST_INT) {
                    *cost = MOST_INT.into();
                }
            }
            (Some(&ours) == theirs).then_some(INT)
        }
        "json" => {
            let (mut ours, mut theirs) = (ours?.clone(), theirs?.clone());
            keep_known_kdf_members(&mut ours);
            keep_known_kdf_members(&mut theirs);
            (ours == theirs).then_some(KDF_MEMBERS)
        }
        "sector size" => (ours?.as_u64()? > MOST_INT).then_some(INT),
        "cipher" | "mode" => {
            let first = header.metadata.data_segments().next()?;
            matches!(&first.kind, SegmentKind::Crypt(crypt) if crypt.spec.is_err())
                .then_some(UNREADABLE_CIPHER)
        }
        _ => None,
    }
}

/// The entry for a passphrase that only libcryptsetup opens something with.
pub fn not_unlocked(luks: &Luks, error: &Error) -> Option<&'static str> {
    const SALT_BYTES: usize = 32;
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let mut digests = header.metadata.digests.iter();
    (digests.any(|digest| digest.salt.len() != SALT_BYTES)
        && matches!(error, Error::NoKeyFits { .. }))
    .then_some(SHORT_SALT)
}

/// The entry for a passphrase that only we open something with.
pub fn unlocked(luks: &Luks) -> Option<&'static str> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let is_unsupported = |kind: &KeyslotKind| match kind {
        KeyslotKind::Luks2(slot) => {
            slot.kdf.is_err() || slot.af_hash.is_err() || slot.cipher.spec.is_err()
        }
        KeyslotKind::Other { .. } => true,
    };
    let mut keyslots = header.metadata.keyslots.iter();
    keyslots
        .any(|keyslot| is_unsupported(&keyslot.kind))
        .then_some(GOES_ON)
}

fn syntax(fault: &Fault, is: impl Fn(&str) -> bool) -> bool {
    matches!(fault, Fault::Corrupt(Corrupt::JsonSyntax(text)) if is(text))
}

fn path(fault: &Fault) -> Option<&str> {
    match fault {
        Fault::Corrupt(Corrupt::Member { path, .. }) => Some(path),
        _ => None,
    }
}

fn member(fault: &Fault, ends: &[&str], is: impl Fn(&MemberProblem) -> bool) -> bool {
    matches!(fault, Fault::Corrupt(Corrupt::Member { path, problem })
        if ends.iter().any(|end| path.ends_with(end)) && is(problem))
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

fn requirements(luks: &Luks) -> Option<&Value> {
    match luks.header() {
        Header::Luks1(_) => None,
        Header::Luks2(header) => header.metadata.raw().get("config")?.get("requirements"),
    }
}

fn has_reencryption(metadata: &Metadata) -> bool {
    let is_keyslot = metadata.keyslots.iter().any(
        |keyslot| matches!(&keyslot.kind, KeyslotKind::Other { kind } if kind.starts_with("reencrypt")),
    );
    let is_required = metadata
        .config
        .requirements
        .iter()
        .any(|name| name.starts_with("online-reencrypt"));
    is_keyslot || is_required || metadata.segments.len() != metadata.data_segments().count()
}

/// Those that dm-crypt has.
const SECTOR_SIZES: [u32; 4] = [512, 1024, 2048, 4096];

/// The highest number that json-c gives as an `int`.
const MOST_INT: u64 = 0x7fff_ffff;

fn has_odd_sectors(metadata: &Metadata) -> bool {
    metadata.segments.iter().any(
        |segment| matches!(&segment.kind, SegmentKind::Crypt(crypt) if !SECTOR_SIZES.contains(&crypt.sector_size)),
    )
}

fn has_nul(metadata: &Metadata) -> bool {
    metadata.to_text().contains("\\u0000")
}

fn keep_known_kdf_members(json: &mut Value) {
    let keyslots = json.get_mut("keyslots").and_then(Value::as_object_mut);
    for (_, keyslot) in keyslots.into_iter().flatten() {
        let Some(kdf) = keyslot.get_mut("kdf").and_then(Value::as_object_mut) else {
            continue;
        };
        let known: &[&str] = match kdf.get("type").and_then(Value::as_str) {
            Some("pbkdf2") => &["type", "salt", "hash", "iterations"],
            Some("argon2i" | "argon2id") => &["type", "salt", "time", "memory", "cpus"],
            _ => continue,
        };
        let old: Map<String, Value> = std::mem::take(kdf);
        kdf.extend(
            old.into_iter()
                .filter(|(name, _)| known.contains(&name.as_str())),
        );
    }
}
