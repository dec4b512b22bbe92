//! Runs the work of every `no_std` crate on the board, prints what was done and how deep the stack went, and ends
//! QEMU with status 0 if all of it held, else 1.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_semihosting::{debug, hprintln};
use tr_firmware::stack;
use tr_firmware::work::{self, Outcome};

const PAN: &[u8] = b"9070001234567897";

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut report = Report::default();
    hprintln!("   octets of stack");
    report.step("tr-hsm: names a key, frames card data, takes sealed data apart", || {
        work::hsm::work(black_box(PAN))
    });
    report.end()
}

/// What has been run so far.
#[derive(Default)]
struct Report {
    passed: usize,
    failed: usize,
    deepest: usize,
}

impl Report {
    fn step(&mut self, what: &str, work: impl FnOnce() -> Outcome) {
        let (outcome, octets) = stack::measure(work);
        self.deepest = self.deepest.max(octets);
        match outcome {
            Ok(()) => {
                self.passed += 1;
                hprintln!("ok     {:6}  {}", octets, what);
            }
            Err(failure) => {
                self.failed += 1;
                hprintln!("FAILED {:6}  {} ({})", octets, what, failure.0);
            }
        }
    }

    fn end(self) -> ! {
        hprintln!(
            "{} passed, {} failed; deepest {} of {} octets of stack",
            self.passed,
            self.failed,
            self.deepest,
            stack::left()
        );
        exit(if self.failed == 0 {
            debug::EXIT_SUCCESS
        } else {
            debug::EXIT_FAILURE
        })
    }
}

fn exit(status: debug::ExitStatus) -> ! {
    loop {
        debug::exit(status);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("FAILED {}", info);
    exit(debug::EXIT_FAILURE)
}
