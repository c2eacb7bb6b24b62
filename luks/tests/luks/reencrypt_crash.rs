mod cases;
mod judge;
mod luks1;
mod meddle;
mod seeded;
mod standing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use luks::Error;
use luks::reencrypt::Protection;
use volume::{CrashedDisks, SimulatedDisks};

use self::cases::{Before, Case, Job, World};
use self::judge::{Judge, epoch_of};
use self::meddle::{Asked, Meddling, is_behind_first_sector, meddled};
use self::seeded::Seeded;

/// A case, and what must come of it.
struct Rig {
    case: Case,
    before: Before,
    judge: Arc<Judge>,
}

/// How much is tried of what is too much.
#[derive(Clone, Copy)]
struct Effort {
    /// States between two syncs besides the boundaries.
    others: usize,
    /// It is gone on from one of so many.
    resume_one_of: u64,
    /// Of the states that a crash then leaves, from one of so many.
    again_one_of: u64,
}

/// What is said of a meddling that no sync was in the way of.
const NOTHING: &str = "nothing was changed";

/// States that were read, and states that were gone on from.
type Counts = [usize; 2];

impl Rig {
    fn new(case: Case) -> Self {
        let before = case.before();
        let mut judge = Judge::new(case, &before);
        let (_, world) = case.disks(&before.data, &before.header);
        case.go_on(&world, 1)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        judge
            .expect(&world)
            .unwrap_or_else(|problem| panic!("{}: {problem}", case.name()));
        Self {
            case,
            before,
            judge: Arc::new(judge),
        }
    }

    fn disks(&self) -> (SimulatedDisks, World) {
        self.case.disks(&self.before.data, &self.before.header)
    }

    /// Every byte in each state that a crash leaves, and all of it done when it was gone on from there.
    fn crash(&self, seed: u64, effort: Effort) -> Result<Counts, String> {
        let mut random = Seeded(seed);
        let (disks, world) = self.disks();
        self.go_on(&world)?;
        let mut counts = [0, 0];
        for state in disks.crash_states(random.next()).thinned(effort.others) {
            let of_state = |problem| format!("{state}: {problem}");
            let epoch = self.judge.read(&state).map_err(of_state)?;
            counts[0] += 1;
            if random.is_chosen(effort.resume_one_of) {
                self.resume(&state, epoch, &mut random, effort, &mut counts)
                    .map_err(of_state)?;
            }
        }
        Ok(counts)
    }

    fn resume(
        &self,
        state: &CrashedDisks,
        epoch: u64,
        random: &mut Seeded,
        effort: Effort,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let case = if random.is_chosen(2) {
            self.case.in_other_hands()
        } else {
            self.case
        };
        let (disks, world) = case.disks_again(state);
        let of_first = |problem| format!("gone on from as {}: {problem}", case.name());
        go_on(case, &world).map_err(of_first)?;
        self.judge.done(&world).map_err(of_first)?;
        counts[1] += 1;
        for again in disks.crash_states(random.next()).thinned(effort.others) {
            if !random.is_chosen(effort.again_one_of) {
                continue;
            }
            let of_second =
                |problem| format!("gone on from as {}, {again}: {problem}", case.name());
            let later = self.judge.read(&again).map_err(of_second)?;
            if later != 0 && later < epoch {
                return Err(of_second(format!("epoch {later} after {epoch}")));
            }
            counts[0] += 1;
            let (_, world) = case.disks_again(&again);
            go_on(case, &world).map_err(of_second)?;
            self.judge.done(&world).map_err(of_second)?;
            counts[1] += 1;
        }
        Ok(())
    }

    fn go_on(&self, world: &World) -> Result<(), String> {
        self.case.go_on(world, 1).map_err(|error| error.to_string())
    }

    /// From now on each write is judged before it is made.
    fn judge_writes(&self, disks: &SimulatedDisks, seed: u64, most: usize) {
        let judge = self.judge.clone();
        disks.judge(seed, most, move |state| judge.read(state).map(drop));
    }

