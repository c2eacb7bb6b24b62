//! Headers that ask for too much: refused at once, and with little memory.

use serde_json::{Value, json};

use crate::crafted::Crafted;
use crate::support::{Place, Run, golden};

/// Address space that the program gets, in KiB: what it has in memory cannot be more.
const MEMORY_KIB: u32 = 64 * 1024;
/// Processor time that it gets, in seconds: what takes more is killed. It takes 50 ms as it is released.
const SECONDS: u32 = 2;

/// Everything that would derive a key.
const UNLOCK: [&str; 9] = [
    "key test box --key-file pw",
    "decrypt box back --key-file pw",
    "verify box --key-file pw",
    "compare box box --key-file pw",
    "key export box --key-file pw --volume-key-file vk -q",
    "key add box --key-file pw --new-keyfile new -q",
    "key change box --key-file pw --new-keyfile new -q",
    "key remove box --key-file pw -q",
    "key unmangle box --key-file pw -q",
];

/// A header, and what is said about it.
struct Bomb {
    name: &'static str,
    image: Vec<u8>,
    says: &'static str,
    /// Whether the header is no header at all; otherwise only its costs are too high.
    is_damaged: bool,
}

fn costly(name: &'static str, image: Vec<u8>, says: &'static str) -> Bomb {
    Bomb {
        name,
        image,
        says,
        is_damaged: false,
    }
}

fn damaged(name: &'static str, image: Vec<u8>, says: &'static str) -> Bomb {
    Bomb {
        name,
        image,
        says,
        is_damaged: true,
    }
}

fn place() -> Place {
    let place = Place::new();
    place.write("pw", "golden");
    place.write("new", "new");
    place
}

/// Runs the program with little memory and little time.
#[track_caller]
fn run(place: &Place, what: &str, arguments: &str) -> Run {
    // Threads that Argon2 might use have stacks, which count too.
    let run = place.sh(&format!(
        "ulimit -v {MEMORY_KIB}; ulimit -t {SECONDS}; export RAYON_NUM_THREADS=1; exec \"$LUKSMITH\" {arguments}"
    ));
    assert!(run.code < 128, "{what}: {arguments} was killed");
    run
}

#[track_caller]
fn explode(bombs: Vec<Bomb>, name: &str) {
    let place = place();
    let mut count = 0;
    for bomb in bombs {
        place.write("box", &bomb.image);
        let names = place.names();
        for verb in UNLOCK {
            let run = run(&place, bomb.name, verb);
            // `compare` says 4 too: it came to no result.
            assert_eq!(run.code, 4, "{}: {verb}: {}", bomb.name, run.stderr);
            assert!(
                run.stderr.contains(bomb.says),
                "{}: {verb}: {:?} is not in {}",
                bomb.name,
                bomb.says,
                run.stderr
            );
            assert!(place.read("box") == bomb.image, "{}: {verb}", bomb.name);
            assert_eq!(place.names(), names, "{}: {verb}", bomb.name);
            count += 1;
        }
        for verb in [
            "inspect box",
            "inspect box --json",
            "key list box",
            "verify box",
        ] {
            let run = run(&place, bomb.name, verb);
            let expected = if bomb.is_damaged { 4 } else { 0 };
            assert_eq!(run.code, expected, "{}: {verb}: {}", bomb.name, run.stderr);
            count += 1;
        }
    }
    println!("cases: {name} {count} passed, 0 failed");
}

fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut crafted = Crafted::argon2id();
    edit(&mut crafted.json);
    crafted.bytes()
}

fn kdf(member: &str, value: u32) -> Vec<u8> {
    edited(|json| json["keyslots"]["0"]["kdf"][member] = value.into())
}

