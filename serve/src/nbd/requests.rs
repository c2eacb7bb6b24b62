//! What a client wants: the header of a request, and what it comes to for an export.

use std::io;
use std::ops::Range;

use rustix::io::Errno;

use super::handshake::{Agreed, Fields, Replies, Violation};
use super::protocol::{
    EXTENDED_REQUEST_MAGIC, MAX_DATA_BYTES, REQUEST_MAGIC, command, error, flag,
};
use crate::export::Export;

/// A write that brings more than this is nothing that anybody waits for, not even to refuse it.
const MAX_PAYLOAD_BYTES: u64 = u32::MAX as u64;

/// The fields of a request, whatever they say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) command: u16,
    pub(crate) cookie: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Header {
    /// The longer of both.
    pub(crate) const MAX_BYTES: usize = 32;

    pub(crate) fn bytes(replies: Replies) -> usize {
        match replies {
            Replies::Simple | Replies::Structured => 28,
            Replies::Extended => Self::MAX_BYTES,
        }
    }

    /// Reads as many bytes as [`Self::bytes`] says.
    pub(crate) fn read(bytes: &[u8], replies: Replies) -> Result<Self, Violation> {
        let is_extended = replies == Replies::Extended;
        let mut fields = Fields(bytes);
        let mut read = || {
            let magic = fields.u32()?;
            let header = Self {
                flags: fields.u16()?,
                command: fields.u16()?,
                cookie: fields.u64()?,
                offset: fields.u64()?,
                length: if is_extended {
                    fields.u64()?
                } else {
                    fields.u32()?.into()
                },
            };
            Some((magic, header))
        };
        let wanted = if is_extended {
            EXTENDED_REQUEST_MAGIC
        } else {
            REQUEST_MAGIC
        };
        match read() {
            Some((magic, header)) if magic == wanted => Ok(header),
            _ => Err(Violation::RequestMagic),
        }
    }
}

/// A request that was understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) cookie: u64,
    /// What the client says, for the reply to repeat.
    pub(crate) offset: u64,
    /// Bytes that follow it.
    pub(crate) payload: u64,
    /// What to do, or why not.
    pub(crate) command: Result<Command, Refusal>,
}

/// What to do. Ranges lie within the export, and are not empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Read {
        range: Range<u64>,
        /// In one piece.
        whole: bool,
    },
    Write {
        range: Range<u64>,
        durable: bool,
    },
    Disconnect,
    Flush,
    Trim {
        range: Range<u64>,
        durable: bool,
    },
    /// It would be read soon: nothing is done about it.
    Cache,
    Zero {
        range: Range<u64>,
        may_be_hole: bool,
        durable: bool,
    },
    Status {
        range: Range<u64>,
        /// One extent is enough.
        one: bool,
    },
}

/// An error that a client is told: its number, and a text for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) error: u32,
    pub(crate) text: &'static str,
}

impl Refusal {
    const fn invalid(text: &'static str) -> Self {
        Self {
            error: error::INVAL,
            text,
        }
    }

    pub(crate) const STOPPING: Self = Self {
        error: error::SHUTDOWN,
        text: "the server ends",
    };

    /// What an error of the storage is to a client.
    pub(crate) fn of(failed: &io::Error) -> Self {
        let errno = Errno::from_io_error(failed);
        let (error, text) = match (failed.kind(), errno) {
            (io::ErrorKind::StorageFull, _)
            | (_, Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                (error::NOSPC, "no room is left where the data are")
            }
            (io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied, _) => {
                (error::PERM, "the data cannot be written")
            }
            (io::ErrorKind::OutOfMemory, _) => (error::NOMEM, "not enough memory"),
            _ => (error::IO, "the data cannot be reached"),
        };
        Self { error, text }
    }
}

