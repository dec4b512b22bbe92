//! `tr-terminal`: a sale from the connection to the acknowledged answer, against whatever answers.

use core::convert::Infallible;
use core::hint::black_box;

use tr_auth::Crypto;
use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::{Device, Label};
use tr_protocol::lifecycle::Outcome as Decided;
use tr_protocol::message::Inner;
use tr_protocol::value::{Amount, Currency, Time};
use tr_terminal::memory::{MAX_SEALED, Memory};
use tr_terminal::{Event, Output, Sale, Swiped, Terminal};

use super::{Outcome, check, some};
use crate::data;
use crate::device::TestDevice;

/// Who answers the terminal.
pub trait Peer {
    /// Takes frames and gives the frames that answer them.
    ///
    /// # Errors
    /// When it refuses.
    fn exchange(&mut self, frames: &[u8]) -> Outcome<&[u8]>;
}

/// The memory of a terminal that has just been enrolled.
///
/// # Errors
/// When its certificates do not fit.
pub fn enrolled() -> Outcome<Memory> {
    Ok(Memory::new::<Infallible>(&data::POS, &data::CA, data::NOW)?)
}

/// Connects, shakes hands, signs on, sells, and shows the answer; saves when it is asked to. Gives the octets of `saved`
/// that hold the memory.
///
/// # Errors
/// When a step fails, or the sale is not approved.
pub fn sale<D: Device, C: Crypto>(
    terminal: &mut Terminal<'_, D, C>,
    device: &D,
    peer: &mut impl Peer,
    saved: &mut [u8; MAX_SEALED],
) -> Outcome<usize> {
    let label = Label::new("memory")?;
    let card = Swiped {
        track: ";9070001234567893=29121011234567?",
        salt: [7; 16],
    };
    let sale = Sale {
        amount: some(Amount::new(1250))?,
        currency: some(Currency::new("USD"))?,
        partial: false,
        card,
        time: some(Time::from_unix(data::NOW))?,
    };
    let (mut approved, mut len) = (false, 0);
    terminal.connect(&core::array::from_fn(|at| at as u8 ^ 0x5C))?;
    loop {
        match terminal.poll() {
            Output::Save => {
                len = terminal.memory().seal(device, label, saved)?.len();
                terminal.saved();
            }
            Output::Send(frames) => {
                let answer = peer.exchange(frames)?;
                terminal.sent();
                terminal.handle_input(answer)?;
            }
            Output::Event(Event::Online(_)) => {
                terminal.authorise(&sale)?;
            }
            Output::Event(Event::Answer(answer)) => {
                approved = matches!(&answer.message, Inner::AuthoriseAnswer(m) if m.outcome == Decided::Approved);
                terminal.acknowledge();
            }
            Output::Event(Event::Dropped(_)) => return check(false).map(|()| 0),
            Output::Idle => return check(approved && !terminal.memory().is_pending()).map(|()| len),
        }
    }
}

/// What was saved opens again, and not with an octet changed.
///
/// # Errors
/// When a result is not what it must be.
pub fn reopen<D: Device>(device: &D, saved: &mut [u8]) -> Outcome {
    let label = Label::new("memory")?;
    check(!Memory::unseal(device, label, saved)?.is_pending())?;
    saved[saved.len() / 2] ^= 1;
    check(Memory::unseal(device, label, saved).is_err())
}

/// A peer that says anything; for the size probes.
#[derive(Debug)]
pub struct Anything;

impl Peer for Anything {
    fn exchange(&mut self, frames: &[u8]) -> Outcome<&[u8]> {
        black_box(frames);
        Ok(black_box(&[]))
    }
}

/// All that a POS does; for the size probes, whose peer says nothing sensible.
///
/// # Errors
/// When a step fails, as it must with such a peer.
pub fn pos<D: Device, C: Crypto>(device: &D, crypto: C) -> Outcome {
    let mut saved = [0; MAX_SEALED];
    let mut terminal = Terminal::new(device, Label::new("identity")?.newest(), crypto, enrolled()?)?;
    let len = sale(&mut terminal, device, &mut Anything, &mut saved)?;
    reopen(device, &mut saved[..len])
}

/// The same with the curve.
///
/// # Errors
/// As [`pos`].
pub fn pos_with_curve() -> Outcome {
    pos(&some(TestDevice::new(black_box(&data::POS_KEY)))?, RustCrypto)
}
