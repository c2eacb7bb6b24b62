use std::fs;

use crate::common::{PROGRAM, Place};

/// What a job that ends early leaves when it cannot even remove it: the system refuses that here.
fn leavings(faults: &str, line: &str) -> Vec<u8> {
    let place = Place::new();
    place.write("a", "secret");
    place.write("raw", vec![0x5a; 3 << 20]);
    place.sh("luksmith encrypt raw box --key-file a --pbkdf pbkdf2 --pbkdf-force-iterations 1000");
    let code = place.sh_code(&format!(
        "strace -f -o /dev/null -e trace=fsync,fdatasync,unlinkat,pwrite64 {faults} \
         -e inject=unlinkat:error=EPERM:delay_enter=2000000 {}",
        line.replace("luksmith", &format!("'{PROGRAM}'"))
    ));
    assert_ne!(code, 0, "{line}");
    assert!(!fs::exists(place.path("new")).unwrap());
    let mut left = fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().contains("new")
        });
    let (Some(file), None) = (left.next(), left.next()) else {
        panic!("{line}: one file is left");
    };
    fs::read(file).unwrap()
}

const FAILED_SYNC: &str = "-e inject=fsync,fdatasync:error=EIO:when=1";

#[test]
fn e4_plaintext_of_a_failed_job_is_overwritten() {
    let left = leavings(FAILED_SYNC, "luksmith decrypt box new --key-file a");
    assert_eq!(left.len(), 3 << 20);
    assert!(left.iter().all(|byte| *byte == 0));
}

#[test]
fn e4_a_key_of_a_failed_job_is_overwritten() {
    let line = "luksmith key export box -q --key-file a --volume-key-file new";
    assert_eq!(leavings(FAILED_SYNC, line), [0; 64]);
}

/// The signal comes while a write is held up. The process lives on for long enough that its bytes would come after the
/// zeros if nobody waited for it. `timeout` sends two signals, one to the process and one to its group, that are one
/// request: the second does not end the overwriting.
#[test]
fn e4_plaintext_of_an_interrupted_job_is_overwritten() {
    let faults = "-e inject=pwrite64:delay_enter=2000000:when=1";
    let line = "timeout --signal=TERM 1 luksmith decrypt box new --key-file a --threads 1";
    let left = leavings(faults, line);
    assert!(!left.is_empty());
    assert!(left.iter().all(|byte| *byte == 0));
}

/// Ciphertext without a header is nobody's secret: it is removed, and nothing more.
#[test]
fn e4_ciphertext_of_a_failed_job_is_not_overwritten() {
    let line = "luksmith encrypt raw new --key-file a --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    // The first sync is that of the place of the header, made empty.
    let left = leavings("-e inject=fsync,fdatasync:error=EIO:when=2+", line);
    assert!(left.iter().any(|byte| *byte != 0));
}
