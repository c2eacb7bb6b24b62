//! Sector ciphers: 128 KiB in place, which stays in the second cache, on one core.

use std::cell::RefCell;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use dmcrypt::{AesKernel, SectorSize};

use super::in_place::{aes_xts, cipher_by, direction, in_place};
use crate::bounds;
use crate::harness::{Chart, Contest, Effort, Row, Work};
use crate::machine::{cores, on_one_core, pin};
use crate::peers::{self, CipherWork, FIRST_SECTOR, Mode, Pass};
use crate::test_bytes;

const AREA_BYTES: usize = 128 * 1024;
/// Ciphers that are a hundred times slower take less.
const SMALL_AREA_BYTES: usize = 8192;
const SIZES: [SectorSize; 2] = [SectorSize::B512, SectorSize::B4096];

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    for (mode, key_sizes) in [(Mode::Xts, &[64, 48, 32][..]), (Mode::Cbc, &[32, 16][..])] {
        for &key_bytes in key_sizes {
            for size in SIZES {
                for encrypts in [true, false] {
                    let key = test_bytes(key_bytes);
                    each(on_one_core(|| {
                        aes(
                            effort,
                            CipherWork {
                                mode,
                                key: &key,
                                sector_bytes: size.bytes(),
                                encrypts,
                            },
                        )
                    }));
                }
            }
        }
    }
    if let Some(chart) = two_cores(effort) {
        each(chart);
    }
    each(on_one_core(|| other_ciphers(effort)));
    each(on_one_core(|| other_modes(effort)));
}

/// AES by each of our kernels, by others, and the instructions alone.
fn aes(effort: &Effort, work: CipherWork<'_>) -> Chart {
    let title = format!(
        "AES-{}-{}, sectors of {} bytes, {}",
        work.aes_bits(),
        work.mode.name(),
        work.sector_bytes,
        direction(work.encrypts)
    );
    let mut passes = vec![("luksmith".to_owned(), Ok(ours(work, None)))];
    let here = AesKernel::here();
    // The last is what runs anyway.
    for kernel in here.iter().rev().skip(1) {
        let name = format!("luksmith, {}", kernel.name());
        passes.push((name, Ok(ours(work, Some(*kernel)))));
    }
    for (name, pass) in peers::ciphers(work, effort.peers) {
        passes.push((name.to_owned(), pass));
    }
    agree(&title, &mut passes);
    if work.mode == Mode::Xts {
        let (name, bound) = bounds::aes_rounds(work.aes_bits() / 8).unzip();
        let bound = bound.ok_or("no instructions for AES are known here".to_owned());
        if bound.is_ok() || effort.peers {
            passes.insert(1, (name.unwrap_or("AESENC loop").to_owned(), bound));
        }
    }
    let area = RefCell::new(test_bytes(AREA_BYTES));
    let mut contest = Contest::new(title, Work::Bytes(AREA_BYTES as u64)).probed();
    for (name, pass) in passes {
        match pass {
            Ok(mut pass) => {
                let area = &area;
                contest.add(name, move || pass(&mut area.borrow_mut()));
            }
            Err(why) => contest.miss(name, why),
        }
    }
    contest.run(effort)
}

/// Nobody is measured who computes something else.
fn agree(title: &str, passes: &mut [(String, Result<Pass, String>)]) {
    let source = test_bytes(AREA_BYTES);
    let mut expected = None;
    for (name, pass) in passes {
        let Ok(pass) = pass else {
            continue;
        };
        let mut area = source.clone();
        pass(&mut area);
        let expected = expected.get_or_insert_with(|| area.clone());
        assert!(area == *expected, "{title}: {name} gives other bytes");
    }
}

fn ours(work: CipherWork<'_>, kernel: Option<AesKernel>) -> Pass {
    let spec = match work.mode {
        Mode::Xts => "aes-xts-plain64",
        Mode::Cbc => "aes-cbc-plain64",
    };
    let size = u32::try_from(work.sector_bytes)
        .ok()
        .and_then(SectorSize::new)
        .expect("a size that there is");
    let cipher = cipher_by(kernel, spec, work.key, size);
    if work.encrypts {
        Box::new(move |area| cipher.encrypt(FIRST_SECTOR, area))
    } else {
        Box::new(move |area| cipher.decrypt(FIRST_SECTOR, area))
    }
}

