//! Images that qemu-img makes, read here.

mod defects;
mod live;
mod make;
mod random;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use qcow2::{Image, Layer};
use volume::{Access, FileStorage, Storage};

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null());
    let status = command.status();
    assert!(
        status.expect("it runs").success(),
        "{program} {arguments:?}"
    );
}

fn read(path: &Path, snapshot: Option<&str>) -> Vec<u8> {
    let storage = FileStorage::open(path, Access::Read).expect("opens");
    let image = Image::open(Arc::new(storage)).expect("an image");
    let snapshot = snapshot.map(|name| image.snapshot(name).expect("a snapshot"));
    let view = image.view(snapshot, Layer::default()).expect("a view");
    let mut bytes = vec![0; usize::try_from(view.len().expect("a length")).expect("small")];
    view.read_at(0, &mut bytes).expect("reads");
    bytes
}

#[test]
fn every_shape_that_qemu_img_makes_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw: Vec<u8> = (0..300_000_u32)
        .flat_map(|n| (n / 5).to_le_bytes())
        .take(1_048_576)
        .collect();
    fs::write(folder.path().join("raw"), &raw).expect("written");
    let mut shapes: Vec<(String, &str)> = Vec::new();
    for size in ["512", "1k", "4k", "64k", "2M"] {
        for kind in ["zlib", "zstd"] {
            shapes.push((format!("cluster_size={size},compression_type={kind}"), "-c"));
        }
        shapes.push((format!("cluster_size={size},compat=0.10"), "-q"));
    }
    shapes.extend((0..7).map(|order| (format!("refcount_bits={}", 1 << order), "-q")));
    shapes.extend([
        ("extended_l2=on".to_owned(), "-q"),
        ("extended_l2=on,cluster_size=16k".to_owned(), "-c"),
    ]);
    for (options, flag) in &shapes {
        run(
            folder.path(),
            "qemu-img",
            &[
                "convert", flag, "-f", "raw", "-O", "qcow2", "-o", options, "raw", "made",
            ],
        );
        assert!(
            read(&folder.path().join("made"), None) == raw,
            "{options} {flag}"
        );
    }
}

#[test]
fn writes_of_qemu_io_and_snapshots_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("made");
    let image = |arguments: &[&str]| run(folder.path(), "qemu-img", arguments);
    // A seeded walk: writes, zeros and discards, of which a snapshot keeps some.
    let mut seed = 0x9e37_79b9_u32;
    let mut next = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for options in [
        "cluster_size=512",
        "cluster_size=4k",
        "extended_l2=on,cluster_size=32k",
        "cluster_size=64k",
    ] {
        image(&["create", "-q", "-f", "qcow2", "-o", options, "made", "1M"]);
        for name in ["one", "two", ""] {
            let mut arguments = vec!["-f".to_owned(), "qcow2".to_owned()];
            for _ in 0..20 {
                let (at, bytes) = (next(1536) * 512, (1 + next(400)) * 512);
                arguments.push("-c".to_owned());
                arguments.push(match next(4) {
                    0 => format!("write -z {at} {bytes}"),
                    1 => format!("discard {at} {bytes}"),
                    _ => format!("write -P {} {at} {bytes}", next(255) + 1),
                });
            }
            arguments.push("made".to_owned());
            run(
                folder.path(),
                "qemu-io",
                &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            if !name.is_empty() {
                image(&["snapshot", "-c", name, "made"]);
            }
        }
        for name in [None, Some("one"), Some("two")] {
            let of = name.map(|name| format!("snapshot.name={name}"));
            let mut arguments = vec!["convert", "-f", "qcow2", "-O", "raw"];
            arguments.extend(of.iter().flat_map(|of| ["-l", of.as_str()]));
            arguments.extend(["made", "theirs"]);
            image(&arguments);
            let theirs = fs::read(folder.path().join("theirs")).expect("read");
            assert!(read(&made, name) == theirs, "{options} {name:?}");
        }
    }
}
