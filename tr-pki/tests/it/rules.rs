//! Each rule of the profile broken in turn, each with its own error.

use tr_pki::{Certificate, Field, Options, PathError, PathErrorKind, Role, Time, oid, validate};

use crate::support::{
    AKI, BASIC, Draft, EKU, IDENTITY, Key, NOW, POLICIES, Pki, Provider, SAN, SKI, USAGE, common_name, ext, policies,
    tlv, utc,
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
