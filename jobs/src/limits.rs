//! What this machine can do: the only file that reads a clock or the size of memory for key derivations.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dmcrypt::HashAlgorithm;
use luks::kdf::{Argon2Variant, CalibrationTarget, Effort, calibrate, calibrate_digest, derive};
use luks::{KdfLimits, KdfParams, defaults};
use rustix::time::{ClockId, clock_gettime};

/// Time that one keyslot may ask for unless said.
pub const ONE_SLOT: Duration = Duration::from_secs(60);
/// Memory that one keyslot may ask for unless said, where half of the machine's is not less.
const MEMORY_KIB: u64 = 4 * 1024 * 1024;
/// Memory that one keyslot may always ask for while so much is free: the most that cryptsetup makes one ask for unless
/// told to, which half of a machine of 2 GB is just below.
const USUAL_KIB: u64 = defaults::ARGON2_CALIBRATED_MAX_KIB as u64;
/// Lanes that one keyslot may ask for.
const LANES: u32 = 4;
/// One unlock may take so many times what one keyslot may: ten minutes unless said.
const SLOTS_TOTAL: u32 = 10;
/// What a slow machine, an `ARMv6` of one core, does in a millisecond: KiB of Argon2's memory passed over, and rounds of
/// PBKDF2 with SHA-256, each a good deal less than it does.
const SLOW_ARGON2_KIB: u64 = 16;
const SLOW_PBKDF2_ROUNDS: u64 = 5;
/// A key of the usual size.
const PROBE_KEY_BYTES: usize = 32;

/// The limits on what a header may ask for, from a wanted time and memory and two probes of about a millisecond.
pub fn kdf_limits(one_slot: Duration, memory_kib: Option<u64>) -> KdfLimits {
    KdfLimits {
        argon2_kib: work_in(one_slot, 512, &argon2(1, 512)),
        pbkdf2_rounds: work_in(one_slot, 2048, &pbkdf2(HashAlgorithm::Sha256, 2048)),
        ..little_kdf_limits(one_slot, memory_kib)
    }
}

/// Limits that no machine needs more than that time for: nothing is measured.
pub fn little_kdf_limits(one_slot: Duration, memory_kib: Option<u64>) -> KdfLimits {
    let milliseconds = u64::try_from(one_slot.as_millis()).unwrap_or(u64::MAX);
    KdfLimits {
        memory_kib: memory_kib.unwrap_or_else(|| {
            let memory = Memory::read(Path::new("/proc"), Path::new("/sys/fs/cgroup"));
            memory.for_one_keyslot()
        }),
        lanes: LANES,
        argon2_kib: milliseconds.saturating_mul(SLOW_ARGON2_KIB),
        pbkdf2_rounds: milliseconds.saturating_mul(SLOW_PBKDF2_ROUNDS),
        slots_total: SLOTS_TOTAL,
    }
}

/// How long one guess at a keyslot takes here, about.
pub fn guess(params: &KdfParams, key_bytes: usize, limits: &KdfLimits) -> Duration {
    limits.estimate(params, key_bytes, ONE_SLOT)
}

/// Costs with which a key derivation takes about `wanted` here, and no more memory than half of what there is; also how
/// long it would take undisturbed, where others keep the processors so busy that this is less than half of `wanted`.
pub fn calibrated_kdf(
    target: CalibrationTarget,
    key_bytes: usize,
    wanted: Duration,
) -> (KdfParams, Option<Duration>) {
    calibrated(target, wanted, processors(), &mut |params| {
        time(params, key_bytes)
    })
}

fn calibrated(
    target: CalibrationTarget,
    wanted: Duration,
    processors: usize,
    probe: &mut dyn FnMut(&KdfParams) -> Took,
) -> (KdfParams, Option<Duration>) {
    // By the last probe, which was the longest.
    let mut speed = None;
    let params = calibrate(target, wanted, &mut |params| {
        let took = probe(params);
        let threads = match *params {
            KdfParams::Pbkdf2 { .. } => 1,
            KdfParams::Argon2 { lanes, .. } => processors.min(lanes as usize).max(1),
        };
        if took.wall != Duration::MAX {
            speed = Some((work(params), took.processor.as_nanos() / threads as u128));
        }
        took.wall
    });
    let undisturbed = speed.and_then(|(done, nanoseconds)| {
        let nanoseconds = nanoseconds.saturating_mul(work(&params).into());
        let nanoseconds = nanoseconds.checked_div(done.into())?;
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    });
    // What was to take a few milliseconds tells nothing, nor does it protect anything.
    let is_told = wanted >= Duration::from_millis(100);
    (
        params,
        undisturbed.filter(|quiet| is_told && *quiet < wanted / 2),
    )
}

