//! Connection identifiers C_I and C_R (RFC 9528 §3.3).

use core::fmt;

use crate::cbor::{Malformed, Reader, Writer, bytes_len};
use crate::error::Full;

/// A connection identifier: a byte string of at most [`ConnectionId::MAX`] octets.
///
/// On the wire an identifier of one octet that is itself the CBOR encoding of an integer −24…23 travels as that integer
/// (RFC 9528 §3.3.2); every other one as a byte string. There is one spelling for each identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    octets: [u8; Self::MAX],
    len: u8,
}

impl ConnectionId {
    /// The longest identifier that is accepted; a bound on what a stranger may make us store.
    pub const MAX: usize = 8;

    /// The identifier with these octets.
    ///
    /// # Errors
    /// There are more than [`ConnectionId::MAX`].
    pub fn new(octets: &[u8]) -> Result<Self, TooLong> {
        let too_long = TooLong { octets: octets.len() };
        let len = u8::try_from(octets.len()).map_err(|_| too_long)?;
        let mut all = [0; Self::MAX];
        all.get_mut(..octets.len()).ok_or(too_long)?.copy_from_slice(octets);
        Ok(Self { octets: all, len })
    }

    /// Its octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Octets that it takes on the wire.
    pub(crate) fn encoded_len(&self) -> usize {
        match self.as_bytes() {
            [octet] if is_short(*octet) => 1,
            octets => bytes_len(octets.len()),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self.as_bytes() {
            [octet] if is_short(*octet) => writer.raw(&[*octet]),
            octets => writer.bytes(octets),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = reader.offset();
        if let Some(octet) = reader.peek().filter(|octet| is_short(*octet)) {
            reader.skip()?;
            return Self::new(&[octet]).map_err(|_| Malformed { offset: at });
        }
        match reader.bytes()? {
            // The integer is the only spelling of these.
            [octet] if is_short(*octet) => Err(Malformed { offset: at }),
            octets => Self::new(octets).map_err(|_| Malformed { offset: at }),
        }
    }
}

/// Whether the octet is the CBOR encoding of an integer −24…23.
const fn is_short(octet: u8) -> bool {
    matches!(octet, 0x00..=0x17 | 0x20..=0x37)
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionId(")?;
        for octet in self.as_bytes() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

/// A connection identifier with too many octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How many there were.
    pub octets: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a connection identifier of {} octets; at most {} are allowed",
            self.octets,
            ConnectionId::MAX
        )
    }
}

impl core::error::Error for TooLong {}
