//! tr-pki: the same with hash and curve of tr-auth-rustcrypto

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::pki::path_work(&tr_auth_rustcrypto::RustCrypto));
