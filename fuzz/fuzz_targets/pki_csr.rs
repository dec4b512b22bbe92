//! Any octets as a certification request, and as a typed voucher.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_pki::csr::Csr;
use tr_pki::voucher::{Reference, Voucher};

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = Csr::parse(data) {
        assert_eq!(request.as_der(), data);
        assert_eq!(request.public_key()[0], 4);
        let _ = format!("{request:?}");
    }
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(voucher) = Voucher::parse(text) {
            let again = voucher.to_text();
            assert_eq!(Voucher::parse(again.as_str()), Ok(voucher));
        }
        if let Ok(reference) = Reference::parse(text) {
            assert_eq!(reference.to_string(), text);
        }
    }
});