/// What one derivation does, in a unit of its own.
fn work(params: &KdfParams) -> u64 {
    match *params {
        KdfParams::Pbkdf2 { iterations, .. } => iterations.into(),
        KdfParams::Argon2 {
            time, memory_kib, ..
        } => u64::from(time).saturating_mul(memory_kib.into()),
    }
}

/// Iterations with which checking a volume key takes about as long as cryptsetup has it take.
pub fn calibrated_digest(hash: HashAlgorithm) -> u32 {
    let wanted = Duration::from_millis(defaults::DIGEST_TIME_MS);
    calibrate_digest(hash, wanted, &mut |params| {
        time(params, hash.digest_bytes()).wall
    })
}

/// Most memory that a new keyslot takes unless said: cryptsetup's, within half of what there is.
pub fn calibration_memory_kib() -> u32 {
    calibration_memory_of(usable_memory_kib())
}

/// The same on a machine that has so much.
fn calibration_memory_of(usable_kib: u64) -> u32 {
    let half = u32::try_from(usable_kib / 2).unwrap_or(u32::MAX);
    half.clamp(
        defaults::ARGON2_MIN_MEMORY_KIB,
        defaults::ARGON2_CALIBRATED_MAX_KIB,
    )
}

/// Threads that a key derivation may use: all that this process may run at once.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Lanes that a new keyslot uses unless said: as many as processors, four at most.
pub fn calibration_lanes() -> u32 {
    u32::try_from(processors())
        .unwrap_or(u32::MAX)
        .min(defaults::ARGON2_MAX_LANES)
}

/// A clock that was started.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long that is ago.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Work that is done in `duration` by a machine that does `work` of it in the time that `params` take.
fn work_in(duration: Duration, work: u64, params: &KdfParams) -> u64 {
    // The first run warms up; a machine that is busy for a moment must not be taken for a slow one.
    let took = (0..3)
        .map(|_| time(params, PROBE_KEY_BYTES).wall)
        .min()
        .unwrap_or(Duration::MAX);
    let scaled = u128::from(work) * duration.as_nanos() / took.as_nanos().max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// What one derivation took.
#[derive(Clone, Copy)]
struct Took {
    /// Of the time that passed.
    wall: Duration,
    /// Of the processors, all threads together: others do not count.
    processor: Duration,
}

/// How long one derivation takes: PBKDF2 on one thread, as programs that open the container elsewhere compute it and as
/// the limits count it, Argon2 on all. One that there is no memory for takes forever, so that a calibration turns back.
fn time(params: &KdfParams, key_bytes: usize) -> Took {
    let effort = Effort {
        threads: match params {
            KdfParams::Pbkdf2 { .. } => 1,
            KdfParams::Argon2 { .. } => processors(),
        },
        ..Effort::default()
    };
    let (start, processor) = (Instant::now(), processor_time());
    let outcome = derive(
        params,
        b"probe",
        &[0; defaults::SALT_BYTES],
        key_bytes,
        effort,
    );
    Took {
        wall: match outcome {
            Ok(_) => start.elapsed(),
            Err(_) => Duration::MAX,
        },
        processor: processor_time().saturating_sub(processor),
    }
}

/// What this process has had of the processors.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn argon2(time: u32, memory_kib: u32) -> KdfParams {
    KdfParams::Argon2 {
        variant: Argon2Variant::Id,
        time,
        memory_kib,
        lanes: 1,
    }
}

fn pbkdf2(hash: HashAlgorithm, iterations: u32) -> KdfParams {
    KdfParams::Pbkdf2 { hash, iterations }
}

/// The machine's memory, or what its control groups leave this process, in KiB.
fn usable_memory_kib() -> u64 {
    Memory::read(Path::new("/proc"), Path::new("/sys/fs/cgroup")).usable_kib
}

/// How much memory there is for this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Memory {
    /// The machine's, or what its control groups leave this process, in KiB.
    usable_kib: u64,
    /// What of that nobody uses, or what the kernel would give up at once, in KiB.
    free_kib: u64,
}

impl Memory {
    /// What the kernel tells under `/proc` and where control groups are mounted.
    fn read(proc: &Path, groups: &Path) -> Self {
        let machine = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
        let field = |name| field_of(&machine, name);
        let total = field("MemTotal:").unwrap_or(MEMORY_KIB);
        let group = fs::read_to_string(proc.join("self/cgroup"))
            .map_or(Self::UNLIMITED, |text| Self::of_groups(&text, groups));
        Self {
            usable_kib: total.min(group.usable_kib),
            free_kib: field("MemAvailable:").unwrap_or(0).min(group.free_kib),
        }
    }

