//! Any octets as a certificate, and as a path with every signature taken for good.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_pki::{BadSignature, Certificate, Options, Role, Standing, Time, Verifier, validate};

/// Believes every signature, so that all other rules are reached.
struct Credulous;

impl Verifier for Credulous {
    fn verify(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Result<(), BadSignature> {
        Ok(())
    }

    fn sha256(&self, _: &[&[u8]]) -> [u8; 32] {
        [0; 32]
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = Certificate::parse(data) else {
        // One input may hold several certificates, one after the other.
        return path(data);
    };
    assert_eq!(certificate.as_der(), data);
    assert!(
        data.windows(certificate.tbs().len())
            .any(|window| window == certificate.tbs())
    );
    assert!(certificate.host_names().count() <= tr_pki::MAX_ENTRIES);
    assert!(certificate.extended_key_usages().count() <= tr_pki::MAX_ENTRIES);
    assert!(certificate.policies().count() <= tr_pki::MAX_ENTRIES);
    let _ = format!("{certificate:?} {:?}", certificate.serial().issue_number());
    judge(&[certificate], &[certificate]);
});

fn path(mut data: &[u8]) {
    let mut all = Vec::new();
    while let [0x30, 0x82, high, low, ..] = *data {
        let len = 4 + usize::from(u16::from_be_bytes([high, low]));
        let Some((der, rest)) = data.split_at_checked(len) else {
            break;
        };
        let Ok(certificate) = Certificate::parse(der) else {
            return;
        };
        all.push(certificate);
        data = rest;
    }
    if let Some((anchor, path)) = all.split_last() {
        judge(path, &[*anchor]);
    }
}

fn judge(path: &[Certificate<'_>], anchors: &[Certificate<'_>]) {
    let options = Options {
        time: Time::known(1_795_241_520),
        grace: 86_400,
        roles: &Role::ALL,
    };
    match validate(path, anchors, &options, &Credulous) {
        Ok(peer) => {
            assert!(tr_pki::is_uuid_urn(peer.identity));
            assert!(!peer.role.is_ca());
            assert!(path.len() < tr_pki::MAX_DEPTH || path.iter().skip(1).any(|c| c == &anchors[0]));
            if let Standing::Expired { ago } = peer.standing {
                assert!((1..=86_400).contains(&ago));
            }
        }
        Err(error) => drop(error.to_string()),
    }
}
