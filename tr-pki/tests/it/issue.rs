//! What the issuer makes, the validator takes.

use tr_pki::ca::{Authority, Issue, IssueError, Request, Subject, key_identifier, self_signed};
use tr_pki::{Certificate, HostName, MAX_ISSUE_NUMBER, Options, Role, Standing, Time, authenticate, validate};

use crate::support::{DAY, Draft, HOSTS, IDENTITY, Key, NOW, Pki, Provider, issue};

fn entities() -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(|role| !role.is_ca())
}

#[test]
fn every_role_is_issued_and_validated() {
    let (pki, key) = (Pki::new(), Key::new(9));
    for role in entities() {
        let leaf = pki.entity(role, &key, &issue(7, NOW - DAY));
        let leaf = Certificate::parse(&leaf).unwrap();
        let (issuing, anchor) = pki.above(role);
        let mut path = vec![leaf];
        path.extend(issuing.map(|der| Certificate::parse(der).unwrap()));
        let anchors = [Certificate::parse(anchor).unwrap()];
        let options = Options {
            time: Time::known(NOW),
            grace: 0,
            roles: &[role],
        };
        let peer = validate(&path, &anchors, &options, &Provider).unwrap();
        assert_eq!(peer.role, role);
        assert_eq!(peer.identity, IDENTITY);
        assert_eq!(peer.public_key, &key.public());
        assert_eq!(peer.certificate, leaf);
        assert_eq!(peer.standing, Standing::Current);
        assert_eq!(peer.anchor, 0);
        assert_eq!(leaf.serial().issue_number(), Some(7));
        assert_eq!(leaf.not_after() - leaf.not_before() + 1, role.profile().lifetime);
        assert_eq!(
            leaf.subject_key_identifier(),
            Some(&key_identifier(&key.public(), &Provider)[..])
        );
        let hosts: Vec<_> = leaf.host_names().collect();
        assert_eq!(hosts, if role.profile().hosts { HOSTS } else { &[] });
    }
}

/// Two encoders that share no code agree on every octet.
#[test]
fn the_issuer_writes_what_the_profile_says() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let leaf = pki.entity(Role::Pos, &key, &issue(7, NOW - 10 * DAY));
    assert_eq!(Certificate::parse(&leaf).unwrap().tbs(), Draft::pos(&pki, &key).tbs());
    let issuing = Certificate::parse(&pki.issuing).unwrap();
    assert_eq!(issuing.tbs(), Draft::issuing(&pki).tbs());
    let root = Certificate::parse(&pki.root).unwrap();
    assert_eq!(root.tbs(), Draft::root(&pki).tbs());
}

#[test]
fn an_anchor_may_be_the_issuing_ca() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let leaf = pki.entity(Role::Backend, &key, &issue(7, NOW));
    let leaf = Certificate::parse(&leaf).unwrap();
    let root = Certificate::parse(&pki.root).unwrap();
    let issuing = Certificate::parse(&pki.issuing).unwrap();
    for (path, anchors, anchor) in [
        (&[leaf][..], &[issuing][..], 0),
        (&[leaf], &[root, issuing], 1),
        (&[leaf, issuing], &[root], 0),
        // Sent along, though the anchor is known: not looked at, nor is what follows.
        (&[leaf, issuing], &[issuing], 0),
        (&[leaf, issuing, root], &[root], 0),
        (&[leaf, issuing, leaf, leaf, leaf], &[root, issuing], 1),
    ] {
        let peer = authenticate(path, anchors, &[Role::Backend], &Provider).unwrap();
        assert_eq!(peer.at(&Time::known(NOW), 0).unwrap().anchor, anchor);
        assert_eq!((peer.role(), peer.identity()), (Role::Backend, IDENTITY));
        assert_eq!(peer.public_key(), &key.public());
    }
}

#[test]
fn individual_certificates_have_at_most_470_octets() {
    let pki = Pki::new();
    let mut longest = 0;
    for number in 0..50 {
        let mut issue = issue(MAX_ISSUE_NUMBER, NOW);
        issue.random[0] = number;
        for role in entities().filter(|role| role.profile().issuer == Role::IssuingCa) {
            let len = pki.entity(role, &Key::new(9), &issue).len();
            // The OCSP signer has a second usage; it does not take part in handshakes.
            if role != Role::OcspSigner {
                longest = longest.max(len);
            }
        }
    }
    assert!(longest <= 470, "{longest}");
}

#[test]
fn roles_are_told_from_bytes_alone() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let role = |der: &[u8]| Certificate::parse(der).unwrap().role();
    assert_eq!(role(&pki.root), Some(Role::Root));
    assert_eq!(role(&pki.issuing), Some(Role::IssuingCa));
    assert_eq!(role(&pki.class), Some(Role::ClassCa));
    for wanted in entities() {
        assert_eq!(role(&pki.entity(wanted, &key, &issue(7, NOW))), Some(wanted));
    }
}

#[test]
fn validity_ends_with_the_issuers() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let ca_end = Certificate::parse(&pki.issuing).unwrap().not_after();
    let leaf = pki.entity(Role::Pos, &key, &issue(7, ca_end - DAY));
    assert_eq!(Certificate::parse(&leaf).unwrap().not_after(), ca_end);

    let mut short = issue(7, NOW);
    short.lifetime = Some(3600);
    let leaf = pki.entity(Role::Pos, &key, &short);
    assert_eq!(Certificate::parse(&leaf).unwrap().not_after(), NOW + 3599);
}

