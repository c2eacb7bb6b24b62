use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dmcrypt::LockedBytes;
use jobs::explain::{self, Given, Guesses};
use memchr::memmem;

use crate::common::{PROGRAM, Place, check_all};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const ARGON2: &str =
    "--pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 64 --pbkdf-parallel 2";
/// Long enough to be found nowhere by chance.
const PASSPHRASES: [&str; 2] = [
    "canary Tm9ib2R5IGtub3dz first passphrase",
    "canary dGhpcyBvbmUgYXQgYWxs second passphrase",
];

/// 64 bytes that no program has.
fn volume_key() -> Vec<u8> {
    (1_u8..=64)
        .map(|n| n.wrapping_mul(0x9d) ^ n.rotate_left(3) ^ 0xa7)
        .collect()
}

/// What may be left of the secrets, in each of the forms that they are read and written in.
fn needles() -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    let mut needles = Vec::new();
    let mut secret = |name: String, bytes: &[u8]| {
        let text = hex::encode(bytes);
        // Without what depends on the bytes behind.
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        let base64 = base64.as_bytes()[..bytes.len() / 3 * 4].to_vec();
        needles.push((
            format!("{name} as hexadecimal"),
            text.to_uppercase().into_bytes(),
        ));
        needles.push((format!("{name} as hexadecimal"), text.into_bytes()));
        needles.push((format!("{name} as base64"), base64));
        needles.push((name, bytes.to_vec()));
    };
    for passphrase in PASSPHRASES {
        secret(format!("passphrase {passphrase:?}"), passphrase.as_bytes());
    }
    // Halves of the two AES keys too: a round key is 16 bytes of one.
    for (number, part) in volume_key().chunks(16).enumerate() {
        secret(format!("part {number} of the volume key"), part);
    }
    needles
}

