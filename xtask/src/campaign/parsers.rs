//! The parsers and validators: what takes bytes, JSON, texts and numbers from elsewhere apart, and what holds them to
//! rules. Coverage and mutants are measured over these files.

use crate::workspace;

/// A package, its tests, and the files.
pub struct Parsers {
    pub package: &'static str,
    /// The tests beside the unit tests.
    pub test: Option<&'static str>,
    /// Tests that take tenths of a second and are of other code, by parts of their names.
    beside: &'static [&'static str],
    /// Tests that take seconds each and meet few rules of a parser that the others do not.
    slow: &'static [&'static str],
    /// Those that take minutes, and none: every state after a crash, of containers that are whole otherwise.
    longest: &'static [&'static str],
    /// Files, and folders for all files in them.
    files: &'static [&'static str],
}

/// How many tests are run.
#[derive(Clone, Copy)]
pub enum Tests {
    Quickest,
    Quick,
    /// All but the longest.
    Most,
}

pub const PARSERS: [Parsers; 4] = [
    Parsers {
        package: "luksmith-luks",
        test: Some("luks"),
        beside: &[
            "format::a_stream",
            "images::",
            "kdf_vectors::",
            "keyslots::",
        ],
        slow: &[
            "edit::the_sound",
            "golden::every",
            "headers::an_erased",
            "obligations::",
            "properties::",
            "repairs::a_damaged_copy",
            "round_trips::unknown",
            "side_by_side::",
            "tampering::a2",
            "testkit::",
        ],
        longest: &["crash", "backups::a_restore_over"],
        files: &[
            "luks/src/luks2.rs",
            "luks/src/luks2",
            "luks/src/luks1",
            "luks/src/codec.rs",
            "luks/src/store.rs",
            "luks/src/kdf/limits.rs",
            "luks/src/format/check.rs",
            "luks/src/device/segments.rs",
            "luks/src/policy.rs",
            "luks/src/policy",
        ],
    },
    Parsers {
        package: "luksmith-dmcrypt",
        test: Some("dmcrypt"),
        beside: &["aes_kernels::"],
        slow: &[],
        longest: &[],
        files: &["dmcrypt/src/spec.rs"],
    },
    Parsers {
        package: "luksmith-dmcrypt-plain",
        test: Some("plain"),
        beside: &[],
        slow: &[],
        longest: &[],
        files: &["dmcrypt-plain/src/key.rs", "dmcrypt-plain/src/open.rs"],
    },
    Parsers {
        package: "luksmith-jobs",
        test: None,
        beside: &[],
        slow: &[],
        longest: &[],
        files: &["jobs/src/key_source/encoding.rs"],
    },
];

impl Parsers {
    /// Options of `cargo test`.
    pub fn tests(&self, with_unit_tests: bool) -> Vec<&'static str> {
        let unit_tests = with_unit_tests.then_some("--lib");
        let others = self.test.map(|name| ["--test", name]);
        unit_tests
            .into_iter()
            .chain(others.into_iter().flatten())
            .collect()
    }

    /// Options of the test programs that leave out what takes too long.
    pub fn skips(&self, tests: Tests) -> Vec<&'static str> {
        let (beside, slow) = match tests {
            Tests::Quickest => (self.beside, self.slow),
            Tests::Quick => (&[][..], self.slow),
            Tests::Most => (&[][..], &[][..]),
        };
        let left_out = beside.iter().chain(slow).chain(self.longest);
        left_out.flat_map(|part| ["--skip", part]).collect()
    }

    /// Whether there is more to run than the quickest tests.
    pub fn has_slower(&self) -> bool {
        !self.beside.is_empty() || !self.slow.is_empty()
    }

    /// The files from the root, folders opened.
    pub fn files(&self) -> Result<Vec<String>, String> {
        let mut files = Vec::new();
        for path in self.files {
            let full = workspace::root().join(path);
            if full.is_file() {
                files.push((*path).to_owned());
                continue;
            }
            let entries =
                std::fs::read_dir(&full).map_err(|error| format!("{}: {error}", full.display()))?;
            let mut inside = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|error| format!("{}: {error}", full.display()))?;
                inside.push(format!("{path}/{}", entry.file_name().to_string_lossy()));
            }
            inside.sort();
            files.extend(inside);
        }
        Ok(files)
    }
}
