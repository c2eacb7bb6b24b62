//! An image: what is checked before anything is read.

use std::ops::Range;
use std::path::{Component, Path};
use std::sync::Arc;

use volume::{Storage, Window};

use crate::error::{Error, field};
use crate::header::{self, Crypt, Header};
use crate::live::{Changes, Live};
use crate::snapshot::{self, Snapshot};
use crate::view::{Layer, Table, View};

/// An image whose header, extensions and snapshot table are read and validated.
pub struct Image {
    storage: Arc<dyn Storage>,
    header: Header,
    snapshots: Vec<Snapshot>,
    snapshot_table: Range<u64>,
}

impl Image {
    /// Reads and validates. No table of clusters is read, and nothing that the image refers to is opened.
    ///
    /// # Errors
    ///
    /// The first field that cannot be, with its value; what is not supported; what cannot be read.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        let len = storage.len()?;
        let start = read_up_to(&*storage, 0, header::FIXED_BYTES as u64, len)?;
        if start.get(..4) != Some(b"QFI\xfb") {
            return Err(Error::Magic);
        }
        if start.len() < 72 {
            return field(
                "header length",
                start.len() as u64,
                "it has 72 bytes at least",
            );
        }
        let cluster = 1_u64 << header::cluster_bits(&start)?;
        let header = Header::parse(&read_up_to(&*storage, 0, cluster, len)?)?;

