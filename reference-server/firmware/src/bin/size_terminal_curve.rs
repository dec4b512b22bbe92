//! tr-terminal: the same with the curve of tr-auth-rustcrypto

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::terminal::pos_with_curve());
