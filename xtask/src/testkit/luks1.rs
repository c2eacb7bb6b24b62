//! LUKS1's header (specification, figures 1 and 2): every field, and the layout.

use super::images::with;
use super::kit::{Expect, GRID32, Kit, invalid};

const ENABLED: u32 = 0x00AC_71F3;
const DISABLED: u32 = 0x0000_DEAD;
pub const RULE: &str = "LUKS1 figure 1";
const SLOT_RULE: &str = "LUKS1 figure 2";
pub const LAYOUT_RULE: &str = "LUKS1 1, 4.1";

pub fn add(kit: &mut Kit) {
    for base in ["luks1", "luks1-qemu"] {
        let image = kit.base(base).to_vec();
        let maker = if base == "luks1" {
            "cryptsetup"
        } else {
            "qemu-img"
        };
        kit.add(
            base,
            &format!("luks1/{base}"),
            &format!("as {maker} made it"),
            RULE,
            &Expect::Opens,
            &image,
        );
    }
    head(kit);
    texts(kit);
    keyslots(kit);
    layout(kit);
    ends(kit);
}

pub fn one(
    kit: &mut Kit,
    name: &str,
    what: &str,
    rule: &str,
    expect: &Expect,
    at: usize,
    bytes: &[u8],
) {
    let image = with(kit.base("luks1"), at, bytes);
    if image != kit.base("luks1") {
        kit.add(
            "luks1",
            &format!("luks1/{name}"),
            what,
            rule,
            expect,
            &image,
        );
    }
}

pub fn slot(id: usize) -> usize {
    208 + 48 * id
}

fn head(kit: &mut Kit) {
    for index in 0..6 {
        let byte = kit.base("luks1")[index] ^ 0x20;
        let what = format!("byte {index} of the magic is another");
        one(
            kit,
            &format!("magic-{index}"),
            &what,
            RULE,
            &invalid("NotLuks"),
            index,
            &[byte],
        );
    }
    for version in [0_u16, 2, 3, 4095, 4096, 65535] {
        let expect = if version == 2 {
            invalid("BothCopies(HeaderSize, Magic)")
        } else {
            invalid("Unsupported.Version")
        };
        one(
            kit,
            &format!("version-{version}"),
            &format!("version is {version}"),
            "LUKS1 3.2",
            &expect,
            6,
            &version.to_be_bytes(),
        );
    }
    for (label, value) in GRID32 {
        let payload = match value {
            1 => invalid("AreaInData"),
            _ => Expect::Opens,
        };
        let bytes = value.to_be_bytes();
        one(
            kit,
            &format!("payload-offset-{label}"),
            &format!("payload-offset is {value}"),
            LAYOUT_RULE,
            &payload,
            104,
            &bytes,
        );
        let key = match value {
            1 => Expect::Locked("Unsupported.Cipher"),
            _ => invalid("KeyBytes"),
        };
        one(
            kit,
            &format!("key-bytes-{label}"),
            &format!("key-bytes is {value}"),
            RULE,
            &key,
            108,
            &bytes,
        );
        let iterations = match value {
            0 => invalid("DigestIterations"),
            1..=0xFFFF => Expect::Locked("NoKeyFits"),
            _ => Expect::Locked("TooCostly"),
        };
        one(
            kit,
            &format!("mk-digest-iter-{label}"),
            &format!("mk-digest-iter is {value}"),
            RULE,
            &iterations,
            164,
            &bytes,
        );
    }
    for (value, expect) in [
        (7, invalid("AreaInData")),
        (8, invalid("AreaInData")),
        (1028, invalid("AreaInData")),
        (1029, Expect::Opens),
        (1030, Expect::Opens),
        (2047, Expect::Opens),
        (2049, Expect::Opens),
    ] {
        one(
            kit,
            &format!("payload-offset-{value}"),
            &format!("payload-offset is {value}; the last area ends at 1029"),
            LAYOUT_RULE,
            &expect,
            104,
            &u32::to_be_bytes(value),
        );
    }
    for (value, expect) in [
        (8_u32, Expect::Locked("Unsupported.Cipher")),
        (15, Expect::Locked("Unsupported.Cipher")),
        (17, invalid("AreaOverlap")),
        (24, invalid("AreaOverlap")),
        (32, invalid("AreaOverlap")),
        (64, invalid("AreaOverlap")),
    ] {
        one(
            kit,
            &format!("key-bytes-{value}"),
            &format!("key-bytes is {value}; there is room for 16 in each area"),
            LAYOUT_RULE,
            &expect,
            108,
            &value.to_be_bytes(),
        );
    }
    one(
        kit,
        "mk-digest",
        "one bit of mk-digest is another",
        RULE,
        &Expect::Locked("NoKeyFits"),
        112,
        &[kit.base("luks1")[112] ^ 1],
    );
    one(
        kit,
        "mk-digest-salt",
        "one bit of mk-digest-salt is another",
        RULE,
        &Expect::Locked("NoKeyFits"),
        132,
        &[kit.base("luks1")[132] ^ 1],
    );
    one(
        kit,
        "behind",
        "the bytes behind the header, up to the first area, are not zero",
        RULE,
        &Expect::Opens,
        592,
        &[0xA5; 4096 - 592],
    );
}

