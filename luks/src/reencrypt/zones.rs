//! Which bytes are done next, and which segments say so: plain arithmetic, in bytes of the volume.
//!
//! A volume whose first bytes were put aside (`moved`) is done but for those first, and with them last. All the rest goes
//! zone by zone from one end to the other.

use std::ops::Range;

use crate::luks2::Direction;

/// Where a volume lies before and after, and in which order it is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Shape {
    /// Bytes of the volume.
    pub(super) volume_bytes: u64,
    /// Where it began before, in the data's storage.
    pub(super) before: u64,
    /// Where it will begin.
    pub(super) after: u64,
    /// The bytes that were put aside.
    pub(super) moved: Option<Moved>,
    /// From which end.
    pub(super) direction: Direction,
    /// Whether the last segment reaches to the end of the storage, whatever that is.
    pub(super) is_dynamic: bool,
}

/// The first bytes of the volume, as they were, in another place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moved {
    /// Where, in the data's storage.
    pub(super) offset: u64,
    /// How many.
    pub(super) bytes: u64,
}

/// What is still as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Left {
    /// Whether the bytes that were put aside are.
    pub(super) moved: bool,
    /// What else.
    pub(super) rest: Range<u64>,
}

/// What a piece of the volume is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// As it was, where it was put aside.
    Moved,
    /// As it was.
    Old,
    /// Being written.
    Hot,
    /// As it will be.
    New,
}

/// A piece of the volume, and where it lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    /// Its first byte in the volume.
    pub(super) position: u64,
    /// How many bytes.
    pub(super) length: u64,
    /// Its first byte in the data's storage.
    pub(super) offset: u64,
    /// Whether it reaches to the end of the storage.
    pub(super) is_dynamic: bool,
}

impl Left {
    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        !self.moved && self.rest.is_empty()
    }

    /// Whether the next zone is made of the bytes that were put aside.
    pub(super) fn is_moved(&self) -> bool {
        self.moved && self.rest.is_empty()
    }

    /// How many bytes.
    pub(super) fn bytes(&self, shape: &Shape) -> u64 {
        let rest = self.rest.end.saturating_sub(self.rest.start);
        rest.saturating_add(if self.moved { shape.moved_bytes() } else { 0 })
    }
}

