//! The extensions of a certificate (RFC 5280 §4.2).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::error::{Field, ParseError, ParseErrorKind};
use crate::oid;
use crate::reader::{self, Reader};

/// Most extensions that are read in one certificate.
pub const MAX_EXTENSIONS: usize = 24;
/// Most extended key usages, policies or alternative names that are read in one certificate.
pub const MAX_ENTRIES: usize = 16;

/// What the extensions say. The slices have been read once and are well-formed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extensions<'a> {
    pub(crate) authority_key_identifier: Option<&'a [u8]>,
    pub(crate) subject_key_identifier: Option<&'a [u8]>,
    pub(crate) key_usage: Option<u16>,
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u8>,
    /// ASCII.
    pub(crate) uri: Option<&'a [u8]>,
    /// Content of GeneralNames.
    names: &'a [u8],
    pub(crate) names_count: u8,
    pub(crate) hosts_count: u8,
    /// Content of ExtKeyUsageSyntax.
    usages: &'a [u8],
    /// Content of CertificatePolicies.
    policies: &'a [u8],
    present: u8,
    critical: u8,
    /// The first critical extension that is not known here.
    pub(crate) unknown_critical: Option<&'a [u8]>,
}

/// The standard extension with this last arc, if it is known here.
const fn known(last: u8) -> Option<Field> {
    Some(match last {
        oid::CE_AUTHORITY_KEY_IDENTIFIER => Field::AuthorityKeyIdentifier,
        oid::CE_SUBJECT_KEY_IDENTIFIER => Field::SubjectKeyIdentifier,
        oid::CE_KEY_USAGE => Field::KeyUsage,
        oid::CE_SUBJECT_ALT_NAME => Field::SubjectAltName,
        oid::CE_EXTENDED_KEY_USAGE => Field::ExtendedKeyUsage,
        oid::CE_CERTIFICATE_POLICIES => Field::CertificatePolicies,
        oid::CE_BASIC_CONSTRAINTS => Field::BasicConstraints,
        _ => return None,
    })
}

/// One bit for each extension that is known.
const fn bit(field: Field) -> u8 {
    match field {
        Field::AuthorityKeyIdentifier => 0x01,
        Field::SubjectKeyIdentifier => 0x02,
        Field::KeyUsage => 0x04,
        Field::SubjectAltName => 0x08,
        Field::ExtendedKeyUsage => 0x10,
        Field::CertificatePolicies => 0x20,
        Field::BasicConstraints => 0x40,
        _ => 0,
    }
}

