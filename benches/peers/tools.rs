//! Programs, our own among them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Our program as it is released, which lies two folders above this one; `Err` says how to build it.
pub fn luksmith() -> Result<PathBuf, String> {
    std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.parent()?.join("luksmith")))
        .filter(|program| program.is_file())
        .ok_or("cargo build --release builds it".to_owned())
}

/// Whether a program can be started; `Err` names Debian's package.
pub fn find(program: &str, package: &str) -> Result<(), String> {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(drop)
        .map_err(|_| format!("{program} is not there (Debian: {package})"))
}

/// Runs a line of shell in a folder, `LUKSMITH` being our program.
///
/// # Panics
/// When it fails: a contestant that does not do its work has no time.
pub fn sh(folder: &Path, line: &str) {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("LUKSMITH", luksmith().unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .expect("every system has sh");
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
