//! What client and server agree on before the first request: bytes in, bytes out.

use super::protocol::{
    ALLOCATION, ALLOCATION_ID, INIT_MAGIC, MAX_DATA_BYTES, MAX_NAME_BYTES, OPTION_MAGIC,
    OPTION_REPLY_MAGIC, answer, can, hello, info, option,
};
use crate::export::Export;

/// Data of an option beyond this are not read into memory.
pub(crate) const MAX_OPTION_BYTES: u32 = 64 << 10;
/// Data of an option beyond this end the connection.
pub(crate) const MAX_SKIPPED_BYTES: u32 = 16 << 20;
/// A client that asks for more than so many contexts at once wants something else.
const MAX_QUERIES: u32 = 1024;

/// Why a client is not talked to any longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It answers the greeting with flags that are none.
    #[error("unknown flags of the client: {0:#x}")]
    ClientFlags(u32),
    /// It does not speak the protocol.
    #[error("an option without its magic number")]
    OptionMagic,
    /// More than anybody sends.
    #[error("an option of {0} bytes")]
    OptionLength(u32),
    /// Without the fixed handshake there is one option.
    #[error("option {0} without the fixed handshake")]
    NotFixed(u32),
    /// The only option that has no way to say that it fails.
    #[error("an export that is not there, by an option that cannot fail")]
    ExportName,
    /// The same without TLS, which has to be there.
    #[error("no TLS, by an option that cannot fail")]
    ExportWithoutTls,
    /// It does not speak the protocol any more.
    #[error("a request without its magic number")]
    RequestMagic,
    /// A write whose data nobody would wait for.
    #[error("a write of {0} bytes")]
    WriteLength(u64),
}

/// How a session is spoken after the handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Agreed {
    pub(crate) replies: Replies,
    /// It asked for `base:allocation`.
    pub(crate) allocation: bool,
}

/// The three kinds of replies; the last has requests of its own kind as well.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Replies {
    #[default]
    Simple,
    Structured,
    Extended,
}

/// What comes of an option.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Say this, and take the next option.
    Answer(Vec<u8>),
    /// Say this; requests follow.
    Begin(Vec<u8>),
    /// Say this; TLS follows, and then the next option.
    StartTls(Vec<u8>),
    /// Say this, and end.
    End(Vec<u8>),
    /// End without a word.
    Drop(Violation),
}

/// The header of an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OptionHeader {
    pub(crate) option: u32,
    pub(crate) length: u32,
}

impl OptionHeader {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn read(bytes: [u8; Self::BYTES]) -> Result<Self, Violation> {
        let mut fields = Fields(&bytes);
        let (Some(magic), Some(option), Some(length)) = (fields.u64(), fields.u32(), fields.u32())
        else {
            unreachable!("as many bytes as the fields have");
        };
        if magic != OPTION_MAGIC {
            return Err(Violation::OptionMagic);
        }
        if length > MAX_SKIPPED_BYTES {
            return Err(Violation::OptionLength(length));
        }
        Ok(Self { option, length })
    }
}

/// What the server says first.
pub(crate) fn greeting() -> Vec<u8> {
    let flags = hello::FIXED_NEWSTYLE | hello::NO_ZEROES;
    [
        &INIT_MAGIC.to_be_bytes()[..],
        &OPTION_MAGIC.to_be_bytes(),
        &flags.to_be_bytes(),
    ]
    .concat()
}

/// Where the handshake of a connection is.
pub(crate) struct Handshake<'a> {
    export: &'a Export,
    is_fixed: bool,
    no_zeroes: bool,
    tls: Tls,
    agreed: Agreed,
}

/// What TLS is to a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tls {
    /// There is none.
    Without,
    /// Nothing else is said before.
    Required,
    /// It is on.
    On,
}

impl<'a> Handshake<'a> {
    /// After the client has answered the greeting.
    pub(crate) fn new(export: &'a Export, tls: Tls, flags: u32) -> Result<Self, Violation> {
        let known = u32::from(hello::FIXED_NEWSTYLE | hello::NO_ZEROES);
        if flags & !known != 0 {
            return Err(Violation::ClientFlags(flags));
        }
        Ok(Self {
            export,
            is_fixed: flags & u32::from(hello::FIXED_NEWSTYLE) != 0,
            no_zeroes: flags & u32::from(hello::NO_ZEROES) != 0,
            tls,
            agreed: Agreed::default(),
        })
    }

