use std::sync::Arc;

use luks::{
    Error, FormatOptions, Header, InvalidOption, OsRandom, TokenProblem, Version, format, tokens,
};
use volume::{MemoryStorage, Storage};

use crate::common::{memory, passphrase};
use crate::crash::small;
use crate::headers::{COPY, Cut, container, open, open_any, opens, require};

#[test]
fn a_crash_of_a_change_of_tokens_leaves_the_old_or_the_new_ones() {
    let image = container(Version::Luks2);
    let token = tokens::parse(br#" {"type":"theirs","keyslots":["0"],"own":{"x":[1.5,null,123456789012345678901234567890]}} "#);
    let token = token.unwrap();
    let count = |disk: &Arc<MemoryStorage>| match open(disk).header() {
        Header::Luks2(header) => header.metadata.tokens.len(),
        Header::Luks1(_) => panic!("LUKS2"),
    };
    let both_copies = |disk: &Arc<MemoryStorage>| open(disk).warnings().is_empty();
    let add = |disk: &Arc<dyn Storage>| {
        let id = tokens::add(&open_any(disk), token.clone(), None, false, &mut OsRandom);
        assert_eq!(id.unwrap(), 0);
    };
    let added = Cut {
        what: "token add",
        image: &image,
        fixed: 2 * COPY,
        spare: &[],
    }
    .everywhere(add, |disk, done| {
        require(opens(&disk), "the passphrase does not open it")?;
        require(
            !done || count(&disk) == 1 && both_copies(&disk),
            "done is not durable",
        )
    });
    let luks = open(&memory(added.clone()));
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    assert_eq!(
        tokens::export(&header.metadata, 0).unwrap(),
        r#"{"type":"theirs","keyslots":["0"],"own":{"x":[1.5,null,123456789012345678901234567890]}}"#
    );
    let remove = |disk: &Arc<dyn Storage>| {
        tokens::remove(&open_any(disk), 0, &mut OsRandom).unwrap();
    };
    Cut {
        what: "token remove",
        image: &added,
        fixed: 2 * COPY,
        spare: &[],
    }
    .everywhere(remove, |disk, done| {
        require(opens(&disk), "the passphrase does not open it")?;
        require(
            !done || count(&disk) == 0 && both_copies(&disk),
            "done is not durable",
        )
    });
}

#[test]
fn each_mistake_with_a_token_has_its_error() {
    let disk = memory(container(Version::Luks2));
    let luks = || open(&disk);
    let problem = |outcome: Result<(), Error>| match outcome {
        Err(Error::InvalidOption(InvalidOption::Token(problem))) => problem,
        other => panic!("{other:?}"),
    };
    let add = |id, replace| {
        let token = tokens::keyring("key", &[0]);
        tokens::add(&luks(), token, id, replace, &mut OsRandom).map(drop)
    };
    add(Some(3), false).unwrap();
    assert_eq!(problem(add(Some(3), false)), TokenProblem::InUse(3));
    add(Some(3), true).unwrap();
    assert_eq!(problem(add(Some(32), false)), TokenProblem::Number(32));
    let mut random = OsRandom;
    assert_eq!(
        problem(tokens::remove(&luks(), 4, &mut random)),
        TokenProblem::Missing(4)
    );
    assert_eq!(
        problem(tokens::assign(&luks(), 3, 0, &mut random)),
        TokenProblem::Assigned {
            token: 3,
            keyslot: 0
        }
    );
    tokens::unassign(&luks(), 3, 0, &mut random).unwrap();
    assert_eq!(
        problem(tokens::unassign(&luks(), 3, 0, &mut random)),
        TokenProblem::NotAssigned {
            token: 3,
            keyslot: 0
        }
    );
    let breaks = |outcome: Result<(), Error>| match outcome {
        Err(Error::InvalidOption(InvalidOption::Breaks(corrupt))) => corrupt.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        breaks(tokens::assign(&luks(), 3, 7, &mut random)),
        "tokens.3.keyslots: names \"7\", which does not exist"
    );
    for (text, says) in [
        (r#"{"keyslots":[]}"#, "tokens.0.type is missing"),
        (r#"{"type":"x"}"#, "tokens.0.keyslots is missing"),
        (
            r#"{"type":"luks2-keyring","keyslots":[]}"#,
            "tokens.0.key_description is missing",
        ),
    ] {
        let token = tokens::parse(text.as_bytes()).unwrap();
        let outcome = tokens::add(&luks(), token, None, false, &mut random).map(drop);
        assert_eq!(breaks(outcome), says);
    }
    for (text, problem_of) in [
        (
            r#"{"type":"luks2-mine","keyslots":[]}"#,
            TokenProblem::Reserved("luks2-mine".into()),
        ),
        (
            r#"{"type":"luks2-","keyslots":[]}"#,
            TokenProblem::Reserved("luks2-".into()),
        ),
        (
            r#"{"type":"luks2-keyring","keyslots":[],"key_description":"d","more":1}"#,
            TokenProblem::Member("more".into()),
        ),
    ] {
        let token = tokens::parse(text.as_bytes()).unwrap();
        let outcome = tokens::add(&luks(), token, None, false, &mut random).map(drop);
        assert_eq!(problem(outcome), problem_of);
    }
    for (text, read) in [
        (
            r#"{"type":"x","keyslots":[],"type":"y"}"#,
            r#"{"type":"y","keyslots":[]}"#,
        ),
        (
            "/**/{'type':'x','keyslots':[],'n':123456789012345678901234567890,}}",
            r#"{"type":"x","keyslots":[],"n":123456789012345678901234567890}"#,
        ),
    ] {
        let token = serde_json::Value::Object(tokens::parse(text.as_bytes()).unwrap());
        assert_eq!(token.to_string(), read);
    }
    for text in ["", "[]", "{", r#"{"type":"x"#] {
        assert!(
            matches!(
                tokens::parse(text.as_bytes()),
                Err(InvalidOption::Token(TokenProblem::NotAnObject(_)))
            ),
            "{text}"
        );
    }
    let large = format!(
        r#"{{"type":"x","keyslots":[],"x":"{}"}}"#,
        "x".repeat(12288)
    );
    let token = tokens::parse(large.as_bytes()).unwrap();
    let error = tokens::add(&luks(), token, None, false, &mut random).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidOption(InvalidOption::JsonTooLarge { have: 12288, .. })
        ),
        "{error}"
    );
    for _ in 1..32 {
        add(None, false).unwrap();
    }
    assert_eq!(problem(add(None, false)), TokenProblem::Full);
}

/// What nobody could read again is not written: deep and numerous JSON, which fits into a token and not into the header.
#[test]
fn b3_a_token_that_makes_the_header_unreadable_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let many = |count: usize| format!("[{}0]", "0,".repeat(count));
    for (content, fits) in [
        (nested(29), true),
        (nested(30), false),
        (nested(31), false),
        (many(3000), true),
        (many(16_370), false),
    ] {
        let disk = memory(roomy());
        let before = disk.snapshot();
        let text = format!("{{\"type\":\"own\",\"keyslots\":[],\"x\":{content}}}");
        let token = tokens::parse(text.as_bytes()).unwrap();
        let added = tokens::add(&open(&disk), token, None, false, &mut OsRandom);
        match added {
            Ok(_) => assert!(fits && opens(&disk)),
            Err(Error::InvalidOption(InvalidOption::Breaks(_))) => {
                assert!(!fits && disk.snapshot() == before);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A container with 64 KiB for each header copy.
fn roomy() -> Vec<u8> {
    let options = FormatOptions {
        metadata_bytes: 4 * COPY as u64,
        data_offset: Some(0x9_0000),
        ..small(Version::Luks2)
    };
    let disk = MemoryStorage::new(1 << 20);
    let secret = passphrase(b"pw");
    let new = format::prepare(&options, &secret, None, &mut OsRandom, &|| false).unwrap();
    new.write_areas(&disk, &mut OsRandom).unwrap();
    new.commit(&disk).unwrap();
    disk.snapshot()
}
