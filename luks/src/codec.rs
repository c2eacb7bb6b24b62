//! Fixed-layout fields: bytes to values and back, by name and in order.

use byteorder::{BigEndian, ByteOrder};

use crate::error::Corrupt;

/// Takes fields off the front of a header, each under the name that the specification gives it.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a [u8; N], Corrupt> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Corrupt::FieldTruncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Corrupt> {
        self.take::<2>(field)
            .map(|bytes| BigEndian::read_u16(bytes))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Corrupt> {
        self.take::<4>(field)
            .map(|bytes| BigEndian::read_u32(bytes))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Corrupt> {
        self.take::<8>(field)
            .map(|bytes| BigEndian::read_u64(bytes))
    }

    /// A C string: ends at the first NUL, which must be there.
    pub(crate) fn c_string<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<String, Corrupt> {
        let bytes = self.take::<N>(field)?;
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Corrupt::StringNotTerminated { field })?;
        String::from_utf8(bytes[..end].to_vec()).map_err(|_| Corrupt::StringNotText { field })
    }
}

/// Appends fields in order.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A C string in a field of `width` bytes, filled with NULs.
    ///
    /// # Panics
    ///
    /// When `value` leaves no room for its NUL: callers check lengths where they come in.
    pub(crate) fn c_string(&mut self, value: &str, width: usize) -> &mut Self {
        assert!(value.len() < width, "a checked string fits its field");
        let end = self.bytes.len().saturating_add(width);
        self.bytes(value.as_bytes());
        self.bytes.resize(end, 0);
        self
    }

    pub(crate) fn zeros(&mut self, count: usize) -> &mut Self {
        let end = self.bytes.len().saturating_add(count);
        self.bytes.resize(end, 0);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
