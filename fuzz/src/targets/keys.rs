//! Key files, pipes and lines.

use std::io::{self, Read};

use arbitrary::Unstructured;
use jobs::key_source::{KeyEncoding, KeyError, KeyFormat, KeyFrom, KeySource};

/// The most that a key has where no size is given.
const MOST_BYTES: u64 = 8 << 20;

/// What is read of a key is what the documented rules say, byte by byte, however the input comes in pieces; what is refused
/// is refused for the rule's reason; and no byte is taken that belongs to the next reader.
///
/// # Panics
/// When it is not.
pub fn key_files(data: &[u8]) -> bool {
    rules(&mut Unstructured::new(data)).unwrap_or(false)
}

fn rules(input: &mut Unstructured<'_>) -> arbitrary::Result<bool> {
    let named = [
        None,
        Some(KeyFrom::Standard),
        Some(KeyFrom::File("key".into())),
    ];
    let named = input.choose(&named)?.clone();
    let descriptor = *input.choose(&[None, None, Some(0), Some(3)])?;
    let source = KeySource {
        from: named.unwrap_or(descriptor.map_or(KeyFrom::FirstLine, KeyFrom::Descriptor)),
        offset: number(input)?.unwrap_or(0),
        size: number(input)?,
        encoding: *input.choose(&[KeyEncoding::Raw, KeyEncoding::Hex, KeyEncoding::Base64])?,
        format: *input.choose(&[
            KeyFormat::AsIs,
            KeyFormat::Openstack,
            KeyFormat::OpenstackMangled,
        ])?,
    };
    let stdin_is_data = input.ratio(1, 8)?;
    let is_line = source.from == KeyFrom::FirstLine;
    let is_stream = is_line || input.arbitrary()?;
    let exactly = number(input)?
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|_| !is_line);
    let piece = input.int_in_range(1..=9)?;
    // Around the limit, seldom, and where it is not read byte by byte.
    let is_plain = source.encoding == KeyEncoding::Raw && source.format == KeyFormat::AsIs;
    let is_large = input.arbitrary::<u16>()? % 1024 == 1023 && is_plain && !is_line;
    let more = if is_large {
        MOST_BYTES - 64 + input.int_in_range(0..=128)?
    } else {
        0
    };
    let content = input.bytes(input.len())?;
    let mut reader = Pieces {
        content,
        more,
        piece,
        taken: 0,
    };

    let is_standard = matches!(source.from, KeyFrom::Standard | KeyFrom::Descriptor(0));
    match source.check_beside(stdin_is_data) {
        Ok(()) => assert!(!(stdin_is_data && is_standard)),
        Err(KeyError::StdinIsData) => {
            assert!(stdin_is_data && is_standard);
            return Ok(false);
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(
        source.is_file(),
        matches!(source.from, KeyFrom::File(_) | KeyFrom::Descriptor(_))
    );

    let mut all = content.to_vec();
    all.resize(
        content.len() + usize::try_from(more).expect("it is some MiB"),
        FILLER,
    );
    let (expected, taken) = if is_line {
        line(&source, &all)
    } else {
        whole(&source, &all, is_stream, exactly)
    };
    let expected = expected.and_then(|bytes| decoded(&source, bytes).ok_or("encoding"));
    let outcome = source.read_from(&mut reader, is_stream, exactly);
    match (&outcome, &expected) {
        (Ok(key), Ok(expected)) => assert!(**key == *expected, "another key"),
        (outcome, expected) => {
            let reason = outcome.as_ref().err().map(reason);
            assert_eq!(reason, expected.as_ref().err().copied());
        }
    }
    if let Some(taken) = taken {
        assert_eq!(reader.taken, taken as u64, "it took what is not its own");
    }
    Ok(outcome.is_ok())
}

fn number(input: &mut Unstructured<'_>) -> arbitrary::Result<Option<u64>> {
    Ok(match input.int_in_range(0..=7)? {
        0..=3 => None,
        4 => Some(input.arbitrary()?),
        5 => Some(MOST_BYTES - 2 + input.int_in_range(0..=4)?),
        _ => Some(input.int_in_range(0..=40)?),
    })
}

/// What is read or why nothing is, and how many bytes are gone then, where that is said.
type Taken = (Result<Vec<u8>, &'static str>, Option<usize>);

/// "The first line without its newline, byte by byte: the rest stays for whoever reads next"; of a size exactly so many bytes.
fn line(source: &KeySource, all: &[u8]) -> Taken {
    let Some(rest) = behind_offset(source, all) else {
        return (Err("offset"), None);
    };
    let skipped = all.len() - rest.len();
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let newline = usize::from(line.len() < rest.len());
    match source.size {
        Some(0) => (Ok(Vec::new()), Some(skipped)),
        _ if rest.is_empty() => (Err("nothing"), None),
        None => (Ok(line.to_vec()), Some(skipped + line.len() + newline)),
        Some(size) => match usize::try_from(size).ok().and_then(|size| line.get(..size)) {
            Some(start) => (Ok(start.to_vec()), Some(skipped + start.len())),
            None => (Err("short"), None),
        },
    }
}

/// "The whole file, newlines and all, at most 8 MiB", or exactly as many bytes as are asked for. Of a plain container's key
/// itself these are the key's, whatever the size says, and of one that is spelled all is read.
fn whole(source: &KeySource, all: &[u8], is_stream: bool, exactly: Option<usize>) -> Taken {
    let Some(rest) = behind_offset(source, all) else {
        return (Err("offset"), None);
    };
    let skipped = all.len() - rest.len();
    let is_raw = source.encoding == KeyEncoding::Raw;
    let size = match exactly {
        Some(bytes) if is_raw => Some(bytes as u64),
        Some(_) => None,
        None => source.size,
    };
    let is_key_itself = exactly.is_some() && is_raw;
    match size {
        Some(0) => (Ok(Vec::new()), Some(skipped)),
        _ if rest.is_empty() && is_stream && !is_key_itself => (Err("nothing"), None),
        None if rest.len() as u64 > MOST_BYTES => (Err("long"), None),
        None => (Ok(rest.to_vec()), Some(all.len())),
        Some(size) => match usize::try_from(size).ok().and_then(|size| rest.get(..size)) {
            Some(start) => (Ok(start.to_vec()), Some(skipped + start.len())),
            None => (Err("short"), None),
        },
    }
}

fn behind_offset<'a>(source: &KeySource, all: &'a [u8]) -> Option<&'a [u8]> {
    all.get(usize::try_from(source.offset).ok()?..)
}

