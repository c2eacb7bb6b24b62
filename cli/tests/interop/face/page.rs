//! The page that lists the differences, held to the rows.

use std::collections::BTreeMap;

use super::{all_rows, mapped, rows_in_place};

/// A line of the page for each reason, with the number of rows that it stands at; what stands most often first.
fn lines() -> Vec<String> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for row in all_rows().into_iter().chain(rows_in_place()) {
        if let Some(reason) = row.difference() {
            *reasons.entry(reason.to_owned()).or_default() += 1;
        }
    }
    for reason in mapped::differences() {
        *reasons.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    reasons
        .iter()
        .map(|(reason, count)| format!("| {count} | {reason} |"))
        .collect()
}

#[test]
fn the_page_of_differences_has_every_reason() {
    let page = include_str!("../../../../docs/differences.md");
    let listed: Vec<_> = page
        .lines()
        .skip_while(|line| *line != "| --- | --- |")
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let lines = lines();
    assert!(
        listed == lines,
        "docs/differences.md should have\n{}",
        lines.join("\n")
    );
}