fn place() -> Place {
    let place = Place::new();
    place.write("a", PASSPHRASES[0]);
    place.write("b", PASSPHRASES[1]);
    place.write("vk", volume_key());
    place.write("raw", vec![0x5a; 64 << 10]);
    place.write("token", r#"{"type":"own","keyslots":[]}"#);
    place.sh(&format!(
        "luksmith encrypt raw box --key-file a --volume-key-file vk {CHEAP} && cp box box2 && \
         luksmith encrypt raw box1 --type luks1 --key-file a --volume-key-file vk {CHEAP} && \
         luksmith header backup box --header-backup-file saved"
    ));
    place
}

/// Every verb that there is; one in a form for each way that a secret takes.
fn lines() -> Vec<String> {
    [
        "encrypt raw new --key-file a --volume-key-file vk $K",
        "encrypt raw new --key-file a --volume-key-file vk $A",
        "encrypt raw new --type luks1 --key-file a --volume-key-file vk $K",
        "encrypt raw new --type plain --cipher aes-xts-plain64 --key-size 512 --key-file vk",
        "encrypt raw new --type plain --cipher aes-xts-plain64 --key-size 512 --hash sha512 <a",
        "decrypt box new --key-file a",
        "decrypt box1 new <a",
        "decrypt box new --volume-key-file vk",
        "clone box new --key-file a --new-keyfile b $K",
        "clone box1 new --key-file a --keep-passphrase --new-keyfile b --recovery-key key",
        "clone box new --volume-key-file vk --recovery-key key $A",
        "clone box . --key-file a --keep-passphrase --count 3 --name-pattern new-{index} --manifest list",
        "clone raw new --source-type raw --new-keyfile b $K",
        "create new --payload-size 64K --key-file a --volume-key-file vk $K",
        "measure --payload-size 64K",
        "inspect box",
        "inspect box1 --json",
        "verify box --key-file a",
        "verify box1 --volume-key-file vk",
        "compare raw box --key-file a",
        "compare box box1 --key-file a --key-file a",
        "key add box --key-file a --new-keyfile b $K",
        "key add box --volume-key-file vk --new-keyfile b $A",
        "key add box1 --key-file a --new-keyfile b $K",
        "key add box --unbound --volume-key-file vk --new-keyfile b $K",
        "key change box --key-file a --new-keyfile b $K",
        "key change box1 --key-slot 0 --volume-key-file vk --new-keyfile b $K",
        "key remove box -q --key-file a",
        "key test box1 --key-format auto --key-file a",
        "key unmangle box -q --key-file a $K",
        "key test box <a",
        "key test box --key-file a",
        "key test box --key-file b",
        "key test box --explain --key-file b",
        "key test box1 --volume-key-file vk",
        "key test box --key-file a --key-encoding hex",
        "key list box",
        "key export box -q --key-file a --volume-key-file new",
        "header backup box --header-backup-file new",
        "header restore box -q --header-backup-file saved",
        "header repair box",
        "header erase box2 -q",
        "header convert box1 -q --type luks2",
        "header config box --label x",
        "token add box --key-description x",
        "token list box",
        "token import box --json-file token --token-id 5",
        "completions bash",
    ]
    .map(|line| line.replace("$K", CHEAP).replace("$A", ARGON2))
    .to_vec()
}

/// A system call at which a program is held, and its number on the processors that Debian's user-mode-linux runs on.
#[derive(Clone, Copy)]
struct Call(&'static str, &'static str);

/// All values of the program are dropped.
const END: Call = Call("exit_group", "231");
/// A system call and its first argument as `proc_pid_syscall(5)` has them.
const READ_STANDARD_INPUT: &str = "0 0x0 ";
/// A payload is being written.
const WRITE: Call = Call("pwrite64", "18");

/// Holds the program when it is about to exit, and looks for the secrets in every byte that it could have written; what
/// was found.
fn scan(place: &Place, line: &str) -> Vec<String> {
    search(&hold(place, line, END))
        .into_iter()
        .map(|(name, mapping)| format!("{name} in {}", mapping.name))
        .collect()
}

/// Runs a line of shell until any thread of it makes that call; what it could have written until then. It gets no
/// further.
fn hold(place: &Place, line: &str, call: Call) -> Vec<Mapping> {
    let Call(name, number) = call;
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .args([&format!("trace={name}"), "-e"])
        .args([&format!("inject={name}:delay_enter=30000000")])
        .args(["sh", "-c", &format!("exec {line}")])
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(25);
    let process = loop {
        let held = children(tracer.id()).into_iter().find(|process| {
            // strace tries the kernel's features out in children of its own. One that is gone has no program.
            let program = fs::read_link(format!("/proc/{process}/exe"));
            let is_traced = program.is_ok_and(|program| !program.ends_with("strace"));
            let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter();
            let mut calls = threads
                .flatten()
                .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("syscall")).ok());
            is_traced && calls.any(|call| call.split(' ').next() == Some(number))
        });
        if let Some(process) = held {
            break process;
        }
        assert!(
            Instant::now() < deadline,
            "{line}: it does not come to {name}"
        );
        sleep(Duration::from_millis(2));
    };
    let memory = memory(&process);
    Command::new("kill")
        .args(["-9", &process])
        .status()
        .unwrap();
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    memory
}

