//! LUKS2's binary header (specification 2.1): every field, in both copies and in either.

use sha2::{Digest as _, Sha256};

use super::images::{BOTH, COPY, PRIMARY, SECONDARY, seal, with};
use super::kit::{Copy, Expect, GRID, Kit, invalid};

const RULE: &str = "LUKS2 2.1";

/// Copies, how a name says it, and the one that is left.
const SIDES: [(&[usize], &str, Option<Copy>); 3] = [
    (BOTH, "both", None),
    (PRIMARY, "primary", Some(Copy::Secondary)),
    (SECONDARY, "secondary", Some(Copy::Primary)),
];

pub fn add(kit: &mut Kit) {
    numbers(kit);
    versions(kit);
    texts(kit);
    checksums(kit);
    flips(kit);
    magics(kit);
}

/// What a defect of these copies leads to.
fn expect(left: Option<Copy>, kind: &'static str) -> Expect {
    left.map_or_else(|| invalid(kind), |copy| Expect::Recovers(copy, kind))
}

fn numbers(kit: &mut Kit) {
    let epoch = kit.luks2().image[16..24].to_vec();
    let epoch = u64::from_be_bytes(epoch.try_into().expect("eight bytes"));
    for (label, value) in GRID {
        let bytes = value.to_be_bytes();
        for (copies, side, left) in SIDES {
            let image = kit.luks2().binary(copies, 8, &bytes);
            kit.add(
                "luks2",
                &format!("luks2-binary/hdr-size-{label}-{side}"),
                &format!("hdr_size is {value} ({side})"),
                "LUKS2 2.1, table 1",
                &expect(left, "HeaderSize"),
                &image,
            );

            let newer = match left {
                None => Expect::Opens,
                Some(Copy::Secondary) if value > epoch => Expect::Recovers(Copy::Primary, "Older"),
                Some(Copy::Primary) if value > epoch => Expect::Recovers(Copy::Secondary, "Older"),
                Some(copy) => Expect::Recovers(copy, "Older"),
            };
            let image = kit.luks2().binary(copies, 16, &bytes);
            let case = kit.add(
                "luks2",
                &format!("luks2-binary/seqid-{label}-{side}"),
                &format!("seqid is {value} ({side}), {epoch} otherwise"),
                RULE,
                &newer,
                &image,
            );
            case.epoch = Some(if left.is_none() {
                value
            } else {
                value.max(epoch)
            });

            let offset = match (left, value) {
                // That is what the primary says.
                (None | Some(Copy::Secondary), 0) => continue,
                (None, _) => invalid("BothCopies(HeaderOffset, HeaderOffset)"),
                (left, _) => expect(left, "HeaderOffset"),
            };
            let image = kit.luks2().binary(copies, 256, &bytes);
            kit.add(
                "luks2",
                &format!("luks2-binary/hdr-offset-{label}-{side}"),
                &format!("hdr_offset is {value} ({side})"),
                RULE,
                &offset,
                &image,
            );
        }
    }
}

fn versions(kit: &mut Kit) {
    for version in [0_u16, 1, 3, 4095, 4096, 65535] {
        for (copies, side, left) in SIDES {
            let is_luks1 = version == 1 && left != Some(Copy::Primary);
            let expect = if is_luks1 {
                invalid("KeyslotState")
            } else {
                expect(left, "Unsupported.Version")
            };
            let image = kit.luks2().binary(copies, 6, &version.to_be_bytes());
            kit.add(
                "luks2",
                &format!("luks2-binary/version-{version}-{side}"),
                &format!("version is {version} ({side})"),
                if is_luks1 { "LUKS1 figure 1" } else { RULE },
                &expect,
                &image,
            );
        }
    }
}

