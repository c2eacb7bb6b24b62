//! `cargo xtask crash`: the crash states of reencryptions, of which each run of the tests has a share, by the million.

use crate::workspace;

const USAGE: &str = "crash takes --count N and --seed S";

/// At least so many states are read, each with a seed's own choice of what is lost and torn; and every sync is left out,
/// every pair of writes swapped, every place tried at which the process is killed.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (mut count, mut seed) = (1_000_000_u64, 1_u64);
    for option in arguments.chunks(2) {
        let [name, value] = option else {
            return Err(USAGE.to_owned());
        };
        let number = value
            .parse()
            .map_err(|_| format!("{name} {value}: not a number"))?;
        match name.as_str() {
            "--count" => count = number,
            "--seed" => seed = number,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let mut test = workspace::cargo(&[
        "test",
        "--locked",
        "-p",
        "luksmith-luks",
        "--test",
        "luks",
        "--",
        "--nocapture",
        "reencrypt_crash::",
    ]);
    workspace::run(test.env("LUKSMITH_CRASH", format!("{count} {seed}")))
}
