//! External authorisation data (RFC 9528 §3.8).
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::cbor::{BYTES, Head, Malformed, Reader, Writer, bytes_len};
use crate::error::{Error, Full, Message};

/// One item of external authorisation data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EadItem<'a> {
    /// The label, without the sign. 0 is padding; our own lie in 32768–65535.
    pub label: u32,
    /// Whether a peer that does not understand the item must refuse (a negative label on the wire).
    pub critical: bool,
    /// The value, opaque here.
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for EadItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EadItem")
            .field("label", &self.label)
            .field("critical", &self.critical)
            .field("value_len", &self.value.map(<[u8]>::len))
            .finish()
    }
}

/// The external authorisation data of one received message, well-formed and without an unknown critical item.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ead<'a> {
    octets: &'a [u8],
}

impl<'a> Ead<'a> {
    /// The items in their order, padding left out.
    pub fn items(&self) -> impl Iterator<Item = EadItem<'a>> + 'a {
        let mut reader = Reader::new(self.octets);
        core::iter::from_fn(move || item(&mut reader).ok().flatten()).filter(|item| item.label != 0)
    }

    /// The value of the first item with this label.
    #[must_use]
    pub fn value(&self, label: u32) -> Option<&'a [u8]> {
        self.items().find(|item| item.label == label)?.value
    }

    /// Takes all that is left, which must be well-formed.
    pub(crate) fn read(reader: &Reader<'a>) -> Result<Self, Malformed> {
        let octets = reader.rest();
        let base = reader.offset();
        let mut items = Reader::new(octets);
        loop {
            match item(&mut items) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Self { octets }),
                Err(Malformed { offset }) => {
                    return Err(Malformed {
                        offset: base.saturating_add(offset),
                    });
                }
            }
        }
    }

    /// Refuses an item that is critical and not among the labels understood.
    pub(crate) fn check(&self, message: Message, understood: &[u32]) -> Result<(), Error> {
        match self
            .items()
            .find(|item| item.critical && !understood.contains(&item.label))
        {
            Some(EadItem { label, .. }) => Err(Error::CriticalEad { message, label }),
            None => Ok(()),
        }
    }

    pub(crate) const fn as_bytes(&self) -> &'a [u8] {
        self.octets
    }
}

fn item<'a>(reader: &mut Reader<'a>) -> Result<Option<EadItem<'a>>, Malformed> {
    if reader.is_empty() {
        return Ok(None);
    }
    let start = reader.malformed();
    let label = reader.int()?;
    let value = if reader.major() == Some(BYTES) {
        Some(reader.bytes()?)
    } else {
        None
    };
    let magnitude = u32::try_from(label.unsigned_abs()).map_err(|_| start)?;
    Ok(Some(EadItem {
        label: magnitude,
        critical: label < 0,
        value,
    }))
}

/// Octets that the items take on the wire.
pub(crate) fn encoded_len(items: &[EadItem<'_>]) -> usize {
    items.iter().fold(0, |sum: usize, item| {
        let value = item.value.map_or(0, |value| bytes_len(value.len()));
        sum.saturating_add(Head::int(wire_label(item)).as_bytes().len())
            .saturating_add(value)
    })
}

pub(crate) fn write(items: &[EadItem<'_>], writer: &mut Writer<'_>) -> Result<(), Full> {
    for item in items {
        writer.int(wire_label(item))?;
        if let Some(value) = item.value {
            writer.bytes(value)?;
        }
    }
    Ok(())
}

fn wire_label(item: &EadItem<'_>) -> i64 {
    let label = i64::from(item.label);
    // Padding cannot be critical: there is no −0.
    if item.critical { label.saturating_neg() } else { label }
}
