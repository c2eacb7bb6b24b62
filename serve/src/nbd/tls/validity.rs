//! From when to when a certificate counts (RFC 5280, 4.1.2.5): whoever connects looks at it, and so may whoever serves.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;

/// A second of the calendar, in UTC. The digits of its year, month, day, hour, minute and second.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment([u8; 14]);

/// The first and the last moment at which a certificate counts, where it has the form of one.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(Moment, Moment)> {
    let mut signed = Der(Der(certificate).take(SEQUENCE)?);
    let mut fields = Der(signed.take(SEQUENCE)?);
    // A version may stand before the number.
    let (tag, _) = fields.next()?;
    if tag == VERSION {
        fields.take(INTEGER)?;
    } else if tag != INTEGER {
        return None;
    }
    let (_algorithm, _issuer) = (fields.take(SEQUENCE)?, fields.take(SEQUENCE)?);
    let mut both = Der(fields.take(SEQUENCE)?);
    let mut moment = || {
        let (tag, text) = both.next()?;
        Moment::read(tag, text)
    };
    Some((moment()?, moment()?))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

impl Moment {
    /// By the clock; none before 1970 and after 9999.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Years that begin in March have their odd day at the end: 400 of them have 146,097 days, and the first of these
        // began 719,468 days before 1970.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let is_next_year = month >= 10;
        let month = if is_next_year { month - 9 } else { month + 3 };
        let year = 400 * era + year + u64::from(is_next_year);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
        Some(Self(text.into_bytes().try_into().ok()?))
    }

    /// As a certificate says it: years of two digits lie between 1950 and 2049.
    fn read(tag: u8, text: &[u8]) -> Option<Self> {
        let digits = text.strip_suffix(b"Z")?;
        let digits = match tag {
            UTC_TIME => {
                let century = if *digits.first()? < b'5' {
                    b"20"
                } else {
                    b"19"
                };
                [century, digits].concat()
            }
            GENERALIZED_TIME => digits.to_vec(),
            _ => return None,
        };
        let is_number = digits.iter().all(u8::is_ascii_digit);
        Some(Self(digits.try_into().ok().filter(|_| is_number)?))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.iter().enumerate() {
            f.write_str(match at {
                4 | 6 => "-",
                8 => " ",
                10 | 12 => ":",
                _ => "",
            })?;
            write!(f, "{}", char::from(*digit))?;
        }
        f.write_str(" UTC")
    }
}

/// Values one after another, each with its tag and its length.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            // So many bytes have the length.
            let (bytes, after) = rest.split_at_checked(length - 0x80)?;
            if bytes.is_empty() || bytes.len() > 4 {
                return None;
            }
            length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = after;
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, value) = self.next()?;
        (tag == wanted).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> String {
        let moment = Moment::of(UNIX_EPOCH + Duration::from_secs(seconds));
        moment.map(|moment| moment.to_string()).unwrap_or_default()
    }

    /// The seconds are those of `date -u -d ... +%s`.
    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (68_169_599, "1972-02-28 23:59:59 UTC"),
            (68_169_600, "1972-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (253_402_300_800, ""),
        ] {
            assert_eq!(at(seconds), text);
        }
    }

    #[test]
    fn what_a_certificate_says_is_read() {
        let read = |tag, text: &[u8]| Moment::read(tag, text).map(|moment| moment.to_string());
        for (tag, text, moment) in [
            (
                UTC_TIME,
                &b"491231235959Z"[..],
                Some("2049-12-31 23:59:59 UTC"),
            ),
            (UTC_TIME, b"500101000000Z", Some("1950-01-01 00:00:00 UTC")),
            (
                GENERALIZED_TIME,
                b"20500101000000Z",
                Some("2050-01-01 00:00:00 UTC"),
            ),
            (UTC_TIME, b"20500101000000Z", None),
            (UTC_TIME, b"4912312359Z", None),
            (UTC_TIME, b"491231235959", None),
            (UTC_TIME, b"49123123595xZ", None),
            (UTC_TIME, b"Z", None),
            (GENERALIZED_TIME, b"20500101000000.5Z", None),
            (SEQUENCE, b"20500101000000Z", None),
        ] {
            assert_eq!(read(tag, text).as_deref(), moment);
        }
    }

    #[test]
    fn whatever_is_no_certificate_says_nothing() {
        let times = [
            &[0x17, 13][..],
            b"200101000000Z",
            &[0x17, 13],
            b"210101000000Z",
        ]
        .concat();
        let value = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).expect("it is short");
            [&[tag, length], content].concat()
        };
        let fields = [
            value(VERSION, &[2, 1, 2]),
            value(INTEGER, &[1]),
            value(SEQUENCE, &[]),
            value(SEQUENCE, &[]),
            value(SEQUENCE, &times),
        ];
        let whole = value(SEQUENCE, &value(SEQUENCE, &fields.concat()));
        let of = |bytes: &[u8]| validity(&CertificateDer::from_slice(bytes));
        let (from, until) = of(&whole).expect("it has the form");
        assert_eq!(from.to_string(), "2020-01-01 00:00:00 UTC");
        assert_eq!(until.to_string(), "2021-01-01 00:00:00 UTC");
        let first = value(SEQUENCE, &value(SEQUENCE, &fields[1..].concat()));
        assert_eq!(of(&first), Some((from, until)), "of the first version");
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            for change in [0x80, 0xff, 0x01] {
                let mut other = whole.clone();
                other[at] ^= change;
                // Nothing but that it does not panic.
                let _ = of(&other);
            }
        }
    }
}
