//! A range of bytes as sectors: a part of the first, whole ones, a part of the last.

use std::ops::Range;

/// Some bytes of one range.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// `within` of the one sector that starts at byte `sector`.
    Partial { sector: u64, within: Range<usize> },
    /// Whole sectors: their bytes.
    Whole(Range<u64>),
}

impl Part {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Partial { within, .. } => within.len(),
            Self::Whole(bytes) => bytes_of(bytes.end - bytes.start),
        }
    }
}

/// Splits a range at the sectors' borders, into three parts at most.
pub(crate) fn split(range: Range<u64>, sector_bytes: usize) -> impl Iterator<Item = Part> {
    let mut position = range.start;
    std::iter::from_fn(move || {
        if position >= range.end {
            return None;
        }
        let size = sector_bytes as u64;
        let within = bytes_of(position % size);
        let whole_end = range.end - range.end % size;
        let part = if within == 0 && position < whole_end {
            Part::Whole(position..whole_end)
        } else {
            let sector = position - position % size;
            let end = range.end.min(sector.saturating_add(size));
            Part::Partial {
                sector,
                within: within..bytes_of(end - sector),
            }
        };
        position += part.len() as u64;
        Some(part)
    })
}

/// A number of bytes that lie in one buffer.
pub(crate) fn bytes_of(count: u64) -> usize {
    usize::try_from(count).expect("the bytes lie in one buffer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_whole_and_tail() {
        let parts = |range| split(range, 512).collect::<Vec<_>>();
        assert_eq!(parts(5..5), []);
        assert_eq!(parts(0..1024), [Part::Whole(0..1024)]);
        assert_eq!(
            parts(600..700),
            [Part::Partial {
                sector: 512,
                within: 88..188
            }]
        );
        assert_eq!(
            parts(512..700),
            [Part::Partial {
                sector: 512,
                within: 0..188
            }]
        );
        assert_eq!(
            parts(600..1024),
            [Part::Partial {
                sector: 512,
                within: 88..512
            }]
        );
        assert_eq!(
            parts(500..1100),
            [
                Part::Partial {
                    sector: 0,
                    within: 500..512
                },
                Part::Whole(512..1024),
                Part::Partial {
                    sector: 1024,
                    within: 0..76
                },
            ]
        );
        assert_eq!(
            parts(500..600),
            [
                Part::Partial {
                    sector: 0,
                    within: 500..512
                },
                Part::Partial {
                    sector: 512,
                    within: 0..88
                }
            ]
        );
    }
}