/// The spelling undone, then `OpenStack`'s digits.
fn decoded(source: &KeySource, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let text = bytes
        .iter()
        .copied()
        .filter(|byte| !b" \t\n\r\x0c".contains(byte));
    let key = match source.encoding {
        KeyEncoding::Raw => bytes,
        KeyEncoding::Hex => {
            let digits: Option<Vec<u32>> = text.map(|byte| char::from(byte).to_digit(16)).collect();
            let pairs = digits?;
            if pairs.len() % 2 != 0 {
                return None;
            }
            pairs
                .chunks(2)
                .map(|pair| low_byte(16 * pair[0] + pair[1]))
                .collect()
        }
        KeyEncoding::Base64 => base64(&text.collect::<Vec<u8>>())?,
    };
    let digits: fn(&u8) -> String = match source.format {
        KeyFormat::Usual | KeyFormat::AsIs | KeyFormat::Auto => return Some(key),
        KeyFormat::Openstack => |byte| format!("{byte:02x}"),
        KeyFormat::OpenstackMangled => |byte| format!("{byte:x}"),
    };
    Some(key.iter().map(digits).collect::<String>().into_bytes())
}

/// RFC 4648, 4, with padding or without; bits that are left over are zero.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let end = text
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(text.len());
    let (letters, padding) = text.split_at(end);
    if letters.len() % 4 == 1
        || padding.len() > (4 - letters.len() % 4) % 4
        || padding.iter().any(|byte| *byte != b'=')
    {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in letters {
        let value = LETTERS.iter().position(|known| known == letter)?;
        bits = bits << 6 | u32::try_from(value).expect("it is below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(low_byte(bits >> count));
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn reason(error: &KeyError) -> &'static str {
    match error {
        KeyError::OffsetBeyondEnd { .. } => "offset",
        KeyError::Nothing { .. } => "nothing",
        KeyError::Short { .. } => "short",
        KeyError::TooLong { .. } => "long",
        KeyError::Encoding { .. } => "encoding",
        error => panic!("{error}"),
    }
}

const FILLER: u8 = b'A';

/// Bytes that come in pieces.
struct Pieces<'a> {
    content: &'a [u8],
    /// How many fillers follow.
    more: u64,
    /// How much comes at once.
    piece: u64,
    taken: u64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.taken).expect("it is some MiB");
        let count = if at < self.content.len() {
            let piece = usize::try_from(self.piece).expect("it is small");
            let rest = &self.content[at..];
            let count = rest.len().min(buffer.len()).min(piece);
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        } else {
            let left = self.content.len() as u64 + self.more - self.taken;
            let count = buffer
                .len()
                .min(usize::try_from(left).expect("it is some MiB"));
            buffer[..count].fill(FILLER);
            count
        };
        self.taken += count as u64;
        Ok(count)
    }
}
