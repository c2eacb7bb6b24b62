//! Images of QEMU: any bytes as one, and disks that are written in their place beside a model.

use std::ops::Range;
use std::sync::Arc;

use arbitrary::{Result as Chosen, Unstructured};
use dmcrypt::{CipherSpec, SectorCipher, SectorOptions, SectorSize};
use qcow2::{Compat, Image, Layer, Live, NewImage, Writer};
use volume::{Fault, FaultOn, MemoryStorage, SimulatedStorage, Storage};

/// A disk that is longer is not read to its end.
const MOST_BYTES: u64 = 1 << 20;

/// An image is opened or refused. What is read of it is the same in one piece and in many, and zeros where it tells of
/// holes; where its tables fit each other, and nothing is compressed, all of it can be read. What may be written is whole
/// afterwards, and reads as what was written.
///
/// # Panics
/// When one of these does not hold.
pub fn qcow2_image(data: &[u8]) -> bool {
    let storage = Arc::new(MemoryStorage::from_vec(data.to_vec()));
    let Ok(image) = Image::open(storage.clone()) else {
        return false;
    };
    let layer = || Layer {
        backing: image.header().backing_file.as_ref().map(|_| below()),
        data: image.header().data_file.as_ref().map(|_| below()),
        cipher: Some(cipher()),
        ..Layer::default()
    };
    let checked = image.check().expect("memory is read");
    for snapshot in image.snapshots().iter().take(4) {
        let view = image.view(Some(snapshot), layer()).expect("all is given");
        read_pieces(&view);
    }
    let view = image.view(None, layer()).expect("all is given");
    let read = read_pieces(&view);
    let is_sound = checked.problems.is_empty() && checked.left_out.is_none();
    let can_be_read =
        is_sound && checked.clusters.compressed == 0 && image.header().data_file.is_none();
    assert!(
        !can_be_read || read.is_some(),
        "it is sound, and cannot be read"
    );
    let Ok(live) = image.live(layer()) else {
        return read.is_some();
    };
    let Some(mut model) = read else {
        return true;
    };
    if model.is_empty() {
        return true;
    }
    let at = model.len() / 3;
    let end = (at + 3000).min(model.len());
    // A refcount table may be as long as it may be.
    if live.write_at(at as u64, &vec![0xa7; end - at]).is_err() || live.sync().is_err() {
        return true;
    }
    model[at..end].fill(0xa7);
    drop(live);
    let image = Image::open(storage).expect("it was one");
    let again = image.check().expect("memory is read");
    assert_eq!(again.problems, vec![]);
    let view = image.view(None, layer()).expect("all is given");
    assert!(
        read_pieces(&view).as_deref() == Some(&model[..]),
        "it reads otherwise"
    );
    true
}

/// The start of the disk, if it can be read; the same in pieces.
fn read_pieces(view: &dyn Storage) -> Option<Vec<u8>> {
    let len = view.len().expect("it is known").min(MOST_BYTES);
    let mut whole = vec![0; bytes_of(len)];
    let read = view.read_at(0, &mut whole);
    let mut pieces = vec![0; whole.len()];
    let mut is_read = true;
    for (index, piece) in pieces.chunks_mut(3 << 10).enumerate() {
        is_read &= view.read_at((index * (3 << 10)) as u64, piece).is_ok();
    }
    assert_eq!(read.is_ok(), is_read);
    if !is_read {
        return None;
    }
    assert!(pieces == whole, "pieces are not the whole");
    let mut at = 0;
    while at < len {
        let Ok(extent) = view.data_extent(at) else {
            break;
        };
        let data = extent.unwrap_or(len..len);
        assert!(data.start >= at && (data.end > at || at == len));
        let hole = bytes_of(at)..bytes_of(data.start.min(len));
        assert!(whole[hole].iter().all(|byte| *byte == 0), "a hole has data");
        at = data.end;
    }
    Some(whole)
}

fn below() -> Arc<dyn Storage> {
    let bytes = (0..20_000_u32).map(|at| (at / 100).to_le_bytes()[0] | 1);
    Arc::new(MemoryStorage::from_vec(bytes.collect()))
}

fn cipher() -> Arc<dyn SectorCipher> {
    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a cipher");
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    Arc::from(spec.sector_cipher(&[7; 32], options).expect("the key fits"))
}

