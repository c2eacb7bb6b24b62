//! Verbs that read change no byte of an image, whatever state it is in.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Place, READ};

/// Images in this folder and those below it.
fn images(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(images(&path));
        } else if path.extension().is_some_and(|extension| extension == "xz") {
            found.push(path);
        }
    }
    found
}

fn unxz(path: &Path) -> Vec<u8> {
    let output = std::process::Command::new("xz")
        .arg("-dc")
        .arg(path)
        .output();
    let output = output.expect("xz is installed");
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}

/// How many runs there were. Exit codes are not asked about: most images here are not sound.
fn check(name: &str, image: &[u8]) -> usize {
    let place = Place::new();
    place.write("pw", "golden");
    place.write("box", image);
    let modified = || {
        let metadata = fs::metadata(place.path("box")).expect("the image");
        metadata.modified().expect("a time")
    };
    let before = modified();
    let verbs = READ.into_iter().chain(["header repair box --dry-run"]);
    let mut count = 0;
    for verb in verbs {
        // One try at each keyslot need not take long here.
        let limit = if verb.contains("key-file") {
            " --max-kdf-time 20"
        } else {
            ""
        };
        let run = place.run(&format!("{verb}{limit}"));
        assert!(run.code < 128, "{name}: {verb}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
        assert!(place.read("box") == image, "{name}: {verb}");
        assert_eq!(modified(), before, "{name}: {verb}");
        count += 1;
    }
    count
}

/// Golden images as they are, with either or both header copies damaged, and cut off.
#[test]
fn c3_reading_changes_no_byte_of_any_golden_image() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors");
    let mut count = 0;
    for path in images(&vectors.join("luks1"))
        .into_iter()
        .chain(images(&vectors.join("luks2")))
    {
        let name = path.display().to_string();
        let image = unxz(&path);
        if image.len() > 4 << 20 {
            continue;
        }
        count += check(&name, &image);
        for damage in [&[100][..], &[0x4000 + 100], &[100, 0x4000 + 100]] {
            let mut image = image.clone();
            for at in damage {
                if let Some(byte) = image.get_mut(*at) {
                    *byte ^= 1;
                }
            }
            count += check(&name, &image);
        }
        count += check(&name, &image[..image.len().min(20_000)]);
    }
    println!("cases: reading golden images {count} passed, 0 failed, 0 bytes changed");
}

/// Images that others made to be refused, where the extra conformance run has them.
#[test]
fn c3_reading_changes_no_byte_of_any_foreign_image() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!(
            "cases: reading foreign images 0 passed, 0 failed, LUKSMITH_CONFORMANCE is not set"
        );
        return;
    };
    let folder = Path::new(&folder).join("images");
    let mut count = 0;
    for path in images(&folder.join("luks2-validation")) {
        count += check(&path.display().to_string(), &unxz(&path));
    }
    let crafted = folder.join("crafted");
    let base = unxz(&crafted.join("base_first290816.img.xz"));
    for path in images(&crafted) {
        let header = unxz(&path);
        let mut image = base.clone();
        image[..header.len()].copy_from_slice(&header);
        count += check(&path.display().to_string(), &image);
    }
    println!("cases: reading foreign images {count} passed, 0 failed, 0 bytes changed");
}
