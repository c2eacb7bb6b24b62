//! Keyboards: the same keys pressed, other characters written.

use super::text;
use crate::secret_buffer::SecretBuffer;

/// What the keys of a keyboard write.
#[derive(Debug)]
pub struct Layout {
    /// Its name, that of X11 where that is one word.
    pub name: &'static str,
    /// Its name for people.
    pub text: &'static str,
    /// What the 48 keys write, without Shift and with it: from the key left of 1 row by row, then the key right of the
    /// left Shift. A dead key stands for the character that it writes before a blank.
    pub keys: [&'static str; 2],
}

/// What a keyboard is taken for where nothing was set up.
#[rustfmt::skip]
pub const US: Layout =
Layout { name: "us", text: "US (QWERTY)", keys: ["`1234567890-=qwertyuiop[]asdfghjkl;'\\zxcvbnm,./<", "~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"|ZXCVBNM<>?>"] };

/// The others, the more common ones first.
#[rustfmt::skip]
pub const LAYOUTS: &[Layout] = &[
    Layout { name: "fr", text: "French (AZERTY)", keys: ["²&é\"'(-è_çà)=azertyuiop^$qsdfghjklmù*wxcvbn,;:!<", "~1234567890°+AZERTYUIOP¨£QSDFGHJKLM%µWXCVBN?./§>"] },
    Layout { name: "de", text: "German (QWERTZ)", keys: ["^1234567890ß´qwertzuiopü+asdfghjklöä#yxcvbnm,.-<", "°!\"§$%&/()=?`QWERTZUIOPÜ*ASDFGHJKLÖÄ'YXCVBNM;:_>"] },
    Layout { name: "ru", text: "Russian (ЙЦУКЕН)", keys: ["ё1234567890-=йцукенгшщзхъфывапролджэ\\ячсмитьбю./", "Ё!\"№;%:?*()_+ЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭ/ЯЧСМИТЬБЮ,|"] },
    Layout { name: "dvorak", text: "Dvorak", keys: ["`1234567890[]',.pyfgcrl/=aoeuidhtns-\\;qjkxbmwvz<", "~!@#$%^&*(){}\"<>PYFGCRL?+AOEUIDHTNS_|:QJKXBMWVZ>"] },
    Layout { name: "gb", text: "British", keys: ["`1234567890-=qwertyuiop[]asdfghjkl;'#zxcvbnm,./\\", "¬!\"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~ZXCVBNM<>?|"] },
    Layout { name: "es", text: "Spanish", keys: ["º1234567890'¡qwertyuiop`+asdfghjklñ´çzxcvbnm,.-<", "ª!\"·$%&/()=?¿QWERTYUIOP^*ASDFGHJKLÑ¨ÇZXCVBNM;:_>"] },
    Layout { name: "it", text: "Italian", keys: ["\\1234567890'ìqwertyuiopè+asdfghjklòàùzxcvbnm,.-<", "|!\"£$%&/()=?^QWERTYUIOPé*ASDFGHJKLç°§ZXCVBNM;:_>"] },
    Layout { name: "be", text: "Belgian (AZERTY)", keys: ["²&é\"'(§è!çà)-azertyuiop^$qsdfghjklmùµwxcvbn,;:=<", "³1234567890°_AZERTYUIOP¨*QSDFGHJKLM%£WXCVBN?./+>"] },
    Layout { name: "ch", text: "Swiss (QWERTZ)", keys: ["§1234567890'^qwertzuiopü¨asdfghjklöä$yxcvbnm,.-<", "°+\"*ç%&/()=?`QWERTZUIOPè!ASDFGHJKLéà£YXCVBNM;:_>"] },
    Layout { name: "il", text: "Hebrew", keys: [";1234567890-=/'\u{5e7}\u{5e8}\u{5d0}\u{5d8}\u{5d5}\u{5df}\u{5dd}\u{5e4}][\u{5e9}\u{5d3}\u{5d2}\u{5db}\u{5e2}\u{5d9}\u{5d7}\u{5dc}\u{5da}\u{5e3},\\\u{5d6}\u{5e1}\u{5d1}\u{5d4}\u{5e0}\u{5de}\u{5e6}\u{5ea}\u{5e5}.<", "~!@#$%^&*)(_+QWERTYUIOP}{ASDFGHJKL:\"|ZXCVBNM><?>"] },
    Layout { name: "gr", text: "Greek", keys: ["`1234567890-=;ςερτυθιοπ[]ασδφγηξκλ´'\\ζχψωβνμ,./«", "~!@#$%^&*()_+:ΣΕΡΤΥΘΙΟΠ{}ΑΣΔΦΓΗΞΚΛ¨\"|ΖΧΨΩΒΝΜ<>?»"] },
    Layout { name: "ua", text: "Ukrainian", keys: ["'1234567890-=йцукенгшщзхїфівапролджєґячсмитьбю./", "ʼ!\"№;%:?*()_+ЙЦУКЕНГШЩЗХЇФІВАПРОЛДЖЄҐЯЧСМИТЬБЮ,|"] },
    Layout { name: "se", text: "Swedish", keys: ["§1234567890+´qwertyuiopå¨asdfghjklöä'zxcvbnm,.-<", "½!\"#¤%&/()=?`QWERTYUIOPÅ^ASDFGHJKLÖÄ*ZXCVBNM;:_>"] },
    Layout { name: "br", text: "Brazilian", keys: ["'1234567890-=qwertyuiop´[asdfghjklç~]zxcvbnm,.;\\", "\"!@#$%¨&*()_+QWERTYUIOP`{ASDFGHJKLÇ^}ZXCVBNM<>:|"] },
    Layout { name: "tr", text: "Turkish", keys: ["\"1234567890*-qwertyuıopğüasdfghjklşi,zxcvbnmöç.<", "é!'^+%&/()=?_QWERTYUIOPĞÜASDFGHJKLŞİ;ZXCVBNMÖÇ:>"] },
    Layout { name: "colemak", text: "Colemak", keys: ["`1234567890-=qwfpgjluy;[]arstdhneio'\\zxcvbkm,./-", "~!@#$%^&*()_+QWFPGJLUY:{}ARSTDHNEIO\"|ZXCVBKM<>?_"] },
];

/// What the keys that write `secret` on one keyboard write on another one. Nothing where one keyboard lacks a character.
pub(super) fn retype(
    secret: &[u8],
    from: &Layout,
    to: &Layout,
    out: &mut SecretBuffer,
) -> Option<()> {
    for character in text(secret)?.chars() {
        out.push_char(match character {
            ' ' | '\t' | '\r' | '\n' => character,
            _ => key(from, character).and_then(|place| written(to, place))?,
        });
    }
    Some(())
}

/// The key that writes a character, and whether with Shift.
fn key(layout: &Layout, character: char) -> Option<(usize, usize)> {
    let places = layout.keys.iter().enumerate().filter_map(|(shift, keys)| {
        let place = keys.chars().position(|written| written == character)?;
        Some((place, shift))
    });
    // The key that not every keyboard has comes last.
    places.min()
}

fn written(layout: &Layout, (place, shift): (usize, usize)) -> Option<char> {
    layout.keys[shift].chars().nth(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyboard_has_48_keys() {
        for layout in [&US].into_iter().chain(LAYOUTS) {
            assert_eq!(
                layout.keys.map(|keys| keys.chars().count()),
                [48; 2],
                "{}",
                layout.name
            );
        }
    }
}
