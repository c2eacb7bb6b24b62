//! `compare A B`: do two images hold the same plaintext?

use std::fmt::Write as _;
use std::path::PathBuf;

use jobs::Place;
use jobs::compare::{CompareOptions, Comparison, Format, compare};
use jobs::unlock::Unlock;

use crate::args::{CompareArgs, KeyFormat, KeyPairArgs, SourceFormat, for_one, others};
use crate::error::Error;
use crate::exit::Exit;
use crate::losses;
use crate::options;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// Compares: [`Exit::Done`] where they hold the same, [`Exit::Wrong`] where they do not. Nothing is written.
pub fn run(args: &CompareArgs) -> Result<Exit, Error> {
    let given = [
        ("--key-file", args.keys.key_file.len()),
        ("--key-slot", args.keys.key_slot.len()),
        ("--key-fd", args.keys.key_fd.len()),
        ("--secret", args.keys.secret.len()),
        ("--volume-key-file", args.keys.volume_key_file.len()),
        ("--header", args.header.len()),
        ("--from", args.from.len()),
    ];
    for (option, times) in given {
        // Two images may have two keys each.
        let most = match option {
            "--key-slot" | "--header" | "--from" => 2,
            _ => 4,
        };
        if times > most {
            return Err(Error::TooOften {
                option,
                times,
                most,
            });
        }
    }
    let of_containers = given.iter().take(5).find(|(_, times)| *times > 0);
    let policy = args.policy.policy.first().map(|_| "--policy");
    let header = |index| args.header(index).cloned().map(Place::Path);
    let how = CompareOptions {
        headers: [header(0), header(1)],
        formats: [format(args, 0)?, format(args, 1)?],
        policies: (&args.policy.policy[..]).into(),
        unlock: [unlock(args, 0)?, unlock(args, 1)?],
        // It may be used in another form for each.
        is_one_key: given_keys(&args.keys) == 1
            && args.keys.read.key_format != Some(KeyFormat::Auto),
        only_for_containers: of_containers.map(|(option, _)| *option).or(policy),
        bad_places: (&args.bad_places).into(),
        work: (&args.work).into(),
        allow_in_use: args.busy.read_in_use,
    };
    let input = |index| KeyInput::with_others(options::keys_of_pair(&args.keys, index), false);
    let inputs = [input(0)?, input(1)?];
    let below = options::backing_keys(&args.below, &args.keys.read)?;
    let secrets = [0, 1].map(|index| {
        let volume_key = for_one(&args.keys.volume_key_file, index);
        let tries = args.keys.limits.tries;
        let others = others(&args.keys.volume_key_file, index);
        Keys::opening(&inputs[index], volume_key.map(PathBuf::as_path), tries)
            .with_other_volume_keys(others)
            .with_backing_keys(&below)
    });
    let teller = Teller::new("compare", &args.work, args.output);
    let places = [&args.a, &args.b];
    let compared = compare(places, &how, [&secrets[0], &secrets[1]], &teller)?;
    if args.output.json {
        let members = serde_json::to_value(&compared).expect("a comparison is plain data");
        output::json("compare", members)?;
    } else {
        output::text(&text(&compared))?;
    }
    if !compared.same {
        return Ok(Exit::Wrong);
    }
    let both = format!("{} and {}", compared.a.image, compared.b.image);
    let result = "it is not compared; all the rest is the same";
    losses::say(compared.lost.as_deref(), &both, result)?;
    Ok(Exit::Done)
}

/// What one of the two is, where that is said.
fn format(args: &CompareArgs, index: usize) -> Result<Option<Format>, Error> {
    let from = for_one(&args.from, index).copied();
    // Options of qcow2 images are for whichever is one.
    if !args.from.contains(&SourceFormat::Qcow2) {
        options::disk(from, &args.disk)?;
    }
    Ok(match from {
        Some(SourceFormat::Raw) => Some(Format::Raw),
        Some(SourceFormat::Luks) => Some(Format::Luks),
        Some(SourceFormat::Qcow2) => options::disk(from, &args.disk)?.map(Format::Qcow2),
        None => None,
    })
}

/// How many keys are named.
fn given_keys(keys: &KeyPairArgs) -> usize {
    keys.key_file.len() + keys.key_fd.len() + keys.secret.len()
}

/// How one of the two is unlocked.
fn unlock(args: &CompareArgs, index: usize) -> Result<Unlock, Error> {
    let keyslot = for_one(&args.keys.key_slot, index).copied();
    unlock::how_for(keyslot, &args.keys.limits)
}

fn text(compared: &Comparison) -> String {
    let (a, b) = (&compared.a.image, &compared.b.image);
    let (a_bytes, b_bytes) = (compared.a.bytes, compared.b.bytes);
    let Some(first) = compared.first_difference else {
        let lost = compared.lost.iter().flatten().map(|lost| lost.length);
        return match lost.sum::<u64>() {
            0 => format!("{a} and {b} hold the same {a_bytes} bytes\n"),
            lost => format!(
                "{a} and {b} hold the same {a_bytes} bytes, as far as both can be read: {lost} are not compared\n"
            ),
        };
    };
    let mut text = String::new();
    let _ = if first < a_bytes.min(b_bytes) {
        writeln!(text, "{a} and {b} differ, first at byte {first}")
    } else {
        writeln!(
            text,
            "{a} and {b} are the same up to byte {first}, where one of them ends"
        )
    };
    let (longer, by) = if a_bytes > b_bytes {
        (a, a_bytes - b_bytes)
    } else {
        (b, b_bytes - a_bytes)
    };
    if by > 0 {
        let _ = writeln!(
            text,
            "{longer} is longer by {by} bytes: {a} has {a_bytes}, {b} has {b_bytes}"
        );
    }
    text
}