    /// What a program asks of its disks from the beginning to the end.
    fn asked(&self) -> Vec<Asked> {
        let (_, world) = self.disks();
        let (world, log) = meddled(&world, Meddling::None, |_| ());
        self.go_on(&world).unwrap();
        log.asked()
    }

    /// Killed, so that what was written is there and not synced, and gone on from by another process; how many writes
    /// were judged.
    fn kill(&self, at: usize, seed: u64, most: usize) -> Result<(), String> {
        let (disks, world) = self.disks();
        let (killed, _) = meddled(&world, Meddling::KillAt(at), |_| ());
        assert!(self.case.go_on(&killed, 1).is_err(), "it was to be killed");
        self.judge_writes(&disks, seed, most);
        let outcome = self.go_on(&world);
        if let Some(guilty) = disks.guilty() {
            return Err(guilty);
        }
        outcome?;
        self.judge.done(&world)
    }

    /// A change or a sync fails: that ends it, and whatever the disk then has of it is gone on from.
    fn fail(&self, at: usize, os_error: i32, seed: u64, most: usize) -> Result<(), String> {
        let (disks, world) = self.disks();
        let (failing, log) = meddled(&world, Meddling::FailAt(at, os_error), |_| ());
        match self.case.go_on(&failing, 1) {
            Err(Error::Io { source, .. }) if source.to_string().contains("os error") => {}
            outcome => return Err(format!("{outcome:?}")),
        }
        let asked = log.asked();
        if asked.len() != at + 1 {
            return Err(format!("it went on with {:?}", &asked[at + 1..]));
        }
        for state in disks.crash_states_now(seed).thinned(most) {
            let of_state = |problem| format!("{state}: {problem}");
            self.judge.read(&state).map_err(of_state)?;
        }
        self.go_on(&world)?;
        self.judge.done(&world)
    }

    /// What notices that disks do not do as they are told; `None` where nothing does, or nothing was changed by it.
    fn catch(&self, meddling: Meddling, most: usize) -> Option<String> {
        let (disks, world) = self.disks();
        let disks = Arc::new(disks);
        let judged = Mutex::new((disks.clone(), self.judge.clone()));
        let (told, log) = meddled(&world, meddling, move |is_open| {
            let (disks, judge) = &*judged.lock().unwrap();
            if is_open {
                let judge = judge.clone();
                disks.judge(1, most, move |state| judge.read(state).map(drop));
            } else {
                disks.judge(1, 0, |_| Ok(()));
            }
        });
        let outcome = self.go_on(&told);
        if !log.was_missed() {
            return Some(NOTHING.into());
        }
        if let Some(guilty) = disks.guilty() {
            return Some(guilty);
        }
        if let Err(error) = outcome {
            return Some(error);
        }
        // What was said to be done may not be lost any more.
        disks.crash_states_now(1).thinned(most).find_map(|state| {
            let done = self.judge.done(&World::of(&state));
            done.err().map(|problem| format!("{state}: {problem}"))
        })
    }
}

fn go_on(case: Case, world: &World) -> Result<(), String> {
    let outcome = case.go_on(world, 1);
    outcome.map_err(|error| error.to_string())
}

/// How many states, and from which seed: a short part of it, unless a campaign says otherwise.
fn campaign() -> Option<(usize, u64)> {
    let asked = std::env::var("LUKSMITH_CRASH").ok()?;
    let mut numbers = asked.split(' ');
    let mut next = || numbers.next().expect("two numbers");
    let states = next().parse().expect("a number of states");
    Some((states, next().parse().expect("a seed")))
}

