//! tr-auth: a device's handshake and channel, with tr-pki, AES-256-GCM and SHA-256, without the curve

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::auth::device(
    &tr_firmware::trap::NoCurve,
    &tr_firmware::trap::NoCurve
));
