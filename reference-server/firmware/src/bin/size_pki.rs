//! tr-pki: a path validated, SHA-256 included, without the curve

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::pki::path_work(&tr_firmware::trap::NoCurve));