impl Request {
    /// Understands a header, as it was agreed on, for an export.
    ///
    /// # Errors
    ///
    /// When what follows cannot be waited for.
    pub(crate) fn of(header: Header, agreed: Agreed, export: &Export) -> Result<Self, Violation> {
        let brings = header.command == command::WRITE
            || (agreed.replies == Replies::Extended && header.flags & flag::PAYLOAD_LEN != 0);
        let payload = if brings { header.length } else { 0 };
        if payload > MAX_PAYLOAD_BYTES {
            return Err(Violation::WriteLength(payload));
        }
        Ok(Self {
            cookie: header.cookie,
            offset: header.offset,
            payload,
            command: understood(header, agreed, export),
        })
    }
}

fn understood(header: Header, agreed: Agreed, export: &Export) -> Result<Command, Refusal> {
    let allowed = match header.command {
        command::READ if agreed.replies != Replies::Simple => flag::DF,
        command::WRITE if agreed.replies == Replies::Extended => flag::PAYLOAD_LEN,
        command::WRITE_ZEROES => flag::NO_HOLE | flag::FAST_ZERO,
        command::BLOCK_STATUS => flag::REQ_ONE,
        _ => 0,
    };
    let has = |flag| header.flags & flag != 0;
    if header.flags & !(allowed | flag::FUA) != 0 {
        return Err(Refusal::invalid("a flag that the request does not have"));
    }
    let durable = has(flag::FUA);
    let range = || within(header, export);
    match header.command {
        command::READ => {
            let range = range()?;
            limit(&range)?;
            Ok(Command::Read {
                range,
                whole: has(flag::DF),
            })
        }
        command::WRITE => {
            writable(export)?;
            let range = range()?;
            limit(&range)?;
            Ok(Command::Write { range, durable })
        }
        command::DISCONNECT => Ok(Command::Disconnect),
        command::FLUSH if (header.offset, header.length) == (0, 0) => Ok(Command::Flush),
        command::FLUSH => Err(Refusal::invalid("a flush is of everything")),
        command::TRIM => {
            writable(export)?;
            if !export.discards() {
                return Err(Refusal::invalid("nothing is discarded here"));
            }
            let range = range()?;
            Ok(Command::Trim { range, durable })
        }
        command::CACHE => range().map(|_| Command::Cache),
        command::WRITE_ZEROES => {
            writable(export)?;
            let range = range()?;
            if has(flag::FAST_ZERO) {
                return Err(Refusal {
                    error: error::NOTSUP,
                    text: "zeros are no faster than other data: they are encrypted",
                });
            }
            Ok(Command::Zero {
                range,
                may_be_hole: !has(flag::NO_HOLE),
                durable,
            })
        }
        command::BLOCK_STATUS => {
            if !agreed.allocation {
                return Err(Refusal::invalid("no context was agreed on"));
            }
            Ok(Command::Status {
                range: range()?,
                one: has(flag::REQ_ONE),
            })
        }
        _ => Err(Refusal::invalid("unknown request")),
    }
}

fn writable(export: &Export) -> Result<(), Refusal> {
    if export.is_read_only() {
        return Err(Refusal {
            error: error::PERM,
            text: "it is served for reading only",
        });
    }
    Ok(())
}

fn within(header: Header, export: &Export) -> Result<Range<u64>, Refusal> {
    if header.length == 0 {
        return Err(Refusal::invalid("nothing at all is asked for"));
    }
    let end = header.offset.checked_add(header.length);
    match end.filter(|end| *end <= export.len()) {
        Some(end) => Ok(header.offset..end),
        None => Err(Refusal {
            error: match header.command {
                command::WRITE | command::WRITE_ZEROES => error::NOSPC,
                _ => error::INVAL,
            },
            text: "it goes past the end",
        }),
    }
}

fn limit(range: &Range<u64>) -> Result<(), Refusal> {
    if range.end - range.start > MAX_DATA_BYTES {
        return Err(Refusal::invalid("more than 32 MiB at once"));
    }
    Ok(())
}
