//! Names of mappings, where the kernel has a device-mapper: what stands in no row, because most machines of tests have none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;

use crate::common::{PROGRAM, Place};

/// What is asked of a mapping that is not there, or of something that is none.
const LINES: [&str; 24] = [
    "-v close none",
    "-v luksClose none",
    "-v remove none",
    "-v plainClose none",
    "-v close --deferred none",
    "-v close --cancel-deferred none",
    "-v close --header nofile none",
    "-v status none",
    "-v status /dev/mapper/none",
    "-v status ./raw",
    "-v status --header raw none",
    "-v resize none",
    "-v resize --size 8 none",
    "-v resize --device-size 8M raw",
    "-v luksSuspend none",
    "-v luksSuspend --type plain none",
    "-v luksResume none",
    "-v luksResume --type plain none",
    "-v refresh none",
    "-v open --refresh raw none",
    "-v reencrypt --active-name none",
    "-v close /dev/mapper/none",
    "-v close ./raw",
    "-v close 'a name'",
];

/// The same where a mapping of that name is active.
const OF_AN_ACTIVE_ONE: [&str; 1] = ["-v open box active"];

#[test]
fn a_mapping_that_is_not_there_is_named_as_cryptsetup_names_it() {
    let place = Place::new();
    place.write("raw", [0; 4096]);
    place.hole("box", 4 << 20);
    symlink(PROGRAM, place.path("cryptsetup")).unwrap();
    place.sh(
        "printf pw | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-keyslots-size 1M \
         --offset 4096 box",
    );
    let mut script = format!(
        "cd '{}' || exit 1
run() {{
    for program in /usr/sbin/cryptsetup ./cryptsetup; do
        \"$program\" \"$@\" </dev/null >out 2>err
        echo \"$program: exit $?\"
        sed 's/^/out /' out
        sed 's/^/err /' err
    done
}}
",
        place.path("").display()
    );
    for line in LINES {
        let shown = line.replace('\'', "");
        let _ = writeln!(script, "echo '=== {shown}'\nrun {line}");
    }
    script.push_str("dmsetup create active --table '0 8 zero' || exit 1\n");
    for line in OF_AN_ACTIVE_ONE {
        let _ = writeln!(script, "echo '=== {line}'\nrun {line}");
    }
    let printed = place.kernel(&script, &[]);
    let mut wrong = BTreeMap::new();
    let blocks: Vec<_> = printed.split("=== ").skip(1).collect();
    assert_eq!(
        blocks.len(),
        LINES.len() + OF_AN_ACTIVE_ONE.len(),
        "{printed}"
    );
    for block in blocks {
        let (line, both) = block.split_once('\n').unwrap();
        let (theirs, ours) = both.split_once("./cryptsetup: ").unwrap();
        if theirs.strip_prefix("/usr/sbin/cryptsetup: ") != Some(ours) {
            wrong.insert(line, both);
        }
    }
    println!(
        "cases: names of mappings {} passed, {} failed",
        LINES.len() + OF_AN_ACTIVE_ONE.len() - wrong.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
