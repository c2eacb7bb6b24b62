//! In place of TLS, where the program is built without it.

use std::convert::Infallible;
use std::num::NonZeroUsize;

use serve::nbd::ServeOptions;

use super::ServeError;
use crate::args::ServerArgs;

/// Refuses what asks for TLS.
pub(super) fn server(args: &ServerArgs) -> Result<Option<Infallible>, ServeError> {
    match &args.tls_certificates {
        None => Ok(None),
        Some(_) => Err(ServeError::NoTls),
    }
}

/// How it is served.
pub(super) fn options(_: Option<Infallible>, threads: NonZeroUsize) -> ServeOptions {
    ServeOptions {
        threads,
        ..ServeOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Verb};

    #[test]
    fn who_asks_for_tls_is_told_that_there_is_none() {
        for (more, is_refused) in [(&[][..], false), (&["--tls-certificates", "a"], true)] {
            let words = ["luksmith", "serve", "image", "--socket", "b"];
            let typed = Cli::try_parse_from(words.iter().chain(more)).expect("it is right");
            let Verb::Serve(args) = typed.verb else {
                panic!("another verb");
            };
            let said = server(&args.server).map_err(|error| error.to_string());
            let refused = "this luksmith is built without TLS".to_owned();
            assert_eq!(said, if is_refused { Err(refused) } else { Ok(None) });
        }
        let threads = NonZeroUsize::MIN;
        assert_eq!(options(None, threads).threads, threads);
    }
}
