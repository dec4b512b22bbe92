//! Each rule broken in turn, each with its own error.

use tr_pki::{
    BadSignature, Certificate, Field, Options, ParseErrorKind, PathError, PathErrorKind, Role, Standing, Time,
    Validated, Verifier, authenticate, oid, validate,
};

use crate::support::{
    AKI, BASIC, DAY, Draft, EKU, IDENTITY, Key, NOW, POLICIES, Pki, Provider, SAN, SKI, USAGE, common_name, ext, issue,
    policies, tlv, utc,
};

type Spoil = fn(&mut Draft);

/// Validates a path of drafts, the last being the anchor.
fn judge(pki: &Pki, key: &Key, index: usize, spoil: Spoil) -> Result<(), PathError> {
    let mut drafts = [Draft::pos(pki, key), Draft::issuing(pki), Draft::root(pki)];
    spoil(&mut drafts[index]);
    let signers = [&pki.issuing_key, &pki.root_key, &pki.root_key];
    let ders: Vec<_> = drafts.iter().zip(signers).map(|(draft, key)| draft.sign(key)).collect();
    let parse = |der| Certificate::parse(der).unwrap_or_else(|error| panic!("{error}"));
    let path: Vec<_> = ders.iter().map(|der| parse(der)).collect();
    let options = Options {
        time: Time::known(NOW),
        grace: 0,
        roles: &[Role::Pos],
    };
    validate(&path[..2], &path[2..], &options, &Provider).map(|_| ())
}

#[test]
fn good_drafts_are_accepted() {
    let (pki, key) = (Pki::new(), Key::new(9));
    for index in 0..3 {
        assert_eq!(judge(&pki, &key, index, |_| {}), Ok(()));
    }
}

#[test]
fn what_stays_allowed() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let cases: [(usize, Spoil); 5] = [
        // A non-critical extension nobody knows.
        (0, |d| d.extensions.push((vec![0x2a, 3], false, vec![5, 0]))),
        // Another policy beside ours.
        (0, |d| {
            let ours = tlv(0x30, &tlv(6, oid::POLICY_INDIVIDUAL));
            let other = tlv(0x30, &tlv(6, &[0x2a, 3]));
            d.ext(POLICIES).2 = tlv(0x30, &[other, ours].concat());
        }),
        // Extensions in another order.
        (0, |d| d.extensions.reverse()),
        // An empty basicConstraints is no CA's.
        (0, |d| d.extensions.push(ext(BASIC, true, vec![0x30, 0]))),
        (0, |d| d.serial = [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff; 12]].concat()),
    ];
    for (number, (index, spoil)) in cases.into_iter().enumerate() {
        assert_eq!(judge(&pki, &key, index, spoil), Ok(()), "case {number}");
    }
}

