//! Cipher specifications: what dm-crypt's tables, LUKS headers and cryptsetup's `--cipher` hold.
//!
//! Two families of spelling say the same thing, `aes-xts-plain64` and `capi:xts(aes)-plain64` (the form of the kernel's
//! crypto API). What a text means here is what Linux 6.1's dm-crypt takes it for, and where cryptsetup reads more than
//! dm-crypt does (`null`), what cryptsetup takes it for.

use crate::{
    AesKernel, Error, SectorCipher, SectorOptions, SectorSize,
    ciphers::{self, Cipher},
    iv::{Iv, IvShape},
    key::wipe_stack,
    modes::{self, KeyLayout, Mode},
};
use std::{fmt, str::FromStr};

/// A parsed cipher specification: cipher, number of keys, chaining mode, IV, and the family of its spelling.
///
/// It may well name what is not built here: [`check_supported`](Self::check_supported) tells.
/// It prints as the canonical text of its family: `aes` becomes `aes-cbc-plain`, and options that have no meaning, such as
/// the IV of ECB, are gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CipherSpec {
    spelling: Spelling,
    cipher: String,
    keys: u32,
    mode: String,
    iv: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spelling {
    DmCrypt,
    Capi,
}

/// What a specification names, out of the tables of what is built.
struct Parts {
    cipher: &'static Cipher,
    mode: &'static Mode,
    iv: Iv,
}

/// The cipher that encrypts nothing: for tests, and in headers that somebody was fooled with.
const NULL_CIPHER: &str = "cipher_null";
/// What the crypto API's form starts with.
const CAPI: &str = "capi:";
/// Each of LUKS1's fields, its NUL included.
const LUKS1_FIELD_BYTES: usize = 32;
/// `lmk` IVs go with 64 keys.
const LMK_KEYS: u32 = 64;

impl CipherSpec {
    /// The two fields of a LUKS1 header, `aes` and `xts-plain64` (LUKS1 specification, figure 1).
    ///
    /// QEMU writes `ecb-plain64` where cryptsetup writes `ecb`; both mean the same.
    ///
    /// # Errors
    /// [`Error::Spec`] when the fields are malformed.
    pub fn from_luks1(cipher_name: &str, cipher_mode: &str) -> Result<Self, Error> {
        // cryptsetup puts the kernel's spelling into the fields too: `capi:xts(aes)` and `plain64`.
        let has_mode = cipher_name.contains('-') && !cipher_name.starts_with(CAPI);
        if has_mode || cipher_mode.is_empty() {
            return Err(Error::Spec {
                spec: format!("{cipher_name}-{cipher_mode}"),
                reason: "a LUKS1 header holds a cipher and its mode in two fields",
            });
        }
        format!("{cipher_name}-{cipher_mode}").parse()
    }

    /// The two fields of a LUKS1 header that say this: `("aes", "xts-plain64")`, the opposite of
    /// [`from_luks1`](Self::from_luks1). `None` where LUKS1 cannot say it: several keys, only the kernel's crypto API, or
    /// a name that its field has no room for.
    pub fn luks1_fields(&self) -> Option<(String, String)> {
        let (cipher, mode) = (self.cipher.clone(), self.mode_and_iv());
        let fits = cipher.len() < LUKS1_FIELD_BYTES && mode.len() < LUKS1_FIELD_BYTES;
        (fits && self.keys == 1 && self.is_said_by(parse_dm_crypt(&self.dm_crypt_text())))
            .then_some((cipher, mode))
    }

    /// dm-crypt's own form, `aes-xts-plain64`. What only the crypto API can say, such as a driver by its name, stays in
    /// the `capi:` form, which dm-crypt takes as well.
    pub fn to_dm_crypt(&self) -> String {
        let text = self.dm_crypt_text();
        if self.is_said_by(parse_dm_crypt(&text)) {
            text
        } else {
            self.capi_text()
        }
    }

