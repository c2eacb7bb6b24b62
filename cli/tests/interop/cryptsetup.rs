use crate::common::check_all;
use crate::luks_cases::cases;

/// A container that holds 64 KiB when it is closed up.
const PAYLOAD_BYTES: u64 = 64 << 10;

#[test]
fn what_luksformat_makes_is_unlocked() {
    check_all("luks key test of luksFormat's", &cases(), |case| {
        let place = case.place();
        place.hole("theirs", PAYLOAD_BYTES + (200 << 20));
        place.sh(&format!(
            "cryptsetup luksFormat --batch-mode theirs {}",
            case.format_arguments()
        ));
        let header = case.header_of("theirs");
        let without_header = |arguments: String| arguments.replace("--header header ", "");
        place.sh(&format!(
            "luksmith key test {header} {}",
            without_header(case.open_arguments())
        ));
        let code = place.sh_code(&format!(
            "luksmith key test {header} {}",
            without_header(case.wrong_arguments())
        ));
        assert_eq!(code, 2);
    });
}
