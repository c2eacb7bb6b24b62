//! What the actions that only read say of every image there is: to the letter what cryptsetup says.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::on_pipes;
use crate::common::{PROGRAM, Place, check_all};

/// A negative number of passes: cryptsetup shows it as it stands, we refuse to read such a header.
const REFUSED: &str = "t_neg.hdr32k.xz";

/// Each with the image behind it.
const LINES: [&str; 5] = [
    "luksDump",
    "luksDump --dump-json-metadata",
    "luksUUID",
    "isLuks --type luks1",
    "isLuks --type luks2",
];

/// An image, compressed or not.
struct Image(PathBuf);

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// The images in a folder; keys, payloads and descriptions are none.
fn images(folder: &Path) -> Vec<Image> {
    let others = [
        "data.xz",
        "hash",
        "keyfile1",
        "md",
        "passphrase",
        "tsv",
        "txt",
    ];
    let mut images: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            !others
                .iter()
                .any(|end| path.to_string_lossy().ends_with(end))
        })
        .collect();
    images.sort();
    images.into_iter().map(Image).collect()
}

#[track_caller]
fn check(image: &Image) {
    let place = Place::new();
    let mut content = if image.0.extension().is_some_and(|end| end == "xz") {
        place.succeed(Command::new("xz").arg("-dc").arg(&image.0))
    } else {
        fs::read(&image.0).unwrap()
    };
    if image
        .0
        .parent()
        .is_some_and(|folder| folder.ends_with("crafted"))
    {
        // Cut off behind their headers, while cryptsetup wants the whole keyslots area to be there.
        content.resize(17 << 20, 0);
    }
    for line in LINES {
        let run = |program: &str, words: &[&str]| {
            // cryptsetup mends what it reads.
            place.write("image", &content);
            let mut command = Command::new(program);
            command.args(words).args(line.split(' ')).arg("image");
            on_pipes(command.current_dir(place.path("")), b"")
        };
        let theirs = run("cryptsetup", &[]);
        let ours = run(PROGRAM, &["cryptsetup"]);
        assert!(place.read("image") == content, "{image}: {line} writes");
        if image.0.ends_with(REFUSED) {
            let is_another_format = line.ends_with("luks1");
            let codes = (1, i32::from(is_another_format));
            assert_eq!((ours.code, theirs.code), codes, "{image}: {line}");
            assert!(ours.stdout.is_empty(), "{image}: {line}");
            continue;
        }
        assert_eq!(ours.code, theirs.code, "{image}: {line}: {}", ours.stderr);
        assert_eq!(ours.stdout, theirs.stdout, "{image}: {line}");
    }
}

#[test]
fn golden_images_read_as_with_cryptsetup() {
    let vectors = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../test-vectors"));
    let mut all = images(&vectors.join("luks1"));
    all.extend(images(&vectors.join("luks2")));
    assert!(all.len() >= 38, "{} images", all.len());
    check_all("luksDump of golden images", &all, check);
}

/// Each state in which a reencryption can be left.
#[test]
fn half_way_images_of_others_read_as_with_cryptsetup() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!("LUKSMITH_CONFORMANCE is not set: images that others left half way are left out");
        return;
    };
    let archive = Path::new(&folder).join("reenc-images/reenc-images.tar.xz");
    let place = Place::new();
    let mut unpack = Command::new("tar");
    unpack
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(place.path(""));
    place.succeed(&mut unpack);
    let mut all = images(&place.path(""));
    // What LUKS1 leaves is no header.
    all.retain(|image| !image.to_string().contains("luks1-unusable"));
    assert!(all.len() >= 49, "{} images", all.len());
    check_all("luksDump of half-way images", &all, check);
}

#[test]
fn images_of_others_read_as_with_cryptsetup() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!("LUKSMITH_CONFORMANCE is not set: images that others made are left out");
        return;
    };
    let folder = Path::new(&folder).join("images");
    let all: Vec<Image> = ["luks1", "luks2", "luks2-validation", "crafted"]
        .iter()
        .flat_map(|name| images(&folder.join(name)))
        .collect();
    assert!(all.len() >= 60, "{} images", all.len());
    check_all("luksDump of images that others made", &all, check);
}
