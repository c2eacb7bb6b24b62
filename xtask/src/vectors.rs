//! `cargo xtask vectors`: makes the golden data again with the tools that its index names, or compares the two.
//!
//! An entry's commands run in a scratch folder of their own: `make` on this machine, then `kernel` in one boot of a real
//! kernel for all entries, then `after` on this machine; the file `from` of that folder is stored under `path`. A `script`
//! beside the data does all of that itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::{uml, workspace};

pub fn run(arguments: &[String]) -> Result<(), String> {
    let folder = workspace::root().join("test-vectors");
    if arguments.first().is_some_and(|first| first == "--check") {
        workspace::no_arguments("vectors --check", &arguments[1..])?;
        let count = check(&folder)?;
        println!("test-vectors: {count} files are as their index says");
        return Ok(());
    }
    if let Some(option) = arguments.iter().find(|argument| argument.starts_with('-')) {
        return Err(format!("vectors has no option {option}"));
    }
    regenerate(&folder, arguments)
}

/// Compares the files with the index: each is there, has its hash, and no other file lies beside them. Returns their number.
pub fn check(folder: &Path) -> Result<usize, String> {
    let entries = read_index(&folder.join("index.toml"))?;
    let mut problems = Vec::new();
    let mut listed = BTreeSet::new();
    for entry in &entries {
        if !listed.insert(entry.path.clone()) {
            problems.push(format!("{} is listed twice", entry.path));
        }
        match fs::read(folder.join(&entry.path)) {
            Ok(bytes) if hex_sha256(&bytes) == entry.sha256 => {}
            Ok(_) => problems.push(format!("{} has another sha256 than listed", entry.path)),
            Err(error) => problems.push(format!("{}: {error}", entry.path)),
        }
    }
    for path in files_below(folder)? {
        let name = path
            .strip_prefix(folder)
            .expect("it was found below the folder")
            .to_string_lossy()
            .into_owned();
        let is_about_data =
            [".md", ".sh", ".py"].iter().any(|end| name.ends_with(end)) || name == "index.toml";
        // The cases of the testkit have an index of their own.
        let is_of_testkit = name.starts_with("testkit/cases/") || name == "testkit/index.toml";
        // The cases are judged by their scripts, and their conditions stand beside them.
        let is_of_cases = name.starts_with("cases/");
        if !is_about_data && !is_of_testkit && !is_of_cases && !listed.contains(&name) {
            problems.push(format!("{name} is not listed"));
        }
    }
    if problems.is_empty() {
        Ok(entries.len())
    } else {
        Err(format!("test-vectors/index.toml: {}", problems.join("; ")))
    }
}

struct Entry {
    path: String,
    sha256: String,
    make: Option<String>,
    kernel: Option<String>,
    after: Option<String>,
    /// Made by the commands of the entry of this path.
    made_with: Option<String>,
    /// Made by this script, which knows where to write.
    script: Option<String>,
    made_by: String,
    from: String,
    /// Slot and bytes.
    passphrases: Vec<(i64, String)>,
}

fn read_index(path: &Path) -> Result<Vec<Entry>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let files = table
        .get("file")
        .and_then(toml::Value::as_array)
        .ok_or("index.toml has no [[file]]")?;
    files.iter().map(read_entry).collect()
}

fn read_entry(value: &toml::Value) -> Result<Entry, String> {
    let text = |key: &str| {
        value
            .get(key)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
    };
    let path = text("path").ok_or("index.toml: a [[file]] has no path")?;
    for key in ["sha256", "shows", "made_by"] {
        text(key).ok_or_else(|| format!("{path} has no {key}"))?;
    }
    if ["make", "made_with", "script"]
        .iter()
        .all(|key| text(key).is_none())
    {
        return Err(format!("{path} does not say how it was made"));
    }
    let mut passphrases: Vec<_> = text("passphrase")
        .map(|passphrase| (0, passphrase))
        .into_iter()
        .collect();
    for keyslot in value
        .get("keyslots")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
    {
        let slot = keyslot.get("slot").and_then(toml::Value::as_integer);
        let passphrase = keyslot.get("passphrase").and_then(toml::Value::as_str);
        let (Some(slot), Some(passphrase)) = (slot, passphrase) else {
            return Err(format!("{path}: a keyslot without slot or passphrase"));
        };
        passphrases.push((slot, passphrase.to_owned()));
    }
    Ok(Entry {
        sha256: text("sha256").unwrap_or_default(),
        make: text("make"),
        kernel: text("kernel"),
        after: text("after"),
        made_with: text("made_with"),
        script: text("script"),
        made_by: text("made_by").unwrap_or_default(),
        from: text("from").unwrap_or_else(|| "image".to_owned()),
        passphrases,
        path,
    })
}

