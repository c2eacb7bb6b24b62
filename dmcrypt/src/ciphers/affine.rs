//! Maps of bytes that are linear over GF(2), as matrices of 64 bits: the highest byte is the row of bit 0 of the image, the
//! lowest that of bit 7, and bit j of a row says whether bit j of the byte counts. So the processor's GFNI takes them.

use super::galois::multiply;

pub(super) const IDENTITY: u64 = matrix([1, 2, 4, 8, 16, 32, 64, 128]);

/// The matrix that maps bit j to `images[j]`.
pub(super) const fn matrix(images: [u8; 8]) -> u64 {
    let mut rows = 0;
    let mut row = 0;
    while row < 8 {
        let mut bits = 0;
        let mut bit = 0;
        while bit < 8 {
            bits |= ((images[bit] >> row & 1) as u64) << bit;
            bit += 1;
        }
        rows = rows << 8 | bits;
        row += 1;
    }
    rows
}

/// The matrix times a byte.
pub(super) const fn apply(matrix: u64, byte: u8) -> u8 {
    let rows = matrix.to_be_bytes();
    let mut image = 0;
    let mut row = 0;
    while row < 8 {
        let sum = (rows[row] & byte).count_ones() & 1;
        image |= sum.to_le_bytes()[0] << row;
        row += 1;
    }
    image
}

/// The matrix of `outer` after `inner`.
pub(super) const fn compose(outer: u64, inner: u64) -> u64 {
    let mut images = [0; 8];
    let mut bit = 0;
    while bit < 8 {
        images[bit] = apply(outer, apply(inner, 1 << bit));
        bit += 1;
    }
    matrix(images)
}

/// Modulo x^8 + x^4 + x^3 + x + 1: the powers of x + 1 are all bytes but 0, and the inverse of one is as far from the end as
/// it is from the beginning.
const INVERSES: [u8; 256] = {
    let mut powers = [1; 256];
    let mut exponent = 1;
    while exponent < 256 {
        powers[exponent] = multiply(powers[exponent - 1], 3, 0x11b);
        exponent += 1;
    }
    let mut inverses = [0; 256];
    while exponent > 0 {
        exponent -= 1;
        inverses[powers[exponent] as usize] = powers[255 - exponent];
    }
    inverses
};

/// A substitution that is `after` * (`before` * x + c)^-1 + d, where the inverse is that of AES.
#[derive(Clone, Copy)]
pub(super) struct Substitution {
    pub(super) before: u64,
    pub(super) c: u8,
    pub(super) after: u64,
    pub(super) d: u8,
}

impl Substitution {
    pub(super) const fn table(self) -> [u8; 256] {
        let mut table = [0; 256];
        let mut x: u16 = 0;
        while x < 256 {
            let inside = apply(self.before, x.to_le_bytes()[0]) ^ self.c;
            table[x as usize] = apply(self.after, INVERSES[inside as usize]) ^ self.d;
            x += 1;
        }
        table
    }
}
