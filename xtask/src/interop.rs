//! `cargo xtask interop`: only the tests against other tools.

use crate::test::{Counts, Kind};
use crate::{packages, workspace};

pub fn run(arguments: &[String]) -> Result<(), String> {
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
