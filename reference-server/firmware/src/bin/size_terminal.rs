//! tr-terminal: a whole POS with all of the above but the reader, without the curve

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::terminal::pos(
    &tr_firmware::trap::NoCurve,
    tr_firmware::trap::NoCurve
));
