//! Runs the work of every `no_std` crate on the board, prints what was done and how deep the stack went, and ends
//! QEMU with status 0 if all of it held, else 1.

#![no_std]
#![no_main]

mod host;

use core::fmt;
use core::hint::black_box;

use cortex_m_semihosting::{debug, hprintln};
use host::Host;
use tr_auth_rustcrypto::RustCrypto;
use tr_firmware::device::TestDevice;
use tr_firmware::work::{self, Outcome, auth};
use tr_firmware::{Key, data, stack};
use tr_hsm::Label;
use tr_terminal::Terminal;
use tr_track::Direction;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut report = Report::default();
    hprintln!("   octets of stack");
    report.step("tr-hsm: names a key, frames card data, takes sealed data apart", || {
        work::hsm::work(black_box(b"9070001234567893"))
    });
    swipes(&mut report);
    messages(&mut report);
    certificates(&mut report);
    handshake(&mut report);
    sale(&mut report);
    report.end()
}

#[inline(never)]
fn swipes(report: &mut Report) {
    const CARD: [&str; 2] = [
        "%B9070001234567893^DOE/JANE^29121011234567?",
        ";9070001234567893=29121011234567?",
    ];
    let mut workspace = [0; tr_track::f2f::WORKSPACE];
    report.step("tr-track: track 1, drawn past the head at 0.4 m/s, is read", || {
        work::track::swipe(CARD[0], Direction::Forward, 400, &mut workspace)
    });
    report.step("tr-track: track 2, drawn backwards and slowing down, is read", || {
        work::track::swipe(CARD[1], Direction::Reverse, 600, &mut workspace)
    });
    report.step(
        "tr-track: a number whose check digit is wrong is refused",
        work::track::refuses,
    );
}

#[inline(never)]
fn messages(report: &mut Report) {
    let mut buffer = [0; work::protocol::BUFFER];
    let len = report.step("tr-protocol: writes a signed authorise", || {
        work::protocol::write(&mut buffer)
    });
    report.step("tr-protocol: finds it in a stream, reads it, runs the rules", || {
        work::protocol::read(&buffer[..len])
    });
}

#[inline(never)]
fn certificates(report: &mut Report) {
    report.step(
        "tr-pki: a path to the root is valid; forged or expired it is not",
        || work::pki::path_work(&RustCrypto),
    );
    let pos = key(&data::POS_KEY);
    report.step("tr-pki: writes a certificate request and checks it", || {
        work::pki::request_work(&RustCrypto, &pos)
    });
}

#[inline(never)]
fn handshake(report: &mut Report) {
    let (pos, backend) = (key(&data::POS_KEY), key(&data::BACKEND_KEY));
    let (mut one, mut other) = ([0; auth::BUFFER], [0; auth::BUFFER]);
    let (device, len) = report.step("tr-auth: the device writes message_1", || {
        auth::message_1(&RustCrypto, &mut one)
    });
    let (host, len) = report.step("tr-auth: the backend writes message_2", || {
        auth::message_2(&RustCrypto, &backend, &one[..len], &mut other)
    });
    let (device, len) = report.step("tr-auth: the device judges it and writes message_3", || {
        auth::message_3(&RustCrypto, &pos, device, &mut other[..len], &mut one)
    });
    let (host, len) = report.step("tr-auth: the backend judges it and writes message_4", || {
        auth::message_4(&RustCrypto, host, &mut one[..len], &mut other)
    });
    let device = report.step("tr-auth: the device has its keys", || {
        auth::finish(&RustCrypto, device, &mut other[..len])
    });
    let (mut device, mut host) = (auth::channel(&RustCrypto, device), auth::channel(&RustCrypto, host));
    report.step("tr-auth: a message is sealed and opened, once", || {
        auth::talk(&RustCrypto, &mut device, &mut host)?;
        auth::talk(&RustCrypto, &mut host, &mut device)
    });
}

#[inline(never)]
fn sale(report: &mut Report) {
    let device = TestDevice::new(&data::POS_KEY).unwrap_or_else(|| fail(format_args!("no key")));
    let identity = Label::new("identity")
        .unwrap_or_else(|error| fail(format_args!("{error}")))
        .newest();
    let mut host = Host::new(key(&data::BACKEND_KEY));
    let mut saved = [0; tr_terminal::memory::MAX_SEALED];
    // Made in its place: moving it would take its size once more.
    let mut made = match work::terminal::enrolled() {
        Ok(memory) => Terminal::new(&device, identity, RustCrypto, memory),
        Err(failure) => fail(format_args!("{failure}")),
    };
    let terminal = match &mut made {
        Ok(terminal) => terminal,
        Err(error) => fail(format_args!("{error}")),
    };
    let len = report.step("tr-terminal: connects, signs on, sells, shows the answer", || {
        work::terminal::sale(terminal, &device, &mut host, &mut saved)
    });
    report.step("tr-terminal: what it saved opens again; altered it does not", || {
        work::terminal::reopen(&device, &mut saved[..len])
    });
    let (state, stack) = (size_of_val(terminal), report.deepest);
    report.step(
        "tr-terminal: state with its buffers, and the deepest stack, fit 64 KB of RAM",
        || work::check(state + stack <= 64 * 1024),
    );
    hprintln!("           ({} octets of state and {} of stack)", state, stack);
}

fn key(scalar: &[u8; 32]) -> Key {
    Key::new(scalar).unwrap_or_else(|| fail(format_args!("build.rs made a key that is none")))
}

/// What has been run so far.
#[derive(Default)]
struct Report {
    passed: usize,
    deepest: usize,
}

impl Report {
    /// Does the work; the first failure ends the run.
    fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Outcome<T>) -> T {
        let (outcome, octets) = stack::measure(work);
        self.deepest = self.deepest.max(octets);
        match outcome {
            Ok(result) => {
                self.passed += 1;
                hprintln!("ok{:8}  {}", octets, what);
                result
            }
            Err(failure) => fail(format_args!("{what} ({failure})")),
        }
    }

    fn end(self) -> ! {
        let Report { passed, deepest } = self;
        hprintln!(
            "{} passed, 0 failed; deepest {} of {} octets of stack",
            passed,
            deepest,
            stack::left()
        );
        exit(debug::EXIT_SUCCESS)
    }
}

fn fail(what: fmt::Arguments<'_>) -> ! {
    hprintln!("FAILED: {}", what);
    exit(debug::EXIT_FAILURE)
}

fn exit(status: debug::ExitStatus) -> ! {
    loop {
        debug::exit(status);
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    fail(format_args!("{info}"))
}
