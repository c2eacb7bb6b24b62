//! The cipher and key size of an encrypted volume type of Cinder's. What they mean depends on who encrypts: cryptsetup
//! counts both halves of a key of XTS, QEMU one of them.

use std::str::FromStr;

use crate::error::OpenstackError;

/// Cipher and key size as a volume type has them, such as `aes-xts-plain64,256`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CinderType {
    cipher: String,
    key_bits: u32,
}

/// Who encrypts volumes of a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// os-brick, Nova: iSCSI, Fibre Channel, LVM.
    Cryptsetup,
    /// Cinder by qemu-img: Ceph (RBD), NFS and other files.
    Qemu,
}

/// What a type comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    /// The cipher as cryptsetup spells it.
    pub cipher: String,
    /// Size of the key, in bits; of XTS both halves.
    pub key_bits: u32,
    /// What is computed, for people: AES-256.
    pub strength: String,
    /// Where the payload of a LUKS1 container starts, in units of 512 bytes, where that is not cryptsetup's place.
    pub offset_sectors: Option<u64>,
    /// There is no other type of container.
    pub is_luks1: bool,
}

/// The ciphers of QEMU's that LUKS knows, and the sizes that it has them in.
const OF_QEMU: [(&str, &[u32]); 4] = [
    ("aes", &[128, 192, 256]),
    ("serpent", &[128, 192, 256]),
    ("twofish", &[128, 192, 256]),
    ("cast5", &[128]),
];

impl FromStr for CinderType {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let parts = typed
            .rsplit_once(',')
            .ok_or("not CIPHER,KEYSIZE: aes-xts-plain64,256")?;
        let (cipher, bits) = (parts.0.trim(), parts.1.trim());
        if cipher.is_empty() {
            return Err("there is no cipher before the comma".to_owned());
        }
        let bits: u32 = bits
            .parse()
            .map_err(|_| "the key size behind the comma is no number of bits")?;
        if bits == 0 || !bits.is_multiple_of(8) || bits > 4096 {
            return Err("the key size behind the comma is no number of whole bytes".to_owned());
        }
        Ok(Self {
            cipher: cipher.to_owned(),
            key_bits: bits,
        })
    }
}

impl CinderType {
    /// What it comes to.
    ///
    /// # Errors
    ///
    /// Nobody makes a volume of it.
    pub fn taken(&self, backend: Backend) -> Result<Taken, OpenstackError> {
        match backend {
            Backend::Cryptsetup => Ok(self.by_cryptsetup()),
            Backend::Qemu => self.by_qemu(),
        }
    }

    fn by_cryptsetup(&self) -> Taken {
        let is_xts = self.cipher.split('-').nth(1) == Some("xts");
        let one = if is_xts {
            self.key_bits / 2
        } else {
            self.key_bits
        };
        Taken {
            cipher: self.cipher.clone(),
            key_bits: self.key_bits,
            strength: self.strength(one),
            offset_sectors: None,
            is_luks1: false,
        }
    }

    /// Cinder takes the cipher apart at its dashes, and calls the first part and the key size a cipher of QEMU's.
    fn by_qemu(&self) -> Result<Taken, OpenstackError> {
        let refused = |why: String| {
            Err(OpenstackError::QemuRefuses {
                cipher: self.cipher.clone(),
                bits: self.key_bits,
                why,
            })
        };
        let parts: Vec<_> = self.cipher.split('-').collect();
        let [name, mode, iv] = parts[..] else {
            return refused("Cinder wants a cipher, a mode and an IV between dashes".to_owned());
        };
        let sizes = OF_QEMU.iter().find(|(of, _)| *of == name);
        if !sizes.is_some_and(|(_, sizes)| sizes.contains(&self.key_bits)) {
            return refused(format!("it has no {name}-{}", self.key_bits));
        }
        // Of a cipher with smaller blocks there is no XTS.
        let is_mode = matches!(mode, "cbc" | "ctr") || (mode == "xts" && name != "cast5");
        if !is_mode {
            return refused(format!("it has no mode {mode} for {name} in LUKS"));
        }
        let iv = match iv {
            "plain" | "plain64" => iv,
            // Its hash is named apart, and Cinder does not.
            "essiv" => "essiv:sha256",
            _ => return refused(format!("it has no IV {iv}")),
        };
        let key_bits = match mode {
            "xts" => self.key_bits * 2,
            _ => self.key_bits,
        };
        // It counts on keyslots of whole sectors, and aborts.
        if !key_bits.is_multiple_of(128) {
            return refused(format!(
                "it has no {mode} with a key of {key_bits} bits in LUKS"
            ));
        }
        Ok(Taken {
            cipher: format!("{name}-{mode}-{iv}"),
            key_bits,
            strength: self.strength(self.key_bits),
            offset_sectors: Some(qemu_offset_sectors(key_bits)),
            is_luks1: true,
        })
    }

