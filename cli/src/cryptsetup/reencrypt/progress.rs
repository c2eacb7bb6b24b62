//! How far a job in place is, as cryptsetup tells it on standard output.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cryptsetup::session::Session;

/// How often it is told unless `--progress-frequency` says.
const INTERVAL: Duration = Duration::from_millis(500);

/// The progress of one job.
pub(super) struct Progress {
    look: Look,
    device: String,
    total: u64,
    interval: Duration,
    started: Instant,
    next: Duration,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Look {
    Silent,
    Json,
    /// A line each time.
    Lines,
    /// One line that is written over.
    Live,
}

impl Progress {
    pub(super) fn begin(session: &Session, total: u64) -> Self {
        let seconds = session.given.number("progress-frequency");
        let interval = seconds.filter(|seconds| *seconds != 0);
        let look = if session.given.has("progress-json") {
            Look::Json
        } else if session.is_batch() {
            Look::Silent
        } else if interval.is_some() {
            Look::Lines
        } else {
            Look::Live
        };
        let interval = interval.map_or(INTERVAL, Duration::from_secs);
        Self {
            look,
            device: session.device(),
            total,
            interval,
            started: Instant::now(),
            next: interval,
        }
    }

    pub(super) fn advance(&mut self, done: u64) {
        let elapsed = self.started.elapsed();
        if self.look == Look::Silent || elapsed < self.next || done >= self.total {
            return;
        }
        self.next = elapsed + self.interval;
        match self.look {
            Look::Silent => {}
            Look::Json => self.json(done, elapsed),
            Look::Lines => print(&format!("{}\n", self.line(done, elapsed))),
            Look::Live => print(&format!("\x1b[2K\r{}", self.line(done, elapsed))),
        }
    }

    pub(super) fn finish(&self, done: u64) {
        let elapsed = self.started.elapsed();
        let text = format!(
            "Finished, time {}, {} written, speed {}\n",
            time(elapsed),
            size(done),
            speed(done, elapsed)
        );
        match self.look {
            Look::Silent => {}
            Look::Json => self.json(done, elapsed),
            Look::Lines => print(&text),
            Look::Live => print(&format!("\x1b[2K\r{text}")),
        }
    }

    /// Where a line is there that was to be written over.
    pub(super) fn interrupt(&self) {
        if self.look == Look::Live {
            print("\x1b[2K\r\n");
        }
    }

    fn line(&self, done: u64, elapsed: Duration) -> String {
        format!(
            "Progress: {:5.1}%, ETA {}, {} written, speed {}",
            share(done, self.total) * 100.0,
            time(left(done, self.total, elapsed)),
            size(done),
            speed(done, elapsed)
        )
    }

    fn json(&self, done: u64, elapsed: Duration) {
        let members = [
            ("device", json!(self.device)),
            ("device_bytes", json!(done.to_string())),
            ("device_size", json!(self.total.to_string())),
            ("speed", json!(per_second(done, elapsed).to_string())),
            (
                "eta_ms",
                json!(left(done, self.total, elapsed).as_millis().to_string()),
            ),
            ("time_ms", json!(elapsed.as_millis().to_string())),
        ];
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        print(&format!("{{{}}}\n", members.join(",")));
    }
}

/// A reader that went away had what it wanted, and the work goes on.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

#[expect(clippy::cast_precision_loss, reason = "it is shown in three digits")]
fn share(done: u64, total: u64) -> f64 {
    if total == 0 {
        1.0
    } else {
        done as f64 / total as f64
    }
}

fn per_second(done: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    let per_second = u128::from(done) * 1_000_000 / micros;
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

fn left(done: u64, total: u64, elapsed: Duration) -> Duration {
    if done == 0 {
        return Duration::ZERO;
    }
    let rest = u128::from(total.saturating_sub(done));
    let micros = elapsed.as_micros() * rest / u128::from(done);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes:02}m{seconds:02}s")
    } else {
        format!("{hours:02}h{minutes:02}m{seconds:02}s")
    }
}

fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 10_000 {
        format!("{mib:4} MiB")
    } else {
        format!("{:4} GiB", mib >> 10)
    }
}

fn speed(done: u64, elapsed: Duration) -> String {
    let mib = share(per_second(done, elapsed), 1 << 20);
    format!("{mib:5.1} MiB/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_scripts_know_them() {
        assert_eq!(time(Duration::from_millis(1_900)), "00m01s");
        assert_eq!(time(Duration::from_secs(3_723)), "01h02m03s");
        assert_eq!(size(3 << 20), "   3 MiB");
        assert_eq!(size(126 << 20), " 126 MiB");
        assert_eq!(size(20_000 << 20), "  19 GiB");
        assert_eq!(speed(50 << 20, Duration::from_secs(1)), " 50.0 MiB/s");
        assert_eq!(speed(500 << 20, Duration::from_secs(2)), "250.0 MiB/s");
        assert_eq!(left(1, 4, Duration::from_secs(2)), Duration::from_secs(6));
        assert_eq!(left(0, 4, Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(per_second(1 << 20, Duration::ZERO), 1_048_576_000_000);
    }
}
