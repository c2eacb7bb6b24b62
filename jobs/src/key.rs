//! The keyslots of a container.

pub mod add;
pub mod change;
pub mod export;
pub mod list;
pub mod remove;
pub mod test;
pub mod unmangle;

use dmcrypt::Passphrase;

use crate::error::Error;
use crate::secret::{Asked, Secrets};

/// Asks for the passphrase of a new keyslot of `image`; an empty one is refused unless `allow_empty`.
fn new_passphrase(
    secrets: &dyn Secrets,
    image: &str,
    allow_empty: bool,
) -> Result<Passphrase, Error> {
    let image = format!("the new keyslot of {image}");
    let secret = secrets.passphrase(&Asked::for_new(&image))?;
    if secret.is_empty() && !allow_empty {
        return Err(Error::EmptyPassphrase {
            name: secrets.name(),
        });
    }
    Ok(Passphrase::from_locked(secret))
}
