//! `blkid -p` over all images: whatever it names is named here, first and by the same type.

use std::path::Path;
use std::process::Command;

use recognise::look;
use volume::{Access, FileStorage};

use crate::images::Images;

/// Images about which the two differ, and why.
const MEANT: &[(&str, &str)] = &[
    (
        "pc98",
        "blkid calls it an empty MBR, for the mark of a boot sector; it is another table",
    ),
    (
        "iso9660.hfs",
        "blkid finds an MBR in an image whose four entries are of no type",
    ),
    (
        "exfat",
        "blkid finds an MBR beside the file system, in a boot sector that is none",
    ),
];

#[test]
fn what_blkid_names_is_named() {
    let images = Images::unpack();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (name, path) in images.all() {
        let (theirs, table) = blkid(&path);
        let ours = look(&FileStorage::open(&path, Access::Read).unwrap()).unwrap();
        let types: Vec<_> = ours.iter().map(|found| found.content.type_name()).collect();
        let is_named =
            |word: &Option<String>| word.as_deref().is_none_or(|word| types.contains(&word));
        // What it takes for the type is what we take for the most telling.
        let first = types.first().copied().unwrap_or_default();
        let agrees = theirs.as_deref().is_none_or(|theirs| theirs == first);
        compared += usize::from(theirs.is_some() || table.is_some());
        let meant = MEANT.iter().any(|(known, _)| *known == name);
        if (agrees && is_named(&theirs) && is_named(&table)) == meant {
            wrong.push(format!(
                "{name}: blkid says {theirs:?} {table:?}, here {types:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 75, "blkid names {compared} only");
}

/// Type and type of the partition table.
fn blkid(path: &Path) -> (Option<String>, Option<String>) {
    let output = Command::new("blkid")
        .args(["-p", "-o", "export"])
        .arg(path)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .expect("blkid runs (apt-get install util-linux)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    (value("TYPE"), value("PTTYPE"))
}
