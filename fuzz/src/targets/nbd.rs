//! Clients of an NBD server, beside a model of what they must be told.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use arbitrary::Unstructured;
use serve::nbd::converse;
use serve::{Export, ExportOptions};
use volume::MemoryStorage;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const ACK: u32 = 1;
const ERROR: u32 = 1 << 31;
const CONTEXT: &[u8] = b"base:allocation";

/// Talks as a client that says all of this and then nothing.
fn told(said: &[u8], export: &Export) -> Vec<u8> {
    let mut told = Vec::new();
    let one = NonZeroUsize::new(1).expect("it is not 0");
    let _ = converse(said, &mut told, export, one, &|| {});
    told
}

fn export_of(bytes: Vec<u8>, options: ExportOptions) -> (Arc<MemoryStorage>, Export) {
    let storage = Arc::new(MemoryStorage::from_vec(bytes));
    let export = Export::new(storage.clone(), options).expect("memory has a length");
    (storage, export)
}

/// Numbers from the front of what was told.
struct Told<'a>(&'a [u8]);

impl<'a> Told<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn number(&mut self, count: usize) -> u64 {
        let bytes = self.bytes(count).iter();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn count(&mut self, count: usize) -> usize {
        usize::try_from(self.number(count)).expect("what memory has")
    }

    fn short(&mut self) -> u32 {
        u32::try_from(self.number(4)).expect("four bytes")
    }
}

fn option(said: &mut Vec<u8>, number: u32, data: &[u8]) {
    said.extend(OPTION_MAGIC.to_be_bytes());
    said.extend(number.to_be_bytes());
    said.extend(
        u32::try_from(data.len())
            .expect("a short option")
            .to_be_bytes(),
    );
    said.extend(data);
}

/// Options in any order, whole and not: each is answered once, in order, with replies of their form; requests follow one
/// that was taken, and nothing an end.
///
/// # Panics
/// When it is not so.
pub fn nbd_options(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    options(&mut input).unwrap_or(false)
}

fn options(input: &mut Unstructured<'_>) -> arbitrary::Result<bool> {
    let (_, export) = export_of(vec![7; 512], ExportOptions::default());
    let flags: u32 = if input.ratio(1, 16)? {
        input.arbitrary()?
    } else {
        input.int_in_range(0..=3)?
    };
    let mut said = flags.to_be_bytes().to_vec();
    let mut asked = Vec::new();
    for _ in 0..input.int_in_range(1..=12)? {
        let number = if input.ratio(1, 16)? {
            input.arbitrary()?
        } else {
            input.int_in_range(0..=12)?
        };
        let data = data_of(number, input)?;
        option(&mut said, number, &data);
        asked.push(number);
    }
    // What comes after all of them may be anything.
    let rest = input.bytes(input.len())?;
    said.extend(rest);
    let told = told(&said, &export);
    let mut told = Told(&told);
    assert_eq!(told.bytes(8), b"NBDMAGIC");
    assert_eq!((told.number(8), told.number(2)), (OPTION_MAGIC, 3));
    if flags > 3 {
        assert!(told.0.is_empty());
        return Ok(false);
    }
    for number in asked {
        if told.0.is_empty() {
            // It was let go, which may only be for one of these.
            assert!(
                number == 1 || flags & 1 == 0,
                "option {number} has no answer"
            );
            return Ok(false);
        }
        if number == 1 {
            assert_eq!((told.number(8), told.number(2) & 1), (512, 1));
            if flags & 2 == 0 {
                assert_eq!(told.bytes(124), [0; 124]);
            }
            return Ok(true);
        }
        let last = answer(number, &mut told);
        match (number, last) {
            (2, ACK) => {
                assert!(told.0.is_empty(), "it goes on after the end");
                return Ok(true);
            }
            (7, ACK) => return Ok(true),
            _ => {}
        }
    }
    Ok(true)
}

fn data_of(number: u32, input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    if input.ratio(1, 4)? {
        let count = input.int_in_range(0..=40)?;
        return Ok(input.bytes(count)?.to_vec());
    }
    Ok(match number {
        6 | 7 => vec![0; 6],
        9 | 10 => {
            let mut data = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15];
            data.extend(CONTEXT);
            data
        }
        _ => Vec::new(),
    })
}

