//! Prints a file of an ext4 file system in a LUKS container, the passphrase from standard input to the end of its line:
//! `cargo run -p luksmith-luks --example read_ext4 CONTAINER /etc/hostname`

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use dmcrypt::Passphrase;
use ext4_view::{Ext4, Ext4Read};
use luks::{Luks, UnlockOptions};
use volume::{Access, FileStorage, Storage, Volume};
use zeroize::Zeroizing;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [container, file] = arguments.as_slice() else {
        return Err("two arguments are wanted: a container, and a path in it".into());
    };
    let storage: Arc<dyn Storage> =
        Arc::new(FileStorage::open(Path::new(container), Access::Read)?);
    let luks = Luks::open(Arc::clone(&storage))?;
    let unlocked = luks.unlock(&read_passphrase()?, &UnlockOptions::default())?;
    let files = Ext4::load(Box::new(Inside(unlocked.volume(storage)?)))?;
    io::stdout().write_all(&files.read(file.as_str())?)?;
    Ok(())
}

/// The plaintext as that crate wants it.
struct Inside(Volume);

impl Ext4Read for Inside {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_at(start_byte, dst)?)
    }
}

fn read_passphrase() -> io::Result<Passphrase> {
    let mut line = Zeroizing::new(String::with_capacity(512));
    io::stdin().read_line(&mut line)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Passphrase::from_bytes(Zeroizing::new(
        text.as_bytes().to_vec(),
    )))
}
