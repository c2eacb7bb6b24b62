//! /init of a guest that has luksmith, an image and nothing else: no shell, no C library, no modprobe, no udev.
//!
//! It loads the modules that lie in /modules in the order of their names, does what the lines of /steps say, each a
//! command whose words are separated by blanks, and powers off. What is said goes to the console: the line, its output,
//! and behind `= ` the exit code or why it failed.
//!
//! `rustc` alone builds it, so that it has no crate to call the kernel by.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

mod system {
    use std::ffi::{c_char, c_int, c_long, c_ulong};

    /// Of x86_64: asm/unistd_64.h.
    pub const FINIT_MODULE: c_long = 313;
    /// linux/reboot.h
    pub const POWER_OFF: c_int = 0x4321_fedc;

    unsafe extern "C" {
        pub fn syscall(number: c_long, ...) -> c_long;
        pub fn mount(
            source: *const c_char,
            target: *const c_char,
            kind: *const c_char,
            flags: c_ulong,
            data: *const c_char,
        ) -> c_int;
        pub fn umount(target: *const c_char) -> c_int;
        pub fn sync();
        pub fn reboot(how: c_int) -> c_int;
    }
}

fn main() {
    if let Err(error) = run() {
        say(&format!("init: {error}"));
    }
    // SAFETY: neither takes a pointer.
    unsafe {
        system::sync();
        system::reboot(system::POWER_OFF);
    }
}

fn run() -> io::Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(target)?;
        mount("none", target, kind)?;
    }
    let mut modules: Vec<PathBuf> = fs::read_dir("/modules")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    modules.sort();
    for path in modules {
        let file = fs::File::open(&path)?;
        // SAFETY: the descriptor is open, and the parameters are a text that ends.
        let result =
            unsafe { system::syscall(system::FINIT_MODULE, file.as_raw_fd(), c"".as_ptr(), 0) };
        done(result == 0).map_err(|error| {
            io::Error::other(format!("finit_module {}: {error}", path.display()))
        })?;
    }
    for line in fs::read_to_string("/steps")?.lines() {
        say(&format!("$ {line}"));
        let words: Vec<&str> = line.split(' ').collect();
        match step(&words) {
            Ok(code) => say(&format!("= {code}")),
            Err(error) => say(&format!("= {error}")),
        }
    }
    Ok(())
}

/// One command: those of this program, or a program.
fn step(words: &[&str]) -> io::Result<i32> {
    match words {
        ["mount", source, target, kind] => {
            fs::create_dir_all(target)?;
            mount(source, target, kind)?;
        }
        ["umount", target] => {
            let target = CString::new(*target)?;
            // SAFETY: a text that ends.
            done(unsafe { system::umount(target.as_ptr()) } == 0)?;
        }
        ["cat", path] => say(fs::read_to_string(path)?.trim_end()),
        ["write", path, text] => fs::write(path, text)?,
        ["ls", path] => {
            let mut names = fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort();
            say(&names.join(" "));
        }
        [program, arguments @ ..] => {
            let output = Command::new(program).args(arguments).output()?;
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8_lossy(&text);
                if !text.is_empty() {
                    say(text.trim_end());
                }
            }
            return Ok(output.status.code().unwrap_or(-1));
        }
        [] => {}
    }
    Ok(0)
}

fn mount(source: &str, target: &str, kind: &str) -> io::Result<()> {
    let [source, target, kind] = [source, target, kind].map(CString::new);
    let (source, target, kind) = (source?, target?, kind?);
    // SAFETY: texts that end, and no data.
    let result = unsafe {
        system::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    done(result == 0)
}

fn done(is_done: bool) -> io::Result<()> {
    if is_done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
