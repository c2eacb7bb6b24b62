//! The process that loads headers by libcryptsetup, and its answers.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::case::Case;

/// Longer than any load takes: then it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is asked beside the verdict.
#[derive(Clone, Copy, Default)]
pub struct Question<'a> {
    pub is_explained: bool,
    pub has_json: bool,
    pub passphrase: &'a [u8],
}

pub struct Reference {
    place: TempDir,
    process: Process,
}

struct Process {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Value>,
}

impl Reference {
    pub fn start() -> Self {
        // Memory where there is such a file system: every case is a file.
        let shared = Path::new("/dev/shm");
        let place = if shared.is_dir() {
            TempDir::new_in(shared)
        } else {
            TempDir::new()
        };
        let place = place.expect("a folder can be made");
        let process = Process::start(&place);
        Self { place, process }
    }

    pub fn ask(&mut self, case: &Case, question: Question<'_>) {
        // A process that has ended gives no answer, which is seen there.
        let _ = self.process.write(case, question);
    }

    /// The answer to the last question; an error says how the process ended without one, and another is started.
    pub fn answer(&mut self) -> Result<Value, String> {
        if let Ok(answer) = self.process.answers.recv_timeout(PATIENCE) {
            return Ok(answer);
        }
        let end = match self.process.child.try_wait() {
            Ok(None) => "hangs".to_owned(),
            Ok(Some(_)) | Err(_) => String::new(),
        };
        let _ = self.process.child.kill();
        let status = self.process.child.wait().expect("it was started");
        self.process = Process::start(&self.place);
        Err(if end.is_empty() {
            format!("ended: {status}")
        } else {
            end
        })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
    }
}

impl Process {
    fn start(place: &TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reference"))
            .arg(place.path().join("header"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("our own program starts");
        let requests = child.stdin.take().expect("it is piped");
        let mut output = child.stdout.take().expect("it is piped");
        let (sender, answers) = channel();
        // Ends with the process, or with who waits for its answers.
        thread::spawn(move || {
            let mut read = || -> io::Result<Value> {
                let mut length = [0; 4];
                output.read_exact(&mut length)?;
                let length = usize::try_from(u32::from_le_bytes(length)).expect("32 bits fit");
                let mut text = vec![0; length];
                output.read_exact(&mut text)?;
                Ok(serde_json::from_slice(&text)?)
            };
            while let Ok(answer) = read() {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            requests,
            answers,
        }
    }

    fn write(&mut self, case: &Case, question: Question<'_>) -> io::Result<()> {
        let wanted = u8::from(question.is_explained) | u8::from(question.has_json) << 1;
        let mut request = vec![wanted];
        request.extend(case.length.to_le_bytes());
        for text in [&case.bytes[..], question.passphrase] {
            let length = u32::try_from(text.len()).expect("a case is small");
            request.extend(length.to_le_bytes());
            request.extend(text);
        }
        self.requests.write_all(&request)?;
        self.requests.flush()
    }
}
