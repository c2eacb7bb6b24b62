//! What the measurements ran on.

use std::fs;
use std::num::NonZero;
use std::thread;

use dmcrypt::AesKernel;
use rustix::thread::{CpuSet, sched_setaffinity};
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

/// Keeps this thread on one core from now on. Where the system does not let it, it stays where it is.
pub fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core % cores_of_a_set());
    let _ = sched_setaffinity(None, &cores);
}

fn cores_of_a_set() -> usize {
    cores().clamp(1, CpuSet::MAX_CPU)
}

/// Runs something on a thread that stays on the last core, which has the least of the system's own work.
pub fn on_one_core<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            pin(cores() - 1);
            work()
        });
        pinned.join().expect("what runs there does not panic")
    })
}
