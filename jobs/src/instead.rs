//! What an image is that is no LUKS container, and what can be done about it.

use std::fmt::{self, Display, Formatter};

use recognise::{Class, Content, Found, Partition};
use volume::Storage;

/// What was looked for where no header was found.
#[derive(Debug)]
pub struct Instead {
    found: Option<Found>,
    partitions: Vec<Partition>,
    /// Byte offsets of LUKS headers.
    headers: Vec<u64>,
    start: Start,
    /// Of a LUKS1 container that is being reencrypted.
    uuid: Option<String>,
}

/// What the first bytes look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    /// Nothing but zeros, so many of them.
    Zeros(u64),
    /// As ciphertext does.
    Noise,
    Other,
}

impl Instead {
    /// Looks at an image. What cannot be read tells nothing.
    pub fn look(storage: &dyn Storage) -> Self {
        let found = recognise::recognise(storage).unwrap_or_default();
        let start = Start::of(storage);
        let class = found.map(|found| found.content.class());
        // Places in such a file are none of the disk.
        if matches!(class, Some(Class::Image | Class::Archive)) {
            return Self {
                found,
                partitions: Vec::new(),
                headers: Vec::new(),
                start,
                uuid: None,
            };
        }
        Self {
            uuid: class
                .filter(|class| *class == Class::Unfinished)
                .map(|_| uuid_of_luks1(storage)),
            found,
            partitions: recognise::partitions(storage).unwrap_or_default(),
            headers: recognise::luks_headers(storage).unwrap_or_default(),
            start,
        }
    }

    /// What to do with the image that messages call `name`: by programs of others.
    pub fn way(&self, name: &str) -> Option<String> {
        if let Some(offset) = self.headers.first() {
            return Some(self.way_to_header(*offset, &quoted(name)));
        }
        let content = self.found?.content;
        Some(match content.class() {
            Class::Image => way_to_disk(content, &quoted(name)),
            Class::Archive => "unpack it first".to_owned(),
            Class::Encrypted => way_to_open(content)?.to_owned(),
            Class::Member => way_to_join(content).to_owned(),
            Class::Luks => return None,
            Class::Unfinished => way_on(self.uuid.as_deref().unwrap_or("UUID")),
            // A partition table, a file system, swap space.
            _ => "is it the image that was meant?".to_owned(),
        })
    }

    /// What was recognised, if anything was.
    pub fn content_name(&self) -> Option<&'static str> {
        self.found.map(|found| found.content.name())
    }

    /// Whether it is a container after all, whose header is not there for as long as somebody reencrypts it.
    pub fn is_unfinished(&self) -> bool {
        self.uuid.is_some()
    }

    /// Whether nothing was recognised and it looks as ciphertext does.
    pub fn looks_random(&self) -> bool {
        self.found.is_none() && self.headers.is_empty() && self.start == Start::Noise
    }

    fn way_to_header(&self, offset: u64, name: &str) -> String {
        let size = self.partition_at(offset).map(|partition| partition.bytes);
        let limit = size.map_or(String::new(), |bytes| format!(" --sizelimit {bytes}"));
        let (flag, count) = size.map_or((String::new(), String::new()), |bytes| {
            (",count_bytes".to_owned(), format!(" count={bytes}"))
        });
        format!(
            "losetup --find --show --offset {offset}{limit} {name} makes a device of it, \
             dd if={name} of=NEW bs=1M iflag=skip_bytes{flag} skip={offset}{count} a file"
        )
    }

    fn partition_at(&self, offset: u64) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.start == offset)
    }
}

/// Behind the sentence that it is no LUKS container; empty where there is nothing to say.
impl Display for Instead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.found, self.start) {
            (Some(found), _) => write!(f, "; it holds {}", found.content.name())?,
            (None, Start::Zeros(bytes)) if self.headers.is_empty() => {
                write!(f, "; its first {bytes} bytes are zeros")?;
            }
            _ => {}
        }
        if self.headers.is_empty() {
            return match self.partitions.len() {
                0 => Ok(()),
                1 => write!(
                    f,
                    " with one partition, which does not start with a LUKS header"
                ),
                count => write!(
                    f,
                    " with {count} partitions, none of which starts with a LUKS header"
                ),
            };
        }
        let more = self.headers.len().saturating_sub(MOST_NAMED);
        for (index, offset) in self.headers.iter().take(MOST_NAMED).enumerate() {
            let between = if index == 0 {
                "; a LUKS header lies"
            } else {
                " and"
            };
            write!(f, "{between} at byte {offset}")?;
            if let Some(partition) = self.partition_at(*offset) {
                write!(f, " (partition {})", partition.number)?;
            }
        }
        if more > 0 {
            write!(f, " and in {more} more places")?;
        }
        Ok(())
    }
}