/// Reads the replies of one option; the type of the last.
fn answer(number: u32, told: &mut Told<'_>) -> u32 {
    loop {
        assert_eq!(told.number(8), OPTION_REPLY_MAGIC);
        assert_eq!(told.short(), number);
        let (kind, length) = (told.short(), told.count(4));
        let data = told.bytes(length);
        match kind {
            ACK => {
                assert_eq!(length, 0);
                return kind;
            }
            2 => assert_eq!((number, data), (3, &[0; 4][..])),
            3 => assert!(matches!(number, 6 | 7) && length >= 2),
            4 => assert!(matches!(number, 9 | 10) && &data[4..] == CONTEXT),
            kind => {
                assert!(kind > ERROR && kind <= ERROR + 10, "a reply of type {kind}");
                assert!(std::str::from_utf8(data).is_ok_and(|text| !text.is_empty()));
                return kind;
            }
        }
    }
}

/// How replies are spelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spelled {
    Simple,
    Structured,
    Extended,
}

/// A request, and what must come of it.
struct Request {
    cookie: u64,
    offset: u64,
    command: u16,
    error: u32,
    /// What is read.
    data: Vec<u8>,
    /// What is asked about.
    asked: Range<u64>,
}

/// Requests of every kind with numbers of every size: each is answered as a model of the export says, in order, and the
/// storage is the model in the end.
///
/// # Panics
/// When it is not so.
pub fn nbd_session(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    session(&mut input).unwrap_or(false)
}

fn session(input: &mut Unstructured<'_>) -> arbitrary::Result<bool> {
    let len = input.int_in_range(1..=6000_usize)?;
    let mut model: Vec<u8> = (0..=250_u8).cycle().take(len).collect();
    let options = ExportOptions {
        read_only: input.ratio(1, 8)?,
        discard: false,
    };
    let (storage, export) = export_of(model.clone(), options);
    let spelled = *input.choose(&[Spelled::Simple, Spelled::Structured, Spelled::Extended])?;
    let mut said = 3_u32.to_be_bytes().to_vec();
    match spelled {
        Spelled::Simple => {}
        Spelled::Structured => option(&mut said, 8, &[]),
        Spelled::Extended => option(&mut said, 11, &[]),
    }
    let has_context = spelled != Spelled::Simple && input.arbitrary()?;
    if has_context {
        let data = [&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15], CONTEXT].concat();
        option(&mut said, 10, &data);
    }
    option(&mut said, 7, &[0; 6]);
    let mut requests = Vec::new();
    for cookie in 0..input.int_in_range(1..=16_u64)? {
        let goes_on = request(
            cookie,
            spelled,
            has_context,
            options,
            &mut model,
            &mut said,
            &mut requests,
            input,
        )?;
        if !goes_on {
            break;
        }
    }
    let told = told(&said, &export);
    let mut told = Told(&told);
    told.bytes(18);
    match spelled {
        Spelled::Simple => {}
        Spelled::Structured => assert_eq!(answer(8, &mut told), ACK),
        Spelled::Extended => assert_eq!(answer(11, &mut told), ACK),
    }
    if has_context {
        assert_eq!(answer(10, &mut told), ACK);
    }
    assert_eq!(answer(7, &mut told), ACK);
    for request in &requests {
        reply(request, spelled, &mut told);
    }
    assert!(told.0.is_empty(), "more is told than was asked");
    assert!(storage.snapshot() == model);
    Ok(!requests.is_empty())
}

/// Says one request, and does the same to the model. Whether another can follow.
#[expect(clippy::too_many_arguments, reason = "it is the body of one loop")]
fn request(
    cookie: u64,
    spelled: Spelled,
    has_context: bool,
    options: ExportOptions,
    model: &mut [u8],
    said: &mut Vec<u8>,
    requests: &mut Vec<Request>,
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<bool> {
    let len = model.len() as u64;
    let command = if input.ratio(1, 16)? {
        input.arbitrary()?
    } else {
        input.int_in_range(0..=9_u16)?
    };
    let flags = if input.ratio(1, 2)? {
        0
    } else {
        input.int_in_range(0..=64_u16)?
    };
    let number = |input: &mut Unstructured<'_>| {
        if input.ratio(1, 8)? {
            input.arbitrary()
        } else {
            input.int_in_range(0..=len + 3)
        }
    };
    let (offset, mut length): (u64, u64) = (number(input)?, number(input)?);
    let is_extended = spelled == Spelled::Extended;
    if !is_extended {
        length &= u64::from(u32::MAX);
    }
    let brings = command == 1 || (is_extended && flags & 32 != 0);
    said.extend(
        if is_extended {
            0x21e4_1c71_u32
        } else {
            0x2560_9513
        }
        .to_be_bytes(),
    );
    said.extend(flags.to_be_bytes());
    said.extend(command.to_be_bytes());
    said.extend(cookie.to_be_bytes());
    said.extend(offset.to_be_bytes());
    if is_extended {
        said.extend(length.to_be_bytes());
    } else {
        said.extend(u32::try_from(length).expect("it was cut").to_be_bytes());
    }
    let payload: Vec<u8> = (0..length.min(8000))
        .map(|at| ((at ^ cookie) % 251).to_le_bytes()[0] | 1)
        .collect();
    if brings {
        said.extend(&payload);
        if payload.len() as u64 != length {
            // It never comes whole.
            return Ok(false);
        }
    }
    let error = error_of(
        command,
        flags,
        offset,
        length,
        len,
        spelled,
        has_context,
        options,
    );
    if (command, error) == (2, 0) {
        return Ok(false);
    }
    let mut request = Request {
        cookie,
        offset,
        command,
        error,
        data: Vec::new(),
        asked: offset..offset.saturating_add(length),
    };
    if error == 0 && matches!(command, 0 | 1 | 6) {
        let index = |at: u64| usize::try_from(at).expect("it lies within");
        let range = index(offset)..index(offset + length);
        match command {
            0 => request.data = model[range].to_vec(),
            1 => model[range].copy_from_slice(&payload),
            _ => model[range].fill(0),
        }
    }
    requests.push(request);
    Ok(true)
}

