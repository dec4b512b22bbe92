//! Writing a frame into the caller's buffer, in its one canonical form.

use super::parse::{check_text, is_name};
use super::{Frame, Key, Kind, MAX_FIELDS, MAX_FRAME, MAX_SIGNATURES};
use crate::base64;
use crate::error::{Error, ErrorKind};
use crate::signature::{self, SIGNATURE_VALUE};
use crate::value::{Digest, Value};

/// Writes one frame. Fields must come in ascending order of their names; nothing else is written.
#[derive(Debug)]
pub struct Encoder<'b> {
    out: Sink<'b>,
    kind: Kind,
    verb: (usize, usize),
    fields: usize,
    count: usize,
    /// Where the last name stands.
    last: (usize, usize),
    /// Where the body ended, once there is a signature.
    body_end: usize,
    signatures: usize,
}

impl<'b> Encoder<'b> {
    /// Begins a frame. What `buffer` has beyond [`MAX_FRAME`] octets is not used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadVerb`] or [`ErrorKind::NoRoom`].
    pub fn new(buffer: &'b mut [u8], kind: Kind, verb: &str) -> Result<Self, Error> {
        if !is_name(verb.as_bytes()) {
            return Err(Error::new(ErrorKind::BadVerb, 6));
        }
        let mut out = Sink::new(buffer);
        let mut letter = [0; 4];
        out.put(b"TR1 ")?;
        out.put(kind.letter().encode_utf8(&mut letter).as_bytes())?;
        out.put(b" ")?;
        let start = out.len;
        out.put(verb.as_bytes())?;
        let verb = (start, out.len);
        out.put(b"\n")?;
        let fields = out.len;
        Ok(Self {
            out,
            kind,
            verb,
            fields,
            count: 0,
            last: (0, 0),
            body_end: 0,
            signatures: 0,
        })
    }

    /// Goes on after the last signature of a frame, to countersign it. Its bytes are copied as they are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`].
    pub fn countersign(buffer: &'b mut [u8], frame: &Frame<'_>) -> Result<Self, Error> {
        let mut out = Sink::new(buffer);
        let Some((_, body)) = frame.as_bytes().split_last() else {
            return Err(Error::new(ErrorKind::Incomplete, 0));
        };
        out.put(body)?;
        let verb = (6, frame.verb.len().saturating_add(6));
        let (fields, body_end, signatures) = (frame.fields, frame.body_end, frame.signatures);
        let last = frame.fields().fold((0, 0), |_, field| {
            let end = field.value_offset().saturating_sub(1);
            (end.saturating_sub(field.name.len()), end)
        });
        let count = frame.fields().count();
        Ok(Self {
            out,
            kind: frame.kind,
            verb,
            fields,
            count,
            last,
            body_end,
            signatures,
        })
    }

    /// Appends a field.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadKey`], [`ErrorKind::KeyOrder`], [`ErrorKind::TooManyFields`], a fault of the value, or
    /// [`ErrorKind::NoRoom`].
    pub fn field(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.line(false, name, |out| out.push_checked(value))
    }

    /// Appends a critical field: who does not know it must refuse the frame.
    ///
    /// # Errors
    ///
    /// As [`Self::field`].
    pub fn critical(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.line(true, name, |out| out.push_checked(value))
    }

