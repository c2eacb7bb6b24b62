//! The tools of others that the tests compare with, as Debian packages.

use std::process::Command;

use crate::workspace::{self, has_program};

/// Package and the program that shows that it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("cryptsetup-bin", "cryptsetup"),
    ("qemu-utils", "qemu-img"),
    ("nbdkit", "nbdkit"),
    ("libnbd-bin", "nbdcopy"),
    ("python3-libnbd", "/usr/lib/python3/dist-packages/nbd.py"),
    ("nbd-client", "nbd-client"),
    ("fio", "fio"),
    ("fuse3", "fusermount3"),
    ("fuse2fs", "fuse2fs"),
    ("mount", "losetup"),
    ("passwd", "useradd"),
    ("user-mode-linux", "linux"),
    ("kmod", "modprobe"),
    ("dmsetup", "dmsetup"),
    ("keyutils", "keyctl"),
    ("luksmeta", "luksmeta"),
    ("mdadm", "mdadm"),
    ("xz-utils", "xz"),
    ("gddrescue", "ddrescuelog"),
    ("gnutls-bin", "certtool"),
    ("strace", "strace"),
    ("libxkbcommon-tools", "xkbcli"),
    ("mandoc", "mandoc"),
    ("systemd", "systemd-cryptenroll"),
    ("udev", "udevadm"),
    ("python3", "python3"),
    ("python3-venv", "/usr/lib/python3.11/ensurepip/__init__.py"),
    ("e2fsprogs", "mkfs.ext4"),
    ("xfsprogs", "mkfs.xfs"),
    ("dosfstools", "mkfs.fat"),
    ("mtools", "mcopy"),
    ("btrfs-progs", "mkfs.btrfs"),
    ("squashfs-tools", "mksquashfs"),
    ("genisoimage", "genisoimage"),
    ("erofs-utils", "mkfs.erofs"),
    ("fdisk", "sfdisk"),
];

/// An error that names the command that installs what is missing.
pub fn check() -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() && has_deny() {
        return Ok(());
    }
    let mut commands = Vec::new();
    if !missing.is_empty() {
        commands.push(format!("apt-get install -y {}", missing.join(" ")));
    }
    if !has_deny() {
        commands.push(CARGO_DENY.join(" "));
    }
    Err(format!(
        "tools to test against are missing; install them with `{}`, or run `cargo xtask test --install` as root",
        commands.join(" && ")
    ))
}

/// Installs what is missing. Needs root only where a Debian package is.
pub fn install() -> Result<(), String> {
    let missing = missing();
    if !missing.is_empty() {
        workspace::run(Command::new("apt-get").arg("update"))?;
        workspace::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["install", "-y", "--no-install-recommends"])
                .args(missing),
        )?;
    }
    for (component, task) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if workspace::output(&mut workspace::cargo(&[task, "--version"])).is_err() {
            workspace::run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    if !has_deny() {
        workspace::run(&mut workspace::cargo(&CARGO_DENY[1..]))?;
    }
    Ok(())
}

const CARGO_DENY: &[&str] = &["cargo", "install", "cargo-deny", "--locked"];

fn has_deny() -> bool {
    workspace::cargo(&["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn missing() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|(_, program)| !has_program(program))
        .map(|(package, _)| *package)
        .collect()
}
