//! Command lines.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Mutex, OnceLock, PoisonError};

use arbitrary::Unstructured;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use luksmith::args::{Cli, size};
use luksmith::cryptsetup::{Asked, asked};
use luksmith::output;

const MOST_OPTIONS: u8 = 6;

/// The same command line in two spellings and orders means the same to either face. The verbs name what they refuse, always
/// give help, take no secret and say none; cryptsetup's face understands what a table says.
///
/// # Panics
/// When it does not.
pub fn arguments(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let is_accepted = if input.arbitrary().unwrap_or(false) {
        verbs(&mut input)
    } else {
        cryptsetup(&mut input)
    };
    is_accepted.unwrap_or(false)
}

fn verbs(input: &mut Unstructured<'_>) -> arbitrary::Result<bool> {
    static COMMAND: OnceLock<Mutex<Command>> = OnceLock::new();
    let command = COMMAND.get_or_init(|| {
        let mut command = Cli::command();
        command.build();
        Mutex::new(command)
    });
    // A panic of another test has left no half of a definition behind.
    let mut command = command.lock().unwrap_or_else(PoisonError::into_inner);

    let mut words: Vec<OsString> = vec!["luksmith".into()];
    let mut verb = &*command;
    while verb.has_subcommands() {
        let below: Vec<&Command> = verb.get_subcommands().collect();
        verb = *input.choose(&below)?;
        words.push(verb.get_name().into());
    }
    if words[1] == "cryptsetup" {
        // It is the other face's.
        return Ok(false);
    }
    let all: Vec<&Arg> = verb
        .get_arguments()
        .filter(|arg| {
            arg.get_long()
                .is_some_and(|name| !["help", "version"].contains(&name))
        })
        .collect();
    let mut options = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..input.int_in_range(0..=MOST_OPTIONS)? {
        if all.is_empty() {
            break;
        }
        let arg = *input.choose(&all)?;
        let name = arg.get_long().expect("the others are left out").to_owned();
        let value = if arg.get_action().takes_values() {
            let known = arg.get_possible_values();
            Some(if known.is_empty() || input.ratio(1, 8)? {
                value(input)?
            } else {
                input.choose(&known)?.get_name().into()
            })
        } else {
            None
        };
        // A value with a dash needs `=` here.
        let is_plain = value
            .as_ref()
            .is_none_or(|value: &OsString| !value.as_bytes().starts_with(b"-"));
        if is_plain && names.insert(name.clone()) {
            options.push(Typed {
                name,
                letter: arg.get_short(),
                value,
            });
        }
    }
    let operands = operands(input)?;
    let first = [&words[..], &spelled(&options), &operands].concat();
    if input.arbitrary()? {
        options.reverse();
    }
    let second = [&words[..], &respelled(&options, &operands, input)?].concat();
    let asks = input.choose_index(64)?;

    let mut parse = |words: &[OsString]| {
        command
            .try_get_matches_from_mut(words)
            .and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let outcome = parse(&first);
    let again = parse(&second);
    match (&outcome, &again) {
        (Ok(one), Ok(other)) => assert_eq!(
            format!("{one:?}"),
            format!("{other:?}"),
            "{first:?} {second:?}"
        ),
        (Err(one), Err(_)) => {
            let text = one.to_string();
            assert!(one.use_stderr() && one.exit_code() != 0);
            let is_named = names.iter().any(|name| text.contains(&format!("--{name}")));
            let is_operand = operands
                .iter()
                .any(|word| text.contains(&format!("'{}'", word.display())));
            // What is no text cannot be shown, and what is not there is named by what it is.
            let is_nameless = matches!(
                one.kind(),
                ErrorKind::InvalidUtf8 | ErrorKind::MissingRequiredArgument
            );
            assert!(is_named || is_operand || is_nameless, "{text}");
        }
        _ => panic!("{first:?} is not {second:?}"),
    }
    if asks == 0 {
        let help = parse(&[&words[..], &["--help".into()], &first[words.len()..]].concat());
        assert!(help.is_err_and(|help| !help.use_stderr()), "no help");
    }
    if asks < 4 {
        let option = ["passphrase", "password", "key", "secret"][asks];
        let secret = format!("--{option}=correct horse");
        let error = parse(&[&first[..], &[secret.into()]].concat()).expect_err("a secret is taken");
        assert!(!error.to_string().contains("correct horse"), "{error}");
    }
    Ok(outcome.is_ok())
}

/// An option as it was typed.
#[derive(Clone)]
struct Typed {
    name: String,
    letter: Option<char>,
    value: Option<OsString>,
}

/// Each option as `--name=value`.
fn spelled(options: &[Typed]) -> Vec<OsString> {
    let word = |option: &Typed| {
        let mut word = OsString::from(format!("--{}", option.name));
        if let Some(value) = &option.value {
            word.push("=");
            word.push(value);
        }
        word
    };
    options.iter().map(word).collect()
}

/// The options in other spellings, with the operands in their order somewhere between them.
fn respelled(
    options: &[Typed],
    operands: &[OsString],
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<Vec<OsString>> {
    let mut words: Vec<OsString> = Vec::new();
    let mut operands = operands.iter().cloned();
    // Whether more letters can be put to the last word.
    let mut is_open = false;
    for option in options {
        if input.arbitrary()? {
            let operand = operands.next();
            is_open &= operand.is_none();
            words.extend(operand);
        }
        match option.letter.filter(|_| input.arbitrary().unwrap_or(true)) {
            None => {
                words.push(format!("--{}", option.name).into());
                words.extend(option.value.clone());
                is_open = false;
            }
            Some(letter) => {
                if !is_open {
                    words.push("-".into());
                }
                let word = words.last_mut().expect("one was pushed");
                word.push(letter.to_string());
                is_open = option.value.is_none();
                match &option.value {
                    Some(value) if value.is_empty() || input.arbitrary()? => {
                        words.push(value.clone());
                    }
                    Some(value) => {
                        word.push("=");
                        word.push(value);
                    }
                    None => {}
                }
            }
        }
    }
    words.extend(operands);
    Ok(words)
}

fn operands(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<OsString>> {
    let count = input.int_in_range(0..=3)?;
    (0..count)
        .map(|_| {
            let words = ["a", "-", "disk.img", "3", "add", "remove", "x y"];
            Ok(OsString::from(*input.choose(&words)?))
        })
        .collect()
}

/// A value, and [`size::parse`] of it against a naive reading.
fn value(input: &mut Unstructured<'_>) -> arbitrary::Result<OsString> {
    const TEXTS: &[&str] = &[
        "",
        "0",
        "1",
        "7",
        "512",
        "4096",
        "-1",
        "+3",
        "-0",
        " 4",
        "256",
        "1K",
        "16k",
        "1KiB",
        "1KB",
        "3s",
        "1T",
        "16777216T",
        "4294967295",
        "4294967296",
        "2147483648",
        "-2147483648",
        "18446744073709551615",
        "18446744073709551616",
        "aes-xts-plain64",
        "pbkdf2",
        "luks1",
        "plain",
        "prefer",
        "=x",
    ];
    let value: OsString = match input.int_in_range(0..=3)? {
        0 => OsString::from_vec(input.arbitrary::<&[u8]>()?.to_vec()),
        1 => format!(
            "{}{}",
            input.arbitrary::<u64>()?,
            input.choose(&["", "K", "m", "GiB", "TB", "s"])?
        )
        .into(),
        _ => (*input.choose(TEXTS)?).into(),
    };
    if let Some(text) = value.to_str() {
        let expected = naive_size(text);
        assert_eq!(size::parse(text).ok().map(i128::from), expected, "{text:?}");
    }
    Ok(value)
}

/// What a size says, read in another way than the product's: each suffix by its whole name.
fn naive_size(text: &str) -> Option<i128> {
    let units = [("K", 1), ("M", 2), ("G", 3), ("T", 4)].into_iter();
    let units = units
        .flat_map(|(letter, power)| [(letter.to_owned(), power), (letter.to_lowercase(), power)]);
    let units = units.flat_map(|(letter, power)| {
        [
            (format!("{letter}iB"), 1024_i128.pow(power)),
            (format!("{letter}B"), 1000_i128.pow(power)),
            (letter, 1024_i128.pow(power)),
        ]
    });
    let others = [("", 1), ("s", 512), ("S", 512)];
    let others = others.map(|(suffix, unit)| (suffix.to_owned(), unit));
    let size = units
        .chain(others)
        .find_map(|(suffix, unit)| Some(naive(text.strip_suffix(suffix.as_str())?)? * unit))?;
    bounded(size, 0, u64::MAX.into())
}

/// Decimal digits and nothing else, of a number that is not too large to matter.
fn naive(digits: &str) -> Option<i128> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let digits = digits.trim_start_matches('0');
    (is_number && digits.len() < 25).then(|| {
        digits
            .bytes()
            .fold(0, |number, digit| 10 * number + i128::from(digit - b'0'))
    })
}

fn bounded(number: i128, least: i128, most: i128) -> Option<i128> {
    (least..=most).contains(&number).then_some(number)
}

/// What an option of cryptsetup takes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Flag,
    Text,
    Number(i128),
    Signed,
    Size,
}

const U32: Kind = Kind::Number(u32::MAX as i128);
const U64: Kind = Kind::Number(u64::MAX as i128);

/// Some options of every kind: name, letter, what it takes, and the name that it is kept by.
const OPTIONS: &[(&str, Option<char>, Kind, &str)] = &[
    ("batch-mode", Some('q'), Kind::Flag, "batch-mode"),
    ("verbose", Some('v'), Kind::Flag, "verbose"),
    ("readonly", Some('r'), Kind::Flag, "readonly"),
    ("test-passphrase", None, Kind::Flag, "test-passphrase"),
    ("unbound", None, Kind::Flag, "unbound"),
    ("cipher", Some('c'), Kind::Text, "cipher"),
    ("hash", Some('h'), Kind::Text, "hash"),
    ("type", Some('M'), Kind::Text, "type"),
    ("header", None, Kind::Text, "header"),
    ("key-file", Some('d'), Kind::Text, "key-file"),
    ("label", None, Kind::Text, "label"),
    ("pbkdf", None, Kind::Text, "pbkdf"),
    ("priority", None, Kind::Text, "priority"),
    ("volume-key-file", None, Kind::Text, "volume-key-file"),
    ("master-key-file", None, Kind::Text, "volume-key-file"),
    ("key-size", Some('s'), U32, "key-size"),
    ("keyfile-size", Some('l'), U32, "keyfile-size"),
    ("timeout", Some('t'), U32, "timeout"),
    ("sector-size", None, U32, "sector-size"),
    ("keyfile-offset", None, U64, "keyfile-offset"),
    ("offset", Some('o'), U64, "offset"),
    ("skip", Some('p'), U64, "skip"),
    ("key-slot", Some('S'), Kind::Signed, "key-slot"),
    ("token-id", None, Kind::Signed, "token-id"),
    ("device-size", None, Kind::Size, "device-size"),
    (
        "luks2-metadata-size",
        None,
        Kind::Size,
        "luks2-metadata-size",
    ),
];

/// The actions as they may be spelled, and what they are called.
const ACTIONS: &[(&str, Option<&str>)] = &[
    ("luksFormat", Some("luksFormat")),
    ("luksAddKey", Some("luksAddKey")),
    ("luksDump", Some("luksDump")),
    ("luksKillSlot", Some("luksKillSlot")),
    ("isLuks", Some("isLuks")),
    ("config", Some("config")),
    ("token", Some("token")),
    ("benchmark", Some("benchmark")),
    ("open", Some("open")),
    ("luksOpen", Some("open")),
    ("create", Some("open")),
    ("refresh", Some("open")),
    ("remove", Some("close")),
    ("luksFormatted", None),
];

fn cryptsetup(input: &mut Unstructured<'_>) -> arbitrary::Result<bool> {
    let (spelling, action) = *input.choose(ACTIONS)?;
    let mut options = Vec::new();
    let mut expected: Option<BTreeMap<&str, OsString>> = Some(BTreeMap::new());
    let mut names = BTreeSet::new();
    for _ in 0..input.int_in_range(0..=MOST_OPTIONS)? {
        let (name, letter, kind, kept) = *input.choose(OPTIONS)?;
        let typed = if kind == Kind::Flag {
            None
        } else {
            Some(value(input)?)
        };
        let meaning = meaning(name, kind, typed.clone().unwrap_or_default());
        expected = expected.zip(meaning).map(|(mut map, meaning)| {
            map.insert(kept, meaning);
            map
        });
        names.insert(kept);
        options.push(Typed {
            name: name.to_owned(),
            letter,
            value: typed,
        });
    }
    let mut operands = operands(input)?;
    operands.insert(0, spelling.into());

    let first = [&spelled(&options)[..], &["--".into()], &operands].concat();
    let second = respelled(&options, &operands, input)?;
    let outcome = asked(&first);
    let again = asked(&second);
    match (&outcome, &again) {
        (Asked::Refused { reason, .. }, Asked::Refused { reason: other, .. }) => {
            assert_eq!(reason, other);
        }
        _ => assert_eq!(outcome, again, "{first:?} {second:?}"),
    }
    for refused in [&outcome, &again] {
        if let Asked::Refused {
            word: Some(word), ..
        } = refused
        {
            let words = first
                .iter()
                .chain(&second)
                .map(|word| output::escape(&word.to_string_lossy()));
            assert!(
                words.into_iter().any(|typed| typed == *word),
                "{word:?} was not typed"
            );
        }
    }
    if names.len() == options.len() {
        let turned: Vec<Typed> = options.iter().rev().cloned().collect();
        let turned = asked(&[&spelled(&turned)[..], &operands].concat());
        match &outcome {
            Asked::Action { .. } => assert_eq!(turned, outcome),
            _ => assert!(matches!(turned, Asked::Refused { .. })),
        }
    }
    let help = *input.choose(&["--help", "--usage", "-V", "-?"])?;
    assert_eq!(asked(&[&[help.into()], &second[..]].concat()), Asked::Print);

    let Asked::Action {
        action: called,
        kind,
        operands: understood,
        mut options,
    } = outcome
    else {
        return Ok(false);
    };
    assert_eq!(Some(called), action);
    let expected = expected.expect("a value that is none is refused");
    let is_refresh = spelling == "refresh";
    assert_eq!(options.remove("refresh").is_some(), is_refresh);
    if spelling == "create" && operands.len() > 2 {
        operands.swap(1, 2);
    }
    assert_eq!(understood, operands[1..]);
    let typed = expected
        .get("type")
        .map(|kind| kind.to_string_lossy().into_owned());
    let told = [
        ("luksOpen", "luks"),
        ("create", "plain"),
        ("remove", "plain"),
    ];
    let told = told
        .iter()
        .find(|(name, _)| *name == spelling)
        .map(|(_, kind)| (*kind).to_owned());
    assert_eq!(kind, typed.or(told));
    assert_eq!(options, expected);
    Ok(true)
}

/// The text of a value as it is kept; nothing where it is refused.
fn meaning(name: &str, kind: Kind, typed: OsString) -> Option<OsString> {
    let text = typed.to_str();
    let signed = || {
        let text = text?.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        match text.strip_prefix('-') {
            Some(digits) => Some(-naive(digits)?),
            None => naive(text.strip_prefix('+').unwrap_or(text)),
        }
    };
    let number = match kind {
        Kind::Flag => return Some(OsString::new()),
        Kind::Text => return Some(typed),
        Kind::Signed => bounded(signed()?, i32::MIN.into(), i32::MAX.into())?,
        Kind::Number(most) => {
            let number = bounded(signed()?, -i128::from(u64::MAX), u64::MAX.into())?;
            // A negative one counts from the end.
            bounded(number.rem_euclid(1 << 64), 0, most)?
        }
        Kind::Size => {
            let text = text?;
            let end = text.bytes().take_while(u8::is_ascii_digit).count();
            let power = |letter: &str| match letter {
                "K" | "k" => Some(1),
                "M" | "m" => Some(2),
                "G" | "g" => Some(3),
                "T" | "t" => Some(4),
                _ => None,
            };
            let unit = match &text[end..] {
                "" => 1,
                "s" | "S" => 512,
                suffix => match (suffix.strip_suffix("iB"), suffix.strip_suffix('B')) {
                    (Some(letter), _) => 1024_i128.pow(power(letter)?),
                    (None, Some(letter)) => 1000_i128.pow(power(letter)?),
                    (None, None) => 1024_i128.pow(power(suffix)?),
                },
            };
            let bytes = bounded(naive(&text[..end])? * unit, 0, u64::MAX.into())?;
            if name == "device-size" && bytes % 512 != 0 {
                return None;
            }
            bytes
        }
    };
    Some(number.to_string().into())
}