#[test]
fn a_crash_at_each_write_loses_nothing() {
    let rigs: Vec<_> = Case::all().into_iter().map(Rig::new).collect();
    let (states, first, effort) = match campaign() {
        None => {
            let effort = Effort {
                others: 1,
                resume_one_of: 9,
                again_one_of: 70,
            };
            (0, 1, effort)
        }
        Some((states, seed)) => {
            let effort = Effort {
                others: 64,
                resume_one_of: 40,
                again_one_of: 1000,
            };
            (states, seed, effort)
        }
    };
    let [mut read, mut resumed] = [0, 0];
    // In a test run the other tests have the other processors.
    let threads = campaign().map_or(1, |_| {
        std::thread::available_parallelism().map_or(1, usize::from)
    });
    for seed in first.. {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut counts = [0, 0];
            while let Some(rig) = rigs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let [read, resumed] = rig.crash(seed, effort).unwrap_or_else(|problem| {
                    panic!("{}, seed {seed}: {problem}", rig.case.name())
                });
                counts = [counts[0] + read, counts[1] + resumed];
            }
            counts
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let of_others = others.into_iter().map(|other| other.join().unwrap());
            for counts in std::iter::once(work()).chain(of_others) {
                read += counts[0];
                resumed += counts[1];
            }
        });
        if read >= states {
            break;
        }
        println!("seed {seed}: {read} of {states} states");
    }
    println!("cases: crashed reencryptions read {read} passed, 0 failed");
    println!("cases: crashed reencryptions gone on from {resumed} passed, 0 failed");
    assert!(read > 3000 && resumed > 500, "{read} {resumed}");
}

/// Whatever of any one write is lost, all can be read: a failure names the write that is to blame.
#[test]
fn no_write_of_a_reencryption_may_do_harm() {
    let (seed, most) = campaign().map_or((1, 4), |(_, seed)| (seed, 200));
    let mut count = 0;
    for case in Case::all() {
        let rig = Rig::new(case);
        let (disks, world) = rig.disks();
        rig.judge_writes(&disks, seed, most);
        let outcome = rig.go_on(&world);
        assert_eq!(disks.guilty(), None, "{}", case.name());
        outcome.unwrap_or_else(|problem| panic!("{}: {problem}", case.name()));
        count += 1;
    }
    println!("cases: reencryptions with each write judged {count} passed, 0 failed");
}

/// What a killed process wrote is there, but a loss of power may still take it away from whoever goes on.
#[test]
fn what_a_killed_reencryption_did_not_sync_may_still_be_lost() {
    let (seed, step, most) = campaign().map_or((1, 23, 3), |(_, seed)| (seed, 1, 40));
    let mut count = 0;
    for (number, case) in Case::all().into_iter().enumerate() {
        let rig = Rig::new(case);
        let all = rig.asked().len();
        // Not the same in each case.
        for at in (number * 5 % step..all).step_by(step) {
            rig.kill(at, seed, most)
                .unwrap_or_else(|problem| panic!("{}, killed at {at}: {problem}", case.name()));
            count += 1;
        }
    }
    println!("cases: reencryptions killed and gone on with {count} passed, 0 failed");
    assert!(count > 70, "{count}");
}

/// A process that is killed between the two copies of a header in its file leaves the step before in the second one, which
/// an image must not get: torn, it would have the header put aside in place of the data.
#[test]
fn an_image_gets_two_copies_of_one_step() {
    let is_meant = |case: &Case| case.job == Job::EncryptShift && !case.is_another;
    let mut killed = 0;
    for case in Case::all().into_iter().filter(is_meant) {
        let rig = Rig::new(case);
        // From the sync of what is put aside to that of the header that says so.
        let asked = rig.asked();
        let is_of_data = |step: &Asked| matches!(step, Asked::Write(0, _));
        let aside = asked.iter().position(is_of_data);
        let aside = aside.expect("the data are put aside");
        for at in aside + 2..aside + 6 {
            rig.kill(at, 18, 40)
                .unwrap_or_else(|problem| panic!("{}, killed at {at}: {problem}", case.name()));
            killed += 1;
        }
    }
    println!("cases: processes killed between two copies {killed} passed, 0 failed");
    assert!(killed > 0);
}