    /// The crypto API's form, `capi:xts(aes)-plain64`; `None` where it cannot say the same: it has no word for the number
    /// of keys.
    pub fn to_capi(&self) -> Option<String> {
        let text = self.capi_text();
        self.is_said_by(parse_capi(text.strip_prefix(CAPI).unwrap_or_default()))
            .then_some(text)
    }

    /// The name of the cipher, `aes`.
    pub fn cipher(&self) -> &str {
        &self.cipher
    }

    /// The name of the chaining mode, `xts`.
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// How IVs are made, with options: `plain64`, `essiv:sha256`. `None` for ECB.
    pub fn iv(&self) -> Option<&str> {
        self.iv.as_deref()
    }

    /// How many keys take turns: 1 unless the text says otherwise (`aes:64-cbc-lmk`).
    pub fn key_count(&self) -> u32 {
        self.keys
    }

    /// Whether this encrypts nothing at all.
    pub fn is_null(&self) -> bool {
        self.cipher == NULL_CIPHER
    }

    /// Whether everything that the specification names is built here; the size of the key is left to
    /// [`check_key_bytes`](Self::check_key_bytes).
    ///
    /// # Errors
    /// An `Unsupported` kind for the part that is not, or [`Error::IvHash`] where the parts do not fit each other.
    pub fn check_supported(&self) -> Result<(), Error> {
        if self.is_null() {
            self.check_null_mode()
        } else {
            self.resolve().map(drop)
        }
    }

    /// Whether a key of `bytes` bytes goes with this. AES takes 16, 24 or 32 bytes, twice that with XTS, 16 bytes more with
    /// LRW; the IVs elephant, lmk and tcw take a part for themselves. A null cipher has no key, and headers give it one of any size.
    ///
    /// # Errors
    /// [`Error::KeySize`], or what [`check_supported`](Self::check_supported) says.
    pub fn check_key_bytes(&self, bytes: usize) -> Result<(), Error> {
        if self.is_null() {
            return self.check_null_mode();
        }
        self.layout(&self.resolve()?, bytes).map(drop)
    }

    /// Whether both halves of an XTS key are the same, which makes XTS weak (SP 800-38E and FIPS 140 forbid it). The
    /// kernel opens such volumes; nobody should make one. `false` for every other mode.
    pub fn has_equal_xts_halves(&self, key: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        let (first, second) = key.split_at(key.len() / 2);
        self.mode == "xts" && first.ct_eq(second).into()
    }

