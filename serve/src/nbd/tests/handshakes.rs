//! Options: in order and out of it.

use super::*;
use crate::nbd::Violation;
use crate::nbd::handshake::MAX_OPTION_BYTES;
use crate::nbd::protocol::{can, info};

fn one() -> Arc<Export> {
    export_of(vec![0; 10_000], ExportOptions::default()).1
}

fn code(said: &[(u32, Vec<u8>)]) -> u32 {
    said.last().unwrap().0
}

#[test]
fn the_export_is_told_as_it_is() {
    for (options, expected) in [
        (ExportOptions::default(), 0b1101_0100_1101),
        (
            ExportOptions {
                read_only: true,
                discard: true,
            },
            0b0101_0000_1111,
        ),
        (
            ExportOptions {
                discard: true,
                ..ExportOptions::default()
            },
            0b1101_0110_1101,
        ),
    ] {
        let (_, export) = export_of(vec![0; 10_000], options);
        let mut client = Client::greeted(&export);
        let asked = [&[0, 0, 0, 0, 0, 2][..], &[0, 1, 0, 3]].concat();
        let said = client.option(option::INFO, &asked);
        let told: Vec<_> = said
            .iter()
            .map(|(reply, data)| (*reply, &data[..]))
            .collect();
        let size = [&[0, 0][..], &10_000_u64.to_be_bytes()].concat();
        assert_eq!(told[0].1[..10], size);
        let flags = u16::from_be_bytes(told[0].1[10..].try_into().unwrap());
        assert_eq!(flags, expected, "{options:?}");
        assert_eq!(told[1], (answer::INFO, &info::NAME.to_be_bytes()[..]));
        let blocks = [
            &info::BLOCK_SIZE.to_be_bytes()[..],
            &1_u32.to_be_bytes(),
            &4096_u32.to_be_bytes(),
            &(32_u32 << 20).to_be_bytes(),
        ];
        assert_eq!(told[2], (answer::INFO, &blocks.concat()[..]));
        assert_eq!(told[3], (answer::ACK, &[][..]));
        // With structured replies a read can be asked for in one piece.
        client.option(option::STRUCTURED_REPLY, &[]);
        let said = client.option(option::GO, &asked);
        let flags = u16::from_be_bytes(said[0].1[10..].try_into().unwrap());
        assert_eq!(flags, expected | can::DF);
        assert!(matches!(client.leave(), Ended::Gone));
    }
}

#[test]
fn options_are_answered_one_by_one() {
    let export = one();
    let mut client = Client::greeted(&export);
    let listed = client.option(option::LIST, &[]);
    assert_eq!(
        listed,
        [(answer::SERVER, vec![0; 4]), (answer::ACK, vec![])]
    );
    let context = |name: &str| {
        let length = u8::try_from(name.len()).unwrap();
        [&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, length], name.as_bytes()].concat()
    };
    let allocation = context(ALLOCATION);
    let too_long = vec![0; MAX_OPTION_BYTES as usize + 1];
    let refused: &[(u32, &[u8], u32)] = &[
        (option::STARTTLS, &[], answer::UNSUPPORTED),
        (4, &[], answer::UNSUPPORTED),
        (99, b"anything", answer::UNSUPPORTED),
        (u32::MAX, &[], answer::UNSUPPORTED),
        (option::LIST, b"x", answer::INVALID),
        (option::STRUCTURED_REPLY, b"x", answer::INVALID),
        (option::EXTENDED_HEADERS, b"x", answer::INVALID),
        (option::SET_META_CONTEXT, &allocation, answer::INVALID),
        (option::LIST_META_CONTEXT, &allocation, answer::INVALID),
        (option::GO, &[], answer::INVALID),
        (option::GO, &[0; 5], answer::INVALID),
        (option::GO, &[0; 7], answer::INVALID),
        (option::GO, &[0, 0, 0, 0, 0, 1], answer::INVALID),
        (option::INFO, &[255; 6], answer::INVALID),
        (option::INFO, &[0, 0, 0, 1, b'x', 0, 0], answer::UNKNOWN),
        (option::GO, &too_long, answer::TOO_BIG),
    ];
    for (option, data, reply) in refused {
        let said = client.option(*option, data);
        assert_eq!(
            code(&said),
            *reply,
            "{option} {:?}",
            &data[..data.len().min(9)]
        );
    }
    let long = [&5000_u32.to_be_bytes()[..], &[b'x'; 5000], &[0, 0]].concat();
    assert_eq!(code(&client.option(option::GO, &long)), answer::TOO_BIG);

    assert_eq!(
        code(&client.option(option::STRUCTURED_REPLY, &[])),
        answer::ACK
    );
    assert_eq!(
        code(&client.option(option::STRUCTURED_REPLY, &[])),
        answer::INVALID
    );
    for (option, query, contexts) in [
        (option::LIST_META_CONTEXT, context("base:"), 1),
        (option::LIST_META_CONTEXT, vec![0; 8], 1),
        (option::LIST_META_CONTEXT, context("qemu:x"), 0),
        (option::SET_META_CONTEXT, allocation.clone(), 1),
        (option::SET_META_CONTEXT, context("base:"), 0),
        (option::SET_META_CONTEXT, vec![0; 8], 0),
    ] {
        let said = client.option(option, &query);
        assert_eq!((code(&said), said.len() - 1), (answer::ACK, contexts));
        for (reply, data) in &said[..contexts] {
            assert_eq!(*reply, answer::META_CONTEXT);
            assert_eq!(&data[4..], ALLOCATION.as_bytes());
        }
    }
    for (data, reply) in [
        (vec![0; 7], answer::INVALID),
        (allocation[..20].to_vec(), answer::INVALID),
        ([&allocation[..], b"x"].concat(), answer::INVALID),
        (
            [&[0; 4][..], &u32::MAX.to_be_bytes()].concat(),
            answer::TOO_BIG,
        ),
        ([&[0, 0, 0, 1, b'x'][..], &[0; 4]].concat(), answer::UNKNOWN),
    ] {
        assert_eq!(code(&client.option(option::SET_META_CONTEXT, &data)), reply);
    }
    assert_eq!(
        code(&client.option(option::EXTENDED_HEADERS, &[])),
        answer::ACK
    );
    assert_eq!(
        code(&client.option(option::EXTENDED_HEADERS, &[])),
        answer::INVALID
    );
    assert_eq!(
        code(&client.option(option::STRUCTURED_REPLY, &[])),
        answer::EXTENDED_HEADERS_REQUIRED
    );
    assert_eq!(code(&client.option(option::ABORT, b"bye")), answer::ACK);
    assert!(matches!(client.ended(), Ended::Disconnected));
}