    fn strength(&self, bits: u32) -> String {
        let name = self.cipher.split('-').next().unwrap_or_default();
        format!("{}-{bits}", name.to_ascii_uppercase())
    }
}

/// QEMU puts the payload right behind eight keyslots of 4000 stripes, each at a multiple of 4 KiB.
fn qemu_offset_sectors(key_bits: u32) -> u64 {
    let area_sectors = (u64::from(key_bits / 8) * 4000).div_ceil(512);
    8 + 8 * area_sectors.next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(typed: &str, backend: Backend) -> Result<(String, u32, String), String> {
        let kind: CinderType = typed.parse()?;
        let taken = kind.taken(backend).map_err(|error| error.to_string())?;
        Ok((taken.cipher, taken.key_bits, taken.strength))
    }

    #[test]
    fn a_type_is_not_the_same_through_both() {
        for (typed, by_cryptsetup, by_qemu) in [
            (
                "aes-xts-plain64,256",
                ("aes-xts-plain64", 256, "AES-128"),
                Some(("aes-xts-plain64", 512, "AES-256")),
            ),
            (
                "aes-xts-plain64,512",
                ("aes-xts-plain64", 512, "AES-256"),
                None,
            ),
            (
                "aes-cbc-essiv,256",
                ("aes-cbc-essiv", 256, "AES-256"),
                Some(("aes-cbc-essiv:sha256", 256, "AES-256")),
            ),
            (
                "aes-cbc-essiv:sha256,256",
                ("aes-cbc-essiv:sha256", 256, "AES-256"),
                None,
            ),
            (
                "serpent-xts-plain,128",
                ("serpent-xts-plain", 128, "SERPENT-64"),
                Some(("serpent-xts-plain", 256, "SERPENT-128")),
            ),
            (
                "aes-cbc-plain64,192",
                ("aes-cbc-plain64", 192, "AES-192"),
                None,
            ),
            ("aes-ecb,128", ("aes-ecb", 128, "AES-128"), None),
            (
                "cast5-xts-plain64,128",
                ("cast5-xts-plain64", 128, "CAST5-64"),
                None,
            ),
        ] {
            let owned = |(cipher, bits, name): (&str, u32, &str)| {
                (cipher.to_owned(), bits, name.to_owned())
            };
            assert_eq!(
                taken(typed, Backend::Cryptsetup),
                Ok(owned(by_cryptsetup)),
                "{typed}"
            );
            assert_eq!(
                taken(typed, Backend::Qemu).ok(),
                by_qemu.map(owned),
                "{typed}"
            );
        }
        let error = taken("aes-xts-plain64,512", Backend::Qemu).unwrap_err();
        assert!(error.contains("aes-512"), "{error}");
        for typed in [
            "",
            "aes-xts-plain64",
            ",256",
            "aes-xts-plain64,",
            "aes,0",
            "aes,12",
            "aes,x",
        ] {
            assert!(typed.parse::<CinderType>().is_err(), "{typed}");
        }
    }

    #[test]
    fn the_payload_lies_where_qemu_puts_it() {
        assert_eq!(qemu_offset_sectors(512) * 512, 2_068_480);
        assert_eq!(qemu_offset_sectors(256) * 512, 1_052_672);
    }
}
