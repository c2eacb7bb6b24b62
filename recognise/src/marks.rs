//! The table of marks: a row each, in the order in which they tell.
//!
//! The facts are the formats' own documentation and what the programs that make them write; `recognise/tests` holds
//! them to real images and to what `blkid -p` says about those.

mod archives;
mod encrypted;
mod filesystems;
mod foreign;
mod images;
mod luks;
mod members;
mod raid;
mod swap;
mod tables;
#[cfg(test)]
mod tests;

use crate::content::{Class, Content, Found};
use crate::view::View;

/// How a kind of content is recognised.
pub(crate) struct Row {
    /// What it is called, with an article.
    pub(crate) name: &'static str,
    /// The name that libblkid gives the type; empty where it has none.
    pub(crate) blkid: &'static str,
    pub(crate) class: Class,
    /// Where its structure may start, and where in it the mark stands.
    pub(crate) places: Places,
    pub(crate) mark_at: u64,
    /// What stands there: one of these.
    pub(crate) marks: &'static [&'static [u8]],
    /// What else must be true of the structure that starts there.
    pub(crate) also: fn(&View<'_>, u64) -> bool,
    pub(crate) sector: Sector,
}

/// Where a structure may start.
#[derive(Clone, Copy)]
pub(crate) enum Places {
    /// At these offsets.
    Start(&'static [u64]),
    /// So many bytes before the end.
    End(&'static [u64]),
    /// The same before the end rounded down to a multiple.
    AlignedEnd(u64, &'static [u64]),
    /// Wherever a function says.
    By(fn(&View<'_>) -> Vec<u64>),
}

/// The largest sector of a device on which the content can be used.
#[derive(Clone, Copy)]
pub(crate) enum Sector {
    /// It does not count in sectors.
    Any,
    /// Always so many bytes: its unit and their number.
    Bytes(&'static str, u32),
    /// What the structure at this place says, in bytes: its unit, and where that stands.
    Field(&'static str, fn(&View<'_>, u64) -> Option<u32>),
}

impl Row {
    pub(crate) fn content(&self) -> Content {
        Content {
            name: self.name,
            class: self.class,
            blkid: self.blkid,
        }
    }

    /// The first place of the storage where all of it holds.
    pub(crate) fn find(&self, view: &View<'_>) -> Option<Found> {
        self.find_base(view).map(|(_, found)| found)
    }

    /// The same with the start of the structure.
    pub(crate) fn find_base(&self, view: &View<'_>) -> Option<(u64, Found)> {
        self.places.of(view).into_iter().find_map(|base| {
            let offset = base.checked_add(self.mark_at)?;
            let mark = self.marks.iter().find(|mark| view.has(offset, mark))?;
            (self.also)(view, base).then(|| {
                let found = Found {
                    content: self.content(),
                    offset,
                    len: mark.len() as u64,
                };
                (base, found)
            })
        })
    }
}

impl Places {
    fn of(self, view: &View<'_>) -> Vec<u64> {
        let before = |end: u64, distances: &[u64]| {
            let places = distances.iter().filter_map(|bytes| end.checked_sub(*bytes));
            places.collect()
        };
        match self {
            Self::Start(offsets) => offsets.to_vec(),
            Self::End(distances) => before(view.len(), distances),
            Self::AlignedEnd(unit, distances) => before(view.len() - view.len() % unit, distances),
            Self::By(places) => places(view),
        }
    }
}

/// The table.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [
        luks::PRIMARY,
        images::ROWS,
        encrypted::ROWS,
        members::ROWS,
        raid::ROWS,
        filesystems::ROWS,
        foreign::ROWS,
        swap::ROWS,
        luks::SECONDARY,
        archives::ROWS,
        tables::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Nothing else.
const fn always(_: &View<'_>, _: u64) -> bool {
    true
}

/// What most rows have.
const BLANK: Row = Row {
    name: "",
    blkid: "",
    class: Class::FileSystem,
    places: Places::Start(&[0]),
    mark_at: 0,
    marks: &[],
    also: always,
    sector: Sector::Any,
};

/// Writes a mark of one row at one of its places, where the storage has room for it.
#[cfg(test)]
pub(crate) fn plant(storage: &dyn volume::Storage, row: usize, place: usize) {
    let rows: Vec<_> = all().collect();
    let row = rows[row % rows.len()];
    let len = storage.len().expect("memory has a length");
    let places = row
        .places
        .of(&View::new(storage).expect("memory can be read"));
    let Some(base) = places.get(place % places.len().max(1)) else {
        return;
    };
    let (offset, mark) = (base + row.mark_at, row.marks[place % row.marks.len()]);
    if offset + mark.len() as u64 <= len {
        storage
            .write_at(offset, mark)
            .expect("memory can be written");
    }
}
