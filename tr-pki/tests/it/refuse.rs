//! What time allows, and who is no peer.

use tr_pki::{
    BadSignature, Certificate, Field, Options, PathError, PathErrorKind, Role, Standing, Time, Validated, Verifier,
    authenticate, validate,
};

use crate::support::{AKI, DAY, Draft, Key, NOW, Pki, Provider, SKI, common_name, issue, tlv};

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
