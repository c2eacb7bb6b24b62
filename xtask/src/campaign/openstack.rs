//! `cargo xtask campaign openstack`: os-brick's own encryptors with luksmith as their cryptsetup, as root.

use std::fs;
use std::process::Command;

use crate::packages;
use crate::workspace::{cargo, root, run as run_command};

/// What pip installs, beside what that needs.
const OS_BRICK: &str = "os-brick==7.1.1";
const SCRIPT: &str = "cli/tests/interop/mapper/openstack.py";

pub fn run() -> Result<(), String> {
    packages::check()?;
    run_command(&mut cargo(&[
        "build", "--quiet", "--locked", "-p", "luksmith",
    ]))?;
    let target = root().join("target");
    let python = target.join("openstack");
    if !python.join("bin/pip").exists() {
        run_command(Command::new("python3").args(["-m", "venv"]).arg(&python))?;
    }
    run_command(Command::new(python.join("bin/pip")).args(["install", "--quiet", OS_BRICK]))?;
    let volumes = target.join("openstack-volumes");
    let failed = |error: std::io::Error| format!("{}: {error}", volumes.display());
    if volumes.exists() {
        fs::remove_dir_all(&volumes).map_err(failed)?;
    }
    fs::create_dir(&volumes).map_err(failed)?;
    run_command(
        Command::new(python.join("bin/python"))
            .args(["-W", "ignore"])
            .arg(root().join(SCRIPT))
            .arg(target.join("debug/luksmith"))
            .arg(&volumes),
    )?;
    fs::remove_dir_all(&volumes).map_err(failed)
}
