//! Finding the end of a frame as octets arrive, looking at each octet once.

use super::MAX_FRAME;
use crate::error::{Error, ErrorKind};

/// Finds where a frame ends while it arrives in pieces, and refuses early what cannot become one.
///
/// The blank line is the only framing, and no line inside a frame is empty; so the first blank line ends it. Each octet
/// is looked at once, however small the pieces are; [`Frame::parse`](super::Frame::parse) then runs once.
///
/// ```
/// use tr_protocol::frame::Scanner;
///
/// let bytes = b"TR1 C echo\nid=1\n\nTR1 ";
/// let mut scanner = Scanner::new();
/// assert_eq!(scanner.scan(&bytes[..12])?, None);
/// assert_eq!(scanner.scan(bytes)?, Some(17));
/// // The caller takes the 17 octets away; what is left is the next frame's beginning.
/// assert_eq!(scanner.scan(&bytes[17..])?, None);
/// # Ok::<(), tr_protocol::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    seen: usize,
    line_empty: bool,
}

impl Scanner {
    /// A scanner at the start of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            seen: 0,
            line_empty: false,
        }
    }

    /// How many octets of the current frame have been looked at.
    #[must_use]
    pub const fn seen(&self) -> usize {
        self.seen
    }

    /// Looks at what is new in `buffer`, which begins where the frame begins and holds all of it that has come.
    ///
    /// `Some(length)` when the frame is `buffer[..length]`; the scanner then stands at the start of the next frame.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadMagic`], [`ErrorKind::ForbiddenCharacter`] (a control other than LF) or
    /// [`ErrorKind::FrameTooLong`], with the offset. The connection is of no use any more.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, Error> {
        const MAGIC: &[u8] = b"TR1 ";
        for (at, &octet) in buffer.iter().enumerate().skip(self.seen) {
            if at >= MAX_FRAME {
                return Err(Error::new(ErrorKind::FrameTooLong, at));
            }
            if MAGIC.get(at).is_some_and(|&wanted| wanted != octet) {
                return Err(Error::new(ErrorKind::BadMagic, at));
            }
            let end = at.saturating_add(1);
            match octet {
                b'\n' if self.line_empty => {
                    *self = Self::new();
                    return Ok(Some(end));
                }
                0..0x20 | 0x7F if octet != b'\n' => {
                    return Err(Error::new(ErrorKind::ForbiddenCharacter, at));
                }
                _ => self.line_empty = octet == b'\n',
            }
            self.seen = end;
        }
        match buffer.len() {
            length if length >= MAX_FRAME => Err(Error::new(ErrorKind::FrameTooLong, MAX_FRAME)),
            _ => Ok(None),
        }
    }
}