    pub(crate) fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// Whether requests may be made as far as TLS is concerned.
    fn may_go_on(&self) -> bool {
        self.tls != Tls::Required
    }

    /// Takes an option with its data, which are not there where they are more than [`MAX_OPTION_BYTES`].
    pub(crate) fn take(&mut self, header: OptionHeader, data: Option<&[u8]>) -> Step {
        let option = header.option;
        if option == option::EXPORT_NAME {
            return self.export_name(data);
        }
        if !self.is_fixed {
            return Step::Drop(Violation::NotFixed(option));
        }
        let refuse = |reply, text: &str| Step::Answer(reply_to(option, reply, text.as_bytes()));
        let acknowledged = reply_to(option, answer::ACK, &[]);
        if option == option::ABORT {
            return Step::End(acknowledged);
        }
        if !self.may_go_on() && option != option::STARTTLS {
            return refuse(answer::TLS_REQUIRED, "TLS is required");
        }
        let Some(data) = data else {
            return refuse(answer::TOO_BIG, "the option is too long");
        };
        let answered = match option {
            option::LIST => self.list(data),
            option::STARTTLS => return self.start_tls(data),
            option::INFO | option::GO => match self.info(option, data) {
                Ok(bytes) if option == option::GO => return Step::Begin(bytes),
                answered => answered,
            },
            option::STRUCTURED_REPLY => self.structured(data),
            option::EXTENDED_HEADERS => self.extended(data),
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => self.contexts(option, data),
            _ => Err((answer::UNSUPPORTED, "unknown option")),
        };
        match answered {
            Ok(bytes) => Step::Answer(bytes),
            Err((reply, text)) => refuse(reply, text),
        }
    }

    fn export_name(&self, data: Option<&[u8]>) -> Step {
        if !self.may_go_on() {
            return Step::Drop(Violation::ExportWithoutTls);
        }
        if data != Some(self.export.name().as_bytes()) {
            return Step::Drop(Violation::ExportName);
        }
        let mut bytes = self.export.len().to_be_bytes().to_vec();
        bytes.extend(self.flags().to_be_bytes());
        if !self.no_zeroes {
            bytes.extend([0; 124]);
        }
        Step::Begin(bytes)
    }

    fn list(&self, data: &[u8]) -> Answered {
        nothing(data)?;
        let name = self.export.name().as_bytes();
        let listed = [&length(name)[..], name].concat();
        Ok([
            reply_to(option::LIST, answer::SERVER, &listed),
            reply_to(option::LIST, answer::ACK, &[]),
        ]
        .concat())
    }

    fn start_tls(&mut self, data: &[u8]) -> Step {
        let refuse =
            |reply, text: &str| Step::Answer(reply_to(option::STARTTLS, reply, text.as_bytes()));
        match self.tls {
            _ if !data.is_empty() => refuse(answer::INVALID, "data where there are none"),
            Tls::Without => refuse(answer::UNSUPPORTED, "there is no TLS here"),
            Tls::On => refuse(answer::INVALID, "TLS is on"),
            Tls::Required => {
                self.tls = Tls::On;
                self.agreed = Agreed::default();
                Step::StartTls(reply_to(option::STARTTLS, answer::ACK, &[]))
            }
        }
    }

    fn info(&mut self, option: u32, data: &[u8]) -> Answered {
        let malformed = (answer::INVALID, "the option does not have its form");
        let mut fields = Fields(data);
        let name = fields.text().ok_or(malformed)?;
        let count = fields.u16().ok_or(malformed)?;
        let mut wanted = Vec::new();
        for _ in 0..count {
            wanted.push(fields.u16().ok_or(malformed)?);
        }
        if !fields.0.is_empty() {
            return Err(malformed);
        }
        self.check_name(name)?;
        let mut bytes = Vec::new();
        let export = [
            &info::EXPORT.to_be_bytes()[..],
            &self.export.len().to_be_bytes(),
            &self.flags().to_be_bytes(),
        ];
        bytes.extend(reply_to(option, answer::INFO, &export.concat()));
        if wanted.contains(&info::NAME) {
            let named = [&info::NAME.to_be_bytes()[..], name].concat();
            bytes.extend(reply_to(option, answer::INFO, &named));
        }
        let largest = u32::try_from(MAX_DATA_BYTES).expect("a number of the protocol");
        let blocks = [
            &info::BLOCK_SIZE.to_be_bytes()[..],
            &1_u32.to_be_bytes(),
            &self.export.preferred_bytes().to_be_bytes(),
            &largest.to_be_bytes(),
        ];
        bytes.extend(reply_to(option, answer::INFO, &blocks.concat()));
        bytes.extend(reply_to(option, answer::ACK, &[]));
        Ok(bytes)
    }