#[test]
fn years_from_2050_have_four_digits() {
    let key = Key::new(1);
    for start in ["2029-11-30", "2030-01-02"] {
        let start = if start.starts_with("2029") {
            1_890_691_200
        } else {
            1_893_542_400
        };
        let root = self_signed(Role::Root, "r", &issue(1, start), &key, &Provider).unwrap();
        let root = Certificate::parse(&root).unwrap();
        assert_eq!(root.not_after(), start + Role::Root.profile().lifetime - 1);
    }
}

#[test]
fn the_issuer_refuses_what_is_not_in_the_profile() {
    let (pki, key) = (Pki::new(), Key::new(9));
    let issuing = Certificate::parse(&pki.issuing).unwrap();
    let class = Certificate::parse(&pki.class).unwrap();
    let ca = Authority::new(issuing, &pki.issuing_key).unwrap();
    let class_ca = Authority::new(class, &pki.class_key).unwrap();
    let public_key = key.public();
    fn entity<'r>(identity: &'r str, hosts: &'r [HostName<'r>]) -> Subject<'r> {
        Subject::Entity { identity, hosts }
    }
    fn request<'r>(role: Role, public_key: &'r [u8; 65], subject: Subject<'r>) -> Request<'r> {
        Request {
            role,
            public_key,
            subject,
        }
    }
    let good = issue(7, NOW);
    let ask =
        |role, subject: Subject<'_>, issue: &Issue| ca.issue(&request(role, &public_key, subject), issue, &Provider);
    let ask_class = |role, hosts: &[HostName<'_>]| {
        class_ca.issue(&request(role, &public_key, entity(IDENTITY, hosts)), &good, &Provider)
    };

    assert!(ask(Role::Pos, entity(IDENTITY, &[]), &good).is_ok());
    for number in [0, MAX_ISSUE_NUMBER + 1] {
        let refused = ask(Role::Pos, entity(IDENTITY, &[]), &issue(number, NOW));
        assert_eq!(refused, Err(IssueError::IssueNumber { found: number }));
    }
    for role in [Role::ClassPos, Role::Root, Role::IssuingCa] {
        let refused = ask(role, entity(IDENTITY, &[]), &good);
        assert!(matches!(refused, Err(IssueError::Issuer { .. })), "{role}");
    }
    for bad in ["", "urn:uuid:1", "https://example.net/"] {
        assert_eq!(ask(Role::Pos, entity(bad, &[]), &good), Err(IssueError::Identity));
    }
    let refused = ask(Role::Pos, Subject::Authority { name: "shop" }, &good);
    assert_eq!(refused, Err(IssueError::Name));
    assert_eq!(ask(Role::Pos, entity(IDENTITY, HOSTS), &good), Err(IssueError::Hosts));
    assert_eq!(ask_class(Role::ClassPos, HOSTS), Err(IssueError::Hosts));
    assert_eq!(ask_class(Role::ClassGateway, &[]), Err(IssueError::Hosts));
    for bad in ["", "*.example.net", "Example.net", "a..b", "-a", "a b", "a\0.net"] {
        let refused = ask_class(Role::ClassGateway, &[HostName::Dns(bad)]);
        assert_eq!(refused, Err(IssueError::Hosts), "{bad:?}");
    }
    assert_eq!(
        ask_class(Role::ClassGateway, &[HostName::Ip(&[1, 2, 3])]),
        Err(IssueError::Hosts)
    );
    for outside in [issuing.not_before() - 1, issuing.not_after() + 1] {
        let refused = ask(Role::Pos, entity(IDENTITY, &[]), &issue(7, outside));
        assert!(matches!(refused, Err(IssueError::Validity { .. })));
    }
    for lifetime in [0, -5, 90 * DAY + 1] {
        let mut long = good;
        long.lifetime = Some(lifetime);
        let refused = ask(Role::Pos, entity(IDENTITY, &[]), &long);
        assert!(matches!(refused, Err(IssueError::Profile(_))), "{lifetime}");
    }
    let mut compressed = public_key;
    compressed[0] = 2;
    let request = Request {
        role: Role::Pos,
        public_key: &compressed,
        subject: entity(IDENTITY, &[]),
    };
    assert_eq!(ca.issue(&request, &good, &Provider), Err(IssueError::Key));

    for name in ["", "a\nb", &"n".repeat(65)] {
        let refused = self_signed(Role::Root, name, &good, &key, &Provider);
        assert_eq!(refused, Err(IssueError::Name));
    }
    let refused = self_signed(Role::IssuingCa, "ca", &good, &key, &Provider);
    assert!(matches!(refused, Err(IssueError::Issuer { .. })));
    assert_eq!(Authority::new(issuing, &key).unwrap_err(), IssueError::SignerKey);
    let leaf = pki.entity(Role::Pos, &key, &good);
    let refused = Authority::new(Certificate::parse(&leaf).unwrap(), &key).unwrap_err();
    assert_eq!(refused, IssueError::Authority { found: Some(Role::Pos) });
}
