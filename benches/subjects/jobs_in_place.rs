//! Images that are encrypted in their own place: our program beside cryptsetup, by the clock and by what the processors do,
//! and both beside bytes that are only read, changed and written back by one thread.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use super::images::{folder, new_file};
use crate::harness::{Chart, Contest, Effort, Work, timed};
use crate::peers::tools;
use crate::test_bytes;

const CHUNK_BYTES: usize = 512 * 1024;
/// What each begins with, and what is looked at afterwards.
const BEFORE: &str = "rm -f head out && cp --reflink=never --sparse=never raw out";
const KEY: &str = "--key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let folder = folder();
    let folder = folder.path();
    let bytes = bytes(effort);
    let raw = new_file(&folder.join("raw"));
    let chunk = test_bytes(CHUNK_BYTES);
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        raw.write_all_at(&chunk, at).expect("room for the image");
    }
    fs::write(folder.join("key"), "bench").expect("room for a key");
    for sector_bytes in [512, 4096] {
        for protection in ["checksum", "journal", "none", "shift"] {
            for clock in [Clock::Wall, Clock::Processor] {
                let job = Job {
                    folder,
                    bytes,
                    sector_bytes,
                    protection,
                };
                if let Some(chart) = job.contest(effort, clock) {
                    each(chart);
                }
            }
        }
    }
    each(alone(effort, folder, bytes));
}

/// 1 GiB, and not too little for a ratio where there is less time.
fn bytes(effort: &Effort) -> u64 {
    (4 * effort.image_bytes).min(1 << 30)
}

/// What counts.
#[derive(Clone, Copy)]
enum Clock {
    Wall,
    /// Seconds of all processors, our children's too.
    Processor,
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Processor => "processor time",
        }
    }

    fn timed(self, action: impl FnOnce()) -> Duration {
        match self {
            Self::Wall => timed(action),
            Self::Processor => {
                let before = processor_time();
                action();
                // A tick is the least that is told.
                processor_time().saturating_sub(before).max(TICK)
            }
        }
    }
}

/// What Linux counts the times of processes in.
const TICK: Duration = Duration::from_millis(10);

/// Of this process and of its children that have ended, by Linux's count.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    // Behind the name: state is the first; utime, stime, cutime and cstime are the 12th to the 15th.
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: u32 = ticks
        .map(|field| field.parse::<u32>().expect("a number"))
        .sum();
    TICK * ticks
}

struct Job<'a> {
    folder: &'a Path,
    bytes: u64,
    sector_bytes: u32,
    protection: &'static str,
}

impl Job<'_> {
    /// None where others are not asked for: it is about them.
    fn contest(&self, effort: &Effort, clock: Clock) -> Option<Chart> {
        if !effort.peers {
            return None;
        }
        let title = format!(
            "{} MiB encrypted in place, {}, sectors of {} bytes, {}",
            self.bytes >> 20,
            self.protection,
            self.sector_bytes,
            clock.name()
        );
        let mut contest = Contest::new(title, Work::Bytes(self.bytes));
        let ours = tools::luksmith();
        let theirs = tools::find("cryptsetup", "cryptsetup-bin");
        for (name, found, line) in [
            ("luksmith encrypt --in-place", ours.map(drop), self.ours()),
            ("cryptsetup reencrypt --encrypt", theirs, self.theirs()),
        ] {
            match found {
                Ok(()) => contest.add_timed(name, move || {
                    tools::sh(self.folder, BEFORE);
                    if self.protection == "shift" && name.starts_with("cryptsetup") {
                        // Ours makes it longer by itself.
                        tools::sh(self.folder, "truncate -s +32M out");
                    }
                    clock.timed(|| tools::sh(self.folder, &line))
                }),
                Err(why) => contest.miss(name, why),
            }
        }
        contest.add_timed("xor in place, 1 thread", || {
            tools::sh(self.folder, BEFORE);
            let out = self.out();
            clock.timed(|| xor(&out, self.bytes))
        });
        Some(contest.run(effort))
    }

    fn ours(&self) -> String {
        let how = match self.protection {
            "shift" => String::new(),
            "none" => "--header head --resilience none -q".to_owned(),
            other => format!("--header head --resilience {other}"),
        };
        format!(
            "\"$LUKSMITH\" encrypt --in-place out {how} {KEY} --sector-size {} --threads 2",
            self.sector_bytes
        )
    }

    fn theirs(&self) -> String {
        let how = match self.protection {
            "shift" => "--reduce-device-size 32M".to_owned(),
            other => format!("--header head --resilience {other}"),
        };
        format!(
            "cryptsetup reencrypt --encrypt -q out {how} {KEY} --sector-size {}",
            self.sector_bytes
        )
    }

    fn out(&self) -> File {
        open(&self.folder.join("out"))
    }
}

/// What nothing that changes bytes in their place is faster than with one thread.
fn alone(effort: &Effort, folder: &Path, bytes: u64) -> Chart {
    let title = format!("{} MiB changed in place, 1 thread", bytes >> 20);
    let path = folder.join("out");
    fs::copy(folder.join("raw"), &path).expect("room for the image");
    let out = open(&path);
    let mut contest = Contest::new(title, Work::Bytes(bytes));
    contest.add("xor", || xor(&out, bytes));
    contest.run(effort)
}

fn open(path: &Path) -> File {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).open(path);
    opened.expect("the image")
}

fn xor(file: &File, bytes: u64) {
    let mut chunk = vec![0; CHUNK_BYTES];
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        file.read_exact_at(&mut chunk, at).expect("the image");
        for byte in &mut chunk {
            *byte ^= 0x5a;
        }
        file.write_all_at(&chunk, at).expect("the image");
    }
}
