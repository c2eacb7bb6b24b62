//! What is done for a request.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::MutexGuard;

use super::{Connection, Ended, Input, locked, skip};
use crate::nbd::handshake::Replies;
use crate::nbd::memory::Piece;
use crate::nbd::protocol::state;
use crate::nbd::requests::{Command, Refusal, Request};

/// Zeros are written so many at a time, and between two steps it is looked whether the server ends.
const ZEROS_BYTES: u64 = 16 << 20;
/// So many extents are said at once; whoever wants to know more asks again.
const MAX_EXTENTS: usize = 1024;

impl<R: Read + Send, W: Write + Send> Connection<'_, R, W> {
    /// Does what a request asks for, and says what came of it. The input is let go as soon as the next request can be taken
    /// out of it: not before there is memory for this one.
    pub(super) fn answer(
        &self,
        request: &Request,
        mut input: MutexGuard<'_, Input<R>>,
    ) -> Result<(), Ended> {
        let command = match &request.command {
            Ok(command) => command,
            Err(refusal) => {
                skip(&mut input.stream, request.payload)?;
                drop(input);
                return self.say_done(request, Err(*refusal));
            }
        };
        let export = self.around.export;
        let done = match command {
            Command::Disconnect => {
                input.is_over = true;
                drop(input);
                self.end(Ended::Disconnected);
                return Ok(());
            }
            Command::Read { range, whole } => {
                let piece = self.memory_for(range);
                drop(input);
                return self.read(request, range, *whole, piece);
            }
            Command::Write { range, durable } => {
                let written = self.write(range, input)?;
                written.and_then(|()| self.made_durable(*durable))
            }
            other => {
                drop(input);
                match other {
                    Command::Flush => self.made_durable(true),
                    Command::Trim { range, durable } => export
                        .discard(range.start, range.end - range.start)
                        .map_err(|error| Refusal::of(&error))
                        .and_then(|()| self.made_durable(*durable)),
                    Command::Zero {
                        range,
                        may_be_hole,
                        durable,
                    } => self
                        .zero(range, *may_be_hole)
                        .and_then(|()| self.made_durable(*durable)),
                    Command::Status { range, one } => match self.extents(range, *one) {
                        Ok(extents) => {
                            return self.say(&self.writer().status(request, &extents));
                        }
                        Err(error) => Err(Refusal::of(&error)),
                    },
                    _ => Ok(()),
                }
            }
        };
        self.say_done(request, done)
    }

    fn memory_for(&self, range: &Range<u64>) -> Piece<'_> {
        self.around.pool.take(&self.share, range.end - range.start)
    }

    fn made_durable(&self, is_asked: bool) -> Result<(), Refusal> {
        if !is_asked {
            return Ok(());
        }
        self.around
            .export
            .sync()
            .map_err(|error| Refusal::of(&error))
    }

    /// Reads in pieces as large as there is memory for, and says each.
    fn read(
        &self,
        request: &Request,
        range: &Range<u64>,
        whole: bool,
        mut piece: Piece<'_>,
    ) -> Result<(), Ended> {
        let (export, writer) = (self.around.export, self.writer());
        let step = piece.len() as u64;
        let is_one_chunk = whole || self.agreed.replies == Replies::Simple;
        let first = range.start..range.end.min(range.start + step);
        if let Err(error) = export.read(first.start, part(&mut piece, &first)) {
            return self.say_done(request, Err(Refusal::of(&error)));
        }
        if first == *range || is_one_chunk {
            let mut output = locked(&self.output);
            let bytes = range.end - range.start;
            let header = writer.data(request, range.start, bytes, first == *range);
            Self::say_both(&mut output, &header, part(&mut piece, &first))?;
            if first == *range {
                return Ok(());
            }
            return self.read_on(request, first.end..range.end, &mut piece, &mut output);
        }
        let mut at = first;
        loop {
            let is_last = at.end == range.end;
            let header = writer.data(request, at.start, at.end - at.start, is_last);
            let data = part(&mut piece, &at);
            Self::say_both(&mut *locked(&self.output), &header, data)?;
            if is_last {
                return Ok(());
            }
            at = at.end..range.end.min(at.end + step);
            if let Err(error) = export.read(at.start, part(&mut piece, &at)) {
                return self.say(&writer.failed_at(request, Refusal::of(&error), at.start));
            }
        }
    }

    /// The rest of a chunk that was begun: its length was said.
    fn read_on(
        &self,
        request: &Request,
        rest: Range<u64>,
        piece: &mut Piece<'_>,
        output: &mut W,
    ) -> Result<(), Ended> {
        let mut failed = None;
        let mut at = rest.start;
        while at < rest.end {
            let next = at..rest.end.min(at + piece.len() as u64);
            let data = part(piece, &next);
            if failed.is_some() {
                data.fill(0);
            } else if let Err(error) = self.around.export.read(at, data) {
                if self.agreed.replies == Replies::Simple {
                    // There is no other way to say it.
                    return Err(Ended::Io(error));
                }
                failed = Some((Refusal::of(&error), at));
                data.fill(0);
            }
            Self::say_both(output, &[], data)?;
            at = next.end;
        }
        if self.agreed.replies == Replies::Simple {
            return Ok(());
        }
        let last = match failed {
            None => self.writer().done_data(request),
            Some((refusal, at)) => self.writer().failed_at(request, refusal, at),
        };
        Self::say_both(output, &last, &[])
    }

    /// Writes what the client sends, in pieces as large as there is memory for.
    fn write(
        &self,
        range: &Range<u64>,
        mut input: MutexGuard<'_, Input<R>>,
    ) -> Result<Result<(), Refusal>, Ended> {
        let export = self.around.export;
        let mut piece = self.memory_for(range);
        let step = piece.len() as u64;
        let mut at = range.start;
        loop {
            let next = at..range.end.min(at + step);
            let data = part(&mut piece, &next);
            input.stream.read_exact(data)?;
            if next.end == range.end {
                drop(input);
                let written = export.write(next.start, data);
                return Ok(written.map_err(|error| Refusal::of(&error)));
            }
            if let Err(error) = export.write(next.start, data) {
                skip(&mut input.stream, range.end - next.end)?;
                return Ok(Err(Refusal::of(&error)));
            }
            at = next.end;
        }
    }

    fn zero(&self, range: &Range<u64>, may_be_hole: bool) -> Result<(), Refusal> {
        let mut at = range.start;
        while at < range.end {
            if self.is_stopping() {
                return Err(Refusal::STOPPING);
            }
            let bytes = (range.end - at).min(ZEROS_BYTES);
            self.around
                .export
                .zero(at, bytes, may_be_hole)
                .map_err(|error| Refusal::of(&error))?;
            at += bytes;
        }
        Ok(())
    }

    /// What is there from the start of `range` on: lengths and states.
    fn extents(&self, range: &Range<u64>, one: bool) -> io::Result<Vec<(u64, u32)>> {
        let most = if one { 1 } else { MAX_EXTENTS };
        let mut extents: Vec<(u64, u32)> = Vec::new();
        let mut at = range.start;
        while at < range.end && extents.len() < most {
            let found = self.around.export.data_extent(at)?;
            let data = found.unwrap_or(range.end..range.end);
            let (hole, data) = (data.start.clamp(at, range.end), data.end.min(range.end));
            if hole > at {
                extents.push((hole - at, state::HOLE | state::ZERO));
                at = hole;
                continue;
            }
            // A storage that says less than it was asked is believed for a byte.
            let end = data.max(at + 1);
            match extents.last_mut() {
                Some((length, 0)) => *length += end - at,
                _ => extents.push((end - at, 0)),
            }
            at = end;
        }
        Ok(extents)
    }
}

/// As much of a piece as a range has.
fn part<'a>(piece: &'a mut Piece<'_>, range: &Range<u64>) -> &'a mut [u8] {
    let bytes = usize::try_from(range.end - range.start).expect("no more than the piece has");
    &mut piece.bytes()[..bytes]
}