fn texts(kit: &mut Kit) {
    for (field, at, width) in [
        ("cipher-name", 8, 32),
        ("cipher-mode", 40, 32),
        ("hash-spec", 72, 32),
        ("uuid", 168, 40),
    ] {
        one(
            kit,
            &format!("{field}-unterminated"),
            &format!("{field} has no NUL at its end"),
            "LUKS1 3.1",
            &invalid("StringNotTerminated"),
            at,
            &vec![b'x'; width],
        );
        let now = kit.base("luks1")[at..at + width].to_vec();
        let end = now.iter().position(|byte| *byte == 0).expect("it ends");
        one(
            kit,
            &format!("{field}-blanks"),
            &format!("{field} ends in blanks instead of NULs"),
            "LUKS1 3.1",
            &invalid("StringNotTerminated"),
            at + end,
            &vec![b' '; width - end],
        );
        one(
            kit,
            &format!("{field}-not-ascii"),
            &format!("{field} starts with the byte 0xff"),
            "LUKS1 3.1",
            &invalid("StringNotText"),
            at,
            b"\xff",
        );
        one(
            kit,
            &format!("{field}-bytes-behind"),
            &format!("{field} holds other bytes behind its NUL"),
            "LUKS1 3.1",
            &Expect::Opens,
            at + end + 1,
            b"x",
        );
        let empty = if field == "uuid" {
            Expect::Opens
        } else {
            invalid("Spec")
        };
        one(
            kit,
            &format!("{field}-empty"),
            &format!("{field} is empty"),
            RULE,
            &empty,
            at,
            &vec![0; width],
        );
    }
    one(
        kit,
        "uuid-text",
        "uuid is no UUID",
        RULE,
        &Expect::Opens,
        168,
        b"this is no uuid at all, but it is text\0",
    );
}

