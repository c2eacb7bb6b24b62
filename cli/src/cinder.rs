//! What a volume type of Cinder's comes to.

use jobs::openstack::cinder;
use serde_json::json;

use crate::args::{Backend, CinderArgs, ContainerArgs, ContainerType};
use crate::error::Error;
use crate::output;

/// Takes cipher, key size and what else follows from the type, and says what that is. `in_image`: it goes into a qcow2
/// image, where QEMU puts it where it likes.
pub fn take(args: &CinderArgs, container: &mut ContainerArgs, in_image: bool) -> Result<(), Error> {
    let (Some(kind), Some(backend)) = (&args.cinder_type, args.backend) else {
        return Ok(());
    };
    let (name, backend) = match backend {
        Backend::Cryptsetup => ("cryptsetup", cinder::Backend::Cryptsetup),
        Backend::Qemu => ("qemu", cinder::Backend::Qemu),
    };
    let taken = kind.taken(backend).map_err(jobs::Error::from)?;
    if taken.is_luks1 {
        match container.kind {
            None | Some(ContainerType::Luks1) => container.kind = Some(ContainerType::Luks1),
            Some(ContainerType::Luks2 | ContainerType::Plain) => {
                return Err(Error::Conflict {
                    one: "--backend qemu",
                    other: "another type than luks1, which is all that QEMU has",
                });
            }
        }
    }
    let (cipher, bits, strength) = (&taken.cipher, taken.key_bits, &taken.strength);
    output::note(
        format_args!(
            "by {name} that type is {cipher} with a key of {bits} bits ({strength}): --cipher {cipher} --key-size {bits}"
        ),
        json!({"backend": name, "cipher": cipher, "key_bits": bits, "strength": strength}),
    );
    if !in_image {
        container.offset = container.offset.or(taken.offset_sectors);
    }
    container.cipher = Some(taken.cipher);
    container.key_size = Some(taken.key_bits);
    Ok(())
}
