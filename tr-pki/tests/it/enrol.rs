//! Requests and vouchers.

use tr_pki::csr::{self, Csr, WriteError};
use tr_pki::voucher::{Reference, TextError, Voucher, WrongMac};
use tr_pki::{BadSignature, Field, ParseErrorKind, Signer};

use crate::support::{Key, Provider, common_name, tlv};

fn voucher() -> Voucher {
    let secret = core::array::from_fn(|i| 0xf0 - 7 * i as u8);
    Voucher::new(Reference([0x12, 0x34, 0x56, 0x78]), secret)
}

#[test]
fn a_request_is_written_and_read() {
    for number in 1..60 {
        let key = Key::new(number);
        let mut buffer = [0xee; csr::MAX_WRITTEN_LEN];
        let der = csr::write(&key, &mut buffer).unwrap();
        let request = Csr::parse(der).unwrap();
        assert_eq!(request.as_der(), der);
        assert_eq!(request.public_key(), &key.public());
        assert_eq!(request.subject(), [0x30, 0]);
        assert!(request.attributes().is_empty());
        assert_eq!(request.verify(&Provider), Ok(()));
    }
    let mut small = [0; csr::MAX_WRITTEN_LEN - 1];
    let error = csr::write(&Key::new(1), &mut small).unwrap_err();
    assert_eq!(
        error,
        WriteError::Buffer {
            needed: 190,
            available: 189
        }
    );
}

/// A signer whose signature is chosen, to meet every length of both integers.
struct Fixed([u8; 64]);

impl Signer for Fixed {
    type Error = core::convert::Infallible;

    fn public_key(&self) -> Result<[u8; 65], Self::Error> {
        Ok(Key::new(1).public())
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], Self::Error> {
        Ok(self.0)
    }
}

#[test]
fn signatures_of_all_lengths_are_written() {
    let mut buffer = [0; csr::MAX_WRITTEN_LEN];
    for (r, s) in [(0, 0), (0, 31), (31, 0), (31, 31), (5, 17)] {
        for octet in [0x01, 0x7f, 0x80, 0xff] {
            let mut pair = [0; 64];
            pair[r..32].fill(octet);
            pair[32 + s..].fill(octet);
            let der = csr::write(&Fixed(pair), &mut buffer).unwrap();
            let request = Csr::parse(der).unwrap();
            assert_eq!(request.verify(&Provider), Err(BadSignature));
        }
    }
}

#[test]
fn foreign_requests_are_read() {
    let mut buffer = [0; csr::MAX_WRITTEN_LEN];
    let der = csr::write(&Key::new(1), &mut buffer).unwrap();
    let rest = &der[3 + 100..];
    let key = &der[3 + 7..3 + 98];
    let build = |version: u8, subject: &[u8], attributes: &[u8]| {
        let info = [
            tlv(2, &[version]),
            subject.to_vec(),
            key.to_vec(),
            tlv(0xa0, attributes),
        ];
        tlv(0x30, &[tlv(0x30, &info.concat()), rest.to_vec()].concat())
    };
    let password = [
        tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7]),
        tlv(0x31, &tlv(0x0c, b"x")),
    ];
    let password = tlv(0x30, &password.concat());
    let empty = [0x30, 0];
    assert!(Csr::parse(&build(0, &common_name("shop"), &password)).is_ok());
    for (der, field, kind) in [
        (build(1, &empty, &[]), Field::Version, ParseErrorKind::Value),
        (
            build(0, &empty, &password.repeat(2)),
            Field::Attributes,
            ParseErrorKind::Value,
        ),
    ] {
        let error = Csr::parse(&der).unwrap_err();
        assert_eq!((error.field, error.kind), (field, kind));
    }
    let long = tlv(0x30, &[0; 4093]);
    assert!(matches!(
        Csr::parse(&long).unwrap_err().kind,
        ParseErrorKind::TooLong { .. }
    ));
}

