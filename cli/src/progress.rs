//! What is seen of a copy while it runs: a bar on a terminal, lines where they are asked for, else nothing.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::WorkArgs;

/// How often a line is printed, and how often the bar is drawn at most, unless `--progress-frequency` says.
const INTERVAL: Duration = Duration::from_millis(500);

/// The progress of one copy. All of it goes to standard error.
pub struct Progress {
    look: Look,
    started: Instant,
}

enum Look {
    Silent,
    Bar(ProgressBar),
    Lines {
        name: String,
        total: Option<u64>,
        interval: Duration,
        json: bool,
        next: Mutex<Duration>,
    },
}

impl Progress {
    /// Starts to count. `name` is the image that the lines name, `total` its bytes where they are known.
    pub fn start(args: &WorkArgs, name: &str, total: Option<u64>) -> Self {
        let interval = args
            .progress_frequency
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|interval| !interval.is_zero());
        let look = if args.progress_json || (interval.is_some() && !io::stderr().is_terminal()) {
            Look::Lines {
                name: name.to_owned(),
                total,
                interval: interval.unwrap_or(INTERVAL),
                json: args.progress_json,
                next: Mutex::new(interval.unwrap_or(INTERVAL)),
            }
        } else if io::stderr().is_terminal() {
            Look::Bar(bar(total))
        } else {
            Look::Silent
        };
        Self {
            look,
            started: Instant::now(),
        }
    }

    /// So many bytes are done.
    pub fn update(&self, done: u64) {
        match &self.look {
            Look::Silent => (),
            Look::Bar(bar) => bar.set_position(done),
            Look::Lines {
                name,
                total,
                interval,
                json,
                next,
            } => {
                let elapsed = self.started.elapsed();
                let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                if elapsed >= *next {
                    *next = elapsed + *interval;
                    print(&line(name, *total, done, elapsed, *json));
                }
            }
        }
    }

    /// All is done, so many bytes.
    pub fn finish(&self, done: u64) {
        match &self.look {
            Look::Silent => (),
            Look::Bar(bar) => bar.finish_and_clear(),
            Look::Lines { name, json, .. } => {
                print(&line(name, Some(done), done, self.started.elapsed(), *json));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Look::Bar(bar) = &self.look {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{percent:>3}% {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// One line, as cryptsetup prints it: in JSON every value is a string, and what is not known yet is 0.
fn line(name: &str, total: Option<u64>, done: u64, elapsed: Duration, json: bool) -> String {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let speed =
        u64::try_from(u128::from(done) * 1000 / u128::from(elapsed_ms.max(1))).unwrap_or(u64::MAX);
    let left = total.unwrap_or(done).saturating_sub(done);
    let eta_ms =
        u64::try_from(u128::from(left) * 1000 / u128::from(speed.max(1))).unwrap_or(u64::MAX);
    if json {
        return json!({
            "device": name,
            "device_bytes": done.to_string(),
            "device_size": total.unwrap_or(0).to_string(),
            "speed": speed.to_string(),
            "eta_ms": eta_ms.to_string(),
            "time_ms": elapsed_ms.to_string(),
        })
        .to_string();
    }
    let done_mib = done >> 20;
    // The speed in tenths of a MiB a second, without floating point.
    let tenths = speed.saturating_mul(10) >> 20;
    let speed = format!("{}.{}", tenths / 10, tenths % 10);
    match total {
        Some(total) if left == 0 => {
            let (minutes, seconds) = (elapsed_ms / 60_000, elapsed_ms / 1000 % 60);
            format!(
                "Finished, time {minutes:02}m{seconds:02}s, {:4} MiB written, speed {speed:>5} MiB/s",
                total >> 20
            )
        }
        Some(total) => {
            let permille = u128::from(done) * 1000 / u128::from(total.max(1));
            let percent = format!("{}.{}", permille / 10, permille % 10);
            let (minutes, seconds) = (eta_ms / 60_000, eta_ms / 1000 % 60);
            format!(
                "Progress: {percent:>5}%, ETA {minutes:02}m{seconds:02}s, {done_mib:4} MiB written, speed {speed:>5} MiB/s"
            )
        }
        None => format!("Progress: {done_mib:4} MiB written, speed {speed:>5} MiB/s"),
    }
}

fn print(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_have_cryptsetups_members() {
        assert_eq!(
            line(
                "p.img",
                Some(3_204_448_256),
                1_610_612_736,
                Duration::from_secs(2),
                true
            ),
            "{\"device\":\"p.img\",\"device_bytes\":\"1610612736\",\"device_size\":\"3204448256\",\
             \"speed\":\"805306368\",\"eta_ms\":\"1979\",\"time_ms\":\"2000\"}"
        );
    }

    #[test]
    fn an_unknown_size_is_zero() {
        assert!(
            line("p", None, 1, Duration::ZERO, true)
                .contains("\"device_size\":\"0\",\"speed\":\"1000\",\"eta_ms\":\"0\"")
        );
    }

    #[test]
    fn text_lines_look_like_cryptsetups() {
        assert_eq!(
            line(
                "p.img",
                Some(3056 << 20),
                816 << 20,
                Duration::from_millis(1020),
                false
            ),
            "Progress:  26.7%, ETA 00m02s,  816 MiB written, speed 800.0 MiB/s"
        );
        assert_eq!(
            line(
                "p.img",
                Some(3056 << 20),
                3056 << 20,
                Duration::from_millis(3820),
                false
            ),
            "Finished, time 00m03s, 3056 MiB written, speed 800.0 MiB/s"
        );
    }
}