    /// Appends a field with a typed value. `key` may begin with `!`.
    ///
    /// # Errors
    ///
    /// As [`Self::field`].
    pub fn value<'v>(&mut self, key: &str, value: &impl Value<'v>) -> Result<(), Error> {
        let (critical, name) = split_key(key);
        self.line(critical, name, |out| value.write(out))
    }

    fn line(
        &mut self,
        critical: bool,
        name: &str,
        value: impl FnOnce(&mut Sink<'b>) -> Result<(), ErrorKind>,
    ) -> Result<(), Error> {
        let wrong = |kind, offset| Error::in_field(kind, offset, Key::new(name));
        let start = self.out.len;
        if !is_name(name.as_bytes()) {
            return Err(wrong(ErrorKind::BadKey, start));
        }
        if self.signatures > 0 || name.as_bytes() <= self.out.get(self.last) {
            return Err(wrong(ErrorKind::KeyOrder, start));
        }
        if self.count >= MAX_FIELDS {
            return Err(wrong(ErrorKind::TooManyFields, start));
        }
        let out = &mut self.out;
        let mut name_at = (0, 0);
        let write = || {
            out.push(if critical { b"!" } else { b"" })?;
            let name_start = out.len;
            out.push(name.as_bytes())?;
            name_at = (name_start, out.len);
            out.push(b"=")?;
            value(out)?;
            out.push(b"\n")
        };
        if let Err(kind) = write() {
            let offset = self.out.len;
            self.out.len = start;
            return Err(wrong(kind, offset));
        }
        self.last = name_at;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Begins the next signature, by the holder of the certificate with this SHA-256.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SignatureOrder`] after four signatures, or [`ErrorKind::NoRoom`].
    pub fn sign(mut self, certificate: &Digest) -> Result<Signing<'b>, Error> {
        const KEYS: [&[u8]; MAX_SIGNATURES] = [b"~1=", b"~2=", b"~3=", b"~4="];
        let Some(key) = KEYS.get(self.signatures) else {
            return Err(Error::new(ErrorKind::SignatureOrder, self.out.len));
        };
        if self.signatures == 0 {
            self.body_end = self.out.len;
        }
        let offset = self.out.len;
        self.out.put(key)?;
        self.out
            .push_base64(&certificate.0)
            .map_err(|kind| Error::new(kind, offset))?;
        self.out.put(b".")?;
        // So that appending the signature and ending the frame cannot fail for want of room.
        if self.out.room() < SIGNATURE_VALUE.saturating_sub(42) {
            return Err(Error::new(ErrorKind::NoRoom, self.out.len));
        }
        Ok(Signing { encoder: self })
    }

    /// The bytes whose SHA-256 is the digest, as they stand now.
    #[must_use]
    pub fn before_signatures(&self) -> &[u8] {
        match self.signatures {
            0 => self.out.get((0, self.out.len)),
            _ => self.out.get((0, self.body_end)),
        }
    }

    /// Ends the frame.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`].
    pub fn finish(mut self) -> Result<Frame<'b>, Error> {
        let body_end = if self.signatures == 0 {
            self.out.len
        } else {
            self.body_end
        };
        self.out.put(b"\n")?;
        let incomplete = Error::new(ErrorKind::BadUtf8, 0);
        let (buffer, len): (&'b [u8], usize) = (self.out.buffer, self.out.len);
        let text = core::str::from_utf8(buffer.get(..len).unwrap_or_default()).map_err(|_| incomplete)?;
        let verb = text.get(self.verb.0..self.verb.1).unwrap_or_default();
        Ok(Frame {
            text,
            kind: self.kind,
            verb,
            fields: self.fields,
            body_end,
            signatures: self.signatures,
        })
    }
}

/// A frame that waits for a signature.
#[derive(Debug)]
pub struct Signing<'b> {
    encoder: Encoder<'b>,
}

impl<'b> Signing<'b> {
    /// What is to be signed: the frame from its start through the `.` of this signature.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.encoder.out.get((0, self.encoder.out.len))
    }

    /// The bytes whose SHA-256 is the request's digest.
    #[must_use]
    pub fn before_signatures(&self) -> &[u8] {
        self.encoder.out.get((0, self.encoder.body_end))
    }

    /// Appends r ‖ s.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SignatureRange`] if s is not low or a number is out of range.
    pub fn append(self, signature: &[u8; 64]) -> Result<Encoder<'b>, Error> {
        let mut encoder = self.encoder;
        if !signature::is_low_s(signature) {
            return Err(Error::new(ErrorKind::SignatureRange, encoder.out.len));
        }
        let offset = encoder.out.len;
        encoder
            .out
            .push_base64(signature)
            .map_err(|kind| Error::new(kind, offset))?;
        encoder.out.put(b"\n")?;
        encoder.signatures = encoder.signatures.saturating_add(1);
        Ok(encoder)
    }
}

pub(crate) fn split_key(key: &str) -> (bool, &str) {
    match key.strip_prefix('!') {
        Some(name) => (true, name),
        None => (false, key),
    }
}

/// The caller's buffer and how much of it is written.
#[derive(Debug)]
pub struct Sink<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Sink<'b> {
    fn new(buffer: &'b mut [u8]) -> Self {
        let usable = buffer.len().min(MAX_FRAME);
        Self {
            buffer: buffer.get_mut(..usable).unwrap_or_default(),
            len: 0,
        }
    }

    const fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    fn get(&self, (start, end): (usize, usize)) -> &[u8] {
        self.buffer.get(start..end).unwrap_or_default()
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.push(octets).map_err(|kind| Error::new(kind, self.len))
    }

    fn push_checked(&mut self, text: &str) -> Result<(), ErrorKind> {
        check_text(text.as_bytes()).map_err(|(kind, _)| kind)?;
        self.push(text.as_bytes())
    }

    pub(crate) fn push(&mut self, octets: &[u8]) -> Result<(), ErrorKind> {
        let rest = self.buffer.get_mut(self.len..).unwrap_or_default();
        let (place, _) = rest.split_at_mut_checked(octets.len()).ok_or(ErrorKind::NoRoom)?;
        place.copy_from_slice(octets);
        self.len = self.len.saturating_add(octets.len());
        Ok(())
    }

    pub(crate) fn push_base64(&mut self, octets: &[u8]) -> Result<(), ErrorKind> {
        let rest = self.buffer.get_mut(self.len..).unwrap_or_default();
        let text = base64::encode(octets, rest).ok_or(ErrorKind::NoRoom)?;
        self.len = self.len.saturating_add(text.len());
        Ok(())
    }
}
