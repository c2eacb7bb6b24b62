//! The parsers and validators: what takes bytes, JSON, texts and numbers from elsewhere apart, and what holds them to
//! rules. Coverage and mutants are measured over these files.

use crate::workspace;

/// The package, the options of `cargo test` that select the tests of its parsers, and the files.
pub struct Parsers {
    pub package: &'static str,
    pub tests: &'static [&'static str],
    /// Modules of tests that take seconds each and meet few rules of a parser that the others do not.
    pub slow: &'static [&'static str],
    /// Files, and folders for all files in them.
    files: &'static [&'static str],
}

pub const PARSERS: [Parsers; 4] = [
    Parsers {
        package: "luksmith-luks",
        tests: &["--lib", "--test", "luks"],
        slow: &[
            "backups::",
            "conversions::",
            "crash::",
            "headers::",
            "repairs::",
            "side_by_side::",
            "tampering::",
            "tokens::",
        ],
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
        tests: &["--lib", "--test", "dmcrypt"],
        slow: &[],
        files: &["dmcrypt/src/spec.rs"],
    },
    Parsers {
        package: "luksmith-dmcrypt-plain",
        tests: &["--lib", "--test", "plain"],
        slow: &[],
        files: &["dmcrypt-plain/src/key.rs", "dmcrypt-plain/src/open.rs"],
    },
    Parsers {
        package: "luksmith",
        tests: &["--lib"],
        slow: &[],
        files: &["cli/src/passphrase/encoding.rs"],
    },
];

impl Parsers {
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