#[test]
fn the_code_is_hmac_over_label_reference_and_request() {
    let (voucher, request) = (voucher(), b"any octets");
    // python3: hmac.new(bytes(0xf0 - 7*i for i in range(16)),
    //   b"tr-pki enrolment mac v1\0\x12\x34\x56\x78any octets", "sha256").hexdigest()
    let expected = "14eb1e09064b2635bbd9791a12dd931f7ef647d18b538ecf1faa4c96d7ad389d";
    let mac = voucher.mac(&Provider, request);
    let hex: String = mac.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(hex, expected);

    assert_eq!(voucher.check(&Provider, request, &mac), Ok(()));
    assert_eq!(voucher.check(&Provider, b"other octets", &mac), Err(WrongMac));
    assert_eq!(voucher.check(&Provider, request, &mac[..31]), Err(WrongMac));
    for bit in 0..256 {
        let mut wrong = mac;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(voucher.check(&Provider, request, &wrong), Err(WrongMac));
    }
    let other = Voucher::new(Reference([0x12, 0x34, 0x56, 0x79]), *voucher.secret());
    assert_eq!(other.check(&Provider, request, &mac), Err(WrongMac));
    let other = Voucher::new(voucher.reference(), [1; 16]);
    assert_eq!(other.check(&Provider, request, &mac), Err(WrongMac));
}

#[test]
fn the_printed_form_stays_as_it_is() {
    let text = voucher().to_text();
    assert_eq!(text.as_str(), "28T5M-CY7GX-X7HDJ-QN6DA-RTZVR-HCDA2-MEE9C-B3M7W");
    assert_eq!(voucher().reference().to_string(), "12345678");
}

#[test]
fn typing_errors_are_found_and_named() {
    let text = voucher().to_text().as_str().to_owned();
    let digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for at in 0..text.len() {
        let group = at / 6 + 1;
        if at % 6 == 5 {
            continue;
        }
        for digit in digits.chars() {
            let mut wrong: Vec<char> = text.chars().collect();
            if wrong[at] == digit {
                continue;
            }
            wrong[at] = digit;
            let wrong: String = wrong.into_iter().collect();
            assert_eq!(Voucher::parse(&wrong), Err(TextError::Group { group }), "{wrong}");
        }
        if at % 6 < 4 {
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            if swapped != text {
                assert_eq!(Voucher::parse(&swapped), Err(TextError::Group { group }), "{swapped}");
            }
        }
    }
    let groups: Vec<&str> = text.split('-').collect();
    for a in 0..8 {
        for b in a + 1..8 {
            let mut swapped = groups.clone();
            swapped.swap(a, b);
            let error = Voucher::parse(&swapped.join("-")).unwrap_err();
            assert_eq!(error, TextError::Group { group: a + 1 });
        }
    }
    assert_eq!(Voucher::parse("12U"), Err(TextError::Character { offset: 2 }));
    assert_eq!(Voucher::parse("é"), Err(TextError::Character { offset: 0 }));
    assert_eq!(Voucher::parse(""), Err(TextError::Length { found: 0, expected: 40 }));
    assert_eq!(
        Voucher::parse(&text[..46]),
        Err(TextError::Length {
            found: 39,
            expected: 40
        })
    );
    let long = format!("{text}0");
    assert_eq!(
        Voucher::parse(&long),
        Err(TextError::Length {
            found: 41,
            expected: 40
        })
    );
    for (text, error) in [
        ("1234567", TextError::Length { found: 7, expected: 8 }),
        ("123456789", TextError::Length { found: 9, expected: 8 }),
        ("1234567A", TextError::Character { offset: 7 }),
        ("+2345678", TextError::Character { offset: 0 }),
    ] {
        assert_eq!(Reference::parse(text), Err(error));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let voucher = voucher();
    let shown = format!("{voucher:?} {:?}", voucher.to_text());
    assert_eq!(
        shown,
        "Voucher { reference: Reference([18, 52, 86, 120]), .. } VoucherText(…)"
    );
    let error = Voucher::parse(&voucher.to_text().as_str()[..40]).unwrap_err();
    assert_eq!(error.to_string(), "34 characters, expected 40");
}