        let mut used = vec![("the header", 0..cluster)];
        let mut take = |name: &'static str, offset: u64, bytes: u64| {
            let end = offset.checked_add(bytes).filter(|&end| end <= len);
            let Some(end) = end else {
                return field(
                    name,
                    offset,
                    format!("its {bytes} bytes go past the end at byte {len}"),
                );
            };
            let over = |range: &Range<u64>| range.start < end && offset < range.end;
            if let Some((other, _)) = used.iter().find(|(_, range)| over(range)) {
                return Err(Error::Overlap {
                    one: name,
                    offset,
                    other,
                });
            }
            if bytes != 0 {
                used.push((name, offset..end));
            }
            Ok(())
        };
        take(
            "L1 table",
            header.l1_offset,
            u64::from(header.l1_entries) * 8,
        )?;
        let refcounts = u64::from(header.refcount_table_clusters) * cluster;
        take("refcount table", header.refcount_table_offset, refcounts)?;
        if let Crypt::Luks(range) = &header.crypt {
            take("LUKS header", range.start, range.end - range.start)?;
        }
        let mut snapshots = Vec::new();
        let mut snapshot_table = 0..0;
        if header.snapshots != 0 {
            let offset = header.snapshots_offset;
            take("snapshot table", offset, 0)?;
            let bytes = read_up_to(&*storage, offset, snapshot::MAX_TABLE_BYTES, len)?;
            let length;
            (snapshots, length) = snapshot::parse(&header, &bytes)?;
            take("snapshot table", offset, length.min(len - offset))?;
            snapshot_table = offset..offset + length.min(len - offset);
        }
        // Of two snapshots an L1 table may be one, nothing else is checked by pairs: there may be 65536.
        for snapshot in &snapshots {
            let bytes = u64::from(snapshot.l1_entries) * 8;
            if snapshot
                .l1_offset
                .checked_add(bytes)
                .is_none_or(|end| end > len)
            {
                let reason = format!("its {bytes} bytes go past the end at byte {len}");
                return field("snapshot L1 table", snapshot.l1_offset, reason);
            }
        }
        Ok(Self {
            storage,
            header,
            snapshots,
            snapshot_table,
        })
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Where the table of snapshots lies.
    pub(crate) fn snapshot_table(&self) -> Range<u64> {
        self.snapshot_table.clone()
    }

    /// The internal snapshots, in the order of their table.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The snapshot of that name; of several the first. Where none has the name, the one with that number.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn snapshot(&self, name: &str) -> Result<&Snapshot, Error> {
        let mut all = self.snapshots.iter();
        let found = all.clone().find(|snapshot| snapshot.name == name);
        found
            .or_else(|| all.find(|snapshot| snapshot.id == name))
            .ok_or_else(|| Error::NoSnapshot(name.to_owned()))
    }

    /// The bytes of its LUKS header, keyslots included, if it is encrypted. What is encrypted lies elsewhere.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn luks_header(&self) -> Result<Option<Window>, Error> {
        match &self.header.crypt {
            Crypt::None => Ok(None),
            Crypt::Luks(range) => {
                let window = Window::new(Arc::clone(&self.storage), range.clone())?;
                Ok(Some(window))
            }
        }
    }

    /// The plaintext of the disk; of a snapshot, where one is given.
    ///
    /// # Errors
    ///
    /// Something that the image refers to, or the cipher of an encrypted one, is missing in `layer`.
    pub fn view(&self, snapshot: Option<&Snapshot>, layer: Layer) -> Result<View, Error> {
        self.changed_view(snapshot, layer, None)
    }

    /// The plaintext of the disk, to be written too. All tables are read first: those of an image that is written fit each
    /// other, so that no byte of the disk can lie where something else does.
    ///
    /// # Errors
    ///
    /// As [`Self::view`]; [`Error::ReadOnly`] for an image that is not written in its place.
    pub fn live(&self, layer: Layer) -> Result<Live, Error> {
        if let Some(reason) = self.read_only_because() {
            return Err(Error::ReadOnly(reason.to_owned()));
        }
        let checked = self.check()?;
        if let Some(what) = checked.left_out {
            return Err(Error::ReadOnly(format!("not looked at: {what}")));
        }
        if let Some(problem) = checked.problems.first() {
            return Err(Error::ReadOnly(problem.to_string()));
        }
        let changes = Arc::new(Changes::default());
        let view = self.changed_view(None, layer, Some(Arc::clone(&changes)))?;
        Ok(Live::new(view, Arc::clone(&self.storage), changes)?)
    }

    /// Why its header says that it is not written.
    fn read_only_because(&self) -> Option<&'static str> {
        let header = &self.header;
        if header.is_dirty {
            Some("it is marked dirty, and its refcounts may be wrong")
        } else if header.is_corrupt {
            Some("it is marked corrupt")
        } else if header.data_file.is_some() {
            Some("its clusters lie in a data file")
        } else if header.autoclear & BITMAPS != 0 {
            Some("it has bitmaps of what was written, which would be wrong afterwards")
        } else if header.autoclear != 0 {
            Some("it has an autoclear feature that is unknown")
        } else {
            None
        }
    }

    fn changed_view(
        &self,
        snapshot: Option<&Snapshot>,
        layer: Layer,
        changes: Option<Arc<Changes>>,
    ) -> Result<View, Error> {
        let header = &self.header;
        if header.crypt != Crypt::None && layer.cipher.is_none() {
            return field("encryption method", 2, "its LUKS header is not unlocked");
        }
        let missing = |what, name: &Option<String>| {
            let name = name.clone().unwrap_or_default();
            Error::Missing { what, name }
        };
        if header.backing_file.is_some() && layer.backing.is_none() {
            return Err(missing("the backing file", &header.backing_file));
        }
        let data = match (&header.data_file, &layer.data) {
            (Some(_), None) => return Err(missing("the data file", &header.data_file)),
            (Some(_), Some(data)) => Arc::clone(data),
            (None, _) => Arc::clone(&self.storage),
        };
        let table = snapshot.map_or(
            Table {
                offset: header.l1_offset,
                size: header.size,
            },
            |snapshot| Table {
                offset: snapshot.l1_offset,
                size: snapshot.size,
            },
        );
        Ok(View::new(
            Arc::clone(&self.storage),
            data,
            header.clone(),
            table,
            layer,
            changes,
        )?)
    }
}

/// The autoclear feature: its bitmaps are right.
const BITMAPS: u64 = 1;

/// Refuses the name of a backing or data file that leads anywhere but to a file beside the image or below or above it.
///
/// # Errors
///
/// An empty name, an absolute one, and one that QEMU would take for a protocol or for JSON.
pub fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let before_slash = name.split('/').next().unwrap_or_default();
    let reason = if name.is_empty() {
        "the name is empty"
    } else if before_slash.contains(':') {
        "it names a protocol, and not a file"
    } else if name.contains('\0')
        || Path::new(name)
            .components()
            .any(|part| part == Component::RootDir)
    {
        "the name is not relative to the image"
    } else {
        return Ok(());
    };
    let name = name.to_owned();
    Err(Error::Name { what, name, reason })
}

fn read_up_to(storage: &dyn Storage, offset: u64, bytes: u64, len: u64) -> Result<Vec<u8>, Error> {
    let bytes = bytes.min(len.saturating_sub(offset));
    let mut read = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    storage.read_at(offset, &mut read)?;
    Ok(read)
}
