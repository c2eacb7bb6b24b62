//! The Python package: a workspace of its own, built as a wheel below `target` and tested by a virtual environment of Debian's
//! Python.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test::{Counts, stream};
use crate::workspace;

/// Its folder.
pub const FOLDER: &str = "python";

/// What makes a wheel, in the version of `python/pyproject.toml`, and what checks types.
const TOOLS: [&str; 2] = ["maturin==1.16.0", "mypy==2.4.1"];

/// A cargo command for it, that builds what both workspaces have in common once.
pub fn cargo(arguments: &[&str]) -> Result<Command, String> {
    let mut command = workspace::cargo(arguments);
    command
        .current_dir(folder())
        .env("CARGO_TARGET_DIR", workspace::target()?);
    Ok(command)
}

/// `cargo metadata` of it with its dependencies.
pub fn metadata() -> Result<serde_json::Value, String> {
    let mut command = cargo(&["metadata", "--format-version=1", "--locked"])?;
    let text = workspace::output(&mut command)?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// `cargo xtask python`: its tests alone, in files of a pattern where one is given.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.len() > 1 {
        return Err(format!(
            "python takes one pattern, got {}",
            arguments.join(" ")
        ));
    }
    let mut counts = Counts::default();
    test(&mut counts, arguments.first().map(String::as_str))?;
    println!("{counts}");
    if counts.failed == 0 {
        Ok(())
    } else {
        Err("tests of the Python package failed".to_owned())
    }
}

/// `cargo xtask campaign python`: what is done many times is done 1000 times as often, and its speed is told.
pub fn campaign() -> Result<(), String> {
    let python = installed(&workspace::target()?.join("python"))?;
    let tests = folder().join("tests");
    let mut long = Command::new(&python);
    long.arg(tests.join("run.py"))
        .args(["--long", "test_many.py"]);
    workspace::run(&mut long)?;
    workspace::run(Command::new(&python).arg(tests.join("speed.py")))
}

/// Builds the package and runs its tests: all, or those in files of a pattern.
pub fn test(counts: &mut Counts, pattern: Option<&str>) -> Result<(), String> {
    let python = installed(&workspace::target()?.join("python"))?;
    let mut tests = Command::new(python);
    tests.arg(folder().join("tests/run.py")).args(pattern);
    let failed_before = counts.failed;
    let status = stream(&mut tests, |line| {
        println!("{line}");
        counts.read_line(line);
    })?;
    // A program that died has printed no result.
    if !status.success() && counts.failed == failed_before {
        return Err(format!("tests of the Python package: {status}"));
    }
    Ok(())
}

/// The Python of a virtual environment in `place` that has the package as it is now.
fn installed(place: &Path) -> Result<PathBuf, String> {
    let venv = place.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        let mut make = Command::new("/usr/bin/python3");
        workspace::run(make.args(["-m", "venv"]).arg(&venv))?;
    }
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    workspace::run(pip().arg("install").args(TOOLS))?;
    let wheels = place.join("wheels");
    // Wheels of other versions must not be found.
    let _ = std::fs::remove_dir_all(&wheels);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(venv.join("bin")).chain(env::split_paths(&path));
    let path: OsString = env::join_paths(folders).map_err(|error| error.to_string())?;
    let mut build = pip();
    build
        .args(["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"])
        .args([&wheels, &folder()])
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", workspace::target()?)
        .env("MATURIN_PEP517_ARGS", "--profile dev --locked");
    workspace::run(&mut build)?;
    let mut install = pip();
    install
        .args(["install", "--no-deps", "--no-index", "--force-reinstall"])
        .arg("--find-links")
        .args([&wheels, Path::new("luksmith")]);
    workspace::run(&mut install)?;
    Ok(python)
}

fn folder() -> PathBuf {
    workspace::root().join(FOLDER)
}