/// It tells of the error and does nothing more, not even to another disk.
#[test]
fn a_failing_write_or_sync_ends_a_reencryption() {
    let (seed, step, most) = campaign().map_or((1, 11, 1), |(_, seed)| (seed, 1, 40));
    let mut count = 0;
    for (number, case) in Case::all().into_iter().enumerate() {
        let rig = Rig::new(case);
        let all = rig.asked().len();
        for at in (number * 3 % step..all).step_by(step) {
            let os_error = if at % 2 == 0 { 5 } else { 28 };
            rig.fail(at, os_error, seed, most)
                .unwrap_or_else(|problem| panic!("{}, {at} failed: {problem}", case.name()));
            count += 1;
        }
    }
    println!("cases: failing writes and syncs of reencryptions {count} passed, 0 failed");
    assert!(count > 150, "{count}");
}

/// Without protection a crash costs what is being written, but what a header calls done is on the disk.
#[test]
fn a_reencryption_without_protection_that_was_stopped_is_durable() {
    let mut count = 0;
    for job in [Job::NewKey, Job::Encrypt, Job::Decrypt] {
        let case = Case {
            job,
            protection: Protection::None,
            ..Case::all()[1]
        };
        let rig = Rig::new(case);
        for zones in 0..3 {
            let (disks, world) = rig.disks();
            let asked = AtomicUsize::new(0);
            let stop = || asked.fetch_add(1, Ordering::Relaxed) >= zones;
            case.go_on_until(&world, 1, &stop).unwrap();
            let stopped: Vec<_> = disks.crash_states_now(1).collect();
            assert_eq!(stopped.len(), 1, "{job:?}: something is not synced");
            let epoch = rig.judge.read(&stopped[0]).unwrap();
            // An older header does not know what was written since.
            for state in disks.crash_states(1).thinned(60) {
                if epoch_of(&World::of(&state).header) == Some(epoch) {
                    rig.judge
                        .read(&state)
                        .unwrap_or_else(|problem| panic!("{job:?}, {state}: {problem}"));
                    count += 1;
                }
            }
        }
    }
    println!("cases: stopped reencryptions without protection {count} passed, 0 failed");
    assert!(count > 500, "{count}");
}

