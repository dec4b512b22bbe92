//! What a terminal must still know after a power cut, in one small record that its device seals.
//!
//! ```text
//! record = version(1) next-id(8) floor(8) certificate issuer pending
//! certificate, issuer, command, data = length(2) octets
//! pending = 0x00 / 0x01 command data                       all numbers big-endian
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;
use core::ops::Range;

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
///
/// It is kept as the record that is sealed: nothing is put together for that, and card data lies in one place only, which
/// is overwritten when the command is done and when the memory is dropped.
#[derive(Clone)]
pub struct Memory {
    record: Vec<u8, MAX_RECORD>,
    next_id: TransactionId,
    floor: i64,
    certificate: Range<usize>,
    issuer: Range<usize>,
    /// The signed command whose answer is not known yet: it is repeated, octet for octet, until it is. Empty if none is.
    command: Range<usize>,
    /// Its D frame, with card data; empty if it has none.
    data: Range<usize>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.record.zeroize();
    }
}

impl ZeroizeOnDrop for Memory {}

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
            .field("pending", &self.is_pending())
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
        let mut memory = Memory::blank();
        memory.floor = floor;
        memory.put(&[VERSION]);
        memory.put(&memory.next_id.get().to_be_bytes());
        memory.put(&floor.to_be_bytes());
        for der in [certificate, issuer] {
            if der.len() > MAX_CERTIFICATE {
                return Err(MemoryError::TooLong { octets: der.len() });
            }
            memory.put(&length(der.len()));
            memory.put(der);
        }
        memory.put(&[0]);
        memory.index()?;
        Ok(memory)
    }

    /// The terminal's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        self.part(&self.certificate)
    }

    /// The issuing CA's certificate, DER: the anchor for everything a backend says.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        self.part(&self.issuer)
    }

    /// The time below which no clock is believed, Unix time.
    #[must_use]
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// The id that the next command will have.
    #[must_use]
    pub fn next_id(&self) -> TransactionId {
        self.next_id
    }

    /// Whether a command waits for its answer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.command.is_empty()
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
        device.seal(key, AAD, &self.record, out).map_err(MemoryError::Device)
    }

    /// Opens a sealed record.
    ///
    /// # Errors
    /// [`MemoryError::Device`] when it is not what was sealed, else why it cannot be read.
    pub fn unseal<D: Device>(device: &D, key: Label, sealed: &[u8]) -> Result<Self, MemoryError<D::Error>> {
        let mut memory = Memory::blank();
        memory.fill();
        let clear = device
            .unseal(key, AAD, sealed, &mut memory.record)
            .map_err(MemoryError::Device)?;
        let length = clear.len();
        memory.record.truncate(length);
        memory.index()?;
        Ok(memory)
    }

    /// The signed command that waits for its answer; empty if none does.
    pub(crate) fn command(&self) -> &[u8] {
        self.part(&self.command)
    }

    /// Its D frame; empty if it has none.
    pub(crate) fn data(&self) -> &[u8] {
        self.part(&self.data)
    }

    /// Moves the counter on; it never goes back.
    pub(crate) fn raise_next_id(&mut self, id: TransactionId) {
        self.next_id = self.next_id.max(id);
        let octets = self.next_id.get().to_be_bytes();
        for (to, from) in self.record.iter_mut().skip(1).zip(octets) {
            *to = from;
        }
    }

    /// Keeps a signed command, and the D frame that `write` puts into the buffer it is given, in place of what was
    /// pending. `false` when one of them is too long; nothing is pending then.
    pub(crate) fn remember(&mut self, command: &[u8], write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        self.forget();
        let kept = command.len() <= MAX_COMMAND && !command.is_empty() && self.append(command, write).is_some();
        if !kept {
            self.forget();
        }
        kept
    }

    fn append(&mut self, command: &[u8], write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<()> {
        // Over the zero that said that nothing is pending.
        self.record.truncate(self.issuer.end);
        self.put(&[1]);
        self.put(&length(command.len()));
        let start = self.record.len();
        self.put(command);
        self.command = start..self.record.len();
        let at = self.record.len();
        self.fill();
        let (prefix, place) = self.record.get_mut(at..)?.split_first_chunk_mut::<2>()?;
        let written = write(place.get_mut(..MAX_DATA)?)?;
        *prefix = length(written);
        let start = at.saturating_add(prefix.len());
        self.data = start..start.saturating_add(written);
        self.record.truncate(self.data.end);
        Some(())
    }

    /// Nothing is pending any more; card data is overwritten.
    pub(crate) fn forget(&mut self) {
        self.record.get_mut(self.issuer.end..).unwrap_or_default().zeroize();
        self.record.truncate(self.issuer.end);
        self.put(&[0]);
        self.command = 0..0;
        self.data = 0..0;
    }

    fn blank() -> Self {
        Memory {
            record: Vec::new(),
            next_id: TransactionId::MIN,
            floor: 0,
            certificate: 0..0,
            issuer: 0..0,
            command: 0..0,
            data: 0..0,
        }
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.record.get(range.clone()).unwrap_or_default()
    }

    /// `MAX_RECORD` is the sum of every part's own limit, which is checked before: nothing here is ever cut short.
    fn put(&mut self, octets: &[u8]) {
        let fits = self.record.extend_from_slice(octets);
        debug_assert!(fits.is_ok());
    }

    /// Zeros up to the capacity.
    fn fill(&mut self) {
        let fits = self.record.resize(MAX_RECORD, 0);
        debug_assert!(fits.is_ok());
    }

    /// Reads the record; every octet must be accounted for.
    fn index<E>(&mut self) -> Result<(), MemoryError<E>> {
        let mut reader = Reader {
            record: &self.record,
            offset: 0,
        };
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(MemoryError::Version {
                found: version,
                expected: VERSION,
            });
        }
        let malformed = |offset| MemoryError::Malformed { offset };
        let at = reader.offset;
        self.next_id = TransactionId::new(u64::from_be_bytes(reader.array()?)).ok_or(malformed(at))?;
        self.floor = i64::from_be_bytes(reader.array()?);
        self.certificate = reader.variable(MAX_CERTIFICATE)?;
        self.issuer = reader.variable(MAX_CERTIFICATE)?;
        let at = reader.offset;
        (self.command, self.data) = match reader.array()? {
            [0] => (0..0, 0..0),
            [1] => (reader.variable(MAX_COMMAND)?, reader.variable(MAX_DATA)?),
            [_] => return Err(malformed(at)),
        };
        let pending_is_empty = self.command.is_empty() && reader.offset != at.saturating_add(1);
        if pending_is_empty || reader.offset != self.record.len() {
            return Err(malformed(reader.offset));
        }
        Ok(())
    }
}

