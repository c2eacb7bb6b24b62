//! From a base and an image to short patches.

use super::case::{Patch, Source};

/// Bytes that are the same and lie between two that differ, and are written all the same.
const GAP: usize = 8;
/// From how many on equal bytes in a row are counted instead of written.
const RUN: usize = 32;

/// What makes `image` of `base`, after what `first` copies.
pub fn between(base: &[u8], image: &[u8], first: Vec<Patch>) -> Vec<Patch> {
    let mut now = base.to_vec();
    now.resize(image.len(), 0);
    for patch in &first {
        let Source::Base(from, count) = patch.source else {
            panic!("only copies of the base come first")
        };
        for at in &patch.at {
            let bytes = base[index(from)..][..count].to_vec();
            now[index(*at)..][..count].copy_from_slice(&bytes);
        }
    }
    let mut patches = first;
    for (start, end) in ranges(&now, image) {
        for (at, source) in pieces(start, &image[start..end]) {
            let at = u64::try_from(at).expect("images are small");
            // The two copies hold the same JSON.
            let same = patches.iter_mut().find(|patch| patch.source == source);
            match same {
                Some(patch) => patch.at.push(at),
                None => patches.push(Patch {
                    at: vec![at],
                    source,
                }),
            }
        }
    }
    patches
}

/// Where the two differ.
fn ranges(old: &[u8], new: &[u8]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (at, _) in old.iter().zip(new).enumerate().filter(|(_, (a, b))| a != b) {
        match ranges.last_mut() {
            Some((_, end)) if at <= *end + GAP => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

/// Runs of up to three bytes that repeat, and what lies between them.
fn pieces(start: usize, bytes: &[u8]) -> Vec<(usize, Source)> {
    let mut pieces = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (period, count) = (1..=3.min(rest.len()))
            .map(|period| {
                let same = |part: &&[u8]| **part == rest[..period];
                (period, rest.chunks(period).take_while(same).count())
            })
            .max_by_key(|(period, count)| (period * count, 4 - period))
            .expect("there is a rest");
        if period * count < RUN {
            at += 1;
            continue;
        }
        if plain < at {
            pieces.push((start + plain, Source::Bytes(bytes[plain..at].to_vec(), 1)));
        }
        pieces.push((start + at, Source::Bytes(rest[..period].to_vec(), count)));
        at += period * count;
        plain = at;
    }
    if plain < bytes.len() {
        pieces.push((start + plain, Source::Bytes(bytes[plain..].to_vec(), 1)));
    }
    pieces
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("images are small")
}
