//! Both copies: which one counts in each combination, writes that were cut off, sectors that are lost
//! (LUKS2 specification 2.1, 4.5).

use super::images::{BINARY, BOTH, COPY, Luks2, with};
use super::kit::{Copy, Expect, Kit, invalid};

const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    Old,
    Checksum,
    Magic,
    Member,
}

const STATES: [(State, &str); 5] = [
    (State::New, "new"),
    (State::Old, "old"),
    (State::Checksum, "bad-checksum"),
    (State::Magic, "no-magic"),
    (State::Member, "bad-json"),
];

impl State {
    fn epoch(self) -> Option<u64> {
        match self {
            Self::New => Some(9),
            Self::Old => Some(8),
            _ => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Checksum => "Checksum",
            Self::Magic => "Magic",
            Self::Member => "Member.Missing",
            Self::New | Self::Old => "Older",
        }
    }

    fn put(self, kit: &Kit, image: Luks2, copy: usize) -> Luks2 {
        let image = image.epoch(copy, if self == Self::Old { 8 } else { 9 });
        let image = match self {
            Self::New => image.binary(&[copy], 24, b"new\0"),
            Self::Old => image.binary(&[copy], 24, b"old\0"),
            Self::Checksum => {
                let mut image = image.image;
                image[copy + 5000] ^= 1;
                image
            }
            Self::Magic => with(&image.image, copy, &[0; 6]),
            Self::Member => {
                let text = kit.metadata().remove("tokens").text();
                image.json(&[copy], text.as_bytes())
            }
        };
        Luks2 { image }
    }
}

pub fn add(kit: &mut Kit) {
    combinations(kit);
    differing(kit);
    torn(kit);
    lost_sectors(kit);
}

fn combinations(kit: &mut Kit) {
    for (primary, primary_name) in STATES {
        for (secondary, secondary_name) in STATES {
            let image = primary.put(kit, kit.luks2(), 0);
            let image = secondary.put(kit, image, COPY).image;
            let expect = match (primary.epoch(), secondary.epoch()) {
                (Some(a), Some(b)) if a == b => Expect::Opens,
                (Some(a), Some(b)) if a > b => Expect::Recovers(Copy::Primary, "Older"),
                (Some(_), Some(_)) => Expect::Recovers(Copy::Secondary, "Older"),
                (Some(_), None) => Expect::Recovers(Copy::Primary, secondary.kind()),
                (None, Some(_)) => Expect::Recovers(Copy::Secondary, primary.kind()),
                (None, None) if primary == State::Magic && secondary == State::Magic => {
                    invalid("NotLuks")
                }
                (None, None) if primary == secondary => invalid(primary.kind()),
                (None, None) => {
                    let (a, b) = (primary.kind(), secondary.kind());
                    invalid(&format!("BothCopies({a}, {b})"))
                }
            };
            let case = kit.add(
                "luks2",
                &format!("luks2-copies/{primary_name}-{secondary_name}"),
                &format!("the primary is {primary_name} (epoch 9, 8 when old), the secondary {secondary_name}"),
                "LUKS2 2.1, 4.5",
                &expect,
                &image,
            );
            case.epoch = primary.epoch().max(secondary.epoch());
            if primary == State::Member && primary == secondary {
                case.path = Some("tokens".to_owned());
            }
        }
    }
}

/// The same epoch, and not the same metadata.
fn differing(kit: &mut Kit) {
    let token = kit.metadata().remove("tokens.0").text();
    let keyslot = kit.metadata().set("keyslots.1.priority", "2").text();
    let iterations = kit.metadata().set("digests.0.iterations", "1001").text();
    for (name, what, image) in [
        (
            "label",
            "label",
            kit.luks2().binary(&[COPY], 24, b"other\0"),
        ),
        (
            "uuid",
            "uuid",
            kit.luks2()
                .binary(&[COPY], 168, b"5eed0000-0002-4000-8000-00000000ffff"),
        ),
        (
            "subsystem",
            "subsystem",
            kit.luks2().binary(&[COPY], 208, b"other\0"),
        ),
        (
            "token",
            "tokens",
            kit.luks2().json(&[COPY], token.as_bytes()),
        ),
        (
            "keyslot",
            "keyslots",
            kit.luks2().json(&[COPY], keyslot.as_bytes()),
        ),
        (
            "digest",
            "digests",
            kit.luks2().json(&[COPY], iterations.as_bytes()),
        ),
    ] {
        kit.add(
            "luks2",
            &format!("luks2-copies/differ-{name}"),
            &format!(
                "the copies have the same epoch, checksums that are right, and another {what}"
            ),
            "LUKS2 2",
            &invalid("CopiesDiffer"),
            &image,
        );
    }
    let pretty: serde_json::Value =
        serde_json::from_str(&kit.luks2().text()).expect("the base's metadata are JSON");
    let pretty = format!("{pretty:#}");
    let image = kit.luks2().json(&[COPY], pretty.as_bytes());
    kit.add(
        "luks2",
        "luks2-copies/differ-blanks",
        "the copies have the same metadata, written with other blanks",
        "LUKS2 2, RFC 8259 2",
        &Expect::Opens,
        &image,
    );
}

