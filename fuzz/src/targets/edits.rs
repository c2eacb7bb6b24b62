//! Sequences of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use luks::{
    ConfigChanges, Header, KeyslotOptions, Luks, UnlockOptions, Version, config, keyslots, tokens,
};
use volume::{MemoryStorage, RehearsedStorage, Storage};

use super::support::{
    CHEAP, PASSPHRASE, Repeated, check_data, container, options, passphrase, version, volume_key,
};

const WORDS: [&str; 4] = [PASSPHRASE, "battery", "staple", ""];
/// A longer sequence is several of these: containers begin with any number of keyslots, and all that one step leaves for the
/// next is in their bytes.
const MOST_STEPS: usize = 3;
/// Once in so many a passphrase opens what is changed, and is tried after a change and in the end: most of the time would be
/// spent on it.
const TRIED_ONCE_IN: u8 = 4;
/// As many as either container has room for.
const KEYSLOTS: usize = 8;

/// After each change of a header it has the keyslots and tokens of a table and the label is as it was left; after some, a
/// passphrase opens a keyslot where the table says so, and in the end sometimes the container. What opens gives the volume
/// key.
///
/// # Panics
/// When they do not, or it has others.
pub fn header_edits(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let version = version(&mut input);
    let keyslots = input.int_in_range(1..=KEYSLOTS).unwrap_or(1);
    let beginning = Arc::clone(&beginnings(version)[keyslots - 1]);
    let storage = RehearsedStorage::new(beginning).expect("memory has a length");
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let mut model = Model {
        keyslots: (0..).zip(words(keyslots)).collect(),
        tokens: BTreeSet::new(),
        label: String::new(),
    };
    let steps = input.int_in_range(1..=MOST_STEPS).unwrap_or(1);
    for _ in 0..steps {
        if input.is_empty() || model.step(&mut input, &storage, version).is_err() {
            break;
        }
        let luks = model.check(&storage);
        if input.ratio(1, TRIED_ONCE_IN).unwrap_or(false) {
            model.check_one(&luks, version, input.arbitrary().unwrap_or_default());
        }
    }
    if input.ratio(1, TRIED_ONCE_IN).unwrap_or(true) {
        model.check_all(&storage, version, input.arbitrary().unwrap_or(0));
    }
    true
}

/// Which word opens each of the keyslots that a container begins with.
fn words(keyslots: usize) -> impl Iterator<Item = usize> {
    (0..keyslots).map(|number| number % WORDS.len())
}

/// Containers of one keyslot, of two, and so on to a full one.
fn beginnings(version: Version) -> &'static [Arc<dyn Storage>] {
    static LUKS1: OnceLock<Vec<Arc<dyn Storage>>> = OnceLock::new();
    static LUKS2: OnceLock<Vec<Arc<dyn Storage>>> = OnceLock::new();
    let made = match version {
        Version::Luks1 => &LUKS1,
        Version::Luks2 => &LUKS2,
    };
    made.get_or_init(|| {
        let mut all = vec![container(version)];
        for word in words(KEYSLOTS).skip(1) {
            let last = all.last().expect("there is one");
            let bytes = last.len().expect("memory has a length");
            let mut image = vec![0; usize::try_from(bytes).expect("it is in memory")];
            last.read_at(0, &mut image).expect("it is there");
            let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::from_vec(image));
            let luks = Luks::open(Arc::clone(&storage)).expect("it is a container");
            let unlocked = luks
                .unlock_with_volume_key(volume_key(version), &options())
                .expect("it is its own");
            let random = &mut Repeated(9);
            keyslots::add(&luks, &unlocked, &passphrase(WORDS[word]), &cheap(), random)
                .expect("there is room");
            all.push(storage);
        }
        all
    })
}

/// What the header must say.
struct Model {
    /// Which word opens a keyslot.
    keyslots: BTreeMap<u32, usize>,
    tokens: BTreeSet<u32>,
    label: String,
}