/// What was chosen last counts, even where it failed.
#[test]
fn contexts_are_chosen_anew_each_time() {
    let (_, export) = export_of(vec![0; 4096], ExportOptions::default());
    let mut client = Client::greeted(&export);
    client.option(option::STRUCTURED_REPLY, &[]);
    let query = [
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15],
        ALLOCATION.as_bytes(),
    ]
    .concat();
    assert_eq!(client.option(option::SET_META_CONTEXT, &query).len(), 2);
    assert_eq!(
        code(&client.option(option::SET_META_CONTEXT, &[1])),
        answer::INVALID
    );
    client.option(option::GO, &[0; 6]);
    client.replies = Replies::Structured;
    let status = client.ask(crate::nbd::protocol::command::BLOCK_STATUS, 0, 0, 4096);
    assert_eq!(status.error, 22);
}

#[test]
fn the_old_way_in_works_and_cannot_fail() {
    let export = one();
    for (flags, zeroes) in [(1, 124), (3, 0), (0, 124)] {
        let mut client = Client::silent(&export, 1);
        client.greet(flags);
        client.send_option(option::EXPORT_NAME, &[]);
        assert_eq!(client.u64(), 10_000);
        assert_eq!(client.u16() & can::DF, 0);
        assert!(client.take_vec(zeroes).iter().all(|byte| *byte == 0));
        assert_eq!(client.read(9_999, 1), Ok(vec![0]));
        assert!(matches!(client.leave(), Ended::Gone));
    }
    let mut client = Client::greeted(&export);
    client.send_option(option::EXPORT_NAME, b"another");
    assert!(matches!(
        client.ended(),
        Ended::Violation(Violation::ExportName)
    ));
}

#[test]
fn who_does_not_speak_the_protocol_is_let_go() {
    let export = one();
    let violation = |flags: u32, bytes: &[u8]| {
        let mut client = Client::silent(&export, 1);
        client.greet(flags);
        let _ = client.stream.write_all(bytes);
        match client.ended() {
            Ended::Violation(violation) => violation,
            other => panic!("{other}"),
        }
    };
    assert_eq!(violation(7, &[]), Violation::ClientFlags(7));
    assert_eq!(violation(1 << 31, &[]), Violation::ClientFlags(1 << 31));
    // TLS to a plain port, a request without a handshake, text.
    let garbage: [&[u8]; 3] = [
        &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0],
        &[0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        b"GET / HTTP/1.1\r\n",
    ];
    for bytes in garbage {
        assert_eq!(violation(3, bytes), Violation::OptionMagic);
    }
    let header = |option: u32, length: u32| {
        [
            &OPTION_MAGIC.to_be_bytes()[..],
            &option.to_be_bytes(),
            &length.to_be_bytes(),
        ]
        .concat()
    };
    let long = violation(3, &header(option::GO, u32::MAX));
    assert_eq!(long, Violation::OptionLength(u32::MAX));
    assert_eq!(violation(0, &header(option::GO, 0)), Violation::NotFixed(7));
    // Somebody who says nothing more, at every place.
    let whole = [&[0, 0, 0, 3][..], &header(option::GO, 6), &[0; 6]].concat();
    for end in 0..whole.len() {
        let mut client = Client::silent(&export, 1);
        let _: [u8; 18] = client.take();
        client.send(&whole[..end]);
        assert!(matches!(client.leave(), Ended::Gone), "{end}");
    }
}
