//! `compare A B`: do two images hold the same plaintext?

use std::fmt::Write as _;

use jobs::compare::{CompareOptions, Comparison, compare};

use crate::args::CompareArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::losses;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;
use jobs::Place;

/// Compares: [`Exit::Done`] where they hold the same, [`Exit::Wrong`] where they do not. Nothing is written.
pub fn run(args: &CompareArgs) -> Result<Exit, Error> {
    let given = [
        ("--key-file", args.keys.key_file.len()),
        ("--key-slot", args.keys.key_slot.len()),
        ("--key-fd", args.keys.key_fd.len()),
        ("--volume-key-file", args.keys.volume_key_file.len()),
        ("--header", args.header.len()),
    ];
    if let Some((option, times)) = given.into_iter().find(|(_, times)| *times > 2) {
        return Err(Error::TooOften { option, times });
    }
    let of_containers = given.iter().take(4).find(|(_, times)| *times > 0);
    let policy = args.policy.policy.first().map(|_| "--policy");
    let unlocks = [0, 1].map(|index| args.keys.unlock(index));
    let header = |index| args.header(index).cloned().map(Place::Path);
    let options = CompareOptions {
        headers: [header(0), header(1)],
        policies: (&args.policy.policy[..]).into(),
        unlock: [unlock::how(&unlocks[0])?, unlock::how(&unlocks[1])?],
        is_one_key: args.keys.key_file.len() + args.keys.key_fd.len() == 1,
        only_for_containers: of_containers.map(|(option, _)| *option).or(policy),
        bad_places: (&args.bad_places).into(),
        work: (&args.work).into(),
        allow_in_use: args.busy.read_in_use,
    };
    let inputs = [0, 1].map(|index| KeyInput::new(&args.keys.key(index), false));
    let [a, b] = inputs;
    let (a, b) = (a?, b?);
    let secrets = (
        Keys::to_unlock(&a, &unlocks[0]),
        Keys::to_unlock(&b, &unlocks[1]),
    );
    let teller = Teller::new("compare", &args.work, args.output);
    let places = [&args.a, &args.b];
    let compared = compare(places, &options, [&secrets.0, &secrets.1], &teller)?;
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
