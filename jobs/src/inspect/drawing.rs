//! Where everything lies, as a drawing.

use std::fmt::Write as _;

use super::report::{RegionKind, Report};
use crate::text::escape;

/// A drawing in SVG: one band in which every region is seen, its width growing with the logarithm of its size, and the list
/// of offsets and sizes under it.
pub fn svg(report: &Report) -> String {
    const WIDTH: f64 = 960.0;
    const LINE: usize = 18;
    let regions = &report.map;
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
        let colour = colour(region.kind);
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

fn colour(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Header => "#3b6ea5",
        RegionKind::Json => "#8fb3d9",
        RegionKind::Keyslot => "#c9672b",
        RegionKind::Unbound => "#a08c50",
        RegionKind::Unused => "#ecd6c4",
        RegionKind::Gap => "#dddddd",
        RegionKind::Data => "#4f8a5b",
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
