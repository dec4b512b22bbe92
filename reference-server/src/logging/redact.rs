//! Finds card numbers and track data in text and blanks them.

use std::borrow::Cow;

/// Shortest card number that is looked for (ISO/IEC 7812-1 allows up to 19 digits; issued ones have 13 or more).
const PAN_MIN: usize = 13;
/// Longest card number, ISO/IEC 7812-1.
const PAN_MAX: usize = 19;
/// Track 2 after the separator: at least expiry (4) and service code (3), ISO/IEC 7813.
const TRACK_TAIL: usize = 7;

/// Blanks with `*`, in a line of text:
///
/// - a run of 13 to 19 digits whose check digit is right (Luhn, ISO/IEC 7812-1), also printed in groups with single
///   blanks or hyphens between them;
/// - track 2: such a run, whatever its check digit, followed by `=` or `D` and 7 or more digits, up to the last digit;
/// - track 1: `%B` and everything up to its `?` or the end of the line.
///
/// Text without any of these is returned as it is.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_as(text, false)
}

/// As [`redact`], for a line of JSON: a bare number that looks like a card number becomes `null`, so that the line stays
/// valid JSON; inside strings digits become `*`.
#[must_use]
pub fn redact_json(text: &str) -> Cow<'_, str> {
    redact_as(text, true)
}

fn redact_as(text: &str, json: bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut in_string = false;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(length) = sensitive(rest, at.checked_sub(1).and_then(|i| bytes.get(i)).copied()) {
            let end = at.saturating_add(length);
            out.push_str(text.get(copied..at).unwrap_or_default());
            if json && !in_string {
                out.push_str("null");
            } else {
                out.extend(core::iter::repeat_n('*', length));
            }
            copied = end;
            at = end;
            continue;
        }
        if json && byte == b'"' {
            in_string = !in_string;
        }
        // An escaped character in a JSON string is skipped as a whole, so `\"` does not end the string.
        let escaped = json && in_string && byte == b'\\';
        at = at.saturating_add(if escaped { 2 } else { 1 });
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// How many octets from the start of `rest` are to be blanked, if any. What is counted is ASCII throughout, or ends
/// before an ASCII octet or the end, so it never cuts a character.
fn sensitive(rest: &[u8], before: Option<u8>) -> Option<usize> {
    if rest.starts_with(b"%B") || rest.starts_with(b"%b") {
        return track_1(rest);
    }
    if !rest.first()?.is_ascii_digit() || before.is_some_and(|byte| byte.is_ascii_digit()) {
        return None;
    }
    track_2(rest)
        .or_else(|| plain_number(rest))
        .or_else(|| grouped_number(rest))
}

/// `%B` digits `^` … : up to and including `?`, or up to a quote or line end.
fn track_1(rest: &[u8]) -> Option<usize> {
    let digits = digits(rest.get(2..)?);
    let caret = rest.get(digits.saturating_add(2)).copied();
    if digits < PAN_MIN.saturating_sub(1) || caret != Some(b'^') {
        return None;
    }
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'?' | b'"' | b'\\' | b'\n'))
        .unwrap_or(rest.len());
    Some(end)
}

fn track_2(rest: &[u8]) -> Option<usize> {
    let number = digits(rest);
    let separator = rest.get(number).copied();
    if !(PAN_MIN - 1..=PAN_MAX).contains(&number) || !matches!(separator, Some(b'=' | b'D')) {
        return None;
    }
    let start = number.saturating_add(1);
    let tail = digits(rest.get(start..)?);
    (tail >= TRACK_TAIL).then(|| start.saturating_add(tail))
}

fn plain_number(rest: &[u8]) -> Option<usize> {
    let length = digits(rest);
    let run = rest.get(..length)?;
    ((PAN_MIN..=PAN_MAX).contains(&length) && luhn(run)).then_some(length)
}

/// Four digits first, then groups of 3 to 7 with one blank or hyphen between: `4111 1111 1111 1111`, `3782-822463-10005`.
fn grouped_number(rest: &[u8]) -> Option<usize> {
    if digits(rest) != 4 {
        return None;
    }
    let mut number = [0_u8; PAN_MAX];
    let mut held = 0_usize;
    let mut at = 0_usize;
    let mut found = None;
    loop {
        let group = digits(rest.get(at..)?);
        let end = at.saturating_add(group);
        let total = held.saturating_add(group);
        if !(3..=7).contains(&group) || total > PAN_MAX {
            return found;
        }
        number.get_mut(held..total)?.copy_from_slice(rest.get(at..end)?);
        held = total;
        if held >= PAN_MIN && luhn(number.get(..held)?) {
            found = Some(end);
        }
        let more = matches!(rest.get(end), Some(b' ' | b'-'));
        if !more {
            return found;
        }
        at = end.saturating_add(1);
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The check digit of ISO/IEC 7812-1 annex B, over ASCII digits.
fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (place, byte)| {
        let digit = u32::from(byte.saturating_sub(b'0'));
        let doubled = digit.saturating_mul(2);
        let add = match (place % 2, doubled) {
            (0, _) => digit,
            (_, 0..=9) => doubled,
            _ => doubled.saturating_sub(9),
        };
        sum.saturating_add(add)
    });
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_blanked_in_every_dress() {
        for (text, clean) in [
            ("4111111111111111", "****************"),
            ("pan=4111111111111111,", "pan=****************,"),
            ("x4111111111111111y", "x****************y"),
            ("4111 1111 1111 1111.", "*******************."),
            ("4111-1111-1111-1111", "*******************"),
            ("3782-822463-10005", "*****************"),
            ("1250 840 4111111111111111", "1250 840 ****************"),
            (
                ";4111111111111111=30121010000012345?",
                ";**********************************?",
            ),
            (
                "%B4111111111111111^DOE/JANE^3012101?",
                "***********************************?",
            ),
            ("%B4111111111111111^DOE/JÄNE^3012", "*********************************"),
            // A wrong check digit does not save track data.
            (";4111111111111112=30121010000?", ";****************************?"),
        ] {
            assert_eq!(redact(text), clean, "{text}");
        }
    }

    #[test]
    fn what_is_no_card_number_stays() {
        for text in [
            "2026-11-21T06:00:00.000Z",
            "4111111111111112",
            "amount=1250 currency=840",
            "urn:uuid:0b3fd2c4-8f4e-4a42-9d6e-54a8d5f0c1aa",
            "2.25.329800735698586629295641978511506172918",
            "127.0.0.1:65535",
            "grüße",
            "",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn a_bare_number_in_json_becomes_null() {
        assert_eq!(
            redact_json(r#"{"a":"\"4111111111111111","b":4111111111111111,"c":"x"}"#),
            r#"{"a":"\"****************","b":null,"c":"x"}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_twice_is_once(text in "\\PC*") {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once), once.as_str());
            let _ = redact_json(&text);
        }

        #[test]
        fn any_luhn_number_is_blanked(body in "[0-9]{12,18}", before in "[^0-9]{0,4}", after in "[^0-9]{0,4}") {
            let check = (0..=9_u8)
                .find(|digit| luhn(format!("{body}{digit}").as_bytes()))
                .unwrap();
            let text = format!("{before}{body}{check}{after}");
            prop_assert!(!redact(&text).contains(&body), "{}", text);
        }
    }
}
