//! `tr-terminal`: a sale from the connection to the acknowledged answer, against whatever answers.

use tr_auth::Crypto;
use tr_hsm::{Device, Label};
use tr_protocol::lifecycle::Outcome as Decided;
use tr_protocol::message::Inner;
use tr_protocol::value::{Amount, Currency, Time};
use tr_terminal::memory::{MAX_SEALED, Memory};
use tr_terminal::{Event, Output, Sale, Swiped, Terminal};

use super::{Outcome, check, some};
use crate::data;

/// Who answers the terminal.
pub trait Peer {
    /// Takes frames and gives the frames that answer them.
    ///
    /// # Errors
    /// When it refuses.
    fn exchange(&mut self, frames: &[u8]) -> Outcome<&[u8]>;
}

/// The terminal of the POS certificate, new.
///
/// # Errors
/// When it does not like its certificate.
pub fn new<D: Device, C: Crypto>(device: &D, crypto: C) -> Outcome<Terminal<'_, D, C>> {
    let memory = Memory::new::<D::Error>(&data::POS, &data::CA, data::NOW)?;
    Ok(Terminal::new(device, Label::new("identity")?.newest(), crypto, memory)?)
}

/// Connects, shakes hands, signs on, sells, and shows the answer; saves when it is asked to.
///
/// # Errors
/// When a step fails, or the sale is not approved.
pub fn sale<D: Device, C: Crypto>(
    terminal: &mut Terminal<'_, D, C>,
    device: &D,
    peer: &mut impl Peer,
    saved: &mut [u8; MAX_SEALED],
) -> Outcome {
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
    let mut approved = false;
    terminal.connect(&core::array::from_fn(|at| at as u8 ^ 0x5C))?;
    loop {
        match terminal.poll() {
            Output::Save => {
                terminal.memory().seal(device, label, saved)?;
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
            Output::Event(Event::Dropped(_)) => return check(false),
            Output::Idle => return check(approved && !terminal.memory().is_pending()),
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