/// What the tests above would not notice may as well not be there.
#[test]
fn each_sync_of_a_reencryption_matters() {
    let (mut caught, mut swapped, mut equal, mut failed) = (0, 0, 0, Vec::new());
    for (number, case) in Case::all().into_iter().enumerate() {
        // Of each job one.
        if campaign().is_none()
            && ![1, 10, 12, 16, 19, 23, 26, 28, 29, 30, 33, 34].contains(&number)
        {
            continue;
        }
        let rig = Rig::new(case);
        let asked = rig.asked();
        let made_durable = made_durable(case, &asked);
        let (mut spare, mut missed) = (Vec::new(), Vec::new());
        for (number, what) in made_durable.iter().enumerate() {
            match rig.catch(Meddling::ForgetSync(number), 40) {
                Some(_) => caught += 1,
                // Nothing was written, or another sync follows before anything depends on the second copy.
                None if what.is_empty() || what == "secondary" => missed.push(number),
                None => {
                    missed.push(number);
                    spare.push(what.as_str());
                }
            }
        }
        let changes = asked.iter().filter(|it| !matches!(it, Asked::Sync(_)));
        for number in 0..changes.count() {
            match rig.catch(Meddling::SwapWrites(number), 40) {
                Some(text) if text == NOTHING => {}
                Some(_) => swapped += 1,
                // Two writes that no sync parts but such as can be left out: the disk swaps them as it likes, which the
                // states of every crash are full of.
                None => {
                    let over = swapped_over(case, &asked, number);
                    if over.syncs.iter().all(|sync| missed.contains(sync)) {
                        equal += 1;
                    } else {
                        failed.push(format!("{}: {over:?}", case.name()));
                    }
                }
            }
        }
        if spare != spare_syncs(case) {
            failed.push(format!("{}: {spare:?}", case.name()));
        }
    }
    println!("cases: syncs of reencryptions left out {caught} passed, 0 failed");
    println!(
        "cases: writes of reencryptions swapped {swapped} passed, 0 failed; {equal} over spare syncs are no mutants"
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(caught > 90 && swapped > 80, "{caught} {swapped}");
}

/// What a write is held over until the next one.
#[derive(Debug)]
struct Over {
    /// What is held.
    _held: &'static str,
    /// Syncs of its disk, by their numbers.
    syncs: Vec<usize>,
    /// What comes before it.
    _next: &'static str,
}

fn swapped_over(case: Case, asked: &[Asked], number: usize) -> Over {
    let changes = asked.iter().enumerate();
    let mut changes = changes.filter(|(_, it)| !matches!(it, Asked::Sync(_)));
    let (at, held) = changes.nth(number).unwrap();
    let Asked::Write(disk, range) = held else {
        panic!("{held:?} is no write");
    };
    let next = changes.find(
        |(_, it)| !matches!(it, Asked::Write(_, range) if is_behind_first_sector(range.start)),
    );
    let until = next.map_or(asked.len(), |(until, _)| until);
    let syncs = asked.iter().enumerate();
    let syncs = syncs.filter(|(_, it)| matches!(it, Asked::Sync(_)));
    Over {
        _held: case.what_lies_at(*disk, range.start),
        syncs: syncs
            .enumerate()
            .filter(|(_, (place, it))| (at..until).contains(place) && **it == Asked::Sync(*disk))
            .map(|(number, _)| number)
            .collect(),
        _next: match next {
            Some((_, Asked::Write(disk, range))) => case.what_lies_at(*disk, range.start),
            Some(_) => "length",
            None => "nothing",
        },
    }
}

/// It does not sync what protects a zone before the header that calls the zone hot, nor what it puts aside before the header
/// goes to its place.
#[test]
fn the_order_in_which_cryptsetup_writes_loses_data() {
    let mut caught = 0;
    let all = Case::all().into_iter().filter(|case| case.is_detached);
    for case in all.filter(|case| matches!(case.job, Job::NewKey | Job::EncryptShift)) {
        let rig = Rig::new(case);
        let syncs = made_durable(case, &rig.asked());
        for (number, next) in syncs.windows(2).enumerate() {
            let is_before_hot = next == ["area", "primary"]
                && syncs.get(number + 3).is_some_and(|after| after == "data");
            if is_before_hot || next[0] == "length data" {
                let found = rig.catch(Meddling::ForgetSync(number), 40);
                let found = found.unwrap_or_else(|| panic!("{}, sync {number}", case.name()));
                assert!(found.contains("of the volume are lost"), "{found}");
                caught += 1;
            }
        }
    }
    println!("cases: cryptsetup's order of writes {caught} passed, 0 failed");
    // Four jobs of three zones, and two copies.
    assert_eq!(caught, 14);
}

/// What syncs make durable that nobody misses, although something was written.
fn spare_syncs(case: Case) -> &'static [&'static str] {
    let keeps_copies = case.protection == Protection::Journal;
    match case.job {
        // The next area is wiped and synced before anything depends on it; of the other one it is the name, as below.
        Job::NewKey | Job::Luks1Hash => &["area"],
        // So is the old keyslot when the place is that the data has moved from.
        Job::NewKeyShift => &["data"],
        // Nobody has any use for checksums of what was.
        Job::LargerSectors if !keeps_copies => &["area"],
        Job::LargerSectors => &[],
        // A new header is not found before its last sector is there.
        Job::Encrypt if keeps_copies => &["length primary", "area", "primary secondary"],
        Job::Encrypt => &["length primary", "area", "primary secondary", "area"],
        // The same; the image is synced once more before its header file is removed, the file comes back and is not looked
        // at, and what is overwritten is cut off and synced next.
        Job::EncryptShift => &[
            "length primary",
            "area",
            "primary secondary",
            "primary",
            "length",
            "data",
        ],
        // Keyslots of what nobody keeps secret any more.
        Job::Decrypt => &["area", "area"],
        // The image has its own header until the copy of it is whole, and its data where the copy says until they are moved.
        Job::DecryptShift => &["area", "primary", "primary", "data", "area", "area"],
        // The header file's name, which lies behind its areas, is synced once more before the magic is taken away.
        Job::Luks1NewKey | Job::Luks1Decrypt => &["area", "area", "area"],
        // What lies before the data is overwritten once more with the LUKS1 header.
        Job::Luks1EncryptReduced => &["length primary", "area", "primary secondary", "luks1"],
        Job::Luks1Encrypt => &[
            "length primary",
            "area",
            "primary secondary",
            "data",
            "length",
        ],
    }
}

