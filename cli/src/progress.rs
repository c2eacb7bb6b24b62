//! What is seen of a copy while it runs: a bar on a terminal, lines where they are asked for, else nothing.

use std::fmt::Write;
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::json;

use crate::args::{OutputArgs, WorkArgs};
use crate::human;

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
    /// Starts to count. `name` is the image that the lines name, `total` its bytes where they are known. Who wants to
    /// hear nothing, or reads standard error by a program, is shown no bar.
    pub fn start(args: &WorkArgs, say: OutputArgs, name: &str, total: Option<u64>) -> Self {
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
        } else if io::stderr().is_terminal() && !say.batch_mode && !say.json {
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

/// The progress of something that is counted: a bar on a terminal, else nothing.
pub struct Counted(Option<ProgressBar>);

impl Counted {
    /// Starts to count, unseen where that is asked for.
    pub fn start(total: u64, is_quiet: bool) -> Self {
        let is_seen = !is_quiet && io::stderr().is_terminal();
        Self(is_seen.then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len}, {eta} left")
            {
                bar.set_style(style);
            }
            bar
        }))
    }

    /// So many are done.
    pub fn update(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    if let Ok(style) = ProgressStyle::with_template("{line}") {
        // The width is asked for each time: a window may change its size.
        bar.set_style(
            style.with_key("line", |state: &ProgressState, line: &mut dyn Write| {
                let state = State {
                    done: state.pos(),
                    total: state.len(),
                    per_second: state.per_sec(),
                    left: state.eta(),
                };
                let _ = line.write_str(&state.line(columns()));
            }),
        );
    }
    bar
}

/// Columns of the terminal that standard error is, but for the last one, behind which some terminals go to the next line.
fn columns() -> usize {
    let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    match columns {
        0 => human::COLUMNS - 1,
        columns => usize::from(columns) - 1,
    }
}

/// How far a copy is.
struct State {
    done: u64,
    total: Option<u64>,
    per_second: f64,
    left: Duration,
}

impl State {
    /// What fits into so many columns, and fills them where there is a bar.
    fn line(&self, columns: usize) -> String {
        let done = human::short_size(self.done);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a speed is positive, and one that is no number is shown as 0"
        )]
        let speed = human::short_size(self.per_second as u64);
        let Some(total) = self.total else {
            let whole = format!("{done}, {speed}/s");
            return [whole, done, String::new()]
                .into_iter()
                .find(|text| text.chars().count() <= columns)
                .unwrap_or_default();
        };
        let permille = u128::from(self.done) * 1000 / u128::from(total.max(1));
        let permille = usize::try_from(permille).unwrap_or(1000).min(1000);
        let percent = format!("{:>3}%", permille / 10);
        let left = human::time(self.left);
        let texts = [
            format!(
                "{done} of {}, {speed}/s, {left} left",
                human::short_size(total)
            ),
            format!("{speed}/s, {left} left"),
            format!("{left} left"),
        ];
        for text in texts {
            let used = percent.len() + text.chars().count() + 4;
            if let Some(bar) = columns.checked_sub(used).filter(|bar| *bar >= LEAST_BAR) {
                let filled = bar * permille / 1000;
                let (filled, empty) = ("#".repeat(filled), "-".repeat(bar - filled));
                return format!("{percent} [{filled}{empty}] {text}");
            }
        }
        if percent.len() <= columns {
            percent
        } else {
            String::new()
        }
    }
}

/// A bar with fewer columns shows nothing.
const LEAST_BAR: usize = 8;

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
    fn the_bar_fits_every_terminal() {
        let state = |total| State {
            done: 1_610_612_737,
            total,
            per_second: 230_686_720.5,
            left: Duration::from_secs(3700),
        };
        for columns in 0..200 {
            for total in [None, Some(3_204_448_256), Some(u64::MAX), Some(0)] {
                let line = state(total).line(columns);
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
        let known = state(Some(3_204_448_256));
        assert_eq!(
            known.line(79),
            " 50% [#############-------------] 1.5 GiB of 3.0 GiB, 220 MiB/s, 1 h 1 min left"
        );
        assert_eq!(
            known.line(43),
            " 50% [#####-----] 220 MiB/s, 1 h 1 min left"
        );
        assert_eq!(known.line(10), " 50%");
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
