//! Each form of DER and of RFC 5280 broken in turn, each with its own error.

use tr_pki::{Certificate, Field, ParseErrorKind, oid};

use crate::support::{AKI, BASIC, Draft, EKU, Key, POLICIES, Pki, SAN, SKI, USAGE, ext, tlv, utc};

type Spoil = fn(&mut Draft);

#[test]
fn each_form_has_its_error() {
    use ParseErrorKind as K;
    let (pki, key) = (Pki::new(), Key::new(9));
    type Expected = fn(&ParseErrorKind) -> bool;
    let value: Expected = |k| matches!(k, K::Value);
    let duplicate: Expected = |k| matches!(k, K::Duplicate);
    let algorithm: Expected = |k| matches!(k, K::Algorithm);
    let tag: Expected = |k| matches!(k, K::Tag { .. });
    let trailing: Expected = |k| matches!(k, K::Trailing { .. });
    let truncated: Expected = |k| matches!(k, K::Truncated { .. });
    let too_many: Expected = |k| matches!(k, K::TooMany { .. });
    let cases: &[(&str, Spoil, Field, Expected)] = &[
        ("version 1", |d| d.version = vec![], Field::Version, value),
        ("version 2", |d| d.version[4] = 1, Field::Version, value),
        (
            "serial with a padding octet",
            |d| d.serial[..2].copy_from_slice(&[0, 1]),
            Field::SerialNumber,
            value,
        ),
        ("serial empty", |d| d.serial.clear(), Field::SerialNumber, value),
        (
            "SHA-384 inside",
            |d| d.inner_algorithm[11] = 3,
            Field::SignatureAlgorithm,
            algorithm,
        ),
        (
            "SHA-384 outside",
            |d| d.outer_algorithm[11] = 3,
            Field::SignatureAlgorithm,
            algorithm,
        ),
        ("compressed point", |d| d.key[0] = 3, Field::SubjectPublicKeyInfo, value),
        (
            "time with an offset",
            |d| d.not_before = utc("2611110612+00"),
            Field::NotBefore,
            value,
        ),
        (
            "time without seconds",
            |d| d.not_after = utc("2702090612Z"),
            Field::NotAfter,
            value,
        ),
        (
            "four digits before 2050",
            |d| d.not_after = tlv(0x18, b"20270209061159Z"),
            Field::NotAfter,
            value,
        ),
        (
            "time of another type",
            |d| d.not_after = tlv(0x0c, b"270209061159Z"),
            Field::NotAfter,
            tag,
        ),
        ("issuer of another type", |d| d.issuer[0] = 0x31, Field::Issuer, tag),
        (
            "issuer with a bad string",
            |d| d.issuer[13] = 0xff,
            Field::Issuer,
            value,
        ),
        (
            "subject with an empty set",
            |d| d.subject = vec![0x30, 2, 0x31, 0],
            Field::Subject,
            truncated,
        ),
        (
            "no extension in the list",
            |d| d.extensions.clear(),
            Field::Extensions,
            truncated,
        ),
        (
            "something after the extensions",
            |d| d.tail = vec![5, 0],
            Field::Certificate,
            trailing,
        ),
        (
            "the same extension twice",
            |d| {
                let again = d.ext(SKI).clone();
                d.extensions.push(again);
            },
            Field::SubjectKeyIdentifier,
            duplicate,
        ),
        (
            "an unknown extension twice",
            |d| {
                d.extensions.push((vec![0x2a, 3], false, vec![5, 0]));
                d.extensions.push((vec![0x2a, 3], false, vec![5, 0]));
            },
            Field::Extensions,
            duplicate,
        ),
        (
            "25 extensions",
            |d| (0..19).for_each(|n| d.extensions.push((vec![0x2a, n], false, vec![5, 0]))),
            Field::Extensions,
            too_many,
        ),
        (
            "identifier of an extension padded",
            |d| d.ext(SKI).0 = vec![0x55, 0x80, 1],
            Field::Extensions,
            value,
        ),
        (
            "SKI empty",
            |d| d.ext(SKI).2 = vec![4, 0],
            Field::SubjectKeyIdentifier,
            value,
        ),
        (
            "SKI and something",
            |d| d.ext(SKI).2.push(0),
            Field::SubjectKeyIdentifier,
            trailing,
        ),
        (
            "AKI empty",
            |d| d.ext(AKI).2 = vec![0x30, 2, 0x80, 0],
            Field::AuthorityKeyIdentifier,
            value,
        ),
        (
            "AKI with a serial but no name",
            |d| d.ext(AKI).2 = vec![0x30, 3, 0x82, 1, 1],
            Field::AuthorityKeyIdentifier,
            trailing,
        ),
        (
            "key usage without bits",
            |d| d.ext(USAGE).2 = vec![3, 1, 0],
            Field::KeyUsage,
            value,
        ),
        (
            "key usage of zeros",
            |d| d.ext(USAGE).2 = vec![3, 2, 0, 0],
            Field::KeyUsage,
            value,
        ),
        (
            "key usage with trailing zero bits",
            |d| d.ext(USAGE).2 = vec![3, 2, 6, 0x80],
            Field::KeyUsage,
            value,
        ),
        (
            "key usage with unused bits set",
            |d| d.ext(USAGE).2 = vec![3, 2, 7, 0xc0],
            Field::KeyUsage,
            value,
        ),
        (
            "key usage of ten bits",
            |d| d.ext(USAGE).2 = vec![3, 3, 6, 0x80, 0x40],
            Field::KeyUsage,
            value,
        ),
        (
            "cA FALSE spelt out",
            |d| d.extensions.push(ext(BASIC, true, vec![0x30, 3, 1, 1, 0])),
            Field::BasicConstraints,
            value,
        ),
        (
            "cA TRUE as one",
            |d| d.extensions.push(ext(BASIC, true, vec![0x30, 3, 1, 1, 1])),
            Field::BasicConstraints,
            value,
        ),
        (
            "path length without cA",
            |d| d.extensions.push(ext(BASIC, true, vec![0x30, 3, 2, 1, 0])),
            Field::BasicConstraints,
            trailing,
        ),
        (
            "path length negative",
            |d| {
                d.extensions
                    .push(ext(BASIC, true, vec![0x30, 6, 1, 1, 0xff, 2, 1, 0xff]))
            },
            Field::BasicConstraints,
            value,
        ),
        (
            "SAN without names",
            |d| d.ext(SAN).2 = vec![0x30, 0],
            Field::SubjectAltName,
            truncated,
        ),
        (
            "SAN not ASCII",
            |d| d.ext(SAN).2[10] = 0xe9,
            Field::SubjectAltName,
            value,
        ),
        (
            "SAN with an address of five octets",
            |d| d.ext(SAN).2 = tlv(0x30, &tlv(0x87, &[1; 5])),
            Field::SubjectAltName,
            value,
        ),
        (
            "SAN with an unknown choice",
            |d| d.ext(SAN).2 = tlv(0x30, &tlv(0x89, &[1])),
            Field::SubjectAltName,
            value,
        ),
        (
            "17 names",
            |d| d.ext(SAN).2 = tlv(0x30, &tlv(0x82, b"a").repeat(17)),
            Field::SubjectAltName,
            too_many,
        ),
        (
            "EKU without usages",
            |d| d.ext(EKU).2 = vec![0x30, 0],
            Field::ExtendedKeyUsage,
            truncated,
        ),
        (
            "the same usage twice",
            |d| d.ext(EKU).2 = tlv(0x30, &tlv(6, oid::EKU_POS).repeat(2)),
            Field::ExtendedKeyUsage,
            duplicate,
        ),
        (
            "17 usages",
            |d| {
                let all: Vec<u8> = (0..17).flat_map(|n| tlv(6, &[0x2a, n])).collect();
                d.ext(EKU).2 = tlv(0x30, &all);
            },
            Field::ExtendedKeyUsage,
            too_many,
        ),
        (
            "the same policy twice",
            |d| {
                let one = tlv(0x30, &tlv(6, oid::POLICY_INDIVIDUAL));
                d.ext(POLICIES).2 = tlv(0x30, &one.repeat(2));
            },
            Field::CertificatePolicies,
            duplicate,
        ),
        (
            "a policy with empty qualifiers",
            |d| {
                let one = [tlv(6, oid::POLICY_INDIVIDUAL), vec![0x30, 0]];
                d.ext(POLICIES).2 = tlv(0x30, &tlv(0x30, &one.concat()));
            },
            Field::CertificatePolicies,
            truncated,
        ),
    ];
    for (name, spoil, field, expected) in cases {
        let mut draft = Draft::pos(&pki, &key);
        spoil(&mut draft);
        let der = draft.sign(&pki.issuing_key);
        let error = Certificate::parse(&der).expect_err(name);
        assert!(expected(&error.kind), "{name}: {error}");
        assert_eq!(error.field, *field, "{name}: {error}");
        assert!(error.offset <= der.len());
    }
    let long = tlv(0x30, &[0; 4093]);
    let error = Certificate::parse(&long).unwrap_err();
    assert_eq!(
        error.kind,
        K::TooLong {
            found: 4097,
            allowed: 4096
        }
    );
}