fn regenerate(folder: &Path, only: &[String]) -> Result<(), String> {
    let index = folder.join("index.toml");
    let entries = read_index(&index)?;
    let wanted =
        |path: &str| only.is_empty() || only.iter().any(|start| path.starts_with(start.as_str()));
    let jobs: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.make.is_some() && wanted(&entry.path))
        .collect();
    let scratch = tempfile::tempdir().map_err(|error| format!("a scratch folder: {error}"))?;
    let job_folder = |path: &str| scratch.path().join(path.replace('/', "-"));

    let mut guest = String::from("set -e\n");
    for job in &jobs {
        println!("{}", job.path);
        let place = job_folder(&job.path);
        prepare(&place, job)?;
        bash(folder, &place, job.make.as_deref().unwrap_or_default())?;
        if let Some(commands) = &job.kernel {
            let script = place.join("kernel.sh");
            write(&script, script_text(folder, &place, commands).as_bytes())?;
            writeln!(
                guest,
                "bash {} || {{ echo {}; exit 1; }}",
                quoted(&script),
                job.path
            )
            .expect("a String takes everything");
        }
    }
    if jobs.iter().any(|job| job.kernel.is_some()) {
        println!("the kernel writes the payloads");
        let script = scratch.path().join("guest.sh");
        write(&script, guest.as_bytes())?;
        workspace::run(
            Command::new(uml::runner())
                .arg(&script)
                .env("UML_TIMEOUT", "600"),
        )?;
    }

    let mut text = fs::read_to_string(&index).map_err(|error| format!("index.toml: {error}"))?;
    let versions = Versions::ask()?;
    let mut update = |entry: &Entry, stored: &[u8]| -> Result<(), String> {
        let made_by = versions.refresh(&entry.made_by)?;
        text = with_line(&text, &entry.path, "sha256", &hex_sha256(stored))?;
        text = with_line(&text, &entry.path, "made_by", &made_by)?;
        Ok(())
    };
    for job in &jobs {
        let place = job_folder(&job.path);
        if let Some(commands) = &job.after {
            bash(folder, &place, commands)?;
        }
        let made_here = |entry: &&Entry| {
            entry.path == job.path || entry.made_with.as_deref() == Some(job.path.as_str())
        };
        for entry in entries.iter().filter(made_here) {
            let stored = store(&place.join(&entry.from), &folder.join(&entry.path))?;
            update(entry, &stored)?;
        }
    }
    let scripts: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| wanted(&entry.path))
        .filter_map(|entry| entry.script.as_deref())
        .collect();
    for script in scripts {
        println!("{script}");
        workspace::run(&mut Command::new(folder.join(script)))?;
        let made_here = |entry: &&Entry| entry.script.as_deref() == Some(script);
        for entry in entries.iter().filter(made_here) {
            let path = folder.join(&entry.path);
            let stored = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            update(entry, &stored)?;
        }
    }
    write(&index, text.as_bytes())
}

fn prepare(place: &Path, job: &Entry) -> Result<(), String> {
    fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
    write(&place.join("pattern"), pattern().as_bytes())?;
    for (index, (slot, passphrase)) in job.passphrases.iter().enumerate() {
        if index == 0 {
            write(&place.join("passphrase"), passphrase.as_bytes())?;
        }
        write(
            &place.join(format!("passphrase.{slot}")),
            passphrase.as_bytes(),
        )?;
    }
    Ok(())
}

/// 64 KiB in which every 16-byte block differs and names its own place.
fn pattern() -> String {
    (0..4096).fold(String::new(), |mut text, block| {
        writeln!(text, "{block:015}").expect("a String takes everything");
        text
    })
}

