//! Runs the seeds and past failures of every fuzz target, without a fuzzer.

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::path::Path;
use std::{fs, panic};

macro_rules! replayed {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(
            #[test]
            fn $target() {
                replay(stringify!($target), targets::$target);
            }
        )*
    };
}

replayed! {
    af_merge
    arguments
    cipher_spec
    header_edits
    image
    key_files
    keyslot
    luks1_header
    luks2_header
    luks2_json
    nbd_options
    nbd_session
    plain_volume
    qcow2_image
    qcow2_writes
    reencrypt_resume
    sector_kernels
    table_line
}

#[test]
fn every_target_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|file| file.expect("the folder can be read").path())
        .map(|path| {
            path.file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    assert_eq!(files, TARGETS);
}

/// Each seed gets as far as what the target asserts of what was accepted; a past failure is only run.
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut passed = 0;
    for folder in ["seeds", "artifacts"] {
        // A target that never failed has no artifacts.
        let Ok(inputs) = fs::read_dir(fuzz.join(folder).join(target)) else {
            continue;
        };
        for input in inputs {
            let path = input.expect("the folder can be read").path();
            let bytes = fs::read(&path).expect("the input can be read");
            match panic::catch_unwind(|| run(&bytes)) {
                Ok(is_accepted) => {
                    assert!(is_accepted || folder == "artifacts", "{}", path.display());
                }
                Err(failure) => {
                    eprintln!("input {}", path.display());
                    panic::resume_unwind(failure);
                }
            }
            passed += 1;
        }
    }
    assert!(passed > 0, "{target} has no inputs");
    println!("cases: fuzz-{target} {passed} passed, 0 failed");
}