impl Start {
    fn of(storage: &dyn Storage) -> Self {
        let len = storage.len().unwrap_or(0).min(SAMPLE_BYTES);
        let mut sample = vec![0; usize::try_from(len).unwrap_or(0)];
        if sample.is_empty() || storage.read_at(0, &mut sample).is_err() {
            return Self::Other;
        }
        if sample.iter().all(|byte| *byte == 0) {
            Self::Zeros(len)
        } else if looks_random(&sample) {
            Self::Noise
        } else {
            Self::Other
        }
    }
}

/// Pearson's chi-squared test of the hypothesis that all byte values are equally likely: 255 is what noise has, with a
/// deviation of 23.
fn looks_random(sample: &[u8]) -> bool {
    if sample.len() < ENOUGH_BYTES {
        return false;
    }
    let mut counts = [0u32; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    let expected = f64::from(u32::try_from(sample.len()).unwrap_or(u32::MAX)) / 256.0;
    let sum: f64 = counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum();
    (130.0..400.0).contains(&sum)
}

/// From an image format to the bytes of the disk.
fn way_to_disk(content: Content, name: &str) -> String {
    let other = match content.name() {
        "an EnCase image (EWF)" => "ewfexport",
        "an AFF image" => "affconvert -r",
        "an Apple disk image (DMG)" => "dmg2img",
        "an Android sparse image" => "simg2img",
        "a Windows imaging file (WIM)" => "wimapply",
        "an export of a Ceph RBD image" => "rbd import --export-format 2",
        "the header object of a Ceph RBD image" => {
            return "rbd export makes a raw image".to_owned();
        }
        _ => return format!("qemu-img convert -O raw {name} NEW makes a raw image of it"),
    };
    format!("{other} unpacks it")
}

/// What the files are for without which nobody goes on.
fn way_on(uuid: &str) -> String {
    format!(
        "three files lie in the folder in which cryptsetup ran: LUKS-{uuid}.log says how far it came, .org has the header \
         with the old key, .new the one with the new key; `cryptsetup reencrypt` goes on there, where device-mapper is. The \
         data is under both keys: neither header alone opens it"
    )
}

/// What the UUID of its header would be, as far as it can be in the name of a file.
fn uuid_of_luks1(storage: &dyn Storage) -> String {
    let mut field = [0; 40];
    let text = match storage.read_at(168, &mut field) {
        Ok(()) => field.split(|byte| *byte == 0).next().unwrap_or_default(),
        Err(_) => &[],
    };
    let is_plain = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    if text.is_empty() || !text.iter().all(is_plain) {
        return "UUID".to_owned();
    }
    String::from_utf8_lossy(text).into_owned()
}

fn way_to_open(content: Content) -> Option<&'static str> {
    Some(match content.name() {
        "a BitLocker volume" | "a BitLocker To Go volume" => {
            "cryptsetup open --type bitlk opens it"
        }
        "a FileVault (Core Storage) volume" => "cryptsetup open --type fvault2 opens it",
        "the LUKS header of a cloned Ceph image (RBDL)" => {
            "only Ceph opens it (rbd device map -t nbd -o encryption-format=FORMAT,encryption-passphrase-file=FILE): what \
             a clone does not hold itself lies in the image that it is a clone of"
        }
        _ => return None,
    })
}

fn way_to_join(content: Content) -> &'static str {
    match content.type_name() {
        "LVM2_member" | "LVM1_member" => {
            "the container may be in a logical volume: vgchange -ay shows them"
        }
        "linux_raid_member" | "ddf_raid_member" | "isw_raid_member" => {
            "the container may be in the array: mdadm --assemble --readonly joins it"
        }
        _ => "the container may be in what this is a part of",
    }
}

/// A name as a shell takes it.
pub fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:@%,".contains(letter);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

