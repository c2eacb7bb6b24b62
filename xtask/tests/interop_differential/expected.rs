//! The lists of differences that are meant, each with its reason: what is on none is a failure. fuzz/README.md has them too.

mod accepted;
mod different;

use luks::luks2::{self, Metadata};
use luks::{Corrupt, Error, Fault, Header, Luks, MemberProblem, Unsupported};
use serde_json::Value;

pub use accepted::accepted;
pub use different::{different, not_unlocked, other_copy, unlocked};

/// A difference, and when it is this one.
struct Entry<When> {
    name: &'static str,
    reason: &'static str,
    is: When,
}

/// Whether that is why we refuse.
type OurFault = fn(&Fault) -> bool;

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
        name: "not-json",
        reason: "json-c reads what RFC 8259 does not call JSON: comments, commas at the end, NaN, single quotes, control characters, invalid escapes, numbers and UTF-8",
        is: |fault| {
            let of_ours = ["duplicate member", "nested deeper", "more than"];
            syntax(fault, |text| {
                !of_ours.iter().any(|limit| text.contains(limit))
            })
        },
    },
    Entry {
        name: "reencrypt-area",
        reason: "the area of a reencryption's keyslot is of none of the specification's types: cryptsetup finds out when it goes on",
        is: |fault| {
            member(fault, &[".area.type"], |problem| {
                matches!(problem, MemberProblem::Value(_))
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

/// The reasons, for the summary.
pub fn reason(name: &str) -> &'static str {
    let refused = REFUSED.iter().map(|entry| (entry.name, entry.reason));
    let accepted = accepted::ACCEPTED
        .iter()
        .map(|entry| (entry.name, entry.reason));
    refused
        .chain(accepted)
        .find(|(known, _)| *known == name)
        .map_or("", |(_, reason)| reason)
}

fn syntax(fault: &Fault, is: impl Fn(&str) -> bool) -> bool {
    matches!(fault, Fault::Corrupt(Corrupt::JsonSyntax(text)) if is(text.as_raw()))
}

fn path(fault: &Fault) -> Option<&str> {
    match fault {
        Fault::Corrupt(Corrupt::Member { path, .. }) => Some(path.as_raw()),
        _ => None,
    }
}

fn member(fault: &Fault, ends: &[&str], is: impl Fn(&MemberProblem) -> bool) -> bool {
    matches!(fault, Fault::Corrupt(Corrupt::Member { path, problem })
        if ends.iter().any(|end| path.as_raw().ends_with(end)) && is(problem))
}

fn requirements(luks: &Luks) -> Option<&Value> {
    match luks.header() {
        Header::Luks1(_) => None,
        Header::Luks2(header) => header.metadata.raw().get("config")?.get("requirements"),
    }
}

fn has_nul(metadata: &Metadata) -> bool {
    metadata.to_text().contains("\\u0000")
}

/// The header as it is to whom a text ends at a NUL, if it keeps the rules then.
fn cut_at_nul(header: &luks2::Header) -> Option<luks2::Header> {
    let raw = cut_texts(&Value::Object(header.metadata.raw().clone()));
    let raw = raw.as_object()?.clone();
    let metadata = Metadata::from_raw(raw, header.binary.header_bytes).ok()?;
    Some(luks2::Header {
        metadata,
        ..header.clone()
    })
}

fn cut_texts(value: &Value) -> Value {
    let cut = |text: &str| text.split('\0').next().unwrap_or_default().to_owned();
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(values) => values.iter().map(cut_texts).collect(),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (cut(name), cut_texts(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}