/// A write of one copy that was cut off after each sector, or before each, and of a header over something else.
fn torn(kit: &mut Kit) {
    // Metadata up to the end of the area, of which every sector of the JSON area is another one.
    let full = |filler: &str| {
        let short = format!("\"{filler}\"");
        let with_rest = |rest: usize| {
            kit.metadata()
                .set("keyslots.0.x", &short)
                .set("keyslots.1.x", &short)
                .set("segments.0.x", &short)
                .set("digests.0.x", &short)
                .set("config.x", &format!("\"{}\"", filler.repeat(rest)))
                .text()
        };
        with_rest(COPY - BINARY - with_rest(0).len() - 1)
    };
    let (old, new) = (full("o"), full("n"));
    let whole = |text: &str, epoch: u64| {
        let image = kit.luks2().json(BOTH, text.as_bytes());
        Luks2 { image }.epoch(0, epoch).epoch(COPY, epoch).image
    };
    let (old, new) = (whole(&old, 8), whole(&new, 9));
    let rule = "LUKS2 4, 4.5";
    let mut add = |name: String, what: String, expect: Expect, epoch: u64, image: Vec<u8>| {
        kit.add("luks2", &name, &what, rule, &expect, &image).epoch = Some(epoch);
    };
    for (name, image, epoch) in [("old", &old, 8), ("new", &new, 9)] {
        add(
            format!("luks2-torn/{name}"),
            format!("the {name} header, whole in both copies"),
            Expect::Opens,
            epoch,
            image.clone(),
        );
    }
    // Sectors 1 to 7 are padding, the same in both: being cut off there is one case.
    for sectors in (1..COPY / SECTOR).filter(|sectors| !(2..=8).contains(sectors)) {
        let at = sectors * SECTOR;
        let image = with(&old, 0, &new[..at]);
        add(
            format!("luks2-torn/primary-{sectors:02}"),
            format!("the first {sectors} sectors of the new primary are written, the rest is old"),
            Expect::Recovers(Copy::Secondary, "Checksum"),
            8,
            image,
        );
        let image = with(&old, 0, &new[..COPY + at]);
        add(
            format!("luks2-torn/secondary-{sectors:02}"),
            format!(
                "the new primary and the first {sectors} sectors of the new secondary are written, the rest is old"
            ),
            Expect::Recovers(Copy::Primary, "Checksum"),
            9,
            image,
        );
        let image = with(&old, at, &new[at..COPY]);
        add(
            format!("luks2-torn/primary-from-{sectors:02}"),
            format!("the new primary is written from sector {sectors} on, what lies before is old"),
            Expect::Recovers(Copy::Secondary, "Checksum"),
            8,
            image,
        );
    }
    for sectors in 1..COPY / SECTOR {
        let rest = vec![0xA5; COPY - sectors * SECTOR];
        for (copy, name, left) in [
            (0, "primary", Copy::Secondary),
            (COPY, "secondary", Copy::Primary),
        ] {
            let image = with(&new, copy + sectors * SECTOR, &rest);
            add(
                format!("luks2-torn/over-{name}-{sectors:02}"),
                format!(
                    "the first {sectors} sectors of the {name} are written over something else"
                ),
                Expect::Recovers(left, "Checksum"),
                9,
                image,
            );
        }
    }
    let image = with(&with(&old, 0, &new[..4608]), COPY, &new[COPY..COPY + 4608]);
    kit.add(
        "luks2",
        "luks2-torn/both",
        "both copies are cut off after 9 sectors",
        rule,
        &invalid("Checksum"),
        &image,
    );
}

/// One sector that the disk lost, at each place.
fn lost_sectors(kit: &mut Kit) {
    for sector in 0..2 * COPY / SECTOR {
        let image = with(&kit.luks2().image, sector * SECTOR, &[0xFF; SECTOR]);
        let is_first = sector % (COPY / SECTOR) == 0;
        let (left, name) = if sector < COPY / SECTOR {
            (Copy::Secondary, "primary")
        } else {
            (Copy::Primary, "secondary")
        };
        kit.add(
            "luks2",
            &format!("luks2-lost-sector/{sector:02}"),
            &format!("sector {sector}, of the {name}, is full of the byte 0xff"),
            "LUKS2 4.5",
            &Expect::Recovers(left, if is_first { "Magic" } else { "Checksum" }),
            &image,
        );
    }
}
