//! GF(2^8), in which the S-boxes and the diffusion of some ciphers are defined.

/// a * b modulo `polynomial`, which is written with its x^8: for tables that are made while compiling.
pub(super) const fn multiply(a: u8, b: u8, polynomial: u16) -> u8 {
    let mut power = a as u16;
    let mut product = 0;
    let mut bit = 0;
    while bit < 8 {
        if (b >> bit) & 1 == 1 {
            product ^= power;
        }
        power <<= 1;
        if power & 0x100 != 0 {
            power ^= polynomial;
        }
        bit += 1;
    }
    product.to_le_bytes()[0]
}