impl Shape {
    /// How many bytes were put aside.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved.map_or(0, |moved| moved.bytes)
    }

    /// What is left before anything is done.
    pub(super) fn all(&self) -> Left {
        Left {
            moved: self.moved.is_some(),
            rest: self.moved_bytes()..self.volume_bytes,
        }
    }

    /// The zone to be done next, of at most `zone_bytes` bytes; both it and the zone are multiples of `alignment` but for
    /// what ends where the volume or the bytes that were put aside do. Those are one zone.
    pub(super) fn next(&self, left: &Left, zone_bytes: u64, alignment: u64) -> Option<Range<u64>> {
        let Range { start, end } = left.rest;
        if start >= end {
            return left.moved.then_some(0..self.moved_bytes());
        }
        Some(match self.direction {
            Direction::Forward => start..end.min(start.saturating_add(zone_bytes)),
            Direction::Backward => {
                let first = end.saturating_sub(zone_bytes);
                let first = first.checked_next_multiple_of(alignment).unwrap_or(first);
                first.clamp(start, end)..end
            }
        })
    }

    /// How many zones of at most `zone_bytes` bytes `rest` is: as often as [`Self::next`] gives one.
    pub(super) fn count(&self, rest: &Range<u64>, zone_bytes: u64, alignment: u64) -> u64 {
        let zone_bytes = zone_bytes.max(1);
        let bytes = rest.end.saturating_sub(rest.start);
        match self.direction {
            Direction::Forward => bytes.div_ceil(zone_bytes),
            Direction::Backward if bytes == 0 => 0,
            Direction::Backward => {
                // From the first on they end where a block does.
                let first = rest.end.saturating_sub(zone_bytes);
                let first = first.checked_next_multiple_of(alignment).unwrap_or(first);
                let before = first.clamp(rest.start, rest.end).saturating_sub(rest.start);
                before.div_ceil(zone_bytes).saturating_add(1)
            }
        }
    }

    /// What is left when `zone` is done.
    pub(super) fn without(&self, left: &Left, zone: &Range<u64>) -> Left {
        let mut left = left.clone();
        match self.direction {
            _ if left.rest.is_empty() => left.moved = false,
            Direction::Forward => left.rest.start = zone.end,
            Direction::Backward => left.rest.end = zone.start,
        }
        left
    }

    /// The volume in its order, with `hot` being written, which is the next zone of what is left.
    pub(super) fn pieces(&self, left: &Left, hot: Option<&Range<u64>>) -> Vec<Piece> {
        let mut pieces: Vec<(Kind, Range<u64>)> = Vec::new();
        let mut add = |kind: Kind, range: Range<u64>| {
            if range.is_empty() {
                return;
            }
            match pieces.last_mut() {
                Some((last, before)) if *last == kind && kind == Kind::New => {
                    before.end = range.end;
                }
                _ => pieces.push((kind, range)),
            }
        };
        let (moved, end) = (self.moved_bytes(), self.volume_bytes);
        let hot_moved = hot.is_some() && left.is_moved();
        let first = match (left.moved, hot_moved) {
            (true, true) => Kind::Hot,
            (true, false) => Kind::Moved,
            (false, _) => Kind::New,
        };
        add(first, 0..moved);
        let Range {
            start: from,
            end: to,
        } = left.rest;
        match hot.filter(|_| !hot_moved) {
            None => {
                add(Kind::New, moved..from.max(moved));
                add(Kind::Old, from..to);
                add(Kind::New, to.max(moved)..end);
            }
            Some(hot) => {
                add(Kind::New, moved..from.max(moved));
                add(Kind::Old, from..hot.start);
                add(Kind::Hot, hot.clone());
                add(Kind::Old, hot.end..to);
                add(Kind::New, to.max(moved)..end);
            }
        }
        let count = pieces.len();
        let placed = |(index, (kind, range)): (usize, (Kind, Range<u64>))| Piece {
            kind,
            position: range.start,
            length: range.end.saturating_sub(range.start),
            offset: self.place(kind, range.start),
            is_dynamic: self.is_dynamic
                && index.checked_add(1) == Some(count)
                && matches!(kind, Kind::Old | Kind::New),
        };
        pieces.into_iter().enumerate().map(placed).collect()
    }

    /// Where a byte of the volume lies in the data's storage.
    pub(super) fn place(&self, kind: Kind, position: u64) -> u64 {
        let start = match kind {
            Kind::Moved => self.moved.map_or(0, |moved| moved.offset),
            Kind::Old => self.before,
            Kind::Hot | Kind::New => self.after,
        };
        start.saturating_add(position)
    }

    /// What is left, and what is being written, where the volume is made of `pieces`; `None` where no order of this shape
    /// leads to them.
    pub(super) fn read(&self, pieces: &[Piece]) -> Option<(Left, Option<Range<u64>>)> {
        let range = |piece: &Piece| piece.position..piece.position.saturating_add(piece.length);
        let hot = pieces.iter().find(|piece| piece.kind == Kind::Hot);
        let hot = hot.map(range);
        let mut left = Left {
            moved: pieces.iter().any(|piece| piece.kind == Kind::Moved),
            rest: 0..0,
        };
        let mut rest = pieces
            .iter()
            .filter(|piece| matches!(piece.kind, Kind::Old | Kind::Hot))
            .map(range);
        let moved = 0..self.moved_bytes();
        let is_hot_moved = self.moved.is_some() && hot.as_ref() == Some(&moved);
        if is_hot_moved {
            left.moved = true;
        }
        left.rest = match (rest.next(), rest.next_back()) {
            (Some(first), None) if !is_hot_moved => first,
            (Some(first), Some(last)) => first.start..last.end,
            _ => match self.direction {
                Direction::Forward => self.volume_bytes..self.volume_bytes,
                Direction::Backward => moved.end..moved.end,
            },
        };
        let expected = self.pieces(&left, hot.as_ref());
        let is_alike = |(one, other): (&Piece, &Piece)| {
            one.kind == other.kind
                && (one.position, one.length, one.offset)
                    == (other.position, other.length, other.offset)
        };
        let is_read = expected.len() == pieces.len() && expected.iter().zip(pieces).all(is_alike);
        let is_next = hot.as_ref().is_none_or(|hot| {
            is_hot_moved
                || match self.direction {
                    Direction::Forward => hot.start == left.rest.start,
                    Direction::Backward => hot.end == left.rest.end,
                }
        });
        (is_read && is_next).then_some((left, hot))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape() -> impl Strategy<Value = Shape> {
        let directions = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
        let moved = prop::option::of((100_000..200_000u64, 1..40u64));
        (1..300u64, directions, moved, any::<bool>()).prop_map(
            |(sectors, direction, moved, is_dynamic)| Shape {
                volume_bytes: sectors * 512,
                before: 0,
                after: if moved.is_some() { 1 << 20 } else { 0 },
                moved: moved.map(|(offset, bytes)| Moved {
                    offset,
                    bytes: bytes.min(sectors) * 512,
                }),
                direction,
                is_dynamic,
            },
        )
    }

    proptest! {
        /// Every byte is done once, and each state that is written is read as what it is.
        #[test]
        fn every_state_on_the_way_is_read_again(shape in shape(), blocks in 1..20u64, block in 0..4u32) {
            let alignment = 512 << block;
            let mut left = shape.all();
            let mut done = 0;
            let counted = shape.count(&left.rest, blocks * alignment, alignment);
            let mut count = 0;
            while let Some(zone) = shape.next(&left, blocks * alignment, alignment) {
                let bytes = zone.end - zone.start;
                prop_assert!(bytes > 0);
                count += u64::from(!left.is_moved());
                prop_assert!(bytes <= blocks * alignment || left.is_moved());
                let clean = shape.pieces(&left, None);
                prop_assert_eq!(shape.read(&clean), Some((left.clone(), None)));
                let hot = shape.pieces(&left, Some(&zone));
                prop_assert_eq!(shape.read(&hot), Some((left.clone(), Some(zone.clone()))));
                for pieces in [&clean, &hot] {
                    let mut position = 0;
                    for piece in pieces {
                        prop_assert_eq!(piece.position, position);
                        position += piece.length;
                    }
                    prop_assert_eq!(position, shape.volume_bytes);
                }
                prop_assert_eq!(left.bytes(&shape) + done, shape.volume_bytes);
                done += bytes;
                left = shape.without(&left, &zone);
            }
            prop_assert!(left.is_empty());
            prop_assert_eq!(count, counted);
            prop_assert_eq!(done, shape.volume_bytes);
            let all = shape.pieces(&left, None);
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!(all[0].kind, Kind::New);
        }
    }
}
