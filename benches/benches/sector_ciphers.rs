//! Sector ciphers: 128 KiB in place, which stays in the second cache, with one thread.
//!
//! Side by side in one chart: this project's AES-XTS by each of its kernels, the xts-mode crate over the same AES, and a plain copy of the same
//! bytes, which is what no cipher can beat on data that comes from memory.

use aes::{
    Aes128, Aes256,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dmcrypt::{AesKernel, CipherSpec, SectorOptions, SectorSize};
use std::hint::black_box;
use xts_mode::{Xts128, get_tweak_default};

const BUFFER_BYTES: usize = 128 * 1024;
const SIZES: [SectorSize; 2] = [SectorSize::B512, SectorSize::B4096];

criterion_group!(benches, aes_xts, aes_cbc, other_ciphers, other_modes);
criterion_main!(benches);

fn aes_xts(criterion: &mut Criterion) {
    xts_mode_crate::<Aes128>(criterion, 32);
    xts_mode_crate::<Aes256>(criterion, 64);
    for key_bytes in [32, 64] {
        for sector_size in SIZES {
            each_kernel(criterion, "aes-xts-plain64", key_bytes, sector_size);
        }
        let mut group = criterion.benchmark_group(group_name("aes-xts-plain64", key_bytes));
        group.throughput(Throughput::Bytes(BUFFER_BYTES as u64));
        let source = test_bytes(BUFFER_BYTES);
        let mut target = vec![0; BUFFER_BYTES];
        group.bench_function("plain copy", |bencher| {
            bencher.iter(|| black_box(&mut target).copy_from_slice(black_box(&source)));
        });
    }
}

fn aes_cbc(criterion: &mut Criterion) {
    for sector_size in SIZES {
        each_kernel(criterion, "aes-cbc-essiv:sha256", 32, sector_size);
    }
}

/// Every other cipher, in the modes that people use it in.
fn other_ciphers(criterion: &mut Criterion) {
    for cipher in [
        "serpent",
        "twofish",
        "camellia",
        "cast6",
        "anubis",
        "seed",
        "aria",
        "sm4",
        "kuznyechik",
    ] {
        let key_bytes = if matches!(cipher, "seed" | "sm4") {
            16
        } else {
            32
        };
        for (mode, keys) in [("xts", 2), ("cbc", 1)] {
            let spec = format!("{cipher}-{mode}-plain64");
            ours(criterion, &spec, keys * key_bytes, SectorSize::B4096);
        }
    }
    for (cipher, key_bytes) in [
        ("blowfish", 32),
        ("cast5", 16),
        ("des3_ede", 24),
        ("khazad", 16),
        ("tea", 16),
        ("xtea", 16),
    ] {
        let spec = format!("{cipher}-cbc-plain64");
        ours(criterion, &spec, key_bytes, SectorSize::B4096);
    }
}

fn other_modes(criterion: &mut Criterion) {
    for (spec, key_bytes) in [
        ("aes-ctr-plain64", 32),
        ("aes-lrw-benbi", 48),
        ("aes-cbc-elephant", 64),
        ("xchacha12,aes-adiantum-plain64", 32),
        ("xchacha20,aes-adiantum-plain64", 32),
        ("aes-hctr2-plain64", 32),
    ] {
        ours(criterion, spec, key_bytes, SectorSize::B4096);
    }
    ours(criterion, "aes-cbc-tcw", 64, SectorSize::B512);
    ours(criterion, "aes:64-cbc-lmk", 65 * 32, SectorSize::B512);
}

fn ours(criterion: &mut Criterion, spec: &str, key_bytes: usize, sector_size: SectorSize) {
    measure(criterion, "luksmith", None, spec, key_bytes, sector_size);
}

/// AES by each code that this processor can run.
fn each_kernel(criterion: &mut Criterion, spec: &str, key_bytes: usize, sector_size: SectorSize) {
    for kernel in AesKernel::here() {
        let name = format!("luksmith {}", kernel.name());
        measure(criterion, &name, Some(kernel), spec, key_bytes, sector_size);
    }
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    kernel: Option<AesKernel>,
    spec: &str,
    key_bytes: usize,
    sector_size: SectorSize,
) {
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    let cipher = spec
        .parse::<CipherSpec>()
        .and_then(|parsed| parsed.sector_cipher_by(kernel, &test_bytes(key_bytes), options))
        .expect("a specification that is built");
    let mut data = test_bytes(BUFFER_BYTES);
    let mut group = criterion.benchmark_group(group_name(spec, key_bytes));
    group.throughput(Throughput::Bytes(BUFFER_BYTES as u64));
    let bytes = sector_size.bytes();
    group.bench_function(
        BenchmarkId::new(format!("{name} encrypt"), bytes),
        |bencher| {
            bencher.iter(|| cipher.encrypt(black_box(7), black_box(&mut data)));
        },
    );
    group.bench_function(
        BenchmarkId::new(format!("{name} decrypt"), bytes),
        |bencher| {
            bencher.iter(|| cipher.decrypt(black_box(7), black_box(&mut data)));
        },
    );
}

fn xts_mode_crate<C>(criterion: &mut Criterion, key_bytes: usize)
where
    C: BlockCipherDecrypt + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let key = test_bytes(key_bytes);
    let [data, tweak] = [&key[..key_bytes / 2], &key[key_bytes / 2..]]
        .map(|half| C::new_from_slice(half).expect("half of an XTS key is a key of AES"));
    let xts = Xts128::new(data, tweak);
    let mut data = test_bytes(BUFFER_BYTES);
    let mut group = criterion.benchmark_group(group_name("aes-xts-plain64", key_bytes));
    group.throughput(Throughput::Bytes(BUFFER_BYTES as u64));
    for sector_size in SIZES {
        group.bench_function(
            BenchmarkId::new("xts-mode crate encrypt", sector_size.bytes()),
            |bencher| {
                bencher.iter(|| {
                    xts.encrypt_area(
                        black_box(&mut data),
                        sector_size.bytes(),
                        7,
                        get_tweak_default,
                    );
                });
            },
        );
    }
}

fn group_name(spec: &str, key_bytes: usize) -> String {
    format!("{spec}, key of {} bits", key_bytes * 8)
}

/// Bytes that are all different enough: no key with equal halves, no data of zeros.
fn test_bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| (at * 167 + at / 256).to_le_bytes()[0])
        .collect()
}
