//! The grammar as nom parsers over a borrowed, possibly incomplete input.

use nom::branch::alt;
use nom::bytes::streaming::{take, take_while, take_while_m_n};
use nom::combinator::{opt, value};
use nom::error::{ErrorKind as NomKind, ParseError};
use nom::{IResult, Needed, Parser};

use super::{Frame, Key, Kind, MAX_FIELDS, MAX_FRAME, MAX_NAME, MAX_SIGNATURES};
use crate::error::{Error, ErrorKind};
use crate::signature;

pub(super) fn frame(input: &[u8]) -> Result<(Frame<'_>, &[u8]), Error> {
    let window = input.get(..MAX_FRAME).unwrap_or(input);
    match whole(window) {
        Ok((rest, frame)) => {
            let rest = input.get(window.len().saturating_sub(rest.len())..).unwrap_or_default();
            Ok((frame, rest))
        }
        Err(nom::Err::Incomplete(_)) if window.len() == MAX_FRAME => {
            Err(Error::new(ErrorKind::FrameTooLong, MAX_FRAME))
        }
        Err(nom::Err::Incomplete(_)) => Err(Error::new(ErrorKind::Incomplete, input.len())),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => {
            let offset = window.len().saturating_sub(fault.at.len());
            Err(Error {
                kind: fault.kind,
                offset,
                key: fault.key,
            })
        }
    }
}

/// Whether the octets are a name of the grammar.
pub(crate) fn is_name(octets: &[u8]) -> bool {
    octets.len() <= MAX_NAME
        && octets.first().is_some_and(u8::is_ascii_lowercase)
        && octets.iter().all(|&octet| is_name_octet(octet))
}

/// Checks a value's octets: UTF-8, no forbidden character, not empty. The number is the offset of what is wrong.
pub(crate) fn check_text(octets: &[u8]) -> Result<&str, (ErrorKind, usize)> {
    let end = octets
        .iter()
        .position(|&octet| !is_value_octet(octet))
        .unwrap_or(octets.len());
    match unicode(octets.get(..end).unwrap_or_default())? {
        Unicode::Cut(at) => Err((ErrorKind::BadUtf8, at)),
        Unicode::Whole(_) if end < octets.len() => Err((ErrorKind::ForbiddenCharacter, end)),
        Unicode::Whole("") => Err((ErrorKind::EmptyValue, 0)),
        Unicode::Whole(text) => Ok(text),
    }
}

enum Unicode<'a> {
    Whole(&'a str),
    /// The last character, at this offset, lacks octets.
    Cut(usize),
}

/// Checks what the octets alone do not show: UTF-8, and the characters beyond ASCII.
fn unicode(octets: &[u8]) -> Result<Unicode<'_>, (ErrorKind, usize)> {
    let whole = core::str::from_utf8(octets);
    let valid = match whole {
        Ok(text) if text.is_ascii() => return Ok(Unicode::Whole(text)),
        Ok(_) => octets,
        Err(error) => octets.get(..error.valid_up_to()).unwrap_or_default(),
    };
    let text = core::str::from_utf8(valid).unwrap_or_default();
    if let Some((at, _)) = text.char_indices().find(|&(_, c)| is_forbidden(c)) {
        return Err((ErrorKind::ForbiddenCharacter, at));
    }
    match whole {
        Ok(text) => Ok(Unicode::Whole(text)),
        Err(error) if error.error_len().is_none() => Ok(Unicode::Cut(error.valid_up_to())),
        Err(error) => Err((ErrorKind::BadUtf8, error.valid_up_to())),
    }
}

/// What went wrong, and the input from there on: its length gives the offset.
struct Fault<'a> {
    at: &'a [u8],
    kind: ErrorKind,
    key: Option<Key>,
}

impl<'a> ParseError<&'a [u8]> for Fault<'a> {
    fn from_error_kind(at: &'a [u8], _: NomKind) -> Self {
        Self {
            at,
            kind: ErrorKind::BadKey,
            key: None,
        }
    }

    fn append(_: &'a [u8], _: NomKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Fault<'a>>;

const fn fault(at: &[u8], kind: ErrorKind) -> nom::Err<Fault<'_>> {
    nom::Err::Failure(Fault { at, kind, key: None })
}