#[test]
fn b1_costs_of_keyslots_and_digests_are_refused_before_they_are_paid() {
    const HIGH: u32 = (1 << 31) - 1;
    let slot = "refused as too costly: keyslot 0";
    let pbkdf2 = |iterations: u32| {
        edited(|json| {
            let salt = json["keyslots"]["0"]["kdf"]["salt"].clone();
            json["keyslots"]["0"]["kdf"] =
                json!({"type": "pbkdf2", "hash": "sha512", "iterations": iterations, "salt": salt});
        })
    };
    let digest =
        |iterations: u32| edited(|json| json["digests"]["0"]["iterations"] = iterations.into());
    let luks1 = |at: usize| {
        let mut image = golden("luks1/xts-256-sha1.img.xz");
        image[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        image
    };
    let bombs = vec![
        costly("time 2^31-1", kdf("time", HIGH), slot),
        costly("time 2^32-1", kdf("time", u32::MAX), slot),
        costly("memory 2^31-1 KiB", kdf("memory", HIGH), slot),
        costly("memory 2^32-1 KiB", kdf("memory", u32::MAX), slot),
        costly("10^6 lanes", kdf("cpus", 1_000_000), "needs 1000000 lanes"),
        costly("2^32-1 lanes", kdf("cpus", u32::MAX), slot),
        costly(
            "time and memory together",
            edited(|json| {
                json["keyslots"]["0"]["kdf"]["time"] = 100_000.into();
                json["keyslots"]["0"]["kdf"]["memory"] = (256 * 1024).into();
            }),
            slot,
        ),
        costly("iterations 2^31", pbkdf2(HIGH + 1), slot),
        costly("iterations 2^32-1", pbkdf2(u32::MAX), slot),
        costly("digest 2^31-1", digest(HIGH), "digest 0 needs"),
        costly("digest 2^31", digest(HIGH + 1), "digest 0 needs"),
        costly("digest 2^32-1", digest(u32::MAX), "digest 0 needs"),
        costly("LUKS1 keyslot", luks1(208 + 4), slot),
        costly("LUKS1 digest", luks1(164), "digest 0 needs"),
        damaged(
            "time -1",
            edited(|json| json["keyslots"]["0"]["kdf"]["time"] = (-1).into()),
            "keyslots.0.kdf.time",
        ),
        damaged(
            "time 1.5",
            edited(|json| json["keyslots"]["0"]["kdf"]["time"] = json!(1.5)),
            "keyslots.0.kdf.time",
        ),
        damaged(
            "time as a text",
            edited(|json| json["keyslots"]["0"]["kdf"]["time"] = "4".into()),
            "keyslots.0.kdf.time",
        ),
        damaged(
            "iterations 2^32",
            edited(|json| json["digests"]["0"]["iterations"] = (1_u64 << 32).into()),
            "digests.0.iterations",
        ),
    ];
    explode(bombs, "cost bombs");
}

#[test]
fn b2_32_keyslots_each_over_the_limit_are_refused_together() {
    let each = |member: &'static str, value: u32| {
        Crafted::argon2id()
            .with_32_keyslots(|_, slot| slot["kdf"][member] = value.into())
            .bytes()
    };
    let bombs = vec![
        costly("time", each("time", u32::MAX), "keyslot 31 needs"),
        costly("memory", each("memory", u32::MAX), "keyslot 31 needs"),
        costly("lanes", each("cpus", 5), "keyslot 31 needs 5 lanes"),
    ];
    explode(bombs, "bombs of 32 keyslots");

    // One that is cheap is found among them, at once.
    let place = place();
    let image = Crafted::argon2id().with_32_keyslots(|id, slot| {
        if id > 0 {
            slot["kdf"]["time"] = u32::MAX.into();
        }
    });
    place.write("box", image.bytes());
    let run = run(&place, "one of 32", "key test box --key-file pw").expect(0);
    assert_eq!(run.text(), "keyslot 0 of box is opened by this key\n");
}

/// The JSON text with `member` in place of the tokens.
fn tokens(crafted: &mut Crafted, member: &str) -> Vec<u8> {
    crafted.json["tokens"] = "@".into();
    let text = serde_json::to_string(&crafted.json).expect("a value");
    text.replace("\"@\"", member).into_bytes()
}

