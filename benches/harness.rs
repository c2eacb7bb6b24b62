//! Contestants in turns: A B C B C A, so that what else the machine does meets all of them, and medians.
//!
//! Each runs once in a turn. The order changes from turn to turn, or one would always come after the slowest.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bounds;
use crate::random::Xorshift;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// A chart ends after this long, or after [`most_turns`](Self::most_turns).
    chart: Duration,
    least_turns: usize,
    /// One: each contestant shows that it runs.
    pub most_turns: usize,
    /// Size of a whole image.
    pub image_bytes: u64,
    /// Iterations of PBKDF2 in a turn, and twice the passes where one core is compared with two.
    pub iterations: u32,
    /// Lanes and memory, in KiB, of Argon2.
    pub argon2: &'static [(u32, u32)],
    /// Whether other programs and the libraries of others take part.
    pub peers: bool,
}

impl Effort {
    /// Minutes for each subject.
    pub const FULL: Self = Self {
        chart: Duration::from_secs(6),
        least_turns: 7,
        most_turns: 20_000,
        image_bytes: 1 << 30,
        iterations: 10_000,
        argon2: &[(1, 64 << 10), (4, 64 << 10), (4, 1 << 20)],
        peers: true,
    };
    /// Seconds for each subject.
    pub const QUICK: Self = Self {
        chart: Duration::from_millis(500),
        least_turns: 3,
        most_turns: 2000,
        image_bytes: 64 << 20,
        iterations: 10_000,
        argon2: &[(1, 4 << 10), (4, 4 << 10)],
        peers: true,
    };
    /// Each contestant once, to see that it runs.
    pub const SMOKE: Self = Self {
        chart: Duration::ZERO,
        least_turns: 1,
        most_turns: 1,
        image_bytes: 1 << 20,
        iterations: 10,
        argon2: &[(1, 64), (4, 64)],
        peers: false,
    };
}

/// What one turn of each contestant does, and so how its speed is told.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// So many bytes: GiB a second.
    Bytes(u64),
    /// So many operations: operations a second.
    Operations(u32),
    /// One thing: milliseconds.
    Whole,
}

impl Work {
    fn unit(self) -> &'static str {
        match self {
            Self::Bytes(_) => "GiB/s",
            Self::Operations(_) => "per s",
            Self::Whole => "ms",
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sizes of images are far below 2^52"
    )]
    fn value(self, nanoseconds: f64) -> f64 {
        match self {
            Self::Bytes(bytes) => bytes as f64 / nanoseconds * 1e9 / f64::from(1 << 30),
            Self::Operations(operations) => f64::from(operations) / nanoseconds * 1e9,
            Self::Whole => nanoseconds / 1e6,
        }
    }
}

/// What is to be compared. The first one named is what the others are measured against: ours. Where that one cannot take
/// part, nobody is measured against another.
pub struct Contest<'a> {
    title: String,
    work: Work,
    contestants: Vec<Contestant<'a>>,
    missing: Vec<Missing>,
    is_probed: bool,
    has_ratios: bool,
}

struct Contestant<'a> {
    name: String,
    turn: Box<dyn FnMut() -> Duration + 'a>,
    check: Option<Box<dyn FnMut() + 'a>>,
}

/// A contestant that cannot take part.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Who.
    pub name: String,
    /// Why.
    pub why: String,
}

impl<'a> Contest<'a> {
    /// Nobody yet.
    pub fn new(title: impl Into<String>, work: Work) -> Self {
        Self {
            title: title.into(),
            work,
            contestants: Vec::new(),
            missing: Vec::new(),
            is_probed: false,
            has_ratios: true,
        }
    }

    /// For things that belong together and are not to be compared with each other.
    #[must_use]
    pub fn without_ratios(mut self) -> Self {
        self.has_ratios = false;
        self
    }

    /// For turns of microseconds, in which caches and predictors that another left matter: each runs twice and only
    /// the second is timed, and samples are told apart in which nothing else used the core, as the probe before and
    /// after shows.
    #[must_use]
    pub fn probed(mut self) -> Self {
        self.is_probed = true;
        self
    }

    /// One more contestant; all of a turn is timed.
    pub fn add(&mut self, name: impl Into<String>, mut turn: impl FnMut() + 'a) {
        self.add_timed(name, move || timed(&mut turn));
    }

    /// One more contestant, whose turn says how long the part of it took that counts.
    pub fn add_timed(&mut self, name: impl Into<String>, turn: impl FnMut() -> Duration + 'a) {
        self.contestants.push(Contestant {
            name: name.into(),
            turn: Box::new(turn),
            check: None,
        });
    }

    /// One more contestant, as by [`add_timed`](Self::add_timed). After its first turn, which no time is taken of,
    /// `check` looks at the result, and panics where it is wrong: nobody is measured who computes something else.
    pub fn add_checked(
        &mut self,
        name: impl Into<String>,
        turn: impl FnMut() -> Duration + 'a,
        check: impl FnMut() + 'a,
    ) {
        self.contestants.push(Contestant {
            name: name.into(),
            turn: Box::new(turn),
            check: Some(Box::new(check)),
        });
    }