fn whole(input: &[u8]) -> Parsed<'_, Frame<'_>> {
    let offset_of = |rest: &[u8]| input.len().saturating_sub(rest.len());
    let (start, (kind, verb)) = header(input)?;
    let mut rest = start;
    let mut last: &[u8] = b"";
    let mut count = 0_usize;
    while begins(rest, MAX_FIELDS.saturating_sub(count))? {
        (rest, last) = field(rest, last)?;
        count = count.saturating_add(1);
    }
    let body_end = offset_of(rest);
    let mut signatures = 0;
    while !rest.starts_with(b"\n") {
        (rest, signatures) = signed(rest, signatures)?;
    }
    let (rest, ()) = literal(b"\n", ErrorKind::BadKey).parse(rest)?;
    // Every value has been checked, so this cannot fail; it turns the bytes into text once for all fields.
    let text = input
        .get(..offset_of(rest))
        .and_then(|octets| core::str::from_utf8(octets).ok());
    let (Some(text), Ok(verb)) = (text, core::str::from_utf8(verb)) else {
        return Err(fault(input, ErrorKind::BadUtf8));
    };
    Ok((
        rest,
        Frame {
            text,
            kind,
            verb,
            fields: offset_of(start),
            body_end,
            signatures,
        },
    ))
}

fn header(input: &[u8]) -> Parsed<'_, (Kind, &[u8])> {
    let (rest, ()) = literal(b"TR1 ", ErrorKind::BadMagic).parse(input)?;
    let (rest, kind) = alt((
        value(Kind::Information, literal(b"I", ErrorKind::BadKind)),
        value(Kind::Data, literal(b"D", ErrorKind::BadKind)),
        value(Kind::Command, literal(b"C", ErrorKind::BadKind)),
    ))
    .parse(rest)?;
    let (rest, ()) = literal(b" ", ErrorKind::BadKind).parse(rest)?;
    let (rest, verb) = name(ErrorKind::BadVerb).parse(rest)?;
    let (rest, ()) = literal(b"\n", ErrorKind::BadVerb).parse(rest)?;
    Ok((rest, (kind, verb)))
}

/// Whether a field begins here, and not a signature or the blank line.
fn begins(input: &[u8], room: usize) -> Result<bool, nom::Err<Fault<'_>>> {
    match input.first() {
        None => Err(nom::Err::Incomplete(Needed::new(1))),
        Some(b'~' | b'\n') => Ok(false),
        Some(_) if room == 0 => Err(fault(input, ErrorKind::TooManyFields)),
        Some(_) => Ok(true),
    }
}

fn field<'a>(input: &'a [u8], last: &[u8]) -> Parsed<'a, &'a [u8]> {
    let (rest, _) = opt(literal(b"!", ErrorKind::BadKey)).parse(input)?;
    let (rest, name) = name(ErrorKind::BadKey).parse(rest)?;
    let (rest, ()) = literal(b"=", ErrorKind::BadKey).parse(rest)?;
    // An error from here on has a key to name.
    let named = |kind, at| {
        let key = input
            .get(..input.len().saturating_sub(rest.len()).saturating_sub(1))
            .unwrap_or_default();
        let key = core::str::from_utf8(key).unwrap_or_default();
        nom::Err::Failure(Fault {
            at,
            kind,
            key: Some(Key::new(key)),
        })
    };
    if name <= last {
        return Err(named(ErrorKind::KeyOrder, input));
    }
    match text(rest) {
        Ok((rest, ())) => Ok((rest, name)),
        Err(nom::Err::Failure(fault) | nom::Err::Error(fault)) => Err(named(fault.kind, fault.at)),
        Err(incomplete) => Err(incomplete),
    }
}

