//! What the guest wrote of a script: the steps, and the calls of the tool before each.

use std::collections::BTreeMap;

/// The steps of one script with one tool, in their order.
#[derive(Debug, Default)]
pub struct Log {
    steps: Vec<Step>,
    ended: Option<i32>,
}

/// A line of the script that can fail, at the time that it was run.
#[derive(Debug)]
struct Step {
    /// The lines of the calls that led to it, its own first.
    place: String,
    passed: bool,
    /// The calls since the step before.
    calls: Vec<Call>,
}

#[derive(Clone, Debug)]
struct Call {
    code: i32,
    words: String,
    /// The first line of what it said on standard error.
    says: String,
}

/// Steps that the real tool passes and ours does not, one after the other for the same cause.
#[derive(Debug)]
pub struct Difference {
    /// Of the first of them.
    pub line: String,
    pub steps: usize,
    /// The first call that ended otherwise; where none did, a step looked at what was said or made.
    pub cause: Option<Cause>,
}

/// A call that ended otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    pub words: String,
    /// None where the real tool never came there.
    pub real: Option<i32>,
    pub ours: i32,
    pub says: String,
}

impl Log {
    pub fn read(text: &str) -> Self {
        let mut log = Self::default();
        let mut calls = Vec::new();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "call" => {
                    let mut parts = rest.splitn(3, '\t');
                    let mut next = || parts.next().unwrap_or_default().to_owned();
                    calls.push(Call {
                        code: next().parse().unwrap_or(-1),
                        words: next(),
                        says: next(),
                    });
                }
                "passed" | "failed" => log.steps.push(Step {
                    place: rest.to_owned(),
                    passed: kind == "passed",
                    calls: std::mem::take(&mut calls),
                }),
                "ended" => log.ended = rest.parse().ok(),
                _ => {}
            }
        }
        log
    }

    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    pub fn passed(&self) -> usize {
        self.steps.iter().filter(|step| step.passed).count()
    }

    /// How many pass, and how it ended where that was not well.
    pub fn passed_shown(&self) -> String {
        match self.ended {
            Some(0) => self.passed().to_string(),
            Some(code) => format!("{} (ended {code})", self.passed()),
            None => format!("{} (did not end)", self.passed()),
        }
    }

    /// Each step by its place and how often it was come to before.
    fn by_place(&self) -> BTreeMap<(&str, usize), &Step> {
        let mut seen = BTreeMap::new();
        let mut steps = BTreeMap::new();
        for step in &self.steps {
            let times: &mut usize = seen.entry(step.place.as_str()).or_default();
            steps.insert((step.place.as_str(), *times), step);
            *times += 1;
        }
        steps
    }
}

/// The steps that the real tool passes and ours does not, or never comes to.
pub fn differences(real: &Log, ours: &Log) -> Vec<Difference> {
    let of_real = real.by_place();
    let mut seen = BTreeMap::new();
    // What is left of a call that ended otherwise is the cause of steps that fail after it without another.
    let mut found: Vec<Difference> = Vec::new();
    let mut last: Option<Cause> = None;
    for step in &ours.steps {
        let times: &mut usize = seen.entry(step.place.as_str()).or_default();
        let same = of_real.get(&(step.place.as_str(), *times));
        *times += 1;
        let cause = first_cause(same.map_or(&[][..], |step| &step.calls), &step.calls);
        let is_new = cause.is_some();
        last = cause.or(last);
        if step.passed || same.is_some_and(|step| !step.passed) {
            continue;
        }
        match found.last_mut() {
            Some(difference) if !is_new && difference.cause == last => difference.steps += 1,
            _ => found.push(Difference {
                line: step.place.split(' ').next().unwrap_or_default().to_owned(),
                steps: 1,
                cause: last.clone(),
            }),
        }
    }
    let never = of_real.iter().filter(|((place, times), step)| {
        step.passed && seen.get(place).is_none_or(|ours| ours <= times)
    });
    let never = never.count();
    if never > 0 {
        found.push(Difference {
            line: "never come to".to_owned(),
            steps: never,
            cause: last,
        });
    }
    found
}

fn first_cause(real: &[Call], ours: &[Call]) -> Option<Cause> {
    let mut left: Vec<&Call> = real.iter().collect();
    for call in ours {
        let at = left.iter().position(|other| other.words == call.words);
        let same = at.map(|at| left.remove(at));
        if same.is_some_and(|same| same.code == call.code) || same.is_none() && call.code == 0 {
            continue;
        }
        return Some(Cause {
            words: call.words.clone(),
            real: same.map(|same| same.code),
            ours: call.code,
            says: call.says.clone(),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "call 0\tluksFormat a\t\npassed 7 0\ncall 0\tluksOpen a\t\npassed 8 20 0\npassed 9 0\n\
        call 1\tluksOpen b\tno\nfailed 10 0\nended 0\n";

    #[test]
    fn a_failure_is_told_with_the_first_call_that_ended_otherwise() {
        let ours = REAL
            .replace("call 0\tluksOpen a\t", "call 2\tluksOpen a\tnot so")
            .replace("passed 8", "failed 8")
            .replace("passed 9", "failed 9");
        let (real, ours) = (Log::read(REAL), Log::read(&ours));
        assert_eq!((real.steps(), real.passed(), ours.passed()), (4, 3, 1));
        let found = differences(&real, &ours);
        let [difference] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((difference.line.as_str(), difference.steps), ("8", 2));
        let cause = Cause {
            words: "luksOpen a".to_owned(),
            real: Some(0),
            ours: 2,
            says: "not so".to_owned(),
        };
        assert_eq!(difference.cause, Some(cause));
        assert!(differences(&real, &real).is_empty());
    }

    #[test]
    fn steps_that_are_never_come_to_are_told() {
        let cut = REAL.split_inclusive('\n').take(2).collect::<String>();
        let (real, ours) = (Log::read(REAL), Log::read(&cut));
        let found = differences(&real, &ours);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].steps, 2);
        assert_eq!(ours.passed_shown(), "1 (did not end)");
    }
}
