//! Edits of a LUKS2 header: its binary part (LUKS2 specification 2.1, figure 2), its JSON, and both copies.

use dmcrypt::HashAlgorithm;

use crate::case::Case;
use crate::choices::Choices;
use crate::json::Node;
use crate::luks1::{put, random_byte, set};
use crate::{json_edits, text_edits};

const BINARY_BYTES: usize = 4096;
const CHECKSUM: std::ops::Range<usize> = 448..512;
const MAGIC: [&[u8; 6]; 2] = [b"LUKS\xba\xbe", b"SKUL\xba\xbe"];

pub fn edit(case: &mut Case, copy: usize, count: usize, choices: &mut Choices) {
    // A copy that is lost from the beginning stays so now and then.
    if !case.bytes.starts_with(MAGIC[0]) && !choices.once_in(3) {
        restore_primary(&mut case.bytes, copy);
    }
    // The same edits in both copies, or in one.
    let (first, last) = match choices.below(8) {
        0 => (0, 0),
        1 => (1, 1),
        _ => (0, 1),
    };
    let which = ["both", "primary", "secondary"][usize::from(first == last) + first];
    let is_json = !choices.once_in(4);
    let edits = if is_json {
        edit_json(&mut case.bytes[last * copy..][..copy], count, choices)
    } else {
        edit_binary(&mut case.bytes[last * copy..][..copy], count, choices)
    };
    if first != last {
        let (primary, secondary) = case.bytes.split_at_mut(copy);
        if is_json {
            primary[BINARY_BYTES..].copy_from_slice(&secondary[BINARY_BYTES..copy]);
        } else {
            // Fields that differ between copies by their nature keep theirs, unless they were edited to be alike.
            let own: Vec<u8> = primary[..8]
                .iter()
                .chain(&primary[256..264])
                .copied()
                .collect();
            primary[..BINARY_BYTES].copy_from_slice(&secondary[..BINARY_BYTES]);
            primary[..6].copy_from_slice(&own[..6]);
            let place = u64::try_from(copy).expect("lengths are numbers");
            if primary[256..264] == place.to_be_bytes() {
                primary[256..264].copy_from_slice(&own[8..]);
            }
        }
    }
    case.edits
        .extend(edits.into_iter().map(|edit| format!("{which}: {edit}")));
    if choices.once_in(8) {
        let at = copy * choices.below(2);
        case.edits.push(match choices.below(3) {
            0 => set(&mut case.bytes, "seqid", at + 16, 8, choices),
            1 => {
                let mut old = [0; 8];
                old.copy_from_slice(&case.bytes[at + 16..at + 24]);
                let next = u64::from_be_bytes(old).wrapping_add(1);
                put(&mut case.bytes, "seqid", at + 16, 8, next)
            }
            _ => {
                let epoch = choices.number();
                put(&mut case.bytes, "seqid", 16, 8, epoch);
                put(&mut case.bytes, "both: seqid", copy + 16, 8, epoch)
            }
        });
    }
    for at in [0, copy] {
        if choices.once_in(32) {
            case.edits.push(format!("checksum at {at} as it was"));
        } else {
            fix_checksum(&mut case.bytes[at..at + copy]);
        }
    }
}

/// The primary copy as the secondary has it.
fn restore_primary(bytes: &mut [u8], copy: usize) {
    bytes.copy_within(copy..2 * copy, 0);
    bytes[..6].copy_from_slice(MAGIC[0]);
    bytes[256..264].fill(0);
}

/// As cryptsetup does it, of as many bytes as the header says that it has.
fn fix_checksum(copy: &mut [u8]) {
    copy[CHECKSUM].fill(0);
    let checksum = HashAlgorithm::Sha256.digest(&[copy]);
    copy[CHECKSUM.start..][..checksum.len()].copy_from_slice(&checksum);
}

fn edit_binary(copy: &mut [u8], count: usize, choices: &mut Choices) -> Vec<String> {
    (0..count)
        .map(|_| match choices.below(14) {
            0 => random_byte(copy, 0..6, choices),
            1 => set(copy, "version", 6, 2, choices),
            2 => set(copy, "hdr_size", 8, 8, choices),
            3 => {
                let size = 0x4000 << choices.below(10);
                put(copy, "hdr_size", 8, 8, size)
            }
            4 => set(copy, "seqid", 16, 8, choices),
            5 => random_byte(copy, 24..72, choices),
            6 => random_byte(copy, 72..104, choices),
            7 => random_byte(copy, 104..168, choices),
            8 => random_byte(copy, 168..208, choices),
            9 => random_byte(copy, 208..256, choices),
            10 => set(copy, "hdr_offset", 256, 8, choices),
            11 => random_byte(copy, 264..448, choices),
            12 => random_byte(copy, 512..BINARY_BYTES, choices),
            _ => {
                let (name, range) = choices.one_of(&[
                    ("label", (24, 72)),
                    ("uuid", (168, 208)),
                    ("subsystem", (208, 256)),
                    ("csum_alg", (72, 104)),
                ]);
                let field = &mut copy[range.0..range.1];
                match choices.below(3) {
                    0 => field.fill(b'x'),
                    1 => field.fill(0),
                    _ => {
                        let word = choices.pick(&crate::luks1::WORDS);
                        field.fill(0);
                        field[..word.len()].copy_from_slice(word.as_bytes());
                    }
                }
                format!("{name} {:?}", String::from_utf8_lossy(field))
            }
        })
        .collect()
}

fn edit_json(copy: &mut [u8], count: usize, choices: &mut Choices) -> Vec<String> {
    let area = &mut copy[BINARY_BYTES..];
    let end = area.iter().position(|byte| *byte == 0).unwrap_or(0);
    let mut text = area[..end].to_vec();
    let mut edits = Vec::new();
    let mut node = Node::parse(&text);
    let of_text = (0..count).filter(|_| choices.once_in(5)).count();
    if count > of_text {
        for _ in of_text..count {
            edits.push(json_edits::edit(&mut node, choices));
        }
        text = node.to_text().into_bytes();
    }
    for _ in 0..of_text {
        edits.push(text_edits::edit(&mut text, choices));
    }
    text.truncate(area.len());
    area.fill(0);
    area[..text.len()].copy_from_slice(&text);
    if choices.once_in(60) {
        let at = choices.below(area.len());
        area[at] = choices.byte();
        edits.push(format!("area byte {at} = {:#x}", area[at]));
    }
    edits
}
