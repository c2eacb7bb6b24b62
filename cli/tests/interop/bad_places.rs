use std::fmt::Write as _;
use std::process::Command;

use crate::common::{PROGRAM, Place, Seeded};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const RAW_BYTES: usize = 256 << 10;
const SECTOR: usize = 512;
/// A device whose sectors from $2 on, $3 of them, cannot be read, over the disk $1: device-mapper's error target.
pub const BAD: &str = r#"
bad() {
  dmsetup remove --noudevsync bad 2>/dev/null
  all=$(blockdev --getsz $1)
  end=$(($2 + $3))
  {
    [ $2 = 0 ] || echo "0 $2 linear $1 0"
    echo "$2 $3 error"
    [ $end = $all ] || echo "$end $((all - end)) linear $1 $end"
  } | dmsetup create --noudevsync bad || exit 9
  [ -e /dev/mapper/bad ] || dmsetup mknodes
}
"#;

/// What the disk of a container loses, in sectors, and which of the passphrases still open it: `0`, `1` and `7` as the
/// keyslots that they belong to, `-` for one that does not.
struct Loss {
    name: &'static str,
    first: usize,
    sectors: usize,
    opens: &'static str,
    /// What is said of it.
    says: &'static str,
}

fn losses(version: u32, area: usize) -> Vec<Loss> {
    let loss = |name, first, sectors, opens, says| Loss {
        name,
        first,
        sectors,
        opens,
        says,
    };
    let mut losses = vec![
        loss(
            "start of keyslot 0",
            0,
            1,
            "- 1 7",
            "keyslot 0 is not usable: cannot read keyslot 0's area at byte",
        ),
        loss(
            "middle of keyslot 0",
            100,
            8,
            "- 1 7",
            "keyslot 0 is not usable",
        ),
        loss(
            "start of keyslot 1",
            area,
            1,
            "0 - 7",
            "keyslot 1 is not usable",
        ),
        loss(
            "all of keyslot 1",
            area,
            area,
            "0 - 7",
            "keyslot 1 is not usable",
        ),
    ];
    // The first keyslot's area begins behind 8 sectors of LUKS1, and behind both copies of LUKS2.
    for loss in &mut losses {
        loss.first += if version == 1 { 8 } else { 64 };
    }
    if version == 1 {
        losses.push(loss(
            "second sector",
            1,
            1,
            "0 1 -",
            "keyslots 6 and 7 are not used",
        ));
        losses.push(loss("behind the header", 2, 6, "0 1 7", ""));
        losses.push(loss("header", 0, 1, "- - -", "byte 0 cannot be read"));
    } else {
        for (name, first, sectors, which) in [
            ("start of the primary header", 0, 1, "primary"),
            ("primary JSON", 9, 1, "primary"),
            ("all of the primary", 0, 32, "primary"),
            ("start of the secondary header", 32, 1, "secondary"),
            ("end of the secondary", 63, 1, "secondary"),
            ("all of the secondary", 32, 32, "secondary"),
        ] {
            let says = match which {
                "primary" => "the primary header is not used: damaged: byte",
                _ => "the secondary header is not used: damaged: byte",
            };
            losses.push(loss(name, first, sectors, "0 1 7", says));
        }
    }
    losses
}

fn container(place: &Place, version: u32) {
    let name = format!("box{version}");
    place.sh(&format!(
        "luksmith encrypt -q raw {name} --type luks{version} --key-file k0 {CHEAP}"
    ));
    for keyslot in [1, 7] {
        place.sh(&format!(
            "luksmith key add -q {name} --new-key-slot {keyslot} --key-file k0 --new-keyfile k{keyslot} {CHEAP}"
        ));
    }
}

