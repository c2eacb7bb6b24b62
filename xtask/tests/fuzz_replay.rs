//! Runs the seeds and past failures of every fuzz target, without a fuzzer.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use std::{fs, panic};

#[test]
fn cipher_spec() {
    replay("cipher_spec", targets::cipher_spec);
}

fn replay(target: &str, run: fn(&[u8])) {
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
            if let Err(failure) = panic::catch_unwind(|| run(&bytes)) {
                eprintln!("input {}", path.display());
                panic::resume_unwind(failure);
            }
            passed += 1;
        }
    }
    assert!(passed > 0, "{target} has no inputs");
    println!("cases: fuzz-{target} {passed} passed, 0 failed");
}
