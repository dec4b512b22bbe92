//! The software HSM's key file: its header as an attacker with the disk can write it, and its body as
//! only who has the passphrase could.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_hsm::sealed::{OVERHEAD, Sealed};
use tr_hsm_software::{Header, Params, fuzz_body, fuzz_header};

fuzz_target!(|octets: &[u8]| {
    check(Header::parse(octets));
    // With a right checksum, which chance would never find.
    check(fuzz_header(octets));
    fuzz_body(octets);
    if let Ok(sealed) = Sealed::parse(octets) {
        assert_eq!(sealed.ciphertext.len() + OVERHEAD, octets.len());
        assert_eq!(*sealed.head, tr_hsm::sealed::head(sealed.version));
    }
});

fn check(header: Result<Header, tr_hsm_software::StoreError>) {
    match header {
        Ok(header) => assert!(header.params().memory_kib() <= Params::MAX_MEMORY_KIB),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
