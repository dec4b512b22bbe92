//! Cutting a byte stream into frames at their blank lines, within a fixed buffer.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tr_protocol::frame::MAX_FRAME;

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No blank line within the longest frame allowed.
    #[error("a frame is longer than {limit} octets")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended {octets} octets into a frame")]
    Torn {
        /// How many octets had come.
        octets: usize,
    },
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames from a stream. The buffer is allocated once and never grows.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Octets from `start` that are known to hold no complete frame.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader with room for `frames` frames of the greatest length (at least one).
    pub fn new(stream: R, frames: usize) -> Self {
        let room = MAX_FRAME.saturating_mul(frames.max(1));
        Self {
            stream,
            buffer: vec![0; room].into_boxed_slice(),
            start: 0,
            end: 0,
            scanned: 0,
        }
    }

    /// What has been read and not been taken.
    pub fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The length of the first frame in the buffer, if it is complete.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`] when the buffer holds more than a frame may have and no end of one.
    pub fn complete(&mut self) -> Result<Option<usize>, FrameError> {
        let from = self.scanned.saturating_sub(1);
        let held = self.buffered();
        let found = held
            .get(from..)
            .unwrap_or_default()
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .map(|at| from.saturating_add(at).saturating_add(2));
        let longest = found.unwrap_or(held.len());
        let scanned = held.len();
        if longest > MAX_FRAME || (found.is_none() && longest == MAX_FRAME) {
            return Err(FrameError::TooLong { limit: MAX_FRAME });
        }
        if found.is_none() {
            self.scanned = scanned;
        }
        Ok(found)
    }

    /// Removes the first `length` octets of the buffer and returns them.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.buffered().len());
        let taken = self.buffered().get(..length).unwrap_or_default().to_vec();
        self.start = self.start.saturating_add(length);
        self.scanned = 0;
        taken
    }

    /// Reads once and returns how many octets came; 0 at the end of the stream. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    ///
    /// The stream's own.
    pub async fn read_more(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = self.stream.read(room).await?;
        self.end = self.end.saturating_add(count);
        Ok(count)
    }

    /// The next frame, `None` at an end of the stream between frames. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; the reader is of no further use then.
    pub async fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            if let Some(length) = self.complete()? {
                return Ok(Some(self.take(length)));
            }
            let count = self.read_more().await.or_else(unclean_end)?;
            if count == 0 {
                return match self.buffered().len() {
                    0 => Ok(None),
                    octets => Err(FrameError::Torn { octets }),
                };
            }
        }
    }
}

/// rustls reports a stream that ends without `close_notify` as an error; where frames end is known without it.
pub(crate) fn unclean_end(error: io::Error) -> io::Result<usize> {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Ok(0);
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn frames_are_cut_at_blank_lines_however_they_arrive() {
        let text = b"TR1 I a\nk=1\n\nTR1 I b\n\nTR1 I c\nk=2\n\n";
        for size in [1, 2, 3, 7, text.len()] {
            let (mut near, far) = tokio::io::duplex(64);
            let writer = tokio::spawn(async move {
                for part in text.chunks(size) {
                    near.write_all(part).await.unwrap();
                }
            });
            let mut reader = FrameReader::new(far, 1);
            let mut frames = Vec::new();
            while let Some(frame) = reader.next_frame().await.unwrap() {
                frames.push(String::from_utf8(frame).unwrap());
            }
            writer.await.unwrap();
            assert_eq!(frames, ["TR1 I a\nk=1\n\n", "TR1 I b\n\n", "TR1 I c\nk=2\n\n"]);
        }
    }

    #[tokio::test]
    async fn the_longest_frame_passes_and_one_octet_more_does_not() {
        let mut longest = vec![b'x'; MAX_FRAME - 2];
        longest.extend(b"\n\n");
        let mut reader = FrameReader::new(longest.as_slice(), 1);
        assert_eq!(reader.next_frame().await.unwrap(), Some(longest.clone()));

        for room in [1, 4] {
            let longer = [b"x".as_slice(), &longest].concat();
            let mut reader = FrameReader::new(longer.as_slice(), room);
            assert!(matches!(reader.next_frame().await, Err(FrameError::TooLong { .. })));
        }
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_told() {
        let mut reader = FrameReader::new(b"TR1 I a\n\nTR1".as_slice(), 1);
        assert!(reader.next_frame().await.unwrap().is_some());
        assert!(matches!(reader.next_frame().await, Err(FrameError::Torn { octets: 3 })));
    }
}