fn children(parent: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    children
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Memory that a process may write to.
struct Mapping {
    /// Its line in the list of mappings.
    name: String,
    bytes: Vec<u8>,
    /// Whether it is never written to swap.
    is_locked: bool,
}

/// What a process could have written. All of it before any of it is searched: a busy machine takes longer for that than
/// the process is held.
fn memory(process: &str) -> Vec<Mapping> {
    // A thread that ends meanwhile takes a mapping with it.
    let mut outcome = read_memory(process);
    for _ in 0..4 {
        if outcome.is_ok() {
            break;
        }
        outcome = read_memory(process);
    }
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

fn read_memory(process: &str) -> Result<Vec<Mapping>, String> {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_read = false;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (first, access) = (fields.next().unwrap(), fields.next().unwrap_or(""));
        if let Some(("VmFlags", "")) = first.split_once(':') {
            if is_read {
                mappings.last_mut().unwrap().is_locked = line.split(' ').any(|flag| flag == "lo");
            }
        } else if let Some((start, end)) = first.split_once('-') {
            is_read = access.starts_with("rw");
            if !is_read {
                continue;
            }
            let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            let outcome = memory.read_exact_at(&mut bytes, start);
            outcome.map_err(|error| format!("{line}: {error}"))?;
            mappings.push(Mapping {
                name: line.to_owned(),
                bytes,
                is_locked: false,
            });
        }
    }
    let bytes: usize = mappings.iter().map(|mapping| mapping.bytes.len()).sum();
    assert!(bytes > 100 << 10, "{bytes} bytes of memory are too few");
    Ok(mappings)
}

/// Each secret, with a mapping that has it.
fn search(memory: &[Mapping]) -> Vec<(String, &Mapping)> {
    let mut found = Vec::new();
    for (name, needle) in needles() {
        let finder = memmem::Finder::new(&needle);
        for mapping in memory {
            if finder.find(&mapping.bytes).is_some() {
                found.push((name.clone(), mapping));
            }
        }
    }
    found
}

/// A program that forgets nothing is found out.
#[test]
fn a_shell_that_read_the_passphrase_still_has_it() {
    let place = place();
    // The passphrase has no newline, so that the shell's `read` fails: what it read is there.
    let found = scan(&place, "sh -c 'read -r x <a; exit 0'");
    assert!(
        found.iter().any(|hit| hit.contains("first passphrase")),
        "{found:?}"
    );
}

/// What every verb prints, and what it says when the key is wrong or the image is none.
#[test]
fn e10_no_verb_prints_a_secret() {
    let mut lines = lines();
    for wrong in ["raw", "vk", "none"] {
        let lines_of_it = [
            format!("inspect {wrong}"),
            format!("decrypt {wrong} new --key-file a"),
            format!("key test {wrong} --key-file a"),
            format!("key test box --volume-key-file {wrong}"),
            format!("key add box --key-file {wrong} --new-keyfile a {CHEAP}"),
            // Where an option was meant the secret is a number, a policy or a name.
            format!("key test box --key-file a --policy a --key-encoding {wrong}"),
        ];
        lines.extend(lines_of_it);
    }
    let needles = needles();
    check_all("verbs that print no secret", &lines, |line| {
        let place = place();
        let command = format!("'{PROGRAM}' {line}");
        let output = place.run(Command::new("sh").args(["-c", &command]));
        let printed = [output.stdout, output.stderr].concat();
        for (name, needle) in &needles {
            let found = memmem::find(&printed, needle);
            assert!(found.is_none(), "{line}: {name}");
        }
    });
}

/// Neither a debugger of the same user nor a core dump reaches it.
#[test]
fn e2_the_process_cannot_be_dumped() {
    let place = place();
    place.sh(&format!(
        "strace -f -o trace -e trace=prctl '{PROGRAM}' key test box --key-file a"
    ));
    let trace = String::from_utf8(place.read("trace")).unwrap();
    assert!(
        trace.contains("PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"),
        "{trace}"
    );
}

#[test]
fn e2_no_verb_leaves_a_secret_in_memory() {
    check_all("verbs that leave no secret in memory", &lines(), |line| {
        let found = scan(&place(), &format!("'{PROGRAM}' {line}"));
        assert!(found.is_empty(), "{line}: {found:#?}");
    });
}

/// Nothing of the key is elsewhere while a payload is written, and what is there cannot be swapped out.
/// What `--explain` makes of a wrong passphrase, text or not, is wiped as the passphrase is. What is freed has its first 16
/// bytes overwritten by the allocator itself, so the rest is searched for.
#[test]
fn e2_no_guess_is_left_in_memory() {
    let mut no_text = b"\xff\xfe canary \x9f".to_vec();
    no_text.extend(PASSPHRASES[1].as_bytes());
    let secrets = [PASSPHRASES[1].as_bytes().to_vec(), no_text];
    let (mistakes, key) = (explain::mistakes(), LockedBytes::copy_of(&[7; 32]));
    let names = ["text", "no text"];
    check_all("guesses that are not left in memory", &names, |name| {
        let secret = &secrets[names.iter().position(|known| known == name).unwrap()];
        let given = Given {
            secret: LockedBytes::copy_of(secret),
            whole: None,
        };
        let mut rests: Vec<_> = Guesses::new(&given, &mistakes, &key)
            .map(|guess| guess.secret[16.min(guess.secret.len())..].to_vec())
            .filter(|rest| rest.len() >= 16)
            .collect();
        rests.sort();
        rests.dedup();
        assert!(rests.len() > 200, "{}", rests.len());
        rests.push(secret[16..].to_vec());
        let place = place();
        place.write("w", secret);
        let line = format!("'{PROGRAM}' key test box --explain --key-file w");
        let memory = hold(&place, &line, END);
        for rest in rests {
            let finder = memmem::Finder::new(&rest);
            let found = memory
                .iter()
                .find(|mapping| finder.find(&mapping.bytes).is_some());
            assert!(
                found.is_none(),
                "{:?} in {}",
                String::from_utf8_lossy(&rest),
                found.unwrap().name
            );
        }
    });
}

#[test]
fn e2_keys_that_are_in_use_are_in_locked_memory() {
    let lines = [
        "decrypt box new --key-file a",
        "decrypt box1 new --key-file a",
        "decrypt box new --volume-key-file vk",
        "encrypt raw new --key-file a --volume-key-file vk $K",
        "encrypt raw new --type plain --cipher aes-xts-plain64 --key-size 512 --key-file vk",
    ];
    let lines = lines.map(|line| line.replace("$K", CHEAP));
    check_all("keys in locked memory", &lines, |line| {
        let memory = hold(&place(), &format!("'{PROGRAM}' {line}"), WRITE);
        let found = search(&memory);
        let elsewhere: Vec<String> = found
            .iter()
            .filter(|(_, mapping)| !mapping.is_locked)
            .map(|(name, mapping)| format!("{name} in {}", mapping.name))
            .collect();
        assert!(elsewhere.is_empty(), "{line}: {elsewhere:#?}");
        let has_key = found
            .iter()
            .any(|(name, _)| name == "part 0 of the volume key");
        assert!(has_key, "{line}: the key is not even where it is used");
    });
}

/// A passphrase is there before its input has ended: on pages that cannot be swapped out.
#[test]
fn e2_a_passphrase_is_read_into_locked_memory() {
    let place = place();
    for line in ["key test box", "key test box --key-file -"] {
        // Neither a newline nor an end comes: the program waits.
        let shell = format!("(cat a; sleep 60) | exec '{PROGRAM}' {line}");
        let mut shell = Command::new("sh")
            .args(["-c", &shell])
            .current_dir(place.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(25);
        let found: Vec<(String, bool)> = loop {
            assert!(Instant::now() < deadline, "{line}: it does not read");
            sleep(Duration::from_millis(20));
            let children = children(shell.id()).into_iter();
            let ours = children.filter(|process| {
                let program = fs::read_link(format!("/proc/{process}/exe"));
                let call = fs::read_to_string(format!("/proc/{process}/syscall"));
                program.is_ok_and(|program| program == Path::new(PROGRAM))
                    && call.is_ok_and(|call| call.starts_with(READ_STANDARD_INPUT))
            });
            let found: Vec<(String, bool)> = ours
                .flat_map(|process| {
                    let memory = memory(&process);
                    let found = search(&memory).into_iter();
                    let found: Vec<_> = found
                        .map(|(name, mapping)| {
                            (format!("{name} in {}", mapping.name), mapping.is_locked)
                        })
                        .collect();
                    found
                })
                .collect();
            if !found.is_empty() {
                break found;
            }
        };
        for process in children(shell.id()) {
            // The other side of the pipe may end by itself.
            let _ = Command::new("kill")
                .args(["-9", &process])
                .stderr(Stdio::null())
                .status();
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(
            found.iter().all(|(_, is_locked)| *is_locked),
            "{line}: {found:#?}"
        );
    }
}

#[test]
fn e2_a_system_that_locks_no_memory_is_named_and_does_not_stop_the_work() {
    let place = place();
    place.sh(&format!(
        "prlimit --memlock=0:0 setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
         '{PROGRAM}' decrypt box new --key-file a 2>warned && cmp raw new"
    ));
    let warned = String::from_utf8(place.read("warned")).unwrap();
    assert!(warned.contains("warning: the system did not let keys be locked in memory"));
    place.sh("luksmith decrypt -q box again --key-file a 2>warned");
    assert_eq!(place.read("warned"), b"");
}
