//! What the gateway saw: every outer frame as it passes, for demonstrations and for finding faults.

use core::fmt;
use core::net::SocketAddr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::GatewayError;
use crate::clock;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Direction {
    /// From a device, passed to the backend.
    ToBackend,
    /// From the backend, passed to a device.
    ToDevice,
    /// From a device, refused.
    Refused,
    /// From the gateway itself to a device: an error.
    FromGateway,
}

/// One outer frame, as the gateway saw it. Payloads in it are sealed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// The connection's channel number.
    pub channel: u64,
    /// The device's address.
    pub peer: SocketAddr,
    /// Which way it went.
    pub direction: Direction,
    /// The frame, verbatim.
    pub frame: &'a [u8],
}

/// A function that is shown every outer frame. It runs on the connection's task, so it must be quick.
#[derive(Clone)]
pub struct Tap(Arc<dyn Fn(&Seen<'_>) + Send + Sync>);

impl Tap {
    /// Wraps a function.
    pub fn new(see: impl Fn(&Seen<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(super) fn see(&self, seen: &Seen<'_>) {
        (self.0)(seen);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// A file of JSON lines, one per frame: `time`, `channel`, `peer`, `direction`, `frame` (octets that are no UTF-8
/// are shown as U+FFFD). It is created with mode 0600 and appended to.
#[derive(Debug)]
pub struct WireLog {
    file: Mutex<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    channel: u64,
    peer: SocketAddr,
    direction: Direction,
    frame: std::borrow::Cow<'a, str>,
}

impl WireLog {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// [`GatewayError::WireLog`].
    pub fn open(path: &Path) -> Result<Self, GatewayError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| GatewayError::WireLog {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// The tap that writes to it. A line that cannot be written is reported to the log and costs no frame.
    #[must_use]
    pub fn tap(self) -> Tap {
        Tap::new(move |seen| {
            if let Err(error) = self.write(seen) {
                tracing::warn!(%error, "the wire log cannot be written");
            }
        })
    }

    fn write(&self, seen: &Seen<'_>) -> io::Result<()> {
        let line = Line {
            time: clock::stamp(),
            channel: seen.channel,
            peer: seen.peer,
            direction: seen.direction,
            frame: String::from_utf8_lossy(seen.frame),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        // One write, so that a reader of the file sees whole lines.
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_frame_is_one_json_line_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.jsonl");
        let tap = WireLog::open(&path).unwrap().tap();
        for frame in [b"TR1 D sealed\nindex=1\npayload=AA\n\n".as_slice(), b"\xff\n\n"] {
            tap.see(&Seen {
                channel: 7,
                peer: "127.0.0.1:9".parse().unwrap(),
                direction: Direction::ToBackend,
                frame,
            });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["frame"], "TR1 D sealed\nindex=1\npayload=AA\n\n");
        assert_eq!(lines[0]["direction"], "to-backend");
        assert_eq!(lines[1]["frame"], "\u{fffd}\n\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
