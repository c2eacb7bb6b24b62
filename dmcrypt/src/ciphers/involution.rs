//! What Anubis and Khazad share (Barreto and Rijmen, NESSIE submissions of 2000, as tweaked in 2001): the S-box, the field
//! GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, and round keys of decryption that come out of those of encryption.

use super::galois::multiply;

const POLYNOMIAL: u16 = 0x11d;
/// The 4-bit permutations that the S-box is made of.
const P: [u8; 16] = [3, 15, 14, 0, 5, 4, 11, 12, 13, 10, 9, 6, 7, 8, 2, 1];
const Q: [u8; 16] = [9, 14, 5, 6, 10, 2, 3, 12, 15, 0, 4, 13, 7, 11, 1, 8];

/// Three layers of P and Q on the halves of a byte, with the inner two bits of the halves exchanged between them. It is its
/// own inverse.
pub(super) const SBOX: [u8; 256] = {
    let mut sbox = [0; 256];
    let mut x: u16 = 0;
    while x < 256 {
        let byte = x.to_le_bytes()[0];
        let byte = exchange(layer(&P, &Q, byte));
        let byte = exchange(layer(&Q, &P, byte));
        sbox[x as usize] = layer(&P, &Q, byte);
        x += 1;
    }
    sbox
};

const fn layer(high: &[u8; 16], low: &[u8; 16], byte: u8) -> u8 {
    high[(byte >> 4) as usize] << 4 | low[(byte & 15) as usize]
}

const fn exchange(byte: u8) -> u8 {
    byte & 0b1100_0011 | (byte & 0b0011_0000) >> 2 | (byte & 0b0000_1100) << 2
}

/// S\[x\] times each of N factors.
pub(super) const fn multiples<const N: usize>(factors: [u8; N]) -> [[u8; N]; 256] {
    let mut table = [[0; N]; 256];
    let mut x = 0;
    while x < 256 {
        let mut place = 0;
        while place < N {
            table[x][place] = times(SBOX[x], factors[place]);
            place += 1;
        }
        x += 1;
    }
    table
}

/// a * b in the field.
pub(super) const fn times(a: u8, b: u8) -> u8 {
    multiply(a, b, POLYNOMIAL)
}

/// The round keys of decryption: those of encryption from the last to the first, all but the outer ones through the
/// diffusion, for the rounds themselves are their own inverse.
pub(super) fn invert_keys<K: Copy>(keys: &mut [K], diffuse: impl Fn(K) -> K) {
    keys.reverse();
    let inner = 1..keys.len() - 1;
    for key in &mut keys[inner] {
        *key = diffuse(*key);
    }
}