#[test]
fn b3_json_deep_or_huge_is_refused_at_once() {
    let mut roomy = Crafted::roomy();
    let room = roomy.room();
    let rest = room - tokens(&mut roomy, "").len();
    let text = |member: String| {
        let mut roomy = Crafted::roomy();
        let text = tokens(&mut roomy, &member);
        assert!(text.len() <= room);
        roomy.with_text(&text)
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let many = |count: usize, member: &dyn Fn(usize) -> String| {
        let members: Vec<_> = (0..count).map(member).collect();
        format!("{{{}}}", members.join(","))
    };
    let token =
        |content: &str| format!("{{\"0\":{{\"type\":\"t\",\"keyslots\":[],\"x\":{content}}}}}");
    let long = rest - token("\"\"").len();
    let filled = |value: &str| {
        let count = long / (value.len() + 1) - 1;
        format!("[{}0]", format!("{value},").repeat(count))
    };
    let (zeros, objects, members) = (filled("0"), filled("{}"), filled("{\"\":{\"\":0}}"));
    let bombs = vec![
        damaged("an area of [", text("[".repeat(rest)), "nested deeper"),
        damaged("nested 60 deep", text(token(&nested(60))), "nested deeper"),
        damaged(
            "nested to the end",
            text(token(&nested(long / 2))),
            "nested deeper",
        ),
        damaged(
            "10^5 tokens",
            text(many(100_000, &|id| format!("\"{id}\":{{}}"))),
            "more than 16384",
        ),
        damaged(
            "10^3 tokens",
            text(many(1000, &|id| format!("\"{id}\":{{}}"))),
            "tokens: 1000 objects",
        ),
        damaged("an area of zeros", text(token(&zeros)), "more than 16384"),
        damaged("an area of {}", text(token(&objects)), "more than 16384"),
        damaged(
            "an area of members",
            text(token(&members)),
            "more than 16384",
        ),
        damaged(
            "one name twice among 5000",
            text(many(5000, &|id| format!("\"{}\":0", id % 4999))),
            "duplicate member",
        ),
        damaged("an exponent", text(token("1e400")), "damaged LUKS header"),
        damaged(
            "half a surrogate",
            text(token("\"\\ud800\"")),
            "damaged LUKS header",
        ),
        damaged(
            "a string without an end",
            text(format!("\"{}", "a".repeat(rest - 1))),
            "damaged LUKS header",
        ),
        damaged(
            "a salt of 3 MiB",
            {
                let mut roomy = Crafted::roomy();
                roomy.json["digests"]["0"]["salt"] = "A".repeat(3 << 20).into();
                roomy.bytes()
            },
            "digests.0.salt",
        ),
        damaged(
            "10^5 references",
            {
                let mut roomy = Crafted::roomy();
                roomy.json["digests"]["0"]["keyslots"] =
                    (0..100_000).map(|id| id.to_string()).collect();
                roomy.bytes()
            },
            "more than 16384",
        ),
    ];
    explode(bombs, "JSON bombs");

    // What is large and harmless is read, and costs no more.
    let place = place();
    for (what, content) in [
        ("one string", format!("\"{}\"", "a".repeat(long))),
        ("escapes", format!("\"{}\"", "\\u0041".repeat(long / 6))),
        ("numbers", format!("[{}0]", "0,".repeat(16_000))),
        ("objects", format!("[{}0]", "{\"\":{}},".repeat(5000))),
    ] {
        place.write("box", text(token(&content)));
        run(&place, what, "key list box").expect(0);
    }
}

#[test]
fn b4_sizes_that_a_header_claims_are_not_allocated() {
    let member = |section: &'static str, id: &'static str, name: &'static str, value: Value| {
        edited(|json| json[section][id][name] = value)
    };
    let area = |name: &'static str, value: Value| {
        edited(|json| json["keyslots"]["0"]["area"][name] = value)
    };
    let max = || Value::from(u64::MAX.to_string());
    let mut hdr_size = golden("luks2/argon2id-xts-512-sector-512.img.xz");
    for copy in [0, 0x4000] {
        hdr_size[copy + 8..copy + 16].copy_from_slice(&(1_u64 << 63).to_be_bytes());
    }
    let luks1 = |at: usize, value: u32| {
        let mut image = golden("luks1/xts-256-sha1.img.xz");
        image[at..at + 4].copy_from_slice(&value.to_be_bytes());
        image
    };
    let bombs = vec![
        damaged("hdr_size 2^63", hdr_size, "damaged LUKS header"),
        damaged(
            "keyslot key_size",
            member("keyslots", "0", "key_size", u32::MAX.into()),
            "key_size",
        ),
        damaged(
            "area key_size",
            area("key_size", u32::MAX.into()),
            "key_size",
        ),
        damaged("area size", area("size", max()), "keyslot 0"),
        damaged("area offset", area("offset", max()), "keyslot 0"),
        damaged(
            "stripes",
            edited(|json| json["keyslots"]["0"]["af"]["stripes"] = u32::MAX.into()),
            "stripes",
        ),
        damaged(
            "keyslots_size",
            edited(|json| {
                json["config"]["keyslots_size"] = ((1_u64 << 63) - 4096).to_string().into();
            }),
            "keyslots",
        ),
        damaged(
            "json_size",
            edited(|json| json["config"]["json_size"] = max()),
            "json_size",
        ),
        damaged(
            "segment offset",
            edited(|json| {
                json["segments"]["0"]["offset"] = max();
                json["segments"]["0"]["size"] = "4096".into();
            }),
            "segment 0",
        ),
        damaged("LUKS1 key-bytes", luks1(108, u32::MAX), "key"),
        damaged("LUKS1 stripes", luks1(208 + 44, u32::MAX), "stripes"),
    ];
    explode(bombs, "size bombs");

    // Sizes that are only too large for this image: nothing is allocated for them, and nothing is read.
    let place = place();
    for (what, image) in [
        (
            "a segment of 2^63 bytes",
            edited(|json| json["segments"]["0"]["size"] = (1_u64 << 63).to_string().into()),
        ),
        ("a sparse image of 2^62", edited(|_| {})),
    ] {
        place.write("box", image);
        if what.contains("sparse") {
            // As large as the file system allows.
            place
                .sh("truncate -s 4E box 2>/dev/null || truncate -s 8T box 2>/dev/null || truncate -s 1T box")
                .expect(0);
        }
        run(&place, what, "inspect box").expect(0);
        run(&place, what, "decrypt box back --dry-run --key-file pw").expect(0);
    }
}

/// Headers that others made, where the extra conformance run has them.
#[test]
fn b1_crafted_headers_of_the_conformance_run() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!(
            "cases: crafted headers, memory 0 passed, 0 failed, LUKSMITH_CONFORMANCE is not set"
        );
        return;
    };
    let crafted = std::path::Path::new(&folder).join("images/crafted");
    let crafted = crafted.to_str().expect("a path of text");
    let place = place();
    place.write("pw", "pw");
    let mut count = 0;
    for name in ["t_time", "t_cpus", "t_null", "t_ovf", "t_neg"] {
        place
            .sh(&format!(
                "xz -dc '{crafted}/base_first290816.img.xz' >box && truncate -s 20M box && \
                 xz -dc '{crafted}/{name}.hdr32k.xz' | dd of=box conv=notrunc status=none"
            ))
            .expect(0);
        let before = place.read("box");
        for verb in UNLOCK {
            let run = run(&place, name, verb);
            assert_eq!(run.code, 4, "{name}: {verb}: {}", run.stderr);
            assert!(place.read("box") == before, "{name}: {verb}");
            count += 1;
        }
    }
    println!("cases: crafted headers, memory {count} passed, 0 failed");
}
