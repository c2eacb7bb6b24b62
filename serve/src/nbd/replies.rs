//! What a client is told: bytes.

use super::handshake::Replies;
use super::protocol::{
    ALLOCATION_ID, EXTENDED_REPLY_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, chunk,
};
use super::requests::{Refusal, Request};

/// Writes replies of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer(pub(crate) Replies);

impl Writer {
    /// It is done.
    pub(crate) fn done(self, request: &Request) -> Vec<u8> {
        match self.0 {
            Replies::Simple | Replies::Structured => simple(request, 0),
            Replies::Extended => self.done_data(request),
        }
    }

    /// It is not done.
    pub(crate) fn failed(self, request: &Request, refusal: Refusal) -> Vec<u8> {
        if self.0 == Replies::Simple {
            return simple(request, refusal.error);
        }
        let error = error(refusal);
        self.chunk(request, chunk::DONE, chunk::ERROR, &error, 0)
    }

    /// A read has failed at this offset after some of it was said. Not of simple replies.
    pub(crate) fn failed_at(self, request: &Request, refusal: Refusal, offset: u64) -> Vec<u8> {
        let at = [&error(refusal)[..], &offset.to_be_bytes()].concat();
        self.chunk(request, chunk::DONE, chunk::ERROR_OFFSET, &at, 0)
    }

    /// What stands before `count` bytes that were read at `offset`. `is_last`: nothing else follows of this request.
    pub(crate) fn data(self, request: &Request, offset: u64, count: u64, is_last: bool) -> Vec<u8> {
        if self.0 == Replies::Simple {
            return simple(request, 0);
        }
        let flags = if is_last { chunk::DONE } else { 0 };
        let offset = offset.to_be_bytes();
        self.chunk(request, flags, chunk::OFFSET_DATA, &offset, count)
    }

    /// All data were said. Not of simple replies.
    pub(crate) fn done_data(self, request: &Request) -> Vec<u8> {
        self.chunk(request, chunk::DONE, chunk::NONE, &[], 0)
    }

    /// What is there: lengths and states one after another.
    pub(crate) fn status(self, request: &Request, extents: &[(u64, u32)]) -> Vec<u8> {
        let mut payload = ALLOCATION_ID.to_be_bytes().to_vec();
        let kind = if self.0 == Replies::Extended {
            let count = u32::try_from(extents.len()).expect("they were counted");
            payload.extend(count.to_be_bytes());
            for (length, state) in extents {
                payload.extend(length.to_be_bytes());
                payload.extend(u64::from(*state).to_be_bytes());
            }
            chunk::BLOCK_STATUS_EXT
        } else {
            for (length, state) in extents {
                let length = u32::try_from(*length).expect("no longer than what was asked for");
                payload.extend(length.to_be_bytes());
                payload.extend(state.to_be_bytes());
            }
            chunk::BLOCK_STATUS
        };
        self.chunk(request, chunk::DONE, kind, &payload, 0)
    }

    /// A chunk with the first bytes of its payload; `more` follow them.
    fn chunk(self, request: &Request, flags: u16, kind: u16, payload: &[u8], more: u64) -> Vec<u8> {
        let length = payload.len() as u64 + more;
        let mut bytes = Vec::with_capacity(32 + payload.len());
        let magic = match self.0 {
            Replies::Extended => EXTENDED_REPLY_MAGIC,
            Replies::Simple | Replies::Structured => STRUCTURED_REPLY_MAGIC,
        };
        bytes.extend(magic.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend(request.cookie.to_be_bytes());
        if self.0 == Replies::Extended {
            bytes.extend(request.offset.to_be_bytes());
            bytes.extend(length.to_be_bytes());
        } else {
            let length = u32::try_from(length).expect("no more than what was asked for");
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(payload);
        bytes
    }
}

fn simple(request: &Request, error: u32) -> Vec<u8> {
    [
        &SIMPLE_REPLY_MAGIC.to_be_bytes()[..],
        &error.to_be_bytes(),
        &request.cookie.to_be_bytes(),
    ]
    .concat()
}

fn error(refusal: Refusal) -> Vec<u8> {
    let text = refusal.text.as_bytes();
    let length = u16::try_from(text.len()).expect("one line");
    [
        &refusal.error.to_be_bytes()[..],
        &length.to_be_bytes(),
        text,
    ]
    .concat()
}
