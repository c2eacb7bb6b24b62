/// Readers of the formats that vectors come in.
mod formats;
/// Hashes and HMAC.
mod hashes;
/// Sectors of a Linux kernel's dm-crypt, of every cipher it has.
mod linux;
/// Block ciphers with ECB and CBC.
mod modes;
/// AES-XTS.
mod xts;

use std::{collections::BTreeMap, env, path::PathBuf};

/// The folder of the vectors, or `None` with a line that says so.
fn vectors() -> Option<PathBuf> {
    let folder = env::var_os("LUKSMITH_CONFORMANCE");
    if folder.is_none() {
        println!("LUKSMITH_CONFORMANCE is not set: published vectors were not run");
    }
    folder.map(|folder| PathBuf::from(folder).join("vectors"))
}

/// What became of the vectors of one family.
struct Tally {
    family: &'static str,
    passed: usize,
    failed: Vec<String>,
    outside: BTreeMap<String, usize>,
}

impl Tally {
    fn new(family: &'static str) -> Self {
        Self {
            family,
            passed: 0,
            failed: Vec::new(),
            outside: BTreeMap::new(),
        }
    }

    fn check(&mut self, name: &str, holds: bool) {
        if holds {
            self.passed += 1;
        } else {
            self.failed.push(name.to_owned());
        }
    }

    fn outside(&mut self, reason: &str) {
        *self.outside.entry(reason.to_owned()).or_default() += 1;
    }

    /// Prints the line that the test run collects. `expected` is how many there are to pass: a folder that was moved must
    /// not look like success.
    fn finish(self, expected: usize) {
        let outside: usize = self.outside.values().sum();
        let reasons: Vec<String> = self
            .outside
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join(", "))
        };
        println!(
            "cases: {} {} passed, {} failed, {outside} outside{reasons}",
            self.family,
            self.passed,
            self.failed.len()
        );
        assert!(self.failed.is_empty(), "{}: {:?}", self.family, self.failed);
        assert_eq!(self.passed, expected, "{}", self.family);
    }
}
