//! Loads headers by libcryptsetup as it is asked on standard input: `tests/interop_differential` starts this, for the
//! library may crash, and it writes to what it loads.
//!
//! A request is a byte (1: with the library's own account of why, 2: with the JSON), the length of the file as 8 bytes, and twice a text:
//! 4 bytes of length and so many bytes. They are the file's first bytes, the rest is a hole, and the passphrase to try,
//! none if empty. The answer is one such text, in JSON. All numbers are little-endian.

mod library;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use library::{Library, Wanted};

fn main() -> Result<(), String> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: reference FILE, which is overwritten")?;
    let library = Library::open()?;
    serve(&library, &path).map_err(|error| format!("{path}: {error}"))
}

fn serve(library: &Library, path: &str) -> io::Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let name = CString::new(path)?;
    let (mut requests, mut answers) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut wanted = [0];
        if requests.read(&mut wanted)? == 0 {
            return Ok(());
        }
        let wanted = Wanted {
            is_explained: wanted[0] & 1 != 0,
            has_json: wanted[0] & 2 != 0,
        };
        let length = take(&mut requests)?;
        let start = text(&mut requests)?;
        let passphrase = text(&mut requests)?;
        // All that lay behind these bytes goes, also what the library wrote there.
        file.set_len(u64::try_from(start.len()).expect("a length is a number"))?;
        file.write_all_at(&start, 0)?;
        file.set_len(u64::from_le_bytes(length))?;
        let passphrase = (!passphrase.is_empty()).then_some(&passphrase[..]);
        let answer = library.load(&name, wanted, passphrase).to_string();
        let bytes = u32::try_from(answer.len()).expect("an answer is small");
        answers.write_all(&bytes.to_le_bytes())?;
        answers.write_all(answer.as_bytes())?;
        answers.flush()?;
    }
}

fn text(requests: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(take(requests)?);
    let mut text = Vec::new();
    requests.take(length.into()).read_to_end(&mut text)?;
    Ok(text)
}

fn take<const N: usize>(requests: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    requests.read_exact(&mut bytes)?;
    Ok(bytes)
}