    const UNLIMITED: Self = Self {
        usable_kib: u64::MAX,
        free_kib: u64::MAX,
    };

    /// What a keyslot may ask for unless said.
    fn for_one_keyslot(self) -> u64 {
        let half = (self.usable_kib / 2).min(MEMORY_KIB);
        if self.free_kib >= USUAL_KIB {
            half.max(USUAL_KIB)
        } else {
            half
        }
    }

    /// The least that is on the way from the process's groups up to the roots, version 1 and 2.
    fn of_groups(cgroup: &str, mount: &Path) -> Self {
        let mut least = Self::UNLIMITED;
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(group)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let (root, files) = if controllers.is_empty() {
                (mount.to_owned(), &VERSION_2)
            } else if controllers
                .split(',')
                .any(|controller| controller == "memory")
            {
                (mount.join("memory"), &VERSION_1)
            } else {
                continue;
            };
            let place = root.join(group.trim_start_matches('/'));
            for folder in place
                .ancestors()
                .take_while(|folder| folder.starts_with(&root))
            {
                let here = files.read(folder);
                least.usable_kib = least.usable_kib.min(here.usable_kib);
                least.free_kib = least.free_kib.min(here.free_kib);
            }
        }
        least
    }
}

/// How a version of control groups calls what it tells of memory.
struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what of the used memory is files that nobody has looked at for a while.
    reclaimable: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};
const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
};

impl GroupFiles {
    fn read(&self, folder: &Path) -> Memory {
        let bytes = |file: &str| -> Option<u64> {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            text.trim().parse().ok()
        };
        // "max", or no such file at the root: no limit there.
        let Some(limit) = bytes(self.limit) else {
            return Memory::UNLIMITED;
        };
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let reclaimable = stat.lines().find_map(|line| {
            let number = line.strip_prefix(self.reclaimable)?.strip_prefix(' ')?;
            number.trim().parse::<u64>().ok()
        });
        let used = bytes(self.used)
            .unwrap_or(0)
            .saturating_sub(reclaimable.unwrap_or(0));
        Memory {
            usable_kib: limit / 1024,
            free_kib: limit.saturating_sub(used) / 1024,
        }
    }
}

