//! What reading and validating cost, to be counted by callgrind:
//!
//! ```text
//! cargo build --release -p tr-pki --example instructions
//! for part in view webpki x509 own path; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' \
//!         target/release/examples/instructions $part
//! done
//! ```
//!
//! `view` reads one certificate of a public web server's kind, `webpki` and `x509` let rustls-webpki
//! and x509-cert read the same octets; `own` reads one of ours. `path` validates leaf, issuing CA and
//! root, without the cost of signatures.

use core::hint::black_box;

use der::Decode as _;
use rustls_pki_types::CertificateDer;
use tr_pki::{BadSignature, Certificate, Options, Role, Time, Verifier, validate};

const LEAF: &[u8] = include_bytes!("../../fuzz/seeds/pki_certificate/foreign.der");
const POS: &[u8] = include_bytes!("../../fuzz/seeds/pki_certificate/pos.der");
const ISSUING: &[u8] = include_bytes!("../../fuzz/seeds/pki_certificate/issuing.der");
const ROOT: &[u8] = include_bytes!("../../fuzz/seeds/pki_certificate/root.der");

/// Says yes at once.
struct Free;

impl Verifier for Free {
    fn verify(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Result<(), BadSignature> {
        Ok(())
    }

    fn sha256(&self, _: &[&[u8]]) -> [u8; 32] {
        [0; 32]
    }
}

fn main() {
    let part = std::env::args().nth(1);
    let good = match part.as_deref() {
        Some("view") => measured_view(black_box(LEAF)),
        Some("webpki") => measured_webpki(black_box(&CertificateDer::from(LEAF))),
        Some("own") => measured_view(black_box(POS)),
        Some("x509") => measured_x509(black_box(LEAF)),
        Some("path") => {
            let all = [POS, ISSUING, ROOT].map(Certificate::parse);
            match all {
                [Ok(pos), Ok(issuing), Ok(root)] => measured_path(black_box(&[pos, issuing]), &root),
                _ => false,
            }
        }
        _ => false,
    };
    assert!(
        good,
        "one of view, webpki, x509, own, path; and the certificates must be good"
    );
}

#[inline(never)]
fn measured_view(der: &[u8]) -> bool {
    black_box(Certificate::parse(der)).is_ok()
}

#[inline(never)]
fn measured_webpki(der: &CertificateDer<'_>) -> bool {
    black_box(webpki::EndEntityCert::try_from(der)).is_ok()
}

#[inline(never)]
fn measured_x509(der: &[u8]) -> bool {
    black_box(x509_cert::Certificate::from_der(der)).is_ok()
}

#[inline(never)]
fn measured_path(path: &[Certificate<'_>], root: &Certificate<'_>) -> bool {
    let options = Options {
        time: Time::known(1_795_241_520),
        grace: 0,
        roles: &[Role::Pos],
    };
    black_box(validate(path, &[*root], &options, &Free)).is_ok()
}
