//! `cargo xtask uml`: a script under a real Linux kernel. The runner itself is `xtask/uml-run`, so that tests need no cargo.

use std::path::PathBuf;
use std::process::Command;

use crate::workspace;

/// The runner; its header says how it is used.
pub fn runner() -> PathBuf {
    workspace::root().join("xtask/uml-run")
}

/// Ends this program with the script's exit status.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let status = Command::new(runner())
        .args(arguments)
        .status()
        .map_err(|error| format!("xtask/uml-run: {error}"))?;
    std::process::exit(status.code().unwrap_or(125));
}