fn keyslots(kit: &mut Kit) {
    for id in [0, 1, 3, 7] {
        let is_active = id == 0 || id == 3;
        for (label, value) in GRID32 {
            let bytes = value.to_be_bytes();
            one(
                kit,
                &format!("slot{id}-active-{label}"),
                &format!("active of keyslot {id} is {value}"),
                SLOT_RULE,
                &invalid("KeyslotState"),
                slot(id),
                &bytes,
            );
            let iterations = match (id, value) {
                (0 | 3, 0) => invalid("KeyslotIterations"),
                (0, 1..=0xFFFF) => Expect::Locked("NoKeyFits"),
                (0, _) => Expect::Locked("TooCostly"),
                _ => Expect::Opens,
            };
            let state = if is_active { "in use" } else { "not in use" };
            one(
                kit,
                &format!("slot{id}-iterations-{label}"),
                &format!("iterations of keyslot {id}, which is {state}, are {value}"),
                SLOT_RULE,
                &iterations,
                slot(id) + 4,
                &bytes,
            );
            let offset = match value {
                0 | 1 => invalid("AreaInHeader"),
                _ => invalid("AreaInData"),
            };
            one(
                kit,
                &format!("slot{id}-offset-{label}"),
                &format!("key-material-offset of keyslot {id} is {value}"),
                LAYOUT_RULE,
                &offset,
                slot(id) + 40,
                &bytes,
            );
            one(
                kit,
                &format!("slot{id}-stripes-{label}"),
                &format!("stripes of keyslot {id} are {value}"),
                SLOT_RULE,
                &invalid("Stripes"),
                slot(id) + 44,
                &bytes,
            );
        }
        for stripes in [3999_u32, 4001] {
            one(
                kit,
                &format!("slot{id}-stripes-{stripes}"),
                &format!("stripes of keyslot {id} are {stripes}"),
                SLOT_RULE,
                &invalid("Stripes"),
                slot(id) + 44,
                &stripes.to_be_bytes(),
            );
        }
        let (state, expect) = match id {
            0 => (DISABLED, Expect::Locked("NoKeyFits")),
            3 => (DISABLED, Expect::Opens),
            _ => (ENABLED, invalid("KeyslotIterations")),
        };
        let what = if is_active {
            "disabled, its parameters are kept"
        } else {
            "enabled, its parameters are zeros"
        };
        one(
            kit,
            &format!("slot{id}-switched"),
            &format!("keyslot {id} is {what}"),
            SLOT_RULE,
            &expect,
            slot(id),
            &state.to_be_bytes(),
        );
        let salt = kit.base("luks1")[slot(id) + 8] ^ 1;
        let expect = if id == 0 {
            Expect::Locked("NoKeyFits")
        } else {
            Expect::Opens
        };
        one(
            kit,
            &format!("slot{id}-salt"),
            &format!("one bit of the salt of keyslot {id} is another"),
            SLOT_RULE,
            &expect,
            slot(id) + 8,
            &[salt],
        );
    }
    let mut image = kit.base("luks1").to_vec();
    for id in [0, 3] {
        image = with(&image, slot(id), &DISABLED.to_be_bytes());
    }
    kit.add(
        "luks1",
        "luks1/no-keyslot",
        "no keyslot is in use",
        SLOT_RULE,
        &Expect::Locked("NoUsableKeyslot"),
        &image,
    );
}

/// Areas take 125 sectors; keyslot n has them at 8 + 128 n.
fn layout(kit: &mut Kit) {
    for (name, id, sector, expect) in [
        ("same", 1, 8_u32, invalid("AreaOverlap")),
        ("one-sector-shared", 1, 132, invalid("AreaOverlap")),
        ("touching", 1, 133, Expect::Opens),
        ("unaligned", 1, 135, Expect::Opens),
        ("shared-with-next", 1, 140, invalid("AreaOverlap")),
        ("first-on-second", 0, 136, invalid("AreaOverlap")),
        ("first-on-last", 0, 904, invalid("AreaOverlap")),
        ("behind-last", 0, 1029, Expect::Locked("NoKeyFits")),
        ("right-behind-header", 0, 2, Expect::Locked("NoKeyFits")),
        ("up-to-payload", 7, 1923, Expect::Opens),
        ("one-sector-in-payload", 7, 1924, invalid("AreaInData")),
        ("at-payload", 7, 2048, invalid("AreaInData")),
        ("first-behind-payload", 0, 2090, invalid("AreaInData")),
    ] {
        one(
            kit,
            &format!("layout-{name}"),
            &format!("keyslot {id} lies at sector {sector} ({name})"),
            LAYOUT_RULE,
            &expect,
            slot(id) + 40,
            &sector.to_be_bytes(),
        );
    }
    let mut image = kit.base("luks1").to_vec();
    for id in 1..8 {
        let swapped = u32::try_from(8 + 128 * (8 - id)).expect("a few sectors");
        image = with(&image, slot(id) + 40, &swapped.to_be_bytes());
    }
    kit.add(
        "luks1",
        "luks1/layout-reversed",
        "the areas of keyslots 1 to 7 lie in reversed order",
        LAYOUT_RULE,
        &Expect::Opens,
        &image,
    );
}

fn ends(kit: &mut Kit) {
    for bytes in [
        0, 5, 6, 7, 8, 207, 208, 511, 591, 592, 1024, 4096, 68095, 68096, 200_704, 264_704,
        1_048_576, 1_048_577,
    ] {
        let expect = match bytes {
            0..=5 => invalid("NotLuks"),
            6..=591 => invalid("Truncated"),
            592..=68095 => Expect::Locked("Truncated"),
            _ => Expect::Opens,
        };
        let image = kit.base("luks1")[..bytes].to_vec();
        kit.add(
            "luks1",
            &format!("luks1-end/{bytes}"),
            &format!("the file ends after {bytes} bytes"),
            LAYOUT_RULE,
            &expect,
            &image,
        );
    }
}