/// How many places of headers a message names.
const MOST_NAMED: usize = 4;
/// Of the start of an image, to be looked at.
const SAMPLE_BYTES: u64 = 64 << 10;
/// With fewer bytes noise cannot be told.
const ENOUGH_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use volume::MemoryStorage;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        (0..len / 8)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect()
    }

    fn told(bytes: Vec<u8>) -> (String, Option<String>) {
        let instead = Instead::look(&MemoryStorage::from_vec(bytes));
        (instead.to_string(), instead.way("a b.img"))
    }

    #[test]
    fn noise_alone_looks_random() {
        let looks_random = |bytes| Instead::look(&MemoryStorage::from_vec(bytes)).looks_random();
        assert_eq!(told(noise(1 << 20)), (String::new(), None));
        assert!(looks_random(noise(1 << 20)));
        let mut marked = noise(1 << 20);
        marked[..4].copy_from_slice(b"XFSB");
        let mut sparse = noise(1 << 20);
        sparse[..1 << 20]
            .iter_mut()
            .step_by(2)
            .for_each(|byte| *byte = 0);
        for bytes in [
            marked,
            sparse,
            vec![0; 1 << 20],
            b"text\n".repeat(1 << 16),
            noise(512),
            Vec::new(),
            vec![7; 1 << 20],
        ] {
            assert!(!looks_random(bytes));
        }
    }

    #[test]
    fn a_header_elsewhere_is_named_with_the_way_to_it() {
        let mut bytes = vec![0; 2 << 20];
        bytes[65536..65544].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        let (text, advice) = told(bytes.clone());
        assert_eq!(text, "; a LUKS header lies at byte 65536");
        assert_eq!(
            advice.unwrap(),
            "losetup --find --show --offset 65536 'a b.img' makes a device of it, \
             dd if='a b.img' of=NEW bs=1M iflag=skip_bytes skip=65536 a file"
        );
        bytes[1 << 20..(1 << 20) + 8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
        assert_eq!(
            told(bytes).0,
            "; a LUKS header lies at byte 65536 and at byte 1048576"
        );
    }

    #[test]
    fn a_partition_with_a_header_is_named_with_its_size() {
        let mut bytes = vec![0; 4 << 20];
        bytes[510..512].copy_from_slice(b"\x55\xaa");
        bytes[446..462].copy_from_slice(b"\0\0\0\0\x83\0\0\0\0\x10\0\0\0\x08\0\0");
        assert_eq!(
            told(bytes.clone()).0,
            "; it holds an MBR partition table with one partition, which does not start with a LUKS header"
        );
        bytes[2 << 20..(2 << 20) + 8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        let (text, advice) = told(bytes);
        assert_eq!(
            text,
            "; it holds an MBR partition table; a LUKS header lies at byte 2097152 (partition 1)"
        );
        let advice = advice.unwrap();
        assert!(
            advice.contains("--offset 2097152 --sizelimit 1048576"),
            "{advice}"
        );
        assert!(advice.contains("skip=2097152 count=1048576"), "{advice}");
    }

    #[test]
    fn what_is_there_is_named_with_what_opens_it() {
        for (mark, name, way) in [
            (&b"vhdxfile"[..], "a VHDX image", "qemu-img convert -O raw"),
            (
                b"QFI\xfb\0\0\0\x03",
                "a qcow2 image",
                "qemu-img convert -O raw",
            ),
            (b"EVF\x09\x0d\x0a\xff\x00", "EnCase", "ewfexport"),
            (
                b"RBDL\xba\xbe",
                "cloned Ceph image (RBDL)",
                "rbd device map",
            ),
            (
                b"\xeb\x52\x90-FVE-FS-",
                "a BitLocker volume",
                "--type bitlk",
            ),
            (b"\xfd7zXZ\0", "an xz file", "unpack it"),
            (b"XFSB", "an XFS file system", "that was meant"),
            (b"bluestore block device", "BlueStore", "a part of"),
        ] {
            let mut bytes = vec![0; 1 << 16];
            bytes[..mark.len()].copy_from_slice(mark);
            let (text, advice) = told(bytes);
            assert!(
                text.starts_with("; it holds ") && text.contains(name),
                "{text}"
            );
            assert!(
                advice.as_deref().unwrap_or_default().contains(way),
                "{advice:?}"
            );
        }
        let mut bytes = vec![0; 1 << 16];
        bytes[..8].copy_from_slice(b"LUKS\xde\xad\0\x01");
        let said = |bytes: &[u8]| told(bytes.to_vec()).1.unwrap();
        assert!(said(&bytes).contains("LUKS-UUID.log"));
        bytes[168..177].copy_from_slice(b"123-ab\x1b[m");
        assert!(said(&bytes).contains("LUKS-UUID.log"));
        bytes[168..180].copy_from_slice(b"1234-abcd\0\0\0");
        assert!(said(&bytes).contains("LUKS-1234-abcd.log"));
        assert_eq!(told(vec![0; 100]).0, "; its first 100 bytes are zeros");
    }
}
