//! cryptsetup's own command line, row by row beside the real one.
//!
//! A row of `face/*.rows` is a command line, with ` <<< ` and what stands on standard input behind it. Where it starts
//! with `~` it is typed on a terminal, one line of input for each prompt, with `|` between them. The files that it
//! names are copies of what `face/templates.sh` makes; `$C` are cheap key derivations.
//!
//! Both must end with the same exit code, standard output, first line of standard error (or screen) and files. Below a
//! row where they are meant to differ stands in what, what each of them ends with and says first, and why.
//! Of data that are changed in place the plaintext is compared.

mod compare;
mod dumps;
mod in_place;
mod json_c;
mod mapped;
mod mapping;
mod page;
mod row;
mod run;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::common::{PROGRAM, Place, check_all};
use compare::{Aspect, Differences, compare_folders};
use row::{Row, rows};
use run::{Outcome, run};

/// What every row shares: the templates, a link to our program that is named cryptsetup, and what was tried before.
struct Bench {
    place: Place,
    folders: AtomicUsize,
    /// cryptsetup's exit code for the SHA-256 of an image and, behind it, a passphrase.
    tried: Mutex<HashMap<Vec<u8>, i32>>,
}

impl Bench {
    fn new() -> Self {
        let place = Place::new();
        for folder in ["templates", "bin", "rows"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        symlink(PROGRAM, place.path("bin/cryptsetup")).unwrap();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop/face/templates.sh"
        );
        place.succeed(
            Command::new("sh")
                .args(["-c", "cd templates && . \"$0\"", script])
                .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin"),
        );
        Self {
            place,
            folders: AtomicUsize::new(0),
            tried: Mutex::default(),
        }
    }

    fn template(&self, name: &str) -> PathBuf {
        self.place.path("templates").join(name)
    }

    /// A new folder with those files that the row names.
    fn folder(&self, row: &Row) -> PathBuf {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.place.path(format!("rows/{number}"));
        fs::create_dir(&folder).unwrap();
        let files: Vec<PathBuf> = row
            .names()
            .map(|name| self.template(name))
            .filter(|path| path.exists())
            .collect();
        if !files.is_empty() {
            let mut copy = Command::new("cp");
            copy.args(["-r", "--sparse=always"]).args(files);
            self.place.succeed(copy.arg(&folder));
        }
        folder
    }

    /// Whether the real cryptsetup opens an image with a passphrase: its exit code.
    fn opens(&self, image: &Path, content: &[u8], passphrase: &[u8]) -> i32 {
        let mut key = Sha256::digest(content).to_vec();
        key.extend(passphrase);
        if let Some(code) = self.tried.lock().unwrap().get(&key) {
            return *code;
        }
        let mut command = Command::new("cryptsetup");
        command.args(["open", "--test-passphrase", "-q"]).arg(image);
        // Standard input to its end, newlines too; an empty passphrase is a line without anything.
        let typed = if passphrase.is_empty() {
            b"\n"
        } else {
            command.args(["--key-file", "-"]);
            passphrase
        };
        let code = run::on_pipes(&mut command, typed).code;
        self.tried.lock().unwrap().insert(key, code);
        code
    }
}

#[track_caller]
fn check(bench: &Bench, row: &Row) {
    let theirs = bench.folder(row);
    let ours = bench.folder(row);
    let by_them = run(Path::new("cryptsetup"), row, &theirs);
    let by_us = run(&bench.place.path("bin/cryptsetup"), row, &ours);
    let mut differences = Differences::default();
    if by_them.code != by_us.code {
        differences.add(Aspect::Code, &by_them.code, &by_us.code);
    }
    let said = |outcome: &Outcome| outcome.stderr.lines().next().map(str::to_owned);
    if row.on_terminal {
        if by_them.stdout != by_us.stdout {
            differences.add(Aspect::Screen, &by_them.stdout, &by_us.stdout);
        }
    } else {
        if by_them.stdout != by_us.stdout {
            differences.add(Aspect::Stdout, &by_them.stdout, &by_us.stdout);
        }
        if said(&by_them) != said(&by_us) {
            differences.add(Aspect::Stderr, &said(&by_them), &said(&by_us));
        }
    }
    compare_folders(bench, row, &theirs, &ours, &mut differences);
    fs::remove_dir_all(&theirs).unwrap();
    fs::remove_dir_all(&ours).unwrap();
    row.judge(&by_them, &by_us, &differences);
}

/// Every table, read.
fn all_rows() -> Vec<Row> {
    [
        ("grammar", include_str!("face/grammar.rows")),
        ("open", include_str!("face/open.rows")),
        ("format", include_str!("face/format.rows")),
        ("keys", include_str!("face/keys.rows")),
        ("halfway", include_str!("face/halfway.rows")),
        ("headers", include_str!("face/headers.rows")),
        ("openstack", include_str!("face/openstack.rows")),
    ]
    .into_iter()
    .flat_map(|(file, text)| rows(file, text))
    .collect()
}

/// The tables of what changes data in place.
fn rows_in_place() -> Vec<Row> {
    let mut all = rows("reencrypt", include_str!("face/reencrypt.rows"));
    all.extend(rows("decrypt", include_str!("face/decrypt.rows")));
    all
}

#[test]
fn each_row_in_place_ends_as_with_cryptsetup() {
    let bench = Bench::new();
    let rows = rows_in_place();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    // What begins as a copy of one image has one lock for all of its copies.
    let alone = Mutex::new(());
    check_all("cryptsetup's reencrypt", &rows, |row| {
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        check(&bench, row);
    });
}

#[test]
fn each_row_ends_as_with_cryptsetup() {
    let bench = Bench::new();
    let rows = all_rows();
    assert!(rows.len() >= 900, "{} rows", rows.len());
    check_all("cryptsetup's command line", &rows, |row| check(&bench, row));
}