/// A value and its LF.
fn text(input: &[u8]) -> Parsed<'_, ()> {
    let bad = |(kind, at)| fault(input.get(at..).unwrap_or_default(), kind);
    match take_while::<_, _, Fault<'_>>(is_value_octet).parse(input) {
        // What is there may be wrong already, whatever follows.
        Err(incomplete) => Err(unicode(input).map_or_else(bad, |_| incomplete)),
        Ok((rest, octets)) if !octets.is_empty() && octets.is_ascii() => {
            literal(b"\n", ErrorKind::ForbiddenCharacter).parse(rest)
        }
        Ok((rest, octets)) => match check_text(octets) {
            Err((ErrorKind::EmptyValue, _)) if !rest.starts_with(b"\n") => {
                Err(fault(rest, ErrorKind::ForbiddenCharacter))
            }
            Err(wrong) => Err(bad(wrong)),
            Ok(_) => literal(b"\n", ErrorKind::ForbiddenCharacter).parse(rest),
        },
    }
}

/// One signature's line, the one after the `count`th.
fn signed(input: &[u8], count: usize) -> Parsed<'_, usize> {
    const KEYS: [&[u8]; MAX_SIGNATURES] = [b"~1=", b"~2=", b"~3=", b"~4="];
    let key = match (KEYS.get(count), input) {
        (_, []) => return Err(nom::Err::Incomplete(Needed::new(1))),
        (None, _) => return Err(fault(input, ErrorKind::SignatureOrder)),
        (Some(key), _) => key,
    };
    let (rest, ()) = literal(key, ErrorKind::SignatureOrder).parse(input)?;
    let named = |kind, at| {
        let key = key.first_chunk::<2>().and_then(|key| core::str::from_utf8(key).ok());
        nom::Err::Failure(Fault {
            at,
            kind,
            key: key.map(Key::new),
        })
    };
    let from = |at| rest.get(at..).unwrap_or_default();
    if let Some(at) = signature::first_misplaced(rest) {
        return Err(named(ErrorKind::BadSignature, from(at)));
    }
    let (after, value) = take(signature::SIGNATURE_VALUE).parse(rest)?;
    if let Err((kind, at)) = signature::read(value) {
        return Err(named(kind, from(at)));
    }
    match literal(b"\n", ErrorKind::BadSignature).parse(after) {
        Ok((rest, ())) => Ok((rest, count.saturating_add(1))),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => Err(named(fault.kind, fault.at)),
        Err(incomplete) => Err(incomplete),
    }
}

/// A name, as octets.
fn name<'a>(kind: ErrorKind) -> impl Parser<&'a [u8], Output = &'a [u8], Error = Fault<'a>> {
    move |input: &'a [u8]| {
        match input.first() {
            None => return Err(nom::Err::Incomplete(Needed::new(1))),
            Some(first) if !first.is_ascii_lowercase() => return Err(fault(input, kind)),
            Some(_) => {}
        }
        let (rest, name) = take_while_m_n(1, MAX_NAME, is_name_octet).parse(input)?;
        match rest.first() {
            None => Err(nom::Err::Incomplete(Needed::new(1))),
            Some(&next) if is_name_octet(next) => Err(fault(rest, ErrorKind::NameTooLong)),
            Some(_) => Ok((rest, name)),
        }
    }
}

/// These octets; the fault is at the first that differs.
fn literal<'a>(expected: &'static [u8], kind: ErrorKind) -> impl Parser<&'a [u8], Output = (), Error = Fault<'a>> {
    move |input: &'a [u8]| {
        let same = input
            .iter()
            .zip(expected)
            .take_while(|(found, wanted)| found == wanted)
            .count();
        match input.get(same..) {
            Some(rest) if same == expected.len() => Ok((rest, ())),
            Some([]) | None => Err(nom::Err::Incomplete(Needed::Unknown)),
            Some(rest) => Err(nom::Err::Error(Fault {
                at: rest,
                kind,
                key: None,
            })),
        }
    }
}

const fn is_name_octet(octet: u8) -> bool {
    matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

/// What a value's octet can be before it is known to be UTF-8: no C0, no DEL.
const fn is_value_octet(octet: u8) -> bool {
    octet >= 0x20 && octet != 0x7F
}

/// The characters beyond ASCII that a value cannot hold.
const fn is_forbidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9F}' // C1
        | '\u{061C}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // bidi controls
        | '\u{2028}'..='\u{2029}' // line and paragraph separators
    )
}