/// One kernel for all of it, for it takes seconds to start: headers and keyslots that open as far as they can be read, data
/// of which only sectors are lost, and backups with holes.
#[test]
fn a_disk_with_bad_sectors() {
    let place = Place::new();
    let raw = Seeded(7).bytes(RAW_BYTES);
    place.write("raw", &raw);
    for keyslot in [0, 1, 7] {
        place.write(format!("k{keyslot}"), format!("passphrase {keyslot}"));
    }
    // Areas of 512-bit keys, in sectors.
    let area = 258_048 / SECTOR;
    let mut script = format!(
        "{BAD}\ncd '{}'\nluksmith() {{ '{PROGRAM}' \"$@\"; }}\n",
        place.path(".").display()
    );
    let mut expected = Vec::new();
    for (version, disk) in [(1, "/dev/ubda"), (2, "/dev/ubdb")] {
        container(&place, version);
        for loss in losses(version, area) {
            let _ = writeln!(
                script,
                "bad {disk} {} {}; opened=\n\
                 for k in 0 1 7; do\n\
                 if luksmith key test -d k$k /dev/mapper/bad >out 2>err && grep -q \"keyslot $k\" out\n\
                 then opened=\"$opened $k\"; else opened=\"$opened -\"; fi\n\
                 [ $k != 7 ] || grep -qF \"{says}\" err || [ -z \"{says}\" ] || opened=\"$opened unsaid: $(cat err)\"\n\
                 done; echo \"luks{version} {}:$opened\"",
                loss.first,
                loss.sectors,
                loss.name,
                says = loss.says
            );
            expected.push(format!("luks{version} {}: {}", loss.name, loss.opens));
        }
    }

    // Data: two places of one sector, or of eight where eight are encrypted as one.
    for (disk, sector_size) in [("/dev/ubdc", 512), ("/dev/ubdd", 4096)] {
        place.sh(&format!(
            "luksmith encrypt -q raw data{sector_size} --sector-size {sector_size} --key-file k0 {CHEAP}"
        ));
        let start = place.read(format!("data{sector_size}")).len() - RAW_BYTES;
        let first = start / SECTOR + 101;
        let _ = writeln!(
            script,
            "bad {disk} {first} 1\n\
             luksmith decrypt /dev/mapper/bad stopped{sector_size} -d k0 2>err; echo \"stopped: $?\"\n\
             grep -q -e '--on-read-error zero' err || cat err\n\
             [ ! -e stopped{sector_size} ] || echo 'there is a file'\n\
             luksmith decrypt /dev/mapper/bad zero{sector_size} -d k0 --on-read-error zero --error-map map{sector_size} \
             --json >json{sector_size} 2>err{sector_size}; echo \"zero: $?\"\n\
             luksmith compare /dev/mapper/bad raw -d k0 2>err; echo \"compared: $?\"\n\
             luksmith compare /dev/mapper/bad raw -d k0 --on-read-error zero >out 2>err; echo \"compared: $?\"\n\
             grep -q 'as far as both can be read' out || cat out err"
        );
        expected.extend(["stopped: 4", "zero: 4", "compared: 4", "compared: 4"].map(Into::into));
    }
    // A raw disk to encrypt, and backups: of keyslot 1, and of what nothing uses.
    let _ = writeln!(
        script,
        "bad /dev/ubde 7 2\n\
         luksmith encrypt -q /dev/mapper/bad again {CHEAP} --key-file k0 --sector-size 512 2>err; echo \"stopped: $?\"\n\
         luksmith encrypt -q /dev/mapper/bad again {CHEAP} --key-file k0 --sector-size 512 --on-read-error zero \
         --error-map mapagain 2>err; echo \"zero: $?\"\n\
         for at in {} {}; do bad /dev/ubdb $at 1\n\
         luksmith header backup /dev/mapper/bad --header-backup-file backup$at >out 2>err; echo \"backup: $?\"\n\
         done\n\
         luksmith cryptsetup luksHeaderBackup /dev/mapper/bad --header-backup-file face 2>err; echo \"face: $?\"",
        64 + area + 3,
        64 + 7 * area + 3,
    );
    expected.extend(["stopped: 4", "zero: 4", "backup: 4", "backup: 0", "face: 0"].map(Into::into));

    let printed = place.kernel(&script, &["box1", "box2", "data512", "data4096", "raw"]);
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    println!(
        "cases: bad sectors under a kernel {} passed, 0 failed",
        expected.len()
    );

    for (sector_size, lost) in [(512, 101..102), (4096, 96..104)] {
        let range = lost.start * SECTOR..lost.end * SECTOR;
        let mut zeroed = raw.clone();
        zeroed[range.clone()].fill(0);
        assert!(
            place.read(format!("zero{sector_size}")) == zeroed,
            "{sector_size}"
        );
        assert_eq!(
            blocks(&place, &format!("map{sector_size}")),
            lost.collect::<Vec<_>>()
        );
        let json: serde_json::Value =
            serde_json::from_slice(&place.read(format!("json{sector_size}"))).unwrap();
        assert_eq!(
            json["lost"],
            serde_json::json!([{"offset": range.start, "length": range.len()}])
        );
        let said = String::from_utf8(place.read(format!("err{sector_size}"))).unwrap();
        assert!(said.contains("cannot be read"), "{said}");
    }
    assert_eq!(blocks(&place, "mapagain"), [7, 8]);
    place.sh("luksmith decrypt again back -d k0");
    let mut zeroed = raw;
    zeroed[7 * SECTOR..9 * SECTOR].fill(0);
    assert!(place.read("back") == zeroed);

    // The backup of the bad disk is the good one with a hole.
    place.sh("luksmith header backup box2 --header-backup-file whole");
    for at in [64 + area + 3, 64 + 7 * area + 3] {
        let mut whole = place.read("whole");
        whole[at * SECTOR..(at + 1) * SECTOR].fill(0);
        assert!(place.read(format!("backup{at}")) == whole, "{at}");
    }
}

/// The bad sectors of a map, as ddrescue's own tool lists them.
pub fn blocks(place: &Place, map: &str) -> Vec<usize> {
    let mode = std::os::unix::fs::MetadataExt::mode(&place.path(map).metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let mut command = Command::new("ddrescuelog");
    command.args(["--list-blocks=-", "--block-size=512", map]);
    String::from_utf8(place.succeed(&mut command))
        .unwrap()
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect()
}