    fn structured(&mut self, data: &[u8]) -> Answered {
        nothing(data)?;
        match self.agreed.replies {
            Replies::Simple => {}
            Replies::Structured => return Err((answer::INVALID, "structured replies are on")),
            Replies::Extended => {
                return Err((
                    answer::EXTENDED_HEADERS_REQUIRED,
                    "extended headers are on, which have structured replies",
                ));
            }
        }
        self.agreed.replies = Replies::Structured;
        Ok(reply_to(option::STRUCTURED_REPLY, answer::ACK, &[]))
    }

    fn extended(&mut self, data: &[u8]) -> Answered {
        nothing(data)?;
        if self.agreed.replies == Replies::Extended {
            return Err((answer::INVALID, "extended headers are on"));
        }
        self.agreed.replies = Replies::Extended;
        Ok(reply_to(option::EXTENDED_HEADERS, answer::ACK, &[]))
    }

    fn contexts(&mut self, option: u32, data: &[u8]) -> Answered {
        let sets = option == option::SET_META_CONTEXT;
        if sets {
            // Whatever comes of this, what was chosen before is not any more.
            self.agreed.allocation = false;
        }
        if self.agreed.replies == Replies::Simple {
            return Err((answer::INVALID, "structured replies come first"));
        }
        let malformed = (answer::INVALID, "the option does not have its form");
        let mut fields = Fields(data);
        let name = fields.text().ok_or(malformed)?;
        let count = fields.u32().ok_or(malformed)?;
        if count > MAX_QUERIES {
            return Err((answer::TOO_BIG, "too many contexts"));
        }
        let mut is_meant = count == 0 && !sets;
        for _ in 0..count {
            let query = fields.text().ok_or(malformed)?;
            is_meant |= query == ALLOCATION.as_bytes() || (!sets && query == b"base:");
        }
        if !fields.0.is_empty() {
            return Err(malformed);
        }
        self.check_name(name)?;
        let mut bytes = Vec::new();
        if is_meant {
            let id = if sets { ALLOCATION_ID } else { 0 };
            let context = [&id.to_be_bytes()[..], ALLOCATION.as_bytes()].concat();
            bytes.extend(reply_to(option, answer::META_CONTEXT, &context));
        }
        bytes.extend(reply_to(option, answer::ACK, &[]));
        self.agreed.allocation |= sets && is_meant;
        Ok(bytes)
    }

    fn check_name(&self, name: &[u8]) -> Result<(), (u32, &'static str)> {
        if name.len() > MAX_NAME_BYTES {
            Err((answer::TOO_BIG, "the name is too long"))
        } else if name == self.export.name().as_bytes() {
            Ok(())
        } else {
            Err((answer::UNKNOWN, "there is no export of this name"))
        }
    }

    /// What the export can, as it is spoken.
    fn flags(&self) -> u16 {
        let mut flags = can::HAS_FLAGS | can::FLUSH | can::FUA | can::MULTI_CONN | can::CACHE;
        if self.agreed.replies != Replies::Simple {
            flags |= can::DF;
        }
        if self.export.is_read_only() {
            return flags | can::READ_ONLY;
        }
        flags |= can::WRITE_ZEROES | can::FAST_ZERO;
        if self.export.discards() {
            flags |= can::TRIM;
        }
        flags
    }
}

/// Bytes to say, or an error of the option with its text.
type Answered = Result<Vec<u8>, (u32, &'static str)>;

fn nothing(data: &[u8]) -> Result<(), (u32, &'static str)> {
    if data.is_empty() {
        Ok(())
    } else {
        Err((answer::INVALID, "data where there are none"))
    }
}

fn reply_to(option: u32, reply: u32, data: &[u8]) -> Vec<u8> {
    [
        &OPTION_REPLY_MAGIC.to_be_bytes()[..],
        &option.to_be_bytes(),
        &reply.to_be_bytes(),
        &length(data),
        data,
    ]
    .concat()
}

fn length(data: &[u8]) -> [u8; 4] {
    u32::try_from(data.len())
        .expect("what is said of an option is short")
        .to_be_bytes()
}

/// Numbers and texts from the front of some bytes; none where they end.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_be_bytes(bytes))
    }

    /// Bytes with their number before them.
    fn text(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(usize::try_from(count).ok()?)
    }
}