impl Model {
    fn step(
        &mut self,
        input: &mut Unstructured<'_>,
        storage: &Arc<dyn Storage>,
        version: Version,
    ) -> arbitrary::Result<()> {
        let luks = Luks::open(Arc::clone(storage)).expect("it is a container");
        let random = &mut Repeated(input.arbitrary::<u64>()? | 1);
        let any: Vec<u32> = self.keyslots.keys().copied().collect();
        let keyslot = *input.choose(&any)?;
        let by_passphrase = input.ratio(1, TRIED_ONCE_IN)?;
        let unlock = || {
            let unlocked = if by_passphrase {
                let word = WORDS[self.keyslots[&keyslot]];
                luks.unlock(&passphrase(word), &only(keyslot))
            } else {
                luks.unlock_with_volume_key(volume_key(version), &options())
            };
            unlocked.expect("no change is one of the volume key, and the table says what opens")
        };
        let new = cheap();
        let word = input.choose_index(WORDS.len())?;
        // Keys are split and merged for the first two only, which takes most of the time.
        match input.int_in_range(0..=8)? {
            0 => match keyslots::add(&luks, &unlock(), &passphrase(WORDS[word]), &new, random) {
                Ok(added) => assert_eq!(self.keyslots.insert(added, word), None),
                Err(error) => assert!(self.keyslots.len() == KEYSLOTS, "{error}"),
            },
            1 => {
                let key = passphrase(WORDS[word]);
                match keyslots::change(&luks, &unlock(), keyslot, &key, &new, random) {
                    Ok(now) => {
                        self.keyslots.remove(&keyslot);
                        self.keyslots.insert(now, word);
                    }
                    Err(error) => assert!(self.keyslots.len() == KEYSLOTS, "{error}"),
                }
            }
            2 => {
                let last = self.keyslots.len() == 1;
                let removed = keyslots::remove(&luks, keyslot, false, random);
                assert_eq!(removed.is_err(), last);
                if !last {
                    self.keyslots.remove(&keyslot);
                }
            }
            3 | 4 => {
                let label = (*input.choose(&["", "archive", "\u{e9}"])?).to_owned();
                let changes = ConfigChanges {
                    label: Some(label.clone()),
                    ..ConfigChanges::default()
                };
                let outcome = config::configure(&luks, &changes, random);
                assert_eq!(outcome.is_ok(), version == Version::Luks2);
                if outcome.is_ok() {
                    self.label = label;
                }
            }
            5 | 6 => {
                let token = tokens::keyring("key", &[keyslot]);
                let added = tokens::add(&luks, token, None, false, random);
                assert_eq!(added.is_ok(), version == Version::Luks2);
                if let Ok(id) = added {
                    assert!(self.tokens.insert(id), "token {id} was there");
                }
            }
            _ => {
                let id = input.int_in_range(0..=2)?;
                let removed = tokens::remove(&luks, id, random);
                assert_eq!(removed.is_ok(), self.tokens.remove(&id));
            }
        }
        Ok(())
    }

    fn check(&self, storage: &Arc<dyn Storage>) -> Luks {
        let luks = Luks::open(Arc::clone(storage)).expect("a change leaves a container");
        assert!(luks.warnings().is_empty());
        match luks.header() {
            Header::Luks1(header) => {
                let active = header.keyslots.iter().filter(|keyslot| keyslot.active);
                assert_eq!(active.count(), self.keyslots.len());
            }
            Header::Luks2(header) => {
                let present: Vec<u32> = header.metadata.keyslots.iter().map(|k| k.id).collect();
                assert_eq!(present, self.keyslots.keys().copied().collect::<Vec<_>>());
                let tokens: BTreeSet<u32> = header.metadata.tokens.iter().map(|t| t.id).collect();
                assert_eq!(tokens, self.tokens);
                assert_eq!(header.binary.label, self.label);
            }
        }
        luks
    }

    /// `tried`: a keyslot and a word, any numbers.
    fn check_one(&self, luks: &Luks, version: Version, tried: (usize, usize)) {
        let (keyslot, of_keyslot) = self
            .keyslots
            .iter()
            .nth(tried.0 % self.keyslots.len())
            .expect("the last one is not removed");
        let word = tried.1 % WORDS.len();
        let opened = luks.unlock(&passphrase(WORDS[word]), &only(*keyslot));
        assert_eq!(opened.is_ok(), *of_keyslot == word, "{:?}", WORDS[word]);
        if let Ok(opened) = opened {
            check_data(&opened, version);
        }
    }

    fn check_all(&self, storage: &Arc<dyn Storage>, version: Version, word: usize) {
        let luks = Luks::open(Arc::clone(storage)).expect("a change leaves a container");
        let word = word % WORDS.len();
        let opened = luks.unlock(&passphrase(WORDS[word]), &options());
        let is_known = self.keyslots.values().any(|of_keyslot| *of_keyslot == word);
        assert_eq!(opened.is_ok(), is_known, "{:?}", WORDS[word]);
        if let Ok(opened) = opened {
            check_data(&opened, version);
        }
    }
}

fn cheap() -> KeyslotOptions<'static> {
    KeyslotOptions {
        kdf: CHEAP,
        ..KeyslotOptions::default()
    }
}

fn only(keyslot: u32) -> UnlockOptions<'static> {
    UnlockOptions {
        keyslot: Some(keyslot),
        ..options()
    }
}