#[test]
fn each_rule_has_its_error() {
    use PathErrorKind as K;
    let (pki, key) = (Pki::new(), Key::new(9));
    type Expected = fn(&PathErrorKind) -> bool;
    let cases: &[(&str, usize, Spoil, usize, Expected)] = &[
        (
            "unknown critical extension",
            0,
            |d| d.extensions.push((vec![0x2a, 3], true, vec![5, 0])),
            0,
            |k| matches!(k, K::UnknownCritical { oid } if oid.as_bytes() == [0x2a, 3]),
        ),
        (
            "unknown critical extension in a CA",
            1,
            |d| d.extensions.push(ext(30, true, vec![0x30, 0])),
            1,
            |k| matches!(k, K::UnknownCritical { .. }),
        ),
        (
            "unknown critical extension in the anchor",
            2,
            |d| d.extensions.push(ext(54, true, vec![2, 1, 0])),
            2,
            |k| matches!(k, K::UnknownCritical { .. }),
        ),
        (
            "AKI missing",
            0,
            |d| d.remove(AKI),
            0,
            |k| {
                matches!(
                    k,
                    K::Missing {
                        field: Field::AuthorityKeyIdentifier
                    }
                )
            },
        ),
        (
            "SKI missing",
            0,
            |d| d.remove(SKI),
            0,
            |k| {
                matches!(
                    k,
                    K::Missing {
                        field: Field::SubjectKeyIdentifier
                    }
                )
            },
        ),
        (
            "AKI critical",
            0,
            |d| d.ext(AKI).1 = true,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::AuthorityKeyIdentifier,
                        found: true,
                        ..
                    }
                )
            },
        ),
        (
            "SKI critical",
            0,
            |d| d.ext(SKI).1 = true,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::SubjectKeyIdentifier,
                        found: true,
                        ..
                    }
                )
            },
        ),
        (
            "AKI without a key identifier",
            0,
            |d| d.ext(AKI).2 = vec![0x30, 0],
            0,
            |k| {
                matches!(
                    k,
                    K::Missing {
                        field: Field::AuthorityKeyIdentifier
                    }
                )
            },
        ),
        (
            "AKI of another length",
            0,
            |d| d.ext(AKI).2 = tlv(0x30, &tlv(0x80, &[1; 20])),
            0,
            |k| {
                matches!(
                    k,
                    K::KeyIdentifierLength {
                        found: 20,
                        expected: 8,
                        ..
                    }
                )
            },
        ),
        (
            "AKI of another key",
            0,
            |d| d.ext(AKI).2 = tlv(0x30, &tlv(0x80, &[1; 8])),
            0,
            |k| matches!(k, K::KeyIdentifier { found, .. } if found.as_bytes() == [1; 8]),
        ),
        (
            "SKI of another length",
            0,
            |d| d.ext(SKI).2 = tlv(4, &[1; 7]),
            0,
            |k| {
                matches!(
                    k,
                    K::KeyIdentifierLength {
                        field: Field::SubjectKeyIdentifier,
                        ..
                    }
                )
            },
        ),
        (
            "SKI of the CA differs",
            1,
            |d| d.ext(SKI).2 = tlv(4, &[1; 8]),
            0,
            |k| matches!(k, K::KeyIdentifier { .. }),
        ),
        (
            "AKI of the CA names another key",
            1,
            |d| d.ext(AKI).2 = tlv(0x30, &tlv(0x80, &[1; 8])),
            1,
            |k| matches!(k, K::UnknownIssuer { key, .. } if key.as_bytes() == [1; 8]),
        ),
        (
            "a root whose identifiers differ",
            2,
            |d| d.ext(AKI).2 = tlv(0x30, &tlv(0x80, &[1; 8])),
            2,
            |k| matches!(k, K::KeyIdentifier { .. }),
        ),
        (
            "key usage missing",
            0,
            |d| d.remove(USAGE),
            0,
            |k| matches!(k, K::Missing { field: Field::KeyUsage }),
        ),
        (
            "key usage not critical",
            0,
            |d| d.ext(USAGE).1 = false,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::KeyUsage,
                        found: false,
                        expected: true
                    }
                )
            },
        ),
        (
            "key usage of a CA in a leaf",
            0,
            |d| d.ext(USAGE).2 = vec![3, 2, 2, 0x84],
            0,
            |k| {
                matches!(
                    k,
                    K::KeyUsage {
                        found: 0x8400,
                        expected: 0x8000
                    }
                )
            },
        ),
        (
            "a CA without keyCertSign",
            1,
            |d| d.ext(USAGE).2 = vec![3, 2, 1, 2],
            1,
            |k| {
                matches!(
                    k,
                    K::KeyUsage {
                        found: 0x0200,
                        expected: 0x0600
                    }
                )
            },
        ),
        (
            "a CA without cRLSign",
            1,
            |d| d.ext(USAGE).2 = vec![3, 2, 2, 4],
            1,
            |k| {
                matches!(
                    k,
                    K::KeyUsage {
                        found: 0x0400,
                        expected: 0x0600
                    }
                )
            },
        ),
        (
            "an anchor without keyCertSign",
            2,
            |d| d.ext(USAGE).2 = vec![3, 2, 1, 2],
            2,
            |k| matches!(k, K::KeyUsage { .. }),
        ),
        (
            "basicConstraints missing",
            1,
            |d| d.remove(BASIC),
            1,
            |k| {
                matches!(
                    k,
                    K::Authority {
                        expected: true,
                        found: false
                    }
                )
            },
        ),
        (
            "basicConstraints not critical",
            1,
            |d| d.ext(BASIC).1 = false,
            1,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::BasicConstraints,
                        ..
                    }
                )
            },
        ),
        (
            "basicConstraints says no CA",
            1,
            |d| d.ext(BASIC).2 = vec![0x30, 0],
            1,
            |k| matches!(k, K::Authority { .. }),
        ),
        (
            "pathLenConstraint missing",
            1,
            |d| d.ext(BASIC).2 = vec![0x30, 3, 1, 1, 0xff],
            1,
            |k| {
                matches!(
                    k,
                    K::PathLength {
                        found: None,
                        expected: Some(0)
                    }
                )
            },
        ),
        (
            "pathLenConstraint too great",
            1,
            |d| d.ext(BASIC).2[7] = 1,
            1,
            |k| {
                matches!(
                    k,
                    K::PathLength {
                        found: Some(1),
                        expected: Some(0)
                    }
                )
            },
        ),
        (
            "an anchor with another pathLenConstraint",
            2,
            |d| d.ext(BASIC).2[7] = 0,
            2,
            |k| {
                matches!(
                    k,
                    K::PathLength {
                        found: Some(0),
                        expected: Some(1)
                    }
                )
            },
        ),
        (
            "a leaf that says it is a CA",
            0,
            |d| d.extensions.push(ext(BASIC, true, vec![0x30, 3, 1, 1, 0xff])),
            0,
            |k| matches!(k, K::Role { .. }),
        ),
        (
            "extended key usage missing",
            0,
            |d| d.remove(EKU),
            0,
            |k| {
                matches!(
                    k,
                    K::Role {
                        found: None,
                        expected: Some(Role::Pos)
                    }
                )
            },
        ),
        (
            "extended key usage not critical",
            0,
            |d| d.ext(EKU).1 = false,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::ExtendedKeyUsage,
                        ..
                    }
                )
            },
        ),
        (
            "extended key usage of another role",
            0,
            |d| d.ext(EKU).2 = tlv(0x30, &tlv(6, oid::EKU_BACKEND)),
            0,
            |k| {
                matches!(
                    k,
                    K::Role {
                        found: Some(Role::Backend),
                        expected: Some(Role::Pos)
                    }
                )
            },
        ),
        (
            "two roles in one certificate",
            0,
            |d| {
                let both = [tlv(6, oid::EKU_POS), tlv(6, oid::EKU_BACKEND)];
                d.ext(EKU).2 = tlv(0x30, &both.concat());
            },
            0,
            |k| matches!(k, K::ExtendedKeyUsage { found: 2, expected: 1 }),
        ),
        (
            "only a public usage",
            0,
            |d| d.ext(EKU).2 = tlv(0x30, &tlv(6, oid::EKU_CLIENT_AUTH)),
            0,
            |k| matches!(k, K::Role { found: None, .. }),
        ),
        (
            "a CA with extended key usage",
            1,
            |d| d.extensions.push(ext(EKU, true, tlv(0x30, &tlv(6, oid::EKU_POS)))),
            1,
            |k| {
                matches!(
                    k,
                    K::Unexpected {
                        field: Field::ExtendedKeyUsage
                    }
                )
            },
        ),
        (
            "policy missing",
            0,
            |d| d.remove(POLICIES),
            0,
            |k| {
                matches!(
                    k,
                    K::Missing {
                        field: Field::CertificatePolicies
                    }
                )
            },
        ),
        (
            "policy critical",
            0,
            |d| d.ext(POLICIES).1 = true,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::CertificatePolicies,
                        ..
                    }
                )
            },
        ),
        (
            "policy of TLS class certificates",
            0,
            |d| *d.ext(POLICIES) = policies(oid::POLICY_CLASS),
            0,
            |k| {
                matches!(k, K::Policy { found, expected }
                if found.as_bytes() == oid::POLICY_CLASS
                && expected.as_bytes() == oid::POLICY_INDIVIDUAL)
            },
        ),
        (
            "anyPolicy",
            0,
            |d| *d.ext(POLICIES) = policies(&[0x55, 0x1d, 0x20, 0]),
            0,
            |k| matches!(k, K::Policy { .. }),
        ),
        (
            "a CA without our policy",
            1,
            |d| d.remove(POLICIES),
            1,
            |k| {
                matches!(
                    k,
                    K::Role {
                        found: None,
                        expected: None
                    }
                )
            },
        ),
        (
            "an anchor without our policy",
            2,
            |d| *d.ext(POLICIES) = policies(&[0x2a, 3]),
            2,
            |k| {
                matches!(
                    k,
                    K::Role {
                        found: None,
                        expected: None
                    }
                )
            },
        ),
        (
            "a class CA above an issuing CA",
            2,
            |d| {
                *d.ext(POLICIES) = policies(oid::POLICY_CLASS);
                d.ext(BASIC).2[7] = 0;
                d.not_after = utc("361108061159Z");
            },
            1,
            |k| {
                let (found, expected) = (Some(Role::ClassCa), Some(Role::Root));
                *k == K::IssuerRole { found, expected }
            },
        ),
        (
            "serial of 21 octets",
            0,
            |d| d.serial = vec![1; 21],
            0,
            |k| matches!(k, K::SerialLength { found: 21, allowed: 20 }),
        ),
        (
            "serial of 20 octets",
            0,
            |d| d.serial = vec![1; 20],
            0,
            |k| matches!(k, K::Serial { .. }),
        ),
        (
            "serial zero",
            0,
            |d| d.serial = vec![0],
            0,
            |k| matches!(k, K::Serial { .. }),
        ),
        (
            "serial negative",
            0,
            |d| d.serial[0] = 0x80,
            0,
            |k| matches!(k, K::Serial { .. }),
        ),
        (
            "serial without issue number",
            0,
            |d| d.serial = vec![0x11; 12],
            0,
            |k| matches!(k, K::Serial { found } if found.as_bytes() == [0x11; 12]),
        ),
        (
            "issue number too great",
            0,
            |d| d.serial = [&[0, 0x80, 0, 0, 0][..], &[1; 12]].concat(),
            0,
            |k| matches!(k, K::Serial { .. }),
        ),
        (
            "serial of a CA",
            1,
            |d| d.serial = vec![3],
            1,
            |k| matches!(k, K::Serial { .. }),
        ),
        (
            "subject not empty",
            0,
            |d| d.subject = common_name("shop"),
            0,
            |k| matches!(k, K::Subject { .. }),
        ),
        (
            "subject of a CA empty",
            1,
            |d| d.subject = vec![0x30, 0],
            1,
            |k| matches!(k, K::Subject { .. }),
        ),
        (
            "SAN missing",
            0,
            |d| d.remove(SAN),
            0,
            |k| {
                matches!(
                    k,
                    K::Missing {
                        field: Field::SubjectAltName
                    }
                )
            },
        ),
        (
            "SAN not critical",
            0,
            |d| d.ext(SAN).1 = false,
            0,
            |k| {
                matches!(
                    k,
                    K::Critical {
                        field: Field::SubjectAltName,
                        ..
                    }
                )
            },
        ),
        (
            "SAN without URI",
            0,
            |d| d.ext(SAN).2 = tlv(0x30, &tlv(0x82, b"shop.example")),
            0,
            |k| matches!(k, K::Identity { .. }),
        ),
        (
            "SAN with another URI",
            0,
            |d| d.ext(SAN).2 = tlv(0x30, &tlv(0x86, b"urn:x:1")),
            0,
            |k| matches!(k, K::Identity { found } if found.as_bytes() == b"urn:x:1"),
        ),
        (
            "SAN with two URIs",
            0,
            |d| {
                let uri = tlv(0x86, IDENTITY.as_bytes());
                d.ext(SAN).2 = tlv(0x30, &[uri.clone(), uri].concat());
            },
            0,
            |k| {
                matches!(
                    k,
                    K::Names {
                        found: 2,
                        hosts: 0,
                        expected: false
                    }
                )
            },
        ),
        (
            "SAN with a host",
            0,
            |d| {
                let names = [tlv(0x86, IDENTITY.as_bytes()), tlv(0x82, b"shop.example")];
                d.ext(SAN).2 = tlv(0x30, &names.concat());
            },
            0,
            |k| {
                matches!(
                    k,
                    K::Names {
                        found: 2,
                        hosts: 1,
                        expected: false
                    }
                )
            },
        ),
        (
            "a CA with SAN",
            1,
            |d| d.extensions.push(ext(SAN, false, tlv(0x30, &tlv(0x82, b"a")))),
            1,
            |k| {
                matches!(
                    k,
                    K::Unexpected {
                        field: Field::SubjectAltName
                    }
                )
            },
        ),
        (
            "issuer's name in another string type",
            0,
            |d| {
                let mut name = common_name("tr ca 1");
                name[11] = 0x13;
                d.issuer = name;
            },
            0,
            |k| matches!(k, K::Issuer { .. }),
        ),
        (
            "issuer's name of another CA",
            0,
            |d| d.issuer = common_name("tr ca 2"),
            0,
            |k| matches!(k, K::Issuer { .. }),
        ),
        (
            "a CA under an unknown root",
            1,
            |d| d.issuer = common_name("other"),
            1,
            |k| matches!(k, K::UnknownIssuer { .. }),
        ),
        (
            "longer than 90 days",
            0,
            |d| d.not_after = utc("270209061200Z"),
            0,
            |k| {
                matches!(
                    k,
                    K::Lifetime {
                        found: 7_776_001,
                        allowed: 7_776_000
                    }
                )
            },
        ),
        (
            "ends before it begins",
            0,
            |d| d.not_after = utc("261111061159Z"),
            0,
            |k| matches!(k, K::Lifetime { found: 0, .. }),
        ),
        (
            "a CA made for too long",
            1,
            |d| d.not_after = utc("311110061200Z"),
            1,
            |k| matches!(k, K::Lifetime { .. }),
        ),
        (
            "not yet valid",
            0,
            |d| d.not_before = utc("261121061201Z"),
            0,
            |k| matches!(k, K::NotYetValid { not_before, now: NOW } if *not_before == NOW + 1),
        ),
        (
            "expired",
            0,
            |d| d.not_after = utc("261121061159Z"),
            0,
            |k| matches!(k, K::Expired { not_after, now: NOW } if *not_after == NOW - 1),
        ),
        (
            "a CA not yet valid",
            1,
            |d| d.not_before = utc("261121061201Z"),
            1,
            |k| matches!(k, K::NotYetValid { .. }),
        ),
        (
            "a CA expired",
            1,
            |d| d.not_after = utc("261121061159Z"),
            1,
            |k| matches!(k, K::Expired { .. }),
        ),
        (
            "an anchor not yet valid",
            2,
            |d| d.not_before = utc("261121061201Z"),
            2,
            |k| matches!(k, K::NotYetValid { .. }),
        ),
        (
            "an anchor expired",
            2,
            |d| d.not_after = utc("261121061159Z"),
            2,
            |k| matches!(k, K::Expired { .. }),
        ),
        (
            "another key in the CA",
            1,
            |d| d.key = Key::new(8).public(),
            0,
            |k| matches!(k, K::Signature),
        ),
        (
            "another key in the anchor",
            2,
            |d| d.key = Key::new(8).public(),
            1,
            |k| matches!(k, K::Signature),
        ),
        (
            "a point off the curve in the CA",
            1,
            |d| d.key[64] ^= 1,
            0,
            |k| matches!(k, K::Signature),
        ),
    ];
    for (name, index, spoil, place, expected) in cases {
        let error = judge(&pki, &key, *index, *spoil).expect_err(name);
        assert!(expected(&error.kind), "{name}: {error}");
        assert_eq!(error.index, *place, "{name}: {error}");
        assert!(!error.to_string().is_empty());
    }
}

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

