//! Does the time that something takes depend on secrets? `cargo bench -p luksmith-benches --bench timing [-- --quick]`.
//!
//! As dudect does it (Reparaz, Balasch and Verbauwhede 2017): two classes of input in random order, the slowest tenth of
//! the samples left out, Welch's t between the classes. Beyond 4.5 it is likely that the time depends on the class, given
//! enough samples. It shows leaks and proves none away, and a busy machine hides small ones. One contestant does leak, so
//! that the measurement is seen to work.

use std::hint::black_box;
use std::time::Instant;

use dmcrypt::{AesKernel, CipherSpec, DerivedKey, SectorOptions, SectorSize};
use luksmith_benches::machine::on_one_core;
use luksmith_benches::random::Xorshift;
use luksmith_benches::test_bytes;
use zeroize::Zeroizing;

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let samples = if is_quick { 100_000 } else { 1_000_000 };
    println!("|t| over {samples} samples, beyond 4.5 time depends on the class; by so much");
    on_one_core(|| run(samples));
}

fn run(samples: usize) {
    let key = || DerivedKey::from_bytes(Zeroizing::new(test_bytes(64)));
    let (one, same, mut other) = (key(), key(), key());
    other.expose_mut()[0] ^= 1;
    let (one, same, other) = (&one, &same, &other);
    let compared = |is_same: bool| if is_same { same } else { other };
    let t = t_of(samples, |class| {
        let other = compared(class);
        move || black_box(black_box(one).ct_eq(black_box(other)))
    });
    tell("keys compared: the same, or another first byte", t);
    let t = t_of(samples, |class| {
        let other = compared(class);
        move || {
            black_box(first_difference(
                black_box(one.expose()),
                black_box(other.expose()),
            ))
        }
    });
    tell("the same up to the first difference, which leaks", t);

    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a specification");
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let mut random = Xorshift::new(0x9e37_79b9_7f4a_7c15);
    for kernel in AesKernel::here() {
        let cipher = spec
            .sector_cipher_by(Some(kernel), &test_bytes(64), options)
            .expect("the key fits");
        let mut sectors = |class: bool| {
            // Both are prepared alike: a processor that was idle for longer starts slower.
            let mask = if class { u8::MAX } else { 0 };
            let mut sector = [0; 512];
            sector.fill_with(|| random.draw().to_le_bytes()[3] & mask);
            let cipher = &cipher;
            move || cipher.encrypt(7, black_box(&mut sector))
        };
        let t = t_of(samples, &mut sectors);
        tell(
            &format!("{kernel:?}: a sector of zeros, or a random one"),
            t,
        );
        let t = t_of(samples, |_| sectors(true));
        tell(
            &format!("{kernel:?}: a random sector, or another: no difference"),
            t,
        );
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    (0..one.len()).find(|at| black_box(one[*at]) != black_box(other[*at]))
}

fn tell(what: &str, (t, difference): (f64, f64)) {
    println!(
        "{:>8.2} {:>8.2} %  {what}",
        t.abs(),
        100.0 * difference.abs()
    );
}

/// Welch's t between the times of both classes of what `prepare` hands out, and by how much their means differ.
fn t_of<W: FnMut() -> T, T>(samples: usize, mut prepare: impl FnMut(bool) -> W) -> (f64, f64) {
    /// What is timed is repeated, since the clock counts nanoseconds.
    const REPEATED: usize = 8;
    let mut random = Xorshift::new(88_172_645_463_325_252);
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let class = random.draw() >> 63 == 1;
        let mut work = prepare(class);
        let start = Instant::now();
        for _ in 0..REPEATED {
            work();
        }
        let nanoseconds = start.elapsed().as_nanos();
        times.push((u32::try_from(nanoseconds).unwrap_or(u32::MAX), class));
    }
    let mut sorted = times.clone();
    sorted.sort_unstable();
    let slowest = sorted[samples / 10 * 9].0;
    let [one, other] = [false, true].map(|class| {
        let of_class = times
            .iter()
            .filter(|(time, of)| *of == class && *time < slowest);
        Moments::of(of_class.map(|(time, _)| f64::from(*time)))
    });
    let difference = one.mean - other.mean;
    let error = (one.variance / one.count + other.variance / other.count).sqrt();
    (difference / error, difference / one.mean)
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    /// One number after the other (Welford 1962).
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for number in numbers {
            count += 1.0;
            let distance = number - mean;
            mean += distance / count;
            squares += distance * (number - mean);
        }
        Self {
            count,
            mean,
            variance: squares / (count - 1.0),
        }
    }
}
