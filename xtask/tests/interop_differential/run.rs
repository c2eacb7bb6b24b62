//! Cases one after the other: the library judges one while we judge the same.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::bases::{self, Base};
use crate::case::Case;
use crate::compare::{self, Judgement};
use crate::reference::{Question, Reference};
use crate::{expected, ours};

/// Every so many headers their JSON is compared too, which takes long.
const JSON_ONCE_IN: u64 = 16;
/// So many unexplained differences are described.
const DESCRIBED: usize = 200;

/// What came of the cases.
#[derive(Default)]
struct Outcome {
    accepted: u64,
    refused: u64,
    /// By entry of the lists.
    listed: BTreeMap<&'static str, u64>,
    jsons: u64,
    unlocked: u64,
    not_unlocked: u64,
    /// The library ended without an answer.
    ended: BTreeMap<String, u64>,
    unexplained: Vec<String>,
}

pub fn many(count: u64, seed: u64) {
    let bases = bases::all();
    let mut reference = Reference::start();
    let mut outcome = Outcome::default();
    let start = Instant::now();
    for number in 0..count {
        let case = Case::of(&bases, seed, number);
        let base = &bases[case.base];
        judge(&mut reference, base, &case, seed, number, &mut outcome);
    }
    println!(
        "cases: {outcome}, seed {seed}, {} s",
        start.elapsed().as_secs()
    );
    for (name, count) in &outcome.listed {
        println!("  listed: {count} {name} {}", expected::reason(name));
    }
    for (end, count) in &outcome.ended {
        println!("  libcryptsetup {end}: {count}");
    }
    let described = &outcome.unexplained[..outcome.unexplained.len().min(DESCRIBED)];
    assert!(
        outcome.unexplained.is_empty(),
        "{} unexplained:\n{}",
        outcome.unexplained.len(),
        described.join("\n")
    );
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed: u64 = self.listed.values().sum();
        let ended: u64 = self.ended.values().sum();
        write!(
            f,
            "differential {} passed, {} failed ({} accepted by both, {} refused by both, {listed} on the list, {ended} without an answer; {} with JSON; {} opened alike, {} not opened alike)",
            self.accepted + self.refused + listed,
            self.unexplained.len(),
            self.accepted,
            self.refused,
            self.jsons,
            self.unlocked,
            self.not_unlocked,
        )
    }
}

fn judge(
    reference: &mut Reference,
    base: &Base,
    case: &Case,
    seed: u64,
    number: u64,
    outcome: &mut Outcome,
) {
    let has_json = number.is_multiple_of(JSON_ONCE_IN);
    let question = Question {
        has_json,
        ..Question::default()
    };
    reference.ask(case, question);
    let luks = ours::open(case);
    let mut answer = match reference.answer() {
        Ok(answer) => answer,
        Err(end) => {
            *outcome.ended.entry(end).or_default() += 1;
            keep(case, seed, number);
            return;
        }
    };
    if luks.is_ok() && answer["fields"].is_null() {
        answer["messages"] = explanation(reference, case);
    }
    let mut judgement = compare::headers(&luks, case.length, &answer);
    match judgement {
        Judgement::Accepted => {
            outcome.accepted += 1;
            outcome.jsons += u64::from(has_json && answer["fields"]["json"].is_string());
        }
        Judgement::Refused => outcome.refused += 1,
        Judgement::Listed(name) => *outcome.listed.entry(name).or_default() += 1,
        Judgement::Unexplained(_) => {}
    }
    if let (Judgement::Accepted, true, Ok(luks)) = (&judgement, case.is_whole, &luks)
        && compare::is_cheap(luks.header())
    {
        let question = Question {
            passphrase: base.passphrase,
            ..Question::default()
        };
        reference.ask(case, question);
        let unlocked = ours::unlock(luks, base.passphrase);
        match reference.answer() {
            Ok(answer) => {
                judgement = compare::unlocked(luks, &unlocked, &answer);
                match &judgement {
                    Judgement::Accepted => outcome.unlocked += 1,
                    Judgement::Refused => outcome.not_unlocked += 1,
                    Judgement::Listed(name) => *outcome.listed.entry(name).or_default() += 1,
                    Judgement::Unexplained(_) => {}
                }
            }
            Err(end) => {
                *outcome.ended.entry(end).or_default() += 1;
                keep(case, seed, number);
            }
        }
    }
    if let Judgement::Unexplained(problem) = judgement {
        let kept = keep(case, seed, number);
        let name = base.name;
        let edits = case.edits.join("; ");
        let problem =
            format!("--seed {seed} --only {number} ({kept}): {name}, {edits}\n  {problem}");
        if outcome.unexplained.len() < DESCRIBED {
            eprintln!("{problem}");
        }
        outcome.unexplained.push(problem);
    }
}

/// All that the library says of its own work.
fn explanation(reference: &mut Reference, case: &Case) -> Value {
    let question = Question {
        is_explained: true,
        ..Question::default()
    };
    reference.ask(case, question);
    reference.answer().unwrap_or_default()["messages"].take()
}

/// Writes the file of a case where it stays.
fn keep(case: &Case, seed: u64, number: u64) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential-{seed}-{number}"));
    case.write(&path);
    path.display().to_string()
}

/// One case alone, with all that both say.
pub fn one(seed: u64, number: u64) {
    let bases = bases::all();
    let case = Case::of(&bases, seed, number);
    let mut reference = Reference::start();
    let question = Question {
        is_explained: true,
        has_json: true,
        passphrase: if case.is_whole {
            bases[case.base].passphrase
        } else {
            b""
        },
    };
    reference.ask(&case, question);
    println!("{}, {}", bases[case.base].name, case.edits.join("; "));
    println!("file: {}", keep(&case, seed, number));
    let luks = ours::open(&case);
    match &luks {
        Ok(luks) => {
            let fields = Value::from(ours::fields(luks.header()));
            println!("we accept it: {:?}\n{fields:#}", luks.warnings());
        }
        Err(error) => println!("we refuse it: {error}\n{error:?}"),
    }
    match reference.answer() {
        Ok(answer) => {
            println!("libcryptsetup: {answer:#}");
            if let Judgement::Unexplained(problem) = compare::headers(&luks, case.length, &answer) {
                panic!("{problem}");
            }
            if let (Ok(luks), true) = (&luks, answer["unlocked"].is_object())
                && compare::is_cheap(luks.header())
            {
                let unlocked = ours::unlock(luks, question.passphrase);
                if let Judgement::Unexplained(problem) = compare::unlocked(luks, &unlocked, &answer)
                {
                    panic!("{problem}");
                }
            }
        }
        Err(end) => println!("libcryptsetup {end}"),
    }
}