    /// Why nobody should make a new volume with this cipher unless he insists, where there is a reason: it encrypts nothing,
    /// or its blocks have 64 bits.
    pub fn creation_risk(&self) -> Option<&'static str> {
        if self.is_null() {
            return Some("the null cipher encrypts nothing");
        }
        let parts = self.resolve().ok()?;
        (parts.cipher.block_bytes < 16)
            .then_some("blocks of 64 bits repeat within some gigabytes, which shows what is equal")
    }

    /// Why somebody who makes a new volume should choose another specification, where there is a reason.
    pub fn weakness(&self) -> Option<&'static str> {
        if self.is_null() {
            return Some("a null cipher encrypts nothing");
        }
        let predictable = self
            .iv()
            .is_some_and(|iv| matches!(iv, "null" | "plain" | "plain64" | "plain64be" | "benbi"));
        match self.mode() {
            "ecb" => Some("ECB shows which blocks are equal"),
            "cbc" if predictable => {
                Some("CBC with predictable IVs shows watermarks: chosen files can be recognised")
            }
            _ => None,
        }
    }

    /// The cipher of the sectors of a volume, with all keys expanded.
    ///
    /// # Errors
    /// What [`check_supported`](Self::check_supported) and [`check_key_bytes`](Self::check_key_bytes) say, and
    /// [`Error::Misfit`] for sectors of a size that the IVs cannot have.
    pub fn sector_cipher(
        &self,
        key: &[u8],
        options: SectorOptions,
    ) -> Result<Box<dyn SectorCipher>, Error> {
        self.sector_cipher_by(None, key, options)
    }

    /// The same, and AES by other code than the fastest, for tests and measurements.
    ///
    /// # Errors
    /// Those of [`sector_cipher`](Self::sector_cipher).
    pub fn sector_cipher_by(
        &self,
        aes_kernel: Option<AesKernel>,
        key: &[u8],
        options: SectorOptions,
    ) -> Result<Box<dyn SectorCipher>, Error> {
        let cipher = self.expand(aes_kernel, key, options);
        // Expanded keys are made on the stack and moved from there.
        wipe_stack();
        cipher
    }

    #[inline(never)]
    fn expand(
        &self,
        aes_kernel: Option<AesKernel>,
        key: &[u8],
        options: SectorOptions,
    ) -> Result<Box<dyn SectorCipher>, Error> {
        self.check_key_bytes(key.len())?;
        if self.is_null() {
            return Ok(modes::identity(options));
        }
        let mut parts = self.resolve()?;
        if let Some(kernel) = aes_kernel
            && parts.cipher.name == "aes"
        {
            parts.cipher = ciphers::aes_by(kernel);
        }
        if parts.iv.wants_512_bytes() && options.sector_size != SectorSize::B512 {
            return Err(self.misfit("these IVs go with sectors of 512 bytes only"));
        }
        Ok(modes::build(
            parts.cipher,
            parts.mode,
            parts.iv,
            self.layout(&parts, key.len())?,
            key,
            options,
        ))
    }

    /// Looks the parts up in the tables of what is built.
    fn resolve(&self) -> Result<Parts, Error> {
        let (stream, block) = self.cipher.rsplit_once(',').unwrap_or(("", &self.cipher));
        let cipher = ciphers::find(block).ok_or_else(|| Error::UnsupportedCipher {
            cipher: self.cipher.clone(),
        })?;
        let mode =
            modes::find(&self.mode, stream, cipher).ok_or_else(|| self.unsupported_mode())?;
        let iv = match (&self.iv, mode.iv) {
            (Some(iv), Some(shape)) => {
                let iv = Iv::parse(iv)?;
                self.check_fit(cipher, shape, iv)?;
                iv
            }
            // Only the crypto API's form can leave the IV of such a mode out; the kernel then takes what memory holds.
            (None, Some(_)) => {
                return Err(Error::UnsupportedIv {
                    iv: "none".to_owned(),
                });
            }
            (_, None) => Iv::Null,
        };
        Ok(Parts { cipher, mode, iv })
    }

    /// Whether the IV goes with cipher and mode, by the kernel's rules.
    fn check_fit(&self, cipher: &Cipher, shape: IvShape, iv: Iv) -> Result<(), Error> {
        match iv {
            Iv::Essiv(hash) if !cipher.key_bytes.contains(&hash.digest_bytes()) => {
                Err(Error::IvHash {
                    spec: self.to_string(),
                    hash: hash.name(),
                    bytes: hash.digest_bytes(),
                    cipher: cipher.name,
                    expected: alternatives(cipher.key_bytes),
                })
            }
            Iv::Essiv(_) | Iv::Tcw if shape == IvShape::Wide => {
                Err(self.misfit("these IVs are a block of the cipher, and the mode's IV is longer"))
            }
            Iv::Eboiv | Iv::Elephant if shape != IvShape::Block => Err(self.misfit(
                "these IVs are a block that the volume's own mode encrypts, and the mode's IV is none",
            )),
            // Elsewhere the IV of a sector cannot be added to its plaintext once that is known.
            Iv::Lmk if self.mode != "cbc" => Err(self.misfit("lmk IVs go with CBC only")),
            _ => Ok(()),
        }
    }

    fn layout(&self, parts: &Parts, key_bytes: usize) -> Result<KeyLayout, Error> {
        let keys = usize::try_from(self.keys).unwrap_or(usize::MAX);
        let layouts = KeyLayout::all(parts.cipher, parts.mode, parts.iv, keys);
        match layouts.iter().find(|layout| layout.bytes() == key_bytes) {
            Some(layout) => Ok(*layout),
            None => Err(Error::KeySize {
                spec: self.to_string(),
                bytes: key_bytes,
                expected: alternatives(&layouts.iter().map(KeyLayout::bytes).collect::<Vec<_>>()),
            }),
        }
    }

    fn misfit(&self, reason: &'static str) -> Error {
        Error::Misfit {
            spec: self.to_string(),
            reason,
        }
    }

    /// The kernel combines its null cipher with ECB; what it makes of other modes is not the plaintext.
    fn check_null_mode(&self) -> Result<(), Error> {
        match self.mode() {
            "ecb" => Ok(()),
            _ => Err(self.unsupported_mode()),
        }
    }

    fn unsupported_mode(&self) -> Error {
        Error::UnsupportedMode {
            cipher: self.cipher.clone(),
            mode: self.mode.clone(),
        }
    }

    fn mode_and_iv(&self) -> String {
        match &self.iv {
            Some(iv) => format!("{}-{iv}", self.mode),
            None => self.mode.clone(),
        }
    }

    fn dm_crypt_text(&self) -> String {
        match self.keys {
            1 => format!("{}-{}", self.cipher, self.mode_and_iv()),
            keys => format!("{}:{keys}-{}", self.cipher, self.mode_and_iv()),
        }
    }

    fn capi_text(&self) -> String {
        let api = if self.mode.is_empty() {
            self.cipher.clone()
        } else {
            format!("{}({})", self.mode, self.cipher)
        };
        match &self.iv {
            Some(iv) => format!("{CAPI}{api}-{iv}"),
            // The last hyphen is taken for the one before the IV, so there must be an IV: one without a meaning here.
            None if api.contains('-') => format!("{CAPI}{api}-null"),
            None => format!("{CAPI}{api}"),
        }
    }

    /// Whether a text that was parsed means the same, in whatever family.
    fn is_said_by(&self, parsed: Result<Self, &'static str>) -> bool {
        parsed.is_ok_and(|parsed| {
            Self {
                spelling: self.spelling,
                ..parsed
            } == *self
        })
    }
}

