use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Place, check_all};

#[expect(dead_code, reason = "the generator writes cases and judges by more")]
#[path = "../../../xtask/src/testkit/case.rs"]
pub mod case;

use case::Case;

pub fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/testkit")
}

pub fn index() -> toml::Table {
    let text = fs::read_to_string(kit().join("index.toml")).unwrap();
    text.parse().unwrap()
}

/// The runner in the box, as a stranger uses it: every verdict is the one in the index, and none is left out.
#[track_caller]
fn run(name: &str) {
    let mut command = Command::new(kit().join("run.py"));
    let output = Place::new().run(command.arg(name));
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let numbers: Vec<usize> = last
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [passed, failed] = numbers[..] else {
        panic!("{printed}{}", String::from_utf8_lossy(&output.stderr))
    };
    println!("cases: testkit by {name} {passed} passed, {failed} failed");
    let index = index();
    let entries = index["case"].as_array().unwrap().iter();
    let listed = entries.filter(|entry| entry.get(name).is_some()).count();
    assert!(output.status.success() && passed == listed, "{printed}");
}

#[test]
fn cryptsetup_judges_the_testkit_as_its_index_says() {
    run("cryptsetup");
}

#[test]
fn qemu_img_judges_the_testkit_as_its_index_says() {
    run("qemu-img");
}

/// Of two copies it takes the one that is meant.
#[test]
fn cryptsetup_shows_the_epoch_of_the_copy_that_counts() {
    let index = index();
    let mut bases = BTreeMap::new();
    let mut cases = Vec::new();
    for entry in index["case"].as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        let case = Case::parse(&fs::read_to_string(kit().join(file)).unwrap()).unwrap();
        if case.epoch.is_none() || entry["cryptsetup"].as_str() == Some("refuses") {
            continue;
        }
        let base = format!("bases/{}.img.xz", case.base);
        bases.entry(case.base.clone()).or_insert_with(|| {
            Place::new().succeed(Command::new("xz").arg("-dc").arg(kit().join(base)))
        });
        cases.push((file, case));
    }
    let names: Vec<_> = cases.iter().map(|(file, _)| *file).collect();
    let cases: BTreeMap<_, _> = cases.into_iter().collect();
    assert!(names.len() > 100, "{names:?}");
    check_all("testkit, which copy cryptsetup uses", &names, |file| {
        let case = &cases[file];
        let place = Place::new();
        place.write("image", case.image(&bases[&case.base]));
        let dump = String::from_utf8(place.sh("cryptsetup luksDump image")).unwrap();
        let epoch = dump.lines().find_map(|line| line.strip_prefix("Epoch:"));
        let epoch = epoch.unwrap().trim().parse().unwrap();
        assert_eq!(Some::<u64>(epoch), case.epoch);
    });
}
