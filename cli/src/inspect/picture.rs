//! Where everything lies, to scale, in a few lines of a terminal.

use std::fmt::Write as _;

use jobs::inspect::Report;
use jobs::inspect::report::{Region, RegionKind as Kind};

use crate::human;

/// Columns of a band, where there are no more parts than that.
const COLUMNS: u64 = 64;

/// A band for what lies before the data, one for the whole image, and what their letters mean. Each part has at least
/// one column; the others are given out to scale.
pub fn lines(report: &Report) -> Vec<String> {
    let regions = &report.map;
    let Some(end) = regions.last().map(|region| region.end) else {
        return Vec::new();
    };
    let data_start = report.data_start().filter(|start| *start > 0);
    let front_end = data_start.unwrap_or(end);
    let front: Vec<_> = regions
        .iter()
        .filter(|region| region.start < front_end)
        .map(|region| (region.kind, region.end.min(front_end) - region.start))
        .collect();
    let mut lines = vec![band(&front), format!("0 to {front_end}")];
    let mut kinds: Vec<_> = front.iter().map(|(kind, _)| *kind).collect();
    if data_start.is_some() {
        let front = (Kind::Header, front_end);
        let rest = regions.iter().filter(|region| region.start >= front_end);
        let whole: Vec<_> = std::iter::once(front)
            .chain(rest.map(|region| (region.kind, bytes(region))))
            .collect();
        kinds.extend(whole.iter().map(|(kind, _)| *kind));
        lines.push(band(&whole));
        lines.push(format!("0 to {end}; H is all of the above"));
    }
    let mut legend = String::new();
    for kind in KINDS.into_iter().filter(|kind| kinds.contains(kind)) {
        let part = format!("{} {}", letter(kind), meaning(kind));
        if legend.is_empty() {
            legend = part;
        } else if legend.len() + 2 + part.len() <= human::VALUE_COLUMNS {
            let _ = write!(legend, "  {part}");
        } else {
            lines.push(std::mem::replace(&mut legend, part));
        }
    }
    lines.push(legend);
    lines
}

/// Every kind, in the order in which they usually lie.
const KINDS: [Kind; 7] = [
    Kind::Header,
    Kind::Json,
    Kind::Keyslot,
    Kind::Unbound,
    Kind::Unused,
    Kind::Gap,
    Kind::Data,
];

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Header => 'H',
        Kind::Json => 'J',
        Kind::Keyslot => 'K',
        Kind::Unbound => 'U',
        Kind::Unused => '.',
        Kind::Gap => '_',
        Kind::Data => '#',
    }
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Header => "header",
        Kind::Json => "JSON area",
        Kind::Keyslot => "keyslot",
        Kind::Unbound => "unbound keyslot",
        Kind::Unused => "free for keyslots",
        Kind::Gap => "nothing",
        Kind::Data => "data",
    }
}

fn bytes(region: &Region) -> u64 {
    region.end.saturating_sub(region.start)
}

/// One column for each part, and what is left of the columns by size.
fn band(parts: &[(Kind, u64)]) -> String {
    let total: u128 = parts.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
    let spare = u128::from(COLUMNS).saturating_sub(parts.len() as u128);
    let mut text = String::from("[");
    let (mut sum, mut given) = (0, 0);
    for (kind, bytes) in parts {
        // Rounded by where the part ends, so that all columns are given out.
        sum += u128::from(*bytes);
        let until = sum * spare / total.max(1);
        for _ in 0..=until - given {
            text.push(letter(*kind));
        }
        given = until;
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_seen_and_large_ones_are_to_scale() {
        let parts = [
            (Kind::Header, 4096),
            (Kind::Json, 12288),
            (Kind::Keyslot, 1 << 20),
            (Kind::Unused, 1 << 20),
            (Kind::Data, 1 << 30),
        ];
        let drawn = band(&parts);
        assert_eq!(drawn.len(), 64 + 2, "{drawn}");
        assert!(
            drawn.starts_with("[HJK.#") && drawn.ends_with("##]"),
            "{drawn}"
        );
        let halves = band(&[(Kind::Keyslot, u64::MAX / 2), (Kind::Data, u64::MAX / 2)]);
        assert_eq!(halves.matches('K').count(), 32, "{halves}");
        assert_eq!(halves.matches('#').count(), 32, "{halves}");
        assert_eq!(band(&[(Kind::Gap, 0)]).len(), 3);
        assert_eq!(band(&[(Kind::Gap, 1); 100]).len(), 102);
    }
}
