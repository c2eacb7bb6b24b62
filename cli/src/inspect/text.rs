//! The report for a person.

use std::fmt::Write as _;

use jobs::inspect::Report;
use jobs::inspect::halfway::Halfway;
use jobs::inspect::report::{Keyslot, Segment};

use super::picture;
use crate::human::{self, size};
use crate::output::escape;

/// One screen: the container, its data, its keyslots with what a guess costs, and everything else that is there.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| human::row(&mut text, name, &value);
    line(
        "image",
        format!("{}, {}", escape(&report.image), size(report.image_bytes)),
    );
    if let Some(data) = &report.data {
        line("data", format!("{}, {}", data.image, size(data.bytes)));
    }
    line("type", report.kind.to_uppercase());
    line("UUID", escape(&report.uuid));
    for (name, value) in [("label", &report.label), ("subsystem", &report.subsystem)] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            line(name, escape(value));
        }
    }
    let copies = if report.header_copies == 2 {
        "two copies of"
    } else {
        "one header of"
    };
    let epoch = report
        .epoch
        .map_or(String::new(), |epoch| format!(", epoch {epoch}"));
    line(
        "header",
        format!("{copies} {}{epoch}", size(report.header_bytes)),
    );
    line(
        "keyslots",
        format!(
            "{} at {}",
            size(report.keyslots_bytes),
            report.keyslots_offset
        ),
    );
    if !report.flags.is_empty() {
        line("flags", escape(&report.flags.join(", ")));
    }
    if !report.requirements.is_empty() {
        line("requires", escape(&report.requirements.join(", ")));
    }
    if let Some(halfway) = &report.reencryption {
        for (name, value) in reencryption_rows(halfway) {
            line(name, value);
        }
    }
    for segment in &report.segments {
        line(&format!("segment {}", segment.id), segment_line(segment));
    }
    for keyslot in &report.keyslots {
        let (first, second) = keyslot_lines(keyslot);
        line(&format!("keyslot {}", keyslot.id), first);
        line("", second);
    }
    for digest in &report.digests {
        let hash = digest.hash.as_deref().map_or("unknown type".into(), escape);
        let cost = digest.iterations.map_or(String::new(), |iterations| {
            format!(", {iterations} iterations")
        });
        line(
            &format!("digest {}", digest.id),
            format!("{hash}{cost}, keyslots {}", ids(&digest.keyslots)),
        );
    }
    for token in &report.tokens {
        line(
            &format!("token {}", token.id),
            format!("{}, keyslots {}", escape(&token.kind), ids(&token.keyslots)),
        );
    }
    if let Some(seal) = &report.seal {
        let version = match seal.version {
            Some(version) => format!("version {version}"),
            None => "of no version".to_owned(),
        };
        let token = seal.token;
        line(
            "seal",
            format!("token {token}, {version}, unchecked: only a key tells whether it is right"),
        );
    }
    let mut name = "map";
    for picture_line in picture::lines(report) {
        // Its blanks are part of the picture.
        let _ = writeln!(text, "{name:<12}{picture_line}");
        name = "";
    }
    for warning in &report.warnings {
        human::row(&mut text, "warning", &escape(warning));
    }
    text
}

/// A reencryption that is under way: what it is, which bytes are how far, and what finishes it.
fn reencryption_rows(halfway: &Halfway) -> Vec<(&'static str, String)> {
    let state = match halfway.state {
        "finished" => "all data is done",
        "hot" => "a crash left a zone half written",
        _ => "under way",
    };
    let proof = if halfway.digest {
        ""
    } else {
        ", no digest proves it"
    };
    let mut rows = vec![(
        "reencrypts",
        format!(
            "{}, {}, resilience {}: {state}{proof}",
            halfway.mode, halfway.direction, halfway.resilience
        ),
    )];
    for part in &halfway.parts {
        let name = match part.progress {
            "hot" => "  hot",
            "old" => "  old",
            _ => "  new",
        };
        let bytes = part.bytes.map_or("to the end".into(), size);
        rows.push((name, format!("{bytes} from {}", part.offset)));
    }
    let left = match halfway.left_bytes {
        Some(left) => size(left),
        None => "as much as there is: the data is in another file (inspect DATA --header FILE)"
            .to_owned(),
    };
    rows.push(("  left", left));
    let finished_by = match &halfway.finished_by {
        Some(command) => escape(command),
        None => "nothing that keeps the data; `luksmith decrypt` reads it".to_owned(),
    };
    rows.push(("  next", finished_by));
    rows
}

fn segment_line(segment: &Segment) -> String {
    let size = segment.bytes.map_or("to the end".into(), size);
    let mut line = format!("{}, {size} from {}", escape(&segment.kind), segment.offset);
    if let (Some(cipher), Some(sector)) = (&segment.cipher, segment.sector_size) {
        let _ = write!(line, ", {}, sectors of {sector} bytes", escape(cipher));
    }
    if let Some(tweak) = segment.iv_tweak.filter(|tweak| *tweak != 0) {
        let _ = write!(line, ", first IV {tweak}");
    }
    if segment.integrity {
        line.push_str(", with authentication tags");
    }
    if !segment.flags.is_empty() {
        let _ = write!(line, ", flags {}", escape(&segment.flags.join(", ")));
    }
    line
}

fn keyslot_lines(keyslot: &Keyslot) -> (String, String) {
    let mut first = match &keyslot.kdf {
        Some(kdf) => {
            let mut text = kdf.kind.to_owned();
            let _ = match (kdf.hash, kdf.memory_kib, kdf.lanes) {
                (Some(hash), ..) => write!(text, "-{hash}, {} iterations", kdf.iterations),
                (_, Some(memory), Some(lanes)) => {
                    write!(
                        text,
                        ", {} over {}, {}",
                        count(kdf.iterations, "pass", "passes"),
                        human::kib(memory.into()),
                        count(lanes, "lane", "lanes")
                    )
                }
                _ => Ok(()),
            };
            text
        }
        None if keyslot.reencryption == Some("none") => {
            "reencrypt, what the reencryption does and how it is protected".to_owned()
        }
        None => format!("{}, key derivation not known", escape(&keyslot.kind)),
    };
    if let Some(guess) = &keyslot.guess {
        let _ = write!(first, "; a guess takes {}", guess.time());
        if guess.memory_kib != 0 {
            let _ = write!(first, " and {}", human::kib(guess.memory_kib.into()));
        }
    }
    let mut second = match keyslot.key_bits {
        0 => "no key".to_owned(),
        bits => format!("key of {bits} bits"),
    };
    if let Some(cipher) = &keyslot.area_cipher {
        let _ = write!(second, " under {}", escape(cipher));
    }
    let _ = write!(
        second,
        ", {} at {}",
        size(keyslot.area_bytes),
        keyslot.area_offset
    );
    if keyslot.priority != "normal" {
        let _ = write!(second, ", priority {}", keyslot.priority);
    }
    if keyslot.reencryption == Some("left") {
        second.push_str(", of a key that is no more: still to be wiped");
    } else if !keyslot.bound && keyslot.key_bits != 0 {
        second.push_str(", unbound: opens no data");
    }
    (first, second)
}

fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn ids(ids: &[u32]) -> String {
    if ids.is_empty() {
        return "none".into();
    }
    ids.iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