/// A disk in an image holds what a model of it says, whatever is written, cleared, discarded, kept as a snapshot, opened
/// anew or not written for want of room; what was synced is there when it is opened, and its tables fit.
///
/// # Panics
/// When it does not.
pub fn qcow2_writes(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok(mut session) = Session::begin(&mut input) else {
        return false;
    };
    let mut steps = 0;
    while steps < 200 && !input.is_empty() && session.step(&mut input).is_ok() {
        steps += 1;
    }
    session.reopen();
    steps > 0
}

struct Session {
    storage: Arc<SimulatedStorage>,
    cipher: Option<Arc<dyn SectorCipher>>,
    live: Live,
    model: Vec<u8>,
    snapshots: Vec<Vec<u8>>,
}

impl Session {
    fn begin(input: &mut Unstructured<'_>) -> Chosen<Self> {
        let size = input.int_in_range(1..=200_u64)? * 512;
        let wanted = NewImage {
            cluster_bytes: 512 << input.int_in_range(0..=4)?,
            compat: if input.ratio(1, 4)? {
                Compat::V0_10
            } else {
                Compat::V1_1
            },
            ..NewImage::new(size)
        };
        let cipher = input.arbitrary::<bool>()?.then(cipher);
        let memory = Arc::new(MemoryStorage::new(0));
        let writer = Writer::begin(memory.clone(), &wanted, None).expect("it is begun");
        writer.finish().expect("it is made");
        let storage = Arc::new(SimulatedStorage::from_vec(memory.snapshot()));
        Ok(Self {
            live: open(&storage, cipher.as_ref()),
            model: vec![0; bytes_of(size)],
            snapshots: Vec::new(),
            storage,
            cipher,
        })
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Chosen<()> {
        let kind = input.int_in_range(0..=15_u8)?;
        match kind {
            0 => {
                let (at, range) = self.range(input)?;
                let done = self.live.punch_hole(at, range.len() as u64).is_ok();
                self.now(&range, done, |model| model.fill(0));
            }
            1 => {
                let (at, range) = self.range(input)?;
                let _ = self.live.discard(at, range.len() as u64);
                // What it reads as then is not said, but it is one thing.
                let read = self.live.read_at(at, &mut self.model[range]);
                read.expect("is read");
            }
            2 => {
                let _ = self.live.sync();
            }
            3 => self.reopen(),
            4 if self.snapshots.len() < 3 => {
                self.reopen();
                let bytes = with_snapshot(self.storage.snapshot());
                self.storage.set_len(0).expect("it is cut off");
                self.storage.write_at(0, &bytes).expect("is written");
                self.snapshots.push(self.model.clone());
                self.live = open(&self.storage, self.cipher.as_ref());
            }
            5 => {
                let fault = Fault {
                    on: FaultOn::Write,
                    after: input.int_in_range(0..=8)?,
                    forever: false,
                    os_error: 28,
                };
                self.storage.fail(fault);
            }
            _ => {
                let (at, range) = self.range(input)?;
                let byte: u8 = input.arbitrary()?;
                let data: Vec<u8> = (0..range.len())
                    .map(|at| byte ^ at.to_le_bytes()[0] & 1)
                    .collect();
                let done = self.live.write_at(at, &data).is_ok();
                self.now(&range, done, |model| model.copy_from_slice(&data));
            }
        }
        let mut found = vec![0; self.model.len()];
        self.live.read_at(0, &mut found).expect("is read");
        assert!(found == self.model, "it is not what the model says");
        Ok(())
    }

    /// What has failed may have been done in part.
    fn now(&mut self, range: &Range<usize>, done: bool, change: impl Fn(&mut [u8])) {
        let model = &mut self.model[range.clone()];
        change(model);
        if !done {
            self.live
                .read_at(range.start as u64, model)
                .expect("is read");
        }
    }

    fn range(&self, input: &mut Unstructured<'_>) -> Chosen<(u64, Range<usize>)> {
        let at = input.int_in_range(0..=self.model.len() - 1)?;
        let len = input.int_in_range(1..=9000)?.min(self.model.len() - at);
        Ok((at as u64, at..at + len))
    }

    fn reopen(&mut self) {
        // A fault that was planned comes once.
        let mut tries = 0;
        while self.live.sync().is_err() {
            tries += 1;
            assert!(tries < 100, "it is never synced");
        }
        self.storage.restart();
        let image = Image::open(self.storage.clone()).expect("it is an image");
        let checked = image.check().expect("memory is read");
        assert_eq!(checked.problems, vec![]);
        let layer = || Layer {
            cipher: self.cipher.clone(),
            ..Layer::default()
        };
        for (snapshot, kept) in image.snapshots().iter().zip(&self.snapshots) {
            let view = image.view(Some(snapshot), layer()).expect("a view");
            let mut found = vec![0; kept.len()];
            view.read_at(0, &mut found).expect("is read");
            assert!(found == *kept, "a snapshot has changed");
        }
        self.live = open(&self.storage, self.cipher.as_ref());
        let mut found = vec![0; self.model.len()];
        self.live.read_at(0, &mut found).expect("is read");
        assert!(found == self.model, "what was synced is not there");
    }
}

fn open(storage: &Arc<SimulatedStorage>, cipher: Option<&Arc<dyn SectorCipher>>) -> Live {
    let image = Image::open(storage.clone()).expect("it is an image");
    let layer = Layer {
        cipher: cipher.cloned(),
        ..Layer::default()
    };
    image.live(layer).expect("it is sound")
}

/// The image with one more snapshot of its disk: all that the disk has gets one user more, at refcounts of 16 bits.
fn with_snapshot(mut bytes: Vec<u8>) -> Vec<u8> {
    let cluster = 1_usize << be(&bytes, 20, 4);
    bytes.resize(bytes.len().next_multiple_of(cluster), 0);
    let (l1, entries) = (be(&bytes, 40, 8), be(&bytes, 36, 4));
    let mut shared = Vec::new();
    let mark = |bytes: &mut Vec<u8>, at: usize| {
        let place = be(bytes, at, 8) & 0x00ff_ffff_ffff_fe00;
        if place != 0 {
            bytes[at] &= 0x7f;
        }
        place
    };
    for entry in 0..entries {
        let l2 = mark(&mut bytes, l1 + entry * 8);
        if l2 == 0 {
            continue;
        }
        shared.push(l2 / cluster);
        for entry in 0..cluster / 8 {
            let host = mark(&mut bytes, l2 + entry * 8);
            if host != 0 {
                shared.push(host / cluster);
            }
        }
    }
    let first_new = bytes.len() / cluster;
    let copy = bytes[l1..l1 + entries * 8].to_vec();
    let new_l1 = bytes.len();
    bytes.extend(&copy);
    bytes.resize(bytes.len().next_multiple_of(cluster), 0);
    let (old_table, count) = (be(&bytes, 64, 8), be(&bytes, 60, 4));
    let mut row = Vec::new();
    row.extend((new_l1 as u64).to_be_bytes());
    row.extend(u32::try_from(entries).expect("small").to_be_bytes());
    row.extend([0, 1, 0, 1]);
    row.extend([0; 20]);
    row.extend(16_u32.to_be_bytes());
    row.extend([0; 8]);
    row.extend(&bytes[24..32]);
    row.extend([b'1', b'a' + u8::try_from(count).expect("few")]);
    row.resize(row.len().next_multiple_of(8), 0);
    let mut table = bytes[old_table..old_table + row.len() * count].to_vec();
    if count == 0 {
        table.clear();
    }
    table.extend(&row);
    let new_table = bytes.len();
    bytes.extend(&table);
    bytes.resize(bytes.len().next_multiple_of(cluster), 0);
    bytes[60..64].copy_from_slice(&u32::try_from(count + 1).expect("few").to_be_bytes());
    bytes[64..72].copy_from_slice(&(new_table as u64).to_be_bytes());
    for host in shared {
        count_one(&mut bytes, cluster, host, 1);
    }
    // What was the table of snapshots stays as a leak.
    let mut new = first_new;
    while new * cluster < bytes.len() {
        count_one(&mut bytes, cluster, new, 1);
        new += 1;
    }
    bytes
}

/// One more user of a cluster; a block of refcounts for it comes to the end where there is none.
fn count_one(bytes: &mut Vec<u8>, cluster: usize, host: usize, more: u16) {
    let per_block = cluster / 2;
    let entry = be(bytes, 48, 8) + host / per_block * 8;
    let mut block = be(bytes, entry, 8);
    if block == 0 {
        block = bytes.len();
        bytes.resize(block + cluster, 0);
        bytes[entry..entry + 8].copy_from_slice(&(block as u64).to_be_bytes());
    }
    let at = block + host % per_block * 2;
    let count = u16::try_from(be(bytes, at, 2)).expect("two bytes") + more;
    bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
}

fn be(bytes: &[u8], at: usize, width: usize) -> usize {
    bytes[at..at + width]
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn bytes_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it is short")
}