fn at(time: Time, grace: i64) -> Result<Standing, PathErrorKind> {
    let (pki, key) = (Pki::new(), Key::new(9));
    let leaf = pki.entity(Role::Pos, &key, &issue(7, NOW));
    let path = [&leaf, &pki.issuing].map(|der| Certificate::parse(der).unwrap());
    let anchors = [Certificate::parse(&pki.root).unwrap()];
    let options = Options {
        time,
        grace,
        roles: &[Role::VirtualCard, Role::Pos],
    };
    let result: Result<Validated<'_>, PathError> = validate(&path, &anchors, &options, &Provider);
    result.map(|peer| peer.standing).map_err(|error| {
        assert_eq!(error.index, 0);
        error.kind
    })
}

#[test]
fn time_is_a_floor_and_perhaps_more() {
    let end = NOW + 90 * DAY - 1;
    let time = |floor, authenticated| Time { floor, authenticated };
    // notBefore is compared with the authenticated time only.
    assert_eq!(at(Time::at_least(NOW - 5 * DAY), 0), Ok(Standing::Current));
    assert_eq!(
        at(time(0, Some(NOW - 1)), 0),
        Err(PathErrorKind::NotYetValid {
            not_before: NOW,
            now: NOW - 1
        })
    );
    assert_eq!(at(time(0, Some(NOW)), 0), Ok(Standing::Current));
    // notAfter with the later of both.
    assert_eq!(at(Time::at_least(end), 0), Ok(Standing::Current));
    let expired = Err(PathErrorKind::Expired {
        not_after: end,
        now: end + 1,
    });
    assert_eq!(at(Time::at_least(end + 1), 0), expired);
    assert_eq!(at(time(NOW, Some(end + 1)), 0), expired);
    // A time below the floor is not the time, though the certificate is valid at both.
    assert_eq!(
        at(time(NOW + 9, Some(NOW + 8)), 0),
        Err(PathErrorKind::TimeBelowFloor {
            authenticated: NOW + 8,
            floor: NOW + 9
        })
    );
}