fn texts(kit: &mut Kit) {
    for (field, at, width) in [
        ("label", 24, 48),
        ("csum_alg", 72, 32),
        ("uuid", 168, 40),
        ("subsystem", 208, 48),
    ] {
        let file = field.replace('_', "-");
        for (copies, side, left) in SIDES {
            let image = kit.luks2().binary(copies, at, &vec![b'x'; width]);
            kit.add(
                "luks2",
                &format!("luks2-binary/{file}-unterminated-{side}"),
                &format!("{field} has no NUL at its end ({side})"),
                RULE,
                &expect(left, "StringNotTerminated"),
                &image,
            );
        }
        let mut one = |name: &str, what: &str, expect: &Expect, bytes: &[u8]| {
            let mut value = bytes.to_vec();
            value.resize(width, 0);
            let image = kit.luks2().binary(BOTH, at, &value);
            kit.add(
                "luks2",
                &format!("luks2-binary/{file}-{name}"),
                &format!("{field} {what}"),
                RULE,
                expect,
                &image,
            );
        };
        one(
            "not-ascii",
            "starts with the byte 0xff",
            &invalid("StringNotText"),
            b"\xffabc",
        );
        if field == "csum_alg" {
            for name in [
                "", "sha1", "sha512", "SHA256", "sha-256", "sha256 ", "md5", "crc32c",
            ] {
                let label = match name {
                    "" => "empty",
                    "sha256 " => "blank",
                    "SHA256" => "upper-case",
                    other => other,
                };
                let what = format!("is {name:?}, the checksum is that of SHA-256");
                one(
                    label,
                    &what,
                    &invalid("Unsupported.ChecksumAlgorithm"),
                    name.as_bytes(),
                );
            }
            one(
                "bytes-behind",
                "holds other bytes behind its NUL",
                &Expect::Opens,
                b"sha256\0garbage",
            );
            continue;
        }
        if field != "subsystem" {
            one("empty", "is empty", &Expect::Opens, b"");
        }
        one(
            "longest",
            "fills its field up to the NUL",
            &Expect::Opens,
            &vec![b'x'; width - 1],
        );
        one(
            "bytes-behind",
            "holds other bytes behind its NUL",
            &Expect::Opens,
            b"a\0garbage",
        );
    }
    let image = kit
        .luks2()
        .binary(BOTH, 168, b"5EED0000-0002-4000-8000-00000000ABCD");
    kit.add(
        "luks2",
        "luks2-binary/uuid-upper-case",
        "uuid is written in upper case",
        RULE,
        &Expect::Opens,
        &image,
    );
}

fn checksums(kit: &mut Kit) {
    for (copies, side, left) in SIDES {
        for at in [448, 463, 479] {
            let mut image = kit.luks2().image;
            for copy in copies {
                image[copy + at] ^= 1;
            }
            kit.add(
                "luks2",
                &format!("luks2-binary/csum-bit-{at}-{side}"),
                &format!("one bit of csum is another, at byte {at} ({side})"),
                RULE,
                &expect(left, "Checksum"),
                &image,
            );
        }
        for at in [480, 511] {
            let mut image = kit.luks2().image;
            for copy in copies {
                image[copy + at] = 1;
            }
            kit.add(
                "luks2",
                &format!("luks2-binary/csum-rest-{at}-{side}"),
                &format!("byte {at} of the rest of csum is not zero ({side})"),
                RULE,
                &expect(left, "Checksum"),
                &image,
            );
        }
        let mut image = kit.luks2().image;
        for copy in copies {
            image[copy + 448..copy + 512].fill(0);
        }
        kit.add(
            "luks2",
            &format!("luks2-binary/csum-zero-{side}"),
            &format!("csum is all zeros ({side})"),
            RULE,
            &expect(left, "Checksum"),
            &image,
        );
    }
    for at in [264, 447, 512, 4095] {
        let image = kit.luks2().binary(BOTH, at, b"\x01");
        kit.add(
            "luks2",
            &format!("luks2-binary/padding-{at}"),
            &format!("byte {at}, padding, is not zero"),
            RULE,
            &invalid("Padding"),
            &image,
        );
    }
    let base = kit.luks2();
    let salt = base.image[104..168].to_vec();
    for (name, what, salt) in [
        ("same", "both copies have the same salt", salt),
        ("zero", "the salt is all zeros", vec![0; 64]),
    ] {
        let image = kit.luks2().binary(BOTH, 104, &salt);
        kit.add(
            "luks2",
            &format!("luks2-binary/salt-{name}"),
            what,
            "LUKS2 2.1: not used after the header is read",
            &Expect::Opens,
            &image,
        );
    }
    // The checksum is made with its own field as it stands, not zeroed.
    let mut image = kit.luks2().image;
    for copy in [0, COPY] {
        let digest = Sha256::digest(&image[copy..copy + COPY]);
        image[copy + 448..copy + 480].copy_from_slice(&digest);
    }
    kit.add(
        "luks2",
        "luks2-binary/csum-not-zeroed",
        "csum was computed over a csum field that was not zeroed",
        RULE,
        &invalid("Checksum"),
        &image,
    );
    // Over the binary header alone.
    let mut image = kit.luks2().image;
    for copy in [0, COPY] {
        seal(&mut image, copy, 4096);
    }
    kit.add(
        "luks2",
        "luks2-binary/csum-without-json",
        "csum covers the binary header and not the JSON area",
        RULE,
        &invalid("Checksum"),
        &image,
    );
}

