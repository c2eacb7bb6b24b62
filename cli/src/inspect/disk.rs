//! What is in a qcow2 image, for a person.

use jobs::inspect::disk::DiskReport;

use super::text;
use crate::human::{self, size};
use crate::output::escape;

/// One screen: the image, the disk in it, what it refers to, its snapshots, and its LUKS header.
pub fn render(report: &DiskReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| human::row(&mut text, name, &value);
    line(
        "image",
        format!("{}, {}", escape(&report.image), size(report.image_bytes)),
    );
    line("type", format!("qcow2, version {}", report.version));
    line("disk", size(report.disk_bytes));
    let parts = if report.extended_l2 {
        ", each in 32 parts"
    } else {
        ""
    };
    line(
        "clusters",
        format!(
            "{}{parts}, refcounts of {} bits, compression {}",
            size(report.cluster_bytes),
            report.refcount_bits,
            report.compression
        ),
    );
    if let Some(clusters) = &report.clusters {
        line(
            "",
            format!(
                "{}: {} with data, {} compressed, {} zeros by a mark, {} not there",
                clusters.total, clusters.data, clusters.compressed, clusters.zeros, clusters.absent
            ),
        );
    }
    if let Some(name) = &report.backing_file {
        let format = report.backing_format.as_deref();
        let format = format.map_or("format not said".to_owned(), escape);
        line("backing", format!("{} ({format})", escape(name)));
    }
    if let Some(name) = &report.data_file {
        let raw = if report.data_file_raw {
            ", which is the disk as it is"
        } else {
            ""
        };
        line("data", format!("{}{raw}", escape(name)));
    }
    let marks = [
        (report.lazy_refcounts, "lazy refcounts"),
        (report.dirty, "dirty"),
        (report.corrupt, "corrupt"),
    ];
    let marks: Vec<_> = marks
        .iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, mark)| *mark)
        .collect();
    if !marks.is_empty() {
        line("marks", marks.join(", "));
    }
    for snapshot in &report.snapshots {
        line(
            "snapshot",
            format!(
                "{} ({}), {}",
                escape(&snapshot.name),
                escape(&snapshot.id),
                size(snapshot.disk_bytes)
            ),
        );
    }
    match (&report.luks, report.luks_offset) {
        (Some(_), Some(offset)) => line("encryption", format!("LUKS, header at {offset}:")),
        _ => line("encryption", "none".to_owned()),
    }
    for warning in &report.warnings {
        line("warning", escape(warning));
    }
    if let Some(luks) = &report.luks {
        text.push('\n');
        text.push_str(&text::render(luks));
    }
    text
}
