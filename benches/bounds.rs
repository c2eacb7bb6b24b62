//! What no cipher can pass: AES instructions over the same bytes with nothing between them, and what a core does when
//! nobody shares it.
#![expect(
    unsafe_code,
    reason = "vector instructions, behind checks of the processor"
)]

use std::hint::black_box;
use std::time::Instant;

#[cfg(target_arch = "x86_64")]
mod x86_64;

/// A pass over an area.
pub type Pass = Box<dyn FnMut(&mut [u8])>;

/// Encrypts an area, a multiple of 512 bytes, as ECB does, by the widest AES instructions here: loads, the rounds of a
/// key of so many bytes, stores. `None` where there are no such instructions, or none that are known here.
pub fn aes_rounds(key_bytes: usize) -> Option<(&'static str, Pass)> {
    #[cfg(target_arch = "x86_64")]
    return x86_64::aes_rounds(key_bytes / 4 + 6);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = key_bytes;
        None
    }
}

/// How long the core takes, in nanoseconds, to get through instructions that do nothing. Where two threads share it,
/// it takes twice as long.
pub fn probe() -> f64 {
    let start = Instant::now();
    #[cfg(target_arch = "x86_64")]
    x86_64::do_nothing();
    start.elapsed().as_secs_f64() * 1e9
}

/// Integer work in registers: what a second core adds where nothing is shared.
pub fn alu(steps: u32) -> u64 {
    let mut value = 1_u64;
    for _ in 0..steps {
        value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (value >> 7);
    }
    black_box(value)
}