impl fmt::Display for CipherSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self.spelling {
            Spelling::DmCrypt => self.to_dm_crypt(),
            Spelling::Capi => self.capi_text(),
        })
    }
}

impl FromStr for CipherSpec {
    type Err = Error;

    fn from_str(spec: &str) -> Result<Self, Error> {
        let parsed = match spec.strip_prefix(CAPI) {
            Some(api) => parse_capi(api),
            None => parse_dm_crypt(spec),
        };
        parsed.map_err(|reason| Error::Spec {
            spec: spec.to_owned(),
            reason,
        })
    }
}

/// `cipher[:keys]-mode[-iv[:options]]`
fn parse_dm_crypt(spec: &str) -> Result<CipherSpec, &'static str> {
    if spec.contains(['(', ')']) {
        return Err("the form of the crypto API starts with \"capi:\"");
    }
    // cryptsetup's short name, which dm-crypt does not know.
    let spec = if spec == "null" { NULL_CIPHER } else { spec };
    let (cipher, mode_and_iv) = match spec.split_once('-') {
        Some((cipher, rest)) => (cipher, Some(rest)),
        None => (spec, None),
    };
    let (cipher, keys) = match cipher.split_once(':') {
        Some((name, keys)) => (name, parse_key_count(keys)?),
        None => (cipher, 1),
    };
    check_name(cipher)?;
    let (mode, iv) = match mode_and_iv {
        None if cipher == NULL_CIPHER => ("ecb", None),
        // "For compatibility with the original dm-crypt": a cipher alone, and `-plain` alone, mean CBC with plain IVs.
        None | Some("plain") => ("cbc", Some("plain")),
        Some(rest) => match rest.split_once('-') {
            Some((mode, iv)) => (mode, Some(iv)),
            None => (rest, None),
        },
    };
    check_name(mode)?;
    let iv = parse_iv(mode, iv)?;
    if iv.is_none() && mode != "ecb" {
        return Err("the mode needs an IV");
    }
    Ok(CipherSpec {
        spelling: Spelling::DmCrypt,
        cipher: cipher.to_owned(),
        keys,
        mode: mode.to_owned(),
        iv,
    })
}

