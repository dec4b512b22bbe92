//! What a terminal must still know after a power cut, in one small record that its device seals.
//!
//! ```text
//! record = version(1) next-id(8) floor(8) certificate issuer pending
//! certificate, issuer, command, data = length(2) octets
//! pending = 0x00 / 0x01 command data                       all numbers big-endian
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use heapless::Vec;
use tr_hsm::{Device, Label};
use tr_protocol::value::TransactionId;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest device or CA certificate kept, in octets; the profile keeps both below it.
pub const MAX_CERTIFICATE: usize = 640;
/// Longest signed command kept for repeats, in octets.
pub const MAX_COMMAND: usize = 2048;
/// Longest D frame kept for repeats, in octets.
pub const MAX_DATA: usize = 768;
/// Longest record, in octets, before it is sealed.
pub const MAX_RECORD: usize = 1 + 8 + 8 + 2 * (2 + MAX_CERTIFICATE) + 1 + 2 + MAX_COMMAND + 2 + MAX_DATA;
/// Longest sealed record, in octets: what the shell must be able to store.
pub const MAX_SEALED: usize = MAX_RECORD + tr_hsm::sealed::OVERHEAD;

/// The record's format.
const VERSION: u8 = 1;
/// Binds the sealed record to its purpose.
const AAD: &[u8] = b"tr-terminal memory 1";

/// The durable state of a terminal: its counter, its trust, and the command that has no answer yet.
#[derive(Clone)]
pub struct Memory {
    pub(crate) next_id: TransactionId,
    pub(crate) floor: i64,
    pub(crate) certificate: Vec<u8, MAX_CERTIFICATE>,
    pub(crate) issuer: Vec<u8, MAX_CERTIFICATE>,
    pub(crate) pending: Option<Pending>,
}

/// A command whose answer is not known yet: it is repeated, octet for octet, until it is.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Pending {
    /// The signed command.
    pub(crate) command: Vec<u8, MAX_COMMAND>,
    /// Its D frame, with card data; empty if it has none.
    pub(crate) data: Vec<u8, MAX_DATA>,
}

/// Why a sealed record could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryError<E> {
    /// The device failed or refused, `AuthenticationFailed` when the record is not what was sealed.
    Device(E),
    /// The record is of a version that this program does not read.
    Version {
        /// The version found.
        found: u8,
        /// The version read here.
        expected: u8,
    },
    /// The record does not hold what its version says, at this offset.
    Malformed {
        /// Offset in the clear record, in octets.
        offset: usize,
    },
    /// A certificate is longer than [`MAX_CERTIFICATE`].
    TooLong {
        /// Its length in octets.
        octets: usize,
    },
}

impl<E: fmt::Display> fmt::Display for MemoryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => write!(f, "terminal memory: {error}"),
            Self::Version { found, expected } => {
                write!(f, "terminal memory has version {found}, this program reads {expected}")
            }
            Self::Malformed { offset } => write!(f, "terminal memory is malformed at octet {offset}"),
            Self::TooLong { octets } => {
                write!(
                    f,
                    "a certificate of {octets} octets does not fit, at most {MAX_CERTIFICATE} do"
                )
            }
        }
    }
}

impl<E: core::error::Error> core::error::Error for MemoryError<E> {}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("next_id", &self.next_id)
            .field("floor", &self.floor)
            .field("pending", &self.pending.is_some())
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// The memory of a terminal that has just been enrolled: its certificate, its anchor (the issuing CA's
    /// certificate), and the time below which no clock is believed.
    ///
    /// # Errors
    /// [`MemoryError::TooLong`].
    pub fn new<E>(certificate: &[u8], issuer: &[u8], floor: i64) -> Result<Self, MemoryError<E>> {
        let kept = |der: &[u8]| Vec::from_slice(der).map_err(|_| MemoryError::TooLong { octets: der.len() });
        Ok(Memory {
            next_id: TransactionId::MIN,
            floor,
            certificate: kept(certificate)?,
            issuer: kept(issuer)?,
            pending: None,
        })
    }

    /// The terminal's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuing CA's certificate, DER: the anchor for everything a backend says.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The id that the next command will have.
    #[must_use]
    pub fn next_id(&self) -> TransactionId {
        self.next_id
    }

    /// Whether a command waits for its answer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Seals the record under the device's own key and returns the filled part of `out`, at most [`MAX_SEALED`] octets.
    ///
    /// # Errors
    /// [`MemoryError::Device`].
    pub fn seal<'o, D: Device>(
        &self,
        device: &D,
        key: Label,
        out: &'o mut [u8; MAX_SEALED],
    ) -> Result<&'o [u8], MemoryError<D::Error>> {
        let mut record = self.encode();
        let sealed = device.seal(key, AAD, &record, out).map_err(MemoryError::Device);
        record.zeroize();
        sealed
    }

    /// Opens a sealed record.
    ///
    /// # Errors
    /// [`MemoryError::Device`] when it is not what was sealed, else why it cannot be read.
    pub fn unseal<D: Device>(device: &D, key: Label, sealed: &[u8]) -> Result<Self, MemoryError<D::Error>> {
        let mut clear = [0; MAX_RECORD];
        let memory = match device.unseal(key, AAD, sealed, &mut clear) {
            Ok(record) => decode(record),
            Err(error) => Err(MemoryError::Device(error)),
        };
        clear.zeroize();
        memory
    }

    fn encode(&self) -> Vec<u8, MAX_RECORD> {
        let mut out = Vec::new();
        // MAX_RECORD is the sum of every part's own limit, so nothing here can be cut short.
        let mut put = |octets: &[u8]| {
            let fits = out.extend_from_slice(octets);
            debug_assert!(fits.is_ok());
        };
        let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        put(&[VERSION]);
        put(&self.next_id.get().to_be_bytes());
        put(&self.floor.to_be_bytes());
        for der in [&self.certificate, &self.issuer] {
            put(&length(der));
            put(der);
        }
        match &self.pending {
            None => put(&[0]),
            Some(pending) => {
                put(&[1]);
                put(&length(&pending.command));
                put(&pending.command);
                put(&length(&pending.data));
                put(&pending.data);
            }
        }
        out
    }
}

