//! Any octet wrong, any octet missing: refused, without a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use tr_pki::csr::{self, Csr};
use tr_pki::voucher::{Reference, Voucher};
use tr_pki::{Certificate, Options, Role, Time, validate};

use crate::support::{Key, NOW, Pki, Provider, issue};

fn accepted(der: &[u8], pki: &Pki) -> bool {
    let Ok(leaf) = Certificate::parse(der) else {
        return false;
    };
    let path = [leaf, Certificate::parse(&pki.issuing).unwrap()];
    let anchors = [Certificate::parse(&pki.root).unwrap()];
    let options = Options {
        time: Time::known(NOW),
        grace: 0,
        roles: &Role::ALL,
    };
    validate(&path, &anchors, &options, &Provider).is_ok()
}

#[test]
fn every_bit_of_a_leaf_counts() {
    let pki = Pki::new();
    let mut leaf = pki.entity(Role::Pos, &Key::new(9), &issue(7, NOW));
    assert!(accepted(&leaf, &pki));
    for at in 0..leaf.len() {
        for bit in 0..8 {
            leaf[at] ^= 1 << bit;
            assert!(!accepted(&leaf, &pki), "octet {at}, bit {bit}");
            leaf[at] ^= 1 << bit;
        }
        leaf[at] = !leaf[at];
        assert!(!accepted(&leaf, &pki), "octet {at}");
        leaf[at] = !leaf[at];
        assert!(!accepted(&leaf[..at], &pki), "cut at {at}");
    }
    leaf.push(0);
    assert!(!accepted(&leaf, &pki));
}

#[test]
fn every_bit_of_a_request_counts() {
    let mut buffer = [0; csr::MAX_WRITTEN_LEN];
    let mut request = csr::write(&Key::new(9), &mut buffer).unwrap().to_vec();
    let accepted = |der: &[u8]| Csr::parse(der).is_ok_and(|csr| csr.verify(&Provider).is_ok());
    assert!(accepted(&request));
    for at in 0..request.len() {
        for bit in 0..8 {
            request[at] ^= 1 << bit;
            assert!(!accepted(&request), "octet {at}, bit {bit}");
            request[at] ^= 1 << bit;
        }
        assert!(!accepted(&request[..at]), "cut at {at}");
    }
    request.push(0);
    assert!(!accepted(&request));
}

proptest! {
    #[test]
    fn garbage_never_panics(input in vec(any::<u8>(), 0..600)) {
        let _ = Certificate::parse(&input);
        let _ = Csr::parse(&input);
    }

    #[test]
    fn spoilt_certificates_never_panic(
        edits in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        role in proptest::sample::select(Role::ALL.to_vec()),
    ) {
        let pki = Pki::new();
        let mut der = match role {
            Role::Root => pki.root.clone(),
            Role::IssuingCa => pki.issuing.clone(),
            Role::ClassCa => pki.class.clone(),
            _ => pki.entity(role, &Key::new(9), &issue(7, NOW)),
        };
        for (at, octet) in edits {
            let at = at.index(der.len());
            der[at] = octet;
        }
        if let Ok(certificate) = Certificate::parse(&der) {
            prop_assert_eq!(certificate.as_der(), &der[..]);
            let _ = format!("{certificate:?}");
            let _ = certificate.host_names().count();
        }
    }

    #[test]
    fn any_text_never_panics(text in ".{0,60}") {
        let _ = Voucher::parse(&text);
        let _ = Reference::parse(&text);
    }

    #[test]
    fn vouchers_survive_paper(reference in any::<[u8; 4]>(), secret in any::<[u8; 16]>()) {
        let voucher = Voucher::new(Reference(reference), secret);
        let text = voucher.to_text();
        prop_assert_eq!(&Voucher::parse(text.as_str()).unwrap(), &voucher);
        let careless = text.as_str().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        prop_assert_eq!(&Voucher::parse(&careless).unwrap(), &voucher);
        let reference = Reference::parse(&voucher.reference().to_string());
        prop_assert_eq!(reference.unwrap(), voucher.reference());
    }
}
