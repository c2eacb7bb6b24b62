//! `cargo xtask dist`: luksmith as one static file that anybody can build again to the same bytes.
//!
//! What makes it so: the C library is linked in, nothing in the file says where it was built, and nothing says when.

mod elf;
mod licences;
mod twice;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::workspace::{self, has_program};

const PROGRAM: &str = "luksmith";
const LICENCES: &str = "LICENCES";
const SUMS: &str = "SHA256SUMS";

pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    if options.twice {
        return twice::run(&options);
    }
    let site = Site {
        source: options.source.clone(),
        target_folder: options.source.join("target/dist/build"),
        epoch: commit_time(&options.source)?,
    };
    let built = build(&options, &site)?;
    pack(&options, &built)?;
    let sums =
        fs::read_to_string(options.out.join(SUMS)).map_err(|error| format!("{SUMS}: {error}"))?;
    print!("{}:\n{sums}", options.out.display());
    Ok(())
}

/// What is built, out of what, and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Options {
    /// The folder of a workspace's Cargo.toml.
    source: PathBuf,
    out: PathBuf,
    target: String,
    /// Cargo's profile.
    profile: String,
    /// The features of the program, where it has not all: `--small` has none.
    features: Option<String>,
    /// The licence of the C library, where it does not lie where Debian has it.
    libc_licence: Option<PathBuf>,
    /// Build it in two other folders and compare.
    twice: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            source: workspace::root(),
            out: PathBuf::new(),
            target: format!("{}-unknown-linux-gnu", env::consts::ARCH),
            profile: "dist".to_owned(),
            features: None,
            libc_licence: None,
            twice: false,
        };
        let mut out = None;
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            match name.as_str() {
                "--twice" => {
                    options.twice = true;
                    continue;
                }
                "--small" => {
                    options.features.get_or_insert_default();
                    continue;
                }
                _ => {}
            }
            let mut value = || rest.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--out" => out = Some(absolute(value()?)?),
                "--target" => options.target.clone_from(value()?),
                "--features" => options.features = Some(value()?.clone()),
                "--profile" => options.profile.clone_from(value()?),
                "--libc-licence" => options.libc_licence = Some(absolute(value()?)?),
                other => return Err(format!("dist has no option {other}")),
            }
        }
        options.out = out.unwrap_or_else(|| {
            let small = options.features.as_ref().map_or("", |_| "-small");
            let folder = format!("{}{small}", options.target);
            options.source.join("target/dist").join(folder)
        });
        Ok(options)
    }

    /// What cargo is told of features.
    fn feature_flags(&self) -> Vec<&str> {
        match self.features.as_deref() {
            None => Vec::new(),
            Some("") => vec!["--no-default-features"],
            Some(features) => vec!["--no-default-features", "--features", features],
        }
    }
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

/// Where a build happens.
struct Site {
    source: PathBuf,
    /// Of its own: the flags are others than those of everyday's builds.
    target_folder: PathBuf,
    /// When, for whoever wants to write it down.
    epoch: String,
}

/// Builds the program and says where it is. The file is looked at before anybody gets it.
fn build(options: &Options, site: &Site) -> Result<PathBuf, String> {
    let source = &site.source;
    // Before the flags are made: they name the folders that the sources of others are in.
    workspace::run(&mut cargo(source, &["fetch", "--locked", "--quiet"]))?;
    let homes = Homes::find(source)?;
    let mut command = cargo(
        source,
        &["build", "--locked", "--package", PROGRAM, "--bin", PROGRAM],
    );
    command
        .args(["--target", &options.target, "--profile", &options.profile])
        .args(options.feature_flags())
        .arg("--target-dir")
        .arg(&site.target_folder)
        // By this variable flags may have blanks.
        .env("CARGO_ENCODED_RUSTFLAGS", homes.flags().join("\x1f"))
        .env("SOURCE_DATE_EPOCH", &site.epoch)
        .env("CARGO_INCREMENTAL", "0");
    for (name, _) in env::vars_os().filter(|(name, _)| changes_the_file(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    set_linker(&mut command, &options.target);
    workspace::run(&mut command).map_err(|error| format!("{error}; {}", needs(&options.target)))?;
    let folder = match options.profile.as_str() {
        "dev" => "debug",
        profile => profile,
    };
    let file = site
        .target_folder
        .join(&options.target)
        .join(folder)
        .join(PROGRAM);
    let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    elf::check(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    homes
        .check(&bytes)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn cargo(source: &Path, arguments: &[&str]) -> Command {
    let mut command = workspace::cargo(arguments);
    command.current_dir(source);
    command
}

/// Profiles and flags out of the environment would make another file.
fn changes_the_file(variable: &str) -> bool {
    let is_profile = variable.starts_with("CARGO_PROFILE_");
    is_profile || ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"].contains(&variable)
}

/// The time of the last commit in seconds; without one somebody has to say it.
fn commit_time(source: &Path) -> Result<String, String> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(source);
    workspace::output(&mut git)
        .map(|time| time.trim().to_owned())
        .map_err(|error| format!("{error}; without a commit set SOURCE_DATE_EPOCH"))
}

/// Cargo looks for a linker of that name for no target but its own.
fn set_linker(command: &mut Command, target: &str) {
    let variable = format!(
        "CARGO_TARGET_{}_LINKER",
        target.to_uppercase().replace('-', "_")
    );
    let linker = cross_linker(target);
    let is_foreign = !target.starts_with(env::consts::ARCH);
    if is_foreign && env::var_os(&variable).is_none() && has_program(&linker) {
        command.env(variable, linker);
    }
}

/// As Debian names it: `aarch64-linux-gnu-gcc`.
fn cross_linker(target: &str) -> String {
    format!("{}-gcc", target.replace("-unknown-", "-"))
}

fn needs(target: &str) -> String {
    let linker = cross_linker(target);
    let package = linker.replace("-gcc", "").replace('_', "-");
    format!(
        "a foreign target needs `rustup target add {target}` and its linker, {linker} (Debian: gcc-{package})"
    )
}

/// Folders whose names must not be in the file, and what stands there instead. Of several that fit the last one counts.
struct Homes(Vec<(PathBuf, String)>);

impl Homes {
    fn find(source: &Path) -> Result<Self, String> {
        let home = env::var_os("CARGO_HOME").map_or_else(
            || env::home_dir().unwrap_or_default().join(".cargo"),
            PathBuf::from,
        );
        let mut homes = vec![
            (home.clone(), "/cargo".to_owned()),
            (source.to_path_buf(), "/luksmith".to_owned()),
        ];
        // The name of a registry's folder depends on where it was fetched from.
        let registries = fs::read_dir(home.join("registry/src"));
        for registry in registries.into_iter().flatten() {
            let registry = registry.map_err(|error| format!("{}: {error}", home.display()))?;
            homes.push((registry.path(), "/cargo/registry".to_owned()));
        }
        // Where the sources of the standard library are installed its functions are named by them.
        let version = rustc(&["--version", "--verbose"])?;
        let commit = version
            .lines()
            .find_map(|line| line.strip_prefix("commit-hash: "))
            .unwrap_or("unknown");
        let standard =
            Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib/src/rust");
        homes.push((standard, format!("/rustc/{commit}")));
        Ok(Self(homes))
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            "-Ctarget-feature=+crt-static".to_owned(),
            "-Cstrip=symbols".to_owned(),
            // Addresses that a start sets take a twentieth of the room, and a start looks at as many pages less.
            "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned(),
        ];
        flags.extend(self.0.iter().map(|(folder, instead)| {
            format!("--remap-path-prefix={}={instead}", folder.display())
        }));
        flags
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        for (folder, instead) in &self.0 {
            // A name such as /src is part of many others.
            if folder.components().count() < 3 || Path::new(instead).starts_with(folder) {
                continue;
            }
            let name = [folder.as_os_str().as_encoded_bytes(), b"/"].concat();
            if memmem(bytes, &name) {
                return Err(format!("the file names {}", folder.display()));
            }
        }
        Ok(())
    }
}

fn memmem(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|part| part == name)
}

fn rustc(arguments: &[&str]) -> Result<String, String> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    workspace::output(Command::new(program).args(arguments))
}

