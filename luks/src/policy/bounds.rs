//! A floor and a ceiling.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A range of numbers, both ends in it; an end that is absent is open.
///
/// Written as `4`, `"4..20"`, `"4.."` or `"..20"`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bounds {
    /// The lowest that is allowed.
    pub min: Option<u64>,
    /// The highest that is allowed.
    pub max: Option<u64>,
}

impl Bounds {
    /// This number and no other.
    pub fn exactly(value: u64) -> Self {
        Self {
            min: Some(value),
            max: Some(value),
        }
    }

    /// The narrowest bounds around `values`; `None` without any.
    pub(super) fn around(values: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        let max = values.clone().max()?;
        Some(Self {
            min: values.min(),
            max: Some(max),
        })
    }

    /// Whether `value` is in the range.
    pub fn contain(&self, value: u64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    fn one(self) -> Option<u64> {
        self.min.filter(|_| self.min == self.max)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.one() {
            return write!(f, "{value}");
        }
        if let Some(min) = self.min {
            write!(f, "{min}")?;
        }
        f.write_str("..")?;
        self.max.map_or(Ok(()), |max| write!(f, "{max}"))
    }
}

/// A text that is no range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a number or a range such as \"4..20\", \"4..\" or \"..20\"")]
pub struct NotBounds(String);

impl FromStr for Bounds {
    type Err = NotBounds;

    fn from_str(text: &str) -> Result<Self, NotBounds> {
        let number = |digits: &str| {
            if digits.is_empty() {
                return Ok(None);
            }
            // `parse` alone would take a sign.
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            match digits.parse() {
                Ok(value) if plain => Ok(Some(value)),
                _ => Err(NotBounds(text.into())),
            }
        };
        let (min, max) = match text.split_once("..") {
            Some((min, max)) => (number(min)?, number(max)?),
            None => (number(text)?, number(text)?),
        };
        match (min, max) {
            (None, None) => Err(NotBounds(text.into())),
            (Some(min), Some(max)) if min > max => Err(NotBounds(text.into())),
            _ => Ok(Self { min, max }),
        }
    }
}

impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // TOML's integers end at 2^63 - 1; beyond that the text says the same.
        match self.one().map(i64::try_from) {
            Some(Ok(value)) => serializer.serialize_i64(value),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoundsVisitor)
    }
}

struct BoundsVisitor;

impl Visitor<'_> for BoundsVisitor {
    type Value = Bounds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a range such as \"4..20\"")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bounds, E> {
        Ok(Bounds::exactly(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Bounds, E> {
        u64::try_from(value)
            .map(Bounds::exactly)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bounds, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a policy has them.
    #[derive(Deserialize, Serialize)]
    struct Held {
        bounds: Bounds,
    }

    impl Held {
        fn of(bounds: Bounds) -> Self {
            Self { bounds }
        }
    }

    fn read(text: &str) -> Result<Bounds, toml::de::Error> {
        toml::from_str::<Held>(text).map(|held| held.bounds)
    }

    #[test]
    fn one_number_is_written_as_one_as_far_as_toml_goes() {
        let text = |value: u64| toml::to_string(&Held::of(Bounds::exactly(value))).unwrap();
        assert_eq!(text(4), "bounds = 4\n");
        assert_eq!(text((1 << 63) - 1), "bounds = 9223372036854775807\n");
        assert_eq!(text(1 << 63), "bounds = \"9223372036854775808\"\n");
        assert_eq!(read("bounds = 4").unwrap(), Bounds::exactly(4));
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        for (text, inside, outside) in [
            ("4", &[4][..], &[0, 3, 5, u64::MAX][..]),
            ("4..20", &[4, 12, 20], &[3, 21]),
            ("4..", &[4, u64::MAX], &[0, 3]),
            ("..20", &[0, 20], &[21]),
            (
                "18446744073709551615",
                &[u64::MAX],
                &[0, u64::MAX - 1, 1 << 63],
            ),
        ] {
            let bounds: Bounds = text.parse().unwrap();
            assert_eq!(bounds.to_string(), text);
            assert!(
                inside.iter().all(|value| bounds.contain(*value)),
                "{bounds}"
            );
            assert!(
                !outside.iter().any(|value| bounds.contain(*value)),
                "{bounds}"
            );
            let written = toml::to_string(&Held::of(bounds)).unwrap();
            assert_eq!(read(&written).unwrap(), bounds);
        }
        for wrong in [
            "",
            "..",
            "20..4",
            "-1",
            "+1",
            "1..-2",
            "4...20",
            "4..=20",
            "a",
            "1 ",
            "18446744073709551616",
        ] {
            assert!(wrong.parse::<Bounds>().is_err(), "{wrong:?}");
        }
        let error = read("bounds = 1.5").unwrap_err();
        let says = "expected a number or a range such as \"4..20\"";
        assert!(error.to_string().contains(says), "{error}");
        assert!(read("bounds = -1").is_err());
        assert!(read("bounds = []").is_err());
    }
}
