//! Where everything lies: a list with bars for a terminal.

use std::fmt::Write as _;

use jobs::inspect::Report;

use crate::human;
use crate::output::escape;

/// A line for each region, with a bar as long as the region's share.
pub fn text(report: &Report) -> String {
    let regions = &report.map;
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
    for region in regions {
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
