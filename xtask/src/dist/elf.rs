//! Whether a program needs nothing beside itself.

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const SHT_SYMTAB: u64 = 2;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

/// Of a 64-bit little-endian ELF file: that it asks for no loader and no library, and has no table of symbols.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("not a 64-bit little-endian ELF file".to_owned());
    }
    let number = |at: u64, size: usize| number(bytes, at, size);
    let (programs, sections) = (number(32, 8)?, number(40, 8)?);
    let (program_bytes, program_count) = (number(54, 2)?, number(56, 2)?);
    let (section_bytes, section_count) = (number(58, 2)?, number(60, 2)?);
    for index in 0..program_count {
        let at = programs.saturating_add(index * program_bytes);
        match number(at, 4)? {
            PT_INTERP => return Err("it asks for a loader (PT_INTERP)".to_owned()),
            PT_DYNAMIC => {
                let (start, length) = (number(at + 8, 8)?, number(at + 32, 8)?);
                for entry in (start..start.saturating_add(length)).step_by(16) {
                    match number(entry, 8)? {
                        DT_NULL => break,
                        DT_NEEDED => return Err("it asks for a library (DT_NEEDED)".to_owned()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    for index in 0..section_count {
        let at = sections.saturating_add(index * section_bytes);
        if number(at.saturating_add(4), 4)? == SHT_SYMTAB {
            return Err("it has a table of symbols: it is not stripped".to_owned());
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: u64, size: usize) -> Result<u64, String> {
    let field = usize::try_from(at)
        .ok()
        .and_then(|at| bytes.get(at..at.checked_add(size)?))
        .ok_or("the ELF file ends early")?;
    let number = field.iter().rev();
    Ok(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One program header of type `program`, one section of type `section`, and a dynamic section of one entry.
    fn file(program: u8, section: u8, tag: u8) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[32], bytes[40]) = (64, 128);
        (bytes[54], bytes[56], bytes[58], bytes[60]) = (56, 1, 64, 1);
        bytes[64] = program;
        (bytes[72], bytes[96]) = (192, 32);
        bytes[132] = section;
        bytes[192] = tag;
        bytes
    }

    #[test]
    fn what_a_program_asks_for_is_seen() {
        assert_eq!(check(&file(1, 1, 1)), Ok(()));
        // A program that may lie anywhere has a dynamic section, and no library in it.
        assert_eq!(check(&file(2, 1, 5)), Ok(()));
        assert!(check(&file(3, 1, 0)).unwrap_err().contains("PT_INTERP"));
        assert!(check(&file(2, 1, 1)).unwrap_err().contains("DT_NEEDED"));
        assert!(check(&file(1, 2, 0)).unwrap_err().contains("stripped"));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = file(2, 1, 5);
        for length in [0, 5, 40, 100, 200] {
            assert!(check(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn this_test_is_not_static() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check(&this).is_err());
    }
}
