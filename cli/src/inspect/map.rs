//! Where everything lies: a list with bars for a terminal, or a drawing to scale as SVG.

use std::fmt::Write as _;

use luks::luks2::BinaryHeader;

use crate::human;
use crate::output::escape;
use jobs::inspect::Report;

/// One stretch of the image.
#[derive(Debug, Eq, PartialEq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// What it is.
    pub name: String,
    /// Its kind, for the colour.
    pub kind: Kind,
}

/// The kinds of regions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A header copy, or the binary part of one.
    Header,
    /// The JSON area of a header copy.
    Json,
    /// The area of a keyslot whose key opens the data, or of one that holds no key.
    Keyslot,
    /// The area of a keyslot whose key opens no data.
    Unbound,
    /// A part of the keyslots area that no keyslot uses.
    Unused,
    /// Bytes that belong to nothing.
    Gap,
    /// Data.
    Data,
}

/// The regions in order, without a gap between them.
pub fn regions(report: &Report) -> Vec<Region> {
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
        add(start, binary, name.into(), Kind::Header);
        let json = report.header_bytes - binary;
        if json > 0 {
            let name = name.replace("header", "JSON area");
            add(start + binary, json, name, Kind::Json);
        }
    }
    for slot in &report.keyslots {
        let name = format!(
            "keyslot {} ({})",
            slot.id,
            slot.kdf.as_ref().map_or(slot.kind.as_str(), |kdf| kdf.kind)
        );
        let kind = if slot.bound || slot.kdf.is_none() {
            Kind::Keyslot
        } else {
            Kind::Unbound
        };
        add(slot.area_offset, slot.area_bytes, name, kind);
    }
    for segment in report
        .segments
        .iter()
        .filter(|segment| segment.offset < report.image_bytes)
    {
        let rest = report.image_bytes - segment.offset;
        let name = format!(
            "segment {} ({})",
            segment.id,
            segment.cipher.as_deref().unwrap_or(&segment.kind)
        );
        if !segment.flags.iter().any(|flag| flag.starts_with("backup-")) {
            add(
                segment.offset,
                segment.bytes.unwrap_or(rest).min(rest),
                name,
                Kind::Data,
            );
        }
    }
    parts.sort_by_key(|region| region.start);

    let keyslots = report.keyslots_offset..report.keyslots_offset + report.keyslots_bytes;
    let filler = |start, end| {
        let kind = if keyslots.contains(&start) {
            Kind::Unused
        } else {
            Kind::Gap
        };
        let name = if kind == Kind::Unused {
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

/// A line for each region, with a bar as long as the region's share.
pub fn text(report: &Report) -> String {
    let regions = regions(report);
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let numbers = regions
        .last()
        .map_or(1, |region| region.end.to_string().len());
    let names = width(
        &mut regions
            .iter()
            .map(|region| escape(&region.name).chars().count()),
    );
    // What is left of a line, and at least something that grows.
    let bar_columns = human::COLUMNS
        .saturating_sub(2 * numbers + names + 6)
        .max(8) as u64;
    let total = regions.last().map_or(1, |region| region.end.max(1));
    let mut text = String::new();
    for region in &regions {
        let bytes = region.end - region.start;
        // At least one block, so that small regions are seen.
        let blocks = (u128::from(bytes) * u128::from(bar_columns) / u128::from(total)).max(1);
        let bar = "█".repeat(usize::try_from(blocks).unwrap_or(1));
        let _ = writeln!(
            text,
            "{:>numbers$}  {:>numbers$}  {:<names$}  {bar}",
            region.start,
            bytes,
            escape(&region.name)
        );
    }
    text
}

/// A drawing: one band in which every region is seen, its width growing with the logarithm of its size, and the list
/// of offsets and sizes under it.
pub fn svg(report: &Report) -> String {
    const WIDTH: f64 = 960.0;
    const LINE: usize = 18;
    let regions = regions(report);
    let weights: Vec<f64> = regions
        .iter()
        .map(|region| weight(region.end - region.start))
        .collect();
    let total: f64 = weights.iter().sum::<f64>().max(1.0);
    let height = 110 + LINE * regions.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>{0}</title>\n<text x=\"20\" y=\"24\" font-size=\"16\">{0}</text>\n",
        xml(&format!(
            "{} {}",
            report.kind.to_uppercase(),
            escape(&report.image)
        ))
    );
    let mut x = 20.0;
    for (index, (region, weight)) in regions.iter().zip(&weights).enumerate() {
        let width = WIDTH * weight / total;
        let bytes = region.end - region.start;
        let name = xml(&escape(&region.name));
        let colour = region.kind.colour();
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"40\" width=\"{width:.1}\" height=\"40\" fill=\"{colour}\" stroke=\"#fff\">\
             <title>{name}: {bytes} bytes at {}</title></rect>",
            region.start
        );
        let y = 110 + LINE * index;
        let _ = writeln!(
            svg,
            "<rect x=\"20\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"40\" y=\"{y}\">{name}</text>\
             <text x=\"620\" y=\"{y}\" text-anchor=\"end\">{}</text>\
             <text x=\"800\" y=\"{y}\" text-anchor=\"end\">{bytes}</text>",
            y - 10,
            region.start
        );
        x += width;
    }
    svg.push_str("</svg>\n");
    svg
}

impl Kind {
    /// Its name for a program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Json => "json",
            Self::Keyslot => "keyslot",
            Self::Unbound => "unbound",
            Self::Unused => "free",
            Self::Gap => "gap",
            Self::Data => "data",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Header => "#3b6ea5",
            Self::Json => "#8fb3d9",
            Self::Keyslot => "#c9672b",
            Self::Unbound => "#a08c50",
            Self::Unused => "#ecd6c4",
            Self::Gap => "#dddddd",
            Self::Data => "#4f8a5b",
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a width on a drawing needs no more than a double holds"
)]
fn weight(bytes: u64) -> f64 {
    (bytes.max(2) as f64).log2()
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