/// Puts the file, the licences of what is in it and their sums where they were asked for.
fn pack(options: &Options, built: &Path) -> Result<(), String> {
    let out = &options.out;
    let said = |error: std::io::Error| format!("{}: {error}", out.display());
    fs::create_dir_all(out).map_err(said)?;
    fs::copy(built, out.join(PROGRAM)).map_err(said)?;
    fs::write(out.join(LICENCES), licences::text(options)?).map_err(said)?;
    let mut sums = String::new();
    for name in [LICENCES, PROGRAM] {
        let bytes = fs::read(out.join(name)).map_err(said)?;
        let _ = writeln!(sums, "{}  {name}", hex::encode(Sha256::digest(bytes)));
    }
    fs::write(out.join(SUMS), sums).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn options() {
        let default = parse(&[]).unwrap();
        assert_eq!(default.profile, "dist");
        assert!(
            default
                .out
                .ends_with(format!("target/dist/{}", default.target))
        );
        let other = parse(&[
            "--target",
            "aarch64-unknown-linux-gnu",
            "--out",
            "/o",
            "--twice",
        ]);
        let other = other.unwrap();
        assert_eq!(other.out, Path::new("/o"));
        assert!(other.twice && !default.twice);
        assert!(default.feature_flags().is_empty());
        for (words, flags) in [
            (&["--small"][..], "--no-default-features"),
            (
                &["--features", "tls"],
                "--no-default-features --features tls",
            ),
            (
                &["--features", "tls", "--small"],
                "--no-default-features --features tls",
            ),
        ] {
            let few = parse(words).unwrap();
            assert_eq!(few.feature_flags().join(" "), flags);
            assert!(few.out.ends_with(format!("{}-small", few.target)));
        }
        assert!(parse(&["--target"]).is_err());
        assert!(parse(&["--static"]).is_err());
    }

    #[test]
    fn the_environment_does_not_change_the_file() {
        for name in [
            "RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_BUILD_RUSTFLAGS",
        ] {
            assert!(changes_the_file(name), "{name}");
        }
        assert!(!changes_the_file("CARGO_HOME"));
    }

    #[test]
    fn a_file_that_names_a_folder_is_refused() {
        let homes = Homes(vec![("/home/me/a b".into(), "/luksmith".to_owned())]);
        assert_eq!(homes.check(b"\x7fELF /luksmith/cli/src/main.rs"), Ok(()));
        assert!(
            homes
                .check(b"\x7fELF /home/me/a b/cli/src/main.rs")
                .is_err()
        );
        let flags = homes.flags();
        assert!(flags.contains(&"--remap-path-prefix=/home/me/a b=/luksmith".to_owned()));
    }

    #[test]
    fn linkers_have_debians_names() {
        let target = "aarch64-unknown-linux-gnu";
        assert_eq!(cross_linker(target), "aarch64-linux-gnu-gcc");
        assert!(needs(target).contains("gcc-aarch64-linux-gnu"));
        assert!(needs("x86_64-unknown-linux-gnu").contains("gcc-x86-64-linux-gnu"));
    }
}
