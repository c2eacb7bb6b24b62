//! What was read of images lately, in memory of a fixed size however many lie on each other.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use volume::Storage;

use crate::lock;

/// Tables are read by blocks of this size, and so many are kept.
const BLOCK_BYTES: u64 = 4096;
const BLOCKS: usize = 1024;

/// Blocks of tables, and the compressed cluster that was read last: some 6 MiB at most. Images that lie on each other share
/// one.
#[derive(Clone, Default)]
pub struct Cache(Arc<Shared>);

#[derive(Default)]
struct Shared {
    tables: Mutex<Tables>,
    inflated: Mutex<Option<Inflated>>,
}

/// A compressed cluster, by its image and its place.
type Inflated = ((u64, u64), Arc<[u8]>);

#[derive(Default)]
struct Tables {
    /// How many images have used it.
    images: u64,
    /// Counts what was forgotten: what was read before may be older than that.
    forgotten: u64,
    blocks: HashMap<(u64, u64), Arc<[u8]>>,
}

/// What one image has in it.
pub(crate) struct OfImage {
    cache: Cache,
    image: u64,
}

impl Cache {
    pub(crate) fn of_image(&self) -> OfImage {
        let mut tables = lock(&self.0.tables);
        tables.images += 1;
        OfImage {
            image: tables.images,
            cache: self.clone(),
        }
    }
}

impl OfImage {
    /// Eight bytes of a table in `storage`, which has `len` bytes; `None` where it ends before.
    pub(crate) fn word(&self, storage: &dyn Storage, len: u64, at: u64) -> io::Result<Option<u64>> {
        let start = at - at % BLOCK_BYTES;
        let block = self.block(storage, len, start)?;
        let within = usize::try_from(at - start).unwrap_or(usize::MAX);
        let word = block.get(within..within.saturating_add(8));
        let word = word.and_then(|word| word.try_into().ok());
        Ok(word.map(u64::from_be_bytes))
    }

    fn block(&self, storage: &dyn Storage, len: u64, start: u64) -> io::Result<Arc<[u8]>> {
        let key = (self.image, start);
        let forgotten = {
            let tables = lock(&self.cache.0.tables);
            if let Some(block) = tables.blocks.get(&key) {
                return Ok(Arc::clone(block));
            }
            tables.forgotten
        };
        let bytes = BLOCK_BYTES.min(len.saturating_sub(start));
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        storage.read_at(start, &mut block)?;
        let block: Arc<[u8]> = block.into();
        let mut tables = lock(&self.cache.0.tables);
        if tables.forgotten == forgotten {
            if tables.blocks.len() >= BLOCKS {
                tables.blocks.clear();
            }
            tables.blocks.insert(key, Arc::clone(&block));
        }
        Ok(block)
    }

    /// Has these bytes of tables be read anew, since they were written.
    pub(crate) fn forget(&self, bytes: Range<u64>) {
        let mut tables = lock(&self.cache.0.tables);
        tables.forgotten += 1;
        let mut start = bytes.start - bytes.start % BLOCK_BYTES;
        while start < bytes.end {
            tables.blocks.remove(&(self.image, start));
            start += BLOCK_BYTES;
        }
    }

    /// The compressed cluster at this place, if it was the last one that was read.
    pub(crate) fn inflated(&self, at: u64) -> Option<Arc<[u8]>> {
        let last = lock(&self.cache.0.inflated);
        let (place, cluster) = last.as_ref()?;
        (*place == (self.image, at)).then(|| Arc::clone(cluster))
    }

    pub(crate) fn keep_inflated(&self, at: u64, cluster: &Arc<[u8]>) {
        *lock(&self.cache.0.inflated) = Some(((self.image, at), Arc::clone(cluster)));
    }
}

#[cfg(test)]
mod tests {
    use volume::MemoryStorage;

    use super::*;

    #[test]
    fn images_that_lie_on_each_other_share_one_budget() {
        let cache = Cache::default();
        let len = 400 * BLOCK_BYTES;
        let storage = MemoryStorage::new(len);
        for _ in 0..16 {
            let image = cache.of_image();
            for block in 0..400 {
                let word = image.word(&storage, len, block * BLOCK_BYTES);
                assert_eq!(word.expect("memory is read"), Some(0));
            }
            assert!(lock(&cache.0.tables).blocks.len() <= BLOCKS);
        }
    }
}