impl<'a> Extensions<'a> {
    /// Reads `[3] Extensions`, if it is there.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        const FIELD: Field = Field::Extensions;
        let mut out = Self::default();
        if reader.is_empty() {
            return Ok(out);
        }
        let mut explicit = reader.element(0xa3, FIELD)?;
        let mut list = explicit.element(reader::SEQUENCE, FIELD)?;
        explicit.end(FIELD)?;
        let all = list;
        let mut count = 0_usize;
        let mut unknown = false;
        loop {
            count = count.wrapping_add(1);
            if count > MAX_EXTENSIONS {
                let allowed = MAX_EXTENSIONS;
                return Err(list.error(FIELD, ParseErrorKind::TooMany { allowed }));
            }
            let here = list;
            let Extension { id, critical, value } = Extension::read(&mut list)?;
            let known = match *id {
                [0x55, 0x1d, last] => known(last),
                _ => None,
            };
            match known {
                Some(field) => {
                    if out.is_present(field) {
                        return Err(here.error(field, ParseErrorKind::Duplicate));
                    }
                    out.present |= bit(field);
                    if critical {
                        out.critical |= bit(field);
                    }
                    out.read_value(field, value)?;
                }
                None => {
                    if unknown && occurs_before(all, id, count)? {
                        return Err(here.error(FIELD, ParseErrorKind::Duplicate));
                    }
                    unknown = true;
                    if critical && out.unknown_critical.is_none() {
                        out.unknown_critical = Some(id);
                    }
                }
            }
            if list.is_empty() {
                return Ok(out);
            }
        }
    }

    pub(crate) const fn is_present(&self, field: Field) -> bool {
        self.present & bit(field) != 0
    }

    pub(crate) const fn is_critical(&self, field: Field) -> bool {
        self.critical & bit(field) != 0
    }

    pub(crate) const fn host_names(&self) -> HostNames<'a> {
        HostNames(Reader::new(self.names))
    }

    pub(crate) const fn extended_key_usages(&self) -> Oids<'a> {
        Oids {
            list: Reader::new(self.usages),
            wrapped: false,
        }
    }

    pub(crate) const fn policies(&self) -> Oids<'a> {
        Oids {
            list: Reader::new(self.policies),
            wrapped: true,
        }
    }

    fn read_value(&mut self, field: Field, mut value: Reader<'a>) -> Result<(), ParseError> {
        match field {
            Field::AuthorityKeyIdentifier => {
                self.authority_key_identifier = read_authority(&mut value)?;
            }
            Field::SubjectKeyIdentifier => {
                let content = value.element(reader::OCTET_STRING, field)?;
                if content.is_empty() {
                    return Err(content.error(field, ParseErrorKind::Value));
                }
                self.subject_key_identifier = Some(content.rest());
            }
            Field::KeyUsage => self.key_usage = Some(read_key_usage(&mut value)?),
            Field::SubjectAltName => self.read_names(&mut value)?,
            Field::ExtendedKeyUsage => {
                let list = value.element(reader::SEQUENCE, field)?;
                self.usages = list.rest();
                read_oids(list, field, false)?;
            }
            Field::CertificatePolicies => {
                let list = value.element(reader::SEQUENCE, field)?;
                self.policies = list.rest();
                read_oids(list, field, true)?;
            }
            _ => self.read_basic_constraints(&mut value)?,
        }
        value.end(field)
    }

    fn read_basic_constraints(&mut self, value: &mut Reader<'a>) -> Result<(), ParseError> {
        const FIELD: Field = Field::BasicConstraints;
        let mut content = value.element(reader::SEQUENCE, FIELD)?;
        self.ca = read_true(&mut content, FIELD)?;
        if self.ca && !content.is_empty() {
            let here = content;
            // Nobody needs a path length above 127; one octet is enough.
            match *content.integer(FIELD)? {
                [length @ 0..=0x7f] => self.path_len = Some(length),
                _ => return Err(here.error(FIELD, ParseErrorKind::Value)),
            }
        }
        content.end(FIELD)
    }

    fn read_names(&mut self, value: &mut Reader<'a>) -> Result<(), ParseError> {
        const FIELD: Field = Field::SubjectAltName;
        let mut list = value.element(reader::SEQUENCE, FIELD)?;
        self.names = list.rest();
        loop {
            let here = list;
            if usize::from(self.names_count) == MAX_ENTRIES {
                let allowed = MAX_ENTRIES;
                return Err(here.error(FIELD, ParseErrorKind::TooMany { allowed }));
            }
            let (tag, content) = list.any(FIELD)?;
            self.names_count = self.names_count.wrapping_add(1);
            let octets = content.rest();
            let good = match tag {
                URI | DNS_NAME | RFC822_NAME => octets.is_ascii() && !octets.is_empty(),
                IP_ADDRESS => matches!(octets.len(), 4 | 16),
                // otherName, x400Address, directoryName, ediPartyName, registeredID: nobody's
                // name here, kept unread.
                0xa0 | 0xa3 | 0xa4 | 0xa5 | 0x88 => !octets.is_empty(),
                _ => false,
            };
            if !good {
                return Err(here.error(FIELD, ParseErrorKind::Value));
            }
            match tag {
                URI if self.uri.is_none() => self.uri = Some(octets),
                DNS_NAME | IP_ADDRESS => self.hosts_count = self.hosts_count.wrapping_add(1),
                _ => {}
            }
            if list.is_empty() {
                return Ok(());
            }
        }
    }
}

struct Extension<'a> {
    id: &'a [u8],
    critical: bool,
    value: Reader<'a>,
}

impl<'a> Extension<'a> {
    #[inline]
    fn read(list: &mut Reader<'a>) -> Result<Self, ParseError> {
        const FIELD: Field = Field::Extensions;
        let mut extension = list.element(reader::SEQUENCE, FIELD)?;
        let id = extension.oid(FIELD)?;
        let critical = read_true(&mut extension, FIELD)?;
        let value = extension.element(reader::OCTET_STRING, FIELD)?;
        extension.end(FIELD)?;
        Ok(Self { id, critical, value })
    }
}

