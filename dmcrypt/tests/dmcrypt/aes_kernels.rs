use crate::common::options;
use dmcrypt::{AesKernel, AesXts, CipherSpec};
use std::hint::black_box;

/// The length of a specification's key, for a key of AES of this length.
type KeyBytes = fn(usize) -> usize;

/// Every mode that AES works with, and how long its keys are for a key of AES.
const SPECS: [(&str, KeyBytes); 12] = [
    ("aes-xts-plain64", |key| 2 * key),
    ("aes-xts-plain64be", |key| 2 * key),
    ("aes-xts-eboiv", |key| 2 * key),
    ("aes-xts-essiv:sha256", |key| 2 * key),
    ("aes-cbc-plain64", |key| key),
    ("aes-cbc-essiv:sha256", |key| key),
    ("aes-cbc-eboiv", |key| key),
    ("aes-ecb", |key| key),
    ("aes-ctr-plain64", |key| key),
    ("aes-lrw-benbi", |key| key + 16),
    ("xchacha12,aes-adiantum-plain64", |_| 32),
    ("aes-hctr2-plain64", |key| key),
];

/// Numbers that look random and are the same in every run (`SplitMix64`: Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64)
            .try_into()
            .expect("below a usize")
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// Calls `action` with so many bytes more on the stack that what it puts there lies at another distance from every aligned
/// address.
fn at_stack_offset(steps: usize, action: &mut dyn FnMut()) {
    #[inline(never)]
    fn step(steps: usize, action: &mut dyn FnMut()) {
        let here = black_box([0_u8; 24]);
        if steps == 0 {
            action();
        } else {
            step(steps - 1, action);
        }
        black_box(here);
    }
    step(steps, action);
}

/// A buffer, and the same after `action` at a random distance from aligned addresses, with bytes around it that must stay.
fn misaligned(random: &mut Random, data: &[u8], mut action: impl FnMut(&mut [u8])) -> Vec<u8> {
    const MARGIN_BYTES: usize = 640;
    let start = MARGIN_BYTES + random.below(64);
    let mut memory = random.bytes(start + data.len() + MARGIN_BYTES);
    memory[start..start + data.len()].copy_from_slice(data);
    let before = memory.clone();
    let area = start..start + data.len();
    at_stack_offset(random.below(17), &mut || action(&mut memory[area.clone()]));
    assert!(
        memory[..area.start] == before[..area.start] && memory[area.end..] == before[area.end..],
        "bytes beside the data have changed"
    );
    memory[area].to_vec()
}

fn finish(kernel: AesKernel, what: &str, passed: usize, failed: &[String]) {
    println!(
        "cases: aes-kernel-{}-{what} {passed} passed, {} failed",
        kernel.name(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}: {failed:?}", kernel.name());
}

/// Sectors of every mode, against the portable code.
#[test]
fn sectors_are_those_of_the_portable_code() {
    const CASES: usize = 600;
    let here = AesKernel::here();
    for &kernel in &here {
        let mut random = Random(1);
        let (mut passed, mut failed) = (0, Vec::new());
        for case in 0..CASES {
            let (spec, mode_key_bytes) = SPECS[case % SPECS.len()];
            let aes_key_bytes = if spec.contains("essiv") || spec.contains("hctr2") {
                32
            } else {
                random.choose(&[16, 24, 32])
            };
            let key = random.bytes(mode_key_bytes(aes_key_bytes));
            let sector_size = random.choose(&[512, 1024, 2048, 4096]);
            let most_sectors = random.choose(&[3, 40, 300]);
            let sectors = 1 + random.below(most_sectors.min(400_000 / sector_size));
            let first = random.choose(&[
                0,
                (1 << 32) - sectors as u64 / 2,
                u64::MAX - sectors as u64 / 2,
                7_777_777,
            ]);
            let options = options(sector_size, random.choose(&[false, true]));
            let data = random.bytes(sectors * sector_size);
            let build = |kernel| {
                spec.parse::<CipherSpec>()
                    .and_then(|spec| spec.sector_cipher_by(Some(kernel), &key, options))
                    .unwrap_or_else(|error| panic!("{spec}, key of {aes_key_bytes}: {error}"))
            };
            let (model, tested) = (build(here[0]), build(kernel));
            let mut expected = data.clone();
            model.encrypt(first, &mut expected);
            let encrypted = misaligned(&mut random, &data, |data| tested.encrypt(first, data));
            let decrypted = misaligned(&mut random, &expected, |data| tested.decrypt(first, data));
            // The model's decryption too, of what is no ciphertext of anything in particular.
            let mut opened = data.clone();
            model.decrypt(first, &mut opened);
            let also = misaligned(&mut random, &data, |data| tested.decrypt(first, data));
            if encrypted == expected && decrypted == data && also == opened {
                passed += 1;
            } else {
                failed.push(format!(
                    "case {case}: {spec}, key of {aes_key_bytes}, {sectors} sectors of {sector_size} from {first}"
                ));
            }
        }
        finish(kernel, "sectors", passed, &failed);
    }
}

/// Data units of XTS that are no sectors: any number of blocks.
#[test]
fn units_are_those_of_the_portable_code() {
    const MOST_BLOCKS: usize = 700;
    let here = AesKernel::here();
    for &kernel in &here {
        let mut random = Random(2);
        let (mut passed, mut failed) = (0, Vec::new());
        for blocks in 1..MOST_BLOCKS {
            let key_bytes = random.choose(&[32, 48, 64]);
            let key = random.bytes(key_bytes);
            let tweak = (u128::from(random.next()) << 64 | u128::from(random.next())).to_le_bytes();
            let data = random.bytes(16 * blocks);
            let build = |kernel| AesXts::with_kernel(kernel, &key).expect("a key of AES-XTS");
            let (model, tested) = (build(here[0]), build(kernel));
            let mut expected = data.clone();
            model.encrypt_unit(tweak, &mut expected);
            let encrypted = misaligned(&mut random, &data, |unit| tested.encrypt_unit(tweak, unit));
            let decrypted = misaligned(&mut random, &expected, |unit| {
                tested.decrypt_unit(tweak, unit);
            });
            if encrypted == expected && decrypted == data {
                passed += 1;
            } else {
                failed.push(format!("{blocks} blocks with a key of {key_bytes} bytes"));
            }
        }
        finish(kernel, "units", passed, &failed);
    }
}

/// What a cipher says of itself is the kernel that it was asked for, and otherwise the last of the list.
#[test]
fn ciphers_name_their_kernel() {
    let here = AesKernel::here();
    for spec in ["aes-xts-plain64", "aes-cbc-plain64", "aes-ecb"] {
        let parsed: CipherSpec = spec.parse().expect("a specification");
        let name = |kernel| {
            parsed
                .sector_cipher_by(kernel, &[7; 32], options(512, false))
                .expect("it is built")
                .kernel()
        };
        for &kernel in &here {
            assert_eq!(name(Some(kernel)), kernel.name(), "{spec}");
        }
        assert_eq!(name(None), AesKernel::best().name(), "{spec}");
    }
    assert_eq!(AesKernel::best().name(), here[here.len() - 1].name());
    let cast5: CipherSpec = "cast5-cbc-plain64".parse().expect("a specification");
    let cast5 = cast5
        .sector_cipher_by(Some(AesKernel::best()), &[7; 16], options(512, false))
        .expect("it is built");
    assert_eq!(cast5.kernel(), "portable");
}