/// `mode(cipher)[-iv[:options]]`. As the kernel does it: the options start at the last colon, and then the IV at the last
/// hyphen, for the crypto API's names hold hyphens.
fn parse_capi(text: &str) -> Result<CipherSpec, &'static str> {
    let options_at = text.rfind(':').unwrap_or(text.len());
    let (api, iv) = match text[..options_at].rfind('-') {
        Some(hyphen) => (&text[..hyphen], Some(&text[hyphen + 1..])),
        None => (&text[..options_at], None),
    };
    let (mode, cipher) = match api.split_once('(') {
        Some((mode, rest)) => (
            mode,
            rest.strip_suffix(')')
                .ok_or("the parentheses of the crypto API's name do not match")?,
        ),
        None => ("", api),
    };
    if !balanced(cipher) {
        return Err("the parentheses of the crypto API's name do not match");
    }
    check_name(cipher)?;
    if api.contains('(') {
        check_name(mode)?;
    }
    let iv = parse_iv(mode, iv)?;
    // How many keys there are is not said here: the IV implies it.
    let keys = if iv.as_deref() == Some("lmk") {
        LMK_KEYS
    } else {
        1
    };
    Ok(CipherSpec {
        spelling: Spelling::Capi,
        cipher: cipher.to_owned(),
        keys,
        mode: mode.to_owned(),
        iv,
    })
}

fn parse_key_count(keys: &str) -> Result<u32, &'static str> {
    match keys.parse::<u32>() {
        Ok(count) if count.is_power_of_two() && keys.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(count)
        }
        _ => Err("the number of keys is no power of two"),
    }
}

/// The IV in its canonical form. ECB has none, and dm-crypt ignores one that is named; so it does with options where the
/// IV takes none.
fn parse_iv(mode: &str, iv: Option<&str>) -> Result<Option<String>, &'static str> {
    let Some(iv) = iv.filter(|_| mode != "ecb") else {
        return Ok(None);
    };
    let (name, options) = iv.split_once(':').unwrap_or((iv, ""));
    check_name(name)?;
    if name != "essiv" {
        return Ok(Some(name.to_owned()));
    }
    if options.is_empty() {
        return Err("the IV essiv needs a hash, as in essiv:sha256");
    }
    options.split(':').try_for_each(check_name)?;
    Ok(Some(iv.to_owned()))
}

/// A name goes into a device-mapper table, whose fields blanks separate, and into text for people; a colon ends it.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("a name is empty");
    }
    if name
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        Ok(())
    } else {
        Err("a name holds a colon, a blank or a special character")
    }
}

fn balanced(name: &str) -> bool {
    let mut depth = 0_usize;
    for byte in name.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return false,
            b')' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

/// `[16, 24, 32]` as `16, 24 or 32`, and a longer run of neighbours as `4 to 56`.
fn alternatives(sizes: &[usize]) -> String {
    let text: Vec<String> = sizes.iter().map(usize::to_string).collect();
    match text.as_slice() {
        [first, _, .., last] if is_run(sizes) => format!("{first} to {last}"),
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => text.concat(),
    }
}

fn is_run(sizes: &[usize]) -> bool {
    sizes.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