fn bash(folder: &Path, place: &Path, commands: &str) -> Result<(), String> {
    let output = Command::new("bash")
        .args(["-c", &script_text(folder, place, commands)])
        .output()
        .map_err(|error| format!("bash: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{}\n{commands}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn script_text(folder: &Path, place: &Path, commands: &str) -> String {
    format!(
        "set -euo pipefail; source {}; cd {}; export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1577836800\n{commands}\n",
        quoted(&folder.join("lib.sh")),
        quoted(place)
    )
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Stores a file, compressed where the name says so, and returns what was stored.
fn store(from: &Path, to: &Path) -> Result<Vec<u8>, String> {
    let bytes = if to.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new("xz")
            .args(["-9e", "--check=crc32", "--stdout", "--threads=1"])
            .arg(from)
            .output()
            .map_err(|error| format!("xz: {error}"))?;
        if !output.status.success() {
            return Err(format!("xz {}: {}", from.display(), output.status));
        }
        output.stdout
    } else {
        fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?
    };
    write(to, &bytes)?;
    Ok(bytes)
}

/// The index with the line `key = ".."` of the entry of `path` replaced; comments and order stay.
fn with_line(index: &str, path: &str, key: &str, value: &str) -> Result<String, String> {
    let head = format!("path = \"{path}\"");
    let start = format!("{key} = ");
    let mut inside = false;
    let mut replaced = false;
    let mut text = String::new();
    for line in index.lines() {
        if line == "[[file]]" {
            inside = false;
        }
        inside |= line == head;
        if inside && !replaced && line.starts_with(&start) {
            replaced = true;
            write!(text, "{start}\"{value}\"").expect("a String takes everything");
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    if replaced {
        Ok(text)
    } else {
        Err(format!("index.toml: {path} has no line {key}"))
    }
}

/// The versions of the tools here, for `made_by`.
struct Versions {
    cryptsetup: String,
    qemu: String,
    kernel: String,
    /// The system whose packages were used.
    debian: String,
}

impl Versions {
    fn ask() -> Result<Self, String> {
        let first_words = |program: &str, count: usize| -> Result<String, String> {
            let text = workspace::output(Command::new(program).arg("--version"))?;
            Ok(text
                .split_whitespace()
                .take(count)
                .collect::<Vec<_>>()
                .join(" "))
        };
        Ok(Self {
            cryptsetup: first_words("cryptsetup", 2)?,
            qemu: first_words("qemu-img", 3)?.replace(" version", ""),
            kernel: format!("Linux {} dm-crypt", first_words("linux", 1)?),
            debian: fs::read_to_string("/etc/debian_version")
                .map(|version| format!("Debian {}", version.trim()))
                .map_err(|error| format!("/etc/debian_version: {error}"))?,
        })
    }

    /// The tools that `made_by` names, with the versions of today.
    fn refresh(&self, made_by: &str) -> Result<String, String> {
        let tools: Result<Vec<&str>, String> = made_by
            .split(", ")
            .map(|tool| match tool.split_whitespace().next() {
                Some("cryptsetup") => Ok(self.cryptsetup.as_str()),
                Some("qemu-img") => Ok(self.qemu.as_str()),
                Some("Linux") => Ok(self.kernel.as_str()),
                Some("Debian") => Ok(self.debian.as_str()),
                _ => Err(format!("made_by = \"{made_by}\" names an unknown tool")),
            })
            .collect();
        Ok(tools?.join(", "))
    }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = item
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "# head\n[[file]]\npath = \"a\"\nsha256 = \"1\"\n\n[[file]]\npath = \"b\"\nsha256 = \"2\"\n";

    fn folder(index: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.toml"), index).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn entry(name: &str, text: &str) -> String {
        format!(
            "[[file]]\npath = \"{name}\"\nsha256 = \"{}\"\nshows = \"x\"\nmade_by = \"y\"\nmake = \"z\"\n",
            hex_sha256(text.as_bytes())
        )
    }

    #[test]
    fn a_line_is_replaced_in_its_entry_only() {
        let text = with_line(INDEX, "b", "sha256", "3").unwrap();
        assert_eq!(text, INDEX.replace("\"2\"", "\"3\""));
        assert!(with_line(INDEX, "c", "sha256", "3").is_err());
    }

    #[test]
    fn versions_are_refreshed() {
        let versions = Versions {
            cryptsetup: "cryptsetup 9".to_owned(),
            qemu: "qemu-img 8".to_owned(),
            kernel: "Linux 7 dm-crypt".to_owned(),
            debian: "Debian 12.11".to_owned(),
        };
        assert_eq!(
            versions
                .refresh("Linux 6.1 dm-crypt, cryptsetup 2.6.1")
                .unwrap(),
            "Linux 7 dm-crypt, cryptsetup 9"
        );
        assert!(versions.refresh("").is_err());
    }

    #[test]
    fn an_index_that_fits_passes() {
        let folder = folder(&entry("one", "data"), &[("one", "data"), ("README.md", "")]);
        assert_eq!(check(folder.path()), Ok(1));
    }

    #[test]
    fn each_difference_is_found() {
        let missing = folder(&entry("one", "data"), &[]);
        assert!(check(missing.path()).unwrap_err().contains("one: "));
        let changed = folder(&entry("one", "data"), &[("one", "date")]);
        assert!(
            check(changed.path())
                .unwrap_err()
                .contains("another sha256")
        );
        let unlisted = folder(&entry("one", "data"), &[("one", "data"), ("two", "")]);
        assert!(
            check(unlisted.path())
                .unwrap_err()
                .contains("two is not listed")
        );
        let twice = folder(&entry("one", "data").repeat(2), &[("one", "data")]);
        assert!(check(twice.path()).unwrap_err().contains("listed twice"));
        let unsaid = folder(
            &entry("one", "data").replace("make =", "mask ="),
            &[("one", "data")],
        );
        assert!(check(unsaid.path()).unwrap_err().contains("does not say"));
    }
}