/// A length as it stands in the record; every part's limit is below 2¹⁶.
fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}

struct Reader<'a> {
    record: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn octets<E>(&mut self, count: usize) -> Result<&'a [u8], MemoryError<E>> {
        let end = self.offset.saturating_add(count);
        let octets = self.record.get(self.offset..end);
        let octets = octets.ok_or(MemoryError::Malformed { offset: self.offset })?;
        self.offset = end;
        Ok(octets)
    }

    fn array<const N: usize, E>(&mut self) -> Result<[u8; N], MemoryError<E>> {
        let offset = self.offset;
        self.octets(N)?
            .try_into()
            .map_err(|_| MemoryError::Malformed { offset })
    }

    fn variable<E>(&mut self, most: usize) -> Result<Range<usize>, MemoryError<E>> {
        let offset = self.offset;
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > most {
            return Err(MemoryError::Malformed { offset });
        }
        let start = self.offset;
        self.octets(length)?;
        Ok(start..self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &[u8] = b";9070001234567893=2911?";

    fn memory() -> Memory {
        let mut memory = Memory::new::<()>(b"leaf", b"issuer", 1_700_000_000).unwrap();
        assert!(memory.remember(b"command", |out| {
            out[..DATA.len()].copy_from_slice(DATA);
            Some(DATA.len())
        }));
        memory
    }

    fn decode(record: &[u8]) -> Result<Memory, MemoryError<()>> {
        let mut memory = Memory::blank();
        memory.put(record);
        memory.index()?;
        Ok(memory)
    }

    #[test]
    fn record_reads_back() {
        let again = decode(&memory().record).unwrap();
        assert_eq!((again.certificate(), again.issuer()), (&b"leaf"[..], &b"issuer"[..]));
        assert_eq!((again.command(), again.data()), (&b"command"[..], DATA));
        assert_eq!((again.next_id(), again.floor()), (TransactionId::MIN, 1_700_000_000));
    }

    #[test]
    fn every_shorter_and_longer_record_is_refused() {
        let mut record = memory().record.clone();
        for length in 0..record.len() {
            assert!(decode(&record[..length]).is_err(), "{length}");
        }
        record.push(0).unwrap();
        assert!(matches!(decode(&record), Err(MemoryError::Malformed { .. })));
    }

    #[test]
    fn every_octet_counts() {
        let record = memory().record.clone();
        for at in 0..record.len() {
            let mut other = record.clone();
            other[at] ^= 0x80;
            if let Ok(read) = decode(&other) {
                assert_eq!(read.record, other, "{at}");
                assert!(at > 1, "the version and the counter's top bit are checked");
            }
        }
    }

    #[test]
    fn other_version_is_named() {
        let mut record = memory().record.clone();
        record[0] = 9;
        let expected = MemoryError::Version {
            found: 9,
            expected: VERSION,
        };
        assert_eq!(decode(&record).unwrap_err(), expected);
    }

    #[test]
    fn the_largest_record_fits_and_nothing_larger() {
        let mut memory = Memory::new::<()>(&[1; MAX_CERTIFICATE], &[2; MAX_CERTIFICATE], 0).unwrap();
        assert!(memory.remember(&[3; MAX_COMMAND], |out| {
            out.fill(4);
            Some(out.len())
        }));
        assert_eq!(memory.record.len(), MAX_RECORD);
        assert!(decode(&memory.record).is_ok());
        assert!(!memory.remember(&[3; MAX_COMMAND + 1], |_| Some(0)));
        assert!(!memory.is_pending());
        let long = Memory::new::<()>(&[1; MAX_CERTIFICATE + 1], &[], 0);
        assert_eq!(long.unwrap_err(), MemoryError::TooLong { octets: 641 });
    }

    #[test]
    fn forgotten_card_data_is_overwritten() {
        let mut memory = memory();
        memory.forget();
        let length = memory.record.len();
        memory.fill();
        assert!(memory.record[length..].iter().all(|octet| *octet == 0));
        memory.record.truncate(length);
        assert!(decode(&memory.record).is_ok_and(|read| !read.is_pending()));
    }

    #[test]
    fn the_counter_never_goes_back() {
        let mut memory = memory();
        let id = |id| TransactionId::new(id).unwrap();
        memory.raise_next_id(id(9));
        memory.raise_next_id(id(5));
        assert_eq!(decode(&memory.record).unwrap().next_id(), id(9));
    }
}