#[test]
fn grace_gives_a_limited_standing() {
    let end = NOW + 90 * DAY - 1;
    let grace = 30 * DAY;
    assert_eq!(at(Time::known(end), grace), Ok(Standing::Current));
    assert_eq!(at(Time::known(end + 1), grace), Ok(Standing::Expired { ago: 1 }));
    assert_eq!(
        at(Time::at_least(end + grace), grace),
        Ok(Standing::Expired { ago: grace })
    );
    assert!(matches!(
        at(Time::known(end + grace + 1), grace),
        Err(PathErrorKind::Expired { .. })
    ));
    assert!(matches!(
        at(Time::known(end + 1), -1),
        Err(PathErrorKind::Expired { .. })
    ));
}

#[test]
fn a_ca_gets_no_grace() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let end = Certificate::parse(&pki.issuing).unwrap().not_after();
    let leaf = pki.entity(Role::Pos, &key, &issue(7, end - DAY));
    let path = [&leaf, &pki.issuing].map(|der| Certificate::parse(der).unwrap());
    let anchors = [Certificate::parse(&pki.root).unwrap()];
    let peer = authenticate(&path, &anchors, &[Role::Pos], &Provider).unwrap();
    let error = peer.at(&Time::known(end + 1), DAY).unwrap_err();
    assert_eq!((error.index, error.kind.field()), (1, Field::NotAfter));
}

