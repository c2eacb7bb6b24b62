//! What this machine can do: the only file that reads a clock or the size of memory for key derivations.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dmcrypt::HashAlgorithm;
use luks::kdf::{
    Argon2Variant, CalibrationTarget, Effort, KdfError, calibrate, calibrate_digest, derive,
};
use luks::{KdfLimits, KdfParams, defaults};

/// Time that one keyslot may ask for unless said.
pub const ONE_SLOT: Duration = Duration::from_secs(60);
/// Memory that one keyslot may ask for unless said, where half of the machine's is not less.
const MEMORY_KIB: u64 = 4 * 1024 * 1024;
/// Lanes that one keyslot may ask for.
const LANES: u32 = 4;
/// One unlock may take so many times what one keyslot may: ten minutes unless said.
const SLOTS_TOTAL: u32 = 10;
/// A key of the usual size.
const PROBE_KEY_BYTES: usize = 32;

/// The limits on what a header may ask for, from a wanted time and memory and two probes of about a millisecond.
pub fn kdf_limits(one_slot: Duration, memory_kib: Option<u64>) -> KdfLimits {
    KdfLimits {
        memory_kib: memory_kib.unwrap_or_else(|| (usable_memory_kib() / 2).min(MEMORY_KIB)),
        lanes: LANES,
        argon2_kib: work_in(one_slot, 512, &argon2(1, 512)),
        pbkdf2_rounds: work_in(one_slot, 2048, &pbkdf2(HashAlgorithm::Sha256, 2048)),
        slots_total: SLOTS_TOTAL,
    }
}

/// How long one guess at a keyslot takes here, about.
pub fn guess(params: &KdfParams, key_bytes: usize, limits: &KdfLimits) -> Duration {
    limits.estimate(params, key_bytes, ONE_SLOT)
}

/// Costs with which a key derivation takes about `wanted` here, and no more memory than half of what there is.
pub fn calibrated_kdf(target: CalibrationTarget, key_bytes: usize, wanted: Duration) -> KdfParams {
    calibrate(target, wanted, &mut |params| time(params, key_bytes))
}

/// Iterations with which checking a volume key takes about as long as cryptsetup has it take.
pub fn calibrated_digest(hash: HashAlgorithm) -> u32 {
    let wanted = Duration::from_millis(defaults::DIGEST_TIME_MS);
    calibrate_digest(hash, wanted, &mut |params| {
        time(params, hash.digest_bytes())
    })
}

/// Most memory that a new keyslot takes unless said: cryptsetup's, within half of what there is.
pub fn calibration_memory_kib() -> u32 {
    let half = u32::try_from(usable_memory_kib() / 2).unwrap_or(u32::MAX);
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

/// Work that is done in `duration` by a machine that does `work` of it in the time that `params` take.
fn work_in(duration: Duration, work: u64, params: &KdfParams) -> u64 {
    // The first run warms up; a machine that is busy for a moment must not be taken for a slow one.
    let took = (0..3)
        .map(|_| time(params, PROBE_KEY_BYTES))
        .min()
        .unwrap_or(Duration::MAX);
    let scaled = u128::from(work) * duration.as_nanos() / took.as_nanos().max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// How long one derivation takes: PBKDF2 on one thread, as programs that open the container elsewhere compute it and as
/// the limits count it, Argon2 on all. One that there is no memory for takes forever, so that a calibration turns back.
fn time(params: &KdfParams, key_bytes: usize) -> Duration {
    let effort = Effort {
        threads: match params {
            KdfParams::Pbkdf2 { .. } => 1,
            KdfParams::Argon2 { .. } => processors(),
        },
        ..Effort::default()
    };
    let start = Instant::now();
    match derive(
        params,
        b"probe",
        &[0; defaults::SALT_BYTES],
        key_bytes,
        effort,
    ) {
        Ok(_) => start.elapsed(),
        Err(KdfError::OutOfMemory { .. } | KdfError::Cancelled | KdfError::Parameters(_)) => {
            Duration::MAX
        }
    }
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
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_of(&text));
    let group = fs::read_to_string("/proc/self/cgroup").map_or(u64::MAX, |text| {
        group_limit_kib(&text, Path::new("/sys/fs/cgroup"))
    });
    machine.unwrap_or(MEMORY_KIB).min(group)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The smallest limit on the way from the process's groups up to the roots, version 1 and 2, in KiB.
fn group_limit_kib(cgroup: &str, mount: &Path) -> u64 {
    let mut limit = u64::MAX;
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (root, file) = if controllers.is_empty() {
            (mount.to_owned(), "memory.max")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            (mount.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let place = root.join(group.trim_start_matches('/'));
        for folder in place
            .ancestors()
            .take_while(|folder| folder.starts_with(&root))
        {
            // "max", or no such file at the root: no limit there.
            let bytes = fs::read_to_string(folder.join(file))
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok());
            limit = limit.min(bytes.map_or(u64::MAX, |bytes| bytes / 1024));
        }
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_stay_within_ten_milliseconds_of_work() {
        // Not timed: the work is what it is, whatever else the machine does. A machine passes over a MiB in a
        // millisecond or two and does a thousand rounds in less.
        let limits = kdf_limits(Duration::from_secs(60), None);
        assert!(limits.argon2_kib > 60 * 1024, "{limits:?}");
        assert!(limits.pbkdf2_rounds > 60 * 8192, "{limits:?}");
        assert!(limits.memory_kib <= MEMORY_KIB);
        assert_eq!(kdf_limits(Duration::from_secs(1), Some(7)).memory_kib, 7);
    }

    #[test]
    fn memory_is_read_from_where_the_kernel_tells_it() {
        assert_eq!(
            total_of("MemTotal:       24576000 kB\nMemFree: 1 kB\n"),
            Some(24_576_000)
        );
        assert_eq!(total_of("MemFree: 1 kB\n"), None);

        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1048576\n");
        write("memory/c/memory.limit_in_bytes", "2097152\n");
        assert_eq!(
            group_limit_kib("0::/a/b\n", mount.path()),
            1024,
            "the parent's limit holds for the child"
        );
        assert_eq!(
            group_limit_kib("4:memory,cpu:/c\n2:pids:/\n", mount.path()),
            2048
        );
        assert_eq!(group_limit_kib("0::/\n", mount.path()), u64::MAX);
    }
}
