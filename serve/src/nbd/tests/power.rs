//! The power goes after each answer that promised something.

use volume::SimulatedStorage;

use super::*;
use crate::nbd::protocol::{command, flag};

const BLOCK: usize = 512;
const BLOCKS: usize = 48;

/// What a block may hold after a loss of power: what was promised last, or anything that was written since.
struct Promise {
    kept: Vec<u8>,
    since: Vec<Vec<u8>>,
}

#[test]
fn what_was_flushed_is_there_after_a_loss_of_power() {
    for seed in 1..9_u64 {
        let disk = Arc::new(SimulatedStorage::new((BLOCK * BLOCKS) as u64));
        let export = export(disk.clone());
        let mut clients = [
            Client::ready(&export, Replies::Structured),
            Client::ready(&export, Replies::Simple),
            Client::ready(&export, Replies::Extended),
        ];
        let mut blocks: Vec<Promise> = (0..BLOCKS)
            .map(|_| Promise {
                kept: vec![0; BLOCK],
                since: Vec::new(),
            })
            .collect();
        let mut promises = 0;
        for (round, byte) in pattern(120, seed).into_iter().enumerate() {
            let choices = pattern(4, seed * 1000 + round as u64);
            let client = &mut clients[usize::from(choices[0]) % 3];
            let at = usize::from(byte) % BLOCKS;
            let offset = (at * BLOCK) as u64;
            let data = pattern(BLOCK, round as u64 + 77);
            let is_durable = choices[1] < 60;
            let flags = if is_durable { flag::FUA } else { 0 };
            let kind = choices[2] % 8;
            match kind {
                0 => {
                    assert_eq!(client.ask(command::FLUSH, 0, 0, 0).error, 0);
                    for block in &mut blocks {
                        block.promise();
                    }
                }
                1 => {
                    let zeros = client.ask(command::WRITE_ZEROES, flags, offset, BLOCK as u64);
                    assert_eq!(zeros.error, 0);
                    blocks[at].since.push(vec![0; BLOCK]);
                }
                _ => {
                    assert_eq!(client.write(flags, offset, &data), 0);
                    blocks[at].since.push(data);
                }
            }
            if is_durable && kind != 0 {
                blocks[at].promise();
            }
            if !is_durable && kind != 0 {
                continue;
            }
            promises += 1;
            for state in disk.crash_states_now(seed * 31 + round as u64) {
                let image = state.storage.snapshot();
                for (number, block) in blocks.iter().enumerate() {
                    let found = &image[number * BLOCK..][..BLOCK];
                    assert!(block.allows(found), "seed {seed} round {round} {state}");
                }
            }
        }
        assert!(promises > 10, "{promises}");
    }
}

impl Promise {
    fn promise(&mut self) {
        if let Some(last) = self.since.pop() {
            self.kept = last;
        }
        self.since.clear();
    }

    /// Blocks may be torn: each byte comes from one of what they may hold.
    fn allows(&self, found: &[u8]) -> bool {
        let all = || std::iter::once(&self.kept).chain(&self.since);
        (0..BLOCK).all(|byte| all().any(|held| held[byte] == found[byte]))
    }
}