/// Reads a clear record; every octet must be accounted for.
fn decode<E>(record: &[u8]) -> Result<Memory, MemoryError<E>> {
    let mut reader = Reader { record, offset: 0 };
    let [version] = reader.array()?;
    if version != VERSION {
        return Err(MemoryError::Version {
            found: version,
            expected: VERSION,
        });
    }
    let at = reader.offset;
    let next_id =
        TransactionId::new(u64::from_be_bytes(reader.array()?)).ok_or(MemoryError::Malformed { offset: at })?;
    let floor = i64::from_be_bytes(reader.array()?);
    let certificate = reader.variable()?;
    let issuer = reader.variable()?;
    let at = reader.offset;
    let pending = match reader.array()? {
        [0] => None,
        [1] => Some(Pending {
            command: reader.variable()?,
            data: reader.variable()?,
        }),
        [_] => return Err(MemoryError::Malformed { offset: at }),
    };
    if reader.offset != record.len() {
        return Err(MemoryError::Malformed { offset: reader.offset });
    }
    Ok(Memory {
        next_id,
        floor,
        certificate,
        issuer,
        pending,
    })
}

struct Reader<'a> {
    record: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn octets<E>(&mut self, count: usize) -> Result<&[u8], MemoryError<E>> {
        let malformed = MemoryError::Malformed { offset: self.offset };
        let end = self
            .offset
            .checked_add(count)
            .ok_or(MemoryError::Malformed { offset: self.offset })?;
        let octets = self.record.get(self.offset..end).ok_or(malformed)?;
        self.offset = end;
        Ok(octets)
    }

    fn array<const N: usize, E>(&mut self) -> Result<[u8; N], MemoryError<E>> {
        let offset = self.offset;
        self.octets(N)?
            .try_into()
            .map_err(|_| MemoryError::Malformed { offset })
    }

    fn variable<const N: usize, E>(&mut self) -> Result<Vec<u8, N>, MemoryError<E>> {
        let offset = self.offset;
        let length = usize::from(u16::from_be_bytes(self.array()?));
        Vec::from_slice(self.octets(length)?).map_err(|_| MemoryError::Malformed { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let mut memory = Memory::new::<()>(b"leaf", b"issuer", 1_700_000_000).unwrap();
        memory.pending = Some(Pending {
            command: Vec::from_slice(b"command").unwrap(),
            data: Vec::from_slice(b"data").unwrap(),
        });
        memory
    }

    #[test]
    fn record_reads_back() {
        let record = memory().encode();
        let again = decode::<()>(&record).unwrap();
        assert_eq!(again.encode(), record);
        assert_eq!(again.certificate(), b"leaf");
        assert_eq!(again.pending.as_ref().unwrap().data, b"data");
    }

    #[test]
    fn every_shorter_and_longer_record_is_refused() {
        let mut record = memory().encode();
        for length in 0..record.len() {
            assert!(decode::<()>(&record[..length]).is_err(), "{length}");
        }
        record.push(0).unwrap();
        assert!(matches!(decode::<()>(&record), Err(MemoryError::Malformed { .. })));
    }

    #[test]
    fn other_version_is_named() {
        let mut record = memory().encode();
        record[0] = 9;
        assert_eq!(
            decode::<()>(&record).unwrap_err(),
            MemoryError::Version {
                found: 9,
                expected: VERSION
            }
        );
    }

    #[test]
    fn the_largest_record_fits() {
        let mut memory = Memory::new::<()>(&[1; MAX_CERTIFICATE], &[2; MAX_CERTIFICATE], 0).unwrap();
        memory.pending = Some(Pending {
            command: Vec::from_slice(&[3; MAX_COMMAND]).unwrap(),
            data: Vec::from_slice(&[4; MAX_DATA]).unwrap(),
        });
        assert_eq!(memory.encode().len(), MAX_RECORD);
        assert!(decode::<()>(&memory.encode()).is_ok());
    }
}