/// What the protocol says that it comes to.
#[expect(clippy::too_many_arguments, reason = "a request has as many fields")]
fn error_of(
    command: u16,
    flags: u16,
    offset: u64,
    length: u64,
    len: u64,
    spelled: Spelled,
    has_context: bool,
    options: ExportOptions,
) -> u32 {
    const INVALID: u32 = 22;
    let allowed = match command {
        0 if spelled != Spelled::Simple => 1 | 4,
        1 if spelled == Spelled::Extended => 1 | 32,
        6 => 1 | 2 | 16,
        7 => 1 | 8,
        _ => 1,
    };
    let is_outside = length == 0 || offset.checked_add(length).is_none_or(|end| end > len);
    let outside = |error| match (is_outside, length) {
        (true, 0) => INVALID,
        (true, _) => error,
        (false, _) => 0,
    };
    let writes = matches!(command, 1 | 4 | 6);
    match command {
        _ if flags & !allowed != 0 => INVALID,
        _ if writes && options.read_only => 1,
        0 | 5 => outside(INVALID),
        1 => outside(28),
        2 => 0,
        3 if (offset, length) == (0, 0) => 0,
        6 => match outside(28) {
            0 if flags & 16 != 0 => 95,
            error => error,
        },
        7 if has_context => outside(INVALID),
        _ => INVALID,
    }
}

/// Holds what is told of a request to what must be.
fn reply(request: &Request, spelled: Spelled, told: &mut Told<'_>) {
    let mut data: Vec<u8> = Vec::new();
    let mut described = request.asked.start;
    loop {
        let magic = told.number(4);
        if magic == 0x6744_6698 {
            assert_ne!(spelled, Spelled::Extended);
            assert_eq!(told.short(), request.error);
            assert_eq!(told.number(8), request.cookie);
            assert!(spelled == Spelled::Simple || (request.command != 0 && request.error == 0));
            if spelled == Spelled::Simple {
                assert_eq!(told.bytes(request.data.len()), request.data);
            }
            return;
        }
        let is_extended = spelled == Spelled::Extended;
        assert_eq!(
            magic,
            if is_extended {
                0x6e8a_278c
            } else {
                0x668e_33ef
            }
        );
        let (flags, kind) = (told.number(2), told.number(2));
        assert_eq!(told.number(8), request.cookie);
        if is_extended {
            assert_eq!(told.number(8), request.offset);
        }
        let length = told.count(if is_extended { 8 } else { 4 });
        let mut payload = Told(told.bytes(length));
        match kind {
            0 => assert_eq!((length, request.error), (0, 0)),
            1 => {
                assert_eq!(payload.number(8), request.offset + data.len() as u64);
                data.extend(payload.0);
            }
            5 | 6 => {
                assert_eq!((kind == 6, payload.number(4)), (is_extended, 1));
                if is_extended {
                    assert_eq!(payload.number(4), (length as u64 - 8) / 16);
                }
                while !payload.0.is_empty() {
                    let each = if is_extended { 8 } else { 4 };
                    let (bytes, state) = (payload.number(each), payload.number(each));
                    assert!(bytes > 0 && matches!(state, 0 | 3));
                    described += bytes;
                }
                assert!(described <= request.asked.end);
            }
            0x8001 => {
                assert_eq!(payload.short(), request.error);
                let text = payload.count(2);
                assert!(text > 0 && payload.0.len() == text);
                assert_ne!(request.error, 0);
            }
            other => panic!("a chunk of type {other}"),
        }
        if flags & 1 != 0 {
            assert!(data == request.data);
            return;
        }
    }
}