    /// One that the chart names all the same.
    pub fn miss(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.has_ratios &= !self.contestants.is_empty();
        self.missing.push(Missing {
            name: name.into(),
            why: why.into(),
        });
    }

    /// Lets them take turns. The first turn of each warms up, and is checked.
    pub fn run(mut self, effort: &Effort) -> Chart {
        for contestant in &mut self.contestants {
            if effort.most_turns > 1 || contestant.check.is_some() {
                (contestant.turn)();
            }
            if let Some(mut check) = contestant.check.take() {
                check();
            }
        }
        let mut samples = vec![Vec::new(); self.contestants.len()];
        let mut order: Vec<usize> = (0..samples.len()).collect();
        let mut random = Xorshift::new(0x2545_f491_4f6c_dd1d);
        let start = Instant::now();
        for turn in 0..effort.most_turns {
            if turn >= effort.least_turns && start.elapsed() >= effort.chart {
                break;
            }
            for &at in shuffled(&mut order, &mut random) {
                let (contestant, samples) = (&mut self.contestants[at], &mut samples[at]);
                if self.is_probed {
                    (contestant.turn)();
                }
                let before = self.is_probed.then(bounds::probe);
                let took = (contestant.turn)();
                let after = self.is_probed.then(bounds::probe);
                samples.push(Sample {
                    nanoseconds: took.as_secs_f64() * 1e9,
                    probe: before.zip(after).map(|(before, after)| before.max(after)),
                });
            }
        }
        let fastest_probe = fastest_probe(&samples);
        let rows = self
            .contestants
            .iter()
            .zip(&samples)
            .map(|(contestant, own)| Row {
                name: contestant.name.clone(),
                value: self.work.value(median(own.iter().map(|s| s.nanoseconds))),
                ratio: self
                    .has_ratios
                    .then(|| median(ratios(own, &samples[0], f64::INFINITY))),
                quiet: fastest_probe
                    .filter(|_| self.has_ratios)
                    .and_then(|fastest| {
                        let limit = fastest * QUIET;
                        let quiet: Vec<f64> = ratios(own, &samples[0], limit).collect();
                        (!quiet.is_empty()).then(|| Quiet {
                            samples: quiet.len(),
                            ratio: median(quiet),
                        })
                    }),
            })
            .collect();
        Chart {
            title: self.title,
            unit: self.work.unit(),
            turns: samples.first().map_or(0, Vec::len),
            rows,
            missing: self.missing,
        }
    }
}

/// How long something takes.
pub fn timed(action: impl FnOnce()) -> Duration {
    let start = Instant::now();
    action();
    start.elapsed()
}

/// Another order.
fn shuffled<'a>(order: &'a mut [usize], random: &mut Xorshift) -> &'a [usize] {
    for at in (1..order.len()).rev() {
        let [low, ..] = random.draw().to_le_bytes();
        order.swap(at, usize::from(low) % (at + 1));
    }
    order
}

/// A probe that took at most this times the fastest: nobody took instructions from the core.
const QUIET: f64 = 1.08;

#[derive(Clone, Copy)]
struct Sample {
    nanoseconds: f64,
    probe: Option<f64>,
}

/// The fastest probe but for a few: a clock that jumps must not make all others look slow.
fn fastest_probe(samples: &[Vec<Sample>]) -> Option<f64> {
    let mut probes: Vec<f64> = samples.iter().flatten().filter_map(|s| s.probe).collect();
    probes.sort_by(f64::total_cmp);
    probes.get(probes.len() / 50).copied()
}

/// How many times as fast as `own` the first one was in each turn whose probes keep below a limit.
fn ratios<'a>(
    own: &'a [Sample],
    first: &'a [Sample],
    limit: f64,
) -> impl Iterator<Item = f64> + 'a {
    own.iter()
        .zip(first)
        .filter(move |(own, first)| {
            own.probe.unwrap_or(0.0) <= limit && first.probe.unwrap_or(0.0) <= limit
        })
        .map(|(own, first)| own.nanoseconds / first.nanoseconds)
}

/// The middle one; of an even number the upper of the two.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What came of a contest.
#[derive(Debug)]
pub struct Chart {
    /// What was done.
    pub title: String,
    /// Of the values.
    pub unit: &'static str,
    /// How often each took a turn.
    pub turns: usize,
    /// Those that took part.
    pub rows: Vec<Row>,
    /// Those that did not.
    pub missing: Vec<Missing>,
}

/// What came of one contestant.
#[derive(Debug)]
pub struct Row {
    /// Who.
    pub name: String,
    /// Median, in the chart's unit.
    pub value: f64,
    /// How many times as fast the first contestant is: the median of the ratios of each turn.
    pub ratio: Option<f64>,
    /// The same of quiet turns.
    pub quiet: Option<Quiet>,
}

/// Turns in which nobody else used the core, neither for this contestant nor for the first.
#[derive(Debug)]
pub struct Quiet {
    /// How many.
    pub samples: usize,
    /// Median of their ratios.
    pub ratio: f64,
}

