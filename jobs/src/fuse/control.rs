//! How the server of a mapping is told of another size: a line, and a line that answers.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use super::room::{Folder, Room};
use crate::error::{Error, MappingError};
use crate::mapping::new_name;

/// No line is longer.
const MAX_BYTES: u64 = 4096;
/// Whoever connects says what they want by then.
const PATIENCE: Duration = Duration::from_secs(10);
const DONE: &str = "done";
const SIZE: &str = "size ";

/// Where a server listens.
pub struct Control(UnixListener);

impl Control {
    /// Listens in the folder of a mapping, which whoever opens it has made.
    ///
    /// # Errors
    ///
    /// [`MappingError::Name`], and what the system says.
    pub fn listen(room: &Room, name: &std::ffi::OsStr) -> Result<(Self, PathBuf), Error> {
        let folder = room.folder(&new_name(name)?);
        let failed = |source| super::room::failed(folder.path(), source);
        let listener = by_short_path(&folder, UnixListener::bind).map_err(failed)?;
        Ok((Self(listener), folder.plain()))
    }

    /// Answers for ever: `resize` is told how many units of 512 bytes are wanted, or all that there is.
    pub fn serve(&self, resize: impl Fn(Option<u64>) -> Result<(), Error>) {
        for stream in self.0.incoming().flatten() {
            // Whoever has gone needs no answer.
            let _ = answer(&stream, &resize);
        }
    }
}

fn answer(
    mut stream: &UnixStream,
    resize: impl Fn(Option<u64>) -> Result<(), Error>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_BYTES)).read_line(&mut line)?;
    let wanted = match line.trim_end().split_once(' ') {
        Some(("resize", "all")) => None,
        Some(("resize", sectors)) => Some(sectors.parse().map_err(io::Error::other)?),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let said = match resize(wanted) {
        Ok(()) => DONE.to_owned(),
        Err(Error::Mapping(MappingError::Size { problem, .. })) => format!("{SIZE}{problem}"),
        Err(error) => error.to_string(),
    };
    writeln!(stream, "{}", said.replace('\n', " "))
}

/// Asks the server of a mapping.
pub(super) fn ask(folder: &Folder, sectors: Option<u64>) -> Result<(), MappingError> {
    let failed = |source| MappingError::Server {
        name: folder.shown(),
        source,
    };
    let mut stream = by_short_path(folder, UnixStream::connect).map_err(failed)?;
    let wanted = sectors.map_or_else(|| "all".to_owned(), |sectors| sectors.to_string());
    writeln!(stream, "resize {wanted}").map_err(failed)?;
    let mut said = String::new();
    let mut answer = BufReader::new(stream.take(MAX_BYTES));
    answer.read_line(&mut said).map_err(failed)?;
    match said.trim_end() {
        DONE => Ok(()),
        "" => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        said => Err(match said.strip_prefix(SIZE) {
            Some(problem) => MappingError::Size {
                name: folder.shown(),
                sectors: sectors.unwrap_or(0),
                problem: problem.to_owned(),
            },
            None => failed(io::Error::other(said.to_owned())),
        }),
    }
}

/// The path of a socket is short, and that of a folder may be long.
fn by_short_path<T>(
    folder: &Folder,
    use_it: impl FnOnce(PathBuf) -> io::Result<T>,
) -> io::Result<T> {
    let open = File::open(folder.path())?;
    let control = folder.control();
    let name = control.file_name().unwrap_or_default();
    use_it(PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(name))
}
