//! `cargo xtask bench`: the benchmarks, optimised.

use crate::workspace;

/// Arguments go to `cargo bench`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    workspace::run(workspace::cargo(&["bench", "--package", "luksmith-benches"]).args(arguments))
}