/// A bit that changed by itself: the checksum tells.
fn flips(kit: &mut Kit) {
    for (field, at) in [
        ("seqid", 23),
        ("label", 24),
        ("salt", 104),
        ("uuid", 168),
        ("subsystem", 208),
        ("padding", 300),
        ("padding-end", 4095),
        ("json-first", 4097),
        ("json-middle", 4600),
        ("json-nul", 8192),
        ("json-last", COPY - 1),
    ] {
        for (copies, side, left) in SIDES {
            let mut image = kit.luks2().image;
            for copy in copies {
                image[copy + at] ^= 1;
            }
            kit.add(
                "luks2",
                &format!("luks2-binary/flip-{field}-{side}"),
                &format!("one bit of {field} flipped ({side})"),
                RULE,
                &expect(left, "Checksum"),
                &image,
            );
        }
    }
}

fn magics(kit: &mut Kit) {
    for index in 0..6 {
        for (copies, side, left) in SIDES {
            let mut image = kit.luks2().image;
            for copy in copies {
                image[copy + index] ^= 0x20;
                seal(&mut image, *copy, COPY);
            }
            let kind = if left.is_none() { "NotLuks" } else { "Magic" };
            kit.add(
                "luks2",
                &format!("luks2-binary/magic-{index}-{side}"),
                &format!("byte {index} of the magic is another ({side})"),
                RULE,
                &expect(left, kind),
                &image,
            );
        }
    }
    for (name, what, primary, secondary, expect) in [
        (
            "swapped",
            "each copy has the other's magic",
            b"SKUL\xba\xbe",
            b"LUKS\xba\xbe",
            invalid("NotLuks"),
        ),
        (
            "both-first",
            "both copies have the primary's magic",
            b"LUKS\xba\xbe",
            b"LUKS\xba\xbe",
            Expect::Recovers(Copy::Primary, "Magic"),
        ),
        (
            "both-second",
            "both copies have the secondary's magic",
            b"SKUL\xba\xbe",
            b"SKUL\xba\xbe",
            Expect::Recovers(Copy::Secondary, "Magic"),
        ),
    ] {
        let mut image = with(&kit.luks2().image, 0, primary);
        image = with(&image, COPY, secondary);
        for copy in [0, COPY] {
            seal(&mut image, copy, COPY);
        }
        kit.add(
            "luks2",
            &format!("luks2-binary/magic-{name}"),
            what,
            RULE,
            &expect,
            &image,
        );
    }
}