/// Whether one of the first `count` - 1 extensions has this identifier. Only asked for the second unknown
/// one and those after it.
#[cold]
fn occurs_before(mut all: Reader<'_>, id: &[u8], count: usize) -> Result<bool, ParseError> {
    for _ in 1..count {
        if Extension::read(&mut all)?.id == id {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A `BOOLEAN DEFAULT FALSE`: absent or TRUE, never FALSE (X.690 §11.5), and TRUE is 0xff (§11.1).
#[inline]
fn read_true(reader: &mut Reader<'_>, field: Field) -> Result<bool, ParseError> {
    if !reader.peek(reader::BOOLEAN) {
        return Ok(false);
    }
    if reader.skip_exact(&[reader::BOOLEAN, 1, 0xff]) {
        return Ok(true);
    }
    Err(reader.error(field, ParseErrorKind::Value))
}

/// RFC 5280 §4.2.1.1. The issuer's name and serial number, both or neither, are passed over.
fn read_authority<'a>(value: &mut Reader<'a>) -> Result<Option<&'a [u8]>, ParseError> {
    const FIELD: Field = Field::AuthorityKeyIdentifier;
    let mut content = value.element(reader::SEQUENCE, FIELD)?;
    let mut found = None;
    if content.peek(0x80) {
        let identifier = content.element(0x80, FIELD)?;
        if identifier.is_empty() {
            return Err(identifier.error(FIELD, ParseErrorKind::Value));
        }
        found = Some(identifier.rest());
    }
    if content.peek(0xa1) {
        content.element(0xa1, FIELD)?;
        content.element(0x82, FIELD)?;
    }
    content.end(FIELD)?;
    Ok(found)
}

/// RFC 5280 §4.2.1.3: at least one of nine bits, without trailing zero bits (X.690 §11.2.2).
fn read_key_usage(value: &mut Reader<'_>) -> Result<u16, ParseError> {
    const FIELD: Field = Field::KeyUsage;
    let content = value.element(reader::BIT_STRING, FIELD)?;
    let (unused, bits, last) = match *content.rest() {
        [unused @ 0..=7, bits] => (unused, u16::from_be_bytes([bits, 0]), bits),
        [7, bits, last @ 0x80] => (7, u16::from_be_bytes([bits, last]), last),
        _ => return Err(content.error(FIELD, ParseErrorKind::Value)),
    };
    if last.trailing_zeros() != u32::from(unused) {
        return Err(content.error(FIELD, ParseErrorKind::Value));
    }
    Ok(bits)
}

/// Reads all identifiers of a list, which may not be empty nor name one twice. Policies are
/// `wrapped` in a sequence with qualifiers.
fn read_oids(all: Reader<'_>, field: Field, wrapped: bool) -> Result<(), ParseError> {
    let mut list = all;
    let mut count = 0_usize;
    loop {
        let here = list;
        if count == MAX_ENTRIES {
            let allowed = MAX_ENTRIES;
            return Err(here.error(field, ParseErrorKind::TooMany { allowed }));
        }
        let id = read_oid(&mut list, field, wrapped)?;
        if count > 0 && (Oids { list: all, wrapped }).take(count).any(|other| other == id) {
            return Err(here.error(field, ParseErrorKind::Duplicate));
        }
        count = count.wrapping_add(1);
        if list.is_empty() {
            return Ok(());
        }
    }
}

#[inline]
fn read_oid<'a>(list: &mut Reader<'a>, field: Field, wrapped: bool) -> Result<&'a [u8], ParseError> {
    if !wrapped {
        return list.oid(field);
    }
    let mut information = list.element(reader::SEQUENCE, field)?;
    let id = information.oid(field)?;
    if !information.is_empty() {
        // PolicyQualifierInfo: an identifier and something it defines.
        let mut qualifiers = information.element(reader::SEQUENCE, field)?;
        information.end(field)?;
        loop {
            let mut qualifier = qualifiers.element(reader::SEQUENCE, field)?;
            qualifier.oid(field)?;
            qualifier.any(field)?;
            qualifier.end(field)?;
            if qualifiers.is_empty() {
                break;
            }
        }
    }
    Ok(id)
}

const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// Object identifiers of a certificate, each as its content octets. See [`oid`](crate::oid).
#[derive(Clone, Copy, Debug)]
pub struct Oids<'a> {
    list: Reader<'a>,
    wrapped: bool,
}

impl<'a> Iterator for Oids<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // All has been read once, so the identifier comes first and is good.
        let mut list = self.list;
        let mut content = match self.wrapped {
            true => list.element(reader::SEQUENCE, Field::Extensions).ok()?,
            false => list,
        };
        let id = content.element(reader::OBJECT_IDENTIFIER, Field::Extensions).ok()?;
        self.list = if self.wrapped { list } else { content };
        Some(id.rest())
    }
}

/// A host that a TLS server certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostName<'a> {
    /// A DNS name, ASCII.
    Dns(&'a str),
    /// An IP address, 4 or 16 octets.
    Ip(&'a [u8]),
}

/// Host names of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct HostNames<'a>(Reader<'a>);

impl<'a> Iterator for HostNames<'a> {
    type Item = HostName<'a>;

    fn next(&mut self) -> Option<HostName<'a>> {
        loop {
            let (tag, content) = self.0.any(Field::SubjectAltName).ok()?;
            match tag {
                DNS_NAME => return core::str::from_utf8(content.rest()).ok().map(HostName::Dns),
                IP_ADDRESS => return Some(HostName::Ip(content.rest())),
                _ => {}
            }
        }
    }
}
