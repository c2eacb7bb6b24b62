//! The line of a table of dm-crypt, as the kernel tells it.

use devmapper::{Key, Line, Name, Table};

/// A line is taken apart or refused; put together it is the same line, also with another key, and says the same however
/// often. The bytes as a name of a mapping are refused, or spelled so that they are told as they were meant.
///
/// # Panics
/// When one of these does not hold.
pub fn table_line(data: &[u8]) -> bool {
    name(data);
    let Some(line) = Line::parse(data) else {
        return false;
    };
    let table = Table::of_line(&line, 8);
    let again = Line::parse(table.text()).expect("what was put together is taken apart");
    assert!(again == line, "{}", data.escape_ascii());
    assert_eq!(Table::of_line(&again, 8).text(), table.text());

    let key = [0x5a; 32];
    let keyed = Table::of_line_with(&line, &Key::Bytes(&key), 8).expect("bytes are a key");
    let keyed = Line::parse(keyed.text()).expect("what was put together is taken apart");
    assert_eq!(keyed.key.key_bytes(), key.len());
    assert!(!keyed.key.is_in_keyring());
    let same = Line {
        key: line.key,
        ..keyed
    };
    assert!(same == line);
    true
}

fn name(data: &[u8]) {
    let Ok(name) = Name::new(data) else {
        return;
    };
    let kernels = name.as_bytes();
    assert!(
        kernels
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'/')
    );
    assert!(!kernels.is_empty() && kernels.len() < 128);
    assert!(Name::new(kernels) == Ok(name.clone()));
    assert!(name.meant() == data || kernels == data);
}
