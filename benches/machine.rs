//! What the measurements ran on.

use std::fs;
use std::num::NonZero;
use std::thread;

use dmcrypt::AesKernel;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

/// One line for programs: processor, cores, the load before, kernels.
pub fn describe() -> Value {
    let kernels: Vec<&str> = AesKernel::here()
        .iter()
        .map(|kernel| kernel.name())
        .collect();
    json!({
        "processor": processor(),
        "cores": cores(),
        "load": fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| text.split(' ').next().map(str::to_owned)),
        "aes_kernels": kernels,
    })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map_or("?", |(_, value)| value.trim())
    };
    format!(
        "{} (family {}, model {})",
        field("model name"),
        field("cpu family"),
        field("model")
    )
}

/// Keeps this thread on one core from now on: of those that it may use, the one so many before the last. Where the
/// system does not let it, it stays where it is.
pub fn pin(before_last: usize) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let core = (0..CpuSet::MAX_CPU)
        .rev()
        .filter(|&core| allowed.is_set(core))
        .nth(before_last);
    if let Some(core) = core {
        let mut one = CpuSet::new();
        one.set(core);
        let _ = sched_setaffinity(None, &one);
    }
}

/// Runs something on a thread that stays on the last core it may use, which has the least of the system's own work.
pub fn on_one_core<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            pin(0);
            work()
        });
        pinned.join().expect("what runs there does not panic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_pinned_within_what_they_may_use() {
        let allowed = sched_getaffinity(None).expect("Linux tells");
        let pinned = on_one_core(|| sched_getaffinity(None).expect("Linux tells"));
        let core = (0..CpuSet::MAX_CPU)
            .rev()
            .find(|&core| allowed.is_set(core));
        assert_eq!(pinned.count(), 1);
        assert!(core.is_some_and(|core| pinned.is_set(core)));
        // The one before it is not among what the pinned thread may use.
        on_one_core(|| {
            pin(1);
            assert!(sched_getaffinity(None).expect("Linux tells") == pinned);
        });
    }
}
