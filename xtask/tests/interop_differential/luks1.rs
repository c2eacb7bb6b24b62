//! Edits of a LUKS1 header (LUKS1 specification, figures 1 and 2).

use std::ops::Range;

use crate::case::Case;
use crate::choices::Choices;

/// The header, and some of what follows.
pub const BYTES: usize = 1024;

const TEXTS: [(&str, Range<usize>); 4] = [
    ("cipher-name", 8..40),
    ("cipher-mode", 40..72),
    ("hash-spec", 72..104),
    ("uuid", 168..208),
];
const KEYSLOTS: usize = 8;
const KEYSLOT_START: usize = 208;
const KEYSLOT_BYTES: usize = 48;

pub const WORDS: [&str; 46] = [
    "",
    "aes",
    "AES",
    "serpent",
    "twofish",
    "cast5",
    "des3_ede",
    "cipher_null",
    "null",
    "xchacha12,aes",
    "capi:xts(aes)",
    "unheard-of",
    "cbc-essiv:sha256",
    "cbc-essiv:md5",
    "cbc-essiv",
    "cbc-plain",
    "cbc-plain64",
    "cbc-plain64be",
    "cbc",
    "xts-plain64",
    "xts-plain",
    "XTS-PLAIN64",
    "xts-benbi",
    "xts-eboiv",
    "ecb",
    "ecb-plain64",
    "adiantum-plain64",
    "lrw-benbi",
    "cbc-lmk",
    "cbc-tcw",
    "cbc-elephant",
    "xts-plain64-x",
    "-",
    "xts-",
    "sha1",
    "sha224",
    "sha256",
    "SHA256",
    "sha512",
    "sha3-256",
    "ripemd160",
    "whirlpool",
    "blake2b-512",
    "md5",
    "sm3",
    "crc32",
];

pub fn edit(case: &mut Case, count: usize, choices: &mut Choices) {
    for _ in 0..count {
        let edit = one(&mut case.bytes, choices);
        case.edits.push(edit);
    }
}

fn one(bytes: &mut [u8], choices: &mut Choices) -> String {
    let keyslot = KEYSLOT_START + KEYSLOT_BYTES * choices.below(KEYSLOTS);
    match choices.below(22) {
        0 | 1 => random_byte(bytes, 0..592, choices),
        2 => random_byte(bytes, 592..BYTES, choices),
        3 => set(bytes, "version", 6, 2, choices),
        4 => set(bytes, "payload-offset", 104, 4, choices),
        5 => set(bytes, "key-bytes", 108, 4, choices),
        6 => {
            let size =
                choices.one_of(&[1, 8, 15, 16, 24, 31, 32, 40, 48, 56, 64, 65, 96, 128, 512]);
            put(bytes, "key-bytes", 108, 4, size)
        }
        7 => set(bytes, "mk-digest-iter", 164, 4, choices),
        8..=11 => text(bytes, choices),
        12 => {
            let state = choices.one_of(&[0x00ac_71f3, 0x0000_dead, 0, 1, 0xffff_ffff]);
            put(bytes, "active", keyslot, 4, state)
        }
        13 => set(bytes, "iterations", keyslot + 4, 4, choices),
        14 | 15 => set(bytes, "key-material-offset", keyslot + 40, 4, choices),
        16 => {
            let sectors = choices.next() % 4096;
            put(bytes, "key-material-offset", keyslot + 40, 4, sectors)
        }
        17 => set(bytes, "stripes", keyslot + 44, 4, choices),
        18 => {
            let other = KEYSLOT_START + KEYSLOT_BYTES * choices.below(KEYSLOTS);
            let copy = bytes[other..other + KEYSLOT_BYTES].to_vec();
            bytes[keyslot..keyslot + KEYSLOT_BYTES].copy_from_slice(&copy);
            format!("keyslot at {keyslot} as that at {other}")
        }
        19 => random_byte(bytes, 112..164, choices),
        20 => random_byte(bytes, keyslot + 8..keyslot + 40, choices),
        _ => {
            // Both keyslot and data move: an offset is judged by the other.
            let sectors = choices.near(8) % 5000;
            put(bytes, "payload-offset", 104, 4, sectors)
        }
    }
}

fn text(bytes: &mut [u8], choices: &mut Choices) -> String {
    let (name, range) = &TEXTS[choices.below(TEXTS.len())];
    let field = &mut bytes[range.clone()];
    match choices.below(6) {
        0 => return random_byte(bytes, range.clone(), choices),
        1 => field.fill(b'a'),
        2 => {
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(0);
            // What lies behind the end of a text.
            if let Some(byte) = field.get_mut(end + 1) {
                *byte = choices.byte();
            }
        }
        _ => {
            let word = choices.pick(&WORDS);
            field.fill(0);
            field[..word.len()].copy_from_slice(word.as_bytes());
        }
    }
    format!(
        "{name} {:?}",
        String::from_utf8_lossy(&bytes[range.clone()])
    )
}

pub fn random_byte(bytes: &mut [u8], range: Range<usize>, choices: &mut Choices) -> String {
    let at = range.start + choices.below(range.len());
    bytes[at] = match choices.below(3) {
        0 => bytes[at] ^ (1 << choices.below(8)),
        1 => choices.one_of(&[0, b' ', b'-', 0x7f, 0x80, 0xff]),
        _ => choices.byte(),
    };
    format!("byte {at} = {:#x}", bytes[at])
}

/// A big-endian field with another number.
pub fn set(bytes: &mut [u8], name: &str, at: usize, width: usize, choices: &mut Choices) -> String {
    let mut old = [0; 8];
    old[8 - width..].copy_from_slice(&bytes[at..at + width]);
    let new = if choices.once_in(3) {
        choices.near(u64::from_be_bytes(old))
    } else {
        choices.number()
    };
    put(bytes, name, at, width, new)
}

pub fn put(bytes: &mut [u8], name: &str, at: usize, width: usize, new: u64) -> String {
    bytes[at..at + width].copy_from_slice(&new.to_be_bytes()[8 - width..]);
    format!("{name} at {at} = {new:#x}")
}