impl Chart {
    /// One line for programs.
    pub fn json(&self, subject: &str) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name,
                    "value": row.value,
                    "ratio": row.ratio,
                    "quiet_ratio": row.quiet.as_ref().map(|quiet| quiet.ratio),
                    "quiet_samples": row.quiet.as_ref().map(|quiet| quiet.samples),
                })
            })
            .collect();
        let missing: Vec<Value> = self
            .missing
            .iter()
            .map(|missing| json!({ "name": missing.name, "why": missing.why }))
            .collect();
        json!({
            "subject": subject,
            "title": self.title,
            "unit": self.unit,
            "turns": self.turns,
            "rows": rows,
            "missing": missing,
        })
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} turns)", self.title, self.turns)?;
        for row in &self.rows {
            write!(f, "  {:40} {:12.3} {}", row.name, row.value, self.unit)?;
            if let Some(ratio) = row.ratio {
                write!(f, "  {ratio:8.3}")?;
            }
            if let Some(quiet) = &row.quiet {
                write!(f, "  quiet {:.3} ({})", quiet.ratio, quiet.samples)?;
            }
            writeln!(f)?;
        }
        for Missing { name, why } in &self.missing {
            writeln!(f, "  {name:40} missing: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contestants_take_turns() {
        let order = RefCell::new(String::new());
        let mut contest = Contest::new("turns", Work::Whole);
        contest.add("a", || order.borrow_mut().push('a'));
        contest.add("b", || order.borrow_mut().push('b'));
        contest.miss("c", "it is elsewhere");
        let effort = Effort {
            least_turns: 3,
            most_turns: 3,
            ..Effort::SMOKE
        };
        let chart = contest.run(&effort);
        let order = order.into_inner();
        assert_eq!(&order[..2], "ab", "the first turn warms up");
        for turn in order.as_bytes().chunks(2) {
            assert!(turn == b"ab" || turn == b"ba", "{order}");
        }
        assert_eq!(order.len(), 8);
        assert_eq!((chart.turns, chart.rows.len()), (3, 2));
        assert!(chart.to_string().contains("missing: it is elsewhere"));
    }

    #[test]
    fn nobody_takes_the_place_of_the_first_one() {
        let mut contest = Contest::new("without ours", Work::Whole);
        contest.miss("ours", "it is not built");
        contest.add("theirs", || ());
        let chart = contest.run(&Effort::SMOKE);
        assert_eq!((chart.rows.len(), chart.rows[0].ratio), (1, None));
        let mut contest = Contest::new("parts", Work::Whole).without_ratios();
        contest.add("one", || ());
        assert_eq!(contest.run(&Effort::SMOKE).rows[0].ratio, None);
        let mut contest = Contest::new("nobody", Work::Whole);
        contest.miss("ours", "it is not built");
        assert_eq!(contest.run(&Effort::SMOKE).turns, 0);
    }

    #[test]
    fn the_first_turn_is_checked() {
        for most_turns in [1, 3] {
            let done = RefCell::new(String::new());
            let mut contest = Contest::new("checked", Work::Whole);
            contest.add_checked(
                "a",
                || {
                    done.borrow_mut().push('a');
                    Duration::from_millis(1)
                },
                || done.borrow_mut().push('!'),
            );
            let effort = Effort {
                least_turns: most_turns,
                most_turns,
                ..Effort::SMOKE
            };
            contest.run(&effort);
            assert_eq!(done.into_inner(), format!("a!{}", "a".repeat(most_turns)));
        }
    }

    #[test]
    fn ratios_are_medians_of_turns_and_of_the_quiet_ones() {
        let milliseconds = |list: &'static [u64]| {
            let mut left = list.iter();
            move || Duration::from_millis(*left.next().expect("a turn for each number"))
        };
        let mut contest = Contest::new("numbers", Work::Bytes(1 << 30));
        contest.add_timed("ours", milliseconds(&[9, 100, 100, 200]));
        contest.add_timed("theirs", milliseconds(&[9, 200, 300, 800]));
        let effort = Effort {
            least_turns: 3,
            most_turns: 3,
            ..Effort::SMOKE
        };
        let chart = contest.run(&effort);
        let [ours, theirs] = &chart.rows[..] else {
            panic!("two rows");
        };
        assert_eq!(ours.ratio, Some(1.0));
        assert!((ours.value - 10.0).abs() < 1e-6, "{}", ours.value);
        assert!(theirs.ratio.is_some_and(|ratio| (ratio - 3.0).abs() < 1e-6));
        assert!(theirs.quiet.is_none());

        let sample = |nanoseconds, probe| Sample {
            nanoseconds,
            probe: Some(probe),
        };
        let own = [sample(20.0, 1.0), sample(90.0, 1.5), sample(30.0, 1.0)];
        let first = [sample(10.0, 1.0), sample(10.0, 1.0), sample(10.0, 1.05)];
        assert_eq!(ratios(&own, &first, 1.08).collect::<Vec<_>>(), [2.0, 3.0]);
    }
}