fn field_of(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_keyslot_takes_half_of_the_memory_at_most() {
        for (usable_kib, wanted) in [
            (0, defaults::ARGON2_MIN_MEMORY_KIB),
            (1 << 20, 512 << 10),
            (2 << 20, defaults::ARGON2_CALIBRATED_MAX_KIB),
            (u64::MAX, defaults::ARGON2_CALIBRATED_MAX_KIB),
        ] {
            assert_eq!(calibration_memory_of(usable_kib), wanted, "{usable_kib}");
        }
    }

    #[test]
    fn the_probes_stay_within_ten_milliseconds_of_work() {
        // Not timed: the work is what it is, whatever else the machine does. A machine passes over a MiB in a
        // millisecond or two and does a thousand rounds in less.
        let limits = kdf_limits(Duration::from_secs(60), None);
        assert!(limits.argon2_kib > 60 * 1024, "{limits:?}");
        assert!(limits.pbkdf2_rounds > 60 * 8192, "{limits:?}");
        assert!(limits.memory_kib <= MEMORY_KIB);
        assert_eq!(kdf_limits(Duration::from_secs(1), Some(7)).memory_kib, 7);
        let little = little_kdf_limits(Duration::from_secs(60), Some(7));
        // A digest as cryptsetup makes it, and a keyslot of a test.
        assert_eq!(
            little.check(&pbkdf2(HashAlgorithm::Sha256, 100_000), 64),
            Ok(())
        );
        assert!(
            little
                .check(&pbkdf2(HashAlgorithm::Sha256, 1_000_000), 64)
                .is_err()
        );
    }

    /// A machine that does `work` in a millisecond of all processors that it may use, and gives this process one of
    /// `share` such milliseconds.
    fn processor(work: u64, threads: u32, share: u32) -> impl FnMut(&KdfParams) -> Took {
        move |params| {
            let alone = Duration::from_micros(super::work(params) * 1000 / work);
            Took {
                wall: alone * share,
                processor: alone * threads,
            }
        }
    }

    #[test]
    fn a_busy_machine_is_told_from_a_slow_one() {
        let argon2 = CalibrationTarget::Argon2 {
            variant: Argon2Variant::Id,
            max_memory_kib: 1 << 20,
            lanes: 4,
        };
        let pbkdf2 = CalibrationTarget::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
        };
        let seconds = Duration::from_secs(2);
        let ms = Duration::from_millis;
        // 64 MiB in 4 passes take 180 ms alone, 20 times as long beside others.
        let floor = 4 * 65536;
        let quiet = calibrated(argon2, seconds, 8, &mut processor(floor / 180, 4, 1));
        assert_eq!(quiet.1, None);
        let (params, told) = calibrated(argon2, seconds, 8, &mut processor(floor / 180, 4, 20));
        assert!(
            matches!(
                params,
                KdfParams::Argon2 {
                    time: 4,
                    memory_kib: 65536,
                    ..
                }
            ),
            "{params:?}"
        );
        assert!(
            told.is_some_and(|told| (ms(170)..ms(190)).contains(&told)),
            "{told:?}"
        );
        // Above the floor it is a weak keyslot too.
        let told = calibrated(argon2, seconds, 8, &mut processor(floor / 180, 4, 5)).1;
        assert!(
            told.is_some_and(|told| (ms(380)..ms(420)).contains(&told)),
            "{told:?}"
        );
        // Slow, or asked for little: that is what was wanted.
        let slow = calibrated(argon2, seconds, 2, &mut processor(floor / 5000, 2, 1));
        assert_eq!(slow.1, None);
        let little = calibrated(argon2, ms(1), 8, &mut processor(floor / 180, 4, 20));
        assert_eq!(little.1, None);
        let told = calibrated(pbkdf2, seconds, 8, &mut processor(3000, 1, 20)).1;
        assert!(
            told.is_some_and(|told| (ms(95)..ms(105)).contains(&told)),
            "{told:?}"
        );
        assert_eq!(
            calibrated(pbkdf2, seconds, 8, &mut processor(3000, 1, 1)).1,
            None
        );
    }

    /// A machine, told by files: `/proc` and the mounted control groups.
    fn machine(meminfo: &str, cgroup: &str, files: &[(&str, &str)]) -> Memory {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", meminfo);
        write("proc/self/cgroup", cgroup);
        for (path, text) in files {
            write(&format!("groups/{path}"), text);
        }
        Memory::read(&place.path().join("proc"), &place.path().join("groups"))
    }

    #[test]
    fn memory_is_read_from_where_the_kernel_tells_it() {
        let meminfo = "MemTotal:       24576000 kB\nMemFree: 1 kB\nMemAvailable:    9000 kB\n";
        let memory = |usable_kib, free_kib| Memory {
            usable_kib,
            free_kib,
        };
        assert_eq!(machine(meminfo, "", &[]), memory(24_576_000, 9000));
        assert_eq!(machine("MemFree: 1 kB\n", "", &[]), memory(MEMORY_KIB, 0));
        let files = [
            ("a/b/memory.max", "max\n"),
            ("a/memory.max", "1048576\n"),
            ("a/memory.current", "524288\n"),
            (
                "a/memory.stat",
                "anon 1\ninactive_file 262144\nactive_file 9\n",
            ),
            ("memory/c/memory.limit_in_bytes", "2097152\n"),
            ("memory/c/memory.usage_in_bytes", "1048576\n"),
            (
                "memory/c/memory.stat",
                "inactive_file 7\ntotal_inactive_file 1024\n",
            ),
        ];
        // The parent's limit holds for the child.
        assert_eq!(machine(meminfo, "0::/a/b\n", &files), memory(1024, 768));
        let first_version = "4:memory,cpu:/c\n2:pids:/\n";
        assert_eq!(machine(meminfo, first_version, &files), memory(2048, 1025));
        assert_eq!(machine(meminfo, "0::/\n", &files), memory(24_576_000, 9000));
    }

    #[test]
    fn a_usual_keyslot_opens_where_its_memory_is_free() {
        let of = |usable_kib, free_kib| {
            let memory = Memory {
                usable_kib,
                free_kib,
            };
            memory.for_one_keyslot()
        };
        let gib = 1 << 20;
        // A machine of 2 GB tells a little less.
        assert_eq!(of(2_014_036, 1_700_000), gib);
        assert_eq!(of(2_014_036, gib), gib);
        assert_eq!(of(2_014_036, gib - 1), 1_007_018);
        assert_eq!(of(512 << 10, 400 << 10), 256 << 10);
        assert_eq!(of(6 * gib, 0), 3 * gib);
        assert_eq!(of(6 * gib, 5 * gib), 3 * gib);
        assert_eq!(of(64 * gib, 60 * gib), 4 * gib);
    }
}