/// The best of some rounds in turns: how many times as much two threads do as one, each on a core of its own.
///
/// `None` where there is one core.
fn two_cores(effort: &Effort) -> Option<Chart> {
    let rounds = effort.most_turns.min(5);
    let passes = effort.iterations / 2;
    let steps = effort.iterations * 1000;
    if cores() < 2 {
        return None;
    }
    let works: Vec<(String, Box<dyn Fn() -> f64 + Sync>)> = SIZES
        .into_iter()
        .map(|size| {
            let work: Box<dyn Fn() -> f64 + Sync> = Box::new(move || {
                let cipher = aes_xts(None, size);
                let mut area = test_bytes(AREA_BYTES);
                cipher.encrypt(FIRST_SECTOR, &mut area);
                let start = Instant::now();
                for _ in 0..passes {
                    cipher.encrypt(FIRST_SECTOR, &mut area);
                }
                start.elapsed().as_secs_f64()
            });
            (
                format!("AES-256-XTS, sectors of {} bytes", size.bytes()),
                work,
            )
        })
        .chain([(
            "integer work in registers".to_owned(),
            Box::new(move || {
                let start = Instant::now();
                bounds::alu(steps);
                start.elapsed().as_secs_f64()
            }) as Box<dyn Fn() -> f64 + Sync>,
        )])
        .collect();
    let mut best = vec![[f64::INFINITY; 2]; works.len()];
    for _ in 0..rounds {
        for ((_, work), best) in works.iter().zip(&mut best) {
            for (best, threads) in best.iter_mut().zip(1..) {
                *best = best.min(slowest_of(threads, work.as_ref()));
            }
        }
    }
    let rows = works
        .iter()
        .zip(best)
        .map(|((name, _), [one, two])| Row {
            name: name.clone(),
            value: 2.0 * one / two,
            ratio: None,
            quiet: None,
        })
        .collect();
    Some(Chart {
        title: format!("Two cores against one, best of {rounds}"),
        unit: "times",
        turns: rounds,
        rows,
        missing: Vec::new(),
    })
}

/// Seconds that the slowest of some threads takes, which start together, each on a core of its own from the last on.
fn slowest_of(threads: usize, work: &(dyn Fn() -> f64 + Sync)) -> f64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    pin(thread);
                    start.wait();
                    work()
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .fold(0.0, f64::max)
    })
}

fn other_ciphers(effort: &Effort) -> Chart {
    let mut specs = vec![("aes-xts-plain64".to_owned(), 64)];
    for cipher in [
        "serpent",
        "twofish",
        "camellia",
        "cast6",
        "anubis",
        "aria",
        "kuznyechik",
        "seed",
        "sm4",
    ] {
        let key_bytes = if matches!(cipher, "seed" | "sm4") {
            32
        } else {
            64
        };
        specs.push((format!("{cipher}-xts-plain64"), key_bytes));
    }
    for (cipher, key_bytes) in [
        ("blowfish", 32),
        ("cast5", 16),
        ("des3_ede", 24),
        ("khazad", 16),
        ("tea", 16),
        ("xtea", 16),
    ] {
        specs.push((format!("{cipher}-cbc-plain64"), key_bytes));
    }
    in_place(
        effort,
        "Other ciphers, sectors of 4096 bytes, encryption".to_owned(),
        SMALL_AREA_BYTES,
        SectorSize::B4096,
        true,
        &specs,
    )
}

fn other_modes(effort: &Effort) -> Chart {
    let specs = [
        ("aes-xts-plain64", 64),
        ("aes-cbc-essiv:sha256", 32),
        ("aes-ecb", 32),
        ("aes-ctr-plain64", 32),
        ("aes-lrw-benbi", 48),
        ("xchacha12,aes-adiantum-plain64", 32),
        ("xchacha20,aes-adiantum-plain64", 32),
        ("aes-hctr2-plain64", 32),
    ];
    in_place(
        effort,
        "Other modes, sectors of 4096 bytes, encryption".to_owned(),
        AREA_BYTES,
        SectorSize::B4096,
        true,
        &specs,
    )
}
