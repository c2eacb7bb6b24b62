//! Key derivations.

use std::cell::RefCell;

use luks::KdfParams;
use luks::kdf::{self, Argon2Variant, derive};

use crate::harness::{Chart, Contest, Effort, Work};
use crate::machine::on_one_core;
use crate::peers::{self, Argon2Work, Derivation, PASSPHRASE, Pbkdf2Hash, Pbkdf2Work, Peer, SALT};

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let iterations = effort.iterations;
    for peers_hash in [Pbkdf2Hash::Sha1, Pbkdf2Hash::Sha256, Pbkdf2Hash::Sha512] {
        let hash = peers_hash.algorithm();
        for key_bytes in [32, 64] {
            let work = Pbkdf2Work {
                hash: peers_hash,
                iterations,
                key_bytes,
            };
            each(on_one_core(|| {
                chart(
                    effort,
                    &format!("PBKDF2-{}, a key of {key_bytes} bytes", hash.name()),
                    Work::Operations(iterations),
                    key_bytes,
                    KdfParams::Pbkdf2 { hash, iterations },
                    peers::pbkdf2(work, effort.peers),
                )
            }));
        }
    }
    for &(lanes, memory_kib) in effort.argon2 {
        let work = Argon2Work {
            time: 4,
            memory_kib,
            lanes,
            key_bytes: 64,
        };
        let title = format!(
            "Argon2id, 4 passes over {} MiB, lanes: {lanes}",
            work.memory_kib / 1024
        );
        each(chart(
            effort,
            &title,
            Work::Whole,
            work.key_bytes,
            KdfParams::Argon2 {
                variant: Argon2Variant::Id,
                time: work.time,
                memory_kib: work.memory_kib,
                lanes,
            },
            peers::argon2(work, effort.peers),
        ));
    }
}

fn chart(
    effort: &Effort,
    title: &str,
    work: Work,
    key_bytes: usize,
    params: KdfParams,
    peers: Vec<Peer<Derivation>>,
) -> Chart {
    // As the others do: PBKDF2 alone, Argon2 a thread for each lane.
    let threads = match params {
        KdfParams::Pbkdf2 { .. } => 1,
        KdfParams::Argon2 { lanes, .. } => lanes as usize,
    };
    let ours: Derivation = Box::new(move |key| {
        let effort = kdf::Effort {
            threads,
            ..kdf::Effort::default()
        };
        let derived = derive(&params, PASSPHRASE, &SALT, key.len(), effort)
            .expect("the costs are within limits");
        key.copy_from_slice(derived.expose());
    });
    let key = RefCell::new(vec![0; key_bytes]);
    let mut expected: Option<Vec<u8>> = None;
    let mut contest = Contest::new(title, work);
    for (name, derivation) in [("luksmith", Ok(ours))].into_iter().chain(peers) {
        match derivation {
            Ok(mut derivation) => {
                derivation(&mut key.borrow_mut());
                let expected = expected.get_or_insert_with(|| key.borrow().clone());
                assert!(
                    *key.borrow() == *expected,
                    "{title}: {name} gives another key"
                );
                let key = &key;
                contest.add(name, move || derivation(&mut key.borrow_mut()));
            }
            Err(why) => contest.miss(name, why),
        }
    }
    contest.run(effort)
}