#[test]
fn who_is_no_peer() {
    use PathErrorKind as K;
    let (pki, key) = (Pki::new(), Key::new(9));
    let pos = pki.entity(Role::Pos, &key, &issue(7, NOW));
    let class_pos = pki.entity(Role::ClassPos, &key, &issue(7, NOW));
    let pos = Certificate::parse(&pos).unwrap();
    let class_pos = Certificate::parse(&class_pos).unwrap();
    let root = Certificate::parse(&pki.root).unwrap();
    let issuing = Certificate::parse(&pki.issuing).unwrap();
    let class = Certificate::parse(&pki.class).unwrap();
    let ask = |path: &[Certificate<'_>], anchors: &[Certificate<'_>], roles: &[Role]| {
        authenticate(path, anchors, roles, &Provider)
            .map(|_| ())
            .map_err(|error| error.kind)
    };
    assert_eq!(ask(&[], &[root], &[Role::Pos]), Err(K::EmptyPath));
    assert_eq!(ask(&[pos, issuing], &[], &[Role::Pos]), Err(K::NoAnchors));
    let role = |found, expected| {
        Err(K::Role {
            found: Some(found),
            expected,
        })
    };
    assert_eq!(ask(&[pos, issuing], &[root], &[]), role(Role::Pos, None));
    // CAs are no peers, whatever the caller says.
    assert_eq!(
        ask(&[issuing], &[root], &[Role::IssuingCa]),
        role(Role::IssuingCa, Some(Role::IssuingCa))
    );
    assert_eq!(ask(&[root], &[root], &[Role::Root]), role(Role::Root, Some(Role::Root)));
    // The path must reach an anchor, in its order, with nothing left out.
    assert!(matches!(
        ask(&[pos], &[root], &[Role::Pos]),
        Err(K::UnknownIssuer { .. })
    ));
    assert!(matches!(
        ask(&[pos, issuing], &[class], &[Role::Pos]),
        Err(K::UnknownIssuer { .. })
    ));
    assert!(matches!(
        ask(&[issuing, pos], &[root], &[Role::Pos]),
        Err(K::Role { .. })
    ));
    // The two worlds do not mix.
    assert!(matches!(
        ask(&[class_pos], &[root], &[Role::ClassPos]),
        Err(K::UnknownIssuer { .. })
    ));
    assert!(ask(&[class_pos], &[root, class], &[Role::ClassPos]).is_ok());
    assert!(matches!(ask(&[class_pos], &[class], &[Role::Pos]), Err(K::Role { .. })));
    // Depth is limited before any signature is checked.
    let deep = [pos, issuing, issuing, issuing];
    struct Never;
    impl Verifier for Never {
        fn verify(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Result<(), BadSignature> {
            panic!("asked too early")
        }
        fn sha256(&self, _: &[&[u8]]) -> [u8; 32] {
            panic!("not asked")
        }
    }
    let error = authenticate(&deep, &[root], &[Role::Pos], &Never).unwrap_err();
    assert_eq!(error.kind, K::Depth { found: 5 });
}

/// A leaf whose key signed another "leaf": the oldest trick.
#[test]
fn a_leaf_issues_nothing() {
    let (pki, key, thief) = (Pki::new(), Key::new(9), Key::new(10));
    let pos = Draft::pos(&pki, &key).sign(&pki.issuing_key);
    let mut forged = Draft::pos(&pki, &thief);
    forged.issuer = vec![0x30, 0];
    let identifier = Provider.sha256(&[&key.public()]);
    forged.ext(AKI).2 = tlv(0x30, &tlv(0x80, &identifier[..8]));
    let forged = forged.sign(&key);
    let path = [&forged, &pos, &pki.issuing].map(|der| Certificate::parse(der).unwrap());
    let anchors = [Certificate::parse(&pki.root).unwrap()];
    let error = authenticate(&path, &anchors, &[Role::Pos], &Provider).unwrap_err();
    assert_eq!(error.index, 1);
    assert_eq!(
        error.kind,
        PathErrorKind::Authority {
            expected: true,
            found: false
        }
    );
}

/// The root signs a leaf itself, or an issuing CA another: both are outside the profile.
#[test]
fn each_ca_issues_its_own_kind_only() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let identifier = |key: &Key| Provider.sha256(&[&key.public()])[..8].to_vec();
    let anchors = [Certificate::parse(&pki.root).unwrap()];

    let mut direct = Draft::pos(&pki, &key);
    direct.issuer = common_name("tr root");
    direct.ext(AKI).2 = tlv(0x30, &tlv(0x80, &identifier(&pki.root_key)));
    let direct = direct.sign(&pki.root_key);
    let path = [Certificate::parse(&direct).unwrap()];
    let error = authenticate(&path, &anchors, &[Role::Pos], &Provider).unwrap_err();
    let (found, expected) = (Some(Role::Root), Some(Role::IssuingCa));
    assert_eq!(error.kind, PathErrorKind::IssuerRole { found, expected });

    let second = Key::new(11);
    let mut below = Draft::issuing(&pki);
    below.issuer = common_name("tr ca 1");
    below.subject = common_name("tr ca 2");
    below.key = second.public();
    below.ext(AKI).2 = tlv(0x30, &tlv(0x80, &identifier(&pki.issuing_key)));
    below.ext(SKI).2 = tlv(4, &identifier(&second));
    let below = below.sign(&pki.issuing_key);
    let mut leaf = Draft::pos(&pki, &key);
    leaf.issuer = common_name("tr ca 2");
    leaf.ext(AKI).2 = tlv(0x30, &tlv(0x80, &identifier(&second)));
    let leaf = leaf.sign(&second);
    let path = [&leaf, &below, &pki.issuing].map(|der| Certificate::parse(der).unwrap());
    let error = authenticate(&path, &anchors, &[Role::Pos], &Provider).unwrap_err();
    let (found, expected) = (Some(Role::IssuingCa), Some(Role::Root));
    assert_eq!(
        (error.index, error.kind),
        (1, PathErrorKind::IssuerRole { found, expected })
    );
}
