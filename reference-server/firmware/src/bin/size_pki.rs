//! tr-pki: a path validated, without hash and curve

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::pki::path_work(&tr_firmware::trap::NoCurve));
