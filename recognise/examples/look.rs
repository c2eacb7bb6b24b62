//! Prints what is on images: `cargo run -p luksmith-recognise --example look IMAGE...`

use std::env;
use std::io;
use std::path::Path;

use recognise::{largest_sector, look, luks_headers, partitions};
use volume::{Access, FileStorage};

fn main() -> io::Result<()> {
    for name in env::args_os().skip(1) {
        let storage = FileStorage::open(Path::new(&name), Access::Read)?;
        println!("{}", name.display());
        for found in look(&storage)? {
            println!(
                "  {:#9x}  {} [{}]",
                found.offset,
                found.content.name(),
                found.content.type_name()
            );
        }
        for partition in partitions(&storage)? {
            println!("  partition {}: {:?}", partition.number, partition.range());
        }
        for offset in luks_headers(&storage)? {
            println!("  a LUKS header at byte {offset}");
        }
        if let Some(limit) = largest_sector(&storage)? {
            println!(
                "  sectors of {} bytes at most: {}",
                limit.bytes, limit.found
            );
        }
    }
    Ok(())
}
