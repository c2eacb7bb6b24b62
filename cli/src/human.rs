//! Sizes and times as people read them, and lines that fit a terminal.

use std::fmt::Write as _;
use std::time::Duration;

/// Columns that every terminal has.
pub const COLUMNS: usize = 80;
/// Columns of a row's name.
const NAME_COLUMNS: usize = 12;
/// Columns of its value.
pub const VALUE_COLUMNS: usize = COLUMNS - NAME_COLUMNS;

/// So many bytes, and in the largest unit that they fill: `16777216 bytes (16 MiB)`.
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        format!("{bytes} bytes")
    } else {
        format!("{bytes} bytes ({})", short_size(bytes))
    }
}

/// So many bytes in the largest unit that they fill, to a tenth: `1.5 GiB`.
pub fn short_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = bytes.checked_ilog2().map(|log| log / 10).filter(|p| *p > 0) else {
        return format!("{bytes} bytes");
    };
    let shift = 10 * power;
    let unit = units[power as usize - 1];
    if bytes.trailing_zeros() >= shift {
        return format!("{} {unit}", bytes >> shift);
    }
    // Tenths, rounded; 1023.96 KiB become 1024.0 of them, which nobody minds.
    let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// KiB as [`short_size`] where that is exact.
pub fn kib(kib: u64) -> String {
    match kib.checked_mul(1024) {
        Some(bytes) if !short_size(bytes).contains('.') => short_size(bytes),
        _ => format!("{kib} KiB"),
    }
}

/// A time in at most two units: `12 s`, `3 min 20 s`, `2 h 10 min`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..360_000 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Adds a row: a name, and its value on as many lines as it needs to stay within [`COLUMNS`]. A word that is longer
/// stands on a line of its own.
pub fn row(text: &mut String, name: &str, value: &str) {
    let mut name = name;
    for line in wrapped(value, VALUE_COLUMNS) {
        let line = format!("{name:<NAME_COLUMNS$}{line}");
        let _ = writeln!(text, "{}", line.trim_end());
        name = "";
    }
}

fn wrapped(value: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in value.split(' ') {
        let width = word.chars().count();
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() && used == 0 {
            line.push_str(word);
            used = width;
        } else if used + 1 + width <= columns {
            line.push(' ');
            line.push_str(word);
            used += 1 + width;
        } else {
            lines.push(word.to_owned());
            used = width;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_they_fill() {
        for (bytes, short) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (16 << 20, "16 MiB"),
            (16_744_448, "16.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(short_size(bytes), short);
        }
        assert_eq!(size(512), "512 bytes");
        assert_eq!(size(4 << 20), "4194304 bytes (4 MiB)");
        assert_eq!(kib(1 << 20), "1 GiB");
        assert_eq!(kib(1_048_577), "1048577 KiB");
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (200, "3 min 20 s"),
            (7800, "2 h 10 min"),
            (864_000, "10 days"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn rows_stay_within_a_terminal() {
        let words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
        let long = "x".repeat(200);
        let mut text = String::new();
        row(&mut text, "name", words);
        row(&mut text, "long", &format!("a {long} b"));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0].split_whitespace().next(), Some("name"));
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(joined.contains(words), "no word is lost or added: {joined}");
        for line in &lines {
            assert!(
                line.chars().count() <= COLUMNS || line.contains(&long),
                "{line}"
            );
        }
        assert!(lines.len() >= 5);
    }
}
