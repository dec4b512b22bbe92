//! `tr-auth`: the handshake message by message, and messages sealed under its keys.

use core::hint::black_box;

use tr_auth::channel::DEFAULT_LIMIT;
use tr_auth::{
    Channel, ConnectionId, Crypto, Expected, Identity, Initiator, Responder, Session, WaitMessage2, WaitMessage3,
    WaitMessage4,
};
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{Certificate, Role, Signer, Time};

use super::{Outcome, check, some};
use crate::{Key, data};

/// Octets of a buffer for any message with one certificate, workspace included.
pub const BUFFER: usize = 1792;

/// The device begins.
///
/// # Errors
/// When the message cannot be written.
pub fn message_1<C: Crypto>(crypto: &C, out: &mut [u8]) -> Outcome<(WaitMessage2<C>, usize)> {
    Ok(Initiator::start(crypto, &random(1), ConnectionId::new(&[1])?, out)?)
}

/// The backend answers.
///
/// # Errors
/// When message_1 is refused, or message_2 cannot be written.
pub fn message_2<C: Crypto, S: Signer>(
    crypto: &C,
    signer: &S,
    message_1: &[u8],
    out: &mut [u8],
) -> Outcome<(WaitMessage3, usize)> {
    let identity = Identity {
        chain: &[&data::BACKEND],
        signer,
    };
    Ok(Responder::respond(
        crypto,
        &identity,
        message_1,
        &random(2),
        ConnectionId::new(&[2])?,
        &[],
        out,
    )?)
}

/// The device judges the backend and says who it is.
///
/// # Errors
/// When message_2 is refused, or message_3 cannot be written.
pub fn message_3<C: Crypto, S: Signer>(
    crypto: &C,
    signer: &S,
    waiting: WaitMessage2<C>,
    message_2: &mut [u8],
    out: &mut [u8],
) -> Outcome<(WaitMessage4, usize)> {
    let anchors = [Certificate::parse(&data::CA)?];
    let ready = waiting.process(crypto, message_2, &expected(&anchors, &[Role::Backend], &data::POS))?;
    check(ready.peer().role() == Role::Backend)?;
    let identity = Identity {
        chain: &[&data::POS],
        signer,
    };
    Ok(ready.message_3(crypto, &identity, &[], out)?)
}

/// The backend judges the device and confirms.
///
/// # Errors
/// When message_3 is refused, or message_4 cannot be written.
pub fn message_4<C: Crypto>(
    crypto: &C,
    waiting: WaitMessage3,
    message_3: &mut [u8],
    out: &mut [u8],
) -> Outcome<(Session, usize)> {
    let anchors = [Certificate::parse(&data::CA)?];
    let ready = waiting.process(crypto, message_3, &expected(&anchors, &[Role::Pos], &data::BACKEND))?;
    Ok(ready.message_4(crypto, out)?)
}

/// The device takes the confirmation.
///
/// # Errors
/// When message_4 is refused.
pub fn finish<C: Crypto>(crypto: &C, waiting: WaitMessage4, message_4: &mut [u8]) -> Outcome<Session> {
    Ok(waiting.process(crypto, message_4)?)
}

/// Seals a message; the other side opens it, and refuses it a second time.
///
/// # Errors
/// When a result is not what it must be.
pub fn talk<C: Crypto>(crypto: &C, from: &mut Channel, to: &mut Channel) -> Outcome {
    const TEXT: &[u8] = b"TR1 C balance\nid=7\n\n";
    const ROUTING: &[u8] = b"to the backend";
    let mut buffer = [0; 64];
    buffer[..TEXT.len()].copy_from_slice(TEXT);
    let sealed = from.sender.seal(crypto, ROUTING, &mut buffer, TEXT.len())?;
    let mut copy = buffer;
    check(
        to.receiver
            .open(crypto, sealed.index, ROUTING, &mut buffer[..sealed.len])?
            == TEXT,
    )?;
    check(
        to.receiver
            .open(crypto, sealed.index, ROUTING, &mut copy[..sealed.len])
            .is_err(),
    )
}

/// A session in use, with the window of a device.
#[must_use]
pub fn channel<C: Crypto>(crypto: &C, session: Session) -> Channel {
    session.into_channel(crypto, DEFAULT_LIMIT)
}

/// All that a device does; for the size probes, which have no peer.
///
/// # Errors
/// When a step fails, as it must without a peer.
pub fn device<C: Crypto, S: Signer>(crypto: &C, signer: &S) -> Outcome {
    let (mut one, mut other) = ([0; BUFFER], [0; BUFFER]);
    let (waiting, _) = message_1(crypto, &mut one)?;
    let (waiting, _) = message_3(crypto, signer, waiting, black_box(&mut one), &mut other)?;
    let mut own = channel(crypto, finish(crypto, waiting, black_box(&mut other))?);
    let sealed = own.sender.seal(crypto, b"", &mut one, 64)?;
    black_box(own.receiver.open(crypto, sealed.index, b"", black_box(&mut one))?);
    Ok(())
}

/// The same with the curve.
///
/// # Errors
/// As [`device`].
pub fn device_with_curve() -> Outcome {
    device(&RustCrypto, &some(Key::new(black_box(&data::POS_KEY)))?)
}

fn expected<'a>(anchors: &'a [Certificate<'a>], roles: &'a [Role], own: &'a [u8]) -> Expected<'a> {
    Expected {
        anchors,
        roles,
        time: Time::known(data::NOW),
        grace: 0,
        own,
        understood: &[],
    }
}

/// Constant, as everything here: a product takes them from its generator.
fn random(seed: u8) -> [u8; 32] {
    core::array::from_fn(|at| seed.wrapping_mul(83).wrapping_add(at as u8))
}
