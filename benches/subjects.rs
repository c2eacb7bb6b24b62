//! The subjects, one file for each.

mod clones;
mod headers;
mod images;
mod in_place;
mod ivs;
mod jobs_in_place;
mod kdfs;
mod mount;
mod sector_ciphers;
mod serve;
mod volumes;

use crate::harness::{Chart, Effort};

/// Something to measure.
#[derive(Clone, Copy)]
pub struct Subject {
    /// For the command line and for the page.
    pub name: &'static str,
    /// Hands out one chart after the other.
    pub measure: fn(&Effort, &mut dyn FnMut(Chart)),
}

/// All of them.
pub const ALL: [Subject; 10] = [
    Subject {
        name: "sector-ciphers",
        measure: sector_ciphers::measure,
    },
    Subject {
        name: "ivs",
        measure: ivs::measure,
    },
    Subject {
        name: "kdfs",
        measure: kdfs::measure,
    },
    Subject {
        name: "headers",
        measure: headers::measure,
    },
    Subject {
        name: "volumes",
        measure: volumes::measure,
    },
    Subject {
        name: "images",
        measure: images::measure,
    },
    Subject {
        name: "clones",
        measure: clones::measure,
    },
    Subject {
        name: "serve",
        measure: serve::measure,
    },
    Subject {
        name: "mount",
        measure: mount::measure,
    },
    Subject {
        name: "in-place",
        measure: jobs_in_place::measure,
    },
];

/// The subject of that name.
pub fn find(name: &str) -> Option<Subject> {
    ALL.into_iter().find(|subject| subject.name == name)
}

/// All names, for a message.
pub fn names() -> String {
    ALL.map(|subject| subject.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every contestant that needs nothing from outside does its work once; no time is looked at.
    #[test]
    fn every_subject_runs() {
        for subject in ALL {
            let mut charts = 0;
            (subject.measure)(&Effort::SMOKE, &mut |chart| {
                charts += 1;
                assert!(!chart.rows.is_empty(), "{chart}");
                assert!(chart.missing.is_empty(), "{chart}");
                for row in &chart.rows {
                    assert!(row.value.is_finite() && row.value > 0.0, "{chart}");
                }
                assert_eq!(chart.json(subject.name)["subject"], subject.name);
            });
            assert!(charts > 0, "{}", subject.name);
            println!("cases: bench-{} {charts} passed, 0 failed", subject.name);
        }
        assert!(find("ivs").is_some() && find("iv").is_none());
    }
}
