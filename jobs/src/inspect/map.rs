//! Where everything lies.

use luks::luks2::BinaryHeader;

use super::report::{Region, RegionKind, Report, Segment};

/// The regions in order, without a gap between them.
pub(super) fn regions(report: &Report) -> Vec<Region> {
    let mut parts = Vec::new();
    let mut add = |start: u64, bytes: u64, name: String, kind| {
        parts.push(Region {
            start,
            end: start.saturating_add(bytes),
            name,
            kind,
        });
    };
    for copy in 0..report.header_copies {
        let name = match (report.header_copies, copy) {
            (1, _) => "header",
            (_, 0) => "primary header",
            _ => "secondary header",
        };
        let start = copy * report.header_bytes;
        // Of LUKS2 the rest of each copy is JSON.
        let binary = match report.header_copies {
            1 => report.header_bytes,
            _ => BinaryHeader::BYTES as u64,
        };
        add(start, binary, name.into(), RegionKind::Header);
        let json = report.header_bytes - binary;
        if json > 0 {
            let name = name.replace("header", "JSON area");
            add(start + binary, json, name, RegionKind::Json);
        }
    }
    for slot in &report.keyslots {
        let name = format!(
            "keyslot {} ({})",
            slot.id,
            slot.kdf.as_ref().map_or(slot.kind.as_str(), |kdf| kdf.kind)
        );
        let kind = if slot.bound || slot.kdf.is_none() {
            RegionKind::Keyslot
        } else {
            RegionKind::Unbound
        };
        add(slot.area_offset, slot.area_bytes, name, kind);
    }
    // With a header before it no data begins at 0, however far a reencryption has come: it is in another file then.
    let is_elsewhere = report.reencryption.is_some()
        && report
            .segments
            .iter()
            .any(|segment| segment.offset == 0 && !is_backup(segment));
    for segment in report
        .segments
        .iter()
        .filter(|segment| segment.offset < report.image_bytes && !is_elsewhere)
    {
        let rest = report.image_bytes - segment.offset;
        let parts = report
            .reencryption
            .iter()
            .flat_map(|halfway| &halfway.parts);
        let part = parts.into_iter().find(|part| part.segment == segment.id);
        let progress = match part.map(|part| part.progress) {
            Some("hot") => ", being written",
            Some("old") => ", old",
            Some(_) => ", new",
            None => "",
        };
        let name = format!(
            "segment {} ({}{progress})",
            segment.id,
            segment.cipher.as_deref().unwrap_or(&segment.kind)
        );
        if !is_backup(segment) {
            add(
                segment.offset,
                segment.bytes.unwrap_or(rest).min(rest),
                name,
                RegionKind::Data,
            );
        }
    }
    parts.sort_by_key(|region| region.start);

    let keyslots = report.keyslots_offset..report.keyslots_offset + report.keyslots_bytes;
    let filler = |start, end| {
        let kind = if keyslots.contains(&start) {
            RegionKind::Unused
        } else {
            RegionKind::Gap
        };
        let name = if kind == RegionKind::Unused {
            "unused keyslots area"
        } else {
            "unused"
        };
        Region {
            start,
            end,
            name: name.into(),
            kind,
        }
    };
    let mut all = Vec::new();
    let mut at = 0;
    for part in parts {
        // What lies between belongs to the keyslots area up to its end, and to nothing after it.
        while at < part.start {
            let end = if at < keyslots.start {
                part.start.min(keyslots.start)
            } else if at < keyslots.end {
                part.start.min(keyslots.end)
            } else {
                part.start
            };
            all.push(filler(at, end));
            at = end;
        }
        at = at.max(part.end);
        all.push(part);
    }
    if at < report.image_bytes {
        all.push(filler(at, report.image_bytes));
    }
    all
}

fn is_backup(segment: &Segment) -> bool {
    segment.flags.iter().any(|flag| flag.starts_with("backup-"))
}