/// For each sync in turn what was written to its disk since the one before.
fn made_durable(case: Case, asked: &[Asked]) -> Vec<String> {
    let mut written = [Vec::new(), Vec::new()];
    let mut syncs = Vec::new();
    for asked in asked {
        match asked {
            Asked::Write(disk, range) => {
                let what = case.what_lies_at(*disk, range.start);
                if written[*disk].last() != Some(&what) {
                    written[*disk].push(what);
                }
            }
            Asked::SetLen(disk) => written[*disk].push("length"),
            Asked::Sync(disk) => syncs.push(std::mem::take(&mut written[*disk]).join(" ")),
        }
    }
    syncs
}

/// An added sync costs every zone of every image, and so do bytes that need not be written.
#[test]
fn a_zone_takes_few_syncs_and_writes() {
    for case in Case::all() {
        if case.job == Job::Luks1Hash {
            continue;
        }
        let (_, world) = case.disks(&case.before().data, &case.before().header);
        let (world, log) = meddled(&world, Meddling::None, |_| ());
        let at_zones = Mutex::new(Vec::new());
        let log = Mutex::new(log);
        let stop = || {
            let asked = log.lock().unwrap().asked();
            at_zones.lock().unwrap().push(asked.len());
            false
        };
        case.go_on_until(&world, 1, &stop).unwrap();
        let asked = log.lock().unwrap().asked();
        let at_zones = at_zones.into_inner().unwrap();
        let least = if case.is_shift() && case.is_luks1() {
            1
        } else {
            2
        };
        assert!(at_zones.len() > least, "{}", case.name());
        // What protects it is synced, a header twice, the data, a header twice; a shift protects by itself.
        let (syncs, zone_bytes, protection_bytes) = match (case.is_shift(), case.protection) {
            _ if case.job == Job::Luks1EncryptReduced => (3, case.shift_bytes(), 0),
            // All of it moves: no header calls a zone hot.
            _ if case.moved_bytes() != 0 => (3, case.moved_bytes(), 0),
            (true, _) => (5, case.shift_bytes(), 0),
            (_, Protection::Journal) => (6, case.zone_bytes(), case.zone_bytes()),
            _ => (6, case.zone_bytes(), case.zone_bytes() / 512 * 32),
        };
        let most_bytes = zone_bytes + protection_bytes + 4 * 0x4000;
        for zone in at_zones.windows(2) {
            let of_zone = &asked[zone[0]..zone[1]];
            let is_sync = |asked: &&Asked| matches!(asked, Asked::Sync(_));
            let done = of_zone.iter().filter(is_sync).count();
            assert_eq!(done, syncs, "{}: {of_zone:?}", case.name());
            let bytes = of_zone.iter().map(|asked| match asked {
                Asked::Write(_, range) => range.end - range.start,
                _ => 0,
            });
            let bytes = bytes.sum::<u64>();
            assert!(
                bytes <= most_bytes,
                "{}: {bytes} of {most_bytes}",
                case.name()
            );
        }
    }
}
